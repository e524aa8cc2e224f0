/**
 * WebSocket frames (RFC 6455) by hand: runtimes connect their own WebSockets to hosts, not to sockets of the file system.
 * @module
 */

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
  /** A whole text message. */
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
  #isText = false;

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
        if (opcode !== 0) this.#isText = opcode === 0x1;
        this.#parts.push(payload);
        this.#partBytes += payload.length;
        if (!last) return;
        if (this.#isText) this.#sink.text(new TextDecoder().decode(join(this.#parts)));
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
