/** A user's script under few permissions: one prompt, one line. Prints the outcome as JSON. */
import { quickRun } from "../../src/quick_run.ts";

const { cwd, prompt, configOverrides } = JSON.parse(Deno.args[0]!);
const outcome = await quickRun(cwd, prompt, { client: { configOverrides } }).then(
  ({ assistantText, items }) => ({ assistantText, items: items.map(({ type }) => type) }),
  (error: Error & { cause?: Error }) => ({ error: `${error.cause ?? error}` }),
);
console.log(JSON.stringify(outcome));
