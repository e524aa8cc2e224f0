/**
 * An iteration that its reader may leave at any time.
 * @module
 */

/**
 * An iteration that ends at once when its reader leaves, also while that waits for a page, and that yields nothing more
 * once its signal is aborted.
 */
export function endable<T>(
  make: (signal: AbortSignal) => AsyncGenerator<T> | Promise<AsyncGenerator<T>>,
  given: AbortSignal | undefined,
): AsyncIterable<T> {
  return {
    [Symbol.asyncIterator](): AsyncIterator<T> {
      const left = new AbortController();
      const signal = given === undefined ? left.signal : AbortSignal.any([given, left.signal]);
      let made: AsyncGenerator<T> | Promise<AsyncGenerator<T>> | undefined;
      let inner: AsyncGenerator<T> | undefined;
      const leave = async () => void await (inner ?? await made)?.return(undefined);
      const done = { done: true, value: undefined } as const;
      return {
        async next() {
          try {
            if (given?.aborted) {
              await leave();
              throw given.reason;
            }
            if (left.signal.aborted) return done;
            made ??= make(signal);
            inner ??= await made;
            return await inner.next();
          } catch (error) {
            if (left.signal.aborted) return done;
            throw error;
          }
        },
        async return() {
          left.abort();
          await leave().catch(() => {});
          return done;
        },
      };
    },
  };
}
