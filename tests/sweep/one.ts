/** Runs the scenarios on one version: `deno run -A tests/sweep/one.ts 0.130.0`. Prints a JSON line. */
import { sweep } from "./scenarios.ts";

const [version, ...names] = Deno.args;
if (version === undefined) throw new Error("usage: one.ts VERSION [SCENARIO …]");
const report = await sweep(version, ...(names.length === 0 ? [] : [names]));
console.log(JSON.stringify({ version, ...report }));
