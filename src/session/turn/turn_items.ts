/**
 * The items of a turn: begun, grown by deltas, completed.
 * @module
 */
import type { JsonObject } from "../../json.ts";
import type { FileChange, ThreadItem } from "./turn_result.ts";

/** Pieces of text before they are joined: keeps memory at the size of the text, not of its pieces. */
const JOIN_AT = 256;

interface Entry {
  item: JsonObject;
  completed: boolean;
  /** The text of the deltas, but for the newest ones. */
  text: string;
  /** The newest deltas. */
  pieces: string[];
}

/** Keeps each item once, in order of appearance, whatever the order and number of messages about it. */
export class TurnItems {
  readonly #entries: Map<string, Entry> = new Map();

  /** Takes `item/started`; `false` when the item is known already. */
  begin(item: JsonObject): boolean {
    const id = idOf(item);
    const known = this.#entries.get(id);
    if (known !== undefined) {
      if (!known.completed && Object.keys(known.item).length <= 2) known.item = item;
      return false;
    }
    this.#entries.set(id, { item, completed: false, text: "", pieces: [] });
    return true;
  }

  /** Takes `item/completed`, which is the truth; `false` when it came before. */
  complete(item: JsonObject): boolean {
    const id = idOf(item);
    const known = this.#entries.get(id);
    if (known === undefined) {
      this.#entries.set(id, { item, completed: true, text: "", pieces: [] });
      return true;
    }
    const first = !known.completed;
    known.item = item;
    known.completed = true;
    known.text = "";
    known.pieces = [];
    return first;
  }

  /** Takes more text of an item. */
  grow(id: string, type: string, delta: string): void {
    let entry = this.#entries.get(id);
    if (entry === undefined) {
      // The item's beginning got lost: its text is kept all the same.
      entry = { item: { type, id }, completed: false, text: "", pieces: [] };
      this.#entries.set(id, entry);
    }
    if (entry.completed) return;
    if (entry.pieces.push(delta) >= JOIN_AT) grown(entry);
  }

  /** One item as far as it is known, or `undefined`. */
  get(id: string): ThreadItem | undefined {
    const entry = this.#entries.get(id);
    return entry === undefined ? undefined : view(entry);
  }

  /** All items in order of appearance; unfinished ones with the text so far. */
  all(): ThreadItem[] {
    return [...this.#entries.values()].map(view);
  }

  /** True while an item of this type has begun and not completed. */
  open(type: string): boolean {
    for (const entry of this.#entries.values()) {
      if (!entry.completed && entry.item["type"] === type) return true;
    }
    return false;
  }

  /**
   * The answer: the last message that the model calls final, else the last one that it does not call commentary, else
   * the last one. Completed messages win over cut ones, since a retry says everything again.
   */
  answer(): string {
    const messages = [...this.#entries.values()].filter((entry) =>
      entry.item["type"] === "agentMessage"
    );
    const completed = messages.filter((entry) => entry.completed);
    const pool = completed.length > 0 ? completed : messages;
    const best = pool.findLast((entry) => entry.item["phase"] === "final_answer") ??
      pool.findLast((entry) => entry.item["phase"] !== "commentary") ?? pool.at(-1);
    return best === undefined ? "" : messageText(best);
  }

  /** The text of the newest message, finished or not; what a stopped turn had said. */
  partialAnswer(): string {
    const messages = [...this.#entries.values()].filter((entry) =>
      entry.item["type"] === "agentMessage"
    );
    const last = messages.findLast((entry) => messageText(entry) !== "");
    return last === undefined ? "" : messageText(last);
  }

  /** True when the model has answered. */
  get hasAnswer(): boolean {
    return this.answer() !== "";
  }
}

/** The changes of a `fileChange` item, in our words. */
export function fileChanges(item: JsonObject): FileChange[] {
  const changes = item["changes"];
  if (!Array.isArray(changes)) return [];
  return changes.map((change) => {
    const { path, diff, kind } = change as Record<string, unknown>;
    const { type, move_path } = (kind ?? {}) as Record<string, unknown>;
    return {
      path: String(path ?? ""),
      kind: String(type ?? kind ?? "update"),
      diff: String(diff ?? ""),
      ...(typeof move_path === "string" ? { movePath: move_path } : {}),
    };
  });
}

function idOf(item: JsonObject): string {
  return String(item["id"] ?? "");
}

function messageText(entry: Entry): string {
  const text = entry.item["text"];
  const begun = typeof text === "string" ? text : "";
  return entry.completed ? begun : begun + grown(entry);
}

/** The text of all deltas so far. */
function grown(entry: Entry): string {
  if (entry.pieces.length > 0) {
    entry.text += entry.pieces.join("");
    entry.pieces = [];
  }
  return entry.text;
}

function view(entry: Entry): ThreadItem {
  const text = entry.completed ? "" : grown(entry);
  if (text === "") return entry.item as unknown as ThreadItem;
  const { item } = entry;
  if (item["type"] === "commandExecution") {
    return {
      ...item,
      aggregatedOutput: `${item["aggregatedOutput"] ?? ""}${text}`,
    } as unknown as ThreadItem;
  }
  if (item["type"] === "reasoning") {
    const summary = Array.isArray(item["summary"]) && item["summary"].length > 0
      ? item["summary"]
      : [text];
    return { ...item, summary } as unknown as ThreadItem;
  }
  return { ...item, text: `${item["text"] ?? ""}${text}` } as unknown as ThreadItem;
}
