/**
 * From what a workspace was and what it is to the steps that take it back; pure.
 * @module
 */
import type { TreeEntry } from "../../../platform/mod.ts";
import type { Scan } from "./scan_tree.ts";
import { isSameEntry, parentOf, type Skipped, type Tree, type TreeNode } from "./tree_record.ts";

/** What a rewind does with one path of the workspace. */
export interface RewindFile {
  /** From the workspace, with `/` between names; that of a directory ends with one. */
  path: string;
  /** `restore`: it has changed; `delete`: it was not there; `create`: it is gone. */
  change: "restore" | "delete" | "create";
}

/** One thing to do. What it finds must be what was seen (`was`), or it is not done. */
export type Step =
  & { path: string; was: TreeEntry | null }
  & (
    | { do: "remove" | "removeDirectory" | "makeDirectory" }
    | { do: "setMode"; mode: number }
    | { do: "write"; mode: number; content: string }
    | { do: "link"; content: string }
  );

/** What a rewind does. */
export interface TreePlan {
  /** What is done, by path. */
  files: RewindFile[];
  /** How, in this order. */
  steps: Step[];
  /** What is left as it is although it may have changed. */
  skipped: Skipped[];
}

/** Plans; `differs` says of a file that is there in both whether its content is another one. */
export function planRewind(
  tree: Tree,
  now: Scan,
  differs: (path: string) => boolean,
): TreePlan {
  const { nodes } = tree;
  const files: RewindFile[] = [];
  const skipped: Skipped[] = [...now.unknown];
  const steps = {
    remove: [] as Step[],
    removeDirectory: [] as Step[],
    makeDirectory: [] as Step[],
    fill: [] as Step[],
    directoryMode: [] as Step[],
  };
  const unknown = new Map(tree.unknown.map(({ path, why }) => [path, why]));
  /** Why nothing is done to a path: something that is left alone lies at it, or above it. */
  const untouched = (path: string, map: Map<string, string>): string | null => {
    const own = map.get(path);
    if (own !== undefined) return own;
    for (let at = parentOf(path); at !== ""; at = parentOf(at)) {
      // With a `/` at its end it is what lies in a directory that could not be read.
      const why = map.get(at) ?? map.get(`${at}/`);
      if (why !== undefined) return why;
    }
    return null;
  };
  const create = (path: string, node: TreeNode, was: TreeEntry | null): boolean => {
    const { kind, mode, content } = node;
    if (kind === "directory") {
      steps.makeDirectory.push({ do: "makeDirectory", path, was: null });
      steps.directoryMode.push({ do: "setMode", path, mode, was: null });
    } else if (content === null) return false;
    else if (kind === "link") steps.fill.push({ do: "link", path, content, was });
    else steps.fill.push({ do: "write", path, mode, content, was });
    return true;
  };
  const told = (path: string, kind: TreeEntry["kind"], change: RewindFile["change"]) =>
    files.push({ path: kind === "directory" ? `${path}/` : path, change });
  /** Directories of now that stay, because of what they hold. */
  const stays = (path: string, { kind }: TreeEntry) =>
    kind === "directory" ? now.kept.get(path) ?? null : null;
  const remove = (path: string, was: TreeEntry) => {
    if (was.kind === "directory") {
      steps.removeDirectory.push({ do: "removeDirectory", path, was });
    } else steps.remove.push({ do: "remove", path, was });
  };

  for (const path of [...new Set([...nodes.keys(), ...now.entries.keys()])].sort()) {
    const [before, after] = [nodes.get(path), now.entries.get(path)];
    const skip = (why: string) => skipped.push({ path, why });
    if (before === undefined) {
      // Of what was moved here as a whole the top is told.
      if (now.left.has(parentOf(path))) continue;
      const why = untouched(path, unknown) ?? untouched(path, now.left);
      const kept = stays(path, after!);
      if (why !== null) skip(`it was not recorded: ${why}`);
      else if (kept !== null) skip(`it holds what is left alone: ${kept}`);
      else {
        remove(path, after!);
        told(path, after!.kind, "delete");
      }
      continue;
    }
    const why = untouched(path, now.left);
    if (why !== null) {
      skip(why);
      continue;
    }
    const blocked = blockedBy(path, nodes, now);
    if (blocked !== null) {
      skip(`${blocked} is in its place, and holds what is left alone`);
      continue;
    }
    if (after === undefined) {
      if (isSandboxPlace(path, before, nodes)) continue;
      if (create(path, before, null)) told(path, before.kind, "create");
      else skip(notKept(before));
    } else if (before.kind !== after.kind) {
      const kept = stays(path, after);
      if (kept !== null) skip(`what is in its place holds what is left alone: ${kept}`);
      else if (before.kind !== "directory" && before.content === null) skip(notKept(before));
      else {
        // A file takes the place of a link at once; a directory has to go before.
        const aside = after.kind === "directory" || before.kind === "directory";
        if (aside) remove(path, after);
        create(path, before, aside ? null : after);
        told(path, before.kind, "restore");
      }
    } else if (before.kind === "directory") {
      if (before.mode !== after.mode) {
        steps.directoryMode.push({ do: "setMode", path, mode: before.mode, was: after });
        told(path, "directory", "restore");
      }
    } else if (before.kind === "file" && before.content === null) {
      if (!isSameEntry(before, after)) skip(notKept(before));
    } else if (before.kind !== "other" && differs(path)) {
      create(path, before, after);
      told(path, before.kind, "restore");
    } else if (before.kind === "file" && before.mode !== after.mode) {
      steps.fill.push({ do: "setMode", path, mode: before.mode, was: after });
      told(path, "file", "restore");
    }
  }
  const deepestFirst = (a: Step, b: Step) => depth(b.path) - depth(a.path);
  return {
    files,
    steps: [
      ...steps.remove,
      ...steps.removeDirectory.sort(deepestFirst),
      ...steps.makeDirectory.sort((a, b) => depth(a.path) - depth(b.path)),
      ...steps.fill,
      ...steps.directoryMode.sort(deepestFirst),
    ],
    skipped,
  };
}

/**
 * Whether it is nothing but a place that codex's sandbox holds for itself while a command runs: an empty directory (0.145,
 * 0.169) or file (0.125) at the top. It is recorded while a command of an earlier turn runs on.
 */
function isSandboxPlace(path: string, { kind, size }: TreeNode, nodes: Tree["nodes"]): boolean {
  if (!SANDBOX_PLACES.has(path)) return false;
  if (kind === "file") return size === 0;
  if (kind !== "directory") return false;
  for (const each of nodes.keys()) if (parentOf(each) === path) return false;
  return true;
}

const SANDBOX_PLACES: ReadonlySet<string> = new Set([".agents", ".aws", ".codex"]);

/** The directory above that can't be made again, because what is in its place stays. */
function blockedBy(path: string, nodes: Tree["nodes"], now: Scan): string | null {
  for (let at = parentOf(path); at !== ""; at = parentOf(at)) {
    const there = now.entries.get(at);
    if (there === undefined || nodes.get(at)?.kind === there.kind) continue;
    if (there.kind === "directory" && now.kept.has(at)) return at;
  }
  return null;
}

function notKept({ kind }: TreeNode): string {
  return kind === "file"
    ? "it was too large to be recorded, or changed while it was"
    : "it was neither a file nor a directory nor a link";
}

function depth(path: string): number {
  return path.split("/").length;
}
