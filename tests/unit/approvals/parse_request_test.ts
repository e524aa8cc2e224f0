import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import type { ApprovalRequest } from "../../../src/approvals/mod.ts";
import { parseRequest } from "../../../src/approvals/request/parse_request.ts";
import type { JsonObject } from "../../../src/json.ts";
import { methodsOfKind } from "../../../src/protocol/inventory.ts";
import { unifiedDiff } from "../../../src/thread_item.ts";
import { test } from "../../_harness.ts";
import { commandOf, ELICITATION, MCP_APPROVAL, PATCH, requestOf } from "./_requests.ts";

function of<T extends ApprovalRequest["type"]>(
  request: ApprovalRequest,
  type: T,
): Extract<ApprovalRequest, { type: T }> {
  assert.equal(request.type, type);
  return request as Extract<ApprovalRequest, { type: T }>;
}

test("parseRequest() gives the command as sent, its words and the script in it", () => {
  const request = of(commandOf("/bin/bash -lc 'git status; ls'"), "command");
  assert.equal(request.command, "/bin/bash -lc 'git status; ls'");
  assert.deepEqual(request.argv, ["/bin/bash", "-lc", "git status; ls"]);
  assert.equal(request.script, "git status; ls");
  assert.deepEqual(request.parsed?.commands, [["git", "status"], ["ls"]]);
  assert.equal(request.cwd, "/w");
  assert.equal(request.action, "command");
  assert.deepEqual(request.proposedExecPolicyAmendment, ["git", "status"]);
  assert.equal(request.threadId, "T");
  assert.equal(request.turnId, "U");
  assert.equal(request.itemId, "call_1");
  assert.equal(request.legacy, false);
});

test("parseRequest() reads the old protocol's questions as the same types", () => {
  const command = of(requestOf("execCommandApproval"), "command");
  assert.equal(command.legacy, true);
  assert.equal(command.threadId, "T");
  assert.equal(command.itemId, "call_1");
  assert.equal(command.script, "git status");
  const patch = of(requestOf("applyPatchApproval"), "fileChange");
  assert.equal(patch.legacy, true);
  assert.deepEqual(patch.changes, [
    { path: "/w/a.txt", kind: "update", diff: "@@ -1 +1 @@\n-a\n+b\n" },
  ]);
});

test("parseRequest() joins a file change with its item", () => {
  const item = {
    type: "fileChange",
    changes: [
      { path: "/w/new.txt", kind: { type: "add" }, diff: "hi\n" },
      {
        path: "/w/a",
        kind: { type: "update", move_path: "/w/b" },
        diff: "@@ -1 +1 @@\n-a\n+b\n\n\nMoved to: /w/b",
      },
      { path: "/w/old", kind: { type: "delete" }, diff: "bye" },
    ],
  };
  const request = of(requestOf(PATCH, {}, item), "fileChange");
  assert.deepEqual(request.changes?.map((change) => [change.path, change.kind, change.movePath]), [
    ["/w/new.txt", "add", undefined],
    ["/w/a", "update", "/w/b"],
    ["/w/old", "delete", undefined],
  ]);
  assert.equal(
    request.diff,
    "--- /dev/null\n+++ b/w/new.txt\n@@ -0,0 +1 @@\n+hi\n" +
      "--- a/w/a\n+++ b/w/b\n@@ -1 +1 @@\n-a\n+b\n" +
      "--- a/w/old\n+++ /dev/null\n@@ -1 +0,0 @@\n-bye\n\\ No newline at end of file\n",
  );
});

test("parseRequest() calls changes unknown when the item is missing, odd or not to be had", () => {
  const items = [
    undefined,
    {},
    { type: "fileChange" },
    { type: "fileChange", changes: [] },
    { type: "fileChange", changes: [{ path: "/a", kind: { type: "add" } }, { path: 1 }] },
  ];
  for (const item of items) {
    const request = of(requestOf(PATCH, {}, item), "fileChange");
    assert.equal(request.changes, null);
    assert.equal(request.diff, null);
  }
  const thrown = parseRequest(PATCH, { threadId: "T", turnId: "U", itemId: "i" }, {
    item: () => {
      throw new Error("state");
    },
  });
  assert.equal(of(thrown, "fileChange").changes, null);
});

test("parseRequest() tells consent to an MCP tool from a form and from an offer to install", () => {
  const tool = of(requestOf(ELICITATION, MCP_APPROVAL), "elicitation");
  assert.equal(tool.toolApproval, true);
  assert.equal(tool.mcpTool, "ask");
  assert.deepEqual(tool.toolArguments, { q: 1 });
  assert.deepEqual(tool.persist, ["session", "always"]);
  for (const name of ["wipe all", "lösche", 'say "x', "two\nlines", "ask"]) {
    const message = `Allow the probe MCP server to run tool "${name}"?`;
    const named = of(requestOf(ELICITATION, { ...MCP_APPROVAL, message }), "elicitation");
    assert.equal(named.mcpTool, name);
  }
  const form = of(requestOf(ELICITATION), "elicitation");
  assert.equal(form.toolApproval, false);
  assert.equal(form.server, "probe");
  assert.equal(form.message, "Your name?");
  const offer = requestOf(ELICITATION, {
    ...MCP_APPROVAL,
    _meta: { codex_approval_kind: "tool_suggestion", tool_name: "GitHub" },
  });
  assert.equal(of(offer, "elicitation").toolApproval, false);
  assert.equal(of(offer, "elicitation").mcpTool, null);
  // An address to visit, from a server that says it were codex's question about its tool.
  for (const mode of ["url", "form"]) {
    const forged = { ...MCP_APPROVAL, mode, url: "http://127.0.0.1:9/x", requestedSchema: null };
    const request = of(requestOf(ELICITATION, forged), "elicitation");
    assert.deepEqual([request.toolApproval, request.mcpTool, request.url], [
      false,
      null,
      forged.url,
    ]);
  }
});

test("parseRequest() gives unguessable ids and keeps what it does not know", () => {
  const ids = new Set([1, 2, 3].map(() => parseRequest("future/ask", { a: 1 }).id));
  assert.equal(ids.size, 3);
  for (const id of ids) assert.match(id, /^[0-9a-f-]{36}$/);
  assert.deepEqual(of(parseRequest("future/ask", { a: 1 }), "unknown").params, { a: 1 });
});

test("parseRequest() takes any params without a throw", () => {
  for (const method of methodsOfKind("serverRequest").map((info) => info.method)) {
    for (const params of [null, 1, "x", [], {}, { threadId: 1, command: 2, permissions: [] }]) {
      const request = parseRequest(method, params);
      assert.equal(request.method, method);
      assert.notEqual(request.type, "unknown");
    }
  }
});

test("parseRequest() reads every request that both servers were recorded to send", () => {
  const seen = new Set<string>();
  for (const version of ["0.104", "0.169"]) {
    const dir = new URL(`../../transcripts/${version}/`, import.meta.url);
    for (const name of readdirSync(dir)) {
      for (const line of readFileSync(new URL(name, dir), "utf8").split("\n")) {
        if (line === "") continue;
        const { dir: way, m } = JSON.parse(line);
        if (way !== "<" || m?.id === undefined || m.method === undefined) continue;
        const request = parseRequest(m.method, m.params);
        assert.notEqual(request.type, "unknown", `${name}: ${m.method}`);
        assert.ok(request.threadId !== null && request.turnId !== null, name);
        if (request.type === "command") {
          assert.equal(request.parsed?.simple, true, request.command ?? "");
          assert.deepEqual(request.parsed?.commands[0]?.[0], "python3");
        }
        seen.add(`${version} ${request.type}`);
      }
    }
  }
  for (const version of ["0.104", "0.169"]) {
    for (const type of ["command", "fileChange", "userInput", "toolCall"]) {
      assert.ok(seen.has(`${version} ${type}`), `${version} ${type}`);
    }
  }
  assert.ok(seen.has("0.169 elicitation"));
});

test("unifiedDiff() counts the lines of added and deleted files", () => {
  assert.equal(
    unifiedDiff([{ path: "/a", kind: "add", diff: "x\ny\n" }]),
    "--- /dev/null\n+++ b/a\n@@ -0,0 +1,2 @@\n+x\n+y\n",
  );
  assert.equal(unifiedDiff([{ path: "/a", kind: "add", diff: "" }]), "--- /dev/null\n+++ b/a\n");
});

test("parseRequest() gives what codex thinks of a command, under either name of it", () => {
  const actions = [{ type: "read", command: "cat a", name: "a", path: "/w/a" }];
  const parsed = (fields: JsonObject) => of(commandOf("cat a", fields), "command").commandActions;
  assert.deepEqual(parsed({ commandActions: actions }), actions);
  assert.deepEqual(parsed({ commandActions: null, parsedCmd: actions }), actions);
  assert.deepEqual(parsed({ commandActions: actions, parsedCmd: [] }), actions);
});
