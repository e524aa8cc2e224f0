import assert from "node:assert/strict";
import { ConnectionClosedError, RequestTimeoutError, RpcError } from "../../../src/errors/mod.ts";
import type { JsonValue } from "../../../src/json.ts";
import { Deadlines } from "../../../src/rpc/pending_calls.ts";
import { overloadBackoffMs, PendingCalls } from "../../../src/rpc/pending_calls.ts";
import { CoalescingWriter } from "../../../src/rpc/connection.ts";
import { test } from "../../_harness.ts";

interface Sent {
  id: number;
  method: string;
}

function calls(window = 128): { calls: PendingCalls; sent: Sent[]; next: () => Promise<Sent> } {
  const sent: Sent[] = [];
  const waiting: ((sent: Sent) => void)[] = [];
  return {
    calls: new PendingCalls((id, method) => {
      sent.push({ id, method });
      waiting.shift()?.({ id, method });
    }, window),
    sent,
    next: () => new Promise((resolve) => waiting.push(resolve)),
  };
}

function ok(id: number, result: JsonValue = {}) {
  return { kind: "response" as const, id, result, error: null, raw: {} };
}

function refused(id: number, code: number, message = "no") {
  return { kind: "response" as const, id, result: null, error: { code, message }, raw: {} };
}

test("answers find their calls in any order", async () => {
  const { calls: it, sent } = calls();
  const all = ["a", "b", "c"].map((method) => it.call(method, {}, 1000));
  assert.deepEqual(sent.map(({ method }) => method), ["a", "b", "c"]);
  for (const { id, method } of [...sent].reverse()) assert.ok(it.settle(ok(id, method)));
  assert.deepEqual(await Promise.all(all), ["a", "b", "c"]);
  assert.equal(it.size, 0);
});

test("an answer that nobody waits for is told as such", async () => {
  const { calls: it, sent } = calls();
  const call = it.call("a", {}, 1000);
  assert.equal(it.settle(ok(99)), false);
  assert.equal(it.settle({ ...ok(1), id: "1" }), false);
  assert.ok(it.settle(ok(sent[0]!.id)));
  assert.equal(it.settle(ok(sent[0]!.id)), false);
  await call;
});

test("a refusal becomes an RpcError with the server's words", async () => {
  const { calls: it, sent } = calls();
  const call = it.call("thread/read", {}, 1000);
  it.settle(refused(sent[0]!.id, -32600, "thread not loaded: T"));
  await assert.rejects(call, (error) => {
    assert.ok(error instanceof RpcError);
    assert.equal(error.rpcCode, -32600);
    assert.equal(error.rpcMessage, "thread not loaded: T");
    assert.equal(error.method, "thread/read");
    return true;
  });
});

test("no more than the window is in flight, the rest follows in order", async () => {
  const { calls: it, sent } = calls(128);
  const all = Array.from({ length: 1000 }, (_, i) => it.call(`m${i}`, {}, 10_000));
  assert.equal(sent.length, 128);
  assert.equal(it.size, 1000);
  for (let answered = 0; answered < 1000; answered++) {
    assert.ok(sent.length - answered <= 128);
    const { id, method } = sent[answered]!;
    it.settle(ok(id, method));
  }
  assert.deepEqual(await Promise.all(all), Array.from({ length: 1000 }, (_, i) => `m${i}`));
  assert.deepEqual(
    sent.map(({ method }) => method),
    Array.from({ length: 1000 }, (_, i) => `m${i}`),
  );
  assert.equal(it.size, 0);
});

test("what ends a turn, or asks for a sign of life, does not wait for a full window", async () => {
  const { calls: it, sent } = calls(1);
  const busy = it.call("command/exec", {}, 10_000);
  const queued = it.call("queued", {}, 10_000);
  const stop = it.call("turn/interrupt", {}, 10_000);
  const clean = it.call("thread/backgroundTerminals/clean", {}, 10_000);
  const asked = Array.from({ length: 20 }, () => it.call("thread/loaded/list", {}, 10_000));
  const methods = sent.map(({ method }) => method);
  assert.deepEqual(methods.slice(0, 4), [
    "command/exec",
    "turn/interrupt",
    "thread/backgroundTerminals/clean",
    "thread/loaded/list",
  ]);
  // A crowd of them waits like all others.
  assert.equal(sent.length, 17);
  for (let answered = 0; answered < 24; answered++) it.settle(ok(sent[answered]!.id));
  await Promise.all([busy, queued, stop, clean, ...asked]);
  assert.equal(it.size, 0);
});

test("an unanswered call rejects with RequestTimeoutError and makes room", async () => {
  const { calls: it, sent } = calls(1);
  const first = it.call("slow", {}, 5);
  const second = it.call("next", {}, 10_000);
  assert.equal(sent.length, 1);
  await assert.rejects(first, (error) => {
    assert.ok(error instanceof RequestTimeoutError);
    assert.equal(error.method, "slow");
    assert.equal(error.timeoutMs, 5);
    return true;
  });
  assert.equal(sent.length, 2);
  assert.equal(it.settle(ok(sent[0]!.id)), false);
  it.settle(ok(sent[1]!.id, 2));
  assert.equal(await second, 2);
});

test("a call may time out while it waits for room", async () => {
  const { calls: it, sent } = calls(1);
  const first = it.call("first", {}, 10_000);
  await assert.rejects(it.call("queued", {}, 5), RequestTimeoutError);
  assert.equal(it.size, 1);
  it.settle(ok(sent[0]!.id));
  await first;
  assert.equal(sent.length, 1);
  assert.equal(it.size, 0);
});

test("an abort rejects with its reason: before, in line, and in flight", async () => {
  const { calls: it, sent } = calls(1);
  const reason = new Error("enough");
  await assert.rejects(it.call("a", {}, 1000, { signal: AbortSignal.abort(reason) }), reason);
  assert.equal(sent.length, 0);
  const [first, second] = [new AbortController(), new AbortController()];
  const flying = it.call("flying", {}, 1000, { signal: first.signal });
  const queued = it.call("queued", {}, 1000, { signal: second.signal });
  second.abort(reason);
  await assert.rejects(queued, reason);
  first.abort(reason);
  await assert.rejects(flying, reason);
  assert.equal(it.size, 0);
  assert.equal(sent.length, 1);
});

test("a call keeps the signal it was given, whatever becomes of its options", async () => {
  const { calls: it } = calls();
  const stop = new AbortController();
  const options: { signal?: AbortSignal } = { signal: stop.signal };
  const call = it.call("a", {}, 1000, options);
  delete options.signal;
  stop.abort(new Error("enough"));
  await assert.rejects(call, /enough/);
  assert.equal(it.size, 0);
});

test("an overloaded server is asked again, a while later, under a new id", async () => {
  const { calls: it, sent, next } = calls();
  const call = it.call("a", {}, 10_000);
  for (let i = 0; i < 2; i++) {
    const again = next();
    it.settle(refused(sent.at(-1)!.id, -32001));
    assert.equal(it.size, 1);
    await again;
  }
  assert.equal(new Set(sent.map(({ id }) => id)).size, 3);
  it.settle(ok(sent.at(-1)!.id, "at last"));
  assert.equal(await call, "at last");
});

test("a call that backs off can be aborted, time out, and be closed", async () => {
  const { calls: it, sent } = calls();
  const stop = new AbortController();
  const aborted = it.call("a", {}, 10_000, { signal: stop.signal });
  const late = it.call("b", {}, 5);
  const closed = it.call("c", {}, 10_000);
  for (const { id } of [...sent]) it.settle(refused(id, -32001));
  stop.abort(new Error("enough"));
  await assert.rejects(aborted, /enough/);
  await assert.rejects(late, RequestTimeoutError);
  it.close(new ConnectionClosedError("gone"));
  await assert.rejects(closed, ConnectionClosedError);
  assert.equal(it.size, 0);
});

test("overloadBackoffMs() doubles up to its limit, with jitter", () => {
  assert.deepEqual([1, 2, 3, 7, 20].map((n) => overloadBackoffMs(n, 0)), [25, 50, 100, 1000, 1000]);
  assert.deepEqual([1, 2, 3, 7, 20].map((n) => overloadBackoffMs(n, 1)), [
    50,
    100,
    200,
    2000,
    2000,
  ]);
});

test("close() rejects every call, in flight, in line and later, with its error", async () => {
  const { calls: it } = calls(2);
  const all = Array.from({ length: 5 }, () => it.call("a", {}, 10_000));
  const gone = new ConnectionClosedError("gone");
  it.close(gone);
  it.close(new Error("second"));
  for (const call of all) await assert.rejects(call, gone);
  await assert.rejects(it.call("late", {}, 1000), gone);
  assert.equal(it.size, 0);
});

test("onResult is called before the promise settles, and not for refusals", async () => {
  const { calls: it, sent } = calls();
  const seen: string[] = [];
  const call = it.call("a", {}, 1000, { onResult: () => void seen.push("onResult") });
  const told = call.then(() => seen.push("settled"));
  it.settle(ok(sent[0]!.id));
  assert.deepEqual(seen, ["onResult"]);
  await told;
  assert.deepEqual(seen, ["onResult", "settled"]);
  const no = it.call("b", {}, 1000, { onResult: () => void seen.push("never") });
  it.settle(refused(sent[1]!.id, -1));
  await assert.rejects(no, RpcError);
  assert.equal(seen.length, 2);
});

test("onResult hears of a result that comes after the call's time, once, and not after an abort or the end", async () => {
  const { calls: it, sent } = calls();
  const seen: unknown[] = [];
  const onResult = (result: unknown) => void seen.push(result);
  const stop = new AbortController();
  const late = [1, 2, 3].map(() => it.call("a", {}, 5, { onResult }));
  const aborted = it.call("a", {}, 1_000, { onResult, signal: stop.signal });
  stop.abort(new Error("enough"));
  await assert.rejects(aborted, /enough/);
  for (const call of late) await assert.rejects(call, RequestTimeoutError);
  assert.equal(it.settle(ok(sent[0]!.id, "late")), true);
  assert.equal(it.settle(ok(sent[0]!.id, "again")), false);
  assert.equal(it.settle(refused(sent[1]!.id, -1)), true);
  assert.equal(it.settle(ok(sent[3]!.id, "given up")), false);
  it.close(new ConnectionClosedError("gone"));
  assert.equal(it.settle(ok(sent[2]!.id, "after the end")), false);
  assert.deepEqual([seen, it.size], [["late"], 0]);
});

test("a call that can't be sent rejects and does not block the others", async () => {
  const it = new PendingCalls((_id, method) => {
    if (method === "bad") throw new TypeError("cannot");
  }, 1);
  await assert.rejects(it.call("bad", {}, 1000), TypeError);
  const good = it.call("good", {}, 1000);
  const bad = it.call("bad", {}, 1000);
  const last = it.call("last", {}, 1000);
  it.settle(ok(2));
  await good;
  await assert.rejects(bad, TypeError);
  it.settle(ok(4));
  await last;
  assert.equal(it.size, 0);
});

test("a call without a time limit leaves no timer behind", async () => {
  const { calls: it, sent } = calls();
  const call = it.call("a", {}, Infinity);
  it.settle(ok(sent[0]!.id));
  await call;
});

test("calls time out in the order of their deadlines, wherever they wait", async () => {
  const { calls: it, sent } = calls(1);
  const ended: string[] = [];
  const call = (name: string, ms: number) =>
    it.call(name, {}, ms).catch((error) => {
      assert.ok(error instanceof RequestTimeoutError);
      ended.push(name);
    });
  const all = [call("in flight", 30), call("late", 20), call("never", 60_000), call("soon", 1)];
  await all[0];
  assert.deepEqual(ended, ["soon", "late", "in flight"]);
  assert.deepEqual(sent.map(({ method }) => method), ["in flight", "never"]);
  it.settle(ok(2));
  await Promise.all(all);
  // Both are over before the timer has its turn; on a slow machine, milliseconds lie between the two calls.
  const both = [call("second", 80), call("first", 1)];
  const begun = performance.now();
  while (performance.now() - begun < 90) { /* the event loop is kept busy */ }
  await Promise.all(both);
  assert.deepEqual(ended.slice(3), ["first", "second"]);
});

test("Deadlines wake at the earliest time with one timer, which goes with the last of them", async () => {
  const woken: number[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  const start = performance.now();
  const left = [start + 20, start + 60_000];
  const deadlines = new Deadlines((now) => {
    woken.push(now);
    if (now >= start + 20) resolve();
    return left.find((at) => at > now)!;
  });
  for (const at of [...left, start + 1, Infinity]) deadlines.add(at);
  await promise;
  // Where the first one comes late, it is the only one.
  assert.ok(woken.length <= 2 && woken[0]! >= start + 1, String(woken));
  // The sanitizer of timers tells when this leaves one behind.
  deadlines.clear();
});

test("what is sent in one tick is one write; what comes during it is the next", async () => {
  const writes: string[] = [];
  let release = () => {};
  const writer = new CoalescingWriter((text) => {
    writes.push(text);
    return new Promise((resolve) => release = resolve);
  });
  await writer.drained();
  for (const message of ["a", "b", "c"]) writer.send(message);
  assert.equal(writer.queued, 6);
  await Promise.resolve();
  assert.deepEqual(writes, ["a\nb\nc\n"]);
  writer.send("d");
  writer.send("e");
  const drained = writer.drained();
  release();
  await Promise.resolve().then(() => {});
  assert.deepEqual(writes, ["a\nb\nc\n", "d\ne\n"]);
  release();
  await drained;
  assert.equal(writer.queued, 0);
});

test("awaited calls are told of when the first begins and when the last has settled", async () => {
  const { calls: it, sent } = calls(2);
  const told: boolean[] = [];
  it.onAwaited = (some) => void told.push(some);
  const ask = (awaited: boolean, options = {}) =>
    it.call("a", {}, 1000, options, undefined, awaited);
  const beside = ask(false);
  const first = ask(true);
  const inLine = ask(true, { signal: AbortSignal.abort("before") });
  const aborted = new AbortController();
  const third = ask(true, { signal: aborted.signal });
  assert.deepEqual(told, [true]);
  it.settle(ok(sent[1]!.id));
  aborted.abort("in flight");
  assert.deepEqual(told, [true, false]);
  it.settle(ok(sent[0]!.id));
  assert.deepEqual(told, [true, false]);
  await Promise.all([beside, first]);
  await assert.rejects(inLine, (reason) => reason === "before");
  await assert.rejects(third, (reason) => reason === "in flight");
  const last = ask(true);
  it.close("over");
  assert.deepEqual(told, [true, false, true, false]);
  await assert.rejects(last, (reason) => reason === "over");
});

test("an awaited call that nobody looks at rejects without a word", async () => {
  const { calls: it, sent } = calls(1);
  const ask = (options = {}) => void it.call("a", {}, 1, options, undefined, true);
  const aborted = new AbortController();
  // Each would end the test as an unhandled rejection.
  ask();
  ask({ signal: AbortSignal.abort() });
  ask({ signal: aborted.signal });
  aborted.abort();
  it.settle(refused(sent[0]!.id, -32600));
  ask();
  it.rejectId(sent[1]!.id, "too long");
  ask();
  it.close("over");
  ask();
  await new Promise((resolve) => setTimeout(resolve, 0));
  assert.equal(it.size, 0);
});
