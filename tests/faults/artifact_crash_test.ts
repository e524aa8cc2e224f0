import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { FileArtifactStore } from "../../src/artifact/store/file_store.ts";
import { bunPath, tries } from "../_codex.ts";
import { onDeno, test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";
import { numberOf } from "./artifact_crash_text.ts";

const WRITER = fileURLToPath(new URL("./artifact_crash_writer.ts", import.meta.url));
const KILLS = tries(200, 40);
const AT_ONCE = 2;

/** Runs a writer, kills it at a random point of its work, and gives the numbers that it stored. */
async function killedWriter(command: string[]): Promise<number[]> {
  const [program, ...args] = command;
  const child = spawn(program!, args, { stdio: ["ignore", "pipe", "pipe"] });
  const closed = once(child, "close");
  let output = "";
  let errors = "";
  // By what it has done, not by the clock alone: a busy machine must not make the test a weaker one.
  const versions = Math.floor(Math.random() * 3);
  const begun = new Promise<void>((resolve) => {
    child.stdout.on("data", (bytes) => {
      output += bytes;
      if (output.split("\n").length - 2 >= versions) resolve();
    });
    child.once("close", () => resolve());
  });
  child.stderr.on("data", (bytes) => errors += bytes);
  await begun;
  // The random point is the test, not a way to wait for something.
  await new Promise((resolve) => setTimeout(resolve, Math.random() * 10));
  child.kill("SIGKILL");
  const [code, signal] = await closed;
  assert.equal(signal, "SIGKILL", `the writer ended by itself with code ${code}: ${errors}`);
  // The last line may be cut.
  return output.split("\n").slice(1, -1).map(Number);
}

test(`a store whose writers are killed ${KILLS} times holds one whole version, and none is lost`, async () => {
  const dir = await tempDir("artifact-");
  try {
    const root = dir.path;
    const own = onDeno
      ? ["run", "--no-prompt", "--no-check", `--allow-read=${root}`, `--allow-write=${root}`]
      : [];
    const writers = [
      [process.execPath, ...own, WRITER, root],
      [await bunPath(), WRITER, root],
    ];
    const store = new FileArtifactStore(root);
    const stored = new Set<number>();
    let last = 0;
    for (let killed = 0; killed < KILLS; killed += AT_ONCE) {
      const results = await Promise.all(writers.map(killedWriter));
      for (const n of results.flat()) {
        assert.ok(!stored.has(n), `version ${n} was stored twice: one writer lost its work`);
        stored.add(n);
      }
      const now = await store.load("counter");
      const n = now === null ? 0 : numberOf(now);
      const told = Math.max(last, ...results.flat());
      // A writer may die between storing a version and saying so.
      assert.ok(n >= told && n <= told + AT_ONCE, `told of version ${told}, found ${n}`);
      last = n;
    }
    assert.ok(
      stored.size >= KILLS / 4,
      `only ${stored.size} versions were written between the kills`,
    );
  } finally {
    await dir[Symbol.asyncDispose]();
  }
});
