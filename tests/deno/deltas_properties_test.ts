/** Deltas are cut out of their lines; whatever the texts and the chunks, they are what parsing every line gives. */
import assert from "node:assert/strict";
import fc from "npm:fast-check@4.10.2";
import { Connection, type ConnectionHandler } from "../../src/rpc/mod.ts";
import type { Transport, TransportSink } from "../../src/transport/mod.ts";
import { textsOf } from "../_delta_run.ts";
import { test } from "../_harness.ts";
import "./_seed.ts";

/** Whose text, and the text; or a line that is none of a delta. */
type Told = readonly [item: string, text: string] | readonly ["malformed"];

const text = fc.oneof(
  fc.string({ maxLength: 12 }),
  fc.string({ unit: "grapheme", maxLength: 8 }),
  fc.constantFrom(
    "",
    '"',
    "\\",
    '\\"',
    '"}',
    '"}}',
    '","emittedAtMs":1}}',
    "\n",
    "\u2028",
    "\ud83d",
  ),
);
/** Counted from the end of the line: most of these are in the text. */
const inText = fc.integer({ min: -12, max: -4 });
const delta = fc.record({
  item: fc.constantFrom("a", "b", "a longer name", "é😀"),
  thread: fc.constantFrom("T", "U"),
  text,
  emitted: fc.boolean(),
  // A character of the line, up to the end of its parameters, that becomes another one.
  damage: fc.option(fc.tuple(fc.oneof(fc.nat(300), inText), fc.constantFrom("\\", '"', "x", "}")), {
    freq: 3,
  }),
  // A byte that becomes another one, which leaves no UTF-8 most of the time.
  byte: fc.option(fc.tuple(fc.nat(12), fc.constantFrom(0x80, 0xac, 0xc3, 0xe2, 0xff)), { freq: 5 }),
});
type Delta = typeof delta extends fc.Arbitrary<infer D> ? D : never;

const EMITTED = ',"emittedAtMs":1795367082387}';

function lineOf({ item, thread, text, emitted, damage }: Delta): string {
  const params = { threadId: thread, turnId: "V", itemId: item, delta: text };
  const line = JSON.stringify({ method: "item/agentMessage/delta", params });
  // The time of emission is known by some of its characters, since nobody is told it: damage there costs no text.
  const whole = line.slice(0, -1) + (emitted ? EMITTED : "}");
  if (damage === null) return whole;
  const at = damage[0] < 0 ? line.length + damage[0] : damage[0] % (line.length - 1);
  // As UTF-8 carries it.
  return (whole.slice(0, at) + damage[1] + whole.slice(at + 1)).toWellFormed();
}

/** What a reader that parses every line is told. */
function parsed(line: string): Told {
  try {
    const { method, params, id } = JSON.parse(line);
    if (typeof method !== "string" || id !== undefined) return ["malformed"];
    return [`${method} ${params?.threadId} ${params?.itemId}`, String(params?.delta)];
  } catch {
    return ["malformed"];
  }
}

/** Its line in UTF-8, of which a byte may be damaged: counted from the end, most often in the text. */
function bytesOf(each: Delta): Uint8Array {
  const line = lineOf(each);
  const bytes = new TextEncoder().encode(`${line}\n`);
  if (each.byte === null) return bytes;
  const tail = each.emitted ? EMITTED.length : 1;
  const at = bytes.length - 1 - tail - 4 - each.byte[0];
  bytes[Math.max(0, at)] = each.byte[1];
  return bytes;
}

/** A line as a decoder of it alone sees it. */
function decoded(bytes: Uint8Array): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes.subarray(0, -1));
}

function told(lines: readonly Uint8Array[], sizes: readonly number[]): Told[] {
  const all: Told[] = [];
  let sink!: TransportSink;
  // Delivers at once.
  const transport: Transport = {
    kind: "stdio",
    pid: null,
    maxOutboundBytes: null,
    start: (given) => void (sink = given),
    write: () => Promise.resolve(),
    stderrTail: () => "",
    close: () => Promise.resolve({ gone: true, how: "eof", exit: null, durationMs: 0 }),
    kill: () => {},
  };
  const handler: ConnectionHandler = {
    arrived: () => {},
    deltas: (batch) => {
      for (let from = 0, to = 0; from < batch.length; from = to) {
        to = batch.runEnd(from);
        const joined = batch.joined(from, to);
        assert.equal(joined, textsOf(batch).slice(from, to).join(""));
        for (let i = from; i < to; i++) {
          const { method, threadId, itemId } = batch.head(i);
          all.push([`${method} ${threadId} ${itemId}`, batch.text(i)]);
          assert.deepEqual(parsed(batch.line(i)), all.at(-1));
        }
      }
    },
    notification: ({ method, params }) =>
      void all.push([
        `${method} ${params["threadId"]} ${params["itemId"]}`,
        String(params["delta"]),
      ]),
    request: () => void all.push(["malformed"]),
    response: () => void all.push(["malformed"]),
    malformed: () => void all.push(["malformed"]),
    oversize: () => {},
    sent: () => {},
    closed: () => {},
  };
  new Connection(transport, handler, {
    maxMessageBytes: 1 << 20,
    maxInFlight: 1,
    requestTimeoutMs: 1000,
  });
  const bytes = Uint8Array.from(lines.flatMap((line) => [...line]));
  for (let from = 0, i = 0; from < bytes.length; i++) {
    const size = sizes[i % sizes.length]!;
    sink.bytes(bytes.slice(from, from + size));
    from += size;
  }
  return all;
}

test("deltas are told as every line's parser tells them, in any chunks", () => {
  let cut = 0;
  fc.assert(
    fc.property(
      fc.array(delta, { maxLength: 40 }),
      fc.array(fc.oneof(fc.integer({ min: 1, max: 40 }), fc.constantFrom(4096, 65_536)), {
        minLength: 1,
        maxLength: 4,
      }),
      // Enough of them for chunks whose lines are looked at before they are decoded.
      fc.constantFrom(1, 1, 10),
      (deltas, sizes, times) => {
        const once = deltas.map(bytesOf);
        const lines = Array.from({ length: times }, () => once).flat();
        assert.deepEqual(told(lines, sizes), lines.map((line) => parsed(decoded(line))));
        cut += lines.length;
      },
    ),
    { numRuns: 400 },
  );
  assert.ok(cut > 1000);
});
