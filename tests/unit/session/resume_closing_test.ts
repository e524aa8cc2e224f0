import assert from "node:assert/strict";
import { RpcError } from "../../../src/errors/mod.ts";
import { whenClosed } from "../../../src/session/thread/when_closed.ts";
import { test } from "../../_harness.ts";

const closing = () =>
  new RpcError(
    "thread/resume",
    -32600,
    "thread 0199 is closing; retry thread/resume after the thread is closed",
  );

test("whenClosed() asks again for as long as the thread is closing", async () => {
  let calls = 0;
  const result = await whenClosed(
    () => ++calls < 3 ? Promise.reject(closing()) : Promise.resolve("resumed"),
    undefined,
  );
  assert.deepEqual([result, calls], ["resumed", 3]);
});

test("whenClosed() asks once about everything else", async () => {
  let calls = 0;
  const other = new RpcError("thread/resume", -32600, "no rollout found");
  const asked = whenClosed(() => (calls++, Promise.reject(other)), undefined);
  await assert.rejects(asked, (error) => error === other);
  assert.equal(calls, 1);
});

test("whenClosed() gives up after a while, and at once with its signal", async () => {
  let calls = 0;
  const never = () => (calls++, Promise.reject(closing()));
  await assert.rejects(whenClosed(never, undefined, 50), /is closing/);
  assert.equal(calls, 2);
  const stop = new AbortController();
  const reason = new Error("enough");
  const asked = whenClosed(() => (stop.abort(reason), never()), stop.signal);
  await assert.rejects(asked, (error) => error === reason);
});
