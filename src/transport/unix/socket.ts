/**
 * A WebSocket over a socket of the file system.
 * @module
 */
import { type ByteSocket, connectUnix } from "../../platform/mod.ts";
import type { SocketEvent, SocketLike } from "../websocket.ts";
import { encodeFrame, FrameReader, type Opcode } from "./frames.ts";

const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const MAX_HEAD_BYTES = 16 * 1024;
/** Beyond what any message of codex has been; the limit of its own is checked above. */
const MAX_MESSAGE_BYTES = 1024 * 1024 * 1024;

/** Opens the connection and upgrades it. Rejects with the runtime's error, or with what the other side answered. */
export async function openUnixSocket(path: string): Promise<SocketLike> {
  const socket = new UnixSocket();
  await socket.open(path);
  return socket;
}

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
    await this.#socket.write(new TextEncoder().encode(
      "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
        `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\n\r\n`,
    ));
    const head = await answered;
    const accepted = head !== null && /^HTTP\/1\.1 101\b/.test(head) &&
      head.includes(await acceptFor(key));
    if (accepted) return;
    this.#socket.close();
    const status = /^HTTP\/1\.\d (\d{3})/.exec(head ?? "")?.[1];
    throw new Error(
      status === undefined ? "it does not answer as a WebSocket server does" : `HTTP ${status}`,
    );
  }

  send(text: string): void {
    this.#frame(0x1, new TextEncoder().encode(text));
  }

  close(): void {
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
