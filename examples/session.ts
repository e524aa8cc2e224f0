/**
 * A conversation that is left and taken up again: turns that remember each other, resume, fork.
 *
 *     deno run --allow-run=codex --allow-read=. examples/session.ts --live
 */
import { Client } from "../mod.ts";
import { setup } from "./_setup.ts";

await using env = await setup((request) => `answer ${request.userTexts.length - 1}`);
await using client = await Client.connect(env.client);

const first = await client.startSession({ cwd: env.cwd });
console.log((await first.ask("Remember the number 7")).assistantText);
console.log((await first.ask("Which number was it?")).assistantText);
await first.release(); // keeps the thread; close() would archive it

const resumed = await client.resumeSession(first.threadId, { cwd: env.cwd });
console.log("resumed:", (await resumed.ask("And doubled?")).assistantText);

const fork = await client.forkSession(first.threadId, { cwd: env.cwd });
console.log("forked:", (await fork.ask("What if it had been 8?")).assistantText);

for await (const thread of client.threads({ cwd: env.cwd })) {
  console.log(thread.threadId === fork.threadId ? "fork  " : "thread", thread.preview);
}
await fork.close();
await resumed.close();
