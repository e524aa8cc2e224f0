/** A server elsewhere, named by the command line: no process is started here. */
import process from "node:process";
import { Client } from "@codex/runtime";

const [url, token] = process.argv.slice(2);
const client = await Client.connect({
  transport: { type: "websocket", url: url!, token: token! },
});
console.log(client.server.version);
const session = await client.startSession({ cwd: process.cwd() });
console.log((await session.ask("Remember the word")).assistantText);
console.log((await session.ask("Say it")).assistantText);
await session.close();
await client.shutdown();
