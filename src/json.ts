/**
 * Plain data: the JSON values that cross the wire, bytes as texts, maps that keep their newest entries, and tables that are
 * made when they are first asked.
 * @module
 */

/** Any value that JSON can carry. */
export type JsonValue = string | number | boolean | null | JsonValue[] | JsonObject;

/** A JSON object. */
export interface JsonObject {
  /** Members by name; an `undefined` member is left out when encoded. */
  [key: string]: JsonValue | undefined;
}

/**
 * A JSON Schema document, as the model provider understands it. Any object type passes, since schemas come as literals
 * (`as const`), as interfaces and as what libraries convert to; what is in it is checked when it is given.
 */
export type JsonSchema = object;

/**
 * Codex settings by key, dotted or nested. Any object type passes, for the same reasons; it is checked when it is given that
 * JSON can carry what is in it.
 */
export type CodexSettings = Readonly<Record<string, string | number | boolean | null | object>>;

/** A copy in which only plain data is left: what it says does not change after it was judged. */
export function plain<T>(value: T): T {
  return JSON.parse(JSON.stringify(value));
}

/** What JSON tells of a value. */
export function jsonOf(value: object): JsonValue {
  return JSON.parse(JSON.stringify(value));
}

/** Settings as codex will read them. */
export function plainSettings(settings: CodexSettings = {}): Record<string, JsonValue> {
  return plain(settings) as Record<string, JsonValue>;
}

/** Bytes in base64, as JSON usually carries them. */
export function base64(bytes: Uint8Array): string {
  let binary = "";
  // A call takes only so many arguments.
  for (let at = 0; at < bytes.length; at += 0x8000) {
    binary += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  }
  return btoa(binary);
}

/** The bytes of all parts; of one that itself. */
export function joinBytes(parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length === 1) return parts[0]!;
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** The bytes that base64 stands for. Throws for what is none. */
export function bytesOfBase64(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
}

/** Bytes in hexadecimal. */
export function hexOf(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** SHA-256 of bytes, in hexadecimal. */
export async function sha256(bytes: Uint8Array): Promise<string> {
  return hexOf(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes as BufferSource)));
}

/** Lets the oldest entries of a map or set go that are more than `most`. */
export function keepNewest(all: Map<unknown, unknown> | Set<unknown>, most: number): void {
  while (all.size > most) all.delete(all.keys().next().value);
}

/** True when `value` is a JSON object (not null, not an array). */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** What a path of names leads to in a value; `undefined` where it leads to nothing. */
export function memberOf(value: JsonValue | undefined, ...path: string[]): JsonValue | undefined {
  let member = value;
  for (const name of path) member = isJsonObject(member) ? member[name] : undefined;
  return member;
}

/** A member that is a string. */
export function stringOf(value: JsonValue | undefined, ...path: string[]): string | null {
  return asText(memberOf(value, ...path));
}

/** A member that is a number. */
export function numberOf(value: JsonValue | undefined, ...path: string[]): number | null {
  const member = memberOf(value, ...path);
  return typeof member === "number" ? member : null;
}

/** A member that is an object. */
export function objectOf(value: JsonValue | undefined, ...path: string[]): JsonObject | null {
  const member = memberOf(value, ...path);
  return isJsonObject(member) ? member : null;
}

/** The objects of a member that is an array. */
export function objectsOf(value: JsonValue | undefined, ...path: string[]): JsonObject[] {
  return asList(memberOf(value, ...path)).filter(isJsonObject);
}

/** The value, when it is a string. */
export function asText(value: JsonValue | undefined): string | null {
  return typeof value === "string" ? value : null;
}

/** The elements of a value that is an array. */
export function asList(value: JsonValue | undefined): JsonValue[] {
  return Array.isArray(value) ? value : [];
}

/** The object that a text says; `null` when it says none, as where it was cut. */
export function parseObject(text: string): JsonObject | null {
  try {
    const value: unknown = JSON.parse(text);
    return isJsonObject(value) ? value : null;
  } catch {
    return null;
  }
}

/** The messages in a text of one JSON value a line; empty lines are none. */
export function splitMessages(text: string): string[] {
  const messages: string[] = [];
  for (let from = 0; from < text.length;) {
    const newline = text.indexOf("\n", from);
    const to = newline < 0 ? text.length : newline;
    if (to > from) messages.push(text.slice(from, to));
    from = to + 1;
  }
  return messages;
}

/** The members that are set: for options that are left out, where `undefined` is another thing than absence. */
export function defined<T extends object>(value: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(
    Object.entries(value).filter(([, member]) => member !== undefined),
  ) as { [K in keyof T]?: Exclude<T[K], undefined> };
}

/** The members that are there: neither `null` nor `undefined`. */
export function present<T extends object>(value: T): { [K in keyof T]?: NonNullable<T[K]> } {
  return Object.fromEntries(
    Object.entries(value).filter(([, member]) => member !== null && member !== undefined),
  ) as { [K in keyof T]?: NonNullable<T[K]> };
}

/** A name with its sign, in quotes or without. */
const JSON_HEAD =
  /(?:(\\{0,8}["'])([A-Za-z_][\w.-]{0,60})\1\s{0,5}(?::|=>)\s{0,5}|(?<![\w$.])([A-Za-z_][\w.-]{0,60})[ \t]{0,5}[:=][ \t]{0,5}(?=[{[]))/g;
/** The types of a JSON schema, and of the schemas of code: a member of one of these is no secret. */
const SCHEMA_TYPE =
  /^(?:string|number|integer|boolean|object|array|null|any|text|password|int|bool|uuid|email)$/;

/** Which texts in JSON are to go, by the names that they stand under. */
export interface HiddenNames {
  /** Whether a text under this name goes. */
  hides(name: string): boolean;
  /** Whether each text below this name goes. */
  covers(name: string): boolean;
  /** What stands under a name instead of a text: the text itself when it is none. */
  hide(name: string, text: string): string;
}

/**
 * A text without some texts of the JSON that it holds, however deep they stand and however often it is escaped, also where it
 * ends too early; the very text when there are none. One pass, whatever it holds.
 */
export function hideInJson(text: string, names: HiddenNames): string {
  let clean = "";
  let kept = 0;
  JSON_HEAD.lastIndex = 0;
  for (let head = JSON_HEAD.exec(text); head !== null; head = JSON_HEAD.exec(text)) {
    const [whole, quote, quoted, bare] = head;
    const name = quoted ?? bare!;
    const begin = head.index + whole.length;
    const isNested = text[begin] === "{" || text[begin] === "[";
    if (!(isNested ? names.covers(name) : names.hides(name))) {
      // The value may be the name of the next.
      JSON_HEAD.lastIndex = Math.max(head.index + 1, begin - (quoted === undefined ? 0 : 1));
      continue;
    }
    const hide = (from: number, to: number) => {
      clean += text.slice(kept, from) + names.hide(name, text.slice(from, to));
      kept = to;
    };
    const end = isNested ? eachValue(text, begin, quote, hide) : scalar(text, begin, hide);
    JSON_HEAD.lastIndex = Math.max(end, head.index + 1);
  }
  return kept === 0 ? text : clean + text.slice(kept);
}

/** Where the content of a text that begins with a quote lies. */
function scalar(text: string, at: number, found: (from: number, to: number) => void): number {
  const open = quoteAt(text, at);
  if (open === null) return at;
  const { end, next } = contentEnd(text, at + open.length, open);
  if (end > at + open.length) found(at + open.length, end);
  return next;
}

/** Tells the texts within a list or an object that are values; the place where it ends. */
function eachValue(
  text: string,
  begin: number,
  quote: string | undefined,
  found: (from: number, to: number) => void,
): number {
  let depth = 0;
  for (let at = begin; at < text.length;) {
    const char = text[at]!;
    if (char === "{" || char === "[") depth++;
    else if (char === "}" || char === "]") {
      if (--depth === 0) return at + 1;
    } else if (char === '"' || char === "'" || char === "\\") {
      const open = quoteAt(text, at);
      if (open !== null) {
        // The quote that encloses all of it.
        if (quote !== undefined && open.length < quote.length) return at;
        const from = at + open.length;
        const { end, next } = contentEnd(text, from, open);
        if (next === from) return at;
        const isName = /^\s{0,5}(?::|=>)/.test(text.slice(next, next + 8));
        if (!isName && end > from && !SCHEMA_TYPE.test(text.slice(from, end))) found(from, end);
        at = next;
        continue;
      }
    }
    at++;
  }
  return text.length;
}

/** The quote at a place, with the backslashes before it. */
function quoteAt(text: string, at: number): string | null {
  let end = at;
  while (text[end] === "\\" && end - at < 8) end++;
  const char = text[end];
  return char === '"' || char === "'" ? text.slice(at, end + 1) : null;
}

/** Where a text ends: its quotes have more backslashes, in steps that tell them from its end. */
function contentEnd(text: string, from: number, open: string): { end: number; next: number } {
  const mark = open.at(-1)!;
  const level = open.length - 1;
  for (let at = from; at < text.length; at++) {
    const char = text[at];
    // No text in JSON has an end of a line that is not escaped.
    if (char === "\n") return { end: from, next: from };
    if (char !== mark) continue;
    let run = 0;
    while (at - 1 - run >= from && text[at - 1 - run] === "\\") run++;
    if (run < level) return { end: at - run, next: at - run };
    if (run % (2 * (level + 1)) === level) return { end: at - level, next: at + 1 };
  }
  return { end: text.length, next: text.length };
}

// What JSON can say and the server can read, and where in a JSON value something is (`$.items[2].name`).

/** Why a value can't be sent: where, and what is there instead. Never the value itself. */
export interface JsonMisfit {
  /** The place, such as `$.config.limits[2]`. */
  path: string;
  /** What is there, such as `NaN`. */
  found: string;
}

/**
 * Levels of objects and arrays that the server reads in one line. Its parser (serde_json) gives up at the 128th and drops
 * the line without an answer; measured on codex 0.104.0 and 0.169.0.
 */
export const MAX_JSON_DEPTH = 127;

/**
 * Whether a value arrives as it is: no numbers that JSON lacks, no functions, symbols, BigInt, cycles, nor objects whose
 * content JSON loses. `depth` is the number of levels that it may have.
 */
export function fitsJson(value: unknown, depth: number = MAX_JSON_DEPTH): boolean {
  switch (typeof value) {
    case "string":
    case "boolean":
      return true;
    case "number":
      return Number.isFinite(value);
    case "object":
      return value === null || membersFit(value, depth);
    default:
      return false;
  }
}

function membersFit(value: object, depth: number): boolean {
  // A cycle ends here as well.
  if (depth === 0) return false;
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index++) {
      if (!fitsJson(value[index], depth - 1)) return false;
    }
    return true;
  }
  const { toJSON } = value as { toJSON?: unknown };
  if (typeof toJSON === "function") {
    // Whoever says what it is in JSON may say so once only: a second `toJSON` would not be called.
    return fitsPlainly(toJSON.call(value, ""), depth);
  }
  const prototype = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null && losesContent(value)) return false;
  for (const key of Object.keys(value)) {
    const member = (value as Record<string, unknown>)[key];
    // Left out by JSON, as the server wants it.
    if (member !== undefined && !fitsJson(member, depth - 1)) return false;
  }
  return true;
}

function fitsPlainly(said: unknown, depth: number): boolean {
  if (typeof said !== "object" || said === null) return fitsJson(said, depth);
  return typeof (said as { toJSON?: unknown }).toJSON !== "function" && membersFit(said, depth);
}

/** JSON writes these as `{}`, as a list of numbers under names, or as something else than what they hold. */
function losesContent(value: object): boolean {
  return value instanceof Map || value instanceof Set || value instanceof WeakMap ||
    value instanceof WeakSet || value instanceof Promise || value instanceof RegExp ||
    value instanceof Error || value instanceof ArrayBuffer || ArrayBuffer.isView(value) ||
    value instanceof Number || value instanceof String || value instanceof Boolean;
}

/** Where a value that does not fit stops fitting, or `null`. Slower than {@linkcode fitsJson}: for the error only. */
export function jsonMisfit(
  value: unknown,
  path: string = "$",
  depth: number = MAX_JSON_DEPTH,
): JsonMisfit | null {
  try {
    return find(value, path, depth, []);
  } catch {
    return { path, found: "an object that can't be read" };
  }
}

function find(
  value: unknown,
  path: string,
  depth: number,
  above: readonly object[],
): JsonMisfit | null {
  if (fitsJson(value, depth)) return null;
  if (typeof value !== "object" || value === null) return { path, found: kindOf(value) };
  if (above.includes(value)) return { path, found: "an object that contains itself" };
  const { toJSON } = value as { toJSON?: unknown };
  const isList = Array.isArray(value);
  if (!isList && typeof toJSON !== "function" && losesContent(value)) {
    return { path, found: kindOf(value) };
  }
  const inside = [...above, value];
  if (depth > 0) {
    const said: unknown = !isList && typeof toJSON === "function" ? toJSON.call(value, "") : value;
    if (typeof said !== "object" || said === null) return { path, found: kindOf(said) };
    const keys = isList ? value.length : Object.keys(said);
    const count = typeof keys === "number" ? keys : keys.length;
    // One by one: a list may be long and empty.
    for (let index = 0; index < count; index++) {
      const key = typeof keys === "number" ? index : keys[index]!;
      const member = (said as Record<string | number, unknown>)[key];
      if (member === undefined && !isList) continue;
      const misfit = find(member, memberPath(path, key), depth - 1, inside);
      if (misfit !== null) return misfit;
    }
  }
  return { path: shortPath(path), found: `more than ${MAX_JSON_DEPTH} levels` };
}

/** The path to the bottom of a well helps nobody. */
function shortPath(path: string): string {
  return path.length > 120 ? `${path.slice(0, 120)}…` : path;
}

/** What a value is, in words, without saying the value. */
export function kindOf(value: unknown): string {
  switch (typeof value) {
    case "undefined":
      return "undefined";
    case "number":
      return Number.isFinite(value) ? "a number" : String(value);
    case "bigint":
      return "a BigInt";
    case "object":
      break;
    default:
      return `a ${typeof value}`;
  }
  if (value === null) return "null";
  if (Array.isArray(value)) return "an array";
  try {
    const name: unknown = Object.getPrototypeOf(value)?.constructor?.name;
    if (typeof name !== "string" || name === "" || name === "Object") return "an object";
    return /^[A-Za-z_$][\w$]{0,39}$/.test(name)
      ? `${/^[AEIO]/.test(name) ? "an" : "a"} ${name}`
      : "an object";
  } catch {
    return "an object that can't be read";
  }
}

// Where in a JSON value something is, such as `$.items[2].name`.

/** The path of a member below `path`. */
export function memberPath(path: string, key: string | number): string {
  if (typeof key === "number") return `${path}[${key}]`;
  return /^[A-Za-z_$][\w$]*$/.test(key) ? `${path}.${key}` : `${path}[${JSON.stringify(key)}]`;
}

/** A path from its keys, from the root on. */
export function jsonPath(keys: readonly PropertyKey[]): string {
  return keys.reduce<string>(
    (path, key) => memberPath(path, typeof key === "number" ? key : String(key)),
    "$",
  );
}

/** What is made when it is first needed, such as a table that most programs never ask. */
/* @__NO_SIDE_EFFECTS__ */
export function lazily<T extends object>(make: () => T): () => T {
  let made: T | undefined;
  return () => made ??= make();
}
