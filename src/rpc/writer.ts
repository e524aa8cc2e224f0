/**
 * Outgoing messages, joined: one write for everything that was said while the last one was under way.
 * @module
 */

/** Joins the messages of one tick, and those that come while a write is under way, into one write. */
export class CoalescingWriter {
  readonly #write: (text: string) => Promise<void>;
  #buffer = "";
  /** Characters that are being written. */
  #writing = 0;
  #busy = false;
  #idle: (() => void)[] = [];

  /** Creates a writer over a sink that takes newline-terminated text. */
  constructor(write: (text: string) => Promise<void>) {
    this.#write = write;
  }

  /** Characters that have not been taken yet. */
  get queued(): number {
    return this.#writing + this.#buffer.length;
  }

  /** Queues one message. */
  send(message: string): void {
    this.#buffer += message + "\n";
    if (this.#busy) return;
    this.#busy = true;
    // A microtask: the messages of this tick share a write, and a single one is not delayed by a timer.
    queueMicrotask(() => this.#flush());
  }

  /** Settles when everything that was sent has been taken. */
  drained(): Promise<void> {
    return this.#busy ? new Promise((resolve) => this.#idle.push(resolve)) : Promise.resolve();
  }

  async #flush(): Promise<void> {
    while (this.#buffer !== "") {
      const text = this.#buffer;
      this.#buffer = "";
      this.#writing = text.length;
      await this.#write(text);
    }
    this.#writing = 0;
    this.#busy = false;
    const idle = this.#idle;
    this.#idle = [];
    for (const resolve of idle) resolve();
  }
}
