/**
 * A transport to a running `codex app-server --listen unix://…`, or to codex's own daemon: attached to, not owned.
 * @module
 */
import { abortable } from "../async.ts";
import {
  ConnectionClosedError,
  messageOf,
  PermissionDeniedError,
  SpawnError,
} from "../errors/mod.ts";
import { connectUnix, ownUid, socketOwner } from "../platform/fs.ts";
import { type ByteSocket, canRead, canSpawn, isGranted, platformName } from "../platform/mod.ts";
import type { Transport, TransportFactory } from "./transport.ts";
import {
  CONNECT_MS,
  limited,
  type SocketEvent,
  type SocketLike,
  WebSocketTransport,
} from "./websocket.ts";

/**
 * Attaches to the server behind a socket; each call of the factory opens a new connection.
 *
 * The factory rejects with `ConnectionClosedError` (nobody listens there, it is no socket, or no answer came in time),
 * `PermissionDeniedError` (Deno flags are missing, or the socket is another user's), `SpawnError` (no such sockets on this
 * system), or the signal's reason.
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
  const socket = new UnixSocket();
  // Made first: the other side may leave before its answer has been looked at.
  const transport = new WebSocketTransport(socket, path);
  const limit = limited(
    timeoutMs,
    new Error(`it did not answer within ${timeoutMs} ms`),
    signal,
  );
  try {
    await abortable(socket.open(path), limit.signal);
    return transport;
  } catch (cause) {
    // The system takes connections for a server that is stopped: it would wait for ever.
    transport.kill();
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

// A WebSocket over a socket of the file system.

const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const MAX_HEAD_BYTES = 16 * 1024;
/** Beyond what any message of codex has been; the limit of its own is checked above. */
const MAX_MESSAGE_BYTES = 1024 * 1024 * 1024;

/** The answer to a key, by which a server shows that it understood the upgrade. */
export async function acceptFor(key: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-1", new TextEncoder().encode(key + GUID));
  return btoa(String.fromCharCode(...new Uint8Array(digest)));
}

class UnixSocket implements SocketLike {
  bufferedAmount = 0;
  readonly #listeners: Map<string, ((event: SocketEvent) => void)[]> = new Map();
  readonly #reader = new FrameReader({
    text: (data) => this.#tell("message", { data }),
    ping: (payload) => this.#frame(0xa, payload),
    close: (code) => {
      this.#code = code;
      this.#frame(0x8, new Uint8Array(0));
      this.#socket?.close();
    },
  }, MAX_MESSAGE_BYTES);
  #socket: ByteSocket | undefined;
  #head: Uint8Array | null = new Uint8Array(0);
  #onHead: ((head: string | null) => void) | undefined;
  #code = 1006;
  #closed = false;

  /** Connects and upgrades. Rejects with the runtime's error, or with what the other side answered. */
  async open(path: string): Promise<void> {
    const key = btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(16))));
    const answered = new Promise<string | null>((resolve) => this.#onHead = resolve);
    this.#socket = await connectUnix(path, {
      bytes: (chunk) => this.#bytes(chunk),
      closed: () => {
        this.#onHead?.(null);
        this.#tell("close", { code: this.#code });
      },
    });
    if (this.#closed) return this.#socket.close();
    await this.#socket.write(new TextEncoder().encode(
      "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
        `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\n\r\n`,
    ));
    const head = await answered;
    const accepted = head !== null && /^HTTP\/1\.1 101\b/.test(head) &&
      head.includes(await acceptFor(key));
    if (accepted) return;
    const status = /^HTTP\/1\.\d (\d{3})/.exec(head ?? "")?.[1];
    throw new Error(
      status === undefined ? "it does not answer as a WebSocket server does" : `HTTP ${status}`,
    );
  }

  send(text: string): void {
    this.#frame(0x1, new TextEncoder().encode(text));
  }

  close(): void {
    this.#closed = true;
    this.#frame(0x8, new Uint8Array([0x03, 0xe8]));
    this.#socket?.close();
  }

  addEventListener(type: string, listener: (event: SocketEvent) => void): void {
    this.#listeners.set(type, [...this.#listeners.get(type) ?? [], listener]);
  }

  #frame(opcode: Opcode, payload: Uint8Array): void {
    const mask = crypto.getRandomValues(new Uint8Array(4));
    const bytes = encodeFrame(opcode, payload, mask);
    this.bufferedAmount += bytes.length;
    void this.#socket?.write(bytes).then(() => this.bufferedAmount -= bytes.length);
  }

  #bytes(chunk: Uint8Array): void {
    if (this.#head === null) return this.#frames(chunk);
    const all = new Uint8Array(this.#head.length + chunk.length);
    all.set(this.#head);
    all.set(chunk, this.#head.length);
    this.#head = all;
    const text = new TextDecoder("latin1").decode(all);
    const end = text.indexOf("\r\n\r\n");
    if (end < 0 && all.length < MAX_HEAD_BYTES) return;
    this.#head = null;
    this.#onHead?.(end < 0 ? null : text.slice(0, end));
    if (end >= 0 && all.length > end + 4) this.#frames(all.slice(end + 4));
  }

  #frames(chunk: Uint8Array): void {
    try {
      this.#reader.push(chunk);
    } catch {
      // No frames: nothing that comes after can be understood.
      this.#code = 1002;
      this.#socket?.close();
    }
  }

  #tell(type: string, event: SocketEvent): void {
    for (const listener of this.#listeners.get(type) ?? []) listener(event);
  }
}

// WebSocket frames (RFC 6455) by hand: runtimes connect their own WebSockets to hosts, not to sockets of the file system.

/** What a frame is. */
export type Opcode = 0x0 | 0x1 | 0x2 | 0x8 | 0x9 | 0xa;

/** One frame of this side, masked as a client's must be. `mask` is four random bytes. */
export function encodeFrame(opcode: Opcode, payload: Uint8Array, mask: Uint8Array): Uint8Array {
  const { length } = payload;
  const extended = length < 126 ? 0 : length < 0x10000 ? 2 : 8;
  const frame = new Uint8Array(2 + extended + 4 + length);
  const view = new DataView(frame.buffer);
  frame[0] = 0x80 | opcode;
  frame[1] = 0x80 | (extended === 0 ? length : extended === 2 ? 126 : 127);
  if (extended === 2) view.setUint16(2, length);
  if (extended === 8) view.setBigUint64(2, BigInt(length));
  const start = 2 + extended;
  frame.set(mask, start);
  for (let at = 0; at < length; at++) frame[start + 4 + at] = payload[at]! ^ mask[at & 3]!;
  return frame;
}

/** Receives what a {@linkcode FrameReader} reads. */
export interface FrameSink {
  /** A whole message; what a proxy made a binary one of is text all the same. */
  text(message: string): void;
  /** The other side asks for a sign of life; to be answered with the same payload. */
  ping(payload: Uint8Array): void;
  /** The other side ends the connection. */
  close(code: number): void;
}

/** Takes frames out of a stream of bytes, and joins those of one message. */
export class FrameReader {
  readonly #sink: FrameSink;
  readonly #maxBytes: number;
  #chunks: Uint8Array[] = [];
  #held = 0;
  /** Bytes that must be there before it is worth looking again: each is copied once, however large the message. */
  #needed = 2;
  #parts: Uint8Array[] = [];
  #partBytes = 0;

  /** Messages of more than `maxBytes` are an error. */
  constructor(sink: FrameSink, maxBytes: number) {
    this.#sink = sink;
    this.#maxBytes = maxBytes;
  }

  /** Takes the next bytes. Throws `TypeError` for what is no frame of a server. */
  push(chunk: Uint8Array): void {
    this.#chunks.push(chunk);
    this.#held += chunk.length;
    if (this.#held < this.#needed) return;
    let buffer = join(this.#chunks);
    for (let taken = this.#frame(buffer); taken > 0; taken = this.#frame(buffer)) {
      buffer = buffer.subarray(taken);
    }
    this.#chunks = [buffer];
    this.#held = buffer.length;
  }

  /** Takes one frame, if all of it is there; how many bytes it had. */
  #frame(buffer: Uint8Array): number {
    this.#needed = 2;
    if (buffer.length < 2) return 0;
    const [first, second] = [buffer[0]!, buffer[1]!];
    if ((first & 0x70) !== 0) throw new TypeError("a frame with reserved bits");
    if ((second & 0x80) !== 0) throw new TypeError("a masked frame of a server");
    const short = second & 0x7f;
    const head = 2 + (short === 126 ? 2 : short === 127 ? 8 : 0);
    this.#needed = head;
    if (buffer.length < head) return 0;
    const view = new DataView(buffer.buffer, buffer.byteOffset, buffer.length);
    const length = short === 126
      ? view.getUint16(2)
      : short === 127
      ? Number(view.getBigUint64(2))
      : short;
    if (this.#partBytes + length > this.#maxBytes) {
      throw new TypeError("a message beyond the limit");
    }
    this.#needed = head + length;
    if (buffer.length < head + length) return 0;
    this.#take(first & 0x0f, (first & 0x80) !== 0, buffer.slice(head, head + length));
    return head + length;
  }

  #take(opcode: number, last: boolean, payload: Uint8Array): void {
    switch (opcode) {
      case 0x0:
      case 0x1:
      case 0x2:
        this.#parts.push(payload);
        this.#partBytes += payload.length;
        if (!last) return;
        this.#sink.text(new TextDecoder().decode(join(this.#parts)));
        this.#parts = [];
        this.#partBytes = 0;
        return;
      case 0x8:
        return this.#sink.close(payload.length < 2 ? 1005 : payload[0]! << 8 | payload[1]!);
      case 0x9:
        return this.#sink.ping(payload);
      case 0xa:
        return;
      default:
        throw new TypeError("a frame of an unknown kind");
    }
  }
}

function join(parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length === 1) return parts[0]!;
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
