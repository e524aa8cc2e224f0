import assert from "node:assert/strict";
import {
  AttachmentNotFoundError,
  CodexError,
  ConnectionClosedError,
  HookBlockedError,
  InvalidArgumentError,
  PolicyError,
  RequestTimeoutError,
  RpcError,
  RpcValidationError,
  SessionClosedError,
  WebError,
} from "../../../src/errors/mod.ts";
import { errorResponse, httpFailure } from "../../../src/web/http/refusals.ts";
import { test } from "../../_harness.ts";

const SECRET = "/home/operator/.ssh sk-secret";

function invalid(where: string): InvalidArgumentError {
  return new InvalidArgumentError(where, { argument: SECRET, received: SECRET, accepts: SECRET });
}

const CASES: [unknown, number, string][] = [
  [new WebError(409, "turnRunning", "busy"), 409, "turnRunning"],
  [new AttachmentNotFoundError(SECRET), 400, "attachmentNotFound"],
  [invalid("attachments"), 400, "badRequest"],
  [invalid("prompt"), 400, "badRequest"],
  [invalid("cwd"), 500, "internal"],
  [new RpcValidationError("thread/start", "params", "$.cwd", SECRET), 500, "internal"],
  [new HookBlockedError(SECRET, "preTurn", SECRET), 403, "blocked"],
  [
    new HookBlockedError(SECRET, "preTurn", SECRET, { data: { reason: "hookFailed" } }),
    500,
    "internal",
  ],
  [new SessionClosedError(SECRET), 409, "sessionClosed"],
  [new RequestTimeoutError("turn/start", 5), 504, "timeout"],
  [
    new ConnectionClosedError("gone", { exit: { code: 1, signal: null }, stderrTail: SECRET }),
    503,
    "unavailable",
  ],
  [new RpcError("turn/start", -32600, SECRET), 502, "codexRefused"],
  [
    new RpcError("turn/start", -32602, SECRET, { input_error_code: "input_too_large" }),
    400,
    "badRequest",
  ],
  [new PolicyError(SECRET), 500, "internal"],
  [new CodexError("x", SECRET), 500, "internal"],
  [new TypeError(SECRET), 500, "internal"],
  [SECRET, 500, "internal"],
];
for (const [error, status, code] of CASES) {
  const name = error instanceof Error ? error.constructor.name : typeof error;
  test(`httpFailure() makes ${status} ${code} of ${name}, and tells nothing of the inside`, () => {
    const failure = httpFailure(error);
    assert.deepEqual([failure.status, failure.code], [status, code]);
    assert.ok(!JSON.stringify(failure).includes("operator"));
    assert.notEqual(failure.message, "");
  });
}

test("errorResponse() is JSON, with the time to wait where waiting helps", async () => {
  const response = errorResponse({ status: 429, code: "tooManyStreams", message: "Too many." });
  assert.equal(response.status, 429);
  assert.equal(response.headers.get("retry-after"), "1");
  assert.deepEqual(await response.json(), { code: "tooManyStreams", message: "Too many." });
});
