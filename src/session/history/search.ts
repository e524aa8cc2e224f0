/**
 * Looking for words: in all threads, and in one.
 * @module
 */
import { MessageTooLargeError, RpcError, UnsupportedError } from "../../errors/mod.ts";
import { defined, numberOf, objectOf, stringOf } from "../../json.ts";
import { isSamePath, realPath } from "../../platform/mod.ts";
import { isRefusal, supports } from "../../protocol/mod.ts";
import { isRemote, type RuntimeCore } from "../../runtime/mod.ts";
import type { ThreadItem } from "../../thread_item.ts";
import { type ThreadSummary, toSummary } from "../client/threads.ts";
import { secondAgain } from "./cursor.ts";
import { itemsOf, listThreads, orElse, pagesOf, SOURCES, workedIn } from "./pages.ts";

/** Where to look for words, and how long. */
export interface SearchOptions {
  /** Threads that worked in this directory. Default: anywhere. */
  cwd?: string;
  /** The most threads to find. Default: all. */
  limit?: number;
  /** Stops the search; it rejects with the signal's reason. */
  signal?: AbortSignal;
}

/** A thread in which the words are. */
export interface ThreadHit {
  /** The thread. */
  thread: ThreadSummary;
  /** The words, and what is around them; `null` where the server told only the thread. */
  snippet: string | null;
}

/** A place in a thread where the words are. */
export interface TextHit {
  /** The turn. */
  turnId: string;
  /** The message, as the server's history names it. */
  itemId: string;
  /** The words, and what is around them. */
  snippet: string;
  /** Where in the snippet they begin, in UTF-16 code units. */
  start: number;
  /** Where in the snippet they end. */
  end: number;
}

/** What is told around the words, on each side. */
const AROUND = 80;
const PAGE = 50;

/** Looks for a text in all threads. */
export async function* searchThreads(
  core: RuntimeCore,
  text: string,
  { cwd, limit = Infinity }: SearchOptions,
  signal: AbortSignal,
): AsyncGenerator<ThreadHit> {
  let left = limit;
  const within = workedIn(core, cwd);
  const real = within === undefined || isRemote(core.config) ? null : realPath(within);
  const isWithin = (path: string) =>
    within === undefined || within === path || isSamePath(path, within) ||
    (real !== null && isSamePath(path, real));
  for await (const hit of hitsOf(core, text, cwd, signal)) {
    if (!isWithin(hit.thread.cwd)) continue;
    yield hit;
    if (--left <= 0) return;
  }
}

async function* hitsOf(
  core: RuntimeCore,
  text: string,
  cwd: string | undefined,
  signal: AbortSignal,
): AsyncGenerator<ThreadHit> {
  if (supports(core.server.version, "search")) {
    const params = { searchTerm: text, sourceKinds: SOURCES };
    const told = new Set<string>();
    for await (
      const hit of pagesOf(core, "thread/search", params, PAGE, signal, secondAgain())
    ) {
      const thread = toSummary(objectOf(hit, "thread") ?? {});
      if (thread.threadId === "" || told.has(thread.threadId)) continue;
      told.add(thread.threadId);
      yield { thread, snippet: stringOf(hit, "snippet") };
    }
    return;
  }
  let unread: unknown = null;
  for await (const thread of listThreads(core, { ...defined({ cwd }), signal })) {
    let hit: TextHit | null = null;
    try {
      hit = await firstHit(core, thread.threadId, text, signal);
    } catch (error) {
      if (!isOfOneThread(error)) throw error;
      // One that was deleted meanwhile is no thread any more; of one that can't be read it is not known.
      if (!isRefusal(error, "threadGone")) unread ??= error;
    }
    if (hit !== null) yield { thread, snippet: hit.snippet };
  }
  if (unread !== null) throw unread;
}

async function firstHit(
  core: RuntimeCore,
  threadId: string,
  text: string,
  signal: AbortSignal,
): Promise<TextHit | null> {
  for await (const hit of findInThread(core, threadId, text, signal)) return hit;
  return null;
}

function isOfOneThread(error: unknown): boolean {
  return error instanceof RpcError || error instanceof UnsupportedError ||
    error instanceof MessageTooLargeError;
}

/** Looks for a text in what was said on a thread. */
export async function* findInThread(
  core: RuntimeCore,
  threadId: string,
  text: string,
  signal: AbortSignal,
): AsyncGenerator<TextHit> {
  const bySaid = () => occurrencesInItems(core, threadId, text, signal);
  if (!supports(core.server.version, "searchesOccurrences")) return yield* bySaid();
  yield* orElse(occurrencesOf(core, threadId, text, signal), bySaid);
}

async function* occurrencesOf(
  core: RuntimeCore,
  threadId: string,
  text: string,
  signal: AbortSignal,
): AsyncGenerator<TextHit> {
  const params = { threadId, searchTerm: text };
  for await (const hit of pagesOf(core, "thread/searchOccurrences", params, PAGE, signal)) {
    const range = objectOf(hit, "snippetMatchRange");
    yield {
      turnId: stringOf(hit, "turnId") ?? "",
      itemId: stringOf(hit, "itemId") ?? "",
      snippet: stringOf(hit, "snippet") ?? "",
      start: numberOf(range, "start") ?? 0,
      end: numberOf(range, "end") ?? 0,
    };
  }
}

async function* occurrencesInItems(
  core: RuntimeCore,
  threadId: string,
  text: string,
  signal: AbortSignal,
): AsyncGenerator<TextHit> {
  for await (const { turnId, item } of itemsOf(core, threadId, {}, signal)) {
    for (const found of occurrences(saidIn(item), text)) {
      yield { turnId, itemId: item.id, ...found };
    }
  }
}

/** What a person or the model said with an item. */
function saidIn(item: ThreadItem): string {
  if (item.type === "agentMessage") return item.text;
  if (item.type !== "userMessage") return "";
  return item.content.map((part) => part.type === "text" ? part.text : "").join("\n");
}

/** Where a text has the words, upper and lower case alike; pure. */
export function* occurrences(
  text: string,
  words: string,
): Generator<{ snippet: string; start: number; end: number }> {
  const literal = words.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
  for (const match of text.matchAll(new RegExp(literal, "giu"))) {
    const from = boundary(text, Math.max(0, match.index - AROUND));
    const to = boundary(text, Math.min(text.length, match.index + match[0].length + AROUND));
    const start = match.index - from;
    yield { snippet: text.slice(from, to), start, end: start + match[0].length };
  }
}

/** Not within a pair of surrogates. */
function boundary(text: string, at: number): number {
  const code = text.charCodeAt(at);
  return code >= 0xDC00 && code <= 0xDFFF ? at - 1 : at;
}
