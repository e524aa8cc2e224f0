/**
 * Every codex: `deno task sweep` runs the scenarios on the last release of each minor version that npm has from 0.104 on,
 * prints what became of them and keeps the table in `tests/README.md`; `deno task sweep 0.110.0 0.125.0` runs just those.
 * A codex is 150 to 400 MB: what was installed for the sweep is removed again.
 */
import { install, ROOT } from "../_codex.ts";
import { exists, run, seconds } from "../tools/_run.ts";
import type { Report } from "./scenarios.ts";

const TABLE = `${ROOT}/tests/README.md`;
const [BEGIN, END] = ["<!-- sweep -->", "<!-- /sweep -->"];
const LIMIT_MS = 300_000;

/** The last release of each minor version that this library speaks with. */
async function released(): Promise<string[]> {
  const { output } = await run("npm", ["view", "@openai/codex", "versions", "--json"], {
    quiet: true,
  });
  const last = new Map<number, string>();
  for (const version of JSON.parse(output.slice(output.indexOf("["))) as string[]) {
    const [, minor] = /^0\.(\d+)\.\d+$/.exec(version) ?? [];
    if (minor !== undefined && Number(minor) >= 104) last.set(Number(minor), version);
  }
  return [...last].sort(([a], [b]) => a - b).map(([, version]) => version);
}

/** The folder of a version, and whether it was there before. */
async function fetched(version: string): Promise<{ folder: string; kept: boolean }> {
  const kept = exists(`.cache/codex/${version}`);
  return { folder: await install("codex", "@openai/codex", version), kept };
}

async function tryOne(version: string): Promise<string> {
  const script = new URL("one.ts", import.meta.url).pathname;
  const signal = AbortSignal.timeout(LIMIT_MS);
  const { stdout, stderr, success } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", script, version],
    stdin: "null",
    signal,
  }).output();
  if (!success) {
    const last = new TextDecoder().decode(stderr).trim().split("\n").slice(-3).join(" ");
    return row(version, `**did not run**: ${last}`, "", "");
  }
  const { outcomes, manners }: Report = JSON.parse(new TextDecoder().decode(stdout));
  const failed = outcomes.filter(({ problem }) => problem !== null);
  for (const { name, problem } of failed) console.log(`  ${name}: ${problem}`);
  const works = failed.length === 0
    ? `all ${outcomes.length}`
    : `**not**: ${failed.map(({ name }) => name).join("; ")}`;
  const outside = Object.entries(manners.acceptedOutside).filter(([, is]) => is)
    .map(([sandbox]) => sandbox);
  const own = manners.ownRoots.map((path) => path.split("/").at(-1));
  return row(version, works, own.join(", "), outside.join(", "));
}

function row(...cells: string[]): string {
  return `| ${
    cells.map((cell) => cell.replaceAll("|", "\\|").replaceAll("\n", " ")).join(" | ")
  } |`;
}

/** Puts the rows into the table, in place of older ones of the same versions. */
async function keep(rows: ReadonlyMap<string, string>): Promise<void> {
  const text = await Deno.readTextFile(TABLE);
  const [from, to] = [text.indexOf(BEGIN), text.indexOf(END)];
  if (from === -1 || to === -1) throw new Error(`${TABLE} has no ${BEGIN} … ${END}`);
  const all = new Map<string, string>();
  for (const line of text.slice(from, to).split("\n")) {
    const version = /^\| (0\.\d+\.\d+) +\|/.exec(line)?.[1];
    if (version !== undefined) all.set(version, line);
  }
  for (const [version, line] of rows) all.set(version, line);
  const minor = (version: string) => Number(version.split(".")[1]);
  const sorted = [...all].sort(([a], [b]) => minor(a) - minor(b)).map(([, line]) => line);
  const head = [
    row("codex", "works", "makes writable by itself", "repeats accepted commands outside"),
    row("---", "---", "---", "---"),
  ];
  const table = [BEGIN, "", ...head, ...sorted, "", ""].join("\n");
  await Deno.writeTextFile(TABLE, text.slice(0, from) + table + text.slice(to));
  await run(Deno.execPath(), ["fmt", "--quiet", TABLE]);
}

const versions = Deno.args.length > 0 ? Deno.args : await released();
const rows = new Map<string, string>();
let next = fetched(versions[0]!);
for (const [at, version] of versions.entries()) {
  const started = performance.now();
  const { folder, kept } = await next;
  const following = versions[at + 1];
  // The next one is fetched while this one is tried.
  if (following !== undefined) next = fetched(following);
  next.catch(() => {});
  const line = await tryOne(version);
  rows.set(version, line);
  console.log(`${line} ${seconds(started)}`);
  if (!kept) await Deno.remove(folder, { recursive: true });
  await keep(rows);
}
const failing = [...rows.values()].filter((line) => line.includes("**"));
console.log(`${rows.size} versions, ${failing.length} where something does not work`);
Deno.exit(failing.length === 0 ? 0 : 1);
