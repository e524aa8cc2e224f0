/** Benchmarks on the real codex with a scripted model that answers at once: pure overhead, and all of it. */
import { chmod, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ScriptedModel } from "../../src/testing/mod.ts";
import { codexLauncherPath, codexPath } from "../_codex.ts";
import { tempDir } from "../_temp.ts";
import { child, type Task } from "./_child.ts";
import type { Effort } from "./main.ts";
import { median, pairedRatio } from "./_measure.ts";
import { markdown, number, type Row } from "./_report.ts";

// deno-lint-ignore no-explicit-any
type Result = any;

/** npm's launcher behind a script of the user's: this library skips a launcher that it recognises. */
async function launcher(directory: string): Promise<string> {
  const path = join(directory, "codex-by-launcher");
  await writeFile(path, `#!/bin/sh\nexec '${await codexLauncherPath()}' "$@"\n`);
  await chmod(path, 0o755);
  return path;
}

/** M1 to M3, against `@openai/codex-sdk` with the same codex, home and settings. */
export async function realCodex({ rounds, quick }: Effort): Promise<Row[]> {
  await using model = await ScriptedModel.start();
  await using directory = await tempDir("bench-");
  const config = model.clientConfig({ codexPath: await codexPath() });
  const shim = { ...config, codexPath: await launcher(directory.path) };
  const common = { config, cwd: directory.path, watchTree: true };
  const run = (script: string, task: Partial<Task>): Promise<Result> =>
    child(script, { variant: "sequential", count: 1, ...common, ...task });
  // The first start creates databases.
  await run("_ours_real.ts", {});
  const results = new Map<string, Result[]>();
  const measured = async (name: string, script: string, task: Partial<Task>) => {
    const all = results.get(name) ?? [];
    results.set(name, all);
    all.push(await run(script, task));
  };
  const ours = "_ours_real.ts";
  const sdk = "_peer_real.ts";
  for (let i = 0; i < rounds; i++) {
    await measured("1 prompt: sdk", sdk, {});
    await measured("1 prompt", ours, {});
    await measured("1 prompt, ephemeral", ours, { ephemeral: true });
    await measured("1 prompt, prewarmed", ours, { variant: "warm" });
    await measured("1 prompt, prewarmed and ephemeral", ours, { variant: "warm", ephemeral: true });
    await measured("1 prompt, thread there", ours, { variant: "thread" });
    await measured("1 prompt, by npm's launcher", ours, { config: shim });
    await measured("quickRun, with its import", "_quick_run.ts", {});
    await measured("the same by hand", "_quick_run.ts", { variant: "by hand" });
    await measured("10 in a row: sdk", sdk, { count: 10 });
    await measured("10 in a row", ours, { count: 10 });
    await measured("10 in a row, ephemeral", ours, { count: 10, ephemeral: true });
    await measured("10 at once: sdk", sdk, { count: 10, variant: "parallel" });
    await measured("10 at once", ours, { count: 10, variant: "parallel" });
    if (quick || i >= 3) continue;
    await measured("30 at once: sdk", sdk, { count: 30, variant: "parallel" });
    await measured("30 at once", ours, { count: 30, variant: "parallel" });
  }
  const of = (name: string, what: (result: Result) => number) => results.get(name)!.map(what);
  const job = (result: Result) => result.jobMs;
  const cpu = (result: Result) => result.cpuMs;
  const memory = (result: Result) => result.tree.mb;
  console.log(markdown(
    ["", "job ms", "CPU ms, whole tree", "private MB, whole tree", "processes"],
    [...results.keys()].map((name) => [
      name,
      ...[job, cpu, memory].map((what) => number(median(of(name, what)))),
      String(median(of(name, (result) => result.tree.processes))),
    ]),
  ));
  const ratio = (what: (result: Result) => number, name: string, other: string) =>
    pairedRatio(of(name, what), of(other, what));
  const later = (result: Result) => median(result.turns.slice(1));
  const single = "1 prompt: sdk";
  const row = "10 in a row: sdk";
  const ten = "10 at once: sdk";
  const rows: Row[] = [
    {
      id: "M1",
      what: "10 prompts in a row, time / `@openai/codex-sdk`'s",
      target: 1 / 2.7,
      stretch: 0.25,
      measured: ratio(job, "10 in a row", row),
    },
    {
      id: "M1",
      what: "10 in a row, CPU of the whole tree",
      target: 1 / 3,
      measured: ratio(cpu, "10 in a row", row),
    },
    {
      id: "M1",
      what: "each later turn, time",
      target: 1 / 3.5,
      measured: ratio(later, "10 in a row", row),
    },
    {
      id: "M1",
      what: "10 in a row on an ephemeral thread, time",
      target: 1 / 2.7,
      stretch: 0.25,
      measured: ratio(job, "10 in a row, ephemeral", row),
    },
    {
      id: "M2",
      what: "10 threads at once, time",
      target: 0.6,
      stretch: 0.5,
      measured: ratio(job, "10 at once", ten),
    },
    { id: "M2", what: "10 at once, CPU", target: 0.6, measured: ratio(cpu, "10 at once", ten) },
    {
      id: "M2",
      what: "10 at once, private memory",
      target: 0.3,
      measured: ratio(memory, "10 at once", ten),
    },
    {
      id: "M3",
      what: "first answer, cold",
      target: 1,
      measured: ratio(job, "1 prompt", single),
    },
    {
      id: "M3",
      what: "first answer, prewarmed process",
      target: 0.5,
      measured: ratio(job, "1 prompt, prewarmed", single),
    },
    {
      id: "M3",
      what: "first answer, prewarmed, ephemeral",
      target: 0.5,
      stretch: 0.25,
      measured: ratio(job, "1 prompt, prewarmed and ephemeral", single),
    },
    {
      id: "M3",
      what: "first answer, thread there",
      target: 0.35,
      measured: ratio(job, "1 prompt, thread there", single),
    },
    {
      id: "M3",
      what: "native codex / npm's launcher",
      target: 0.65,
      measured: ratio(job, "1 prompt", "1 prompt, by npm's launcher"),
    },
  ];
  const quickRun = "quickRun, with its import";
  rows.push(
    {
      id: "M10",
      what: "`quickRun` with its import, time / the same calls by hand",
      target: null,
      measured: ratio(job, quickRun, "the same by hand"),
    },
    {
      id: "M10",
      what: "`quickRun`'s own processor time / that of the whole tree",
      target: null,
      measured: median(of(quickRun, (result) => result.ownMs / result.cpuMs)),
    },
  );
  if (results.has("30 at once")) {
    rows.push({
      id: "M2",
      what: "30 at once, private memory",
      target: 0.2,
      measured: ratio(memory, "30 at once", "30 at once: sdk"),
    });
  }
  return rows;
}

/** M3: this library's own part of a first answer: checks, the process, the bytes, the result; beside the same by hand. */
export async function own({ rounds }: Effort): Promise<Row[]> {
  await using model = await ScriptedModel.start();
  await using directory = await tempDir("bench-");
  const config = model.clientConfig({ codexPath: await codexPath() });
  const levels = [["cold", "cold"], ["warm", "prewarmed"], ["thread", "thread there"]] as const;
  const costs = levels.map(([variant, name]) => ({
    variant,
    name,
    ours: [] as Result[],
    byHand: [] as Result[],
  }));
  for (let i = 0; i <= rounds; i++) {
    for (const { variant, ours, byHand } of costs) {
      const task = { variant, config, cwd: directory.path };
      const cost = await child("_own.ts", task);
      const least = await child("_own.ts", { ...task, byHand: true });
      // The first start creates databases.
      if (i === 0) continue;
      ours.push(cost);
      byHand.push(least);
    }
  }
  const of = (results: Result[], what: string) => median(results.map((each) => each[what]));
  const columns = ["sentMs", "resultMs", "cpuMs", "wallMs"];
  console.log(markdown(
    [
      "first answer",
      "own CPU ms until the first byte is sent",
      "by hand",
      "from the last byte to the result",
      "by hand",
      "all",
      "by hand",
      "ms, codex's own included",
      "by hand",
    ],
    costs.map(({ name, ours, byHand }) => [
      name,
      ...columns.flatMap((what) => [number(of(ours, what)), number(of(byHand, what))]),
    ]),
  ));
  const parts: [what: string, about: string, target: number | null][] = [
    ["sentMs", "until the first byte is sent", 8],
    ["resultMs", "from the last byte to the result", 8],
    ["cpuMs", "all of it", null],
  ];
  return costs.flatMap(({ name, ours, byHand }) =>
    parts.map(([what, about, target]): Row => ({
      id: "M3",
      what: `own CPU of a first answer, ${name}, ${about}, beyond the same by hand`,
      target,
      measured: median(ours.map((each, i) => each[what] - byHand[i][what])),
      unit: "ms",
    }))
  );
}

/** M11: open sessions after the end of codex, against what the server itself needs. */
export async function restart({ rounds, quick }: Effort): Promise<Row[]> {
  const sessions = quick ? 50 : 200;
  await using model = await ScriptedModel.start();
  await using directory = await tempDir("bench-");
  const config = model.clientConfig({ codexPath: await codexPath() });
  const common = { config, cwd: directory.path, sessions };
  const ours: number[] = [];
  const byHand: number[] = [];
  for (let i = 0; i < Math.min(3, rounds); i++) {
    const { ms, threadIds } = await child("_restart.ts", { variant: "ours", ...common });
    ours.push(ms);
    byHand.push((await child("_restart.ts", { variant: "by hand", ...common, threadIds })).ms);
  }
  console.log(
    `${sessions} sessions after a kill -9: ${number(median(ours))} ms; ` +
      `as many \`thread/resume\` by hand: ${number(median(byHand))} ms`,
  );
  return [{
    id: "M11",
    what: `${sessions} sessions after a kill -9, time / as many \`thread/resume\` by hand`,
    target: 2,
    measured: pairedRatio(ours, byHand),
  }];
}
