/**
 * Connections to sockets of the file system, on Deno, Bun and Node.
 * @module
 */
import { builtin, isGranted, nodeProcess, runtimeName } from "./runtime.ts";

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
  on(event: string, listener: (value: never) => void): void;
  once(event: string, listener: (value: never) => void): void;
}

/** What is known of a socket in the file system, links followed. */
export interface SocketOwner {
  /** Whether it is a socket at all. */
  isSocket: boolean;
  /** The user it belongs to. */
  uid: number | null;
}

/** Whose socket a path leads to, or `null` when there is none or this script may not look. */
export function socketOwner(path: string): SocketOwner | null {
  try {
    if (runtimeName() === "deno") {
      const { isSocket, uid } = Deno.statSync(path);
      return { isSocket: isSocket === true, uid };
    }
    const fs = builtin<{ statSync(path: string): { isSocket(): boolean; uid: number } }>("fs");
    const stat = fs?.statSync(path);
    return stat === undefined ? null : { isSocket: stat.isSocket(), uid: stat.uid };
  } catch {
    return null;
  }
}

/** The user that this script runs as; `null` when that can't be told. */
export function ownUid(): number | null {
  try {
    if (runtimeName() === "deno") {
      return isGranted({ name: "sys", kind: "uid" }) ? Deno.uid() : null;
    }
    return (nodeProcess() as { getuid?: () => number } | null)?.getuid?.() ?? null;
  } catch {
    return null;
  }
}

/** Connects. Rejects with the runtime's own error. */
export async function connectUnix(path: string, sink: ByteSocketSink): Promise<ByteSocket> {
  return runtimeName() === "deno" ? await connectDeno(path, sink) : await connectNode(path, sink);
}

async function connectDeno(path: string, sink: ByteSocketSink): Promise<ByteSocket> {
  const connection = await Deno.connect({ transport: "unix", path });
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
      for (;;) {
        const buffer = new Uint8Array(64 * 1024);
        const count = await connection.read(buffer);
        if (count === null) break;
        sink.bytes(buffer.subarray(0, count));
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

function connectNode(path: string, sink: ByteSocketSink): Promise<ByteSocket> {
  const net = builtin<{ connect(path: string): NodeSocket }>("net");
  if (net === null) return Promise.reject(new Error("this runtime has no sockets"));
  return new Promise((resolve, reject) => {
    const socket = net.connect(path);
    let open = false;
    socket.once("error", (error) => reject(error));
    socket.once("connect", () => {
      open = true;
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
      for (const done of closers) done();
      if (open) sink.closed();
    });
  });
}
