import assert from "node:assert/strict";
import { matchRoute, normalizeBasePath } from "../../../src/web/http/routes.ts";
import { test } from "../../_harness.ts";

const CASES: [string, unknown][] = [
  ["GET /codex/health", { name: "health" }],
  ["GET /codex/settings", { name: "settings" }],
  ["GET /codex/sessions", { name: "listSessions" }],
  ["POST /codex/sessions", { name: "createSession" }],
  ["GET /codex/sessions/s", { name: "readSession", sessionId: "s" }],
  ["DELETE /codex/sessions/s", { name: "closeSession", sessionId: "s" }],
  ["POST /codex/sessions/s/close", { name: "closeSession", sessionId: "s" }],
  ["POST /codex/sessions/s/resume", { name: "resumeSession", sessionId: "s" }],
  ["GET /codex/sessions/s/events", { name: "events", sessionId: "s" }],
  ["POST /codex/sessions/s/turns", { name: "createTurn", sessionId: "s" }],
  ["POST /codex/sessions/s/turns/u/steer", { name: "steer", sessionId: "s", turnId: "u" }],
  ["POST /codex/sessions/s/turns/u/interrupt", { name: "interrupt", sessionId: "s", turnId: "u" }],
  ["GET /codex/sessions/s/approvals", { name: "listApprovals", sessionId: "s" }],
  ["POST /codex/sessions/s/approvals/a%2Fb", { name: "answer", sessionId: "s", approvalId: "a/b" }],
  ["PUT /codex/sessions", { name: "otherMethod", allow: ["GET", "POST"] }],
  ["GET /codex", { name: "none" }],
  ["GET /codex/", { name: "none" }],
  ["GET /codexes/health", { name: "none" }],
  ["GET /health", { name: "none" }],
  ["GET /other/health", { name: "none" }],
  ["GET /codex/sessions/", { name: "none" }],
  ["GET /codex/sessions//events", { name: "none" }],
  ["GET /codex/sessions/%E0%A4%A/events", { name: "none" }],
  ["GET /codex/sessions/s/events/x", { name: "none" }],
];
for (const [request, expected] of CASES) {
  test(`matchRoute() on ${request}`, () => {
    const [method, path] = request.split(" ");
    assert.deepEqual(matchRoute(method!, path!, "/codex"), expected);
  });
}

test("normalizeBasePath() takes any spelling", () => {
  assert.equal(normalizeBasePath("codex/"), "/codex");
  assert.equal(normalizeBasePath("//a/b//"), "/a/b");
  assert.equal(normalizeBasePath("/"), "");
  assert.deepEqual(matchRoute("GET", "/health", normalizeBasePath("")), { name: "health" });
});
