/**
 * The main job: the real codex answers one prompt. `deno task demo` plays the model, `deno task demo -- --live "prompt"`
 * uses the user's own login and the current directory.
 */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { type ClientConfig, quickRun, testing, type TurnEvent } from "../../mod.ts";
import { codexPath } from "../_codex.ts";

const { script } = testing;
const live = process.argv.indexOf("--live");

/** Shows what happens as it happens. */
function show(event: TurnEvent): void {
  switch (event.type) {
    case "assistantMessageDelta":
      process.stdout.write(event.delta);
      break;
    case "itemStarted":
      if (event.item.type === "commandExecution") {
        console.log(`\x1b[2m$ ${event.item.command}\x1b[0m`);
      }
      break;
    case "itemCompleted":
      if (event.item.type === "commandExecution") {
        const { aggregatedOutput, exitCode } = event.item;
        console.log(`\x1b[2m${(aggregatedOutput ?? "").trimEnd()}\n(exit ${exitCode})\x1b[0m\n`);
      }
      break;
    case "retrying":
    case "warning":
      console.log(`\x1b[33m${event.message}\x1b[0m`);
      break;
  }
}

/** Runs one prompt and shows the answer, the tokens and the time. */
async function demo(cwd: string, prompt: string, client: ClientConfig): Promise<void> {
  console.log(`\x1b[1m> ${prompt}\x1b[0m\n`);
  const started = performance.now();
  const result = await quickRun(cwd, prompt, { client, onEvent: show });
  const seconds = ((performance.now() - started) / 1000).toFixed(2);
  const { usage, items, durationMs } = result;
  const commands = items.filter((item) => item.type === "commandExecution").length;
  console.log(
    `\n\n\x1b[2m${commands} command(s), ${usage?.inputTokens ?? 0} tokens in, ${
      usage?.outputTokens ?? 0
    } out; ` +
      `turn ${durationMs ?? "?"} ms, ${seconds} s with starting and ending codex\x1b[0m`,
  );
}

if (live >= 0) {
  const prompt = process.argv.slice(live + 1).join(" ") || "Summarize this directory in 3 bullets";
  await demo(process.cwd(), prompt, {});
} else {
  console.log("The real codex with a scripted model: no account, no network.\n");
  const root = join(homedir(), ".cache", "codex-runtime-demo");
  await mkdir(root, { recursive: true });
  const workspace = await mkdtemp(join(root, "workspace-"));
  await writeFile(join(workspace, "hello.txt"), "Hello from the workspace.\n");
  const model = await testing.ScriptedModel.start([
    [script.exec("cat hello.txt && wc -c hello.txt")],
    [
      script.say(
        "The workspace holds one file, hello.txt. It greets you, and it takes 26 bytes. Nothing was changed."
          .split(/(?<= )/),
        { delayMs: 25 },
      ),
      script.usage({ inputTokens: 1420, outputTokens: 31 }),
    ],
  ]);
  try {
    await demo(
      workspace,
      "What is in this directory?",
      model.clientConfig({ codexPath: await codexPath() }),
    );
  } finally {
    await model.close();
    await rm(workspace, { recursive: true, force: true });
  }
}
