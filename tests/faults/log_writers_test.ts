/** Several programs write to one log, and put it aside. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readdir, readFile, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { fileSystem } from "../../src/platform/fs.ts";
import { putAside } from "../../src/runtime/log/log_file.ts";
import { onDeno, test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";

const SCRIPT = fileURLToPath(new URL("log_writers_script.ts", import.meta.url));

async function writeLog(path: string, name: string, count: number): Promise<void> {
  const run = onDeno ? ["run", "-A", "--no-check", SCRIPT] : [SCRIPT];
  const args = [...run, path, name, `${count}`, "20000"];
  const env = { ...process.env, DENO_NO_UPDATE_CHECK: "1" };
  const { stdout } = await promisify(execFile)(process.execPath, args, { env });
  assert.equal(stdout.trim(), "0");
}

/** Every record of a log, by its writer and number; what is no line is passed over. */
async function records(directory: string): Promise<string[]> {
  const all: string[] = [];
  for (const name of await readdir(directory)) {
    for (const line of (await readFile(join(directory, name), "utf8")).split("\n")) {
      if (line === "") continue;
      const { seq, message } = JSON.parse(line);
      all.push(`${message.name} ${seq}`);
    }
  }
  return all.sort();
}

test("programs that put one log aside at once lose nothing", { timeoutMs: 60_000 }, async () => {
  await using directory = await tempDir("logs-");
  const path = join(directory.path, "log.jsonl");
  const names = ["a", "b", "c"];
  await Promise.all(names.map((name) => writeLog(path, name, 600)));
  const wanted = names.flatMap((name) => Array.from({ length: 600 }, (_, n) => `${name} ${n + 1}`));
  assert.deepEqual(await records(directory.path), wanted.sort());
  assert.ok((await readdir(directory.path)).length > 10);
});

test("a log that another program has just put aside is left as it is", async () => {
  await using directory = await tempDir("logs-");
  const path = join(directory.path, "log.jsonl");
  await writeFile(path, "new\n");
  let moved = 0;
  for (const full of [5, 4]) {
    await putAside(fileSystem()!, path, full, () => Promise.resolve(void moved++));
    assert.equal(moved, full === 4 ? 1 : 0);
    assert.deepEqual(await readdir(directory.path), ["log.jsonl"]);
  }
});

test(
  "a program that died while it put a log aside holds nobody up",
  { timeoutMs: 60_000 },
  async () => {
    // Long ago, or by a clock that was set back since.
    for (const ms of [-3_600_000, 3_600_000]) {
      await using directory = await tempDir("logs-");
      const path = join(directory.path, "log.jsonl");
      await writeFile(`${path}.lock`, "");
      const then = new Date(Date.now() + ms);
      await utimes(`${path}.lock`, then, then);
      await writeLog(path, "a", 200);
      assert.equal((await records(directory.path)).length, 200);
      assert.ok((await stat(`${path}.1`)).size <= 20_000);
      assert.ok(!(await readdir(directory.path)).includes("log.jsonl.lock"));
    }
  },
);
