/**
 * Connections that carry bytes, the same on Deno, Bun and Node.
 * @module
 */
import { sharedBuiltin } from "./runtime.ts";

/** What is connected to: a socket in the file system, or a port. */
export type ByteSocketAddress = { path: string } | PortAddress;

interface PortAddress {
  host: string;
  port: number;
  /** Whether it speaks TLS. */
  tls: boolean;
}

/** An open connection. */
export interface ByteSocket {
  /** Writes; settles when the system took it, or never will. Never rejects. */
  write(bytes: Uint8Array): Promise<void>;
  /** Ends the connection at once. */
  close(): void;
}

/** Receives what a connection reads. Exactly one `closed` ends it. */
export interface ByteSocketSink {
  /** The next bytes. */
  bytes(chunk: Uint8Array): void;
  /** The connection ended. */
  closed(): void;
}

interface NodeSocket {
  write(bytes: Uint8Array, done: () => void): boolean;
  destroy(): void;
  setNoDelay(on: boolean): void;
  on(event: string, listener: (value: never) => void): void;
  once(event: string, listener: (value: never) => void): void;
}

/** What is spoken within TLS. */
const HTTP = ["http/1.1"];

/** Connects until the signal aborts. Rejects with the runtime's own error. */
export function connectBytes(
  to: ByteSocketAddress,
  sink: ByteSocketSink,
  signal: AbortSignal,
): Promise<ByteSocket> {
  const tls = "tls" in to && to.tls;
  const net = sharedBuiltin<{ connect(to: unknown): NodeSocket }>(tls ? "tls" : "net");
  if (net === null) return Promise.reject(new Error("this runtime has no sockets"));
  return new Promise((resolve, reject) => {
    const servername = "host" in to && !/^[\d.]+$|:/.test(to.host) ? { servername: to.host } : {};
    const socket = net.connect(tls ? { ...to, ...servername, ALPNProtocols: HTTP } : to);
    const leave = () => {
      socket.destroy();
      reject(signal.reason);
    };
    signal.addEventListener("abort", leave, { once: true });
    let open = false;
    socket.on("error", (error) => reject(error));
    socket.once(tls ? "secureConnect" : "connect", () => {
      open = true;
      signal.removeEventListener("abort", leave);
      socket.setNoDelay(true);
      resolve({
        write: (bytes) =>
          new Promise((done) => {
            closers.add(done);
            socket.write(bytes, () => {
              closers.delete(done);
              done();
            });
          }),
        close: () => socket.destroy(),
      });
    });
    const closers = new Set<() => void>();
    socket.on("data", (chunk) => sink.bytes(chunk));
    socket.once("close", () => {
      signal.removeEventListener("abort", leave);
      for (const done of closers) done();
      if (open) sink.closed();
    });
  });
}
