import assert from "node:assert/strict";
import { LineFramer, utf8Length } from "../../../src/rpc/framing.ts";
import { test } from "../../_harness.ts";

const encoder = new TextEncoder();
const LIMIT = 64 * 1024 * 1024;

interface TooLong {
  bytes: number;
  head: string;
  tail: string;
}

function framer(limit = LIMIT): { framer: LineFramer; lines: string[]; tooLong: TooLong[] } {
  const lines: string[] = [];
  const tooLong: TooLong[] = [];
  return {
    lines,
    tooLong,
    framer: new LineFramer(limit, {
      line: (text, start, end) => void lines.push(text.slice(start, end)),
      tooLong: (bytes, head, tail) => void tooLong.push({ bytes, head, tail }),
    }),
  };
}

function linesOf(chunks: Uint8Array[], limit?: number): string[] {
  const { framer: it, lines } = framer(limit);
  for (const chunk of chunks) it.push(chunk);
  return lines;
}

test("a line is told once its newline has come, wherever the chunks end", () => {
  const text = '{"a":"é€😀"}\n{"b":"\u2028 \ufeff"}\n';
  const bytes = encoder.encode(text);
  const expected = text.trimEnd().split("\n");
  for (let cut = 0; cut <= bytes.length; cut++) {
    assert.deepEqual(linesOf([bytes.slice(0, cut), bytes.slice(cut)]), expected, `cut at ${cut}`);
  }
  assert.deepEqual(linesOf([...bytes].map((byte) => Uint8Array.of(byte))), expected);
});

test("a code point split at every byte between large chunks stays whole", () => {
  const filler = "x".repeat(5000);
  const bytes = encoder.encode(`${filler}\n${filler}😀é${filler}\n${filler}\n`);
  const from = 2 * filler.length;
  for (let cut = from - 2; cut < from + 10; cut++) {
    const lines = linesOf([bytes.slice(0, cut), bytes.slice(cut)]);
    assert.deepEqual(lines, [filler, `${filler}😀é${filler}`, filler], `cut at ${cut}`);
  }
});

test("U+2028, U+2029, U+0085 and a carriage return within a line do not end it", () => {
  const line = '{"t":"a\u2028b\u2029c\u0085d\re"}';
  assert.deepEqual(linesOf([encoder.encode(`${line}\n`)]), [line]);
});

test("a byte order mark at the start of a line is kept", () => {
  assert.deepEqual(linesOf([encoder.encode("\ufeff{}\n\ufeff{}\n")]), ["\ufeff{}", "\ufeff{}"]);
  const large = `\ufeff${"y".repeat(6000)}`;
  assert.deepEqual(linesOf([encoder.encode(`${large}\n`)]), [large]);
});

test("lines that end with CRLF are read, blank ones are skipped", () => {
  assert.deepEqual(
    linesOf([encoder.encode('\r\n{"a":1}\r\n\n  \n\t\n{"b":2}\r\n')]).map((l) => JSON.parse(l)),
    [{ a: 1 }, { b: 2 }],
  );
});

test("lone surrogates as escapes pass untouched", () => {
  const line = String.raw`{"t":"\ud83d and \udc00"}`;
  assert.deepEqual(linesOf([encoder.encode(`${line}\n`)]), [line]);
});

test("bytes that are no UTF-8 become U+FFFD and do not disturb the next line", () => {
  const bad = Uint8Array.of(0x22, 0xff, 0xfe, 0x22, 10, 0x7b, 0x7d, 10);
  assert.deepEqual(linesOf([bad]), ['"\ufffd\ufffd"', "{}"]);
});

test("ASCII and other lines mixed in one large chunk come out in order, however far apart", () => {
  for (const every of [1, 2, 7, 250, 500, 1999]) {
    const expected: string[] = [];
    for (let i = 0; i < 2000; i++) expected.push(i % every === 0 ? `line ${i} é😀` : `a line ${i}`);
    for (const first of ["é", "", "ascii"]) {
      const lines = linesOf([encoder.encode(`${first}\n${expected.join("\n")}\n`)]);
      assert.deepEqual(lines, first === "" ? expected : [first, ...expected], `every ${every}`);
    }
  }
});

test("100,000 lines in one chunk are all told", () => {
  const line = '{"method":"item/agentMessage/delta","params":{"delta":"x"}}';
  const { framer: it, lines } = framer();
  it.push(encoder.encode(`${line}\n`.repeat(100_000)));
  assert.equal(lines.length, 100_000);
  assert.equal(lines.at(-1), line);
});

test("a line of 20 MB in chunks of 64 KiB is joined once", () => {
  const size = 20 * 1024 * 1024;
  const bytes = new Uint8Array(size + 1).fill(97);
  bytes[size] = 10;
  const { framer: it, lines } = framer();
  const started = performance.now();
  for (let at = 0; at < bytes.length; at += 65_536) it.push(bytes.slice(at, at + 65_536));
  assert.equal(lines.length, 1);
  assert.equal(lines[0]!.length, size);
  // Joining at every chunk would copy 3 GB.
  assert.ok(performance.now() - started < 3000);
});

test("a line beyond the limit is skipped with its head and tail, and the next one is read", () => {
  const long = `{"id":7,"result":"${"é".repeat(5000)}","threadId":"T"}`;
  const size = encoder.encode(long).length;
  for (const chunkSize of [1, 100, 4096, 1 << 20]) {
    const { framer: it, lines, tooLong } = framer(1000);
    const bytes = encoder.encode(`{"a":1}\n${long}\n{"b":2}\n`);
    for (let at = 0; at < bytes.length; at += chunkSize) it.push(bytes.slice(at, at + chunkSize));
    assert.deepEqual(lines, ['{"a":1}', '{"b":2}']);
    assert.equal(tooLong.length, 1);
    assert.equal(tooLong[0]!.bytes, size);
    assert.ok(tooLong[0]!.head.startsWith('{"id":7,"result":"é'));
    assert.ok(tooLong[0]!.tail.endsWith('","threadId":"T"}'));
  }
});

test("a line of exactly the limit passes, one byte more does not", () => {
  for (
    const [text, passes] of [["a".repeat(1000), true], ["a".repeat(1001), false], [
      "é".repeat(500),
      true,
    ], ["é".repeat(500) + "a", false]] as const
  ) {
    for (const chunks of [[`${text}\n`], [text.slice(0, 3), `${text.slice(3)}\n`]]) {
      const { framer: it, lines, tooLong } = framer(1000);
      for (const chunk of chunks) it.push(encoder.encode(chunk));
      assert.equal(lines.length, passes ? 1 : 0, `${text.length} ${chunks.length}`);
      assert.equal(tooLong.length, passes ? 0 : 1, `${text.length} ${chunks.length}`);
    }
  }
});

test("end() tells the size of an unfinished line and forgets it", () => {
  const { framer: it, lines } = framer();
  it.push(encoder.encode('{"a":1}\n{"cut'));
  assert.equal(it.pendingBytes, 5);
  assert.equal(it.end(), 5);
  assert.equal(it.end(), 0);
  assert.deepEqual(lines, ['{"a":1}']);
});

test("utf8Length() counts like an encoder, lone surrogates included", () => {
  for (const text of ["", "abc", "é", "€", "😀", "a😀é€b", "\ud83d", "\udc00x", "\ud83dx\udc00"]) {
    assert.equal(utf8Length(text), encoder.encode(text).length, JSON.stringify(text));
  }
});

test("lines of a large chunk are offered as bytes first, and told as text where that is not enough", () => {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  const odd = Uint8Array.of(0x22, 0xff, 0xe2, 0x82, 0x22);
  const all = Array.from(
    { length: 3000 },
    (_, i) =>
      i % 50 === 7 ? odd : encoder.encode(i % 7 === 0 ? `line ${i} é😀\u2028` : `a line ${i}`),
  );
  const blank = encoder.encode("\r\n\n  \n");
  const bytes = Uint8Array.from(all.flatMap((line) => [...blank, ...line, 10]));
  for (const chunkSize of [bytes.length, 20_000, 16_384, 5000]) {
    for (const every of [0, 1, 3]) {
      const told: string[] = [];
      let offered = 0;
      const it = new LineFramer(LIMIT, {
        line: (text, start, end) => void told.push(text.slice(start, end)),
        undecoded: (text, start, end) => {
          const line = Uint8Array.from(text.slice(start, end), (char) => char.charCodeAt(0));
          const takes = every > 0 && decoder.decode(line).trim() !== "" && ++offered % every === 0;
          if (takes) told.push(decoder.decode(line));
          return takes;
        },
        tooLong: () => assert.fail(),
      });
      for (let at = 0; at < bytes.length; at += chunkSize) {
        it.push(bytes.slice(at, at + chunkSize));
      }
      assert.deepEqual(told, all.map((line) => decoder.decode(line)));
      if (every > 0) assert.equal(offered > 100, chunkSize > 16_384);
    }
  }
});

test("in a large chunk the limit counts bytes as well", () => {
  for (const [text, passes] of [["é".repeat(500), true], [`${"é".repeat(500)}a`, false]] as const) {
    const tooLong: TooLong[] = [];
    const told: string[] = [];
    const it = new LineFramer(1000, {
      line: (block, start, end) => void told.push(block.slice(start, end)),
      undecoded: () => false,
      tooLong: (bytes, head, tail) => void tooLong.push({ bytes, head, tail }),
    });
    it.push(encoder.encode(`${text}\n${"{}\n".repeat(6000)}`));
    assert.equal(told.length, passes ? 6001 : 6000);
    assert.deepEqual(tooLong, passes ? [] : [{ bytes: 1001, head: text, tail: text }]);
  }
});

test("a Buffer that makes no string of bytes, as bundlers for browsers bring one, leaves lines to be decoded", () => {
  const globals = globalThis as unknown as { Buffer: unknown };
  const own = globals.Buffer;
  const line = `{"text":"é😀"}`;
  const told: string[] = [];
  const it = new LineFramer(LIMIT, {
    line: (block, start, end) => void told.push(block.slice(start, end)),
    undecoded: () => assert.fail("there are no bytes to look at"),
    tooLong: () => assert.fail(),
  });
  const chunk = encoder.encode(`${line}\n`.repeat(2000));
  globals.Buffer = class extends Uint8Array {};
  try {
    it.push(chunk);
  } finally {
    globals.Buffer = own;
  }
  assert.deepEqual(told, new Array(2000).fill(line));
});
