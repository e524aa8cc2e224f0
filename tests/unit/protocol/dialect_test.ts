/** What codex can do by version, and what its refusals mean. */
import assert from "node:assert/strict";
import { RpcError } from "../../../src/errors/mod.ts";
import {
  adviceFor,
  isRefusal,
  mcpFailure,
  servedMethods,
  supports,
} from "../../../src/protocol/dialect.ts";
import { test } from "../../_harness.ts";

test("supports() begins and ends with the version that was measured, and is false for unknown ones", () => {
  const rows: [string | null | undefined, Parameters<typeof supports>[1], boolean][] = [
    ["0.104.0", "commandsOutliveTurns", false],
    ["0.105.0", "commandsOutliveTurns", true],
    ["0.124.9", "readProfiles", false],
    ["0.125.0-alpha.1", "readProfiles", true],
    ["1.0.0", "readProfiles", true],
    ["0.144.9", "remoteImages", true],
    ["0.145.0", "remoteImages", false],
    ["0.168.0", "truthfulTurnRecord", false],
    ["0.169.0", "truthfulTurnRecord", true],
    ["0.168.9", "denialWithReason", false],
    ["0.169.0", "denialWithReason", true],
    [null, "readProfiles", false],
    [undefined, "denialWithReason", false],
    ["", "readProfiles", false],
    ["nightly", "readProfiles", false],
    [null, "remoteImages", false],
  ];
  for (const [version, feature, expected] of rows) {
    assert.equal(supports(version, feature), expected, `${version} ${feature}`);
  }
});

test("isRefusal() reads the server's words and nobody else's", () => {
  const refused = (message: string) => new RpcError("thread/resume", -32600, message);
  for (
    const message of [
      "no rollout found for thread id 019",
      "thread not found: 019",
      "session 019 is archived",
      "thread 019 is not materialized yet; thread/turns/list is unavailable",
      "invalid thread id: x",
    ]
  ) assert.ok(isRefusal(refused(message), "threadGone"), message);
  assert.ok(!isRefusal(refused("model not found"), "threadGone"));
  assert.ok(!isRefusal(new Error("no rollout found"), "threadGone"));
  assert.ok(isRefusal(refused("no rollout found for thread id 019"), "noRollout"));
  assert.ok(!isRefusal(refused("thread not found: 019"), "noRollout"));
  assert.ok(isRefusal(refused("expected active turn id `a` but found `b`"), "noActiveTurn"));
});

test("adviceFor() knows what users meet, and nothing else", () => {
  for (
    const [message, reason] of [
      ["invalid session id: invalid character: expected an optional prefix", "invalidThreadId"],
      ["invalid thread id: invalid character", "invalidThreadId"],
      ["no rollout found for thread id 019", "noThread"],
      ["thread not loaded: 019", "noThread"],
      ["no archived rollout found for thread id 019", "noThread"],
      ["session 019 is archived. Run `codex unarchive 019` to unarchive it first.", "archived"],
      ["turn not found: 019", "noTurn"],
      ["Invalid request: unknown variant `super`, expected one of `low`, `high`", "unknownValue"],
      ["codex account authentication required to read rate limits", "notLoggedIn"],
    ] as const
  ) {
    const refusal = adviceFor(message);
    assert.equal(refusal?.reason, reason, message);
    const error = new RpcError("thread/resume", -32600, message, undefined, { refusal });
    assert.equal(error.reason, reason);
    assert.ok(error.message.startsWith(`${refusal!.advice} thread/resume failed: `));
    assert.equal(error.rpcMessage, message);
  }
  assert.equal(adviceFor("unknown method"), null);
  assert.equal(new RpcError("x", 1, "unknown method").reason, null);
});

test("servedMethods() reads the list of a refusal", () => {
  assert.deepEqual(
    servedMethods("Invalid request: unknown variant `x`, expected one of `initialize`, `a/b`"),
    new Set(["initialize", "a/b"]),
  );
  assert.equal(servedMethods("unknown method"), null);
  assert.equal(servedMethods("expected one of nothing"), null);
});

test("mcpFailure() sends nobody to log in at a server that only a session names", () => {
  const told = mcpFailure("The docs MCP server is not logged in. Run `codex mcp login docs`.");
  assert.match(told, /Run `codex mcp login docs` if .* has it, else give a `bearerToken`\.$/);
});
