/**
 * The file changes that are active, by what the server said of them. A question names its change by an id that the model
 * made, and models use ids again: what the id means is decided by what was started since, or not at all.
 * @module
 */
import { isJsonObject, type JsonObject } from "../../json.ts";
import { changesOfItem, changesOfMap } from "../request/parse_request.ts";
import type { ApprovalRequest, ProposedChange } from "../request/types.ts";

/** What one id stands for. */
interface Entry {
  /** The change as last started. */
  item: JsonObject;
  /** The content of each change that is active under this id. */
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

/** The file changes of all threads of a connection. */
export class OpenChanges {
  readonly #threads: Map<string, Map<string, Entry>> = new Map();

  /** Takes a notification; those that tell nothing of file changes pass. True when it is of no use to anybody else. */
  noticed(threadId: string, method: string, { item, msg }: JsonObject): boolean {
    if (method === ASKS_PATCH) {
      this.#ask(threadId, msg);
      return true;
    }
    if (!isJsonObject(item) || item["type"] !== "fileChange") return false;
    const { id } = item;
    if (typeof id !== "string") return false;
    if (method === "item/started") this.#start(threadId, id, item);
    if (method === "item/completed") this.#threads.get(threadId)?.get(id)?.open.pop();
    return false;
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

  /**
   * Codex 0.104 tells of one change only when two come under one id, and then asks twice. What it is about to ask, it says
   * in a notification right before.
   */
  #ask(threadId: string, msg: unknown): void {
    if (!isJsonObject(msg) || typeof msg["call_id"] !== "string") return;
    const entry = this.#threads.get(threadId)?.get(msg["call_id"]);
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

  /** The change that is active under this id; `undefined` when none was ever seen under it. */
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

/** Both forms spell the diff in their own way, and the files alike, in any order. */
function placesOf(changes: ProposedChange[] | null): string {
  const places = changes?.map(({ path, kind, movePath }) => JSON.stringify([path, kind, movePath]));
  return contentOf(places?.sort() ?? null);
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
