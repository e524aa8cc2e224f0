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
}

/** Characters written at once, when many events wait. */
const BATCH = 64 * 1024;

/**
 * One event as a block: `id:` to come back with, `event:` for what is not one of a turn, `data:` in JSON, which never holds
 * a line break.
 */
export function formatEvent({ id, event }: WebEvent): string {
  const named = event.type === "lagged" || event.type === "sessionClosed"
    ? `event: ${event.type}\n`
    : "";
  return `id: ${id}\n${named}data: ${encoded(event)}\n\n`;
}

/** The JSON of an event of a log, made once for all of its readers; it goes with the event. */
const texts: WeakMap<WebEvent["event"], string> = new WeakMap();

function encoded(event: WebEvent["event"]): string {
  let text = texts.get(event);
  if (text === undefined) texts.set(event, text = JSON.stringify(event));
  return text;
}

/** A subscription as a stream that is read at the client's pace and ended when the client goes. */
export function eventStream(
  subscription: EventSubscription,
  options: EventStreamOptions,
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  return new ReadableStream<Uint8Array>({
    start(controller): void {
      // At once, so that the client knows that it is connected.
      controller.enqueue(encoder.encode(`retry: ${options.retryMs}\n\n`));
    },
    async pull(controller): Promise<void> {
      for (;;) {
        const text = takeBatch(subscription);
        if (text !== "") return controller.enqueue(encoder.encode(text));
        if (subscription.ended) {
          subscription.close();
          try {
            controller.close();
          } catch {
            // The client has gone meanwhile.
          }
          return;
        }
        if (await subscription.wait(options.heartbeatMs)) continue;
        // Also tells servers that end idle connections, and finds out who has gone.
        return controller.enqueue(encoder.encode(": heartbeat\n\n"));
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

/**
 * The stream, ended when its reader is not allowed any more: asked in front of what is told after each `everyMs`, heartbeats
 * included.
 */
export function whileAllowed(
  stream: ReadableStream<Uint8Array>,
  { everyMs, allowed }: Recheck,
): ReadableStream<Uint8Array> {
  const reader = stream.getReader();
  let askedAt = Date.now();
  return new ReadableStream<Uint8Array>({
    async pull(controller): Promise<void> {
      const { done, value } = await reader.read().catch(() => ({ done: true, value: undefined }));
      if (done) return controller.close();
      if (Date.now() - askedAt >= everyMs) {
        if (!await allowed().catch(() => false)) {
          await reader.cancel().catch(() => {});
          return controller.close();
        }
        askedAt = Date.now();
      }
      controller.enqueue(value!);
    },
    cancel: () => reader.cancel().catch(() => {}),
  }, { highWaterMark: 0 });
}

/** Whether an answer goes on for as long as its reader listens. */
export function isEventStream({ headers }: Response): boolean {
  return headers.get("content-type")?.startsWith("text/event-stream") === true;
}
