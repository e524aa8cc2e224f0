/**
 * A first run for people, in less than a minute:
 *
 *     deno task demo                          the real codex with a played model: a tool, a question, a diff
 *     deno task demo -- --live "prompt"       your own codex, login and directory
 *     deno task demo -- --pick [name]         lists the examples and runs the chosen one
 */
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline/promises";
import {
  type ApprovalRequest,
  Client,
  quickRun,
  testing,
  tool,
  type TurnEvent,
} from "../../mod.ts";
import { codexPath, installing, NEWEST_CODEX, ROOT } from "../_codex.ts";
import { listExamples, runExample } from "./_pick.ts";
import { withBar } from "./_progress.ts";

const { script } = testing;
const PACKAGE_MB = 410;
const version = NEWEST_CODEX;
const args = process.argv.slice(2).filter((arg) => arg !== "--");

// A recording of this program keeps its colours.
const colors = process.stdout.isTTY || process.env["FORCE_COLOR"] !== undefined;
const paint = (code: number) => (text: string) => colors ? `\x1b[${code}m${text}\x1b[0m` : text;
const [bold, dim, red, green, yellow, cyan] = [1, 2, 31, 32, 33, 36].map(paint);

if (args[0] === "--live") await live(args.slice(1).join(" "));
else if (args[0] === "--pick") process.exitCode = await pick(args[1]);
else await demo();

/** The codex that is used; fetched from npm where it is not there. */
async function codex(): Promise<string> {
  const given = process.env["CODEX_PATH"];
  if (given !== undefined) return given;
  if (existsSync(join(ROOT, ".cache", "codex", version))) return await codexPath();
  console.log(`Fetching codex ${version} from npm into .cache, once: about ${PACKAGE_MB} MB.`);
  return await withBar(codexPath(), () => installing.get(`@openai/codex@${version}`), PACKAGE_MB);
}

async function demo(): Promise<void> {
  console.log(bold!("The real codex answers a prompt; its model is played."));
  console.log(
    "No account, and no network but npm's to fetch codex. It works in a fresh directory,",
  );
  console.log("calls a tool of this program, and asks before it changes a file.\n");
  const codexPath = await codex();
  const root = join(homedir(), ".cache", "codex-runtime-demo");
  await mkdir(root, { recursive: true });
  const cwd = await mkdtemp(join(root, "workspace-"));
  await writeFile(join(cwd, "greeting.txt"), "Hello.\nHow are you?\n");
  const model = await testing.ScriptedModel.start([
    [script.exec("cat greeting.txt")],
    [script.toolCall("visitor", {})],
    [script.applyPatch(
      "*** Begin Patch\n*** Update File: greeting.txt\n@@\n-Hello.\n+Hello, Ada!\n How are you?\n*** End Patch",
    )],
    [
      script.say(
        "The greeting now names the visitor of the day. Nothing else was changed.".split(/(?<= )/),
        { delayMs: 40 },
      ),
      script.usage({ inputTokens: 1420, outputTokens: 31 }),
    ],
  ]);
  try {
    await converse(cwd, model.clientConfig({ codexPath }));
  } finally {
    await model.close();
    await rm(cwd, { recursive: true, force: true });
  }
}

async function converse(cwd: string, config: ReturnType<testing.ScriptedModel["clientConfig"]>) {
  const prompt = "Greet the visitor of the day by name";
  console.log(`${bold!(`> ${prompt}`)}\n`);
  const started = performance.now();
  const client = await Client.connect({
    ...config,
    // The sandbox keeps the agent in its directory; reading there needs nobody.
    approvals: (request) => decide(request),
    approvalTimeoutMs: 60_000,
  });
  try {
    const session = await client.startSession({
      cwd,
      approvalPolicy: "untrusted",
      // Shared temporary directories stay out, so that nothing has to be said of them.
      sandbox: { type: "workspaceWrite", excludeSlashTmp: true, excludeTmpdirEnvVar: true },
      allowPrivilegedEscalation: true,
      tools: {
        visitor: tool({
          description: "The visitor of the day",
          inputSchema: { type: "object", properties: {} },
          run: () => "Ada",
        }),
      },
    });
    const { usage } = await session.ask(prompt, { onEvent: show });
    await session.close();
    const text = await readFile(join(cwd, "greeting.txt"), "utf8");
    console.log(`\n\n${dim!("greeting.txt:")} ${text.split("\n")[0]}`);
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    console.log(dim!(`${usage?.totalTokens ?? 0} tokens, ${seconds} s`));
    console.log(`\nNext: ${cyan!("deno task demo -- --pick")} lists the examples.`);
  } finally {
    await client.shutdown();
  }
}

/** Shows what is asked and takes the answer; what only looks is let through. */
async function decide(request: ApprovalRequest): Promise<{ decision: "accept" | "decline" }> {
  if (request.type === "command") {
    const script = request.script ?? request.command ?? "";
    console.log(dim!(`The agent asks to run: ${script}`));
    if (script === "cat greeting.txt") return { decision: "accept" };
  } else if (request.type === "fileChange") {
    console.log(`${yellow!("The agent asks to change a file:")}\n${diff(request.diff ?? "")}`);
  }
  return { decision: await confirm("Allow it? [Y/n] ") ? "accept" : "decline" };
}

async function confirm(text: string): Promise<boolean> {
  if (!process.stdin.isTTY) {
    console.log(`${text}${bold!("y")} ${dim!("(nobody is at the terminal)")}\n`);
    return true;
  }
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  const answer = await terminal.question(text);
  terminal.close();
  return !answer.trim().toLowerCase().startsWith("n");
}

function diff(text: string): string {
  return text.trimEnd().split("\n").filter((line) => !/^(?:---|\+\+\+)/.test(line))
    .map((line) => line.startsWith("+") ? green!(line) : line.startsWith("-") ? red!(line) : line)
    .join("\n");
}

/** Shows what happens as it happens. */
function show(event: TurnEvent): void {
  switch (event.type) {
    case "assistantMessageDelta":
      process.stdout.write(event.delta);
      break;
    case "itemCompleted": {
      const { item } = event;
      if (item.type === "commandExecution") {
        console.log(dim!(`${(item.aggregatedOutput ?? "").trimEnd()}\n`));
      } else if (item.type === "dynamicToolCall") {
        console.log(`Your tool ${cyan!(item.tool)} was called, and answered ${cyan!("Ada")}.\n`);
      }
      break;
    }
    case "retrying":
    case "warning":
      console.log(yellow!(event.message));
      break;
  }
}

async function live(given: string): Promise<void> {
  const prompt = given || "Summarize this directory in 3 bullets";
  console.log(`Your codex reads this directory and changes nothing.\n\n${bold!(`> ${prompt}`)}\n`);
  const { usage } = await quickRun(process.cwd(), prompt, { onEvent: show });
  console.log(dim!(`\n\n${usage?.inputTokens ?? 0} tokens in, ${usage?.outputTokens ?? 0} out`));
}

async function pick(name: string | undefined): Promise<number> {
  const examples = listExamples();
  let chosen = examples.find((example) => example.name === name);
  if (chosen === undefined) {
    if (name !== undefined) console.log(`There is no example ${name}.\n`);
    examples.forEach(({ name, about }, index) => {
      const line = about.length > 90 ? `${about.slice(0, 89)}…` : about;
      console.log(`${String(index + 1).padStart(3)}  ${bold!(name.padEnd(20))} ${line}`);
    });
    if (!process.stdin.isTTY) return name === undefined ? 0 : 1;
    const terminal = createInterface({ input: process.stdin, output: process.stdout });
    chosen = examples[Number(await terminal.question("\nWhich one? ")) - 1];
    terminal.close();
    if (chosen === undefined) return 1;
  }
  await codex();
  console.log(`${dim!(`$ ${chosen.command}   # its model is played`)}\n`);
  return await runExample(chosen);
}
