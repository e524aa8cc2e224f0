/**
 * The things that happen in a turn.
 * @module
 */
import { asList, isJsonObject, type JsonObject, type JsonValue, stringOf } from "./json.ts";
import type { ThreadItem as ServerItem } from "./protocol/generated/types.ts";

/** A command that the agent ran, as the server tells it, and its script. */
export type CommandItem = Extract<ServerItem, { type: "commandExecution" }> & {
  /** The shell's script inside the wrapper (`ls` of `bash -lc ls`), which is what people want to read; `null` without a plain wrapper. */
  script: string | null;
};

/** A message, reasoning, a command, a file change, a tool call …: switch on `type`. */
export type ThreadItem = Exclude<ServerItem, { type: "commandExecution" }> | CommandItem;

/**
 * What a command, a patch or an MCP call does; `null` for other items, which one id does not stand for twice at once.
 */
export function useOf(item: JsonObject): string | null {
  const { type, command, changes, server, tool } = item;
  const use = type === "commandExecution"
    ? command
    : type === "fileChange"
    ? changes
    : type === "mcpToolCall"
    ? [server ?? null, tool ?? null, item["arguments"] ?? null]
    : undefined;
  return use === undefined ? null : JSON.stringify([type, use]);
}

// What happens to files: asked about before, told afterwards.

/** One file that would change, or has changed. */
export interface ProposedChange {
  /** Absolute path. */
  path: string;
  /** What happens to it. */
  kind: "add" | "update" | "delete" | (string & Record<never, never>);
  /** Where it moves to, when it does. */
  movePath?: string;
  /** The text of an added file, the old text of a deleted one, else unified hunks: as the server tells it. */
  diff: string;
}

/** The changes of a `fileChange` item; `null` when it is no such item, or one of them can't be read. */
export function changesOfItem(item: unknown): ProposedChange[] | null {
  if (!isJsonObject(item) || item["type"] !== "fileChange") return null;
  return Array.isArray(item["changes"]) ? complete(item["changes"].map(changeIn)) : null;
}

/** Those changes of a `fileChange` item that can be read: for telling, where `changesOfItem` is for deciding. */
export function readableChanges(item: JsonObject): ProposedChange[] {
  return asList(item["changes"]).map(changeIn).filter((one) => one !== null);
}

/** The changes of an old `applyPatchApproval`, keyed by path; `null` when they can't be read. */
export function changesOfMap(map: JsonValue | undefined): ProposedChange[] | null {
  if (!isJsonObject(map)) return null;
  const known = Object.entries(map).map(([path, one]) =>
    isJsonObject(one)
      ? changeOf(path, { ...one, kind: one, diff: one["unified_diff"] ?? one["content"] })
      : null
  );
  return complete(known);
}

/** A list of which one entry can't be read is not known: what it hides might matter most. */
function complete(changes: (ProposedChange | null)[]): ProposedChange[] | null {
  return changes.length > 0 && changes.every((one) => one !== null) ? changes : null;
}

function changeIn(change: JsonValue): ProposedChange | null {
  return isJsonObject(change) ? changeOf(change["path"], change) : null;
}

function changeOf(path: JsonValue | undefined, change: JsonObject): ProposedChange | null {
  const kind = isJsonObject(change["kind"]) ? change["kind"] : { type: change["kind"] };
  if (typeof path !== "string" || typeof kind["type"] !== "string") return null;
  const move = kind["move_path"] ?? kind["movePath"];
  if (move !== undefined && move !== null && typeof move !== "string") return null;
  return {
    path,
    kind: kind["type"],
    ...(typeof move === "string" ? { movePath: move } : {}),
    diff: stringOf(change, "diff") ?? "",
  };
}

/** The changes as one unified diff. */
export function unifiedDiff(changes: readonly ProposedChange[]): string {
  return changes.map(diffOf).join("");
}

function diffOf(change: ProposedChange): string {
  const { path, kind, diff } = change;
  const from = kind === "add" ? "/dev/null" : `a/${path.replace(/^\//, "")}`;
  const to = kind === "delete" ? "/dev/null" : `b/${(change.movePath ?? path).replace(/^\//, "")}`;
  const head = `--- ${from}\n+++ ${to}\n`;
  if (diff === "") return head;
  if (kind !== "add" && kind !== "delete") {
    return `${head}${diff.replace(/\n+Moved to: [^\n]*\n*$/, "\n").replace(/\n?$/, "\n")}`;
  }
  const complete = diff.endsWith("\n");
  const lines = (complete ? diff.slice(0, -1) : diff).split("\n");
  const sign = kind === "add" ? "+" : "-";
  const range = lines.length === 1 ? "1" : `1,${lines.length}`;
  const hunk = kind === "add" ? `@@ -0,0 +${range} @@\n` : `@@ -${range} +0,0 @@\n`;
  return head + hunk + lines.map((line) => `${sign}${line}\n`).join("") +
    (complete ? "" : "\\ No newline at end of file\n");
}
