/** How a fake server is connected: the in-memory transport's other end. */
import { type MemoryEnd, memoryPair } from "../src/transport/memory.ts";
import type { TransportFactory } from "../src/transport/transport.ts";

/** What a fake server speaks through: lines of text. */
export type FakeEnd = Pick<MemoryEnd, "onLine" | "send" | "close">;

/**
 * A transport factory whose server is made by `serve`, anew for each connection; for
 * `transport: { type: "custom", open: fakeTransport((end) => new FakeServer(end)) }`.
 */
export function fakeTransport(serve: (end: FakeEnd) => void): TransportFactory {
  return () => {
    const { client, server } = memoryPair();
    serve(server);
    return Promise.resolve(client);
  };
}
