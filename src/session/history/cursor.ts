/**
 * From one page of the server's to the next.
 * @module
 */
import { type JsonObject, stringOf } from "../../json.ts";

/** The cursor of the page after one that this cursor gave; a server that gives the same one again is not followed. */
export function cursorAfter(page: JsonObject, cursor: string | null): string | null {
  const next = stringOf(page, "nextCursor");
  return next === cursor ? null : next;
}
