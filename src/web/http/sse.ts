/**
 * Events as a server-sent event stream.
 * @module
 */
import type { EventSubscription } from "../live/subscription.ts";
import type { WebEvent } from "../types.ts";

/** How a stream behaves. */
export interface EventStreamOptions {
  /** Milliseconds between heartbeats while nothing happens. */
  heartbeatMs: number;
  /** Milliseconds after which a browser reconnects. */
  retryMs: number;
  /** Whether the reader is still allowed. Default: it is. */
  again?: Recheck | null;
}

/** Characters written at once, when many events wait. */
const BATCH = 64 * 1024;

/**
 * One event as a block: `id:` to come back with, `event:` for what is not one of a turn, `data:` in JSON, which never holds
 * a line break.
 */
export function formatEvent({ id, event }: WebEvent): string {
  const known = blocks.get(event);
  if (known?.id === id) return known.text;
  const named = event.type === "lagged" || event.type === "sessionClosed"
    ? `event: ${event.type}\n`
    : "";
  const text = `id: ${id}\n${named}data: ${JSON.stringify(event)}\n\n`;
  blocks.set(event, { id, text });
  return text;
}

/** The block of an event of a log, made once for all of its readers; it goes with the event. */
const blocks: WeakMap<WebEvent["event"], { id: string; text: string }> = new WeakMap();

/** A subscription as a stream that is read at the client's pace and ended when the client goes. */
export function eventStream(
  subscription: EventSubscription,
  options: EventStreamOptions,
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  const mayGo = options.again ? asking(options.again) : null;
  return new ReadableStream<Uint8Array>({
    start(controller): void {
      // At once, so that the client knows that it is connected.
      controller.enqueue(encoder.encode(`retry: ${options.retryMs}\n\n`));
    },
    async pull(controller): Promise<void> {
      for (;;) {
        let text = takeBatch(subscription);
        if (text === "" && !subscription.ended) {
          if (await subscription.wait(options.heartbeatMs)) continue;
          // Also tells servers that end idle connections, and finds out who has gone.
          text = ": heartbeat\n\n";
        }
        const asked = text !== "" && (mayGo?.() ?? true);
        if (asked === true || await asked) {
          return controller.enqueue(encoder.encode(text));
        }
        subscription.close();
        try {
          controller.close();
        } catch {
          // The client has gone meanwhile.
        }
        return;
      }
    },
    cancel(): void {
      subscription.close();
    },
  });
}

function takeBatch(subscription: EventSubscription): string {
  let text = "";
  while (text.length < BATCH) {
    const event = subscription.take();
    if (event === null) break;
    text += formatEvent(event);
  }
  return text;
}

/** Whether somebody is still allowed. */
export interface Recheck {
  /** Milliseconds between two questions. */
  everyMs: number;
  /** Asks. A failure is a no. */
  allowed(): Promise<boolean>;
}

/** The question whether the reader may still be told; `true` at once when it was asked less than `everyMs` ago. */
function asking({ everyMs, allowed }: Recheck): () => true | Promise<boolean> {
  let askedAt = Date.now();
  return () => {
    if (Date.now() - askedAt < everyMs) return true;
    return allowed().catch(() => false).then((yes) => {
      askedAt = Date.now();
      return yes;
    });
  };
}

/**
 * The stream, ended when its reader is not allowed any more: asked in front of what is told after each `everyMs`, heartbeats
 * included.
 */
export function whileAllowed(
  stream: ReadableStream<Uint8Array>,
  again: Recheck,
): ReadableStream<Uint8Array> {
  const reader = stream.getReader();
  const mayGo = asking(again);
  return new ReadableStream<Uint8Array>({
    async pull(controller): Promise<void> {
      const { done, value } = await reader.read().catch(() => ({ done: true, value: undefined }));
      if (done) return controller.close();
      if (await mayGo()) return controller.enqueue(value!);
      await reader.cancel().catch(() => {});
      controller.close();
    },
    cancel: () => reader.cancel().catch(() => {}),
  }, { highWaterMark: 0 });
}

/** Whether an answer goes on for as long as its reader listens. */
export function isEventStream({ headers }: Response): boolean {
  return headers.get("content-type")?.startsWith("text/event-stream") === true;
}
