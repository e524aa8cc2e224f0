/** Writes numbered records to a log that other programs write to as well. Arguments: the log, a name, how many, `maxBytes`. */
import process from "node:process";
import type { EventEnvelope } from "../../src/runtime/log/event_envelope.ts";
import { JsonlFileSink } from "../../src/runtime/log/jsonl_file_sink.ts";

const [path, name, count, maxBytes] = process.argv.slice(2) as [string, string, string, string];
const sink = new JsonlFileSink(path, { flushEvery: 3, maxBytes: Number(maxBytes), keep: 10_000 });
for (let seq = 1; seq <= Number(count); seq++) {
  const message = { name, text: "x".repeat(seq % 200) };
  await sink.write(
    { seq, at: new Date(), direction: "local", kind: "connection", message } as EventEnvelope,
  );
}
await sink.close();
console.log(sink.lost);
