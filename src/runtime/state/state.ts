/**
 * A bounded picture of what a connection is doing: threads, their turns, their items.
 * @module
 */
import { type JsonObject, type JsonValue, objectOf, stringOf } from "../../json.ts";
import type { StateLimits } from "../config.ts";
import type { EventKind } from "../log/event_envelope.ts";
import {
  growThread,
  interruptThread,
  newThread,
  paramsOf,
  reduceResult,
  reduceThread,
  threadOfNotification,
  threadOfResult,
  withoutTurns,
} from "./state_threads.ts";
import type { RuntimeState, StateBounds, ThreadState } from "./state_types.ts";

/** One message, as far as the projection cares. */
export interface ProjectionInput {
  /** What it is. Responses, notifications and changes of the connection count, everything else is passed over. */
  kind: EventKind;
  /** Its method; the request's method for a response. */
  method: string | undefined;
  /** The whole message. */
  message: JsonObject;
}

/** Whose text a delta is. */
export interface DeltaKey {
  /** The notification's method. */
  readonly method: string;
  /** The thread. */
  readonly threadId: string;
  /** The turn. */
  readonly turnId: string;
  /** The item. */
  readonly itemId: string;
}

/** Text of one item that is not folded in yet. */
interface HeldText {
  readonly key: DeltaKey;
  length: number;
  readonly pieces: string[];
}

/** Characters of text held back before they are folded in. */
const HELD_CHARACTERS = 65_536;
/** The same for all threads together; more threads may stream than are kept. */
const HELD_IN_ALL = 1_048_576;
/** Threads whose text is held back. */
const HELD_THREADS = 8_192;

/**
 * Folds messages into a state. The folding itself is pure (`state_threads.ts`); this class only remembers the newest
 * version of each thread, and holds deltas back so that a flood costs one string append each.
 */
export class StateProjection {
  readonly #bounds: StateBounds;
  /** In order of use, least recent first. */
  readonly #threads: Map<string, ThreadState> = new Map();
  /** Those without a running turn, in the same order: they are forgotten first. */
  readonly #idle: Set<string> = new Set();
  /** The newest run of deltas of each thread. */
  readonly #held: Map<string, HeldText> = new Map();
  /** The one that grew last; in a flood it is the next one too. */
  #growing: HeldText | null = null;
  #heldCharacters = 0;
  /** Where reverts that wait for their answer begin, by the request's id. */
  readonly #reverts: Map<JsonValue | undefined, string> = new Map();
  #dropped = 0;
  #snapshot: RuntimeState | null = null;

  /** Creates an empty projection. */
  constructor(limits: StateLimits = {}) {
    this.#bounds = {
      threads: atLeastOne(limits.threads ?? 256),
      turns: atLeastOne(limits.turns ?? 256),
      items: atLeastOne(limits.items ?? 256),
      textBytes: Math.max(0, limits.textBytes ?? 262_144),
    };
  }

  /** Folds in the next message. Never throws, whatever the message holds. */
  apply(input: ProjectionInput): void {
    const { kind, method, message } = input;
    if (kind === "connection") return this.#connection(message);
    if (method === undefined) return;
    if (kind === "notification") {
      const params = paramsOf(message);
      const thread = threadOfNotification(method, params);
      if (thread === null) return;
      this.#change(
        thread.id,
        thread.create,
        (before) => reduceThread(before, method, params, this.#bounds),
      );
    } else if (kind === "request") {
      if (method !== "thread/revert") return;
      // The answer to a revert does not tell which turns are gone.
      const before = stringOf(paramsOf(message), "beforeTurnId");
      if (before !== null) this.#reverts.set(message["id"], before);
    } else if (kind === "response") {
      const before = method === "thread/revert" ? this.#reverted(message["id"]) : null;
      const result = objectOf(message, "result");
      const id = result === null ? null : threadOfResult(method, result);
      if (id === null) return;
      this.#change(id, true, (thread) => {
        const left = before === null ? thread : withoutTurns(thread, before);
        return reduceResult(left, method, result!, this.#bounds);
      });
    }
  }

  /** Where the revert began that this answers, which is over. */
  #reverted(id: JsonValue | undefined): string | null {
    const before = this.#reverts.get(id) ?? null;
    this.#reverts.delete(id);
    return before;
  }

  /** Folds in the next text of an item. */
  applyDelta(head: DeltaKey, delta: string): void {
    const growing = this.#growing;
    if (growing !== null && growing.key === head && growing.length < HELD_CHARACTERS) {
      return this.#grow(growing, delta);
    }
    this.#snapshot = null;
    const held = this.#held.get(head.threadId);
    if (held !== undefined) {
      if (sameItem(held.key, head) && held.length < HELD_CHARACTERS) {
        this.#growing = held;
        return this.#grow(held, delta);
      }
      this.#fold(head.threadId);
    }
    if (this.#held.size >= HELD_THREADS) this.#foldAll();
    const fresh = { key: head, length: 0, pieces: [] };
    this.#growing = fresh;
    this.#held.set(head.threadId, fresh);
    this.#grow(fresh, delta);
  }

  /** The state now. Costs nothing when nothing has changed since the last call. */
  snapshot(): RuntimeState {
    this.#foldAll();
    this.#snapshot ??= {
      threads: Object.fromEntries(this.#threads),
      threadsDropped: this.#dropped,
    };
    return this.#snapshot;
  }

  #connection(message: JsonObject): void {
    const state = message["state"];
    if (state !== "restarting" && state !== "closed") return;
    this.#reverts.clear();
    this.#foldAll();
    this.#snapshot = null;
    this.#idle.clear();
    for (const [id, thread] of this.#threads) {
      this.#threads.set(id, interruptThread(thread));
      this.#idle.add(id);
    }
  }

  #grow(held: HeldText, delta: string): void {
    held.length += delta.length;
    held.pieces.push(delta);
    this.#heldCharacters += delta.length;
    if (this.#heldCharacters > HELD_IN_ALL) this.#foldAll();
  }

  #foldAll(): void {
    for (const threadId of this.#held.keys()) this.#fold(threadId);
  }

  #fold(threadId: string): void {
    const held = this.#held.get(threadId);
    if (held === undefined) return;
    this.#held.delete(threadId);
    this.#heldCharacters -= held.length;
    if (this.#growing === held) this.#growing = null;
    const { method, turnId, itemId } = held.key;
    const delta = { method, turnId, itemId, delta: held.pieces.join(""), index: null };
    this.#put(
      threadId,
      growThread(this.#threads.get(threadId) ?? newThread(threadId), delta, this.#bounds),
    );
  }

  #change(
    threadId: string,
    create: boolean,
    reduce: (thread: ThreadState) => ThreadState | null,
  ): void {
    this.#fold(threadId);
    const before = this.#threads.get(threadId);
    if (before === undefined && !create) return;
    const after = reduce(before ?? newThread(threadId));
    this.#snapshot = null;
    if (after === null) this.#forget(threadId);
    else this.#put(threadId, after);
  }

  #put(threadId: string, thread: ThreadState): void {
    this.#forget(threadId);
    this.#threads.set(threadId, thread);
    if (thread.activeTurnId === null) this.#idle.add(threadId);
    if (this.#threads.size <= this.#bounds.threads) return;
    this.#forget(this.#leastUseful(threadId));
    this.#dropped++;
  }

  #forget(threadId: string): void {
    this.#threads.delete(threadId);
    this.#idle.delete(threadId);
  }

  /** The least recently used thread, rather one without a running turn, and never the newest. */
  #leastUseful(newest: string): string {
    const [idle] = this.#idle;
    if (idle !== undefined && idle !== newest) return idle;
    const [oldest] = this.#threads.keys();
    return oldest ?? newest;
  }
}

function sameItem(a: DeltaKey, b: DeltaKey): boolean {
  return a === b || (a.itemId === b.itemId && a.turnId === b.turnId && a.method === b.method);
}

function atLeastOne(limit: number): number {
  return Math.max(1, Math.floor(limit));
}
