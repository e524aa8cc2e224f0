/**
 * The file changes and MCP calls that are active, by what the server said of them. A question names its change by an id that
 * the model made, and models use ids again: what the id means is decided by what was started since, or not at all. A question
 * about an MCP call names none, yet codex looks up what the answer is for by that id.
 * @module
 */
import { changesOfItem, changesOfMap, type ProposedChange } from "../../thread_item.ts";
import { isJsonObject, type JsonObject } from "../../json.ts";

/** What one id stands for. */
export interface Entry {
  /** The item as last started. */
  item: JsonObject;
  /** The content of each item of its type that is active under this id. */
  open: string[];
  /** What the first question is about, as far as the server says so of itself: codex 0.104 does. */
  asked?: string;
  /** Two of them differed, and nobody can tell which of them has ended. */
  doubtful: boolean;
}

/** What codex 0.104 is about to ask of a file change; its own notification, beside the question itself. */
const ASKS_PATCH = "codex/event/apply_patch_approval_request";

const MAX_THREADS = 1000;
const MAX_ITEMS = 1000;

/** The file changes and MCP calls of all threads of a connection. */
export class OpenChanges {
  readonly #threads: Map<string, Map<string, Entry>> = new Map();

  /** Takes a notification; those that tell nothing of such items pass. True when it is of no use to anybody else. */
  noticed(threadId: string, method: string, { item, msg }: JsonObject): boolean {
    if (method === ASKS_PATCH) {
      this.#ask(threadId, msg);
      return true;
    }
    if (!isJsonObject(item) || typeof item["id"] !== "string") return false;
    const key = keyOf(item["type"], item["id"]);
    if (key === null) return false;
    if (method === "item/started") this.#start(threadId, key, item);
    if (method === "item/completed") end(this.#threads.get(threadId)?.get(key)?.open, item);
    return false;
  }

  #start(threadId: string, key: string, told: JsonObject): void {
    // Those who listen get it as well, and may make of it what they show.
    const item = structuredClone(told);
    let items = this.#threads.get(threadId);
    if (items === undefined) this.#threads.set(threadId, items = new Map());
    const content = itemContent(item);
    const known = items.get(key);
    if (known === undefined || known.open.length === 0) {
      items.delete(key);
      items.set(key, { item, open: [content], doubtful: false });
    } else {
      known.doubtful ||= known.open.some((other) => other !== content);
      known.open.push(content);
      known.item = item;
    }
    drop(items, MAX_ITEMS, (entry) => entry.open.length === 0);
    drop(this.#threads, MAX_THREADS, () => true);
  }

  /**
   * Codex 0.104 tells of one change only when two come under one id, and then asks twice. What it is about to ask, it says
   * in a notification right before.
   */
  #ask(threadId: string, msg: unknown): void {
    if (!isJsonObject(msg) || typeof msg["call_id"] !== "string") return;
    const entry = this.change(threadId, msg["call_id"]);
    if (entry === undefined || entry.open.length === 0) return;
    const changes = changesOfMap(msg["changes"]);
    entry.doubtful ||= placesOf(changes) !== placesOf(changesOfItem(entry.item)) ||
      (entry.asked ?? contentOf(changes)) !== contentOf(changes);
    entry.asked = contentOf(changes);
  }

  /** Nothing of the thread's turn is active any more. */
  turnEnded(threadId: string): void {
    for (const entry of this.#threads.get(threadId)?.values() ?? []) entry.open = [];
  }

  /** Nothing of any thread is active any more. */
  clear(): void {
    this.#threads.clear();
  }

  /** The change that is active under this id; `undefined` when none was ever seen under it. */
  find(threadId: string | null, itemId: string): JsonObject | undefined {
    return threadId === null ? undefined : this.change(threadId, itemId)?.item;
  }

  /** What stands under the id of a change. */
  change(threadId: string, itemId: string): Entry | undefined {
    return this.#threads.get(threadId)?.get(keyOf("fileChange", itemId)!);
  }

  /** All of a thread. */
  all(threadId: string): Entry[] {
    return [...this.#threads.get(threadId)?.values() ?? []];
  }
}

/** Codex keeps what waits for consent to a call apart from what waits for consent to a change. */
function keyOf(type: unknown, id: string): string | null {
  return type === "fileChange" || type === "mcpToolCall" ? `${type} ${id}` : null;
}

function itemContent(item: JsonObject): string {
  return item["type"] === "fileChange"
    ? contentOf(changesOfItem(item))
    : callContent(item["server"], item["tool"], item["arguments"]);
}

/** One of those that are active under an id has ended: the one that is told, or else any. */
function end(open: string[] | undefined, item: JsonObject): void {
  const at = open?.lastIndexOf(itemContent(item)) ?? -1;
  open?.splice(at, 1);
}

/** Which call of an MCP tool it is. */
export function callContent(server: unknown, tool: unknown, args: unknown): string {
  return contentOf([server, tool, args ?? null]);
}

/** Both forms spell the diff in their own way, and the files alike, in any order. */
function placesOf(changes: ProposedChange[] | null): string {
  const places = changes?.map(({ path, kind, movePath }) => JSON.stringify([path, kind, movePath]));
  return contentOf(places?.sort() ?? null);
}

/** Which changes these are. */
export function contentOf(changes: unknown): string {
  return JSON.stringify(changes);
}

/** Forgets the oldest that may be forgotten. */
function drop<T>(entries: Map<string, T>, most: number, may: (entry: T) => boolean): void {
  if (entries.size <= most) return;
  for (const [key, entry] of entries) {
    if (!may(entry)) continue;
    entries.delete(key);
    return;
  }
}
