/** What a history is told in: the size of pages, words in a text, iterations that end. */
import assert from "node:assert/strict";
import { InvalidArgumentError } from "../../../src/errors/mod.ts";
import type { RuntimeCore } from "../../../src/runtime/core.ts";
import { listModels } from "../../../src/session/client/threads.ts";
import { endable } from "../../../src/session/history/endable.ts";
import { listThreads, nextLimit } from "../../../src/session/history/pages.ts";
import { turnsFrom } from "../../../src/session/history/rewind/rewind.ts";
import { occurrences } from "../../../src/session/history/search.ts";
import { checkMedia } from "../../../src/session/prompt/media.ts";
import { test } from "../../_harness.ts";

const MIB = 1 << 20;

test("pages grow while they are small and shrink when they are large", () => {
  const cases: [limit: number, bytes: number, most: number, expected: number][] = [
    [2, 100, 20, 4],
    [16, 100, 20, 20],
    [20, 100, 20, 20],
    [2, MIB, 20, 2],
    [2, 2 * MIB, 20, 2],
    [2, 2 * MIB + 1, 20, 1],
    [1, 50 * MIB, 20, 1],
    [1, MIB - 1, 1, 1],
  ];
  for (const [limit, bytes, most, expected] of cases) {
    assert.equal(nextLimit(limit, bytes, most), expected, `${limit} ${bytes} ${most}`);
  }
});

test("words are found in any case, and where they are is told within what is around them", () => {
  const found = (text: string, words: string) =>
    [...occurrences(text, words)].map(({ snippet, start, end }) => snippet.slice(start, end));
  assert.deepEqual(found("Pears and pears", "PEARS"), ["Pears", "pears"]);
  assert.deepEqual(found("a.b a+b (a|b) $1 \\d [x] {2}", "(a|b)"), ["(a|b)"]);
  assert.deepEqual(found("a-b/c", "a-b/c"), ["a-b/c"]);
  assert.deepEqual(found("\\d", "\\d"), ["\\d"]);
  assert.deepEqual(found("İstanbul ä😀 pears", "pears"), ["pears"]);
  assert.deepEqual(found("", "x"), []);
  // Half of a pair is no match for the whole of it.
  assert.deepEqual(found("😀", "\ud83d"), []);
  const far = `${"😀".repeat(100)}x${"😀".repeat(100)}`;
  const [hit] = occurrences(far, "x");
  assert.equal(hit!.snippet.isWellFormed(), true);
  assert.equal(hit!.snippet.slice(hit!.start, hit!.end), "x");
  assert.ok(hit!.snippet.length < 170);
});

/** A list whose second page never comes unless it is aborted. */
function stuck(): {
  asked: number;
  ended: boolean;
  pages: AsyncIterable<number>;
  stop: AbortController;
} {
  const stop = new AbortController();
  const seen = { asked: 0, ended: false };
  async function* make(signal: AbortSignal): AsyncGenerator<number> {
    try {
      seen.asked++;
      yield 1;
      yield 2;
      await new Promise((_, reject) =>
        signal.addEventListener("abort", () => reject(signal.reason), { once: true })
      );
    } finally {
      seen.ended = true;
    }
  }
  return Object.assign(seen, { pages: endable(make, stop.signal), stop });
}

test("an iteration ends when its reader leaves, also while that waits", async () => {
  const list = stuck();
  for await (const _ of list.pages) break;
  assert.equal(list.ended, true);

  const waiting = stuck();
  const reader = waiting.pages[Symbol.asyncIterator]();
  await reader.next();
  await reader.next();
  const pending = reader.next();
  await reader.return!();
  assert.equal((await pending).done, true);
  assert.equal(waiting.ended, true);
  assert.equal((await reader.next()).done, true);
});

test("an iteration rejects with its signal's reason, with what it had still to tell", async () => {
  const reason = new Error("enough");
  const buffered = stuck();
  const early = buffered.pages[Symbol.asyncIterator]();
  await early.next();
  buffered.stop.abort(reason);
  await assert.rejects(async () => await early.next(), reason);
  assert.equal(buffered.ended, true);

  const waiting = stuck();
  const reader = waiting.pages[Symbol.asyncIterator]();
  await reader.next();
  await reader.next();
  const pending = reader.next();
  waiting.stop.abort(reason);
  await assert.rejects(pending, reason);

  // Each reader has pages of its own.
  const both = stuck();
  const [one, other] = [both.pages[Symbol.asyncIterator](), both.pages[Symbol.asyncIterator]()];
  await one.next();
  await one.return!();
  assert.equal((await other.next()).value, 1);
  await other.return!();
  assert.equal(both.asked, 2);
});

test("a page of threads is no larger than what a server takes", async () => {
  const limits: unknown[] = [];
  const core = {
    call: (_method: string, { limit }: { limit: number }) => {
      limits.push(limit);
      return Promise.resolve({ data: [], nextCursor: null });
    },
  } as unknown as RuntimeCore;
  for (const filter of [{}, { pageSize: 3 }, { pageSize: 2 ** 40 }, { pageSize: Infinity }]) {
    for await (const { threadId } of listThreads(core, filter)) assert.fail(threadId);
  }
  assert.deepEqual(limits, [50, 3, 100, 100]);
});

test("a server that goes round in circles is not followed", async () => {
  let asked = 0;
  const core = {
    call: () => {
      const page = { data: [{ model: "m", id: "t" }], nextCursor: "again" };
      return ++asked > 20 ? Promise.reject(new Error("followed")) : Promise.resolve(page);
    },
    server: { version: "0.169.0" },
    config: {},
    seen: () => ({ threads: {} }),
  } as unknown as RuntimeCore;
  assert.equal((await listModels(core, {})).length, 2);
  const threads = [];
  for await (const { threadId } of listThreads(core, {})) threads.push(threadId);
  assert.deepEqual(threads, ["t"]);
  await assert.rejects(turnsFrom(core, "t", "no such turn"), InvalidArgumentError);
  await checkMedia([{ type: "image", url: "data:image/png;base64,iVBORw0KGgo=" }], core, "other");
  assert.equal(asked, 8);
});
