/**
 * Whether an image is there to its end: codex leaves one out that is cut off, or sends it on to a model's server that refuses
 * the turn for it. What 0.104 to 0.169 make of images that are cut at different places is what is asked here; colours that are
 * wrong are not looked for.
 * @module
 */

/** Bytes that can be read anywhere. */
export interface ByteSource {
  /** At most so many bytes from there on; fewer at the end. */
  read(at: number, length: number): Promise<Uint8Array>;
}

/** Bytes that are in memory. */
export function bytesIn(bytes: Uint8Array): ByteSource {
  // deno-lint-ignore require-await -- nothing has to be waited for
  return { read: async (at, length) => bytes.subarray(at, at + length) };
}

/** Bytes behind base64 that is base64. */
export function bytesInBase64(text: string): ByteSource {
  return {
    // deno-lint-ignore require-await -- nothing has to be waited for
    read: async (at, length) => {
      const skipped = at % 3;
      const from = (at - skipped) / 3 * 4;
      const group = text.slice(from, from + Math.ceil((skipped + length) / 3) * 4);
      const decoded = Uint8Array.from(atob(group), (char) => char.charCodeAt(0));
      return decoded.subarray(skipped, skipped + length);
    },
  };
}

const BLOCK_BYTES = 64 << 10;

/** Reads a few bytes here and there out of larger pieces. */
class Blocks {
  readonly #source: ByteSource;
  #block: Uint8Array = new Uint8Array();
  #from = 0;

  constructor(source: ByteSource) {
    this.#source = source;
  }

  /** These bytes, or `null` where they are not all there. */
  async take(at: number, length: number): Promise<DataView | null> {
    if (at < this.#from || at + length > this.#from + this.#block.length) {
      this.#block = await this.#source.read(at, BLOCK_BYTES);
      this.#from = at;
    }
    const start = at - this.#from;
    if (start + length > this.#block.length) return null;
    return new DataView(this.#block.buffer, this.#block.byteOffset + start, length);
  }

  /** One byte; `NaN` behind the end. */
  async byte(at: number): Promise<number> {
    return (await this.take(at, 1))?.getUint8(0) ?? NaN;
  }
}

/** Whether an image of this type is not cut off. */
export async function isWholeImage(mimeType: string, source: ByteSource): Promise<boolean> {
  const blocks = new Blocks(source);
  switch (mimeType) {
    case "image/png":
      return await endsAsPng(blocks);
    case "image/gif":
      return await hasGifImage(blocks);
    case "image/jpeg":
      return await hasJpegScan(blocks);
    default:
      return await endsAsWebp(blocks);
  }
}

const IEND = 0x49454e44;

async function endsAsPng(blocks: Blocks): Promise<boolean> {
  for (let at = 8;;) {
    const head = await blocks.take(at, 8);
    if (head === null) return false;
    if (head.getUint32(4) === IEND) return true;
    at += 12 + head.getUint32(0);
  }
}

async function endsAsWebp(blocks: Blocks): Promise<boolean> {
  const head = await blocks.take(4, 4);
  // The last byte may be padding.
  return head !== null && await blocks.take(8 + head.getUint32(0, true) - 2, 1) !== null;
}

/** Up to where the pixels begin: what is there of a picture is taken for one. */
async function hasJpegScan(blocks: Blocks): Promise<boolean> {
  for (let at = 2;;) {
    const [start, marker] = [await blocks.byte(at), await blocks.byte(at + 1)];
    if (start !== 0xff) return false;
    // Any number of these may stand before a marker.
    if (marker === 0xff) at += 1;
    else {
      const length = (await blocks.take(at + 2, 2))?.getUint16(0);
      if (length === undefined) return false;
      at += 2 + length;
      if (marker === 0xda) return await blocks.take(at - 1, 1) !== null;
    }
  }
}

/** Up to the end of the first picture. */
async function hasGifImage(blocks: Blocks): Promise<boolean> {
  const table = (flags: number) => flags & 0x80 ? 3 << ((flags & 7) + 1) : 0;
  const flags = await blocks.byte(10);
  let at = 13 + table(flags);
  for (;;) {
    const kind = await blocks.byte(at);
    if (kind !== 0x21 && kind !== 0x2c) return false;
    at += kind === 0x21 ? 2 : 11 + table(await blocks.byte(at + 9));
    let size: number;
    while ((size = await blocks.byte(at)) > 0) at += size + 1;
    if (Number.isNaN(size)) return false;
    at += 1;
    if (kind === 0x2c) return true;
  }
}
