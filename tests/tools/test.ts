/**
 * All tests, on Deno and on Bun, and a smoke suite on Node.
 *
 *     deno task test                    everything, side by side in two lanes
 *     deno task test tests/unit         a part
 *     deno task test --on bun           on one runtime: deno, bun or node
 *     deno task test --repeat 10        ten times; a table of what did not always pass
 *
 * Installs Bun, Node and the codex versions from npm first. Prints `N passed, N failed` last.
 */
import {
  BUN_VERSION,
  bunPath,
  CODEX_VERSIONS,
  codexPath,
  installing,
  NODE_VERSION,
  nodePath,
} from "../_codex.ts";
import { exists, type Outcome, run, seconds } from "./_run.ts";

// What starts no process runs on all cores; tests of the real codex run one file after the other in each lane.
const QUICK = ["tests/unit", "tests/contract"];
const SLOW = ["tests/real", "tests/hostile", "tests/faults"];
// What an attacker gets past is decided by codex and by code that is the same everywhere; servers are not.
const ON_BUN = [...QUICK, "tests/real", "tests/faults", "tests/hostile/web_http_test.ts"];
const DENO_ONLY = ["tests/deno", "tests/package"];
// Has a program that prepares a project and runs Node's own test runner in it.
const NODE = "tests/node";
// Each test carries its own limit; this one replaces Bun's 5 seconds.
const BUN_TIMEOUT_MS = "120000";
const PROGRESS_MS = 10_000;

/** Suites that run one after the other; lanes run side by side. */
type Lane = Suite[];

interface Suite {
  name: string;
  run: () => Promise<Outcome>;
}

interface Totals {
  passed: number;
  failed: number;
  broken: string[];
}

const { asked, repeat, runtime } = parse(Deno.args);
const started = performance.now();
const bun = await installPrograms();

const rounds: Totals[] = [];
for (let round = 1; round <= repeat; round++) {
  if (repeat > 1) console.log(`\n##### round ${round} of ${repeat} #####`);
  rounds.push(await runAll(lanes()));
}
const passed = rounds.reduce((sum, round) => sum + round.passed, 0);
const failed = rounds.reduce((sum, round) => sum + round.failed, 0);
console.log(`\nall suites: ${seconds(started)}`);
reportFailures();
console.log(`${passed} passed, ${failed} failed`);
Deno.exit(failed === 0 && passed > 0 ? 0 : 1);

async function runAll(lanes: Lane[]): Promise<Totals> {
  const totals: Totals = { passed: 0, failed: 0, broken: [] };
  await Promise.all(lanes.map(async (lane) => {
    for (const suite of lane) {
      const begun = performance.now();
      console.log(`\n=== ${suite.name} ===`);
      const { code, output } = await suite.run();
      const counts = count(output);
      totals.passed += counts.passed;
      // A run that dies without a count (a type error, a leak, a crash) is a failure too.
      totals.failed += code !== 0 && counts.failed === 0 ? 1 : counts.failed;
      if (code !== 0 || counts.failed > 0) {
        const names = failures(output);
        for (const name of names.length > 0 ? names : ["ended without a result"]) {
          totals.broken.push(`${suite.name}: ${name}`);
        }
      }
      console.log(`\n=== ${suite.name}: exit code ${code}, ${seconds(begun)} ===`);
    }
  }));
  return totals;
}

function lanes(): Lane[] {
  const deno = Deno.execPath();
  const on = (
    runtime: string,
    paths: string[],
    command: (found: string[], prefix: string) => Promise<Outcome>,
  ): Suite[] => {
    const found = (asked.length === 0 ? paths : asked.filter((path) => covers(paths, path)))
      .filter(hasTests);
    return found.length === 0
      ? []
      : [{ name: `${runtime}: ${found.join(" ")}`, run: () => command(found, runtime) }];
  };
  const denoTest = (options: string[]) => (found: string[], prefix: string) =>
    run(deno, ["test", "-A", ...options, ...found], { prefix });
  const bunTest = (found: string[], prefix: string) =>
    run(bun, ["test", "--timeout", BUN_TIMEOUT_MS, ...found.map((path) => `./${path}`)], {
      prefix,
    });
  const node: Suite[] = asked.length === 0 || asked.includes(NODE)
    ? [{
      name: `node: ${NODE}`,
      run: () => run(deno, ["run", "-A", `${NODE}/main.ts`], { prefix: "node" }),
    }]
    : [];
  const all = [
    [
      ...on("deno", QUICK, denoTest(["--parallel"])),
      ...on("deno", SLOW, denoTest([])),
    ],
    [
      ...on("bun", ON_BUN, bunTest),
      ...on("deno", DENO_ONLY, denoTest([])),
      ...node,
    ],
  ];
  return all.map((lane) =>
    lane.filter(({ name }) => runtime === undefined || name.startsWith(`${runtime}:`))
  );
}

/** Installs what is missing and shows how far it is; returns the path of Bun. */
async function installPrograms(): Promise<string> {
  const programs = [`bun ${BUN_VERSION}`, `node ${NODE_VERSION}`]
    .concat(CODEX_VERSIONS.map((version) => `codex ${version}`));
  console.log(`installing ${programs.join(", ")} (once)`);
  const timer = setInterval(() => {
    const lines = [...installing].map(([name, folder]) =>
      `${name}: ${megabytes(folder)} MB on disk`
    );
    if (lines.length > 0) console.log(`  ${seconds(started)}: ${lines.join(", ")}`);
  }, PROGRESS_MS);
  try {
    const [bun] = await Promise.all([bunPath(), nodePath(), ...CODEX_VERSIONS.map(codexPath)]);
    console.log(`ready after ${seconds(started)}`);
    return bun!;
  } finally {
    clearInterval(timer);
  }
}

function megabytes(folder: string): number {
  let bytes = 0;
  const open = [folder];
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    try {
      for (const entry of Deno.readDirSync(at)) {
        const path = `${at}/${entry.name}`;
        if (entry.isDirectory) open.push(path);
        else bytes += Deno.lstatSync(path).size;
      }
    } catch {
      // npm moves folders while it installs.
    }
  }
  return Math.round(bytes / 1e6);
}

function covers(paths: string[], path: string): boolean {
  return paths.some((folder) => path === folder || path.startsWith(`${folder}/`));
}

function hasTests(path: string): boolean {
  if (!exists(path)) return false;
  if (path.endsWith("_test.ts")) return true;
  for (const entry of Deno.readDirSync(new URL(`../../${path}`, import.meta.url))) {
    if (entry.isDirectory && hasTests(`${path}/${entry.name}`)) return true;
    if (entry.name.endsWith("_test.ts")) return true;
  }
  return false;
}

/** What failed, and in how many of the rounds. */
function reportFailures(): void {
  const rows = new Map<string, number>();
  for (const { broken } of rounds) {
    for (const name of broken) rows.set(name, (rows.get(name) ?? 0) + 1);
  }
  if (repeat > 1) {
    console.log(rows.size === 0 ? `\nnothing failed in ${repeat} rounds` : "\nfailed  test");
    for (const [name, times] of rows) console.log(`${times} of ${repeat}  ${name}`);
  } else if (rows.size > 0) console.log(`\nfailed:\n${[...rows.keys()].join("\n")}\n`);
}

/** The names of the tests that failed, for the end of a long log. */
function failures(output: string): string[] {
  const deno = /^ FAILURES \n\n((?:.+\n)+)/m.exec(output)?.[1]?.trimEnd().split("\n") ?? [];
  const others = [...output.matchAll(/^(?:\(fail\)|✖) (?!failing tests:).+/gm)].map(([line]) =>
    // Durations differ from round to round.
    line.replace(/ \[[\d.]+m?s\]$| \([\d.]+m?s\)$/, "")
  );
  return [...new Set([...deno, ...others])].map((line) => line.trim());
}

/** Adds up the closing lines of `deno test`, `bun test` and `node --test`. */
function count(output: string): { passed: number; failed: number } {
  const sum = (pattern: RegExp) =>
    [...output.matchAll(pattern)].reduce((total, match) => total + Number(match[1]), 0);
  return {
    passed: sum(/^(?:ok|FAILED) \| (\d+) passed/gm) + sum(/^ +(\d+) pass$/gm) +
      sum(/^ℹ pass (\d+)$/gm),
    failed: sum(/^(?:ok|FAILED) \| \d+ passed.*? \| (\d+) failed/gm) + sum(/^ +(\d+) fail$/gm) +
      sum(/^ℹ fail (\d+)$/gm),
  };
}

function parse(args: string[]): { asked: string[]; repeat: number; runtime?: string } {
  const asked = [...args];
  const option = (name: string): string | undefined => {
    const at = asked.indexOf(name);
    return at < 0 ? undefined : asked.splice(at, 2)[1] ?? "";
  };
  const repeat = Number(option("--repeat") ?? 1);
  const runtime = option("--on");
  const known = runtime === undefined || ["deno", "bun", "node"].includes(runtime);
  if (!known || !Number.isInteger(repeat) || repeat < 1) {
    console.error("usage: deno task test [--on deno|bun|node] [--repeat N] [path …]");
    Deno.exit(2);
  }
  return { asked, repeat, ...(runtime === undefined ? {} : { runtime }) };
}
