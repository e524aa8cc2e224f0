/**
 * Streams that end when their reader's right does.
 * @module
 */

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
