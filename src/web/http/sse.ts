/**
 * Events as a server-sent event stream.
 * @module
 */
import { roundNow, within } from "../../async.ts";
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
  const mayGo = options.again ? asking(options.again) : null;
  whenGone(options.again?.signal, () => subscription.close());
  const later = async (
    controller: ReadableStreamDefaultController<Uint8Array>,
    bytes: Uint8Array | null,
    asked: true | Promise<boolean> | undefined,
  ): Promise<void> => {
    while (bytes === null && !subscription.ended) {
      // A heartbeat also tells servers that end idle connections, and finds out who has gone.
      bytes = await subscription.wait(options.heartbeatMs)
        ? subscription.batch(takeBatch)
        : HEARTBEAT;
    }
    if (bytes !== null) {
      asked ??= mayGo?.() ?? true;
      if (asked === true || await asked) return controller.enqueue(bytes);
    }
    subscription.close();
    try {
      controller.close();
    } catch {
      // The client has gone meanwhile.
    }
  };
  return new ReadableStream<Uint8Array>({
    start(controller): void {
      // At once, so that the client knows that it is connected.
      controller.enqueue(encode(`retry: ${options.retryMs}\n\n`));
    },
    pull(controller): void | Promise<void> {
      const bytes = subscription.batch(takeBatch);
      const asked = bytes === null ? undefined : mayGo?.() ?? true;
      // What a crowd's readers do most goes without a promise.
      if (bytes === null || asked !== true) return later(controller, bytes, asked);
      controller.enqueue(bytes);
    },
    cancel(): void {
      subscription.close();
    },
  });
}

const encoder = new TextEncoder();
const encode = (text: string) => encoder.encode(text);
const HEARTBEAT = encode(": heartbeat\n\n");

function takeBatch(take: () => WebEvent | null): Uint8Array | null {
  let text = "";
  while (text.length < BATCH) {
    const event = take();
    if (event === null) break;
    text += formatEvent(event);
  }
  return text === "" ? null : encode(text);
}

/** Whether somebody is still allowed. */
export interface Recheck {
  /** Milliseconds between two questions. */
  everyMs: number;
  /** Asks. A failure is a no. */
  allowed(): Promise<boolean>;
  /** Milliseconds that the answer may take: none in time is a no. */
  patienceMs: number;
  /** Aborts when the reader has left. */
  signal?: AbortSignal | null;
}

/** Some frameworks, such as Next, neither read nor cancel an answer whose reader left before it came. */
function whenGone(signal: Recheck["signal"], leave: () => void): void {
  if (signal?.aborted) leave();
  else signal?.addEventListener("abort", leave, { once: true });
}

/** The question whether the reader may still be told; `true` at once when it was asked less than `everyMs` ago. */
function asking({ everyMs, allowed, patienceMs }: Recheck): () => true | Promise<boolean> {
  let askedAt = roundNow();
  return () => {
    if (roundNow() - askedAt < everyMs) return true;
    return within(allowed().catch(() => false), patienceMs, false).then((yes) => {
      askedAt = roundNow();
      return yes;
    });
  };
}

/**
 * The stream, ended when its reader is not allowed any more: asked in front of what is told after each `everyMs`, heartbeats
 * included. `breaks`: what ends before its time is broken off, since its reader would take a part for the whole.
 */
export function whileAllowed(
  stream: ReadableStream<Uint8Array>,
  again: Recheck,
  breaks = false,
): ReadableStream<Uint8Array> {
  const reader = stream.getReader();
  const leave = () => reader.cancel().catch(() => {});
  const mayGo = asking(again);
  whenGone(again.signal, leave);
  return new ReadableStream<Uint8Array>({
    async pull(controller): Promise<void> {
      const { done, value } = await reader.read().catch((error) => {
        if (breaks) throw error;
        return { done: true, value: undefined };
      });
      if (done) return controller.close();
      if (await mayGo()) return controller.enqueue(value!);
      await leave();
      if (breaks) throw new Error("The reader is not allowed any more.");
      controller.close();
    },
    cancel: leave,
  }, { highWaterMark: 0 });
}

/** Headers of a stream of server-sent events. */
export function streamHeaders(more: Record<string, string> = {}): Record<string, string> {
  return {
    "content-type": "text/event-stream; charset=utf-8",
    // Proxies that collect answers would hold the events back.
    "x-accel-buffering": "no",
    ...more,
  };
}

/** Whether an answer goes on for as long as its reader listens. */
export function isEventStream({ headers }: Response): boolean {
  return headers.get("content-type")?.startsWith("text/event-stream") === true;
}
