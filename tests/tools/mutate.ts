/**
 * Changes the source in many small ways and asks the nearest tests about each: `deno task mutate`.
 *
 *     deno task mutate                          300 mutants, seed 1
 *     deno task mutate --count 40 --seed 7      fewer, and others
 *     deno task mutate --jobs 1                 one at a time (two)
 *     deno task mutate --only src/rpc           of one room (any), file or line: src/shell/lexer.ts:185
 *     deno task mutate --part 2/10              the second tenth of them, for a machine that others use too
 *     deno task mutate --again run.log          what survived in an earlier run, wherever its lines are now
 *     deno task mutate --list                   shows them and runs nothing
 *
 * The mutants come from Stryker's generator; each is tried in a copy of the checkout, first with the unit tests that are
 * nearest to the file by imports, then with its room's other unit tests, then with the contract tests of the room. What no
 * test notices and the type checker does, can't be written and does not count. Prints the survivors and
 * `N killed, N survived` last. Not part of CI: 300 mutants take about an hour on two cores.
 */
import { createInstrumenter } from "npm:@stryker-mutator/instrumenter@10.1.1";
import { createInjector } from "npm:typed-inject@5.0.0";
import { dirname, join, normalize, relative } from "node:path";

const ROOMS = ["session", "approvals", "permissions", "runtime", "web", "artifact", "shell"];
const TESTS = ["tests/unit", "tests/contract"];
// Words of messages and patterns are held by reading, not by counting.
const EXCLUDED = ["StringLiteral", "Regex"];
const NEAREST = 4;
/** The contract tests of a room, by the beginnings of their names. */
const CONTRACTS: Record<string, string[]> = {
  session: ["session", "hooks", "doors", "login"],
  approvals: ["session", "web_approvals", "app_server"],
  permissions: ["session_policy", "session_once", "app_server"],
  plugin: ["plugin", "hooks"],
  runtime: ["app_server", "session_once", "state", "protocol"],
  web: ["web"],
  artifact: ["artifact"],
  shell: ["session_policy"],
};
const TIMEOUT_MS = 180_000;

interface Mutant {
  file: string;
  line: number;
  kind: string;
  from: number;
  to: number;
  replacement: string;
  original: string;
}

type Verdict = { outcome: "killed" | "survived" | "untypable"; by: string };

const root = normalize(join(import.meta.dirname!, "..", ".."));
const options = parse(Deno.args);
const sources = await listFiles("src");
const graph = await importGraph([...sources, ...await listFiles("tests"), "mod.ts"]);
const [onlyFile, onlyLine] = options.only.split(":") as [string, string?];
const found = (await generate(sources.filter(wanted)))
  .filter(({ line }) => onlyLine === undefined || line === Number(onlyLine));
const all = options.again === ""
  ? sample(found, options.count, options.seed)
  : await survivorsOf(options.again, found);
const mutants = all.filter((_, index) => index % options.parts === options.part - 1);

if (options.list) {
  for (const mutant of mutants) console.log(describe(mutant));
  console.log(`${mutants.length} mutants`);
  Deno.exit(0);
}

const started = performance.now();
const survivors: Mutant[] = [];
let untypable = 0;
let sound: Promise<string | null> | undefined;
const byRoom = new Map<string, { killed: number; survived: number }>();
const queue = mutants.values();
await Promise.all(Array.from({ length: options.jobs }, (_, index) => work(index)));
report();

async function work(index: number): Promise<void> {
  const tree = join(root, ".cache", "mutate", `${Deno.pid}-${index}`);
  await copyTree(tree);
  try {
    // On a broken checkout every mutant would count as killed.
    await (sound ??= runTests(tree, ["tests/unit"])).then((failure) => {
      if (failure === null) return;
      throw new Error(`the unit tests fail without a mutant (${failure}): mend that first`);
    });
    for (const mutant of queue) {
      const verdict = await judge(tree, mutant);
      const room = mutant.file.split("/")[1]!;
      const row = byRoom.get(room) ?? { killed: 0, survived: 0 };
      byRoom.set(room, row);
      if (verdict.outcome === "killed") row.killed++;
      else if (verdict.outcome === "untypable") untypable++;
      else {
        row.survived++;
        survivors.push(mutant);
      }
      const shown = verdict.outcome === "survived" ? "SURVIVED" : verdict.outcome;
      console.log(`${shown.padEnd(9)} ${describe(mutant)}  ${verdict.by}`);
    }
  } finally {
    await Deno.remove(tree, { recursive: true });
  }
}

async function judge(tree: string, mutant: Mutant): Promise<Verdict> {
  const path = join(tree, mutant.file);
  const text = await Deno.readTextFile(path);
  await Deno.writeTextFile(
    path,
    text.slice(0, mutant.from) + mutant.replacement + text.slice(mutant.to),
  );
  try {
    const stages = stagesOf(mutant.file);
    for (const stage of stages) {
      const outcome = await runTests(tree, stage);
      if (outcome !== null) return { outcome: "killed", by: outcome };
    }
    if (!await typeChecks(tree, mutant.file)) return { outcome: "untypable", by: "" };
    return { outcome: "survived", by: stages.length === 0 ? "no test reaches it" : "" };
  } finally {
    await Deno.writeTextFile(path, text);
  }
}

function stagesOf(file: string): string[][] {
  const room = file.split("/")[1]!;
  const reaching = nearestTests(file);
  const unit = reaching.filter((test) => test.startsWith("tests/unit/"));
  const nearest = unit.slice(0, NEAREST);
  const contracts = reaching.filter((test) =>
    CONTRACTS[room]?.some((name) => test.startsWith(`tests/contract/${name}`))
  );
  const others = unit.slice(NEAREST).filter((test) => test.startsWith(`tests/unit/${room}/`));
  return [nearest, others, contracts].filter((stage) => stage.length > 0);
}

async function typeChecks(tree: string, file: string): Promise<boolean> {
  const { code } = await new Deno.Command(Deno.execPath(), {
    args: ["check", "-q", file],
    cwd: tree,
    stdout: "null",
    stderr: "null",
  }).output();
  return code === 0;
}

/** Null when all tests pass, else what ended the run. */
async function runTests(tree: string, files: string[]): Promise<string | null> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["test", "-A", "--no-check", "--parallel", "--fail-fast", ...files],
    cwd: tree,
    env: { NO_COLOR: "1" },
    stdout: "piped",
    stderr: "null",
  }).spawn();
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    child.kill("SIGKILL");
  }, TIMEOUT_MS);
  const { code, stdout } = await child.output();
  clearTimeout(timer);
  if (late) return "time";
  if (code === 0) return null;
  const failed = /^(.+?) \.\.\. FAILED/m.exec(new TextDecoder().decode(stdout))?.[1] ?? "a crash";
  return `by ${failed.trim().slice(0, 80)}`;
}

/** The test files from which imports lead to the file, nearest first. */
function nearestTests(file: string): string[] {
  const distance = new Map([[file, 0]]);
  const open = [file];
  for (let at = open.shift(); at !== undefined; at = open.shift()) {
    for (const importer of graph.get(at) ?? []) {
      if (distance.has(importer)) continue;
      distance.set(importer, distance.get(at)! + 1);
      open.push(importer);
    }
  }
  return [...distance]
    .filter(([path]) =>
      path.endsWith("_test.ts") && TESTS.some((dir) => path.startsWith(`${dir}/`))
    )
    .sort((a, b) => a[1] - b[1] || affinity(b[0], file) - affinity(a[0], file))
    .map(([path]) => path);
}

/** How many words of the source's path stand in the test's. */
function affinity(test: string, file: string): number {
  return file.split(/[/_.]/).filter((word) => word.length > 2 && test.includes(word)).length;
}

/** Importers by file. */
async function importGraph(files: string[]): Promise<Map<string, string[]>> {
  const importers = new Map<string, string[]>();
  const known = new Set(files);
  for (const file of files) {
    const text = await Deno.readTextFile(join(root, file));
    for (const [, specifier] of text.matchAll(/(?:from|import)\s*\(?"(\.{1,2}\/[^"]+)"/g)) {
      const target = normalize(join(dirname(file), specifier!));
      if (!known.has(target)) continue;
      importers.set(target, [...importers.get(target) ?? [], file]);
    }
  }
  return importers;
}

async function generate(files: string[]): Promise<Mutant[]> {
  const silent = new Proxy({}, {
    get: (_, name) => String(name).startsWith("is") ? () => false : () => {},
  });
  const injector = createInjector()
    .provideValue("logger", silent)
    .provideValue("getLogger", () => silent)
    .provideValue("options", {});
  // deno-lint-ignore no-explicit-any
  const instrumenter = createInstrumenter(injector as any);
  const found: Mutant[] = [];
  for (const file of files) {
    const content = await Deno.readTextFile(join(root, file));
    const lines = [0];
    for (let at = content.indexOf("\n"); at >= 0; at = content.indexOf("\n", at + 1)) {
      lines.push(at + 1);
    }
    const { mutants } = await instrumenter.instrument(
      [{ name: join(root, file), content, mutate: true }],
      // deno-lint-ignore no-explicit-any
      { plugins: null, excludedMutations: EXCLUDED, ignorers: [], noHeader: true } as any,
    );
    for (const mutant of mutants) {
      if (EXCLUDED.includes(mutant.mutatorName)) continue;
      const { start, end } = mutant.location;
      const [from, to] = [start, end].map(({ line, column }) => lines[line]! + column) as [
        number,
        number,
      ];
      const original = content.slice(from, to);
      found.push({
        file,
        line: start.line + 1,
        kind: mutant.mutatorName,
        from,
        to,
        replacement: mutant.replacement,
        original,
      });
    }
  }
  return found;
}

/** Equal shares for the rooms, drawn by a seeded generator, so that a run can be repeated. */
function sample(all: Mutant[], count: number, seed: number): Mutant[] {
  const random = generator(seed);
  const rooms = Map.groupBy(all, ({ file }) => file.split("/")[1]!);
  const shuffled = [...rooms.values()].map((mutants) =>
    mutants.map((mutant) => ({ mutant, at: random() })).sort((a, b) => a.at - b.at)
      .map(({ mutant }) => mutant)
  );
  const drawn: Mutant[] = [];
  for (let turn = 0; drawn.length < count && shuffled.some((rest) => rest.length > turn); turn++) {
    for (const rest of shuffled) {
      if (rest.length > turn && drawn.length < count) drawn.push(rest[turn]!);
    }
  }
  return drawn;
}

/** The mutants that a run printed as survivors: of several alike, the one that is nearest to the line of then. */
async function survivorsOf(log: string, found: Mutant[]): Promise<Mutant[]> {
  const named = new Map<string, Mutant | undefined>();
  for (
    const [, what] of (await Deno.readTextFile(log)).matchAll(/^SURVIVED +(.+?)(?: {2}.*)?$/gm)
  ) {
    const [, file, line, change] = /^(.+?):(\d+) (.+)$/.exec(what!)!;
    const alike = found.filter((mutant) =>
      describe(mutant).replace(/:\d+ /, " ") === `${file} ${change}`
    );
    const far = (mutant: Mutant) => Math.abs(mutant.line - Number(line));
    named.set(what!, alike.sort((a, b) => far(a) - far(b))[0]);
    if (alike.length === 0) console.log(`gone      ${what}`);
  }
  return [...named.values()].filter((mutant) => mutant !== undefined);
}

/** Mulberry32. */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let value = Math.imul(state ^ (state >>> 15), 1 | state);
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value;
    return ((value ^ (value >>> 14)) >>> 0) / 2 ** 32;
  };
}

function wanted(file: string): boolean {
  return onlyFile === "" ? ROOMS.includes(file.split("/")[1]!) : file.startsWith(onlyFile);
}

async function listFiles(folder: string): Promise<string[]> {
  const { stdout } = await new Deno.Command("git", {
    args: ["ls-files", "--", `${folder}/*.ts`],
    cwd: root,
  }).output();
  return new TextDecoder().decode(stdout).trim().split("\n")
    .filter((file) => !file.includes("/generat"));
}

async function copyTree(target: string): Promise<void> {
  const { stdout } = await new Deno.Command("git", { args: ["ls-files"], cwd: root }).output();
  for (const file of new TextDecoder().decode(stdout).trim().split("\n")) {
    await Deno.mkdir(dirname(join(target, file)), { recursive: true });
    await Deno.copyFile(join(root, file), join(target, file));
  }
  // What tests install is shared with the checkout.
  await Deno.symlink(join(root, ".cache"), join(target, ".cache"));
}

function describe({ file, line, kind, original, replacement }: Mutant): string {
  const short = (text: string) => {
    const flat = text.replaceAll(/\s+/g, " ");
    return flat.length > 60 ? `${flat.slice(0, 57)}...` : flat;
  };
  return `${relative("src", file)}:${line} ${kind}: ${short(original)} -> ${short(replacement)}`;
}

function report(): void {
  console.log("\nroom          killed  survived");
  for (const [room, { killed, survived }] of byRoom) {
    console.log(`${room.padEnd(12)} ${String(killed).padStart(7)} ${String(survived).padStart(9)}`);
  }
  if (survivors.length > 0) console.log(`\nsurvivors:\n${survivors.map(describe).join("\n")}`);
  const judged = mutants.length - untypable;
  const killed = judged - survivors.length;
  console.log(
    `\nseed ${options.seed}, ${((performance.now() - started) / 60_000).toFixed(1)} minutes, ` +
      `${(100 * killed / judged).toFixed(1)} % killed, ${untypable} left out: they have no types`,
  );
  console.log(`${killed} killed, ${survivors.length} survived`);
}

interface Options {
  count: number;
  seed: number;
  only: string;
  list: boolean;
  part: number;
  parts: number;
  again: string;
  jobs: number;
}

function parse(args: string[]): Options {
  const value = (name: string) => {
    const at = args.indexOf(name);
    return at < 0 ? undefined : args[at + 1];
  };
  const [part, parts] = (value("--part") ?? "1/1").split("/").map(Number);
  return {
    part: part!,
    parts: parts!,
    count: Number(value("--count") ?? 300),
    seed: Number(value("--seed") ?? 1),
    only: value("--only") ?? "",
    again: value("--again") ?? "",
    jobs: Number(value("--jobs") ?? 2),
    list: args.includes("--list"),
  };
}
