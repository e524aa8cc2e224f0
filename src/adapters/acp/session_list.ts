/**
 * The list of sessions that an editor reads page by page.
 * @module
 */
import { type JsonObject, numberOf, stringOf } from "../../json.ts";
import type { Client, ThreadFilter, ThreadSummary } from "../../session/mod.ts";
import { isAbsolute, type ListResult, misfit } from "./wire.ts";

/** Sessions on a page. */
const PAGE = 100;

/** Threads of a client, of which each page begins at a position. */
export class SessionList {
  readonly #client: Client;
  readonly #closed: AbortSignal;
  /** How the list goes on that was read last: its place in a list that has changed would be another. */
  #rest: {
    place: string;
    threads: AsyncIterator<ThreadSummary>;
    next: Promise<IteratorResult<ThreadSummary>>;
  } | null = null;

  /** `closed`: the editor is gone. */
  constructor(client: Client, closed: AbortSignal) {
    this.#client = client;
    this.#closed = closed;
  }

  /** Answers `session/list`. */
  async page(params: JsonObject, signal: AbortSignal): Promise<ListResult> {
    const { cwd = null, cursor } = params;
    if (cwd !== null && !isAbsolute(cwd)) throw misfit("cwd", "an absolute path");
    const from = Number(cursor ?? 0);
    if (!(from >= 0)) throw misfit("cursor", "a number");
    const rest = this.#rest?.place === JSON.stringify([cwd, from]) ? this.#rest : null;
    this.#rest = null;
    const filter: ThreadFilter = { sortKey: "updated_at", signal: this.#closed };
    // The server's own cursors would lose threads of one second.
    const threads = rest?.threads ??
      this.#client.threads(cwd === null ? filter : { ...filter, cwd })[Symbol.asyncIterator]();
    let next = rest?.next ?? threads.next();
    const sessions: ListResult["sessions"] = [];
    for (let at = rest === null ? 0 : from;; at++) {
      const { done, value } = await next;
      if (done) return { sessions };
      if (sessions.length === PAGE) {
        this.#rest = { place: JSON.stringify([cwd, at]), threads, next };
        return { sessions, nextCursor: `${at}` };
      }
      signal.throwIfAborted();
      if (at >= from) sessions.push(listed(value.raw));
      next = threads.next();
    }
  }
}

/** How a thread of codex's is listed. */
export function listed(thread: JsonObject): ListResult["sessions"][number] {
  const title = (stringOf(thread, "name") ?? stringOf(thread, "preview") ?? "").trim();
  const updated = new Date((numberOf(thread, "updatedAt") ?? NaN) * 1_000);
  return {
    sessionId: stringOf(thread, "id") ?? "",
    cwd: stringOf(thread, "cwd") ?? "",
    ...(title === "" ? {} : { title: title.split("\n", 1)[0]!.slice(0, 200) }),
    // One date out of range is no reason to list nothing.
    ...(isNaN(updated.getTime()) ? {} : { updatedAt: updated.toISOString() }),
  };
}
