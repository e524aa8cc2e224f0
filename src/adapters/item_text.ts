/**
 * The texts of items.
 * @module
 */
import { isJsonObject } from "../json.ts";
import type { ThreadItem } from "../thread_item.ts";

/** The text of a message or a plan. */
export function textOf(item: ThreadItem): string {
  const { text } = item as { text?: unknown };
  return typeof text === "string" ? text : "";
}

/** The summary of what was thought, or the thoughts. */
export function reasonedText(item: ThreadItem): string {
  const { summary, content } = item as { summary?: unknown; content?: unknown };
  return [summary, content].map((list) =>
    Array.isArray(list) ? list.filter((each) => typeof each === "string").join("\n\n") : ""
  ).find((each) => each !== "") ?? "";
}

/** What a person said, as text. */
export function saidText(item: ThreadItem): string {
  const { content } = item as { content?: unknown };
  if (!Array.isArray(content)) return "";
  return content.flatMap((each) => isJsonObject(each) ? [each["text"]] : [])
    .filter((text) => typeof text === "string").join("\n");
}
