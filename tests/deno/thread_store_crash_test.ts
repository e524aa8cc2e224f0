/** A process that is killed while it stores a thread or puts one in place, at every step of that. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { FileThreadStore } from "../../src/session/history/file_thread_store.ts";
import { materialise } from "../../src/session/history/materialise.ts";
import { marker } from "../../src/session/history/rollout.ts";
import { fileSystem } from "../../src/platform/fs.ts";
import { test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";

const SCRIPT = fileURLToPath(new URL("./thread_store_crash_script.ts", import.meta.url));
const ID = "01a21fef-53d4-7b82-b90a-027fcef6a52c";
const DAY = "sessions/2026/11/28";
const FILES = [`${DAY}/rollout-2026-11-28T02-15-07-${ID}.jsonl`, `${DAY}/rollout-x-${ID}_b.jsonl`];
const LINES = [
  marker("codex", "0.169.0"),
  marker("file", FILES[0]!),
  `{"n":1,"x":"${"x".repeat(3_000)}"}`,
  '{"n":2}',
  marker("file", FILES[1]!),
  '{"n":3}',
];
const CONTENT = [`${LINES[2]}\n${LINES[3]}\n`, `${LINES[5]}\n`];

/** Runs the script until it dies at this step; `false` when it came to its end. */
async function killed(what: string, root: string, step: number, lines: string[]): Promise<boolean> {
  const { signal, success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", SCRIPT, what, root, ID, `${step}`, JSON.stringify(lines)],
    stdin: "null",
  }).output();
  assert.ok(success || signal === "SIGKILL", new TextDecoder().decode(stderr));
  return !success;
}

/** Calls `act` for each step, some at once, until one needs no more of them. */
async function everyStep(act: (step: number) => Promise<boolean>): Promise<number> {
  for (let step = 0;; step += 4) {
    const died = await Promise.all([0, 1, 2, 3].map((more) => act(step + more)));
    if (died.includes(false)) return step + died.indexOf(false);
  }
}

test("a writer that is killed at any step has stored all of its lines or none", async () => {
  const steps = await everyStep(async (step) => {
    await using directory = await tempDir("crash-");
    const root = join(directory.path, "s");
    const store = new FileThreadStore(root);
    await store.append(ID, ["a", "b"], 0);
    const died = await killed("append", root, step, ["c", "d".repeat(5_000)]);
    const lines: string[] = [];
    for await (const line of (await store.load(ID))!) lines.push(line);
    assert.ok([2, 4].includes(lines.length), `${step}: ${lines.length} lines`);
    assert.ok(died || lines.length === 4);
    await store.append(ID, ["next"], lines.length);
    return died;
  });
  assert.ok(steps >= 6, `${steps} steps`);
});

test("a file that is put in place is there whole or not at all, whenever that is killed", async () => {
  const steps = await everyStep(async (step) => {
    await using directory = await tempDir("crash-");
    const home = directory.path;
    const died = await killed("materialise", home, step, LINES);
    const content = () =>
      FILES.map((file) =>
        existsSync(join(home, file)) ? readFileSync(join(home, file), "utf8") : null
      );
    content().forEach((text, n) => assert.ok(text === null || text === CONTENT[n], `${step}`));
    assert.ok(died || content().every((text) => text !== null));
    mkdirSync(join(home, DAY), { recursive: true });
    const names = readdirSync(join(home, DAY));
    assert.ok(names.every((name) => /^(rollout-.*\.jsonl|\.codex-runtime-.*\.part)$/.test(name)));
    // Whoever comes next does it whole.
    const lines = (async function* () {
      yield* LINES;
    })();
    const core = { server: { version: "0.169.0" }, callNow: () => Promise.resolve({}) } as never;
    const put = await materialise(core, fileSystem()!, { home, threadId: ID, lines });
    assert.deepEqual(content(), CONTENT);
    const bytes = CONTENT[1]!.length;
    assert.deepEqual(put, { count: 6, name: null, givenUp: null, file: FILES[1], bytes });
    return died;
  });
  assert.ok(steps >= 8, `${steps} steps`);
});
