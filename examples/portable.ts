/**
 * A machine is lost in the middle of a conversation, and another one goes on with it: the thread is in a store of yours.
 *
 *     deno run --allow-run --allow-read --allow-write --allow-env=CODEX_HOME,HOME examples/portable.ts --live
 *
 * Without the crash, which is played, `--allow-run=codex` is enough. The other machine is played by a hermetic codex, whose
 * home has the login and no threads.
 */
import { join } from "node:path";
import process from "node:process";
import { Client, CodexError, FileThreadStore } from "../mod.ts";
import { setup } from "./_setup.ts";

await using env = await setup(({ userTexts }) =>
  `So far: ${userTexts.filter((text) => text.includes("dog")).join(" | ")}`
);
// A directory that both machines reach. Deno KV is another store, and so is any object with `load` and `append`.
const store = new FileThreadStore(join(env.cwd, "threads"));
const profile = { cwd: env.cwd, store };

const first = await Client.connect(env.client);
const session = await first.startSession(profile);
const { threadId } = session;
await session.ask("My dog is called Bo.");
const lost = session.ask("What does a dog like Bo eat?");
process.kill(first.runtime.pid!, "SIGKILL"); // the machine is gone, and its codex home with it
await lost.catch((error) =>
  console.log(error instanceof CodexError ? `lost: ${error.code}` : error)
);
await first.shutdown();

await using second = await Client.connect({ ...env.client, isolation: "hermetic" });
for await (const { threadId } of second.threads()) console.log("known before:", threadId);
const again = await second.resumeSession(threadId, profile);
console.log((await again.ask("What is my dog called?")).assistantText);
await again.release();
