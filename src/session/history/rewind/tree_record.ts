/**
 * What a workspace was at one moment, as it is written down. What is read back is not trusted: a path of it never leads out
 * of the workspace, nor into a repository's own files.
 * @module
 */
import {
  isJsonObject,
  type JsonObject,
  type JsonValue,
  objectsOf,
  stringOf,
} from "../../../json.ts";
import type { TreeEntry } from "../../../platform/mod.ts";
import type { IgnoreSource } from "./ignore_rules.ts";

/** One path of a tree. */
export interface TreeNode extends TreeEntry {
  /** The hash of a file's content, where a link leads; `null` for what has none, or none that was kept. */
  content: string | null;
}

/** Something that a rewind leaves as it is, and why. */
export interface Skipped {
  /** From the workspace, with `/` between names. */
  path: string;
  /** The reason. */
  why: string;
}

/** What a workspace was. */
export interface Tree {
  /** When it began to be looked at, in milliseconds since 1970. */
  at: number;
  /** Where the workspace lies below the repository that it is a part of, with a `/` at its end; `""` is the top. */
  prefix: string;
  /** The ignore files at that time. */
  ignores: IgnoreSource[];
  /** Files, directories, links and others, by path. */
  nodes: Map<string, TreeNode>;
  /** What was there and is not known: it is never touched. */
  unknown: Skipped[];
}

const KINDS = ["file", "directory", "link", "other"] as const;

/** Writes it down. */
export function writeTree({ at, prefix, ignores, nodes, unknown }: Tree): string {
  const list = Array.from(
    nodes,
    ([path, { kind, mode, size, mtimeMs, ctimeMs, id, content, bornMs = 0 }]) =>
      [path, KINDS.indexOf(kind), mode, size, mtimeMs, ctimeMs, id, content, bornMs] as const,
  );
  return JSON.stringify({ version: 1, at, prefix, ignores, unknown, nodes: list });
}

/** Reads what {@linkcode writeTree} wrote; `null` when it is something else. */
export function readTree(text: string): Tree | null {
  const value: JsonValue = JSON.parse(text);
  if (!isJsonObject(value) || value["version"] !== 1 || !Array.isArray(value["nodes"])) return null;
  const nodes = new Map<string, TreeNode>();
  for (const each of value["nodes"]) {
    const node = Array.isArray(each) ? readNode(each) : null;
    if (node === null) return null;
    nodes.set(...node);
  }
  // What lies below something that is no directory has no place.
  for (const path of nodes.keys()) {
    const above = parentOf(path);
    if (above !== "" && nodes.get(above)?.kind !== "directory") return null;
  }
  return {
    at: Number(value["at"]),
    prefix: stringOf(value, "prefix") ?? "",
    ignores: objectsOf(value, "ignores").map((source) => ({
      base: stringOf(source, "base") ?? "",
      text: stringOf(source, "text") ?? "",
    })),
    nodes,
    unknown: objectsOf(value, "unknown").map(readSkipped),
  };
}

/** Reads one thing that is left as it is. */
function readSkipped(value: JsonObject): Skipped {
  return { path: stringOf(value, "path") ?? "", why: stringOf(value, "why") ?? "" };
}

function readNode(node: JsonValue[]): [string, TreeNode] | null {
  const [path, kind, mode, size, mtimeMs, ctimeMs, id, content, bornMs] = node;
  if (typeof path !== "string" || !isInner(path) || KINDS[Number(kind)] === undefined) return null;
  if (content !== null && typeof content !== "string") return null;
  return [path, {
    kind: KINDS[Number(kind)]!,
    mode: Number(mode) & 0o777,
    size: Number(size),
    mtimeMs: Number(mtimeMs),
    ctimeMs: Number(ctimeMs),
    id: String(id),
    content,
    bornMs: Number(bornMs ?? 0),
  }];
}

/** The directory that a path lies in; `""` is the workspace. */
export function parentOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf("/")));
}

/** Whether a path lies in the workspace, and in no repository's own files. */
export function isInner(path: string): boolean {
  return path !== "" && !path.includes("\0") &&
    path.split("/").every((name) => name !== "" && name !== "." && name !== ".." && !isGit(name));
}

/** Whether a name may be that of a repository's own files, on a disk that knows no letter case as well. */
export function isGit(name: string): boolean {
  return /^(?:\.git|git~\d+)[. ]*$/i.test(
    name.replace(/[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]/g, ""),
  ) ||
    name.includes("\\") && /(?:^|\\)\.git(?:\\|$)/i.test(name);
}

/** Whether a file is, by what the disk tells of it, the one that it was. */
export function isSameEntry(a: TreeEntry, b: TreeEntry): boolean {
  return a.kind === b.kind && a.mode === b.mode && a.size === b.size && a.mtimeMs === b.mtimeMs &&
    a.ctimeMs === b.ctimeMs && a.id === b.id;
}
