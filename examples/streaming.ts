/**
 * Live progress on a terminal: the answer as it comes, commands as they run, a tidy summary. Ctrl-C stops the turn.
 *
 *     deno run --allow-run=codex --allow-read=. examples/streaming.ts --live
 */
import process from "node:process";
import { Client, testing } from "../mod.ts";
import { setup } from "./_setup.ts";

const { script } = testing;
await using env = await setup([
  [script.reason("Looking around"), script.exec("echo one; sleep 0.3; echo two")],
  [script.say("Two lines were printed, one after the other.".split(/(?<= )/), { delayMs: 30 })],
]);
await using client = await Client.connect(env.client);
await using session = await client.startSession({ cwd: env.cwd });

const dim = (text: string) => process.stdout.isTTY ? `\x1b[2m${text}\x1b[0m` : text;
const spinner = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏";
let frame = 0;
let busy: string | null = "thinking";
const tick = setInterval(() => {
  if (busy !== null && process.stdout.isTTY) {
    process.stdout.write(`\r${spinner[frame++ % spinner.length]} ${dim(busy)}\x1b[K`);
  }
}, 80);
const clear = () => {
  if (busy !== null && process.stdout.isTTY) process.stdout.write("\r\x1b[K");
  busy = null;
};

const stream = await session.askStream("What does this print?");
process.once("SIGINT", () => stream.interrupt());
try {
  for await (const event of stream) {
    switch (event.type) {
      case "assistantMessageDelta":
        clear();
        process.stdout.write(event.delta);
        break;
      case "itemStarted":
        if (event.item.type === "commandExecution") {
          clear();
          console.log(`$ ${event.item.command}`);
          busy = "running";
        }
        break;
      case "itemCompleted":
        if (event.item.type === "commandExecution") {
          clear();
          console.log(dim((event.item.aggregatedOutput ?? "").trimEnd()));
          busy = "thinking";
        }
        break;
      case "retrying":
      case "warning":
        clear();
        console.log(dim(event.message));
        break;
    }
  }
} finally {
  clearInterval(tick);
}
const { items, usage, durationMs } = await stream.finish();
const ran = items.filter((item) => item.type === "commandExecution").length;
const commands = ran === 1 ? "1 command" : `${ran} commands`;
const totals = `${commands}, ${usage?.totalTokens ?? 0} tokens, ${durationMs ?? "?"} ms`;
console.log(`\n\n${dim(totals)}`);
