/** Events of a turn as they come, and its result. */
import { Client, testing } from "@codex/runtime";

const { script } = testing;
const model = await testing.ScriptedModel.start([
  [script.exec("echo from the shell")],
  [script.say(["Hel", "lo", "."])],
]);
const client = await Client.connect(model.clientConfig());
const session = await client.startSession({ cwd: "." });
const stream = await session.askStream("Say hello");
for await (const event of stream) {
  if (event.type === "assistantMessageDelta") console.log(`delta: ${event.delta}`);
  if (event.type === "itemCompleted" && event.item.type === "commandExecution") {
    console.log(`command: ${event.item.exitCode} ${event.item.aggregatedOutput?.trim()}`);
  }
}
const { assistantText, items } = await stream.finish();
console.log(`text: ${assistantText}`, items.map((item) => item.type).join(" "));
await session.close();
await client.shutdown();
await model.close();
