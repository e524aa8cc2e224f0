/**
 * A transport to a running `codex app-server --listen unix://…`, or to codex's own daemon: attached to, not owned.
 * @module
 */
import {
  ConnectionClosedError,
  messageOf,
  PermissionDeniedError,
  SpawnError,
} from "../errors/mod.ts";
import { ownUid, socketOwner } from "../platform/fs.ts";
import {
  canConnect,
  canRead,
  canSpawn,
  currentDirectory,
  isGranted,
  platformName,
  resolvePath,
} from "../platform/mod.ts";
import { FrameSocket } from "./frames.ts";
import type { Transport, TransportFactory } from "./transport.ts";
import { CONNECT_MS, limited, WebSocketTransport } from "./websocket.ts";

/**
 * Attaches to the server behind a socket; each call of the factory opens a new connection.
 *
 * The factory rejects with `ConnectionClosedError` (nobody listens there, it is no socket or another user's, or no answer
 * came in time), `PermissionDeniedError` (Deno flags are missing), `SpawnError` (no such sockets on this system), or the
 * signal's reason.
 */
export function unixTransport(
  path: string,
  hint = "",
  timeoutMs: number = CONNECT_MS,
): TransportFactory {
  return ({ signal } = {}) => open(path, hint, timeoutMs, signal);
}

async function open(
  path: string,
  hint: string,
  timeoutMs: number,
  signal?: AbortSignal,
): Promise<Transport> {
  signal?.throwIfAborted();
  if (!canSpawn() || platformName() === "win32") {
    throw new SpawnError("This system has no sockets in its file system to connect to.", {
      data: { reason: "noUnixSockets" },
    });
  }
  const net = `unix:${resolvePath(currentDirectory() ?? "/", path)}`;
  const missing = [
    ...(canRead(path) ? [] : [`--allow-read=${path}`]),
    ...(isGranted({ name: "write", path }) ? [] : [`--allow-write=${path}`]),
    ...(canConnect(net) ? [] : [`--allow-net=${net}`]),
    ...(ownUid() === null ? ["--allow-sys=uid"] : []),
  ];
  if (missing.length > 0) {
    throw new PermissionDeniedError(`Connecting to the socket ${path}`, missing);
  }
  const owner = socketOwner(path);
  if (owner?.isSocket !== true) {
    throw new ConnectionClosedError(
      owner === null ? `There is no socket ${path}.${hint}` : `${path} is not a socket.`,
      { retryable: owner === null },
    );
  }
  // Whoever listens there sees every prompt and runs what it likes in the name of an answer.
  if (owner.uid !== ownUid()) {
    throw new ConnectionClosedError(
      `The socket ${path} belongs to another user (${owner.uid ?? "unknown"}), and is not trusted.`,
      { retryable: false, data: { reason: "otherUser" } },
    );
  }
  const socket = new FrameSocket();
  // Made first: the other side may leave before its answer has been looked at.
  const transport = new WebSocketTransport(socket, path);
  const limit = limited(
    timeoutMs,
    new Error(`it did not answer within ${timeoutMs} ms`),
    signal,
  );
  try {
    await socket.open({ path }, { host: "localhost", path: "/", headers: {} }, limit.signal);
    return transport;
  } catch (cause) {
    if (signal?.aborted) throw signal.reason;
    const said = messageOf(cause);
    throw new ConnectionClosedError(
      `No app server answers at the socket ${path}: ${said}.${hint}`,
      { cause },
    );
  } finally {
    limit.cancel();
  }
}
