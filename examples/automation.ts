/**
 * A prompt that is asked again and again on one session; each answer is printed as it comes.
 *
 *     deno run --allow-run=codex --allow-read=. examples/automation.ts --live
 */
import { automation, Client } from "../mod.ts";
import { setup } from "./_setup.ts";

await using env = await setup((request) => `Item ${request.userTexts.length - 1} is done.`);
await using client = await Client.connect(env.client);
const session = await client.startSession({ cwd: env.cwd });

const handle = automation.spawn(session, {
  prompt: "Do the next item of the backlog",
  every: env.live ? 30 * 60_000 : 500,
  maxRuns: 3,
});
for await (const run of handle) {
  console.log(run.index, run.result?.assistantText ?? String(run.error));
}
const { state, runsCompleted } = handle.status();
console.log(`${state} after ${runsCompleted} runs`);
await session.close();
