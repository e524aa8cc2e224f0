/**
 * The things that happen in a turn.
 * @module
 */
import type { ThreadItem as ServerItem } from "./protocol/generated/types.ts";

/** A command that the agent ran, as the server tells it, and its script. */
export type CommandItem = Extract<ServerItem, { type: "commandExecution" }> & {
  /** The shell's script inside the wrapper (`ls` of `bash -lc ls`), which is what people want to read; `null` without a wrapper. */
  script: string | null;
};

/** A message, reasoning, a command, a file change, a tool call …: switch on `type`. */
export type ThreadItem = Exclude<ServerItem, { type: "commandExecution" }> | CommandItem;
