/** Writes records until the disk is full, makes room and goes on; tells what was refused and lost. */
import { truncate } from "node:fs/promises";
import process from "node:process";
import { JsonlFileSink } from "../../src/runtime/log/jsonl_file_sink.ts";
import type { EventEnvelope } from "../../src/runtime/log/event_envelope.ts";

const [, , path, flushEvery, ...rooms] = process.argv as [string, string, string, string];
const sink = new JsonlFileSink(path, { flushEvery: Number(flushEvery) });
let refused = 0;
let seq = 0;

async function write(): Promise<void> {
  try {
    await sink.write(
      {
        seq: ++seq,
        connection: 1,
        at: new Date(),
        direction: "notification",
        message: { method: "x/y", params: { text: "é".repeat(20 + seq % 170) } },
      } as unknown as EventEnvelope,
    );
  } catch {
    refused++;
  }
}

for (const room of ["", ...rooms]) {
  // Somebody frees space, in the middle of a line.
  if (room !== "") await truncate(path, Number(room));
  for (let i = 0; i < 60; i++) await write();
  await sink.flush().catch(() => refused++);
}
await sink.close().catch(() => refused++);
console.log(JSON.stringify({ written: seq, refused, lost: sink.lost }));
