/** A user's first program. */
import { quickRun, testing } from "@codex/runtime";

const model = await testing.ScriptedModel.start(["- one\n- two\n- three"]);
const { assistantText, usage } = await quickRun(".", "Summarize this repo in 3 bullets", {
  client: model.clientConfig(),
});
console.log(assistantText, usage?.totalTokens);
console.log(`asked: ${model.requests[0]?.userTexts.at(-1)}`);
await model.close();
