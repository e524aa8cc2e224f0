/**
 * Records a workspace, and finds out what has changed since. What the disk tells of a file is believed as far as a program
 * can't make it up: a file that was changed in the seconds before it was looked at is read again.
 * @module
 */
import { sha256 } from "../../../json.ts";
import { settleAll } from "../../../async.ts";
import { realPath, type TreeEntry, type TreeFiles } from "../../../platform/mod.ts";
import type { CheckpointStore } from "./checkpoint_store.ts";
import {
  type Ignores,
  leaveAlone,
  outerIgnores,
  type Scan,
  type ScanLimits,
  scanTree,
  tooLarge,
} from "./scan_tree.ts";
import { isSameEntry, parentOf, type Tree, type TreeNode } from "./tree_record.ts";

/** Disks tell times in steps of up to two seconds. */
const STEP_MS = 2_000;
const AT_ONCE = 16;

/** What recording needs. */
export interface Recorder {
  /** The files. */
  files: TreeFiles;
  /** The workspace's real path. */
  root: string;
  /** Where contents are kept. */
  store: CheckpointStore;
  /** How much is recorded. */
  limits: ScanLimits;
}

/** Records the workspace; `last` is what it was before, whose unchanged files are not read again. */
export async function recordTree(
  { files, root, store, limits }: Recorder,
  last: Tree | null,
  signal: AbortSignal | undefined,
): Promise<Tree> {
  const at = Date.now();
  const ignores: Ignores = await outerIgnores(files, root);
  const scan = await scanTree(files, root, ignores, { limits, signal });
  const nodes = new Map<string, TreeNode>();
  let bytes = 0;
  let added = 0;
  const record = async (path: string, entry: TreeEntry): Promise<TreeNode | null> => {
    if (entry.kind === "link") {
      const content = await files.readLink(`${root}/${path}`).catch(() => null);
      return content === null ? null : { ...entry, content };
    }
    if (entry.kind !== "file" || entry.size > limits.fileBytes) return { ...entry, content: null };
    bytes += entry.size;
    if (bytes > limits.treeBytes) {
      throw tooLarge(
        `The files of the workspace that are not ignored are larger than ${limits.treeBytes} bytes together`,
      );
    }
    const known = last?.nodes.get(path);
    if (known !== undefined && known.content !== null && isTrusted(known, last!, entry)) {
      return { ...entry, content: known.content };
    }
    const content = await readInside(files, root, path, entry);
    if (content === null) return { ...entry, content: null };
    const kept = await store.putContent(content);
    added += kept.added;
    return { ...entry, content: kept.hash };
  };
  try {
    const all = [...scan.entries];
    for (let from = 0; from < all.length; from += AT_ONCE) {
      signal?.throwIfAborted();
      const some = all.slice(from, from + AT_ONCE);
      // When one is refused, the others are still kept, counted, and over before the store is unlocked.
      const recorded = await settleAll(some.map(([path, entry]) => record(path, entry)));
      recorded.forEach((node, index) => {
        if (node !== null) nodes.set(some[index]![0], node);
        else scan.unknown.push({ path: some[index]![0], why: "it could not be read" });
      });
    }
  } finally {
    await store.addBytes(added);
  }
  // What lies below a directory that became something else meanwhile is not known.
  return { at, prefix: ignores.prefix, ignores: ignores.sources, nodes, unknown: scan.unknown };
}

/** What lies in the workspace now, by the ignore files of then; and which files and links are other ones. */
export async function compareTree(
  { files, root, limits }: Recorder,
  tree: Tree,
  signal: AbortSignal | undefined,
): Promise<{ now: Scan; changed: Set<string> }> {
  const ignores = { prefix: tree.prefix, sources: tree.ignores };
  const now = await scanTree(files, root, ignores, {
    before: tree.nodes,
    // What a turn has made may be more than what is recorded.
    limits: { ...limits, entries: limits.entries * 4 },
    signal,
  });
  leaveMoved(tree, now);
  const changed = new Set<string>();
  const compare = async (path: string, node: TreeNode, entry: TreeEntry) => {
    if (node.kind === "link") {
      const target = await files.readLink(`${root}/${path}`).catch(() => null);
      if (target !== node.content) changed.add(path);
    } else if (node.kind === "file" && node.content !== null) {
      if (isTrusted(node, tree, entry)) return;
      const bytes = node.size === entry.size ? await readInside(files, root, path, entry) : null;
      if (bytes === null || await sha256(bytes) !== node.content) changed.add(path);
    }
  };
  const both: (() => Promise<void>)[] = [];
  for (const [path, node] of tree.nodes) {
    const entry = now.entries.get(path);
    if (entry?.kind === node.kind) both.push(() => compare(path, node, entry));
  }
  for (let from = 0; from < both.length; from += AT_ONCE) {
    signal?.throwIfAborted();
    await settleAll(both.slice(from, from + AT_ONCE).map((each) => each()));
  }
  return { now, changed };
}

/**
 * Leaves alone what is older than the record and not in it: it was moved here from what is ignored, from `.git` or from
 * outside, and is nowhere else.
 */
function leaveMoved({ at, nodes }: Tree, now: Scan): void {
  const recorded = new Set<string>([""]);
  for (const { id, kind, content } of nodes.values()) {
    if (kind === "directory" || content !== null) recorded.add(id);
  }
  for (const [path, { bornMs, id }] of now.entries) {
    if (!bornMs || bornMs > at - STEP_MS || recorded.has(id)) continue;
    const before = nodes.get(path);
    // The same one, on a disk that numbers its files anew.
    if (before !== undefined && (before.bornMs || bornMs) === bornMs) continue;
    leaveAlone(now, path, "it is older, and was moved here");
  }
}

/** Whether a file is surely what it was: a change in the same step of the disk's clock could not be told. */
function isTrusted(node: TreeNode, { at }: Tree, entry: TreeEntry): boolean {
  return node.ctimeMs > 0 && node.id !== "" && isSameEntry(node, entry) &&
    Math.max(node.ctimeMs, node.mtimeMs) < at - STEP_MS;
}

/** The content of a file, when it lies where it seems to: no directory above it is a link. */
async function readInside(
  files: TreeFiles,
  root: string,
  path: string,
  entry: TreeEntry,
): Promise<Uint8Array | null> {
  try {
    const bytes = await files.readExpected(`${root}/${path}`, entry);
    return bytes !== null && await isReal(files, root, parentOf(path)) ? bytes : null;
  } catch {
    return null;
  }
}

/** Whether the workspace lies where it lay: a directory above it that became a link leads to somebody else's. */
export function isThere(root: string): boolean {
  return realPath(root) === root;
}

/** Whether a directory of the workspace, and each above it, is one and no link to one. */
export async function isReal(files: TreeFiles, root: string, directory: string): Promise<boolean> {
  for (let at = directory;; at = parentOf(at)) {
    const entry = await files.entry(at === "" ? root : `${root}/${at}`).catch(() => null);
    if (entry?.kind !== "directory") return false;
    if (at === "") return isThere(root);
  }
}
