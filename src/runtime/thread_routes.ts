/**
 * From a thread's id to the one that listens to it.
 * @module
 */
import type { ConnectionClosedError } from "../errors/mod.ts";
import type { DeltaRun, OversizeMessage, RpcNotification } from "../rpc/mod.ts";

/** Listens to one thread. Methods run on the read loop: they must be quick, and must not throw. */
export interface ThreadRoute {
  /** The next texts of an item. */
  deltas(run: DeltaRun): void;
  /** Any other news of the thread. */
  notification(message: RpcNotification): void;
  /** News of the thread was too large to be read. */
  oversize(message: OversizeMessage): void;
  /** The server is gone; `restarting` tells whether another one is about to be started. */
  connectionLost(error: ConnectionClosedError, restarting: boolean): void;
  /** Another server is there: resume the thread on it. Rejects when that fails. */
  connectionRestored(): Promise<void>;
}

/** One look-up a message, however many threads are open. */
export class ThreadRoutes {
  readonly #routes: Map<string, ThreadRoute> = new Map();

  /** Routes a thread's news; returns the end of it. */
  add(threadId: string, route: ThreadRoute): () => void {
    this.#routes.set(threadId, route);
    return () => {
      if (this.#routes.get(threadId) === route) this.#routes.delete(threadId);
    };
  }

  /** The listener of a thread. */
  get(threadId: string): ThreadRoute | undefined {
    return this.#routes.get(threadId);
  }

  /** Every listener. */
  all(): ThreadRoute[] {
    return [...this.#routes.values()];
  }
}
