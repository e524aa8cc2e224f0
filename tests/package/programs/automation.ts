/** A recurring prompt on one session. */
import { automation, Client, testing } from "@codex/runtime";

const model = await testing.ScriptedModel.start((request) =>
  `item ${request.userTexts.length - 1}`
);
const client = await Client.connect(model.clientConfig());
const session = await client.startSession({ cwd: "." });
const handle = automation.spawn(session, { prompt: "Next item", every: 50, maxRuns: 3 });
for await (const run of handle) console.log(run.index, run.result?.assistantText ?? run.error);
console.log(handle.status().state);
await client.shutdown();
await model.close();
