/** The event log in a file, with the smallest set of permissions. */
import assert from "node:assert/strict";
import { homedir } from "node:os";
import { join } from "node:path";
import { PermissionDeniedError } from "../../src/errors/mod.ts";
import type { EventEnvelope } from "../../src/runtime/log/event_envelope.ts";
import { JsonlFileSink } from "../../src/runtime/log/jsonl_file_sink.ts";
import { test } from "../_harness.ts";

// Permissions are fixed when a test is declared, so its directory has a fixed name.
const DIR = join(homedir(), ".cache", "codex-runtime-tests", `sink-${Deno.pid}`);
const NOTHING = {
  read: false,
  env: false,
  net: false,
  run: false,
  sys: false,
  ffi: false,
} as const;

function envelope(seq: number): EventEnvelope {
  return { seq, at: new Date(0), direction: "local", kind: "connection", message: { state: "x" } };
}

test(
  "JsonlFileSink writes and rotates with write permission alone",
  { permissions: { ...NOTHING, write: [DIR] } },
  async () => {
    const sink = new JsonlFileSink(join(DIR, "log.jsonl"), {
      maxBytes: 500,
      keep: 2,
      flushEvery: 1,
    });
    for (let seq = 1; seq <= 40; seq++) await sink.write(envelope(seq));
    await sink.close();
    assert.equal(sink.lost, 0);
  },
);

test("…and what it has written is the newest part of the log", () => {
  const files = [...Deno.readDirSync(DIR)].map(({ name }) => name);
  assert.equal(files.length, 3);
  const number = (name: string) => Number(name.split(".")[2] ?? 0);
  const seqs = files.sort((a, b) => number(a) - number(b)).flatMap((name) =>
    Deno.readTextFileSync(join(DIR, name)).trim().split("\n").map((line) => JSON.parse(line).seq)
  );
  assert.equal(seqs.at(-1), 40);
  assert.deepEqual(seqs, seqs.map((_, i) => seqs[0] + i));
  Deno.removeSync(DIR, { recursive: true });
});

test(
  "JsonlFileSink names the missing permission and does not prompt",
  { permissions: { ...NOTHING, write: false } },
  async () => {
    const sink = new JsonlFileSink(join(DIR, "log.jsonl"), { flushEvery: 1 });
    await assert.rejects(
      async () => await sink.write(envelope(1)),
      (error: unknown) =>
        error instanceof PermissionDeniedError &&
        error.missing[0] === `--allow-write=${join(DIR, "log.jsonl")}`,
    );
  },
);
