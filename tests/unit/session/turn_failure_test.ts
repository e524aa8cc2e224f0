// deno-fmt-ignore-file -- the table reads best a row a line
import assert from "node:assert/strict";
import { TurnFailedError, type TurnFailureKind } from "../../../src/errors/mod.ts";
import type { JsonValue } from "../../../src/json.ts";
import { classifyFailure, resetTime } from "../../../src/session/turn/turn_failure.ts";
import { test } from "../../_harness.ts";

/** What the model did, what each server says of it, and what that is. */
const TABLE: [string, JsonValue, string, TurnFailureKind, number | null][] = [
  ["400 with JSON", "other", '{"error":{"message":"bad","type":"invalid_request_error"}}', "badRequest", 400],
  ["400 without a type", "other", '{"error":{"message":"bad"}}', "badRequest", 400],
  ["400 with a detail", "other", '{"detail":"bad"}', "badRequest", 400],
  ["400 insufficient_quota", "other", '{"error":{"message":"bad","code":"insufficient_quota"}}', "quotaExceeded", 400],
  ["JSON that is no answer", "other", '{"a":1}', "other", null],
  ["400 with text", "other", "no such thing", "other", null],
  ["400 context_length_exceeded", "contextWindowExceeded", "Codex ran out of room in the model's context window.", "contextWindow", null],
  ["400 context_length_exceeded on 0.104", "other", '{"error":{"code":"context_length_exceeded"}}', "contextWindow", 400],
  ["401", { httpConnectionFailed: { httpStatusCode: 401 } }, "unexpected status 401 Unauthorized: Incorrect API key provided, url: http://x", "auth", 401],
  ["401 on 0.104", "other", "unexpected status 401 Unauthorized: Incorrect API key provided, url: http://x", "auth", 401],
  ["403", { httpConnectionFailed: { httpStatusCode: 403 } }, "unexpected status 403 Forbidden: no", "auth", 403],
  ["403 on 0.104", "other", "unexpected status 403 Forbidden: no", "auth", 403],
  ["413", { httpConnectionFailed: { httpStatusCode: 413 } }, "unexpected status 413 Payload Too Large: x", "contextWindow", 413],
  ["404 model_not_found", "modelNotFound", "The model `x` does not exist.", "badRequest", null],
  ["404 on 0.104", "other", "unexpected status 404 Not Found: model_not_found", "badRequest", 404],
  ["429", { responseTooManyFailedAttempts: { httpStatusCode: 429 } }, "exceeded retry limit, last status: 429 Too Many Requests", "rateLimit", 429],
  ["429 usage_limit_reached", "usageLimitExceeded", "You've hit your usage limit.", "quotaExceeded", null],
  ["429 insufficient_quota", "usageLimitExceeded", "Quota exceeded. Check your plan and billing details.", "quotaExceeded", null],
  ["429 insufficient_quota on 0.104", { responseTooManyFailedAttempts: { httpStatusCode: 429 } }, "exceeded retry limit, last status: 429: insufficient_quota", "quotaExceeded", 429],
  ["500", "internalServerError", "We're currently experiencing high demand, which may cause temporary errors.", "overloaded", null],
  ["503", { httpConnectionFailed: { httpStatusCode: 503 } }, "unexpected status 503 Service Unavailable: x", "overloaded", 503],
  ["503 on 0.104", "other", "unexpected status 503 Service Unavailable: x", "overloaded", 503],
  ["503 server_is_overloaded", "serverOverloaded", "Selected model is at capacity.", "overloaded", null],
  ["failed context_length_exceeded", "contextWindowExceeded", "Codex ran out of room.", "contextWindow", null],
  ["failed insufficient_quota", "usageLimitExceeded", "Quota exceeded.", "quotaExceeded", null],
  ["failed rate_limit_exceeded", "rateLimitExceeded", "Rate limit reached for x.", "rateLimit", null],
  ["failed rate_limit_exceeded on 0.104", "other", "stream disconnected before completion: Rate limit reached for x.", "rateLimit", null],
  ["failed invalid_prompt", "other", "invalid_prompt: no", "badRequest", null],
  ["cut stream", "other", "stream disconnected before completion: stream closed before response.completed", "network", null],
  ["incomplete", "other", "stream disconnected before completion: Incomplete response returned, reason: max_output_tokens", "other", null],
  ["cut stream, named", { responseStreamDisconnected: { httpStatusCode: null } }, "stream disconnected", "network", null],
  ["refused on 0.104", "other", "stream disconnected before completion: error sending request for url (http://x)", "network", null],
  ["no network behind a ChatGPT login (0.160 to 0.169)", "other", "workspace routing discovery failed", "network", null],
  ["a ChatGPT login that is refused there", "other", "workspace routing discovery unauthorized (401)", "auth", null],
  ["no route", { responseStreamConnectionFailed: {} }, "x", "network", null],
  ["missing key", "other", "Missing environment variable: `KEY`.", "auth", null],
  ["named auth", "unauthorized", "x", "auth", null],
  ["named badRequest", "badRequest", "x", "badRequest", null],
  ["named sandbox", "sandboxError", "x", "sandbox", null],
  ["named by a newer codex", "brandNewReason", "x", "other", null],
  ["named by a newer codex, with words", { brandNewReason: { httpStatusCode: 429 } }, "x", "rateLimit", 429],
  ["unlisted 5xx", { httpConnectionFailed: { httpStatusCode: 521 } }, "x", "overloaded", 521],
  ["unlisted 4xx", { httpConnectionFailed: { httpStatusCode: 418 } }, "x", "badRequest", 418],
  ["nothing", null, "", "other", null],
  ["an empty object", {}, "x", "other", null],
];

test("each failure of the model has its kind, from what either version says of it", () => {
  for (const [what, codexErrorInfo, message, kind, status] of TABLE) {
    const failure = classifyFailure({ message, codexErrorInfo });
    assert.equal(failure.kind, kind, what);
    assert.equal(failure.httpStatus, status, what);
    const told = /"(?:message|detail)":"(bad)"/.exec(message)?.[1] ?? /"code":"(.*?)"/.exec(message)?.[1];
    assert.equal(failure.message, told ?? message, what);
  }
});

test("an error of any shape is classified without a throw", () => {
  for (const error of [undefined, null, 7, "x", [], {}, { message: 7, codexErrorInfo: [1] }]) {
    assert.equal(classifyFailure(error as JsonValue).kind, "other");
  }
});

test("rate limits, overload and network failures may be tried again, the others not", () => {
  const partial = { threadId: "T", turnId: "U", assistantText: "", items: [] };
  const retryable = (kind: TurnFailureKind) => new TurnFailedError(kind, "x", partial).retryable;
  for (const kind of ["rateLimit", "overloaded", "network"] as const) assert.ok(retryable(kind));
  for (
    const kind of [
      "quotaExceeded",
      "auth",
      "contextWindow",
      "badRequest",
      "sandbox",
      "other",
    ] as const
  ) assert.equal(retryable(kind), false, kind);
});

test("resetTime() is that of the window which is used up", () => {
  const at = (seconds: number) => new Date(seconds * 1000).getTime();
  const table: [JsonValue | undefined, number | null][] = [
    [undefined, null],
    [{}, null],
    [{ primary: null, secondary: null }, null],
    [{ primary: { usedPercent: 100, resetsAt: 50 }, secondary: null }, at(50)],
    [{ primary: { usedPercent: 100, resetsAt: 50 }, secondary: { usedPercent: 20, resetsAt: 90 } }, at(50)],
    [{ primary: { usedPercent: 40, resetsAt: 50 }, secondary: { usedPercent: 100, resetsAt: 90 } }, at(90)],
    [{ primary: { usedPercent: 100, resetsAt: 50 }, secondary: { usedPercent: 100, resetsAt: 90 } }, at(90)],
    [{ primary: { usedPercent: 100, resetsAt: null } }, null],
  ];
  for (const [limits, expected] of table) {
    assert.equal(resetTime(limits)?.getTime() ?? null, expected, JSON.stringify(limits));
  }
});
