/** Where an image is cut off, by the kinds of image that codex takes. */
import assert from "node:assert/strict";
import {
  bytesIn,
  bytesInBase64,
  type ByteSource,
  isWholeImage,
} from "../../../src/session/prompt/media.ts";
import { test } from "../../_harness.ts";
import { PICTURES } from "../_pictures.ts";

const base64 = (bytes: Uint8Array) => btoa(String.fromCharCode(...bytes));

test("isWholeImage() tells each picture from its beginnings, wherever they end", async () => {
  for (const { mimeType, bytes, whole } of PICTURES) {
    for (let length = 0; length <= bytes.length + 9; length++) {
      // What comes behind the end is no part of it.
      const cut = new Uint8Array(length);
      cut.set(bytes.subarray(0, length));
      for (const source of [bytesIn(cut), bytesInBase64(base64(cut))]) {
        assert.equal(
          await isWholeImage(mimeType, source),
          length >= whole,
          `${mimeType} ${length}`,
        );
      }
    }
  }
});

test("isWholeImage() ends, whatever the bytes say of their lengths", async () => {
  for (const { mimeType, bytes } of PICTURES) {
    for (let at = 2; at < bytes.length; at++) {
      for (const value of [0, 1, 0x7f, 0x80, 0xff]) {
        const changed = bytes.slice();
        changed[at] = value;
        assert.equal(typeof await isWholeImage(mimeType, bytesIn(changed)), "boolean");
      }
    }
  }
  // Chunks without content, tables without end.
  const png = PICTURES[0]!.bytes;
  const empty = new Uint8Array(1 << 20);
  empty.set(png.subarray(0, 8));
  assert.equal(await isWholeImage("image/png", bytesIn(empty)), false);
  assert.equal(
    await isWholeImage("image/jpeg", bytesIn(new Uint8Array(1 << 16).fill(0xff))),
    false,
  );
  assert.equal(await isWholeImage("image/gif", bytesIn(new Uint8Array(1 << 16).fill(0x21))), false);
});

test("isWholeImage() reads little of a large file, and knows what lies beyond its blocks", async () => {
  const { bytes } = PICTURES[0]!;
  const large = new Uint8Array(bytes.length + 12 + (1 << 20));
  large.set(bytes.subarray(0, 33));
  // A chunk that nobody needs.
  new DataView(large.buffer).setUint32(33, 1 << 20);
  large.set(bytes.subarray(33), 33 + 12 + (1 << 20));
  let read = 0;
  const counted = (all: Uint8Array): ByteSource => ({
    read: async (at, length) => {
      const piece = await bytesIn(all).read(at, length);
      read += piece.length;
      return piece;
    },
  });
  assert.equal(await isWholeImage("image/png", counted(large)), true);
  assert.ok(read < 1 << 17, `${read}`);
  assert.equal(await isWholeImage("image/png", counted(large.subarray(0, 1 << 20))), false);
});
