/**
 * The benchmarks: `deno task bench`, or `bun tests/bench/main.ts`. Options: `--quick` for a short run, and the names of
 * the sections wanted.
 *
 * Machines are noisy: everything that is compared runs side by side, in processes of its own, and what counts is the
 * median of the paired ratios. Processor time is that of the reading process alone, unless it says "whole tree".
 */
import process from "node:process";
import { RUNTIME } from "./_child.ts";
import { installPeers } from "./_peers.ts";
import { type Row, targetTable } from "./_report.ts";
import { decode, imports, lines } from "./_sections_alone.ts";
import { flood, requests, sessions, slowReader, trickle } from "./_sections_pipe.ts";
import { realCodex } from "./_sections_real.ts";

/** How thoroughly. */
export interface Effort {
  /** Rounds of each comparison. */
  rounds: number;
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
  import: imports,
};

const quick = process.argv.includes("--quick");
const asked = process.argv.slice(2).filter((word) => !word.startsWith("--"));
const effort: Effort = { rounds: quick ? 1 : 5, quick };

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
process.exit(0);
