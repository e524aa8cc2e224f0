/**
 * Images and sounds that go along with a prompt. What codex can't use of them it leaves out without a word to anybody but
 * the model (0.145 to 0.169): that is found out here, before anything is sent.
 *
 * So is an image that is cut off: codex leaves it out, or sends it on to a model's server that refuses
 * the turn for it. What 0.104 to 0.169 make of images that are cut at different places is what is asked here; colours that are
 * wrong are not looked for.
 * @module
 */
import { InvalidArgumentError, RpcError, UnsupportedError } from "../../errors/mod.ts";
import {
  base64,
  bytesOfBase64,
  defined,
  isJsonObject,
  type JsonObject,
  type JsonValue,
  objectsOf,
  stringOf,
} from "../../json.ts";
import { cursorAfter } from "../history/cursor.ts";
import { featureSince, supports } from "../../protocol/mod.ts";
import { DEFAULTS, type RuntimeCore } from "../../runtime/mod.ts";
import type { AudioDataAttachment, ImageDataAttachment } from "../../prompt.ts";

type Medium = "image" | "audio";

/** How the files of each kind begin that codex and its models take. */
const BEGINNINGS: Readonly<Record<Medium, readonly (readonly [RegExp, mimeType: string])[]>> = {
  image: [
    [/^\x89PNG\r\n/, "image/png"],
    [/^\xff\xd8\xff/, "image/jpeg"],
    [/^GIF8[79]a/, "image/gif"],
    [/^RIFF[^]{4}WEBP/, "image/webp"],
  ],
  audio: [
    [/^RIFF[^]{4}WAVE/, "audio/wav"],
    [/^(?:ID3|\xff[\xe2\xe3\xf2\xf3\xfa\xfb])/, "audio/mpeg"],
    [/^[^]{4}ftyp/, "audio/mp4"],
    [/^[^]E\xdf\xa3/, "audio/webm"],
    [/^OggS/, "audio/ogg"],
  ],
};
const WORDS: Readonly<Record<Medium, string>> = {
  image: "a PNG, JPEG, GIF or WebP image",
  audio: "a WAV, MP3, M4A, WebM or Ogg sound",
};
/** Enough bytes to tell. */
const HEAD_BYTES = 12;
/** Codex leaves a larger sound out. 0.145 to 0.169. */
const MAX_AUDIO_BYTES = 50 << 20;
/** What stands around the input in a message. */
const ENVELOPE_BYTES = 64 << 10;

/** The type of bytes, by how they begin; `null`: none that codex takes. */
export function mediaType(medium: Medium, head: Uint8Array): string | null {
  const text = String.fromCharCode(...head.subarray(0, HEAD_BYTES));
  return BEGINNINGS[medium].find(([beginning]) => beginning.test(text))?.[1] ?? null;
}

/** Bytes as a `data:` URL. Throws `InvalidArgumentError` for what codex would leave out. */
export async function dataUrl(
  { type, data, mimeType }: ImageDataAttachment | AudioDataAttachment,
): Promise<string> {
  const size = data instanceof Blob ? data.size : data.length;
  if (type === "audio" && size > MAX_AUDIO_BYTES) {
    throw new InvalidArgumentError("attachments", {
      argument: "data",
      received: `${size} bytes of audio`,
      accepts: `at most ${MAX_AUDIO_BYTES}`,
      hint: "Send a shorter part, or compress it more.",
    });
  }
  const bytes = data instanceof Blob ? new Uint8Array(await data.arrayBuffer()) : data;
  const found = mediaType(type, bytes);
  if (found === null) throw unknownBytes(type, "data", size === 0 ? "no bytes" : "other bytes");
  if (type === "image") await refuseCutOff(found, bytesIn(bytes), "data");
  if (mimeType !== undefined && canonical(mimeType) !== found) {
    throw new InvalidArgumentError("attachments", {
      argument: "mimeType",
      received: "another type",
      accepts: `left out, or ${found}, which the bytes are`,
    });
  }
  return `data:${found};base64,${base64(bytes)}`;
}

/** Types that have more than one name. */
function canonical(mimeType: string): string {
  const type = mimeType.toLowerCase();
  if (/^audio\/(?:x-wav|wave|vnd\.wave)$/.test(type)) return "audio/wav";
  if (/^audio\/(?:x-)?m4a$/.test(type)) return "audio/mp4";
  return type === "audio/mp3" ? "audio/mpeg" : type === "image/jpg" ? "image/jpeg" : type;
}

/** An image's `data:` URL as codex wants it. Throws `InvalidArgumentError` for one that it would leave out. */
export async function imageDataUrl(url: string): Promise<string> {
  const [, said = ""] = /^data:[^,]*;base64,([^]*)/i.exec(url) ?? [];
  // Codex takes no lines in base64, and wants all of its end.
  const text = said.replace(/\s+|={1,2}\s*$/g, "");
  const end = -text.length & 3;
  if (end > 2 || /[^A-Za-z\d+/]/.test(text)) throw unknownBytes("image", "url", "no base64");
  const data = text + "=".repeat(end);
  return `data:${await checkImage(bytesInBase64(data), "url", "other bytes")};base64,${data}`;
}

/** Throws `InvalidArgumentError` for a file that codex would leave out. */
export async function checkImageFile(file: ByteSource): Promise<void> {
  await checkImage(file, "path", "a file with other bytes");
}

async function checkImage(
  source: ByteSource,
  argument: string,
  received: string,
): Promise<string> {
  const type = mediaType("image", await source.read(0, HEAD_BYTES));
  if (type === null) throw unknownBytes("image", argument, received);
  await refuseCutOff(type, source, argument);
  return type;
}

async function refuseCutOff(type: string, source: ByteSource, argument: string): Promise<void> {
  if (await isWholeImage(type, source)) return;
  throw unknownBytes(
    "image",
    argument,
    `the beginning of an ${type} without its end`,
    "Get the whole of it: codex would leave it out.",
  );
}

/** The error for what is no image, or no sound. */
function unknownBytes(
  medium: Medium,
  argument: string,
  received: string,
  hint: string = "Convert it first: codex would leave it out.",
): InvalidArgumentError {
  return new InvalidArgumentError("attachments", {
    argument,
    received,
    accepts: argument === "url" ? `${WORDS[medium]}, in base64` : WORDS[medium],
    hint,
  });
}

/**
 * Throws for input that would not arrive: `UnsupportedError` for sounds on a codex that takes none, `InvalidArgumentError` for
 * a model that sees or hears nothing, and for more than this client could read when codex repeats it.
 */
export async function checkMedia(
  input: readonly JsonObject[],
  core: RuntimeCore,
  model: string | null,
  signal?: AbortSignal,
): Promise<void> {
  const has = (type: string) => input.some((item) => item["type"] === type);
  const media: Medium[] = [
    ...(has("image") || has("localImage") ? ["image" as const] : []),
    ...(has("audio") ? ["audio" as const] : []),
  ];
  if (media.length === 0) return;
  const { version } = core.server;
  if (has("audio") && !supports(version, "audioInput")) {
    throw new UnsupportedError("Audio attachments", featureSince("audioInput"), version);
  }
  checkSize(input, core.config.maxMessageBytes ?? DEFAULTS.maxMessageBytes);
  const known = await modalitiesOf(core, model, signal);
  // Of a model that it does not know codex believes that it sees, and does not hear.
  const modalities = known ?? ["text", "image"];
  const missing = media.find((medium) => !modalities.includes(medium));
  if (missing === undefined) return;
  const sense = missing === "image" ? "sees images" : "hears audio";
  throw new InvalidArgumentError("attachments", {
    argument: "type",
    received: `"${missing}" for a model that, as far as codex knows, takes ${
      modalities.join(" and ")
    } only`,
    accepts: "one that the model takes",
    hint:
      `Choose a \`model\` that ${sense}: \`client.models()\` tells each one's \`raw.inputModalities\`.`,
  }, { data: { reason: "modality", modality: missing } });
}

function checkSize(input: readonly JsonObject[], limit: number): void {
  const bytes = input.reduce((sum, { url, text }) => sum + lengthOf(url) + lengthOf(text), 0);
  const most = limit - ENVELOPE_BYTES;
  if (bytes <= most) return;
  throw new InvalidArgumentError("attachments", {
    argument: "data",
    received: `${bytes} bytes in base64, all attachments of the prompt together`,
    accepts: `at most ${Math.max(most, 0)}: codex repeats them in one message`,
    hint: "Send fewer or smaller ones, or raise `maxMessageBytes`.",
  });
}

function lengthOf(value: unknown): number {
  return typeof value === "string" ? value.length : 0;
}

/** What a model takes, as codex's list has it; `null` when it does not say. */
async function modalitiesOf(
  core: RuntimeCore,
  model: string | null,
  signal?: AbortSignal,
): Promise<string[] | null> {
  if (model === null) return null;
  let cursor: string | null = null;
  do {
    const params: JsonObject = { cursor, includeHidden: true };
    const page: JsonValue = await core.call(
      "model/list",
      params,
      defined({ signal }),
    ).catch((error) => {
      // What has no list has said nothing against images.
      if (error instanceof RpcError) return null;
      throw error;
    });
    if (!isJsonObject(page)) return null;
    const found: JsonObject | undefined = objectsOf(page, "data").find((each) =>
      stringOf(each, "model") === model
    );
    const modalities = found?.["inputModalities"];
    if (Array.isArray(modalities)) return modalities.map(String);
    cursor = found === undefined ? cursorAfter(page, cursor) : null;
  } while (cursor !== null);
  return null;
}

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
      return bytesOfBase64(group).subarray(skipped, skipped + length);
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
