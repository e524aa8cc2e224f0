/** What every store of threads promises; a test file calls it with a way to open one and the same store twice. */
import assert from "node:assert/strict";
import { InvalidArgumentError, ThreadInUseError } from "../../src/errors/mod.ts";
import type { ThreadStore } from "../../src/session/history/thread_store.ts";
import { test } from "../_harness.ts";
import { rejection } from "../real/_session_world.ts";

/** The lines of a thread, or `null`. */
export async function linesOf(store: ThreadStore, threadId: string): Promise<string[] | null> {
  const stored = await store.load(threadId);
  if (stored === null) return null;
  const lines: string[] = [];
  for await (const line of stored) lines.push(line);
  return lines;
}

/** Runs the suite. `open` opens the same store again with each call, as another process would. */
export function threadStoreSuite(
  name: string,
  inStore: (act: (open: () => ThreadStore) => Promise<void>) => Promise<void>,
): void {
  test(`${name} keeps lines as they were, in order, for everyone`, () =>
    inStore(async (open) => {
      const [a, b] = [open(), open()];
      assert.equal(await a.load("t1"), null);
      const long = `{"x":"${"ä😀\\u0000 ".repeat(40_000)}"}`;
      const batches = [["one"], ["", " ", "\r", "\u2028"], [long, "after"], ["\ufefflast"]];
      const all: string[] = [];
      for (const lines of batches) {
        await a.append("t1", lines, all.length);
        all.push(...lines);
        assert.deepEqual(await linesOf(b, "t1"), all);
      }
      await b.append("t2", ["other"], 0);
      assert.deepEqual(await linesOf(a, "t1"), all);
      assert.deepEqual(await linesOf(a, "t2"), ["other"]);
      // A reader sees what there was when it began, and may leave.
      const reader = (await a.load("t1"))![Symbol.asyncIterator]();
      assert.equal((await reader.next()).value, "one");
      await a.append("t1", ["more"], all.length);
      await reader.return?.();
      // Nothing to add: only compared.
      await a.append("t1", [], all.length + 1);
      await a.append("t3", [], 0);
      assert.equal(await a.load("t3"), null);
    }));

  test(`${name} lets one of those who add after the same lines win, and tells the others`, () =>
    inStore(async (open) => {
      const stores = [open(), open(), open(), open()];
      await stores[0]!.append("t", ["first"], 0);
      for (const at of [0, 2, 7]) {
        for (const lines of [["x"], []]) {
          assert.ok(await rejection(stores[1]!.append("t", lines, at)) instanceof ThreadInUseError);
        }
      }
      let count = 1;
      for (let round = 0; round < 6; round++) {
        const at = count;
        const outcomes = await Promise.allSettled(
          stores.map((store, n) => store.append("t", [`${round} ${n}`, "x".repeat(70_000)], at)),
        );
        const won = outcomes.flatMap(({ status }, n) => status === "fulfilled" ? [n] : []);
        assert.equal(won.length, 1, JSON.stringify(outcomes.map(String)));
        for (const outcome of outcomes) {
          if (outcome.status === "rejected") assert.ok(outcome.reason instanceof ThreadInUseError);
        }
        const lines = await linesOf(stores[3]!, "t");
        assert.equal(lines!.length, count += 2);
        assert.equal(lines!.at(-2), `${round} ${won[0]}`);
      }
    }));

  test(`${name} takes no id that climbs, and no line that is two`, () =>
    inStore(async (open) => {
      const store = open();
      for (
        const id of ["", "..", "a/b", "../x", "a\\b", "a\0", ".", "-x", "a b", "x".repeat(200)]
      ) {
        assert.ok(await rejection(store.load(id)) instanceof InvalidArgumentError, id);
        assert.ok(await rejection(store.append(id, ["x"], 0)) instanceof InvalidArgumentError, id);
      }
      for (const lines of [["a\nb"], ["\ud800"], "abc", [1]]) {
        const error = await rejection(store.append("t", lines as string[], 0));
        assert.ok(error instanceof InvalidArgumentError);
      }
      for (const at of [-1, 0.5, NaN, "0"]) {
        assert.ok(
          await rejection(store.append("t", ["x"], at as number)) instanceof InvalidArgumentError,
        );
      }
      assert.equal(await store.load("t"), null);
    }));
}
