/**
 * What the agent does, as calls of tools: commands, patches, MCP calls, searches.
 * @module
 */
import { type JsonObject, type JsonValue, present } from "../../json.ts";
import { baseName, isAbsolutePath, resolvePath } from "../../platform/mod.ts";
import type { ThreadItem } from "../../thread_item.ts";
import { fenced, resultBlocks } from "./content.ts";
import type {
  ContentBlock,
  ToolCallFields,
  ToolContent,
  ToolKind,
  ToolLocation,
  ToolStatus,
} from "./wire.ts";

/** A call of a tool as it begins. */
export type ToolCallStart = ToolCallFields & { title: string; kind: ToolKind };

/** Characters of a command's output that a client gets; it has to hold them as long as the session. */
const SHOWN_OUTPUT = 200_000;

/** What an item is as a call of a tool, or `null` for what is none: messages, reasoning, the plan. */
export function toolCallOf(item: ThreadItem, cwd: string): ToolCallStart | null {
  switch (item.type) {
    case "commandExecution": {
      const { command, script, commandActions = [] } = item;
      const actions = commandActions as readonly JsonObject[];
      return {
        title: visible(script ?? command),
        kind: commandKind(actions),
        locations: actions.flatMap(({ path }) => locate(path, item.cwd)),
        rawInput: { command: script ?? command, cwd: item.cwd },
      };
    }
    case "fileChange": {
      const changes = (item.changes ?? []) as readonly Change[];
      return {
        title: changesTitle(changes),
        kind: changesKind(changes),
        locations: changes.flatMap((change) => changeLocations(change, cwd)),
        content: changes.flatMap((change) => diffs(change, cwd)),
      };
    }
    case "mcpToolCall":
      return {
        title: visible(`${item.server}: ${item.tool}`),
        kind: "other",
        rawInput: item.arguments as JsonValue,
      };
    case "dynamicToolCall":
      return { title: visible(item.tool), kind: "other", rawInput: item.arguments as JsonValue };
    case "webSearch": {
      const action = item.action as JsonObject | null | undefined;
      const url = action?.["url"];
      return typeof url === "string"
        ? { title: visible(`Open ${url}`), kind: "fetch", rawInput: { url } }
        : {
          title: visible(item.query === "" ? "Search the web" : `Search the web: ${item.query}`),
          kind: "search",
          rawInput: { query: item.query },
        };
    }
    case "imageView":
      return {
        title: visible(`Look at ${baseName(item.path)}`),
        kind: "read",
        locations: locate(item.path, cwd),
      };
    case "imageGeneration":
      return { title: "Make an image", kind: "other" };
    case "collabAgentToolCall":
      return {
        title: visible(`Agent: ${item.tool}`),
        kind: "think",
        ...(typeof item.prompt === "string" ? { rawInput: { prompt: item.prompt } } : {}),
      };
    case "sleep":
      return { title: "Wait", kind: "other" };
    default:
      return null;
  }
}

/** How a call ended: what is to be changed of its beginning. */
export function toolResultOf(item: ThreadItem): ToolCallFields {
  switch (item.type) {
    case "commandExecution": {
      const { aggregatedOutput, exitCode } = item;
      const output = aggregatedOutput ?? "";
      return {
        status: statusOf(item.status),
        content: outputContent(output),
        rawOutput: { exitCode: exitCode ?? null, output: shortened(output) },
      };
    }
    case "mcpToolCall": {
      const { result, error } = item;
      const blocks = resultBlocks((result?.content ?? []) as readonly unknown[]);
      const failure: ContentBlock[] = error ? [{ type: "text", text: error.message }] : [];
      return {
        status: statusOf(item.status),
        content: asContent([...blocks, ...failure]),
        ...present({ rawOutput: result?.structuredContent as JsonValue }),
      };
    }
    case "dynamicToolCall":
      return {
        status: item.success === false ? "failed" : statusOf(item.status),
        content: asContent(resultBlocks((item.contentItems ?? []) as readonly unknown[])),
      };
    default:
      return { status: "status" in item ? statusOf(item.status) : "completed" };
  }
}

function statusOf(status: unknown): ToolStatus {
  return status === "inProgress"
    ? "in_progress"
    : status === "failed" || status === "declined"
    ? "failed"
    : "completed";
}

/** Codex's guess at what a command does; it decides about an icon and nothing else. */
function commandKind(actions: readonly JsonObject[]): ToolKind {
  const all = (...types: string[]) =>
    actions.length > 0 && actions.every(({ type }) => types.includes(String(type)));
  return all("read") ? "read" : all("search", "listFiles", "read") ? "search" : "execute";
}

/** The output of a command as text between marks that it does not have. */
export function outputContent(output: string): ToolContent[] {
  return output === "" ? [] : textContent(fenced(shortened(output).replace(/\n$/, "")));
}

function shortened(output: string): string {
  const left = output.length - SHOWN_OUTPUT;
  if (left <= 0) return output;
  const half = SHOWN_OUTPUT / 2;
  return `${output.slice(0, half)}\n… ${left} characters are left out …\n${output.slice(-half)}`;
}

/** A text as the content of a tool. */
export function textContent(text: string): ToolContent[] {
  return asContent([{ type: "text", text }]);
}

function asContent(blocks: readonly ContentBlock[]): ToolContent[] {
  return blocks.map((content) => ({ type: "content", content }));
}

function locate(path: unknown, cwd: string): ToolLocation[] {
  if (typeof path !== "string" || path === "") return [];
  const absolute = isAbsolutePath(path) ? path : resolvePath(cwd, path);
  return isAbsolutePath(absolute) ? [{ path: absolute }] : [];
}

// Patches.

/** A change of a file, as items and questions spell it. */
export interface Change {
  path: string;
  kind: string | { type: string; move_path?: string | null };
  movePath?: string;
  /** The text of an added file, the old text of a deleted one, else unified hunks. */
  diff: string;
}

function kindOf({ kind }: Change): string {
  return typeof kind === "string" ? kind : kind.type;
}

function movedTo({ kind, movePath }: Change): string | null {
  return movePath ?? (typeof kind === "string" ? null : kind.move_path ?? null);
}

/** A title for a patch. */
export function changesTitle(changes: readonly Change[]): string {
  if (changes.length === 0) return "Change files";
  const words: Record<string, string> = { add: "Write", delete: "Delete", update: "Edit" };
  const [first] = changes;
  const word = changes.every((each) => kindOf(each) === kindOf(first!))
    ? words[kindOf(first!)] ?? "Change"
    : "Change";
  const names = changes.slice(0, 3).map(({ path }) => baseName(path));
  const more = changes.length - names.length;
  return visible(`${word} ${names.join(", ")}${more > 0 ? ` and ${more} more` : ""}`);
}

/** What kind of tool a patch is. */
export function changesKind(changes: readonly Change[]): ToolKind {
  return changes.length > 0 && changes.every((each) => kindOf(each) === "delete")
    ? "delete"
    : changes.length > 0 && changes.every((each) => movedTo(each) !== null && each.diff === "")
    ? "move"
    : "edit";
}

/** Where a change works: at its first hunk. */
export function changeLocations(change: Change, cwd: string): ToolLocation[] {
  const line = Number(/^@@ -\S+ \+(\d+)/m.exec(change.diff)?.[1] ?? Number.NaN);
  const here = locate(change.path, cwd).map((each) => line > 0 ? { ...each, line } : each);
  return [...here, ...locate(movedTo(change), cwd)];
}

/** Old and new text of a change; of an edited file one pair for each hunk, since codex tells no more of it. */
export function diffs(change: Change, cwd: string): ToolContent[] {
  const [here] = locate(movedTo(change) ?? change.path, cwd);
  const path = here?.path ?? change.path;
  switch (kindOf(change)) {
    case "add":
      return [{ type: "diff", path, newText: change.diff }];
    case "delete":
      return [{ type: "diff", path, oldText: change.diff, newText: "" }];
    default: {
      const moved = movedTo(change) === null
        ? []
        : textContent(visible(`Moved from ${change.path}`));
      const pairs = hunksOf(change.diff).map((hunk): ToolContent => ({
        type: "diff",
        path,
        ...hunk,
      }));
      return [...moved, ...pairs];
    }
  }
}

interface Hunk {
  oldText: string;
  newText: string;
}

/** The hunks of a unified diff as the text before and after. */
function hunksOf(diff: string): Hunk[] {
  const hunks: Hunk[] = [];
  let hunk: Hunk | null = null;
  // Lines that the hunk still has: what looks like a header among them is a line of the file.
  let [oldLeft, newLeft] = [0, 0];
  let last = "";
  for (const line of diff.split("\n")) {
    if (line.startsWith("\\ ")) {
      if (hunk !== null && last !== "+") hunk.oldText = hunk.oldText.replace(/\n$/, "");
      if (hunk !== null && last !== "-") hunk.newText = hunk.newText.replace(/\n$/, "");
      continue;
    }
    if (oldLeft <= 0 && newLeft <= 0) {
      const head = /^@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@/.exec(line);
      if (head === null) continue;
      [oldLeft, newLeft] = [Number(head[1] ?? 1), Number(head[2] ?? 1)];
      hunks.push(hunk = { oldText: "", newText: "" });
      continue;
    }
    last = line.charAt(0) || " ";
    const text = `${line.slice(1)}\n`;
    if (last !== "+") {
      hunk!.oldText += text;
      oldLeft--;
    }
    if (last !== "-") {
      hunk!.newText += text;
      newLeft--;
    }
  }
  return hunks;
}

/**
 * A text in which nothing is hidden: characters that control a terminal or the direction of writing or that no font draws, and
 * blanks but for the common ones, are spelled out, and long blanks are counted, so that what a person is shown is what there is.
 */
export function visible(text: string): string {
  return text
    .replace(/[ \t]{40,}/g, (run) => `⟨${run.length} blanks⟩`)
    // What is left of blanks is short: the search takes no longer than the text is.
    .replace(/(?:[ \t]*\n){10,}/g, (run) => `\n⟨${run.split("\n").length - 1} line breaks⟩\n`)
    .replace(
      /(?![\n\t ])[\p{Cc}\p{Cf}\p{Z}\u2800\p{Default_Ignorable_Code_Point}]/gu,
      (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`,
    );
}
