/**
 * The long form of tests/deno/shell_fuzz_test.ts:
 *
 *     deno task fuzz:shell [scripts] [seed]
 */
import { checkReport, fuzzShell } from "../deno/_shell_fuzz.ts";

const count = Number(Deno.args[0] ?? 100_000);
const seed = Number(Deno.args[1] ?? Date.now() % 1_000_000_000);
const report = await fuzzShell(count, seed);
const { tried, ranBad, allowed, escaped, unseen } = report;
console.log(`${tried} scripts (seed ${seed}): ${ranBad} ran it, ${allowed} allowed`);
for (const text of escaped) console.log("allowed:", JSON.stringify(text));
for (const text of unseen) console.log("not seen:", JSON.stringify(text));
checkReport(report);
