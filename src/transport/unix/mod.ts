/**
 * A transport to a running `codex app-server --listen unix://…`, or to codex's own daemon: attached to, not owned.
 * @module
 */
import { ConnectionClosedError, PermissionDeniedError, SpawnError } from "../../errors/mod.ts";
import {
  canRead,
  canSpawn,
  isGranted,
  ownUid,
  platformName,
  socketOwner,
} from "../../platform/mod.ts";
import type { Transport, TransportFactory } from "../transport.ts";
import { WebSocketTransport } from "../websocket.ts";
import { openUnixSocket } from "./socket.ts";

/**
 * Attaches to the server behind a socket; each call of the factory opens a new connection.
 *
 * The factory rejects with `ConnectionClosedError` (nobody listens there, or it is no socket), `PermissionDeniedError`
 * (Deno flags are missing, or the socket is another user's) or `SpawnError` (no such sockets on this system).
 */
export function unixTransport(path: string, hint = ""): TransportFactory {
  return ({ signal } = {}) => open(path, hint, signal);
}

async function open(path: string, hint: string, signal?: AbortSignal): Promise<Transport> {
  signal?.throwIfAborted();
  if (!canSpawn() || platformName() === "win32") {
    throw new SpawnError("This system has no sockets in its file system to connect to.", {
      data: { reason: "noUnixSockets" },
    });
  }
  const missing = [
    ...(canRead(path) ? [] : [`--allow-read=${path}`]),
    ...(isGranted({ name: "write", path }) ? [] : [`--allow-write=${path}`]),
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
  try {
    const socket = await openUnixSocket(path);
    const transport = new WebSocketTransport(socket, path);
    if (!signal?.aborted) return transport;
    await transport.close();
  } catch (cause) {
    const said = cause instanceof Error ? cause.message : String(cause);
    throw new ConnectionClosedError(
      `No app server answers at the socket ${path}: ${said}.${hint}`,
      {
        cause,
      },
    );
  }
  throw signal.reason;
}
