/**
 * Transports to servers that run already. Their code is loaded when one connects: a prompt by a codex of its own needs none.
 * @module
 */
import type { TransportFactory } from "./transport.ts";
import type { WebSocketOptions } from "./websocket.ts";

/** A server behind a WebSocket, as `webSocketTransport` of `websocket.ts`. */
export function webSocketTransport(options: WebSocketOptions): TransportFactory {
  return async (how) => (await import("./websocket.ts")).webSocketTransport(options)(how);
}

/** A server behind a socket in the file system, as `unixTransport` of `unix.ts`. */
export function unixTransport(path: string, hint?: string): TransportFactory {
  return async (how) => (await import("./unix.ts")).unixTransport(path, hint)(how);
}
