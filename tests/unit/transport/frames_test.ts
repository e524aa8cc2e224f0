import assert from "node:assert/strict";
import { encodeFrame, FrameReader } from "../../../src/transport/frames.ts";
import { acceptFor } from "../../../src/transport/frames.ts";
import { test } from "../../_harness.ts";

function reader(maxBytes = 1 << 20): { reader: FrameReader; seen: unknown[] } {
  const seen: unknown[] = [];
  return {
    seen,
    reader: new FrameReader({
      text: (message) => seen.push(message),
      ping: (payload) => seen.push(["ping", payload.length]),
      close: (code, reason) => seen.push(["close", code, reason]),
    }, maxBytes),
  };
}

/** A server's frame: the same without a mask. */
function serverFrame(first: number, payload: Uint8Array): Uint8Array {
  const { length } = payload;
  const head = length < 126
    ? [first, length]
    : length < 0x10000
    ? [first, 126, length >> 8, length & 255]
    : [
      first,
      127,
      0,
      0,
      0,
      0,
      length >>> 24,
      (length >> 16) & 255,
      (length >> 8) & 255,
      length & 255,
    ];
  return new Uint8Array([...head, ...payload]);
}

const text = (value: string) => new TextEncoder().encode(value);

test("FrameReader joins what comes in any pieces, for every size of length", () => {
  for (const length of [0, 1, 125, 126, 65_535, 65_536]) {
    const frame = serverFrame(0x81, text("x".repeat(length)));
    for (const size of [1, 2, 7, 4096, frame.length]) {
      if (frame.length / size > 5_000) continue;
      const { reader: each, seen } = reader();
      for (let at = 0; at < frame.length; at += size) each.push(frame.slice(at, at + size));
      assert.deepEqual(seen, ["x".repeat(length)]);
    }
  }
});

test("FrameReader joins fragments around control frames, and characters cut in two", () => {
  const { reader: each, seen } = reader();
  const bytes = text("é");
  each.push(serverFrame(0x01, bytes.slice(0, 1)));
  each.push(serverFrame(0x89, text("hi")));
  each.push(serverFrame(0x80, bytes.slice(1)));
  each.push(serverFrame(0x88, new Uint8Array([0x03, 0xe8, 0x62, 0x79, 0x65])));
  assert.deepEqual(seen, [["ping", 2], "é", ["close", 1000, "bye"]]);
});

test("FrameReader counts each message for itself, its fragments together", () => {
  const { reader: each, seen } = reader(10);
  for (const message of ["x".repeat(8), "y".repeat(8)]) each.push(serverFrame(0x81, text(message)));
  assert.deepEqual(seen, ["x".repeat(8), "y".repeat(8)]);
  each.push(serverFrame(0x01, text("x".repeat(8))));
  assert.throws(() => each.push(serverFrame(0x80, text("x".repeat(8)))), /limit/);
});

test("FrameReader refuses what no server sends", () => {
  assert.throws(() => reader().reader.push(new Uint8Array([0xc1, 0])), /reserved/);
  assert.throws(() => reader().reader.push(new Uint8Array([0x81, 0x80])), /masked/);
  assert.throws(() => reader().reader.push(new Uint8Array([0x83, 0])), /unknown/);
  assert.throws(() => reader().reader.push(new Uint8Array([0x89, 126])), /control frame/);
  assert.throws(() => reader(10).reader.push(serverFrame(0x81, text("x".repeat(11)))), /limit/);
});

test("encodeFrame() masks as RFC 6455 shows it, and acceptFor() answers as it does", async () => {
  const mask = new Uint8Array([0x37, 0xfa, 0x21, 0x3d]);
  assert.deepEqual(
    [...encodeFrame(0x1, text("Hello"), mask)],
    [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58],
  );
  assert.equal(encodeFrame(0x1, new Uint8Array(126), mask).length, 4 + 4 + 126);
  assert.equal(encodeFrame(0x1, new Uint8Array(65_536), mask).length, 10 + 4 + 65_536);
  assert.equal(await acceptFor("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
});

test("FrameReader takes a large message in time linear to its size", () => {
  const { reader: each, seen } = reader(1 << 27);
  const payload = new Uint8Array(48 << 20).fill(120);
  const head = serverFrame(0x81, new Uint8Array(0)).slice(0, 1);
  each.push(new Uint8Array([head[0]!, 127, 0, 0, 0, 0, 3, 0, 0, 0]));
  const began = performance.now();
  for (let at = 0; at < payload.length; at += 16_384) each.push(payload.subarray(at, at + 16_384));
  // 3,072 chunks; copied anew with each it would be 74 GB.
  assert.ok(performance.now() - began < 5_000);
  assert.equal((seen[0] as string).length, payload.length);
});

test("FrameReader keeps no piece of a message, which may have any number of them, of no bytes", () => {
  const { reader: each, seen } = reader();
  const { decode } = TextDecoder.prototype;
  let decoded = 0;
  // Kept until the last one comes, 2 MiB of such pieces took some 400; how much memory a process has tells nothing of that.
  TextDecoder.prototype.decode = function (...args) {
    decoded++;
    return decode.apply(this, args);
  };
  try {
    each.push(Uint8Array.of(0x01, 0));
    for (let pushed = 1; pushed <= 32; pushed++) {
      each.push(new Uint8Array(1024));
      assert.equal(decoded, 1 + pushed * 512);
    }
  } finally {
    TextDecoder.prototype.decode = decode;
  }
  each.push(serverFrame(0x80, text("x")));
  assert.deepEqual(seen, ["x"]);
});
