/**
 * All tests, on Deno and on Bun, and a smoke suite on Node; codex at both ends of its versions. `deno task real` has those
 * between.
 *
 *     deno task test                    everything, as many suites at a time as there are cores, and three
 *     deno task test tests/unit         a part
 *     deno task test --on bun           on one runtime: deno, bun or node
 *     deno task test --repeat 10        ten times; a table of what did not always pass
 *     deno task test --rerun-fails      up to five files that failed run once more, alone, at the end
 *
 * Installs Bun, Node and the codex versions from npm first. Prints `N passed, N failed` last.
 */
import { basename, join } from "node:path";
import {
  BUN_VERSION,
  bunPath,
  codexPath,
  installing,
  NEWEST_CODEX,
  NODE_VERSION,
  nodePath,
  OLDEST_CODEX,
  ROOT,
} from "../_codex.ts";
import { selfSigned } from "../_certificate.ts";
import {
  failureNames,
  filesToRerun,
  type Flicker,
  readSuite,
  settle,
  type SuiteResult,
} from "./_results.ts";
import { grouped, removeGroups } from "./_groups.ts";
import { megabytes } from "./_progress.ts";
import { exists, type Outcome, run, seconds } from "./_run.ts";

// What starts no process runs on all cores; tests of the real codex run one file after the other.
const QUICK = ["tests/unit", "tests/contract"];
// What an attacker gets past is decided by codex and by code that is the same everywhere; servers are not.
const ON_BUN = [...QUICK, "tests/real", "tests/faults", "tests/hostile/web_http_test.ts"];
/** Long, and about what codex says: the same on each runtime, on both codexes. They run on Bun when they are asked for by name. */
const NOT_ON_BUN = [
  // Both start a program on each runtime, whatever they run on themselves.
  "artifact_crash_test.ts",
  "forgotten_test.ts",
  "app_server_methods_test.ts",
  "approvals_decisions_test.ts",
  "approvals_kinds_test.ts",
  "goals_test.ts",
  "history_test.ts",
  "hooks_phases_test.ts",
  "limits_test.ts",
  "mcp_servers_test.ts",
  "ownership_test.ts",
  "permissions_reads_test.ts",
  "plan_mode_test.ts",
  "portable_crash_test.ts",
  "profile_fields_test.ts",
  "rewind_session_test.ts",
  "safety_hooks_test.ts",
  "stuck_turns_test.ts",
  "sub_agents_test.ts",
  "thread_methods_test.ts",
  "thread_test.ts",
  "versions_test.ts",
];
// Has a program that prepares a project and runs Node's own test runner in it.
const NODE = "tests/node";
// Each test carries its own limit; this one replaces Bun's 5 seconds.
const BUN_TIMEOUT_MS = "120000";
const PROGRESS_MS = 10_000;
/** Files in one isolate: what one of them breaks ends no more than these. */
const TOGETHER = 16;
/** They change what all of an isolate has: its permissions and functions; or bring native code into it. */
const ALONE = [
  "artifact_npm_kv_test.ts",
  // Deno finds BullMQ only where it has seen its import from the beginning.
  "fleet_test.ts",
  "permissions_matrix_test.ts",
  "public_calls_test.ts",
  "rewind_steps_test.ts",
];
/** Longer than any test may take: what is silent for so long hangs and is killed. */
const SILENCE_MS = 400_000;

/** Suites that run side by side: three more than there are cores, because tests of the real codex wait a lot. */
const AT_ONCE = navigator.hardwareConcurrency + 3;

interface Suite {
  name: string;
  run: () => Promise<Outcome>;
  /** Runs one of its files, alone. */
  runFile: (file: string) => Promise<Outcome>;
}

interface Totals {
  passed: number;
  failed: number;
  broken: string[];
}

const { asked, repeat, rerunFails, runtime } = parse(Deno.args);
const started = performance.now();
const bun = await installPrograms();
const shortcuts = await makeShortcuts();

const rounds: Totals[] = [];
for (let round = 1; round <= repeat; round++) {
  if (repeat > 1) console.log(`\n##### round ${round} of ${repeat} #####`);
  rounds.push(await runAll(suites()));
}
const passed = rounds.reduce((sum, round) => sum + round.passed, 0);
const failed = rounds.reduce((sum, round) => sum + round.failed, 0);
await removeGroups();
console.log(`\nall suites: ${seconds(started)}`);
reportFailures();
console.log(`${passed} passed, ${failed} failed`);
Deno.exit(failed === 0 && passed > 0 ? 0 : 1);

async function runAll(suites: Suite[]): Promise<Totals> {
  const results: SuiteResult[] = [];
  const outputs = new Map<string, string>();
  const waiting = suites.values();
  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    for (const suite of waiting) {
      const outcome = await announced(suite.name, suite.run);
      outputs.set(suite.name, outcome.output);
      results.push(readSuite(suite.name, outcome));
    }
  }));
  if (rerunFails) await rerun(suites, results);
  const totals: Totals = { passed: 0, failed: 0, broken: [] };
  for (const result of results) {
    totals.passed += result.counts.passed;
    totals.failed += result.counts.failed;
    for (const name of failureNames(result, outputs.get(result.name)!)) {
      totals.broken.push(`${result.name}: ${name}`);
    }
  }
  return totals;
}

async function announced(name: string, run: () => Promise<Outcome>): Promise<Outcome> {
  const begun = performance.now();
  console.log(`\n=== ${name} ===`);
  const outcome = await run();
  const end = outcome.killed ? "killed, it hung" : `exit code ${outcome.code}`;
  console.log(`\n=== ${name}: ${end}, ${seconds(begun)} ===`);
  return outcome;
}

/** Runs the files that failed once more and corrects the results; tells what passed then. */
async function rerun(suites: Suite[], results: SuiteResult[]): Promise<void> {
  const flickered: Flicker[] = [];
  for (const { suite: name, file } of filesToRerun(results)) {
    const suite = suites.find((suite) => suite.name === name)!;
    const outcome = await announced(`again: ${file} (${name})`, () => suite.runFile(file));
    const at = results.findIndex((result) => result.name === name);
    const settled = settle(results[at]!, file, readSuite(name, outcome));
    results[at] = settled.suite;
    flickered.push(...settled.flickers);
  }
  if (flickered.length === 0) return;
  console.log("\nflickered:");
  for (const { suite, file, test } of flickered) console.log(`${suite}\n  ${file}: ${test}`);
  const summary = Deno.env.get("GITHUB_STEP_SUMMARY");
  if (summary === undefined) return;
  const rows = flickered.map(({ suite, file, test }) => `- ${suite}, ${file}: ${test}\n`);
  await Deno.writeTextFile(summary, `### flickered\n\n${rows.join("")}`, { append: true });
}

/** The suites, the long ones first, so that none is left alone at the end. */
function suites(): Suite[] {
  const deno = Deno.execPath();
  const on = (
    runtime: string,
    paths: string[],
    command: (found: string[]) => Promise<Outcome>,
    alone: (found: string[]) => Promise<Outcome> = command,
    about = "",
  ): Suite[] => {
    const found = (asked.length === 0 ? paths : [
      ...asked.filter((path) => covers(paths, path)),
      ...paths.filter((path) => covers(asked, path) && !asked.includes(path)),
    ]).filter((path) => testsBelow(path).length > 0);
    if (found.length === 0) return [];
    return [{
      name: `${runtime}: ${asked.length === 0 && about !== "" ? about : found.join(" ")}`,
      run: () => command(found),
      runFile: (file) => alone([file]),
    }];
  };
  const watched = { silenceMs: SILENCE_MS };
  const denoTest = (codex?: string, ...options: string[]) => (found: string[]) =>
    // Types are the business of `deno task check`.
    run(deno, ["test", "-A", "--no-check", ...options, ...found], {
      prefix: "deno",
      env: shortRun(codex),
      ...watched,
    });
  const denoTogether = (codex?: string, ...options: string[]) => {
    const test = denoTest(codex, ...options);
    return async (found: string[]) => {
      const files = found.flatMap(testsBelow);
      const alone = files.filter((file) => ALONE.includes(basename(file)));
      const others = files.filter((file) => !alone.includes(file));
      return await test([...await grouped(others, TOGETHER), ...alone]);
    };
  };
  /** Files of a folder, dealt out to so many suites. */
  const parts = (
    about: string,
    all: string[],
    count: number,
    command: (found: string[]) => Promise<Outcome>,
    alone: (found: string[]) => Promise<Outcome>,
  ): Suite[] =>
    Array.from({ length: count }, (_, part) => {
      const files = all.filter((_, index) => index % count === part);
      return on("deno", files, command, alone, `${about}, part ${part + 1} of ${count}`);
    }).flat();
  const bunTest = (found: string[]) =>
    run(bun, ["test", "--timeout", BUN_TIMEOUT_MS, ...found.flatMap(bunFiles)], {
      prefix: "bun",
      env: shortRun(OLDEST_CODEX),
      ...watched,
    });
  const real = testFiles("tests/real");
  const alsoOnBun = real.filter(isForBun);
  const nodeTest = () =>
    run(deno, ["run", "-A", `${NODE}/main.ts`], { prefix: "node", ...watched });
  const node: Suite[] = asked.length === 0 || asked.includes(NODE)
    ? [{ name: `node: ${NODE}`, run: nodeTest, runFile: nodeTest }]
    : [];
  const both = [denoTogether(), denoTest()] as const;
  const newest = [denoTogether(NEWEST_CODEX), denoTest(NEWEST_CODEX)] as const;
  const all = [
    // The longest first, and what takes moments last: it fills what is left of a lane.
    ...on("bun", ON_BUN, bunTest),
    ...parts("tests/real on Deno", real.filter((file) => !isForBun(file)), 2, ...both),
    ...parts("tests/deno", testFiles("tests/deno"), 4, ...both),
    ...parts("tests/hostile", testFiles("tests/hostile"), 3, ...both),
    ...on("deno", ["tests/package"], ...both),
    ...parts("tests/real on both", alsoOnBun, 4, ...newest),
    ...on("deno", QUICK, denoTogether(undefined, "--parallel"), denoTest()),
    ...on("deno", ["tests/faults"], ...both),
    ...node,
  ];
  return all.filter(({ name }) => runtime === undefined || name.startsWith(`${runtime}:`));
}

/** What runs on two runtimes runs on the newest codex on one, and on the oldest on the other. */
function shortRun(codex: string | undefined): Record<string, string> {
  return {
    SHORT_RUN: "1",
    ...(codex === undefined ? {} : { ONLY_CODEX: codex }),
    ...shortcuts,
  };
}

/**
 * What spares codex work at each start. It asks `lsb_release`, which is a script of thirty processes on Debian; without an
 * answer it reads `/etc/os-release`. And it reads each certificate that the machine trusts, for each client of HTTP that it
 * makes: one is enough, and a fifth less to do, where nobody is spoken to but what tests listen with.
 */
async function makeShortcuts(): Promise<Record<string, string>> {
  if (Deno.build.os !== "linux") return {};
  const folder = join(ROOT, ".cache", "shortcuts");
  const noCertificates = join(folder, "certificates");
  const certificate = join(folder, "certificate.pem");
  await Deno.mkdir(noCertificates, { recursive: true });
  await Deno.writeTextFile(join(folder, "lsb_release"), "#!/bin/sh\nexit 1\n", { mode: 0o755 });
  await Deno.writeTextFile(certificate, selfSigned().cert);
  const path = `${folder}:${Deno.env.get("PATH")}`;
  // Downloads that trust what the machine does would trust nobody.
  const trust = ["DENO_TLS_CA_STORE", "NODE_OPTIONS"].map((name) => Deno.env.get(name)).join();
  if (/system|openssl-ca/.test(trust)) return { PATH: path };
  return { PATH: path, SSL_CERT_FILE: certificate, SSL_CERT_DIR: noCertificates };
}

/** Installs what is missing and shows how far it is; returns the path of Bun. */
async function installPrograms(): Promise<string> {
  const versions = [NEWEST_CODEX, OLDEST_CODEX];
  const programs = [`bun ${BUN_VERSION}`, `node ${NODE_VERSION}`]
    .concat(versions.map((version) => `codex ${version}`));
  console.log(`installing ${programs.join(", ")} (once)`);
  const timer = setInterval(() => {
    const lines = [...installing].map(([name, folder]) =>
      `${name}: ${megabytes(folder)} MB on disk`
    );
    if (lines.length > 0) console.log(`  ${seconds(started)}: ${lines.join(", ")}`);
  }, PROGRESS_MS);
  try {
    const [bun] = await Promise.all([bunPath(), nodePath(), ...versions.map(codexPath)]);
    console.log(`ready after ${seconds(started)}`);
    return bun!;
  } finally {
    clearInterval(timer);
  }
}

function covers(paths: string[], path: string): boolean {
  return paths.some((folder) => path === folder || path.startsWith(`${folder}/`));
}

function bunFiles(path: string): string[] {
  if (path !== "tests/real" && path !== "tests/faults") return [`./${path}`];
  return testFiles(path)
    .filter(isForBun)
    .map((file) => `./${file}`);
}

function isForBun(file: string): boolean {
  return !NOT_ON_BUN.includes(file.split("/").at(-1)!);
}

/** The test files that lie in a folder, by name. */
function testFiles(folder: string): string[] {
  return [...Deno.readDirSync(new URL(`../../${folder}`, import.meta.url))]
    .map(({ name }) => name)
    .filter((name) => name.endsWith("_test.ts"))
    .sort()
    .map((name) => `${folder}/${name}`);
}

/** The test files at a path and below it, by name. */
function testsBelow(path: string): string[] {
  if (!exists(path)) return [];
  if (path.endsWith("_test.ts")) return [path];
  const folders = [...Deno.readDirSync(new URL(`../../${path}`, import.meta.url))]
    .filter(({ isDirectory }) => isDirectory).map(({ name }) => `${path}/${name}`).sort();
  return [...testFiles(path), ...folders.flatMap(testsBelow)];
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

interface Options {
  asked: string[];
  repeat: number;
  rerunFails: boolean;
  runtime?: string;
}

function parse(args: string[]): Options {
  const asked = args.filter((arg) => arg !== "--rerun-fails");
  const rerunFails = asked.length < args.length;
  const option = (name: string): string | undefined => {
    const at = asked.indexOf(name);
    return at < 0 ? undefined : asked.splice(at, 2)[1] ?? "";
  };
  const repeat = Number(option("--repeat") ?? 1);
  const runtime = option("--on");
  const known = runtime === undefined || ["deno", "bun", "node"].includes(runtime);
  if (!known || !Number.isInteger(repeat) || repeat < 1 || (rerunFails && repeat > 1)) {
    console.error(
      "usage: deno task test [--on deno|bun|node] [--repeat N | --rerun-fails] [path …]",
    );
    Deno.exit(2);
  }
  return { asked, repeat, rerunFails, ...(runtime === undefined ? {} : { runtime }) };
}
