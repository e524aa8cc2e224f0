import assert from "node:assert/strict";
import { IncompatibleVersionError } from "../../../src/errors/mod.ts";
import type { RuntimeConfig } from "../../../src/runtime/config.ts";
import { initializeParams, readServerInfo } from "../../../src/runtime/connect/connect.ts";
import { MessageHead } from "../../../src/runtime/thread_routes.ts";
import { test } from "../../_harness.ts";
import { DIALECTS, recorded, recordedResult, scenarios, transcript } from "../../_transcripts.ts";

function info(userAgent: string, config: RuntimeConfig = {}) {
  return readServerInfo({ userAgent }, { clientInfo: { name: "me", version: "1" }, ...config });
}

test("the recorded servers are accepted under the name of the recording client", () => {
  for (const dialect of DIALECTS) {
    const { clientInfo } = recorded(dialect, "basic", "initialize").params;
    const found = readServerInfo(recordedResult(dialect, "basic", "initialize"), { clientInfo });
    assert.equal(found.version, `${dialect}.0`);
    assert.equal(found.codexHome !== undefined, dialect === "0.169");
  }
});

test("the version gate refuses older servers, and those that tell no version", () => {
  const table: [string, string | null | undefined, string | null][] = [
    ["me/0.103.0 (Linux)", undefined, "0.103.0"],
    ["me/0.9.0 (Linux)", undefined, "0.9.0"],
    ["me/0.104.0 (Linux)", "0.105.0", "0.104.0"],
    ["something else", undefined, null],
  ];
  for (const [userAgent, minVersion, found] of table) {
    const config = minVersion === undefined ? {} : { minVersion };
    assert.throws(() => info(userAgent, config), (error) => {
      assert.ok(error instanceof IncompatibleVersionError);
      assert.equal(error.found, found);
      assert.equal(error.required, minVersion ?? "0.104.0");
      assert.match(error.message, /npm install/);
      return true;
    }, userAgent);
  }
  assert.equal(info("me/0.104.0 (Linux)").version, "0.104.0");
});

test("minVersion null accepts any server", () => {
  assert.equal(info("me/0.1.0 (Linux)", { minVersion: null }).version, "0.1.0");
  assert.equal(info("", { minVersion: null }).version, "unknown");
  assert.equal(readServerInfo(null, { minVersion: null }).version, "unknown");
});

test("initialize silences the legacy duplicates by name, and what the caller wants silenced", () => {
  const { capabilities, clientInfo } = initializeParams({ optOutNotifications: ["x/y"] });
  const { optOutNotificationMethods: names } = capabilities as {
    optOutNotificationMethods: string[];
  };
  assert.ok(names.includes("x/y"));
  assert.ok((clientInfo as { name: string }).name !== "");
  const legacy = new Set<string>();
  for (const scenario of scenarios("0.104")) {
    for (const { m } of transcript("0.104", scenario)) {
      if (m.method?.startsWith("codex/event/")) legacy.add(m.method);
    }
  }
  // A warning has no other form on that server, and nothing else says what is about to be asked.
  for (const only of ["warning", "apply_patch_approval_request"]) {
    assert.ok(!names.includes(`codex/event/${only}`));
    legacy.delete(`codex/event/${only}`);
  }
  for (const name of legacy) assert.ok(names.includes(name), `${name} is sent twice`);
});

test("MessageHead finds the ids in the places where the versions of codex put them", () => {
  const table: [unknown, Record<string, string>][] = [
    [{ threadId: "T", turnId: "U", itemId: "I" }, { threadId: "T", turnId: "U", itemId: "I" }],
    [{ threadId: "T", turn: { id: "U" } }, { threadId: "T", turnId: "U" }],
    [{ item: { id: "I" }, threadId: "T", turnId: "U" }, {
      threadId: "T",
      turnId: "U",
      itemId: "I",
    }],
    [{ thread: { id: "T" } }, { threadId: "T" }],
    [{ conversationId: "T", callId: "C" }, { threadId: "T", itemId: "C" }],
    [{ threadId: null, turnId: "" }, {}],
    [{ threadId: 7, thread: "x" }, {}],
    [null, {}],
    [[1], {}],
  ];
  for (const [body, expected] of table) {
    const head = new MessageHead("m", 0, body as null);
    assert.equal(head.method, "m");
    assert.equal(head.rpcId, 0);
    for (const key of ["threadId", "turnId", "itemId"] as const) {
      assert.equal(head[key], expected[key], `${JSON.stringify(body)} ${key}`);
    }
  }
});
