/**
 * Calls of tools of this process, on a server that goes on when the connection to it is lost. A call that it has no answer to it
 * makes again on the next connection (0.145 to 0.169). The tool has run by then, or runs: what becomes of that is the answer.
 *
 * A call is known by what the server made: its id for the request, and that of the turn. Models make the ids of calls, and
 * under the same ids another tool or other arguments are another call.
 * @module
 */
import type { JsonObject } from "../../json.ts";
import type { PendingCall } from "./pending.ts";

/** More than codex has open at once. */
const MAX_CALLS = 256;

/** The calls of turns that are not over, whether they were answered or not. */
export class KeptCalls {
  readonly #calls: Map<string, PendingCall> = new Map();

  /** The same call, as it was made before; `null` for another one, which is kept from now on. */
  known(pending: PendingCall): PendingCall | null {
    const key = keyOf(pending);
    if (key === null) return null;
    const known = this.#calls.get(key);
    // A reader answers each request of the server by itself.
    if (known !== undefined && known.waitingFor !== "reader") return known;
    pending.kept = true;
    this.#calls.set(key, pending);
    if (this.#calls.size > MAX_CALLS) this.#forgetOne();
    return null;
  }

  /** The oldest that is answered. What runs must not run again; the broker bounds how many wait. */
  #forgetOne(): void {
    for (const [key, { settled }] of this.#calls) {
      if (settled) return void this.#calls.delete(key);
    }
  }

  /** Whether it is kept. */
  has(pending: PendingCall): boolean {
    return [...this.#calls.values()].includes(pending);
  }

  /** Those of a turn, or of the one that a thread works on; `over`: they are kept no longer. */
  of(threadId: string, turnId: string | null, over: boolean): PendingCall[] {
    const found = [...this.#calls].filter(([, { request }]) =>
      request.threadId === threadId && (turnId ?? request.turnId) === request.turnId
    );
    if (over) { for (const [key] of found) this.#calls.delete(key); }
    return found.map(([, call]) => call);
  }

  /** The server has the answer to a call. Which of two under one id that is can't be told: both are kept. */
  answered(threadId: string, { type, id, tool }: JsonObject): void {
    if (type !== "dynamicToolCall") return;
    const [found, another] = [...this.#calls].filter(([, { settled, request }]) =>
      settled && request.threadId === threadId && request.type === "toolCall" &&
      request.callId === id && request.tool === tool
    );
    if (found !== undefined && another === undefined) this.#calls.delete(found[0]);
  }

  /** No call will be made again. */
  clear(): void {
    this.#calls.clear();
  }
}

/** By what a call is known; `null` for what is no call of a session's turn. */
function keyOf({ call: { rpcId }, request, session }: PendingCall): string | null {
  if (request.type !== "toolCall" || session === undefined) return null;
  const { threadId, turnId, callId, tool, namespace, arguments: args } = request;
  if (threadId === null || turnId === null) return null;
  return JSON.stringify([threadId, turnId, rpcId, callId, tool, namespace, args]);
}
