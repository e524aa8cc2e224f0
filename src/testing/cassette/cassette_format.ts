/**
 * Cassettes as text: one message a line, with random ids and times made stable.
 * @module
 */
import { CodexError, type ProcessExit } from "../../errors/mod.ts";
import { defined, isJsonObject, type JsonObject, type JsonValue } from "../../json.ts";

/** One recorded message, or the end of a connection. */
export interface CassetteMessage {
  /** Milliseconds since the recording began. */
  readonly t: number;
  /** `">"` to the server, `"<"` from it. */
  readonly dir: ">" | "<";
  /** The message; left out where the server ended the connection. */
  readonly m?: JsonObject;
  /** Which connection it belongs to, from 0; left out for the first. */
  readonly c?: number;
  /** How the server ended the connection. */
  readonly closed?: CassetteClosed;
}

/** A message, and its line in the cassette, from 1. */
export interface CassetteEntry {
  readonly message: CassetteMessage;
  readonly line: number;
}

/** How a server ended. */
export interface CassetteClosed {
  /** How its process ended; `null` when unknown. */
  readonly exit: ProcessExit | null;
  /** What it last wrote to stderr. */
  readonly stderrTail: string;
}

/** Reads a cassette. */
export function parseCassette(text: string): CassetteMessage[] {
  const messages: CassetteMessage[] = [];
  const lines = text.split("\n");
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i]!.trim();
    if (line === "") continue;
    let entry: JsonValue;
    try {
      entry = JSON.parse(line);
    } catch (cause) {
      throw unreadable(i + 1, "not JSON", cause);
    }
    if (!isJsonObject(entry)) throw unreadable(i + 1, "not an object");
    const { t = 0, dir, m, c, closed } = entry;
    if (dir !== ">" && dir !== "<") throw unreadable(i + 1, "`dir` is neither `>` nor `<`");
    if (!isJsonObject(m) && !isJsonObject(closed)) {
      throw unreadable(i + 1, "`m` is not a message");
    }
    messages.push({
      t: typeof t === "number" ? t : 0,
      dir,
      ...(isJsonObject(m) ? { m } : {}),
      ...(typeof c === "number" ? { c } : {}),
      ...(isJsonObject(closed) ? { closed: closed as unknown as CassetteClosed } : {}),
    });
  }
  return messages;
}

function unreadable(line: number, why: string, cause?: unknown): CodexError {
  return new CodexError(
    "cassetteUnreadable",
    `Line ${line} of the cassette can't be read: ${why}.`,
    {
      data: { line },
      ...defined({ cause }),
    },
  );
}

/** Writes a cassette. */
export function formatCassette(messages: readonly CassetteMessage[]): string {
  return messages.map((message) => JSON.stringify(message) + "\n").join("");
}

const UUID = /[0-9a-f]{8}-[0-9a-f]{4}-([0-9a-f])[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}/g;
/** Where the time begins in every cassette, in milliseconds since 1970. */
const EPOCH_MS = 1_700_000_000_000;
/** Numbers below are seconds since 1970, the others milliseconds. */
const SECONDS_BELOW = 100_000_000_000;
/** Numbers below are no times at all. */
const TIMES_ABOVE = 1_000_000_000;

/** The same messages with counted ids, times that begin at a fixed moment, and some texts replaced. */
export function normalize(
  messages: readonly CassetteMessage[],
  replace: Readonly<Record<string, string>> = {},
): CassetteMessage[] {
  const ids = new Map<string, string>();
  const offset = { ms: null as number | null };
  // Longer texts first: one may be the beginning of another.
  const texts = Object.entries(replace).filter(([was]) => was !== "")
    .sort(([a], [b]) => b.length - a.length)
    .map(([was, is]) => [inJson(was), inJson(is)] as const);
  return messages.map((message) => {
    let line = JSON.stringify({ ...message, m: shifted(message.m ?? null, "", offset) });
    for (const [was, is] of texts) line = line.replaceAll(was, () => is);
    line = line.replace(UUID, (id, version) => {
      const stable = ids.get(id) ??
        `01a20000-0000-${version}000-8000-${String(ids.size + 1).padStart(12, "0")}`;
      ids.set(id, stable);
      return stable;
    });
    const stable = JSON.parse(line) as CassetteMessage & { m?: JsonObject | null };
    if (stable.m !== null) return stable;
    const { m: _none, ...rest } = stable;
    return rest;
  });
}

/** A text as it stands within JSON. */
export function inJson(text: string): string {
  return JSON.stringify(text).slice(1, -1);
}

function shifted(value: JsonValue, key: string, offset: { ms: number | null }): JsonValue {
  if (typeof value === "number") {
    if (value < TIMES_ABOVE || !/At(Ms)?$/.test(key)) return value;
    const unit = value < SECONDS_BELOW ? 1000 : 1;
    offset.ms ??= EPOCH_MS - Math.floor(value * unit / 1000) * 1000;
    return value + offset.ms / unit;
  }
  if (Array.isArray(value)) return value.map((element) => shifted(element, key, offset));
  if (!isJsonObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => [name, shifted(member ?? null, name, offset)]),
  );
}
