/**
 * WebSockets by hand: those of Deno, Bun and Node connect to hosts only, and can't be ended while the other side is silent.
 * And why an app server refused one, in words that help.
 * @module
 */
import { abortable } from "../async.ts";
import { messageOf } from "../errors/mod.ts";
import { base64, joinBytes } from "../json.ts";
import { type ByteSocket, type ByteSocketAddress, connectBytes } from "../platform/byte_socket.ts";

/** What is used of a WebSocket; the standard one has it, and that of Workers' `fetch`. */
export interface SocketLike {
  /** Bytes that were sent but are not yet on the wire. */
  readonly bufferedAmount?: number;
  /** How binary frames are told. */
  binaryType?: string;
  /** Sends one text frame. */
  send(text: string): void;
  /** Begins the closing handshake. */
  close(code?: number): void;
  /** Ends the connection at once; absent where the runtime has no way to. */
  terminate?(): void;
  /** Adds a listener. */
  addEventListener(type: string, listener: (event: SocketEvent) => void): void;
}

/** What is used of a WebSocket's events. */
export interface SocketEvent {
  /** The payload of a message. */
  data?: unknown;
  /** The close code. */
  code?: number;
  /** The close reason. */
  reason?: string;
  /** A description of an error, where the runtime gives one. */
  message?: string;
}

// A WebSocket over a connection of bytes.

const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const MAX_HEAD_BYTES = 16 * 1024;
/** As much of a refusal's body as is told. */
const MAX_REST_BYTES = 200;
/** Answers to pings that wait at once: whoever asks without end and reads none must not fill the memory. */
const MAX_PONGS = 16;
/** Beyond what any message of codex has been; the limit of its own is checked above. */
const MAX_MESSAGE_BYTES = 1024 * 1024 * 1024;

/** The answer to a key, by which a server shows that it understood the upgrade. */
export async function acceptFor(key: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-1", new TextEncoder().encode(key + GUID));
  return base64(new Uint8Array(digest));
}

/** An answer that is no upgrade. */
export class NoUpgrade extends Error {
  /** The status and the beginning of the body; `null`: it is not HTTP. */
  readonly answer: { status: number; text: string } | null;

  /** Reads it from an answer's head, and what has come after it. */
  constructor(head: string, text: string) {
    const status = /^HTTP\/1\.\d (\d{3})/.exec(head)?.[1];
    super(
      status === undefined ? "it does not answer as a WebSocket server does" : `HTTP ${status}`,
    );
    this.answer = status === undefined ? null : { status: Number(status), text };
  }
}

/** How to upgrade: the host to name, the path with its query, and headers beside those that make it an upgrade. */
export interface Upgrade {
  /** The host as it is named to the server. */
  host: string;
  /** Path and query. */
  path: string;
  /** More headers. */
  headers: Readonly<Record<string, string>>;
}

function upgradeRequest({ host, path, headers }: Upgrade, key: string): string {
  const lines = Object.entries(headers).map(([name, value]) => {
    // deno-lint-ignore no-control-regex
    if (/[\x00-\x08\x0a-\x1f\x7f]/.test(value.trim())) {
      throw new Error(`${name} has a character that no header may have`);
    }
    return `${name}: ${value.trim()}\r\n`;
  });
  return `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
    `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\n${lines.join("")}\r\n`;
}

/** A WebSocket of this library's own, which can be ended although the other side is silent. */
export class FrameSocket implements SocketLike {
  bufferedAmount = 0;
  readonly #listeners: Map<string, ((event: SocketEvent) => void)[]> = new Map();
  readonly #reader = new FrameReader({
    text: (data) => this.#tell("message", { data }),
    ping: (payload) => {
      if (this.#pongs === MAX_PONGS) return;
      this.#pongs++;
      void this.#frame(0xa, payload).then(() => this.#pongs--);
    },
    close: (code, reason) => {
      this.#end = { code, reason };
      if (!this.#closed) void this.#frame(0x8, new Uint8Array(0));
      this.#socket?.close();
    },
  }, MAX_MESSAGE_BYTES);
  #socket: ByteSocket | undefined;
  #head: Uint8Array | null = new Uint8Array(0);
  #onHead: ((head: string) => void) | undefined;
  /** What came with the head of an answer, as text. */
  #rest = "";
  #end: SocketEvent = { code: 1006 };
  #closed = false;
  #pongs = 0;

  /** Connects and upgrades, until the signal aborts. Rejects with the runtime's error, or with {@linkcode NoUpgrade}. */
  async open(to: ByteSocketAddress, upgrade: Upgrade, signal: AbortSignal): Promise<void> {
    const key = base64(crypto.getRandomValues(new Uint8Array(16)));
    const request = new TextEncoder().encode(upgradeRequest(upgrade, key));
    const answered = new Promise<string>((resolve) => this.#onHead = resolve);
    const connecting = connectBytes(to, {
      bytes: (chunk) => this.#bytes(chunk),
      closed: () => {
        this.#onHead?.("");
        this.#tell("close", this.#end);
      },
    }, signal);
    try {
      this.#socket = await abortable(connecting, signal);
      await abortable(this.#socket.write(request), signal);
      // The system takes connections for a server that is stopped: it would wait for ever.
      const head = await abortable(answered, signal);
      const accepted = /^HTTP\/1\.1 101\b/.test(head) && head.includes(await acceptFor(key));
      if (!accepted) throw new NoUpgrade(head, this.#rest);
    } catch (error) {
      connecting.then((socket) => socket.close(), () => {});
      throw error;
    }
  }

  send(text: string): void {
    if (!this.#closed) void this.#frame(0x1, new TextEncoder().encode(text));
  }

  close(): void {
    this.#closed = true;
    void this.#frame(0x8, new Uint8Array([0x03, 0xe8]));
  }

  terminate(): void {
    this.#socket?.close();
  }

  addEventListener(type: string, listener: (event: SocketEvent) => void): void {
    this.#listeners.set(type, [...this.#listeners.get(type) ?? [], listener]);
  }

  async #frame(opcode: Opcode, payload: Uint8Array): Promise<void> {
    const mask = crypto.getRandomValues(new Uint8Array(4));
    const bytes = encodeFrame(opcode, payload, mask);
    this.bufferedAmount += bytes.length;
    await this.#socket?.write(bytes);
    this.bufferedAmount -= bytes.length;
  }

  #bytes(chunk: Uint8Array): void {
    if (this.#head === null) return this.#frames(chunk);
    const all = this.#head = joinBytes([this.#head, chunk]);
    const text = new TextDecoder("latin1").decode(all);
    const end = text.indexOf("\r\n\r\n");
    if (end < 0 && all.length < MAX_HEAD_BYTES) return;
    this.#head = null;
    if (end < 0) return this.#onHead?.("");
    const rest = all.slice(end + 4);
    this.#rest = new TextDecoder().decode(rest.subarray(0, MAX_REST_BYTES));
    this.#onHead?.(text.slice(0, end));
    if (rest.length > 0) this.#frames(rest);
  }

  #frames(chunk: Uint8Array): void {
    try {
      this.#reader.push(chunk);
    } catch (error) {
      // No frames: nothing that comes after can be understood.
      this.#end = { code: 1002, reason: messageOf(error) };
      this.#socket?.close();
    }
  }

  #tell(type: string, event: SocketEvent): void {
    for (const listener of this.#listeners.get(type) ?? []) listener(event);
  }
}

// WebSocket frames (RFC 6455).

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
  close(code: number, reason: string): void;
}

/** Takes frames out of a stream of bytes, and joins those of one message. */
export class FrameReader {
  readonly #sink: FrameSink;
  readonly #maxBytes: number;
  #chunks: Uint8Array[] = [];
  #held = 0;
  /** Bytes that must be there before it is worth looking again: each is copied once, however large the message. */
  #needed = 2;
  readonly #decoder = new TextDecoder();
  /** What has come of a message: as text, so that pieces of a few bytes take little more than those. */
  #text = "";
  #textBytes = 0;

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
    let buffer = joinBytes(this.#chunks);
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
    // They are answered in full.
    if ((first & 0x08) !== 0 && short > 125) throw new TypeError("a control frame of that length");
    const head = 2 + (short === 126 ? 2 : short === 127 ? 8 : 0);
    this.#needed = head;
    if (buffer.length < head) return 0;
    const view = new DataView(buffer.buffer, buffer.byteOffset, buffer.length);
    const length = short === 126
      ? view.getUint16(2)
      : short === 127
      ? Number(view.getBigUint64(2))
      : short;
    if (this.#textBytes + length > this.#maxBytes) {
      throw new TypeError("a message beyond the limit");
    }
    this.#needed = head + length;
    if (buffer.length < head + length) return 0;
    this.#take(first & 0x0f, (first & 0x80) !== 0, buffer.subarray(head, head + length));
    return head + length;
  }

  #take(opcode: number, last: boolean, payload: Uint8Array): void {
    switch (opcode) {
      case 0x0:
      case 0x1:
      case 0x2:
        this.#text += this.#decoder.decode(payload, { stream: !last });
        this.#textBytes += payload.length;
        if (!last) return;
        this.#sink.text(this.#text);
        this.#text = "";
        this.#textBytes = 0;
        return;
      case 0x8:
        return this.#sink.close(
          payload.length < 2 ? 1005 : payload[0]! << 8 | payload[1]!,
          new TextDecoder().decode(payload.subarray(2)),
        );
      case 0x9:
        return this.#sink.ping(payload);
      case 0xa:
        return;
      default:
        throw new TypeError("a frame of an unknown kind");
    }
  }
}

/** An HTTP answer in place of the upgrade. */
export interface Refusal {
  /** The HTTP status. */
  status: number;
  /** The beginning of the body; empty when it is not known. */
  text: string;
}

/** The explanation for an HTTP answer to the upgrade; pure. */
export function explainRefusal({ status, text }: Refusal): string {
  const said = text.trim() === "" ? "" : ` (${text.trim()})`;
  if (status === 401) {
    return `HTTP 401${said}. Pass its capability token as \`token\`: the content of the file that it was ` +
      `started with as --ws-token-file.`;
  }
  if (status === 403) {
    return `HTTP 403${said}. It refuses every request with an Origin header, as browsers and some proxies ` +
      `send it.`;
  }
  if (status < 400 || status === 400 || status === 404 || status === 426) {
    return `HTTP ${status}${said}. Is this the url of an app server?`;
  }
  return `HTTP ${status}${said}.`;
}

/**
 * What is wrong with TLS, when a runtime's message is about that: who vouches for the certificate, or that one side
 * speaks TLS and the other does not; pure.
 */
export function tlsTrouble(message: string): string | null {
  const text = message.trim();
  const said = text === "" ? "" : ` (${text.slice(0, 200)})`;
  if (
    /certificate|self.signed|unknown ?issuer|CERT_|UNABLE_TO_VERIFY|notvalid|expired/i.test(text)
  ) {
    return `its certificate is not trusted${said}. Let this runtime trust the authority that signed it: DENO_CERT on Deno, ` +
      "NODE_EXTRA_CA_CERTS on Node and Bun.";
  }
  if (
    /\b(?:tls|ssl)\b|ssl3_|wrong version|invalid ?contenttype|corrupt message|EPROTO|packet length|fatal alert/i
      .test(text)
  ) {
    return `the other side does not speak TLS as it should${said}. Is it ws:// that is wanted?`;
  }
  return null;
}

/** Whether a runtime's message says that somebody answered, and not as an HTTP server does; pure. */
export function hungUp(message: string): boolean {
  return /does not answer as|invalid HTTP|socket hang up|connection ended|ECONNRESET|unexpected end/i
    .test(message);
}
