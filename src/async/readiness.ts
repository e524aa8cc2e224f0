/** Whether a session's thread is there: it is not while another server is being started. */
import { abortable } from "./abortable.ts";

/** A door that can be shut and opened again, or shut for good. */
export class Readiness {
  #open: Promise<void> = Promise.resolve();
  #settle: { resolve: () => void; reject: (error: unknown) => void } | null = null;

  /** Waits until the thread is there. Rejects when it will never be there again, or with the signal's reason. */
  wait(signal?: AbortSignal): Promise<void> {
    return abortable(this.#open, signal);
  }

  /** The thread is gone for now. */
  shut(): void {
    if (this.#settle !== null) return;
    this.#open = new Promise((resolve, reject) => this.#settle = { resolve, reject });
    this.#open.catch(() => {});
  }

  /** The thread is there again. */
  open(): void {
    this.#settle?.resolve();
    this.#settle = null;
  }

  /** The thread is gone for good. */
  fail(error: unknown): void {
    this.shut();
    this.#settle!.reject(error);
  }
}
