/**
 * The benchmarks: `deno task bench`, or `bun tests/bench/main.ts`, and the names of the sections wanted.
 *
 *     --quick      a run of less than three minutes, which shows what became much slower
 *     --save       keeps the figures in `.cache/bench/runs.jsonl`, a line of JSON for each run
 *     --compare    prints them beside those of the last run that was kept on this runtime, as thorough as this one
 *
 * Machines are noisy: everything that is compared runs side by side, in processes of its own, and what counts is the
 * median of the paired ratios. Pairs are measured until that median is known well enough, or it is called not settled.
 * Processor time is that of the reading process alone, unless it says "whole tree".
 */
import { appendFile, readFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { RUNTIME } from "./_child.ts";
import { installPeers, PEERS_HOME } from "./_peers.ts";
import { comparison, type Row, targetTable } from "./_report.ts";
import { decode, imports, lines } from "./_sections_alone.ts";
import { flood, requests, sessions, slowReader, trickle } from "./_sections_pipe.ts";
import { histories, lives } from "./_sections_long.ts";
import { own, realCodex, restart } from "./_sections_real.ts";

/** How thoroughly. */
export interface Effort {
  /** Rounds of each comparison, at least. */
  rounds: number;
  /** Rounds after which a comparison that is not settled is given up. */
  most: number;
  /** A run that only shows that everything works. */
  quick: boolean;
}

const sections: Record<string, (effort: Effort) => Promise<Row[]>> = {
  decode,
  lines,
  flood,
  trickle,
  sessions,
  requests,
  slow: slowReader,
  real: realCodex,
  own,
  restart,
  lives,
  histories,
  import: imports,
};

const quick = process.argv.includes("--quick");
const asked = process.argv.slice(2).filter((word) => !word.startsWith("--"));
const effort: Effort = quick ? { rounds: 1, most: 1, quick } : { rounds: 5, most: 15, quick };

await installPeers();
const rows: Row[] = [];
for (const [name, section] of Object.entries(sections)) {
  if (asked.length > 0 && !asked.includes(name)) continue;
  console.log(`\n## ${name}\n`);
  const begun = performance.now();
  rows.push(...await section(effort));
  console.log(`\n(${((performance.now() - begun) / 1000).toFixed(0)} s)`);
}
rows.sort((a, b) => Number(a.id.slice(1)) - Number(b.id.slice(1)));
console.log(`\n## Targets\n\n${targetTable(RUNTIME, rows)}\n`);

const RUNS = join(PEERS_HOME, "runs.jsonl");
interface Run {
  runtime: string;
  quick: boolean;
  at: string;
  rows: Row[];
}
if (process.argv.includes("--compare")) {
  const runs = (await readFile(RUNS, "utf8").catch(() => "")).split("\n").filter(Boolean)
    .map((line) => JSON.parse(line) as Run);
  const before = runs.findLast((run) => run.runtime === RUNTIME && run.quick === quick);
  console.log(
    before === undefined
      ? `no run of this kind was kept: \`--save\` does`
      : `Against the run of ${before.at}\n\n${comparison(rows, before.rows)}\n`,
  );
}
if (process.argv.includes("--save")) {
  const run: Run = { runtime: RUNTIME, quick, at: new Date().toISOString(), rows };
  await appendFile(RUNS, JSON.stringify(run) + "\n");
}
process.exit(0);
