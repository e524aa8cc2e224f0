/**
 * All tests, on Deno and on Bun, and a smoke suite on Node: `deno task test`, or `deno task test tests/unit` for a part.
 *
 * Installs Bun, Node and both codex versions from npm first. Prints `N passed, N failed` last.
 */
import {
  BUN_VERSION,
  bunPath,
  CODEX_VERSIONS,
  codexPath,
  NODE_VERSION,
  nodePath,
} from "../_codex.ts";
import { exists, type Outcome, run, seconds } from "./_run.ts";

// What starts no process may share the machine; tests of the real codex measure time and get it for themselves.
const QUICK = ["tests/unit", "tests/contract"];
const SLOW = ["tests/real", "tests/faults"];
const DENO_ONLY = ["tests/deno", "tests/package"];
// Has a program that prepares a project and runs Node's own test runner in it.
const NODE = "tests/node";
// Each test carries its own limit; this one replaces Bun's 5 seconds.
const BUN_TIMEOUT_MS = "120000";

interface Suite {
  name: string;
  run: () => Promise<Outcome>;
}

const asked = Deno.args;
const started = performance.now();

console.log(
  `installing bun ${BUN_VERSION}, node ${NODE_VERSION} and codex ${
    CODEX_VERSIONS.join(", ")
  } (once)`,
);
const [bun] = await Promise.all([bunPath(), nodePath(), ...CODEX_VERSIONS.map(codexPath)]);
console.log(`ready after ${seconds(started)}`);

let passed = 0;
let failed = 0;
const broken: string[] = [];
for (const suite of suites()) {
  const begun = performance.now();
  console.log(`\n=== ${suite.name} ===`);
  const { code, output } = await suite.run();
  const counts = count(output);
  passed += counts.passed;
  // A run that dies without a count (a type error, a leak, a crash) is a failure too.
  failed += code !== 0 && counts.failed === 0 ? 1 : counts.failed;
  if (code !== 0 || counts.failed > 0) broken.push(suite.name, ...failures(output));
  console.log(`=== ${suite.name}: exit code ${code}, ${seconds(begun)} ===`);
}
console.log(`\nall suites: ${seconds(started)}`);
if (broken.length > 0) console.log(`\nfailed:\n${broken.join("\n")}\n`);
console.log(`${passed} passed, ${failed} failed`);
Deno.exit(failed === 0 && passed > 0 ? 0 : 1);

function suites(): Suite[] {
  const deno = Deno.execPath();
  const on = (runtime: string, paths: string[], command: (found: string[]) => Promise<Outcome>) => {
    const found = (asked.length === 0 ? paths : asked.filter((path) => covers(paths, path)))
      .filter(hasTests);
    return found.length === 0
      ? []
      : [{ name: `${runtime}: ${found.join(" ")}`, run: () => command(found) }];
  };
  return [
    ...on("deno", QUICK, (found) => run(deno, ["test", "-A", "--parallel", ...found])),
    ...on("deno", [...SLOW, ...DENO_ONLY], (found) => run(deno, ["test", "-A", ...found])),
    ...on(
      "bun",
      [...QUICK, ...SLOW],
      (found) =>
        run(bun!, ["test", "--timeout", BUN_TIMEOUT_MS, ...found.map((path) => `./${path}`)]),
    ),
    ...(asked.length === 0 || asked.includes(NODE)
      ? [{ name: `node: ${NODE}`, run: () => run(deno, ["run", "-A", `${NODE}/main.ts`]) }]
      : []),
  ];
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

/** The names of the tests that failed, for the end of a long log. */
function failures(output: string): string[] {
  const deno = /^ FAILURES \n\n((?:.+\n)+)/m.exec(output)?.[1]?.trimEnd().split("\n") ?? [];
  const others = [...output.matchAll(/^(?:\(fail\)|✖) (?!failing tests:).+/gm)].map(([line]) =>
    line
  );
  return [...new Set([...deno, ...others])].map((line) => `  ${line.trim()}`);
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
