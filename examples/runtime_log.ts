/**
 * The lowest layer: raw requests, every message as an event, a log on disk with secrets taken out, state and metrics.
 *
 *     deno run --allow-run=codex --allow-read --allow-write=events.jsonl examples/runtime_log.ts --live
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { AppServer, runtime } from "../mod.ts";
import { setup } from "./_setup.ts";

await using env = await setup(["Hello."]);
const path = join(env.cwd, "events.jsonl");
const server = await AppServer.connect({
  ...env.client,
  eventLog: new runtime.JsonlFileSink(path),
});
const connection = server.runtime;

const { thread } = await server.request("thread/start", {
  cwd: env.cwd,
  sandbox: "read-only",
  approvalPolicy: "never",
});
const events = connection.events({ threadId: thread.id });
await server.request("turn/start", {
  threadId: thread.id,
  input: [{ type: "text", text: "Hi" }],
});
for await (const event of events) {
  console.log(event.seq, event.direction, event.kind, event.method);
  if (event.method === "turn/completed") break;
}
const { turns } = connection.state().threads[thread.id]!;
console.log(`the thread has ${turns.length} turn`);
const { messagesIn, messagesOut } = connection.metrics();
console.log(`${messagesIn} messages in, ${messagesOut} out`);
const { gone, how } = await connection.shutdown();
console.log(`codex is ${gone ? "gone" : "perhaps still there"} (${how})`);
console.log(`${(await readFile(path, "utf8")).trim().split("\n").length} lines in the log`);
