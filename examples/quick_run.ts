/**
 * One prompt, one line: summarizes the current directory.
 *
 *     deno run --allow-run=codex --allow-read=. examples/quick_run.ts --live
 */
import { quickRun } from "../mod.ts";
import { setup } from "./_setup.ts";

await using env = await setup(["- a library\n- with tests\n- and a licence"]);

const { assistantText, usage } = await quickRun(env.cwd, "Summarize this repo in 3 bullets", {
  client: env.client,
});
console.log(assistantText);
console.log(`(${usage?.totalTokens ?? 0} tokens)`);
