import assert from "node:assert/strict";
import type { ApprovalRequest } from "../../../src/approvals/mod.ts";
import { parseRequest } from "../../../src/approvals/request/parse_request.ts";
import { OpenChanges } from "../../../src/approvals/broker/open_changes.ts";
import { isCalled, isUncertain } from "../../../src/approvals/broker/doubt.ts";
import type { JsonObject } from "../../../src/json.ts";
import { test } from "../../_harness.ts";
import { ELICITATION, MCP_APPROVAL, requestOf, THREAD } from "./_requests.ts";

const T = "thread-1";

function patch(id: string, path: string): JsonObject {
  return { type: "fileChange", id, changes: [{ path, kind: { type: "add" }, diff: "x" }] };
}

/**
 * Plays `+id path` (started), `-id path` (completed), `!id path` (about to ask, on codex 0.104), `end`, and `?id` (a
 * question), and says what is uncertain.
 */
function play(...steps: string[]): string[] {
  const changes = new OpenChanges();
  const asked: ApprovalRequest[] = [];
  for (const step of steps) {
    const [head = "", path = ""] = step.split(" ");
    const id = head.slice(1);
    if (head === "end") changes.turnEnded(T);
    else if (head[0] === "!") {
      const msg = { call_id: id, changes: { [path]: { type: "add", content: "x" } } };
      changes.noticed(T, "codex/event/apply_patch_approval_request", { msg });
    } else if (head[0] === "?") {
      asked.push(
        parseRequest("item/fileChange/requestApproval", { threadId: T, turnId: "t", itemId: id }, {
          item: (itemId) => changes.find(T, itemId),
        }),
      );
    } else {
      const method = head[0] === "+" ? "item/started" : "item/completed";
      changes.noticed(T, method, { item: patch(id, path) });
    }
  }
  return asked.map((request) => {
    const path = request.type === "fileChange" ? request.changes?.[0]?.path : null;
    return `${path ?? "unknown"}${isUncertain(changes, request) ? " uncertain" : ""}`;
  });
}

test("OpenChanges joins a question with what was started under its id since, or not at all", () => {
  const rows: [string[], string[]][] = [
    [["+a /x", "?a"], ["/x"]],
    // the id again, after the first has ended
    [["+a /x", "-a /x", "+a /y", "?a"], ["/y"]],
    // a question about what has ended
    [["+a /x", "-a /x", "?a"], ["/x uncertain"]],
    // twice at once
    [["+a /x", "+a /y", "?a"], ["/y uncertain"]],
    [["+a /x", "?a", "+a /y", "?a"], ["/x uncertain", "/y uncertain"]],
    [["+a /x", "+a /y", "-a /x", "?a"], ["/y uncertain"]],
    [["+a /x", "+a /y", "-a /x", "-a /y", "+a /z", "?a"], ["/z"]],
    // the same content twice is the same change
    [["+a /x", "+a /x", "?a"], ["/x"]],
    // judged, then ended, then another one
    [["+a /x", "?a", "-a /x"], ["/x uncertain"]],
    [["+a /x", "?a", "-a /x", "+a /y"], ["/x uncertain"]],
    [["+a /x", "?a", "end"], ["/x uncertain"]],
    [["+a /x", "end", "?a"], ["/x uncertain"]],
    [["+a /x", "end", "+a /y", "?a"], ["/y"]],
    // 0.104 starts one of two, and asks about both
    [["+a /x", "!a /x", "?a"], ["/x"]],
    [["+a /x", "!a /y", "?a"], ["/x uncertain"]],
    [["+a /x", "!a /x", "?a", "!a /y", "?a"], ["/x uncertain", "/x uncertain"]],
    [["+a /x", "!a /x", "?a", "-a /x", "+a /y", "!a /y", "?a"], ["/x uncertain", "/y"]],
    [["+a /x", "!b /y", "?a"], ["/x"]],
    // others do not matter
    [["+a /x", "+b /y", "?a", "?b", "-b /y"], ["/x", "/y uncertain"]],
    // never seen: the rules know that they know nothing
    [["?a"], ["unknown"]],
  ];
  for (const [steps, expected] of rows) {
    assert.deepEqual(play(...steps), expected, steps.join(", "));
  }
});

test("OpenChanges forgets the oldest, and nothing that is at work", () => {
  const changes = new OpenChanges();
  changes.noticed(T, "item/started", { item: patch("first", "/x") });
  for (let i = 0; i < 3000; i++) {
    changes.noticed(T, "item/started", { item: patch(`${i}`, "/y") });
    changes.noticed(T, "item/completed", { item: patch(`${i}`, "/y") });
  }
  assert.notEqual(changes.find(T, "first"), undefined);
  assert.equal(changes.find(T, "0"), undefined);
});

test("OpenChanges finds the MCP call that a question is about by what it would do", () => {
  const rows: [steps: string[], uncertain: boolean][] = [
    [["+a 1", "?1"], false],
    // at once, under ids of their own
    [["+a 1", "+b 2", "?1", "?2"], false],
    // under one id
    [["+a 1", "+a 2", "?1"], true],
    [["+a 1", "+a 2", "?2"], true],
    // begun after it was asked
    [["+a 1", "?1", "+a 2"], true],
    // what is not told may be any of them
    [["+a 1", "+a 2", "?other"], true],
    [["+a 1", "+a 2", "+b 3", "?3"], false],
    // the same twice is the same
    [["+a 1", "+a 1", "?1"], false],
    // one after the other
    [["+a 1", "-a 1", "+a 2", "?2"], false],
    [["+a 1", "+a 2", "-a 1", "?2"], true],
    [["+a 1", "+a 2", "end", "+a 3", "?3"], false],
    // another kind of item under the same id is kept elsewhere
    [["+a 1", "~a", "?1"], false],
    [["?1"], false],
  ];
  for (const [steps, uncertain] of rows) {
    const changes = new OpenChanges();
    const asked: ApprovalRequest[] = [];
    for (const step of steps) {
      const [head = "", q = ""] = step.split(" ");
      const item = {
        type: "mcpToolCall",
        id: head.slice(1),
        server: "s",
        tool: "note",
        arguments: { q },
      };
      if (head === "end") changes.turnEnded(T);
      else if (head[0] === "?") {
        const _meta = {
          codex_approval_kind: "mcp_tool_call",
          tool_name: "note",
          tool_params: { q: head.slice(1) },
        };
        const params = { threadId: T, serverName: "s", mode: "form", message: "?", _meta };
        asked.push(parseRequest("mcpServer/elicitation/request", params));
      } else if (head[0] === "~") {
        changes.noticed(T, "item/started", { item: patch(head.slice(1), "/x") });
      } else {
        const method = head[0] === "+" ? "item/started" : "item/completed";
        changes.noticed(T, method, { item });
      }
    }
    assert.equal(asked.some((one) => isUncertain(changes, one)), uncertain, steps.join(", "));
  }
});

test("OpenChanges knows consent to a call from a form that calls itself that", () => {
  const changes = new OpenChanges();
  const consent = (change: JsonObject, meta: JsonObject = {}) => {
    const request = requestOf(ELICITATION, {
      ...MCP_APPROVAL,
      _meta: {
        codex_approval_kind: "mcp_tool_call",
        tool_name: "ask",
        tool_params: { q: 1 },
        ...meta,
      },
      ...change,
    });
    return request.type === "elicitation" && request.toolApproval && isCalled(changes, request);
  };
  const item = { type: "mcpToolCall", id: "c", server: "probe", tool: "ask", arguments: { q: 1 } };
  assert.equal(consent({}), false, "nothing was called");
  changes.noticed(THREAD, "item/started", { item });
  assert.equal(consent({}), true);
  assert.equal(consent({}, { tool_params: null }), true, "as old versions ask");
  assert.equal(consent({}, { tool_params: { q: 2 } }), false, "other arguments");
  assert.equal(consent({}, { tool_name: "other" }), false, "another tool");
  assert.equal(
    consent({}, { tool_name: "other", tool_params: null }),
    false,
    "another tool, no arguments",
  );
  assert.equal(consent({ serverName: "other" }), false, "another server");
  assert.equal(consent({ threadId: "other" }), false, "another thread");
  const properties = { password: { type: "string" } };
  assert.equal(
    consent({ requestedSchema: { type: "object", properties } }),
    false,
    "asks for data",
  );
  assert.equal(consent({ message: "Go on?" }, { tool_name: undefined }), true, "names no tool");
  assert.equal(
    consent({ message: "Go on?" }, { tool_name: undefined, tool_params: { q: 2 } }),
    false,
    "names no tool, other arguments",
  );
  // Of two under one id the one has ended that is told, not the last that began.
  changes.noticed(THREAD, "item/started", { item: { ...item, arguments: { q: 2 } } });
  changes.noticed(THREAD, "item/completed", { item });
  assert.equal(consent({}), false, "the call has ended");
  assert.equal(consent({}, { tool_params: { q: 2 } }), true, "the other goes on");
  changes.noticed(THREAD, "item/started", { item: { ...item, tool: "other" } });
  assert.equal(consent({}, { tool_params: { q: 2 } }), true, "also beside one of another tool");
  // Ends that say something else than what began are its ends all the same.
  for (let n = 0; n < 2; n++) {
    changes.noticed(THREAD, "item/completed", { item: { ...item, arguments: {} } });
  }
  assert.equal(consent({}, { tool_params: { q: 2 } }), false, "both have ended");
});
