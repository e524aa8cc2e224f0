/**
 * Connections that carry bytes, the same on Deno, Bun and Node.
 * @module
 */
import { builtin, runtimeName } from "./runtime.ts";

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
  return (runtimeName() === "deno" ? connectDeno : connectNode)(to, sink, signal);
}

async function connectDeno(
  to: ByteSocketAddress,
  sink: ByteSocketSink,
  signal: AbortSignal,
): Promise<ByteSocket> {
  const connection = "path" in to
    ? await Deno.connect({ transport: "unix", path: to.path })
    : await connectPort(to, signal);
  let queue: Promise<void> = Promise.resolve();
  let ended = false;
  const end = () => {
    if (ended) return;
    ended = true;
    try {
      connection.close();
    } catch {
      // The other side was first.
    }
    sink.closed();
  };
  const read = async () => {
    try {
      const buffer = new Uint8Array(64 * 1024);
      for (;;) {
        const count = await connection.read(buffer);
        if (count === null) break;
        // A copy: what is kept until its message is whole may be many small pieces.
        sink.bytes(buffer.slice(0, count));
      }
    } catch {
      // A connection that can't be read has ended.
    }
    end();
  };
  void read();
  const writeAll = async (bytes: Uint8Array) => {
    try {
      for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
    } catch {
      end();
    }
  };
  return { write: (bytes) => queue = queue.then(() => writeAll(bytes)), close: end };
}

async function connectPort({ host: hostname, port, tls }: PortAddress, signal: AbortSignal) {
  const plain = await Deno.connect({ hostname, port, signal });
  plain.setNoDelay();
  if (!tls) return plain;
  // Deno.connectTls() can't be ended while nobody answers, and would keep the script.
  const connection = await Deno.startTls(plain, { hostname, alpnProtocols: HTTP });
  const leave = () => connection.close();
  signal.addEventListener("abort", leave, { once: true });
  try {
    signal.throwIfAborted();
    await connection.handshake();
    return connection;
  } catch (error) {
    if (!signal.aborted) leave();
    throw error;
  } finally {
    signal.removeEventListener("abort", leave);
  }
}

function connectNode(
  to: ByteSocketAddress,
  sink: ByteSocketSink,
  signal: AbortSignal,
): Promise<ByteSocket> {
  const tls = "tls" in to && to.tls;
  const net = builtin<{ connect(to: unknown): NodeSocket }>(tls ? "tls" : "net");
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
