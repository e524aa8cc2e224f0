/**
 * Text deltas without parsing them.
 *
 * In a flood nearly every line is the next delta of the same item: the same bytes up to the text. Those lines are
 * recognised by their head, and the text is cut out; only lines with escapes are parsed.
 * @module
 */
import type { JsonObject } from "../json.ts";

/** What all deltas of one item have in common. */
export interface DeltaHead {
  /** The notification's method, such as `item/agentMessage/delta`. */
  readonly method: string;
  /** The thread. */
  readonly threadId: string;
  /** The turn. */
  readonly turnId: string;
  /** The item. */
  readonly itemId: string;
  /** The line up to the text. */
  readonly text: string;
}

const MARK = '"delta":"';
const QUOTE = 34;
const BRACE = 125;
const COMMA = 44;
/** Heads kept; a thousand sessions stream at once at most. */
const MAX_HEADS = 2048;

/** Learns the heads of delta lines, and reads the lines that begin with one. */
export class DeltaReader {
  #last: DeltaHead | null = null;
  readonly #heads: Map<string, DeltaHead> = new Map();

  /** The head of a line whose text can be cut out with {@linkcode deltaText}, else `null`. */
  match(line: string): DeltaHead | null {
    let head = this.#last;
    if (head === null) return null;
    if (!line.startsWith(head.text)) {
      const mark = line.indexOf(MARK);
      if (mark < 0) return null;
      const known = this.#heads.get(line.slice(0, mark + MARK.length));
      if (known === undefined) return null;
      this.#last = head = known;
    }
    const start = head.text.length;
    const end = line.indexOf('"', start);
    if (end < 0 || !endsLikeDelta(line, end)) return null;
    const escape = line.indexOf("\\", start);
    return escape >= 0 && escape < end ? null : head;
  }

  /** Remembers the head of a delta that was parsed, if its line is written the way the server writes them. */
  learn(line: string, method: string, params: JsonObject): void {
    const { threadId, turnId, itemId, delta } = params as Record<string, unknown>;
    if (
      typeof delta !== "string" || typeof threadId !== "string" || typeof turnId !== "string" ||
      typeof itemId !== "string"
    ) return;
    const text =
      `{"method":${JSON.stringify(method)},"params":{"threadId":${JSON.stringify(threadId)},` +
      `"turnId":${JSON.stringify(turnId)},"itemId":${JSON.stringify(itemId)},${MARK}`;
    if (!line.startsWith(text)) return;
    if (this.#heads.size >= MAX_HEADS) this.#heads.clear();
    this.#last = { method, threadId, turnId, itemId, text };
    this.#heads.set(text, this.#last);
  }
}

/** The text of a line that {@linkcode DeltaReader.match} recognised. */
export function deltaText(line: string, head: DeltaHead): string {
  const start = head.text.length;
  return line.slice(start, line.indexOf('"', start));
}

/** After the text: the end of `params`, and nothing else but the time of emission. */
function endsLikeDelta(line: string, quote: number): boolean {
  if (line.charCodeAt(quote) !== QUOTE || line.charCodeAt(quote + 1) !== BRACE) return false;
  const next = line.charCodeAt(quote + 2);
  if (next === BRACE) return line.length === quote + 3;
  return next === COMMA && line.startsWith('"emittedAtMs":', quote + 3) &&
    line.charCodeAt(line.length - 1) === BRACE && line.length < quote + 48;
}
