/**
 * Keeping values within a number of bytes.
 * @module
 */
import { utf8Length } from "../../rpc/mod.ts";
import type { JsonObject, JsonValue } from "../../json.ts";

/** A value that fits, and whether something had to go. */
export interface Fitted<T> {
  /** The value; the very one that was given when nothing had to go. */
  readonly value: T;
  /** Whether something was cut. */
  readonly cut: boolean;
}

/** Values below this are not looked into: nothing the server sends means anything there. */
const MAX_DEPTH = 64;
/** What an array element costs beside its text, so that a million numbers are bounded too. */
const ELEMENT_BYTES = 8;

/** The longest beginning of a text with at most `maxBytes` bytes of UTF-8, never half a character. */
export function fitText(text: string, maxBytes: number): Fitted<string> {
  if (text.length * 3 <= maxBytes) return { value: text, cut: false };
  const end = endWithin(text, maxBytes);
  return end === text.length
    ? { value: text, cut: false }
    : { value: text.slice(0, end), cut: true };
}

/** Adds to a text that must stay within `maxBytes`. */
export function appendText(text: string, more: string, maxBytes: number): Fitted<string> {
  // A full text is not read again for every piece that does not fit any more.
  if (text.length >= maxBytes && more !== "") return { value: text, cut: true };
  return fitText(text + more, maxBytes);
}

/** A JSON object whose texts together have at most `maxBytes` bytes; what comes first is kept. */
export function fitObject(object: JsonObject, maxBytes: number): Fitted<JsonObject> {
  if (isSmall(object, { left: maxBytes }, 0)) return { value: object, cut: false };
  const budget = { left: maxBytes, cut: false };
  const value = cutValue(object, budget, 0) as JsonObject;
  return budget.cut ? { value, cut: true } : { value: object, cut: false };
}

/** A cheap overestimate that most items pass. */
function isSmall(value: JsonValue | undefined, budget: { left: number }, depth: number): boolean {
  if (typeof value === "string") return (budget.left -= value.length * 3) >= 0;
  if (typeof value !== "object" || value === null) return true;
  if (depth >= MAX_DEPTH) return false;
  if (Array.isArray(value)) {
    budget.left -= value.length * ELEMENT_BYTES;
    return budget.left >= 0 && value.every((element) => isSmall(element, budget, depth + 1));
  }
  for (const key in value) if (!isSmall(value[key], budget, depth + 1)) return false;
  return true;
}

function cutValue(
  value: JsonValue,
  budget: { left: number; cut: boolean },
  depth: number,
): JsonValue {
  if (typeof value === "string") {
    const end = endWithin(value, budget.left);
    const text = end === value.length ? value : value.slice(0, end);
    budget.left -= utf8Length(text);
    if (end < value.length) {
      budget.cut = true;
      budget.left = 0;
    }
    return text;
  }
  if (typeof value !== "object" || value === null) return value;
  if (depth >= MAX_DEPTH) {
    budget.cut = true;
    return null;
  }
  if (Array.isArray(value)) {
    const kept: JsonValue[] = [];
    for (const element of value) {
      budget.left -= ELEMENT_BYTES;
      if (budget.left < 0) {
        budget.left = 0;
        budget.cut = true;
        break;
      }
      kept.push(cutValue(element, budget, depth + 1));
    }
    return kept;
  }
  const kept: JsonObject = {};
  for (const [key, member] of Object.entries(value)) {
    if (member !== undefined && key !== "__proto__") {
      kept[key] = cutValue(member, budget, depth + 1);
    }
  }
  return kept;
}

/** Where a text must be cut to have at most `maxBytes` bytes of UTF-8. */
function endWithin(text: string, maxBytes: number): number {
  let bytes = 0;
  for (let i = 0; i < text.length;) {
    const width = text.codePointAt(i)! > 0xffff ? 2 : 1;
    bytes += width === 2 ? 4 : widthOf(text.charCodeAt(i));
    if (bytes > maxBytes) return i;
    i += width;
  }
  return text.length;
}

function widthOf(unit: number): number {
  return unit < 0x80 ? 1 : unit < 0x800 ? 2 : 3;
}
