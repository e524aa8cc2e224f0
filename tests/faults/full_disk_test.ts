/** A disk that gets full in the middle of a log, and has room again. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { onDeno, test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";

const SCRIPT = fileURLToPath(new URL("full_disk_script.ts", import.meta.url));
/** Bytes that a file may have, in the shell's blocks of 512. */
const BLOCKS = 20;

/** Runs the script in a shell that lets no file grow further; gives what it told and what the file holds. */
async function onFullDisk(
  flushEvery: number,
  rooms: number[],
): Promise<{ told: { written: number; refused: number; lost: number }; bytes: Uint8Array }> {
  await using directory = await tempDir("full-");
  const path = join(directory.path, "log.jsonl");
  const run = onDeno ? ["run", "-A", "--no-check", SCRIPT] : [SCRIPT];
  // A file that grows beyond the limit is written as far as it may, like one on a full disk.
  const shell = `trap '' XFSZ; ulimit -f ${BLOCKS}; exec "$0" "$@"`;
  const args = ["-c", shell, process.execPath, ...run, path, `${flushEvery}`, ...rooms.map(String)];
  const env = { ...process.env, DENO_NO_UPDATE_CHECK: "1" };
  const { stdout } = await promisify(execFile)("sh", args, { env });
  return { told: JSON.parse(stdout), bytes: await readFile(path) };
}

function linesOf(bytes: Uint8Array): string[] {
  return new TextDecoder().decode(bytes).split("\n");
}

if (process.platform !== "win32") {
  const limit = { timeoutMs: 60_000 };
  test("JsonlFileSink writes to a pipe, as containers collect logs", limit, async () => {
    const run = onDeno ? ["run", "-A", "--no-check", SCRIPT] : [SCRIPT];
    const env = { ...process.env, DENO_NO_UPDATE_CHECK: "1" };
    const args = ["-c", '"$0" "$@" | cat', process.execPath, ...run, "/dev/stdout", "7"];
    const { stdout } = await promisify(execFile)("sh", args, { env });
    const lines = stdout.trim().split("\n").map((line) => JSON.parse(line));
    assert.deepEqual(lines.pop(), { written: 60, refused: 0, lost: 0 });
    assert.deepEqual(lines.map(({ seq }) => seq), Array.from({ length: 60 }, (_, n) => n + 1));
  });

  for (const flushEvery of [1, 7, 64]) {
    test(
      `JsonlFileSink counts what is whole on a full disk, ${flushEvery} at once`,
      limit,
      async () => {
        const { told: { written, refused, lost }, bytes } = await onFullDisk(flushEvery, []);
        assert.equal(bytes.length, BLOCKS * 512, "the disk was really full");
        // The one that was cut has no end of line; those before it are counted as there, and no other.
        const lines = linesOf(bytes).slice(0, -1);
        for (const line of lines) JSON.parse(line);
        assert.ok(refused > 0 && lost > 0 && lines.length > 0);
        assert.equal(lines.length + lost, written);
      },
    );

    test(
      `JsonlFileSink glues nothing to a line that was cut, ${flushEvery} at once`,
      limit,
      async () => {
        const { bytes } = await onFullDisk(flushEvery, [1_000, 4_000]);
        const lines = linesOf(bytes);
        const whole = lines.flatMap((line) => {
          try {
            return [JSON.parse(line).seq as number];
          } catch {
            return [];
          }
        });
        // What was cut: in two places where room was made, and at the end.
        assert.ok(lines.length - whole.length <= 3, `${lines.length} lines, ${whole.length} whole`);
        assert.deepEqual(whole, [...whole].sort((a, b) => a - b));
        assert.ok(whole.some((seq) => seq > 60) && whole.some((seq) => seq > 120));
      },
    );
  }
}
