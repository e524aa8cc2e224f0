/**
 * One thread per artifact: resumed when it is known, started when not, released when unused.
 * @module
 */
import {
  ConnectionClosedError,
  RpcError,
  SessionClosedError,
  ThreadInUseError,
} from "../errors/mod.ts";
import { abortable } from "../async.ts";
import { isRefusal } from "../protocol/mod.ts";
import type { SessionConfig } from "../session/mod.ts";
import type { ArtifactClient, ArtifactThread } from "./client.ts";
import type { ArtifactStore } from "./store/store.ts";

interface Slot {
  /** The thread, or the attempt to get one. */
  thread: Promise<ArtifactThread> | null;
  /** Settles when the thread before is released: resuming one while it is released would lose it. */
  released: Promise<void>;
  /** Whether that goes on: a slot that is forgotten meanwhile would have its thread resumed at once. */
  releasing: boolean;
  /** Settles when the last task in line is done. */
  tail: Promise<void>;
  /** Calls that use the slot now. */
  users: number;
}

/** The threads of a manager. */
export class ArtifactThreads {
  readonly #client: ArtifactClient;
  readonly #store: ArtifactStore;
  readonly #config: SessionConfig;
  readonly #maxIdle: number;
  /** Least recently used first. */
  readonly #slots = new Map<string, Slot>();
  /** Aborted by {@linkcode close}: a store that never answers keeps nobody waiting for it. */
  readonly #ended = new AbortController();

  constructor(
    client: ArtifactClient,
    store: ArtifactStore,
    config: SessionConfig,
    maxIdle: number,
  ) {
    this.#client = client;
    this.#store = store;
    this.#config = config;
    this.#maxIdle = maxIdle;
  }

  /** Runs `body` with the artifact's thread, and with what ends its waits for the store: the caller's signal, or the close. */
  async use<T>(
    artifactId: string,
    signal: AbortSignal | undefined,
    body: (thread: ArtifactThread, until: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const slot = this.#enter(artifactId, signal);
    try {
      return await this.#with(slot, artifactId, signal, body);
    } finally {
      await this.#leave(slot);
    }
  }

  /** Like {@linkcode use}, after all earlier calls of this kind for the artifact. */
  async useInTurn<T>(
    artifactId: string,
    signal: AbortSignal | undefined,
    body: (thread: ArtifactThread, until: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const slot = this.#enter(artifactId, signal);
    const before = slot.tail;
    const mine = Promise.withResolvers<void>();
    // One that gives up waiting still lets nobody pass those before it.
    slot.tail = before.then(() => mine.promise);
    try {
      await abortable(before, signal);
      return await this.#with(slot, artifactId, signal, body);
    } finally {
      mine.resolve();
      await this.#leave(slot);
    }
  }

  /** Releases all threads. Their turns are interrupted. */
  async close(): Promise<void> {
    this.#ended.abort(new SessionClosedError("The artifact manager is closed."));
    const slots = [...this.#slots.values()];
    this.#slots.clear();
    await Promise.all(slots.map(releaseSlot));
  }

  #enter(artifactId: string, signal: AbortSignal | undefined): Slot {
    if (this.#ended.signal.aborted) {
      throw new SessionClosedError("The artifact manager is closed. Create another one.");
    }
    signal?.throwIfAborted();
    const slot = this.#slots.get(artifactId) ??
      {
        thread: null,
        released: Promise.resolve(),
        releasing: false,
        tail: Promise.resolve(),
        users: 0,
      };
    this.#slots.delete(artifactId);
    this.#slots.set(artifactId, slot);
    slot.users++;
    return slot;
  }

  async #leave(slot: Slot): Promise<void> {
    slot.users--;
    const idle = [...this.#slots.values()].filter((s) => s.users === 0 && s.thread !== null);
    await Promise.all(idle.slice(0, Math.max(0, idle.length - this.#maxIdle)).map(releaseSlot));
    for (const [artifactId, { users, thread, releasing }] of this.#slots) {
      if (users === 0 && thread === null && !releasing) this.#slots.delete(artifactId);
    }
  }

  async #with<T>(
    slot: Slot,
    artifactId: string,
    signal: AbortSignal | undefined,
    body: (thread: ArtifactThread, until: AbortSignal) => Promise<T>,
  ): Promise<T> {
    this.#ended.signal.throwIfAborted();
    const attempt = slot.thread ??= slot.released.then(() => this.#connect(artifactId));
    let thread: ArtifactThread;
    try {
      thread = await abortable(attempt, signal);
    } catch (error) {
      if (signal?.aborted && error === signal.reason) throw error;
      if (slot.thread === attempt) slot.thread = null;
      throw error;
    }
    if (this.#ended.signal.aborted) {
      await releaseSlot(slot);
      throw this.#ended.signal.reason;
    }
    try {
      const ended = this.#ended.signal;
      return await body(thread, signal === undefined ? ended : AbortSignal.any([signal, ended]));
    } catch (error) {
      const dead = error instanceof ConnectionClosedError || error instanceof SessionClosedError;
      if (dead && slot.thread === attempt) await releaseSlot(slot);
      throw error;
    }
  }

  async #connect(artifactId: string): Promise<ArtifactThread> {
    const { signal } = this.#ended;
    const stored = await abortable(this.#store.load(artifactId), signal);
    let known = stored?.meta.threadId ?? null;
    let fresh: ArtifactThread | null = null;
    try {
      while (true) {
        const resumed = known === null ? null : await this.#resume(known);
        if (resumed !== null) {
          await fresh?.close().catch(() => {});
          return resumed;
        }
        fresh ??= await this.#client.startSession(this.#config);
        const seen = known;
        const mine: string = fresh.threadId;
        const telling = this.#store.updateMeta(
          artifactId,
          ({ threadId }) => threadId === seen ? { threadId: mine } : {},
        );
        const { meta } = await abortable(telling, signal);
        if (meta.threadId === mine) return fresh;
        // Another process was faster: one thread per artifact, so theirs.
        known = meta.threadId;
      }
    } catch (error) {
      await fresh?.close().catch(() => {});
      throw error;
    }
  }

  async #resume(threadId: string): Promise<ArtifactThread | null> {
    try {
      return await this.#client.resumeSession(threadId, this.#config);
    } catch (error) {
      // It was never used, was deleted, archived or damaged, or another codex keeps it: the document is whole without it.
      if (error instanceof ThreadInUseError || isRefusal(error, "threadGone")) return null;
      if (error instanceof RpcError && !error.retryable) return null;
      throw error;
    }
  }
}

/** Empties the slot; its next user resumes the thread. */
function releaseSlot(slot: Slot): Promise<void> {
  const { thread } = slot;
  if (thread === null) return slot.released;
  slot.thread = null;
  slot.releasing = true;
  // A thread that can't be reached has nothing to release.
  slot.released = thread.then((it) => it.release()).catch(() => {}).then(() => {
    slot.releasing = false;
  });
  return slot.released;
}
