/**
 * The file changes that are at work, by what the server said of them. A question names its change by an id that the model
 * made, and models use ids again: what the id means is decided by what was started since, or not at all.
 * @module
 */
import { isJsonObject, type JsonObject } from "../../json.ts";
import { changesOfItem } from "../request/proposed_changes.ts";
import type { ApprovalRequest } from "../request/types.ts";

/** What one id stands for. */
interface Entry {
  /** The change as last started. */
  item: JsonObject;
  /** The content of each change that is at work under this id. */
  open: string[];
  /** Two of them differed, and nobody can tell which of them has ended. */
  doubtful: boolean;
}

const MAX_THREADS = 1000;
const MAX_ITEMS = 1000;

/** The file changes of all threads of a connection. */
export class OpenChanges {
  readonly #threads: Map<string, Map<string, Entry>> = new Map();

  /** Takes a notification; those that tell nothing of file changes pass. */
  noticed(threadId: string, method: string, { item }: JsonObject): void {
    if (!isJsonObject(item) || item["type"] !== "fileChange") return;
    const { id } = item;
    if (typeof id !== "string") return;
    if (method === "item/started") this.#start(threadId, id, item);
    if (method === "item/completed") this.#threads.get(threadId)?.get(id)?.open.pop();
  }

  #start(threadId: string, id: string, item: JsonObject): void {
    let items = this.#threads.get(threadId);
    if (items === undefined) this.#threads.set(threadId, items = new Map());
    const content = contentOf(changesOfItem(item));
    const known = items.get(id);
    if (known === undefined || known.open.length === 0) {
      items.delete(id);
      items.set(id, { item, open: [content], doubtful: false });
    } else {
      known.doubtful ||= known.open.some((other) => other !== content);
      known.open.push(content);
      known.item = item;
    }
    drop(items, MAX_ITEMS, (entry) => entry.open.length === 0);
    drop(this.#threads, MAX_THREADS, () => true);
  }

  /** Nothing of the thread's turn is at work any more. */
  turnEnded(threadId: string): void {
    for (const entry of this.#threads.get(threadId)?.values() ?? []) entry.open = [];
  }

  /** The change that is at work under this id; `undefined` when none was ever seen under it. */
  find(threadId: string | null, itemId: string): JsonObject | undefined {
    return threadId === null ? undefined : this.#threads.get(threadId)?.get(itemId)?.item;
  }

  /** Whether accepting the request might apply another change than the one that was judged. */
  isUncertain(request: ApprovalRequest): boolean {
    if (request.type !== "fileChange" || request.legacy) return false;
    const { threadId, itemId, changes } = request;
    if (threadId === null || itemId === null) return false;
    const entry = this.#threads.get(threadId)?.get(itemId);
    if (entry === undefined) return false;
    return entry.doubtful || entry.open[0] !== contentOf(changes);
  }
}

function contentOf(changes: unknown): string {
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
