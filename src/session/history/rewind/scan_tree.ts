/**
 * Looks at a workspace: what lies in it, and what of that is left alone. Links are not followed.
 * @module
 */
import { delay, settleAll } from "../../../async.ts";
import { CheckpointError } from "../../../errors/mod.ts";
import {
  baseName,
  canRead,
  parentPath,
  platformName,
  readEnv,
  resolvePath,
  type TreeEntry,
  type TreeFiles,
} from "../../../platform/mod.ts";
import {
  type IgnoreRules,
  type IgnoreSource,
  type IgnoreWork,
  isIgnored,
  readIgnoreRules,
} from "./ignore_rules.ts";
import { isGit, parentOf, type Skipped, type Tree } from "./tree_record.ts";

/** How much is recorded. */
export interface ScanLimits {
  /** Files, directories and links together. */
  entries: number;
  /** Bytes of one file; a larger one is left as it is. */
  fileBytes: number;
  /** Bytes of all files together. */
  treeBytes: number;
}

/** What is recorded by default. */
export const SCAN_LIMITS: ScanLimits = {
  entries: 50_000,
  fileBytes: 16 * 2 ** 20,
  treeBytes: 2 ** 30,
};

/** Ignore files, and where the workspace lies below the directory that they begin at. */
export interface Ignores {
  /** Where the workspace lies below the repository that it is a part of, with a `/` at its end. */
  prefix: string;
  /** The ignore files, those of directories further up first. */
  sources: IgnoreSource[];
}

/** What lies in a workspace. */
export interface Scan {
  /** By path, from the workspace, with `/` between names. */
  entries: Map<string, TreeEntry>;
  /** What is left alone, and why. What lies below is not looked at. */
  left: Map<string, string>;
  /** What could not be told, among it names that are no UTF-8. */
  unknown: Skipped[];
  /** Directories that hold something that is left alone, and why. */
  kept: Map<string, string>;
}

/** At once, per directory that is looked at; more does not make it faster. */
const AT_ONCE = 16;
/** Paths of one directory that are looked at together: a hundred thousand at once take minutes. */
const LOOKS = 256;
const IGNORE_FILE = ".gitignore";
const IGNORE_BYTES = 2 ** 20;
/** Characters of all ignore files together, which are kept with each record. */
const IGNORE_TEXT = 4 * 2 ** 20;
/** Rules that hold for one directory: a path that is compared with so many takes a tenth of a second at most. */
const IGNORE_RULES = 5_000;
/** What comparing all paths with all rules may cost: some ten seconds. */
const IGNORE_WORK = 400_000_000;
/** After so much of it others get their turn. */
const PAUSE_WORK = 2_000_000;
const IS_IGNORED = "it is ignored";

/**
 * Looks at everything in a workspace. With `before`, what it was, only what the sources say is ignored, and disks that were
 * mounted since are left alone; without, ignore files in it are read as they come, and added to the sources.
 */
export async function scanTree(
  files: TreeFiles,
  root: string,
  ignores: Ignores,
  options: { before?: Tree["nodes"]; limits: ScanLimits; signal?: AbortSignal | undefined },
): Promise<Scan> {
  const { before, limits, signal } = options;
  const live = before === undefined;
  const top = diskOf(await files.entry(root));
  const scan: Scan = { entries: new Map(), left: new Map(), unknown: [], kept: new Map() };
  const fold = foldsCase();
  const work: IgnoreWork = { units: 0 };
  let paused = 0;
  let words = 0;
  const pause = async () => {
    if (work.units - paused < PAUSE_WORK) return;
    paused = work.units;
    if (work.units > IGNORE_WORK) throw tooManyRules();
    await delay(0, signal);
  };
  const given = ignores.sources.map((source) => readIgnoreRules(source, fold));
  const leave = (path: string, why: string, unknown: boolean) => {
    leaveAlone(scan, path, why);
    if (unknown) scan.unknown.push({ path, why });
  };
  const read = async (path: string, rules: IgnoreRules[]): Promise<IgnoreRules[]> => {
    if (!live) return rules;
    const at = join(path, IGNORE_FILE);
    const text = await readIgnoreFile(files, `${root}/${at}`);
    if (text === null) return rules;
    const source = { base: ignores.prefix + (path === "" ? "" : `${path}/`), text };
    ignores.sources.push(source);
    words += text.length;
    if (words > IGNORE_TEXT) throw tooManyRules();
    const all = [...rules, readIgnoreRules(source, fold)];
    if (isTooMuch(all)) throw tooManyRules();
    return all;
  };
  const look = async (path: string, outer: IgnoreRules[]): Promise<[string, IgnoreRules[]][]> => {
    signal?.throwIfAborted();
    let names: string[];
    try {
      names = await files.list(path === "" ? root : `${root}/${path}`);
    } catch (error) {
      if (path === "") {
        throw new CheckpointError("The workspace can't be read, so it can't be recorded.", {
          cause: error,
          data: { reason: "unreadable" },
        });
      }
      leave(`${path}/`, "its directory can't be read", true);
      return [];
    }
    const rules = await read(path, outer);
    const inner: [string, IgnoreRules[]][] = [];
    const distinct = [...new Set(names)];
    const found: (readonly [string, TreeEntry | null | undefined])[] = [];
    for (let from = 0; from < distinct.length; from++) {
      if (from % LOOKS === 0) {
        found.push(
          ...await settleAll(
            distinct.slice(from, from + LOOKS).map(async (name) =>
              [
                join(path, name),
                await files.entry(`${root}/${join(path, name)}`).catch(() => undefined),
              ] as const
            ),
          ),
        );
      }
      const [at, entry] = found[from]!;
      const name = at.slice(at.lastIndexOf("/") + 1);
      if (isGit(name)) {
        leave(at, "a repository's own files are left alone", false);
        continue;
      }
      if (entry === undefined) {
        leave(at, "it can't be looked at", true);
        continue;
      }
      if (entry === null) {
        // It is gone since, or its name is written another way than text can be.
        if (name.includes("\ufffd")) leave(at, "its name is no UTF-8", true);
        continue;
      }
      if (names.length !== distinct.length && name.includes("\ufffd")) {
        leave(at, "its name is no UTF-8", true);
        continue;
      }
      const isDirectory = entry.kind === "directory";
      await pause();
      if (isIgnored(rules, ignores.prefix + at, isDirectory, fold, work) === true) {
        leave(at, IS_IGNORED, false);
        continue;
      }
      const disk = diskOf(entry);
      if (isDirectory && !live && disk !== (diskOf(scan.entries.get(path)) ?? top)) {
        const was = before.get(at);
        if (diskOf(was) !== disk) {
          leave(at, "another disk is mounted there", was === undefined);
          continue;
        }
      }
      scan.entries.set(at, entry);
      if (scan.entries.size > limits.entries) {
        throw tooLarge(
          `The workspace holds more than ${limits.entries} files that are not ignored`,
        );
      }
      if (isDirectory) inner.push([at, rules]);
    }
    return inner;
  };
  const open: [string, IgnoreRules[]][] = [["", given]];
  while (open.length > 0) {
    const next = await settleAll(
      open.splice(-AT_ONCE).map(([path, rules]) => look(path, rules)),
    );
    for (const each of next) open.push(...each);
  }
  await pause();
  return scan;
}

/** Nothing is done to a path, nor to what lies below, and the directories above stay. */
export function leaveAlone({ left, kept }: Scan, path: string, why: string): void {
  left.set(path, why);
  for (let at = parentOf(path); at !== "" && !kept.has(at); at = parentOf(at)) kept.set(at, why);
}

/** The disk that something is on. */
export function diskOf(entry: TreeEntry | null | undefined): string | undefined {
  return entry?.id.split(":")[0];
}

/** A path in a directory; the workspace itself is `""`. */
function join(directory: string, name: string): string {
  return directory === "" ? name : `${directory}/${name}`;
}

/** Whether the disks of this system usually know no letter case; git is then told so. */
function foldsCase(): boolean {
  return platformName() === "win32" || platformName() === "darwin";
}

async function readIgnoreFile(files: TreeFiles, path: string): Promise<string | null> {
  try {
    const entry = await files.entry(path);
    // Like git, which follows no link here.
    if (entry?.kind !== "file" || entry.size > IGNORE_BYTES) return null;
    const bytes = await files.readExpected(path, entry);
    return bytes === null ? null : new TextDecoder().decode(bytes);
  } catch {
    return null;
  }
}

/** The ignore files from outside of a workspace: the user's own, those of the repository around it, its private one. */
export async function outerIgnores(files: TreeFiles, root: string): Promise<Ignores> {
  const sources: IgnoreSource[] = [];
  const add = async (base: string, path: string) => {
    // What the script may not read holds for nobody; asking would be asking the user.
    const text = canRead(path) ? await readIgnoreFile(files, path) : null;
    if (text !== null) sources.push({ base, text });
  };
  const names: string[] = [];
  let top: string | null = root;
  while (top !== null && !await isRepository(files, top)) {
    names.unshift(baseName(top));
    top = parentPath(top);
  }
  for (const path of await userIgnoreFiles(files)) await add("", path);
  // Without a repository only what lies in the workspace counts.
  const alone = { prefix: "", sources: [...sources] };
  if (top === null) return alone;
  await add("", `${await gitFolder(files, top)}/info/exclude`);
  const fold = foldsCase();
  const work: IgnoreWork = { units: 0 };
  const rules: IgnoreRules[] = [];
  let base = "";
  for (const name of names) {
    await add(base, `${top}/${base}${IGNORE_FILE}`);
    rules.push(...sources.slice(rules.length).map((source) => readIgnoreRules(source, fold)));
    if (isTooMuch(rules) || work.units > IGNORE_WORK) throw tooManyRules();
    // Nor does one that ignores it as a whole, such as a home's of a few files.
    if (isIgnored(rules, base + name, true, fold, work)) return alone;
    base += `${name}/`;
  }
  return { prefix: base, sources };
}

async function isRepository(files: TreeFiles, path: string): Promise<boolean> {
  if (!canRead(`${path}/.git`)) return false;
  return await files.entry(`${path}/.git`).catch(() => null) !== null;
}

/** Where the repository keeps what all its working trees share: a file in the place of `.git` leads there. */
async function gitFolder(files: TreeFiles, top: string): Promise<string> {
  const read = async (path: string) => canRead(path) ? await readIgnoreFile(files, path) : null;
  const own = /^gitdir: (.+?)\r?\n?$/.exec(await read(`${top}/.git`) ?? "")?.[1];
  if (own === undefined) return `${top}/.git`;
  const folder = resolvePath(top, own);
  const shared = (await read(`${folder}/commondir`))?.trim();
  return shared ? resolvePath(folder, shared) : folder;
}

/** The file that the user's git goes by in all repositories. */
async function userIgnoreFiles(files: TreeFiles): Promise<string[]> {
  const home = readEnv(platformName() === "win32" ? "USERPROFILE" : "HOME");
  if (!home) return [];
  const config = readEnv("XDG_CONFIG_HOME") || `${home}/.config`;
  for (const path of [`${home}/.gitconfig`, `${config}/git/config`]) {
    const text = canRead(path) ? await readIgnoreFile(files, path) : null;
    const named = text === null ? null : excludesFile(text);
    if (named !== null) return [named.replace(/^~(?=\/)/, () => home)];
  }
  return [`${config}/git/ignore`];
}

/** `core.excludesFile` of a git configuration; files that it includes are not read. */
export function excludesFile(config: string): string | null {
  let section = "";
  let named: string | null = null;
  for (const line of config.split("\n")) {
    section = /^\s*\[\s*([\w.-]+)\s*\]/.exec(line)?.[1]?.toLowerCase() ??
      (/^\s*\[/.test(line) ? "" : section);
    const value = section === "core" ? /^\s*excludesfile\s*=\s*(.*?)\s*$/i.exec(line)?.[1] : null;
    if (value) named = value.replace(/^"(.*)"$/, "$1");
  }
  return named;
}

function isTooMuch(all: readonly IgnoreRules[]): boolean {
  return all.reduce((sum, each) => sum + each.rules.length, 0) > IGNORE_RULES;
}

function tooManyRules(): CheckpointError {
  return new CheckpointError(
    "The workspace's ignore files hold more rules than its files can be compared with, so it can't be recorded. " +
      `At most ${IGNORE_RULES} may hold for a directory; fewer where there are many files.`,
    { data: { reason: "tooLarge" } },
  );
}

/** The error for a workspace of which there is more than is recorded. */
export function tooLarge(what: string): CheckpointError {
  return new CheckpointError(
    `${what}, more than checkpoints record. ` +
      "Name what is made by programs in a .gitignore, work in a smaller directory, or leave `checkpoints` away.",
    { data: { reason: "tooLarge" } },
  );
}
