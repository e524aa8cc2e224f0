/**
 * The things that happen in a turn.
 * @module
 */
import type { JsonObject } from "./json.ts";
import type { ThreadItem as ServerItem } from "./protocol/generated/types.ts";

/** A command that the agent ran, as the server tells it, and its script. */
export type CommandItem = Extract<ServerItem, { type: "commandExecution" }> & {
  /** The shell's script inside the wrapper (`ls` of `bash -lc ls`), which is what people want to read; `null` without a wrapper. */
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
