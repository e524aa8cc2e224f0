/** A slow link to codex: what is said is late, in both directions, and nothing overtakes anything. */
import type { Transport, TransportFactory, TransportSink } from "../src/transport/transport.ts";

/** Puts a slow link before a transport. `delayMs` is asked for each piece. */
export function slowLink(open: TransportFactory, delayMs: () => number): TransportFactory {
  return async (options) => {
    const inner = await open(options);
    const out = new Line(delayMs);
    const back = new Line(delayMs);
    const link: Transport = Object.create(inner, {
      start: {
        value: (sink: TransportSink) =>
          inner.start({
            bytes: (chunk) => back.later(() => sink.bytes(chunk)),
            text: (message) => back.later(() => sink.text(message)),
            // The end is told at once: a test must not wait for what nobody hears.
            closed: (info) => back.end(() => sink.closed(info)),
          }),
      },
      write: {
        value: (text: string) => {
          out.later(() => void inner.write(text));
          return Promise.resolve();
        },
      },
      close: {
        value: (how?: Parameters<Transport["close"]>[0]) => {
          out.end(() => {});
          return inner.close(how);
        },
      },
      kind: { value: inner.kind },
      pid: { get: () => inner.pid },
      maxOutboundBytes: { get: () => inner.maxOutboundBytes },
      stderrTail: { value: () => inner.stderrTail() },
      kill: { value: () => inner.kill() },
      ref: { value: () => inner.ref?.() },
      unref: { value: () => inner.unref?.() },
    });
    return link;
  };
}

/** One direction. */
class Line {
  readonly #delayMs: () => number;
  readonly #timers: Set<ReturnType<typeof setTimeout>> = new Set();
  readonly #waiting: (() => void)[] = [];
  #last = 0;
  #ended = false;

  constructor(delayMs: () => number) {
    this.#delayMs = delayMs;
  }

  later(act: () => void): void {
    if (this.#ended) return;
    const now = performance.now();
    this.#last = Math.max(this.#last, now + this.#delayMs());
    this.#waiting.push(act);
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      // In order, whatever the order of the timers.
      this.#waiting.shift()?.();
    }, this.#last - now);
    this.#timers.add(timer);
  }

  end(act: () => void): void {
    this.#ended = true;
    for (const timer of this.#timers) clearTimeout(timer);
    for (const each of this.#waiting.splice(0)) each();
    act();
  }
}
