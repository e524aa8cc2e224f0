/** Benchmarks of long lives: many turns, a day of automation, thousands of threads, a huge one. */
import { join } from "node:path";
import { mkdir } from "node:fs/promises";
import { ScriptedModel } from "../../src/testing/mod.ts";
import { codexPath } from "../_codex.ts";
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
  await using model = await ScriptedModel.start();
  await using directory = await tempDir("bench-");
  const home = join(directory.path, "home");
  const cwd = join(directory.path, "work");
  await Promise.all([home, cwd].map((path) => mkdir(path)));
  const config = model.clientConfig({ codexPath: await codexPath(), home });
  const common = { config, home, cwd };
  const list = await child("_long.ts", { variant: "history", threads, ...common });
  const huge = await child("_long.ts", { variant: "rollout", mb, ...common });
  const { byHand, listed, searched } = list;
  if (listed.found !== byHand.found || listed.found < threads) {
    throw new Error(`${listed.found} of ${byHand.found} threads were listed`);
  }
  console.log(
    `${listed.found} threads: listed in ${number(listed.ms)} ms, by hand ${
      number(byHand.ms)
    } ms; ` +
      `"pears" found in ${searched.found} in ${number(searched.ms)} ms\n` +
      `a rollout of ${number(huge.mb)} MB: resumed in ${number(huge.ms)} ms, ` +
      `memory grew by ${number(huge.grewMb)} MB`,
  );
  return [
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
    {
      id: "M13",
      what: `memory that resuming ${mb} MB needs`,
      target: 32,
      measured: huge.grewMb,
      unit: "MB",
    },
  ];
}
