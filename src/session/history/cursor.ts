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

/** Makes the cursor of the next page, which may have more than this one: `grows`. */
export type NextCursor = (page: JsonObject, cursor: string | null, grows: boolean) => string | null;

/**
 * Cursors of threads are cut to the second, and the page after one leaves out what else is of that second (lists from 0.125 to
 * 0.160, searches from 0.145 to 0.169): it begins with that second once more. Where a page is of one second and can't grow,
 * codex's own cursor goes on.
 */
export function secondAgain(): NextCursor {
  let last: string | null = null;
  let whole: string | undefined;
  return (page, cursor, grows) => {
    const next = stringOf(page, "nextCursor");
    const [moment, cut] = /^[\d-]+T[\d:]+(\.\d+)?Z/.exec(next ?? "") ?? [];
    // Begun again, it would be told from its first thread on for ever.
    if (next === last && !grows) whole = moment;
    last = next;
    if (moment === undefined || moment === whole) return cursorAfter(page, cursor);
    const after = new Date(Date.parse(moment) + (cut ? 1 : 1000)).toISOString();
    return after + next!.slice(moment.length);
  };
}
