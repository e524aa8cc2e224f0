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
 * Cursors of threads are cut to the second, or to the millisecond (`stepMs`), and the page after one leaves out what else is
 * of that moment (lists from 0.125 to 0.160, searches from 0.145 to 0.169): it begins with that moment once more. Where a page
 * is of one moment and can't grow, codex's own cursor goes on, and where a moment is newer than the one before, which would
 * be told for ever. A moment at the beginning of a second has no milliseconds, whatever it is cut to.
 */
export function secondAgain(stepMs = 1000): NextCursor {
  let last: string | null = null;
  let oldest = Infinity;
  let whole: string | undefined;
  return (page, cursor, grows) => {
    const next = stringOf(page, "nextCursor");
    const [moment] = /^[\d-]+T[\d:.]+Z/.exec(next ?? "") ?? [];
    // Begun again, it would be told from its first thread on for ever.
    if (next === last && !grows) whole = moment;
    last = next;
    const after = Date.parse(moment ?? "") + stepMs;
    if (moment === undefined || moment === whole || !(after <= oldest)) {
      return cursorAfter(page, cursor);
    }
    oldest = after;
    return new Date(after).toISOString() + next!.slice(moment.length);
  };
}
