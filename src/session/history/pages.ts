/**
 * Histories page by page: threads, and the turns and items of one, with no more than one page in memory.
 * @module
 */
import { MessageTooLargeError, UnsupportedError } from "../../errors/mod.ts";
import {
  defined,
  isJsonObject,
  type JsonObject,
  type JsonValue,
  objectOf,
  objectsOf,
  stringOf,
} from "../../json.ts";
import { cursorAfter, type NextCursor, secondAgain } from "./cursor.ts";
import { fileSystem } from "../../platform/fs.ts";
import { featureSince, isRefusal, supports } from "../../protocol/mod.ts";
import { isRemote, type RuntimeCore } from "../../runtime/mod.ts";
import type { ThreadItem } from "../../thread_item.ts";
import {
  type ThreadFilter,
  type ThreadSummary,
  toSummary,
  toTurn,
  type TurnSnapshot,
} from "../client/threads.ts";
import { wholePath } from "../policy/thread_params.ts";
import { threadItem } from "../turn/turn_items.ts";

/** How to go through the turns of a thread. */
export interface TurnsOptions {
  /** The last turn first. Default `false`: as they happened. */
  newestFirst?: boolean;
  /** The most turns fetched a request; fewer are where they are large. Default 20. */
  pageSize?: number;
  /** Stops; the iteration rejects with the signal's reason. */
  signal?: AbortSignal;
}

/** How to go through the items of a thread. */
export interface ItemsOptions {
  /** Only those of this turn. Default: of all turns. */
  turnId?: string;
  /** The last item first. Default `false`: as they happened. */
  newestFirst?: boolean;
  /** The most items fetched a request; fewer are where they are large. Default 50. */
  pageSize?: number;
  /** Stops; the iteration rejects with the signal's reason. */
  signal?: AbortSignal;
}

/** An item, and the turn that it is of. */
export interface TurnItem {
  /** The turn. */
  turnId: string;
  /** The item. */
  item: ThreadItem;
}

/** The most threads that codex puts into a page (0.104 to 0.169). */
const MOST_THREADS = 100;
/** A page of more bytes is followed by a smaller one, one of fewer by a larger one. */
const PAGE_BYTES = 1 << 20;
/** A thread whose server can only tell all of it in one message may have so large a file. */
const WHOLE_BYTES = 16 << 20;
/** What a list begins with. */
const FIRST_PAGE = 2;

/** How many to ask for after a page of this size; pure. */
export function nextLimit(limit: number, bytes: number, most: number): number {
  if (bytes > 2 * PAGE_BYTES) return Math.max(1, limit >> 1);
  return bytes < PAGE_BYTES ? Math.min(most, limit * 2) : limit;
}

/** Fetches page after page. One that is too large for a message is asked for again in halves. */
export async function* pagesOf(
  core: RuntimeCore,
  method: string,
  params: JsonObject,
  most: number,
  signal: AbortSignal | undefined,
  after: NextCursor = cursorAfter,
): AsyncGenerator<JsonObject> {
  let cursor: string | null = null;
  let limit = Math.min(most, FIRST_PAGE);
  do {
    signal?.throwIfAborted();
    const before = core.traffic?.bytesIn ?? 0;
    let page: JsonValue;
    try {
      page = await core.call(method, { ...params, limit, cursor }, defined({ signal }));
    } catch (error) {
      if (!(error instanceof MessageTooLargeError) || limit === 1) throw error;
      limit >>= 1;
      continue;
    }
    if (!isJsonObject(page)) return;
    // What other threads said meanwhile counts as well: then the next page is smaller than it could be.
    const next = nextLimit(limit, (core.traffic?.bytesIn ?? 0) - before, most);
    yield* objectsOf(page, "data");
    cursor = after(page, cursor, next > limit);
    limit = next;
  } while (cursor !== null);
}

/** Goes through the turns of a thread, each with its items. */
export async function* turnsOf(
  core: RuntimeCore,
  threadId: string,
  options: TurnsOptions,
  signal?: AbortSignal,
): AsyncGenerator<TurnSnapshot> {
  const { version } = core.server;
  if (!supports(version, "listsTurns")) {
    const turns = await wholeTurns(core, threadId, signal);
    if (options.newestFirst === true) turns.reverse();
    return yield* turns.map(toTurn);
  }
  if (!supports(version, "listsItems")) return yield* fullTurns(core, threadId, options, signal);
  yield* orElse(
    pagedTurns(core, threadId, options, signal),
    () => fullTurns(core, threadId, options, signal),
  );
}

/** Turn by turn; a turn can be as long as a day, so that its items are fetched page by page as well. */
async function* pagedTurns(
  core: RuntimeCore,
  threadId: string,
  { newestFirst = false, pageSize = 20 }: TurnsOptions,
  signal: AbortSignal | undefined,
): AsyncGenerator<TurnSnapshot> {
  const params = { threadId, sortDirection: direction(newestFirst), itemsView: "notLoaded" };
  for await (const turn of pagesOf(core, "thread/turns/list", params, pageSize, signal)) {
    const snapshot = toTurn(turn);
    for await (const { item } of pagedItems(core, threadId, snapshot, signal)) {
      snapshot.items.push(item);
    }
    yield snapshot;
  }
}

/** Turns with all that is in them. */
async function* fullTurns(
  core: RuntimeCore,
  threadId: string,
  { newestFirst = false, pageSize = 20 }: TurnsOptions,
  signal: AbortSignal | undefined,
): AsyncGenerator<TurnSnapshot> {
  const params = { threadId, sortDirection: direction(newestFirst), itemsView: "full" };
  for await (const turn of pagesOf(core, "thread/turns/list", params, pageSize, signal)) {
    yield toTurn(turn);
  }
}

function direction(newestFirst: boolean): string {
  return newestFirst ? "desc" : "asc";
}

/** The first list, or the other one when the server has the first for threads only that it pages itself. */
export async function* orElse<T>(
  list: AsyncIterable<T>,
  other: () => AsyncIterable<T>,
): AsyncGenerator<T> {
  try {
    return yield* list;
  } catch (error) {
    // The refusal is the answer to the first request: nothing was told yet.
    if (!isRefusal(error, "notOfThisThread")) throw error;
  }
  yield* other();
}

/** Goes through the items of a thread, or of one of its turns. */
export async function* itemsOf(
  core: RuntimeCore,
  threadId: string,
  options: ItemsOptions,
  signal?: AbortSignal,
): AsyncGenerator<TurnItem> {
  const byTurn = () => itemsByTurn(core, threadId, options, signal);
  if (!supports(core.server.version, "listsItems")) return yield* byTurn();
  yield* orElse(pagedItems(core, threadId, options, signal), byTurn);
}

async function* pagedItems(
  core: RuntimeCore,
  threadId: string,
  { turnId, newestFirst = false, pageSize = 50 }: ItemsOptions,
  signal: AbortSignal | undefined,
): AsyncGenerator<TurnItem> {
  const params = { threadId, turnId, sortDirection: direction(newestFirst) };
  for await (const entry of pagesOf(core, "thread/items/list", params, pageSize, signal)) {
    const item = objectOf(entry, "item");
    if (item === null) continue;
    yield { turnId: stringOf(entry, "turnId") ?? "", item: threadItem(item) };
  }
}

async function* itemsByTurn(
  core: RuntimeCore,
  threadId: string,
  { turnId, newestFirst = false }: ItemsOptions,
  signal: AbortSignal | undefined,
): AsyncGenerator<TurnItem> {
  const turns = supports(core.server.version, "listsTurns")
    ? fullTurns(core, threadId, { newestFirst }, signal)
    : turnsOf(core, threadId, { newestFirst }, signal);
  for await (const turn of turns) {
    if (turnId !== undefined && turn.turnId !== turnId) continue;
    const items = newestFirst ? turn.items.toReversed() : turn.items;
    for (const item of items) yield { turnId: turn.turnId, item };
  }
}

/** The turns of a thread from a server that can only tell all of them in one message; refused where that is too large. */
async function wholeTurns(
  core: RuntimeCore,
  threadId: string,
  signal: AbortSignal | undefined,
): Promise<JsonObject[]> {
  const read = async (includeTurns: boolean) => {
    const result = await core.call("thread/read", { threadId, includeTurns }, defined({ signal }));
    return objectOf(result, "thread") ?? {};
  };
  const path = stringOf(await read(false), "path");
  const bytes = path === null || isRemote(core.config)
    ? null
    : await fileSystem()?.size(path) ?? null;
  if (bytes !== null && bytes > WHOLE_BYTES) {
    throw new UnsupportedError(
      `reading a thread of ${bytes} bytes, which this codex can only send whole`,
      featureSince("listsTurns"),
      core.server.version,
      { data: { threadId, bytes, limit: WHOLE_BYTES } },
    );
  }
  return objectsOf(await read(true), "turns");
}

/** The directory of a filter as codex knows it: a relative one is one of this script's, as in the call that began there. */
export function workedIn({ config }: RuntimeCore, cwd: string | undefined): string | undefined {
  return cwd === undefined || isRemote(config) ? cwd : wholePath(cwd) ?? cwd;
}

/** Whoever began a thread, agents apart: left out, those of `codex exec`, of the Codex SDK and of codex as an MCP server are. */
export const SOURCES: string[] = ["cli", "vscode", "exec", "appServer", "unknown"];

/** Lists threads, fetching page after page. */
export async function* listThreads(
  core: RuntimeCore,
  filter: ThreadFilter,
): AsyncGenerator<ThreadSummary> {
  const { signal, pageSize = 50, cwd, archived, searchTerm, modelProviders = [], sortKey } = filter;
  // Left out, the server lists the threads of its current provider only.
  const params: JsonObject = {
    modelProviders: [...modelProviders],
    sourceKinds: SOURCES,
    cwd: workedIn(core, cwd),
    archived,
    searchTerm,
    sortKey,
  };
  const after = secondAgain(sortKey === "updated_at" ? 1 : 1000);
  // Those of the second that pages begin with once more.
  const told = new Set<string>();
  let limit = Math.min(pageSize, MOST_THREADS);
  let cursor: string | null = null;
  do {
    const page = await core.call(
      "thread/list",
      { ...params, limit, cursor },
      defined({ signal }),
    );
    if (!isJsonObject(page)) return;
    const threads = objectsOf(page, "data").map(toSummary);
    const fresh = threads.filter(({ threadId }) => !told.has(threadId));
    yield* fresh;
    const next = after(page, cursor, limit < MOST_THREADS);
    if (next !== cursor) told.clear();
    for (const { threadId } of threads) told.add(threadId);
    if (fresh.length === 0) limit = Math.min(limit * 2, MOST_THREADS);
    cursor = next;
  } while (cursor !== null);
}
