/** A session that is killed between what a rewind does to the conversation and to the files, on the real codex. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readdirSync, readFileSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { script } from "../../src/testing/mod.ts";
import { CODEX_VERSIONS, ROOT } from "../_codex.ts";
import { onDeno, test } from "../_harness.ts";
import { inWorld, type World } from "../real/_session_world.ts";

const SCRIPT = join(ROOT, "tests", "faults", "rewind_session_script.ts");
const PROFILE = {
  sandbox: "workspace-write",
  allowPrivilegedEscalation: true,
  checkpoints: true,
} as const;

function heard(world: World): string[] {
  const { userTexts } = world.model.requests.at(-1)!;
  return userTexts.map((text) => /^(?:one|two|later|after)/.exec(text)?.[0] ?? "").filter((text) =>
    text !== ""
  );
}

/** Rewinds in a process of its own that is killed there. */
async function killed(world: World, when: string, threadId: string, before: string): Promise<void> {
  const settings = {
    config: world.config(),
    session: { cwd: world.cwd, ...PROFILE },
    threadId,
    before,
  };
  const args = [
    ...(onDeno ? ["run", "-A", "--no-check"] : ["run"]),
    SCRIPT,
    when,
    JSON.stringify(settings),
  ];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  let said = "";
  child.stdout.on("data", (chunk) => said += String(chunk));
  const signal = await new Promise((resolve) =>
    child.once("close", (_code, signal) => resolve(signal))
  );
  assert.equal(signal, "SIGKILL", said);
  // What died holds the lock until it has been silent for a while.
  const home = join(world.config().env!.set!["CODEX_HOME"]!, "checkpoints");
  const long = new Date(Date.now() - 60_000);
  for (const folder of readdirSync(home)) utimesSync(join(home, folder, "lock"), long, long);
}

for (const version of CODEX_VERSIONS) {
  test(
    `a rewind that is killed around the server's part of it is finished or dropped as a whole [${version}]`,
    () =>
      inWorld(version, async (world) => {
        const { cwd } = world;
        const file = join(cwd, "a.txt");
        const text = () => readFileSync(file, "utf8");
        const write = (content: string, words: string) =>
          world.prompt([[script.exec(`printf ${content} > a.txt`)], "done"], words);
        const begin = async () => {
          writeFileSync(file, "a0");
          const client = await world.connect();
          const session = await client.startSession({ cwd, ...PROFILE });
          await session.ask("one");
          const { turnId } = await session.ask(write("a1", "two"));
          assert.equal(text(), "a1");
          await session.release();
          await client.shutdown();
          return { threadId: session.threadId, turnId };
        };
        const goOn = async (threadId: string, checkpoints: boolean, words: string) => {
          const client = await world.connect();
          const session = await client.resumeSession(threadId, { cwd, ...PROFILE, checkpoints });
          const told: string[] = [];
          await session.ask(words, {
            onEvent: (event) => event.type === "warning" && told.push(event.message),
          });
          await session.release();
          await client.shutdown();
          return told.filter((each) => each.startsWith("A rewind"));
        };

        for (const when of ["before", "after"]) {
          const { threadId, turnId } = await begin();
          await killed(world, when, threadId, turnId);
          assert.equal(text(), "a1", `${when}: no file was touched yet`);
          assert.match((await goOn(threadId, true, "later")).join(), /was finished now/);
          assert.deepEqual([text(), heard(world)], ["a0", ["one", "later"]], when);
        }

        // Somebody goes on with the conversation first: what was said and done since is not taken back.
        const { threadId, turnId } = await begin();
        await killed(world, "before", threadId, turnId);
        await goOn(threadId, false, "later");
        assert.match((await goOn(threadId, true, "after")).join(), /it is dropped/);
        assert.deepEqual([text(), heard(world)], ["a1", ["one", "two", "later", "after"]]);
        assert.deepEqual(await goOn(threadId, true, "after"), [], "told once");
      }),
  );
}
