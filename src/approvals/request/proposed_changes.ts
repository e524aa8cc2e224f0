/**
 * The changes that a file-change request is about, and a diff to show them.
 * @module
 */
import { isJsonObject, type JsonObject, type JsonValue } from "../../json.ts";
import type { ProposedChange } from "./types.ts";

/** The changes of a `fileChange` item; `null` when it is no such item. */
export function changesOfItem(item: unknown): ProposedChange[] | null {
  if (!isJsonObject(item) || item["type"] !== "fileChange") return null;
  const changes = item["changes"];
  if (!Array.isArray(changes)) return null;
  const known = changes.map((one) => isJsonObject(one) ? changeOf(one["path"], one) : null);
  return complete(known);
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

function changeOf(path: JsonValue | undefined, change: JsonObject): ProposedChange | null {
  const kind = isJsonObject(change["kind"]) ? change["kind"] : { type: change["kind"] };
  if (typeof path !== "string" || typeof kind["type"] !== "string") return null;
  const move = kind["move_path"] ?? kind["movePath"];
  if (move !== undefined && move !== null && typeof move !== "string") return null;
  return {
    path,
    kind: kind["type"],
    ...(typeof move === "string" ? { movePath: move } : {}),
    diff: typeof change["diff"] === "string" ? change["diff"] : "",
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
