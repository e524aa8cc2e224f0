import assert from "node:assert/strict";
import { test } from "../../_harness.ts";
import { methodInfo, methodsOfKind } from "../../../src/protocol/inventory.ts";
import { experimentalRpcMethods, rpcMethods } from "../../../src/protocol/generated/methods.ts";

test("methodInfo() says what a method is, takes and answers", () => {
  assert.deepEqual(methodInfo("thread/start"), {
    method: "thread/start",
    kind: "clientRequest",
    stability: "stable",
    params: "ThreadStartParams",
    paramsOptional: false,
    result: "ThreadStartResponse",
    since: "0.104.0",
  });
  assert.equal(methodInfo("account/logout")?.params, null);
  assert.equal(methodInfo("account/logout")?.paramsOptional, true);
  assert.equal(methodInfo("item/tool/call")?.kind, "serverRequest");
  assert.equal(methodInfo("turn/completed")?.result, null);
  assert.equal(methodInfo("initialized")?.kind, "clientNotification");
  assert.equal(methodInfo("thread/backgroundTerminals/clean")?.stability, "experimental");
  assert.equal(methodInfo("constructor"), undefined);
});

test("the inventory holds all methods of codex 0.169.0", () => {
  const count = (kind: Parameters<typeof methodsOfKind>[0]): [number, number] => {
    const all = methodsOfKind(kind);
    return [all.filter((info) => info.stability === "stable").length, all.length];
  };
  assert.deepEqual(count("clientRequest"), [109, 184]);
  assert.deepEqual(count("clientNotification"), [1, 1]);
  assert.deepEqual(count("serverRequest"), [10, 11]);
  assert.deepEqual(count("serverNotification"), [86, 86]);
});

test("rpcMethods names every stable client method once, experimentalRpcMethods the others", () => {
  const named = (constants: Record<string, string>): string[] => Object.values(constants).sort();
  const wanted = (stability: string): string[] =>
    methodsOfKind("clientRequest").filter((i) => i.stability === stability).map((i) => i.method);
  assert.deepEqual(named(rpcMethods), wanted("stable"));
  assert.deepEqual(named(experimentalRpcMethods), wanted("experimental"));
  assert.equal(rpcMethods.THREAD_START, "thread/start");
  assert.equal(rpcMethods.THREAD_NAME_SET, "thread/name/set");
  assert.equal(rpcMethods.CONFIG_BATCH_WRITE, "config/batchWrite");
});

test("a method's first version is the oldest that has it", () => {
  const since = (method: string): string | undefined => methodInfo(method)?.since;
  assert.equal(since("turn/interrupt"), "0.104.0");
  assert.equal(since("thread/status/changed"), "0.125.0");
  assert.equal(since("thread/delete"), "0.145.0");
  assert.equal(since("thread/revert"), "0.169.0");
});
