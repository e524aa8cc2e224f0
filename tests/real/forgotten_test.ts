/** A script that never shuts its client down goes on while something is pending, ends after that, and leaves nothing. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { script } from "../../src/testing/mod.ts";
import {
  bunPath,
  type CodexVersion,
  isPlaceFor,
  NEWEST_CODEX,
  nodePath,
  OLDEST_CODEX,
} from "../_codex.ts";
import { onDeno, test } from "../_harness.ts";
import { inWorld, whenGone } from "./_session_world.ts";

const SCRIPT = fileURLToPath(new URL("./forgotten_script.ts", import.meta.url));

/** The suite runs on Deno and on Bun, and starts Node with the first. */
const runtimes: [name: string, command: () => Promise<string[]>][] = onDeno
  ? [
    ["deno", () => Promise.resolve([process.execPath, "run", "-A", "--no-check", "--no-prompt"])],
    ["node", async () => [await nodePath(), "--no-warnings"]],
  ]
  : [["bun", async () => [await bunPath()]]];

/** What the script awaits, what the model plays, and what the script must have said when it ends by itself. */
const ends: [how: string, said: RegExp][] = [
  ["connected", /^pid \d+\nlast line\n$/],
  ["asked", /^pid \d+\nYou said: .*\nlast line\n$/],
  ["reviewed", /^pid \d+\nlast line\n$/],
  ["asking", /^pid \d+\nlast line\nlate\nthen late\n$/],
  ["approval", /^pid \d+\nanswered\nover\nlast line\n$/],
  ["raw", /^pid \d+\nlast line\nanswered\nover\n$/],
];
const waits = ["events", "sessionEvents", "nextTurn", "serverRequests"];

async function run(
  version: CodexVersion,
  [program, ...args]: string[],
  how: string,
): Promise<string> {
  let said = "";
  await inWorld(version, async (world) => {
    const asks = how === "approval" || how === "raw";
    // Longer than a client without work keeps its script.
    const slow = [script.delay(1500), script.say("late")];
    const steps = asks
      ? [[script.exec("touch asked.txt")], "done"]
      : how === "asking"
      ? [slow, slow]
      : undefined;
    const settings = {
      config: world.config(),
      cwd: world.cwd,
      prompt: steps === undefined ? "hello" : world.prompt(steps),
    };
    const child = spawn(program!, [...args, SCRIPT, how, JSON.stringify(settings)], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    child.stdout.on("data", (chunk) => {
      said += String(chunk);
      if (/alive 4\n/.test(said)) child.kill("SIGKILL");
    });
    let errors = "";
    child.stderr.on("data", (chunk) => errors += String(chunk));
    const code = await new Promise((resolve) => child.once("close", resolve));
    const pid = Number(/pid (\d+)/.exec(said)?.[1]);
    assert.ok(pid > 0, `${how} said ${said}${errors}`);
    await whenGone(pid);
    assert.deepEqual([code, errors], waits.includes(how) ? [null, ""] : [0, ""], said);
  });
  return said;
}

for (const [name, command] of runtimes) {
  // What the library holds, and for how long, is the same everywhere; that it holds the program is shown by any of them.
  const here = (how: string) => isPlaceFor(how, name === "node" ? 0 : 1);
  for (const [how, said] of ends.filter(([how]) => here(how))) {
    test(`a ${name} script that forgets its client ends by itself: ${how}`, async () => {
      const versions = how === "approval" ? [NEWEST_CODEX, OLDEST_CODEX] : [NEWEST_CODEX];
      for (const version of versions) assert.match(await run(version, await command(), how), said);
    });
  }
  test(`a ${name} script goes on for whoever reads or waits`, async () => {
    for (const how of waits.filter(here)) {
      const said = await run(NEWEST_CODEX, await command(), how);
      assert.match(said, /alive 4\n/, how);
      assert.doesNotMatch(said, /last line/, how);
    }
  });
}
