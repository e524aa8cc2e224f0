/**
 * A user's script that never shuts its client down. Arguments: how it ends, and its configuration as JSON. Prints the
 * process id of codex when a command runs.
 */
import process from "node:process";
import { Client } from "../../src/session/client/client.ts";

const [how = "", settings = "{}"] = process.argv.slice(2);
const { config, cwd, prompt } = JSON.parse(settings);
const client = await Client.connect(config);
const session = await client.startSession({ cwd });
const running = Promise.withResolvers<void>();
session.ask(prompt, {
  onEvent: (event) => {
    if (event.type === "itemStarted" && event.item.type === "commandExecution") running.resolve();
  },
}).catch(() => {});
await running.promise;
console.log(`pid ${client.runtime.pid}`);
if (how === "exit") process.exit(3);
if (how === "throw") throw new Error("uncaught, on purpose");
