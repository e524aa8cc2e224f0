/**
 * The programs that the suite runs, installed by exact version from npm into the git-ignored `.cache`.
 * Needs only Node and npm; safe when several test processes ask at once.
 */
import { execFile } from "node:child_process";
import { access, mkdir, readdir, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

/** The newest codex that this library is tested with. */
export const NEWEST_CODEX = "0.169.0";
/** The oldest that it accepts. */
export const OLDEST_CODEX = "0.104.0";

/** A version of codex; those that the suite names, and any other that npm has. */
export type CodexVersion =
  | typeof NEWEST_CODEX
  | typeof OLDEST_CODEX
  | (typeof CODEX_BETWEEN)[number]
  | (string & Record<never, never>);

/** Set by `deno task real`: also what is slow on versions between. */
const EVERY = process.env["EVERY_CODEX"] === "1";
/** Set by the runner of all tests: each test on an end, and on no version between that it can do without. */
const SHORT = process.env["SHORT_RUN"] === "1";
/**
 * Set by the same runner for what runs on two runtimes: how codex differs from version to version is the same on each of
 * them, so that each end on one of the runtimes is enough.
 */
const ONLY = process.env["ONLY_CODEX"];

/** Of these versions, the first one of which is the most telling, those that a test runs on; all, unless the run is short. */
export function codexes<Version extends CodexVersion>(
  ...versions: readonly Version[]
): readonly Version[] {
  if (!SHORT) return versions;
  const isEnd = (version: CodexVersion) => version === NEWEST_CODEX || version === OLDEST_CODEX;
  const ends = versions.filter(isEnd);
  const wanted = ends.filter((version) => version === (ONLY ?? version));
  return wanted.length > 0 ? wanted : (ends.length > 0 ? ends : versions).slice(0, 1);
}

/**
 * Whether this is the place for one of many cases that are alike and run in two places, by its name: in a short run each
 * place has about half of them.
 */
export function isPlaceFor(name: string, place: 0 | 1): boolean {
  const letters = [...name].reduce((sum, letter) => sum + letter.codePointAt(0)!, 0);
  return !SHORT || letters % 2 === place;
}

/** How often something is tried, or what: less in a short run. */
export function tries<Tries>(whole: Tries, short: Tries): Tries {
  return SHORT ? short : whole;
}

/** What a test of the real codex runs on: both ends. */
export const CODEX_VERSIONS: readonly (typeof NEWEST_CODEX | typeof OLDEST_CODEX)[] = codexes(
  NEWEST_CODEX,
  OLDEST_CODEX,
);

/** Versions between them, each the first or last that does something in its own way. */
export const CODEX_BETWEEN = ["0.110.0", "0.125.0", "0.145.0"] as const;

/** Two of them for what is slow and differs little, in `deno task real`; else none. */
export const SLOW_BETWEEN: readonly CodexVersion[] = EVERY ? ["0.145.0", "0.125.0"] : [];

/** The Bun that runs the suite. */
export const BUN_VERSION = "1.4.5";

/** The Node that the smoke tests run on: the oldest line that can run TypeScript. */
export const NODE_VERSION = "22.23.3";

/** The checkout. */
export const ROOT: string = dirname(dirname(fileURLToPath(import.meta.url)));

const exe = process.platform === "win32" ? ".exe" : "";
const installed = new Map<string, Promise<string>>();

/** Folders that npm is filling now, by package: what a tool shows while people wait. */
export const installing: Map<string, string> = new Map();

/** Path of the native codex, without npm's launcher in front of it. */
export async function codexPath(
  version: CodexVersion | (string & Record<never, never>) = NEWEST_CODEX,
): Promise<string> {
  const vendor = join(
    await install("codex", "@openai/codex", version),
    "node_modules",
    "@openai",
    `codex-${process.platform}-${process.arch}`,
    "vendor",
  );
  const [triple] = await readdir(vendor);
  // 0.104 keeps the binary in codex/, later versions in bin/.
  for (const folder of ["bin", "codex"]) {
    const path = join(vendor, triple!, folder, `codex${exe}`);
    if (await exists(path)) return path;
  }
  throw new Error(`no codex binary below ${vendor}`);
}

/** Path of npm's launcher script for codex (`.bin/codex`), as most users have it on PATH. */
export async function codexLauncherPath(
  version: CodexVersion | (string & Record<never, never>) = NEWEST_CODEX,
): Promise<string> {
  return join(await install("codex", "@openai/codex", version), "node_modules", ".bin", "codex");
}

/** Path of Bun. */
export async function bunPath(): Promise<string> {
  return join(await install("bun", "bun", BUN_VERSION), "node_modules", "bun", "bin", "bun.exe");
}

/** Path of a Node that runs TypeScript. */
export async function nodePath(): Promise<string> {
  const os = process.platform === "win32" ? "win" : process.platform;
  const name = `node-${os}-${process.arch}`;
  return join(await install("node", name, NODE_VERSION), "node_modules", name, "bin", `node${exe}`);
}

/** The folder with an installed package, and with others beside it; installs it on the first call. */
export function install(
  folder: string,
  name: string,
  version: string,
  beside: readonly string[] = [],
): Promise<string> {
  // What is installed beside a package counts: whoever comes first must not leave a folder that lacks it.
  const place = [version, ...beside].join("+").replaceAll("/", "_");
  const key = join(folder, name, place);
  const known = installed.get(key);
  if (known !== undefined) return known;
  const pending = installOnce(join(ROOT, ".cache", folder, place), name, version, beside);
  installed.set(key, pending);
  pending.catch(() => installed.delete(key));
  return pending;
}

async function installOnce(
  target: string,
  name: string,
  version: string,
  beside: readonly string[],
): Promise<string> {
  if (await exists(join(target, "node_modules", name, "package.json"))) return target;
  // Installed beside the target and renamed into place: whoever comes first wins, nobody sees half a package.
  const draft = `${target}.${process.pid}-${Date.now()}`;
  await mkdir(draft, { recursive: true });
  installing.set(`${name}@${version}`, draft);
  try {
    // Bun links its binary in an install script, which npm is going to run for listed packages only.
    const manifest = { private: true, allowScripts: { bun: true } };
    await writeFile(join(draft, "package.json"), JSON.stringify(manifest));
    const all = [`${name}@${version}`, ...beside];
    await npm(draft, ["install", "--no-audit", "--no-fund", "--save-exact", ...all]);
    await rename(draft, target).catch(async (error) => {
      if (!await exists(join(target, "node_modules", name, "package.json"))) throw error;
    });
  } finally {
    installing.delete(`${name}@${version}`);
    await rm(draft, { recursive: true, force: true });
  }
  return target;
}

function npm(cwd: string, args: string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    execFile(
      "npm",
      args,
      { cwd, shell: process.platform === "win32", maxBuffer: 16 << 20, timeout: 300_000 },
      (error, _stdout, stderr) => {
        if (error === null) resolve();
        else reject(new Error(`npm ${args.join(" ")} failed: ${error.message}\n${stderr}`));
      },
    );
  });
}

async function exists(path: string): Promise<boolean> {
  return await access(path).then(() => true, () => false);
}
