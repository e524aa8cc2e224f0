/**
 * Takes a workspace back, step by step. Before each step it is looked whether what lies there is still what was seen, and
 * that no directory above has become a link; a step that was done already is not done again, so that a restore that was cut
 * off can simply be done once more.
 * @module
 */
import { messageOf } from "../../../errors/mod.ts";
import {
  asList,
  isJsonObject,
  type JsonObject,
  type JsonValue,
  numberOf,
  stringOf,
} from "../../../json.ts";
import { fileSystem, isMissing, isPermissionError } from "../../../platform/fs.ts";
import { isWindowsPath, realPath, resolvePath, type TreeEntry } from "../../../platform/mod.ts";
import type { Step } from "./plan_rewind.ts";
import { isReal, isThere, type Recorder } from "./record_tree.ts";
import { isInner, isSameEntry, parentOf, type Skipped } from "./tree_record.ts";

/** Called before each step of a restore; tests end the process there. */
export type BeforeStep = (step: Step, index: number) => void | Promise<void>;

/**
 * Does the steps; settles with what could not be done. `name` is the restore's: half-written files carry it, and go first.
 */
export async function restoreTree(
  recorder: Recorder,
  name: string,
  steps: readonly Step[],
  beforeStep: BeforeStep = () => {},
): Promise<Skipped[]> {
  const skipped: Skipped[] = [];
  /** Files one of whose names was taken away: what the disk tells of the others has changed with it. */
  const unlinked: Set<string> = new Set();
  const made = new Set(
    steps.filter((step) => !step.do.startsWith("remove")).map(({ path }) => path),
  );
  /** What directories were that let their owner change nothing in them, such as those of Go's modules. */
  const opened: Map<string, TreeEntry> = new Map();
  for (const [index, step] of steps.entries()) {
    await beforeStep(step, index);
    let why: string | null;
    const attempt = () => doStep(recorder, step, draftOf(step.path, name, index), unlinked);
    try {
      why = await attempt().catch(async (error) => {
        if (!await openDirectory(recorder, parentOf(step.path), opened)) throw error;
        return await attempt();
      });
      if (why === null && step.do !== "setMode" && step.was?.id) unlinked.add(step.was.id);
      // What had to go before something else took its place: the later step tells.
      if (why === CHANGED && step.do.startsWith("remove") && made.has(step.path)) why = null;
    } catch (error) {
      why = reasonOf(error, step);
    }
    if (why !== null) skipped.push({ path: step.path, why });
  }
  const set = new Set(steps.map((step) => step.do === "setMode" && step.path));
  for (const [path, { mode, id }] of opened) {
    const at = `${recorder.root}/${path}`;
    const now = await recorder.files.entry(at).catch(() => null);
    if (!set.has(path) && now?.id === id) await recorder.files.setMode(at, mode).catch(() => {});
  }
  return skipped;
}

/** Lets its owner change what is in a directory; whether that was not so before. */
async function openDirectory(
  { files, root }: Recorder,
  path: string,
  opened: Map<string, TreeEntry>,
): Promise<boolean> {
  const at = `${root}/${path}`;
  const entry = await files.entry(at);
  if (entry === null || opened.has(path) || (entry.mode & OWNER_CHANGES) === OWNER_CHANGES) {
    return false;
  }
  if (!await isReal(files, root, path)) return false;
  opened.set(path, entry);
  await files.setMode(at, entry.mode | OWNER_CHANGES);
  return true;
}

const OWNER_CHANGES = 0o300;

function draftOf(path: string, name: string, index: number): string {
  const parent = parentOf(path);
  return `${parent === "" ? "" : `${parent}/`}.rewind-${name}-${index}~`;
}

/** Does one step; settles with why it is not done, or `null`. */
async function doStep(
  recorder: Recorder,
  step: Step,
  draft: string,
  unlinked: ReadonlySet<string>,
): Promise<string | null> {
  const { files, root, store } = recorder;
  const fs = fileSystem()!;
  const { path, was } = step;
  const at = `${root}/${path}`;
  if (!isThere(root)) return "the workspace is reached by a link now";
  if (!await isReal(files, root, parentOf(path))) {
    // Removed with the directory that it lay in, before the restore was cut off.
    if (step.do.startsWith("remove") && await isNowhere(recorder, parentOf(path))) return null;
    return "the directory that it lies in is not there, or is a link";
  }
  const temporary = `${root}/${draft}`;
  // What a restore that was cut off has left.
  await fs.removeFile(temporary).catch(() => {});
  const now = await files.entry(at);
  if (await isDone(recorder, step, now)) return null;
  if (!isAsSeen(step, now, was, unlinked)) return CHANGED;
  switch (step.do) {
    case "remove":
      await fs.removeFile(at);
      return null;
    case "removeDirectory":
      await files.removeDirectory(at);
      return null;
    case "makeDirectory":
      await files.makeDirectory(at);
      return null;
    case "setMode":
      // The system follows a link that would be there now; what was seen is none.
      await files.setMode(at, step.mode);
      return null;
  }
  try {
    if (step.do === "link") await files.makeLink(step.content, temporary);
    else {
      const bytes = await store.content(step.content);
      if (bytes === null) return "what was recorded of it is gone or damaged";
      await files.writeNew(temporary, bytes, true);
      await files.setMode(temporary, step.mode);
    }
    // A directory that was swapped for a link meanwhile has taken the draft with it: nothing is put in place then.
    if (!isWhereItSays(`${root}/${parentOf(path)}`)) {
      return "the directory that it lies in is a link now";
    }
    const still = await files.entry(at);
    if (!isAsSeen(step, still, was, unlinked)) return CHANGED;
    await fs.rename(temporary, at);
    return null;
  } finally {
    await fs.removeFile(temporary).catch(() => {});
  }
}

/** Whether a directory of the workspace is not there, and nothing on the way to it is a link. */
async function isNowhere({ files, root }: Recorder, directory: string): Promise<boolean> {
  const names = directory.split("/");
  for (let count = 1; count <= names.length; count++) {
    const entry = await files.entry(`${root}/${names.slice(0, count).join("/")}`);
    if (entry?.kind !== "directory") return entry?.kind !== "link";
  }
  return false;
}

const CHANGED = "it was changed while it was taken back";

/** Whether nothing on the way to a directory is a link. Windows tells its way with backslashes. */
function isWhereItSays(directory: string): boolean {
  const real = realPath(directory);
  return real !== null &&
    real === (isWindowsPath(real) ? resolvePath(directory, ".") : withoutEnd(directory));
}

function withoutEnd(path: string): string {
  return path.length > 1 ? path.replace(/\/$/, "") : path;
}

/** Whether what lies there is what was seen when this was planned. */
function isAsSeen(
  step: Step,
  now: TreeEntry | null,
  was: TreeEntry | null,
  unlinked: ReadonlySet<string>,
): boolean {
  if (step.do === "setMode" && was === null) return now?.kind === "directory";
  if (was === null || now === null) return was === now;
  // A directory changes with all that is done in it.
  if (was.kind === "directory") return now.kind === "directory";
  const { ctimeMs } = unlinked.has(was.id) ? now : was;
  return isSameEntry({ ...was, ctimeMs }, now);
}

/** Whether the step was done before the restore was cut off, or by somebody else. */
async function isDone(
  { files, root, store }: Recorder,
  step: Step,
  now: TreeEntry | null,
): Promise<boolean> {
  switch (step.do) {
    case "remove":
    case "removeDirectory":
      return now === null;
    case "makeDirectory":
      return now?.kind === "directory";
    case "setMode":
      return now !== null && now.kind !== "link" && now.mode === step.mode;
    case "link":
      return now?.kind === "link" && await files.readLink(`${root}/${step.path}`) === step.content;
    case "write": {
      if (now?.kind !== "file" || now.mode !== step.mode) return false;
      const wanted = await store.content(step.content);
      if (wanted === null || wanted.length !== now.size) return false;
      const bytes = await files.readExpected(`${root}/${step.path}`, now);
      return bytes !== null && bytes.every((byte, index) => byte === wanted[index]);
    }
  }
}

function reasonOf(error: unknown, step: Step): string {
  if (isMissing(error)) return CHANGED;
  if (isPermissionError(error)) {
    return step.do === "link"
      ? "Deno lets a script make links only with all of --allow-read and --allow-write"
      : "this script may not write there";
  }
  const { code } = error as { code?: string };
  return `the system did not let it be done: ${code ?? messageOf(error)}`;
}

// Steps as they are written down.

/** Steps as JSON. */
export function stepsToJson(steps: readonly Step[]): JsonValue[] {
  return steps.map((step) => ({ ...step, was: step.was === null ? null : { ...step.was } }));
}

const KNOWN_STEP = /^(?:remove|removeDirectory|makeDirectory|setMode|write|link)$/;

/** Reads what {@linkcode stepsToJson} made; what leads out of the workspace is left out. */
export function stepsFromJson(value: JsonValue | undefined): Step[] {
  return asList(value).flatMap((each): Step[] => {
    if (!isJsonObject(each)) return [];
    const [path, what, content] = ["path", "do", "content"].map((key) => stringOf(each, key));
    if (!path || !isInner(path) || !KNOWN_STEP.test(what ?? "")) return [];
    const was = isJsonObject(each["was"]) ? entryFrom(each["was"]) : null;
    const mode = (numberOf(each, "mode") ?? 0) & 0o777;
    return [{ do: what, path, was, mode, content: content ?? "" } as Step];
  });
}

function entryFrom(value: JsonObject): TreeEntry {
  const number = (key: string) => numberOf(value, key) ?? 0;
  return {
    kind: (stringOf(value, "kind") ?? "other") as TreeEntry["kind"],
    mode: number("mode"),
    size: number("size"),
    mtimeMs: number("mtimeMs"),
    ctimeMs: number("ctimeMs"),
    id: stringOf(value, "id") ?? "",
  };
}
