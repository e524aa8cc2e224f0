/** Benchmarks of long lives: many turns, a day of automation, thousands of threads, a huge one. */
import { join } from "node:path";
import { mkdir } from "node:fs/promises";
import { ScriptedModel } from "../../src/testing/mod.ts";
import { CODEX_VERSIONS, codexPath, type CodexVersion, NEWEST_CODEX } from "../_codex.ts";
import { tempDir } from "../_temp.ts";
import { child } from "./_child.ts";
import type { Effort } from "./main.ts";
import { number, type Row } from "./_report.ts";

/** M12: what a thousandth turn costs, and what is held by then. */
export async function lives({ quick }: Effort): Promise<Row[]> {
  const plan = { count: 20 };
  const count = quick ? 300 : 1000;
  const turns = await child("_long.ts", { variant: "turns", turns: count, plan });
  const day = await child("_long.ts", { variant: "automation", hours: 24, plan });
  console.log(
    `${count} turns: ${number(turns.first)} ms each at first, ${number(turns.last)} ms at last; ` +
      `heap ${number(turns.heap[0])} MB, then ${number(turns.heap.at(-1))} MB; ` +
      `state ${number(turns.stateMb)} MB, event log ${number(turns.logMb)} MB\n` +
      `24 hours of automation, ${day.runs} runs: heap ${number(day.heap[0])} MB, ` +
      `then ${number(day.heap.at(-1))} MB`,
  );
  return [
    {
      id: "M12",
      what: `the last of ${count} turns, time / the first ones`,
      target: 1.5,
      measured: turns.last / turns.first,
    },
    {
      id: "M12",
      what: `heap after ${count} turns / after a tenth of them`,
      target: 1.5,
      measured: turns.heap.at(-1) / turns.heap[0],
    },
    {
      id: "M12",
      what: "heap after a day of automation / after a tenth of it",
      target: 1.5,
      measured: day.heap.at(-1) / day.heap[0],
    },
  ];
}

/** M13: histories of thousands of threads, and of many megabytes. */
export async function histories({ quick }: Effort): Promise<Row[]> {
  const threads = quick ? 500 : 5000;
  const mb = quick ? 10 : 50;
  const list = await onHistory("history", NEWEST_CODEX, { threads });
  const { byHand, listed, searched } = list;
  if (listed.found !== byHand.found || listed.found < threads) {
    throw new Error(`${listed.found} of ${byHand.found} threads were listed`);
  }
  console.log(
    `${listed.found} threads: listed in ${number(listed.ms)} ms, by hand ${
      number(byHand.ms)
    } ms; ` +
      `"pears" found in ${searched.found} in ${number(searched.ms)} ms`,
  );
  const rows: Row[] = [
    {
      id: "M13",
      what: `listing ${threads} threads, time / the same pages by hand`,
      target: 1.3,
      measured: listed.ms / byHand.ms,
    },
    {
      id: "M13",
      what: `memory that listing and searching ${threads} threads needs`,
      target: 32,
      measured: Math.max(listed.grewMb, searched.grewMb),
      unit: "MB",
    },
  ];
  for (const version of CODEX_VERSIONS) {
    const huge = await onHistory("rollout", version, { mb });
    const costs = Object.entries(huge.costs as Record<string, Cost>);
    console.log(`\ncodex ${version}, a rollout of ${number(huge.mb)} MB, ${huge.turns} turns:`);
    for (const [name, { ms, grewMb, receivedMb }] of costs) {
      console.log(
        `  ${name}: ${number(ms)} ms, memory grew by ${number(grewMb)} MB, ` +
          `${number(receivedMb)} MB received`,
      );
    }
    if (version !== NEWEST_CODEX) continue;
    rows.push({
      id: "M13",
      what: `memory that resuming, forking, paging, searching or rewinding ${mb} MB needs`,
      target: 48,
      measured: Math.max(...costs.map(([, { grewMb }]) => grewMb)),
      unit: "MB",
    });
  }
  return rows;
}

interface Cost {
  ms: number;
  grewMb: number;
  receivedMb: number;
}

/** In a home of its own. */
async function onHistory(variant: string, version: CodexVersion, task: Record<string, number>) {
  await using model = await ScriptedModel.start();
  await using directory = await tempDir("bench-");
  const [home, cwd] = ["home", "work"].map((name) => join(directory.path, name));
  await Promise.all([home!, cwd!].map((path) => mkdir(path)));
  const config = model.clientConfig({ codexPath: await codexPath(version), home: home! });
  return await child("_long.ts", { variant, ...task, config, home: home!, cwd: cwd! });
}
