/**
 * What `deno test`, `bun test` and `node --test` printed, read back: which test of which file passed. And what follows from
 * it: which files are run once more, and what counts in the end.
 */

/** More files than this are no flicker: something is broken. */
export const MOST_RERUNS = 5;

/** What Deno and Bun count as a failure that is of no test. */
const UNCAUGHT = "uncaught error";
const UNHANDLED = "unhandled error";
const OUTSIDE_TESTS = [UNCAUGHT, UNHANDLED];

/** How many tests passed and failed. */
export interface Counts {
  passed: number;
  failed: number;
}

/** What the tests of one file did, by their names. */
export interface FileResult {
  passed: string[];
  failed: string[];
}

const NOTHING: FileResult = { passed: [], failed: [] };

/** What a suite did, a suite being one run of one program over some files. */
export interface SuiteResult {
  name: string;
  counts: Counts;
  /** By file. Null when the output doesn't tell for each failure which file it is of. */
  files: Map<string, FileResult> | null;
}

/** A file that is to be run once more, or was. */
export interface Rerun {
  suite: string;
  file: string;
}

/** A test that failed and passed in the same code. */
export interface Flicker extends Rerun {
  test: string;
}

/** Reads the whole output of a suite that ended with `code`. A suite that died without a count has one failure. */
export function readSuite(
  name: string,
  { code, output, killed }: { code: number; output: string; killed: boolean },
): SuiteResult {
  const counts = count(output);
  // Type errors, crashes and kills: nothing tells what else would have failed.
  if (killed || (code !== 0 && counts.failed === 0)) {
    return { name, counts: { ...counts, failed: counts.failed + 1 }, files: null };
  }
  const files = readFiles(name, output);
  const read = { passed: 0, failed: 0 };
  for (const { passed, failed } of files.values()) {
    read.passed += passed.length;
    read.failed += failed.length;
  }
  const complete = read.passed === counts.passed && read.failed === counts.failed;
  return { name, counts, files: complete ? files : null };
}

/** The files that failed; none when they are too many for a flicker. */
export function filesToRerun(suites: SuiteResult[]): Rerun[] {
  const reruns = suites.flatMap(({ name, files }) =>
    [...files ?? []].filter(([, { failed }]) => failed.length > 0)
      .map(([file]) => ({ suite: name, file }))
  );
  return reruns.length > MOST_RERUNS ? [] : reruns;
}

/**
 * Puts what a file did when it ran again and alone in the place of what it did at first, so that each test counts once. A
 * module that loads several files tells of each of them.
 */
export function settle(
  suite: SuiteResult,
  file: string,
  again: SuiteResult,
): { suite: SuiteResult; flickers: Flicker[] } {
  const unsettled = { suite, flickers: [] };
  const ran = again.files ?? new Map<string, FileResult>();
  // It died the second time: what failed at first stays failed.
  if (suite.files === null || !suite.files.has(file) || ran.size === 0) return unsettled;
  const files = new Map(suite.files);
  const counts = { ...suite.counts };
  const flickers: Flicker[] = [];
  for (const each of new Set([file, ...ran.keys()])) {
    const before = files.get(each) ?? NOTHING;
    const after = ran.get(each) ?? NOTHING;
    const known = new Set([...after.passed, ...after.failed, ...OUTSIDE_TESTS]);
    if (![...before.passed, ...before.failed].every((test) => known.has(test))) return unsettled;
    files.set(each, after);
    counts.passed += after.passed.length - before.passed.length;
    counts.failed += after.failed.length - before.failed.length;
    for (const test of before.failed) {
      if (!after.failed.includes(test)) flickers.push({ suite: suite.name, file: each, test });
    }
  }
  return { suite: { ...suite, counts, files }, flickers };
}

/** The names of the tests that failed, for the end of a long log. */
export function failureNames({ files, counts }: SuiteResult, output: string): string[] {
  if (files !== null) {
    return [...files].flatMap(([file, { failed }]) => failed.map((name) => `${file}: ${name}`));
  }
  if (counts.failed === 0) return [];
  const deno = /^ FAILURES \n\n((?:.+\n)+)/m.exec(output)?.[1]?.trimEnd().split("\n") ?? [];
  const others = [...output.matchAll(/^(?:\(fail\)|✖) (?!failing tests:).+/gm)]
    .map(([line]) => withoutDuration(line));
  const names = [...new Set([...deno, ...others])].map((line) => line.trim());
  return names.length > 0 ? names : ["ended without a result"];
}

/** Adds up the closing lines of `deno test`, `bun test` and `node --test`. */
function count(output: string): Counts {
  const sum = (pattern: RegExp) =>
    [...output.matchAll(pattern)].reduce((total, match) => total + Number(match[1]), 0);
  return {
    passed: sum(/^(?:ok|FAILED) \| (\d+) passed/gm) + sum(/^ +(\d+) pass$/gm) +
      sum(/^ℹ pass (\d+)$/gm),
    failed: sum(/^(?:ok|FAILED) \| \d+ passed.*? \| (\d+) failed/gm) + sum(/^ +(\d+) fail$/gm) +
      sum(/^ℹ fail (\d+)$/gm),
  };
}

function readFiles(suite: string, output: string): Map<string, FileResult> {
  const files = new Map<string, FileResult>();
  const add = (file: string, test: string, passed: boolean) => {
    const path = file.replace(/^\.\//, "");
    const result = files.get(path) ?? { passed: [], failed: [] };
    files.set(path, result);
    result[passed ? "passed" : "failed"].push(test);
  };
  const lines = output.split("\n");
  if (suite.startsWith("deno:")) readDeno(lines, add);
  else if (suite.startsWith("bun:")) readBun(lines, add);
  else readNode(lines, (test, passed) => add(suite.replace(/^node: /, ""), test, passed));
  return files;
}

/** A test as Deno names it: below its file or without one. */
const NAMED = /^(?:(\.\.?\/\S+) => )*(.+)$/;

type Add = (file: string, test: string, passed: boolean) => void;

/**
 * One file after the other, each under a line with its name; or the file before each test: by `--parallel`, by a module that
 * loads several files, or by both, the test's own file last. Steps are indented, or follow the name of their test.
 */
function readDeno(lines: string[], add: Add): void {
  let file = "";
  let slow: string | undefined;
  for (const line of lines) {
    // Of a test that takes long this stands between its name and its end.
    const waiting = /^(\s*)(\S.*?) \.\.\.'.*' has been running for over /.exec(line);
    if (waiting !== null) slow = waiting[1] === "" ? waiting[2] : undefined;
    const late = /^ (ok|FAILED|cancelled) \(/.exec(line);
    if (late !== null && slow !== undefined) {
      const [, own = file, name] = NAMED.exec(slow)!;
      add(own, name!, late[1] === "ok");
    }
    if (late !== null) slow = undefined;
    const [, began] = /^running \d+ tests? from (\S+)$/.exec(line) ?? [];
    if (began !== undefined) file = began;
    const [, uncaught] = /^Uncaught error from (\S+) FAILED$/.exec(line) ?? [];
    if (uncaught !== undefined) add(uncaught, UNCAUGHT, false);
    const ended = /^(\S.*?) \.\.\. (ok|FAILED|cancelled) \(/.exec(line);
    if (ended === null || ended[1]!.includes(" ... ")) continue;
    const [, own = file, name] = NAMED.exec(ended[1]!)!;
    add(own, name!, ended[2] === "ok");
  }
}

/** Each file under a line with its name; failures are repeated at the end. */
function readBun(lines: string[], add: Add): void {
  let file = "";
  for (const line of lines) {
    if (/^\d+ tests? failed:$/.test(line)) return;
    const [, began] = /^(?:::group::)?(\S+_test\.ts):$/.exec(line) ?? [];
    if (began !== undefined) file = began;
    if (line === "# Unhandled error between tests") add(file, UNHANDLED, false);
    const ended = /^\((pass|fail)\) (.+)$/.exec(line);
    if (ended !== null) add(file, withoutDuration(ended[2]!), ended[1] === "pass");
  }
}

/** The one program of its suite; failures are repeated at the end. */
function readNode(lines: string[], add: (test: string, passed: boolean) => void): void {
  for (const line of lines) {
    if (/^✖ failing tests:$/.test(line)) return;
    const ended = /^([✔✖]) (.+)$/.exec(line);
    if (ended !== null) add(withoutDuration(ended[2]!), ended[1] === "✔");
  }
}

/** Durations differ from run to run. */
function withoutDuration(line: string): string {
  return line.replace(/ \[[\d.]+m?s\]$| \([\d.]+m?s\)$/, "");
}
