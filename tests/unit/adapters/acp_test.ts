/** What an editor is shown and may choose: pure functions of codex's items, questions and the profile. */
import assert from "node:assert/strict";
import type { ApprovalRequest } from "../../../src/approvals/mod.ts";
import { parseRequest } from "../../../src/approvals/request/parse_request.ts";
import { serveAgent } from "../../../src/adapters/acp/agent.ts";
import { listed } from "../../../src/adapters/acp/session_list.ts";
import { readPrompt } from "../../../src/adapters/acp/content.ts";
import { modesOf, readServers, Settings, withServers } from "../../../src/adapters/acp/settings.ts";
import { answersOf, askedOf, decisionOf, formOf } from "../../../src/adapters/acp/permission.ts";
import { AgentSession } from "../../../src/adapters/acp/session.ts";
import { diffs, visible } from "../../../src/adapters/acp/tool_calls.ts";
import { Updates } from "../../../src/adapters/acp/updates.ts";
import type { ToolCallFields } from "../../../src/adapters/acp/wire.ts";
import { InvalidArgumentError, RpcError } from "../../../src/errors/mod.ts";
import { normalizeSandbox } from "../../../src/permissions/mod.ts";
import type { Client, RunProfile, ThreadFilter, TurnEvent } from "../../../src/session/mod.ts";
import { test } from "../../_harness.ts";

test("modes are never wider than the profile", () => {
  const all = ["read-only", "plan", "ask", "workspace-write", "full-access"];
  const cases: [RunProfile, ids: string[], initial: string][] = [
    [{}, all.slice(0, 3), "ask"],
    [{ sandbox: "read-only", allowPrivilegedEscalation: true }, all.slice(0, 3), "ask"],
    [{ allowPrivilegedEscalation: true }, all.slice(0, 4), "ask"],
    [{ sandbox: "workspace-write" }, all.slice(0, 4), "workspace-write"],
    [{ sandbox: "danger-full-access" }, all, "full-access"],
    [{ approvalPolicy: "never" }, ["read-only", "plan"], "read-only"],
    [{ approvalPolicy: "never", sandbox: "workspace-write" }, [
      "read-only",
      "plan",
      "workspace-write",
    ], "workspace-write"],
    [{ mode: "plan" }, all.slice(0, 3), "plan"],
  ];
  for (const [profile, ids, initial] of cases) {
    const modes = modesOf(profile);
    assert.deepEqual(modes.all.map(({ id }) => id), ids, JSON.stringify(profile));
    assert.equal(modes.initial, initial, JSON.stringify(profile));
    for (const { id, turn } of modes.all) {
      if (id === "read-only" || id === "plan") {
        const { type } = normalizeSandbox(turn.sandbox);
        assert.deepEqual([type, turn.approvalPolicy], ["readOnly", "never"]);
      }
    }
  }
});

const model = (id: string, efforts: string[], isDefault = false) => ({
  id,
  displayName: id,
  description: "",
  isDefault,
  efforts,
  raw: {},
});

test("a chosen model brings an effort that it knows", () => {
  const models = [model("a", ["low", "ultra"], true), model("b", ["low", "medium"])];
  const settings = new Settings(modesOf({}), models, { effort: "ultra" }, false);
  settings.set("model", "b");
  assert.deepEqual([settings.turn.model, settings.turn.effort], ["b", "medium"]);
  assert.throws(() => settings.set("effort", "ultra"), /must be one of "low", "medium"/);
  assert.throws(() => settings.set("model", "default"), /must be one of/);
});

test("a session that is loaded shows the model that its thread was left with", () => {
  const models = [model("a", ["low", "ultra"], true), model("b", ["medium"])];
  for (const known of [[], models]) {
    const settings = new Settings(modesOf({}), known, {}, false, "b");
    const values = (wanted: string) =>
      settings.options.find(({ id }) => id === wanted)?.options.map(({ value }) => value);
    assert.equal(settings.options.find(({ id }) => id === "model")!.currentValue, "b");
    assert.deepEqual(values("model"), known.length === 0 ? ["b"] : ["a", "b"]);
    // The efforts are that one's too.
    assert.equal(values("effort")?.includes("ultra") ?? false, false);
    assert.equal(settings.turn.model, undefined);
  }
});

test("an edit is the text of each hunk before and after", () => {
  const cases: [diff: string, pairs: [string, string][]][] = [
    ["@@ -1,2 +1,2 @@\n one\n-two\n+three\n", [["one\ntwo\n", "one\nthree\n"]]],
    ["@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+b\n", [["a", "b\n"]]],
    ["@@ -1 +1 @@\n-a\n+b\n\\ No newline at end of file\n", [["a\n", "b"]]],
    ["@@ -1,2 +1,2 @@\n-@@ -9 +9 @@\n x\n+@@ -8 +8 @@\n@@ -7 +7 @@\n-y\n+z\n", [
      ["@@ -9 +9 @@\nx\n", "x\n@@ -8 +8 @@\n"],
      ["y\n", "z\n"],
    ]],
    ["", []],
    ["no hunk", []],
  ];
  for (const [diff, pairs] of cases) {
    const found = diffs({ path: "/w/a", kind: "update", diff }, "/w");
    assert.deepEqual(
      found,
      pairs.map(([oldText, newText]) => ({ type: "diff", path: "/w/a", oldText, newText })),
      diff,
    );
  }
});

test("a person is shown what is judged, and offered what codex offers", () => {
  const command = (more: object): ApprovalRequest =>
    parseRequest("item/commandExecution/requestApproval", {
      threadId: "t",
      turnId: "u",
      itemId: "i",
      command: "bash -lc 'rm \u202e x'",
      cwd: "/w",
      ...more,
    });
  const kinds = (request: ApprovalRequest) =>
    askedOf(request, "/w")?.options.map(({ kind }) => kind);
  assert.deepEqual(kinds(command({})), ["allow_once", "allow_always", "reject_once"]);
  assert.deepEqual(kinds(command({ availableDecisions: ["accept", "cancel"] })), [
    "allow_once",
    "reject_once",
  ]);
  // What codex keeps of a host holds in every mode.
  assert.deepEqual(kinds(command({ networkApprovalContext: { host: "a.example" } })), [
    "allow_once",
    "reject_once",
  ]);
  assert.equal(askedOf(command({}), "/w")?.call.title, "rm \\u{202e} x");
  assert.equal(visible("a\u001b[2Jb\nc\td"), "a\\u{1b}[2Jb\nc\td");
  assert.equal(visible("r\u061cm\u{e0041}\u3164\u00ad"), "r\\u{61c}m\\u{e0041}\\u{3164}\\u{ad}");
  assert.equal(visible("a\u00a0b\u3000c\u2800d"), "a\\u{a0}b\\u{3000}c\\u{2800}d");
  assert.equal(visible(`ls${" ".repeat(400)}; rm x`), "ls⟨400 blanks⟩; rm x");
  assert.equal(visible(`ls${" \n".repeat(50)}rm x`), "ls\n⟨50 line breaks⟩\nrm x");
  const { options } = askedOf(command({ availableDecisions: ["accept"] }), "/w")!;
  const chosen = (optionId: unknown) =>
    decisionOf({ outcome: { outcome: "selected", optionId } as never }, options);
  assert.deepEqual(chosen("accept"), { decision: "accept" });
  for (const id of ["acceptForSession", "toString", 0, null]) {
    assert.equal((chosen(id) as { decision: string }).decision, "decline");
  }
  const cancelled = { outcome: "cancelled", optionId: "accept" };
  for (const answer of [null, [], "accept", { outcome: cancelled }, { outcome: [] }]) {
    assert.equal((decisionOf(answer, options) as { decision: string }).decision, "decline");
  }
});

test("a question without an item of its own is shown apart, and ended by its answer", async () => {
  const can = { terminalOutput: false, notices: true, compaction: true, forms: true };
  const told: string[] = [];
  const outcomes = ["accept", "decline", null];
  const peer = {
    update: ({ update }: { update: Record<string, string> }) =>
      told.push(`${update["toolCallId"]?.split("-")[1]} ${update["status"]}`),
    call: (_: string, { toolCall }: { toolCall: Record<string, string> }) => {
      told.push(`${toolCall["toolCallId"]?.split("-")[1]} asked`);
      const optionId = outcomes.shift();
      return optionId === null
        ? Promise.reject(new Error("gone"))
        : Promise.resolve({ outcome: { outcome: "selected", optionId } });
    },
  };
  const item = (script: string) => ({
    type: "itemStarted",
    turnId: "u",
    item: { type: "commandExecution", id: "a", command: script, script, cwd: "/w" },
  });
  const session = {
    threadId: "t",
    cwd: "/w",
    context: null,
    // Two calls under one id.
    events: async function* () {
      yield await Promise.resolve(item("one"));
      yield item("two");
    },
  };
  const agent = new AgentSession({ session, peer, can, settings: { turn: {} } } as never);
  while (told.length < 2) await Promise.resolve();
  const ask = (threadId: string) => {
    const about = { threadId, turnId: "u", itemId: "a", command: "two", cwd: "/w" };
    const request = parseRequest("item/commandExecution/requestApproval", about);
    return agent.approve(request, { signal: new AbortController().signal } as never);
  };
  const decisions = [await ask("t"), await ask("agent"), await ask("agent")];
  assert.deepEqual(decisions.map((each) => "decision" in each && each.decision), [
    "accept",
    "decline",
    "decline",
  ]);
  assert.deepEqual(told, [
    "1 in_progress",
    "2 in_progress",
    "3 asked",
    "3 completed",
    "4 asked",
    "4 failed",
    "5 asked",
    "5 failed",
  ]);
});

test("a session keeps the name that the editor knows when its thread has become another", async () => {
  const told: unknown[] = [];
  const take = (params: { sessionId: string }) => told.push(params.sessionId);
  const outcome = { outcome: "selected", optionId: "accept" };
  const peer = {
    update: take,
    call: (_: string, params: { sessionId: string }) => {
      take(params);
      return Promise.resolve({ outcome });
    },
  };
  const session = { threadId: "t", cwd: "/w", context: null, events: async function* () {} };
  const agent = new AgentSession({ session, peer, can: {}, settings: { turn: {} } } as never);
  session.threadId = "another";
  agent.tell([agent.id as never]);
  const about = { threadId: "another", turnId: "u", itemId: "a", command: "one", cwd: "/w" };
  const request = parseRequest("item/commandExecution/requestApproval", about);
  await agent.approve(request, { signal: new AbortController().signal } as never);
  assert.deepEqual([agent.id, ...told], ["t", "t", "t", "t"]);
});

test("in a mode that reads nobody may accept but commands that stay in the sandbox", () => {
  const can = { terminalOutput: false, notices: true, compaction: true, forms: true };
  const peer = { update: () => {} };
  const more = { network: { enabled: true } };
  const network = { host: "a.example", protocol: "https" };
  const command = "item/commandExecution/requestApproval";
  const patch = "item/fileChange/requestApproval";
  // What is asked about, whether the mode reads, whether accepted commands stay in the sandbox, whether it may be accepted.
  const rows: [string, Record<string, unknown>, boolean, string, boolean][] = [
    [command, {}, true, "sandboxed", true],
    [command, {}, true, "mayLeave", false],
    [command, {}, false, "mayLeave", true],
    [command, { additionalPermissions: more }, true, "sandboxed", false],
    [command, { networkApprovalContext: network }, true, "sandboxed", false],
    [command, { networkApprovalContext: network }, false, "sandboxed", true],
    [patch, {}, true, "sandboxed", false],
    [patch, {}, false, "sandboxed", true],
    ["item/permissions/requestApproval", { permissions: more }, true, "sandboxed", false],
    ["item/tool/call", { tool: "a", arguments: {}, callId: "c" }, true, "sandboxed", true],
    ["item/tool/requestUserInput", { questions: [] }, true, "sandboxed", true],
  ];
  for (const [method, given, reads, acceptedCommands, isFree] of rows) {
    const session = {
      threadId: "t",
      cwd: "/w",
      context: null,
      policy: { acceptedCommands },
      events: async function* () {},
    };
    const agent = new AgentSession({ session, peer, can, settings: { reads } } as never);
    const about = { threadId: "t", turnId: "u", itemId: "a", command: "two", cwd: "/w", ...given };
    const why = agent.limit(parseRequest(method, about));
    assert.equal(why === null, isFree, JSON.stringify([method, given, reads, acceptedCommands]));
  }
});

test("a secret is not asked for in a form, and only what was asked is an answer", () => {
  const question = {
    id: "a",
    header: "A",
    question: "A?",
    isOther: false,
    isSecret: false,
    options: null,
  };
  assert.equal(formOf([{ ...question, isSecret: true }], "s"), null);
  assert.equal(formOf([], "s"), null);
  const filled = { action: "accept", content: { a: "1", b: "2", __proto__: "3" } };
  assert.deepEqual(answersOf(filled, [question]), { answers: { a: "1" } });
  assert.deepEqual(answersOf({ action: "accept", content: { a: 1 } }, [question]), { answers: {} });
  const odd = { ...question, id: "__proto__" };
  assert.deepEqual(Object.keys(formOf([odd], "s")!.requestedSchema.properties), ["__proto__"]);
  const content = JSON.parse('{"__proto__":"3"}');
  const told = answersOf({ action: "accept", content }, [odd]) as { answers: object };
  assert.deepEqual(Object.entries(told.answers), [["__proto__", "3"]]);
});

test("a thread is listed whatever its date", () => {
  const told = (updatedAt: number | null) => listed({ id: "t", cwd: "/w", updatedAt }).updatedAt;
  assert.equal(told(0), "1970-01-01T00:00:00.000Z");
  for (const date of [null, 1e18, -1e18]) assert.equal(told(date), undefined);
});

test("pages of the list hold each thread that the client has", async () => {
  const ids = Array.from({ length: 230 }, (_, at) => `t${at}`);
  const filters: ThreadFilter[] = [];
  const client = {
    async *threads(filter: ThreadFilter) {
      filters.push(filter);
      for (const id of [...ids]) yield { raw: { id, cwd: "/w", updatedAt: 1 } };
    },
  } as unknown as Client;
  const { ask, close } = await editorOf(client);
  const seen: string[] = [];
  let pages = 0;
  for (let cursor: string | null | undefined = null; cursor !== undefined; pages++) {
    const { result } = await ask("session/list", { cwd: "/w", cursor });
    seen.push(...result.sessions.map(({ sessionId }: { sessionId: string }) => sessionId));
    cursor = result.nextCursor;
    // A thread that is used meanwhile is the first of a new list.
    ids.unshift(ids.pop()!);
  }
  assert.deepEqual([seen, pages], [ids.toSorted((a, b) => +a.slice(1) - +b.slice(1)), 3]);
  assert.equal(filters.length, 1);
  // A page that is read again comes by its place.
  const { result } = await ask("session/list", { cwd: "/w", cursor: "200" });
  assert.deepEqual(
    result.sessions.map(({ sessionId }: { sessionId: string }) => sessionId),
    ids.slice(200),
  );
  assert.deepEqual([filters[0]!.cwd, filters[0]!.sortKey], ["/w", "updated_at"]);
  for (const cursor of ["x", "-1"]) {
    assert.equal((await ask("session/list", { cursor })).error.code, -32602);
  }
  await close();
});

test("a login that its backend refuses is asked for, and one of a backend that is away is not", async () => {
  // 0.160 to 0.169.
  for (const [words, code] of [["unauthorized (401)", -32000], ["failed", undefined]] as const) {
    const message = `workspace routing discovery ${words}`;
    const request = () => Promise.reject(new RpcError("account/read", -32603, message));
    const { ask, close } = await editorOf({ runtime: { request } } as unknown as Client);
    const { error } = await ask("authenticate", { methodId: "codex-login" });
    assert.equal(error?.code, code);
    await close();
  }
});

/** An editor that is connected to the agent. */
async function editorOf(client: Client) {
  const [toAgent, toClient] = [new TransformStream(), new TransformStream()];
  const streams = { readable: toAgent.readable, writable: toClient.writable };
  const served = serveAgent(client, streams, {});
  const writer = toAgent.writable.getWriter();
  const lines = toClient.readable.pipeThrough(new TextDecoderStream()).getReader();
  const ask = async (method: string, params: object) => {
    const line = JSON.stringify({ jsonrpc: "2.0", id: 1, method, params });
    await writer.write(new TextEncoder().encode(`${line}\n`));
    let text = "";
    while (!text.endsWith("\n")) text += (await lines.read()).value;
    return JSON.parse(text);
  };
  await ask("initialize", { protocolVersion: 1 });
  const close = async () => {
    await writer.close();
    await served;
  };
  return { ask, close };
}

test("blocks become a prompt in their order, and a command only what begins one", () => {
  const text = (text: string) => ({ type: "text", text });
  const link = { type: "resource_link", uri: "file:///w/a.ts", name: "" };
  const file = { type: "resource", resource: { uri: "file:///w/b.md", text: "```\nx\n```" } };
  const read = readPrompt([text("See "), link, text(", "), file]);
  assert.equal(
    read.text,
    "See [@a.ts](file:///w/a.ts), [@b.md](file:///w/b.md)\n````\n```\nx\n```\n````\n",
  );
  const command = (...blocks: object[]) => readPrompt(blocks as never).command;
  assert.equal(command(text(" /review the docs")), "review");
  assert.equal(command(text("a /review")), null);
  assert.equal(command(text("/usr/bin is what?")), null);
  assert.equal(
    command(text("/review"), { type: "image", mimeType: "image/png", data: "AA==" }),
    null,
  );
});

test("an editor's MCP servers keep their settings and get names of their own", async () => {
  const servers = readServers([
    { type: "http", name: "my docs", url: "http://h/", headers: [{ name: "A", value: "b" }] },
    { name: "git", command: "git-mcp", args: ["-x"], env: [{ name: "E", value: "f" }] },
  ]);
  assert.deepEqual(servers, {
    my_docs: { url: "http://h/", headers: { A: "b" } },
    git: { command: "git-mcp", args: ["-x"], env: { E: "f" } },
  });
  // Programs that know no empty list write `null`.
  const bare = { name: "git", command: "git-mcp", args: null, env: null };
  assert.deepEqual(readServers([bare]), { git: { command: "git-mcp", args: [], env: {} } });
  const long = "x".repeat(60);
  const alike = ["my docs", "my.docs", "文", "書", "my_docs", `${long}1`, `${long}2`];
  assert.deepEqual(
    Object.entries(readServers(alike.map((name) => ({ name, command: name }))))
      .map(([name, server]) => [name, "command" in server ? server.command : null]),
    [
      ["my_docs", "my docs"],
      ["my_docs_2", "my.docs"],
      ["_", "文"],
      ["__2", "書"],
      ["my_docs_3", "my_docs"],
      [long.slice(0, 48), `${long}1`],
      [`${long.slice(0, 48)}_2`, `${long}2`],
    ],
  );
  assert.deepEqual(Object.keys(readServers([bare, bare])), ["git", "git_2"]);
  const problem = { argument: "mcpServers", received: "", accepts: "" };
  const opened = await withServers({ my_docs: { url: "http://own/" } }, servers, (all) => {
    if (!("git" in all)) return Promise.resolve(Object.keys(all));
    const data = { reason: "mcpServerName", name: "git" };
    return Promise.reject(new InvalidArgumentError("session", problem, { data }));
  });
  assert.deepEqual(opened, ["my_docs", "editor_my_docs", "editor_git"]);
});

test("an item of another shape is told of, and the others are shown", () => {
  const can = { terminalOutput: false, notices: true, compaction: true, forms: true };
  const updates = new Updates({ cwd: "/w", can, context: () => null });
  const odd = [
    { type: "agentMessage", id: "a" },
    { type: "reasoning", id: "b", summary: null, content: null },
    { type: "commandExecution", id: "c", command: null, cwd: "/w" },
    { type: "fileChange", id: "d", changes: [null] },
    { type: "hologram", id: "e" },
  ];
  const message = { type: "agentMessage", id: "z", text: "Hello" };
  const told = (items: object[]) => updates.replay("u", items as never);
  const kinds = told([...odd, message]).map(({ sessionUpdate }) => sessionUpdate);
  assert.deepEqual(kinds, ["notice", "notice", "notice", "notice", "agent_message_chunk"]);
  const event = { type: "planUpdated", threadId: "t", turnId: "u", plan: null };
  const [notice] = updates.of(event as unknown as TurnEvent);
  assert.equal(notice?.sessionUpdate, "notice");
});

test("items that share an id are shown and ended each by itself", () => {
  const can = { terminalOutput: false, notices: true, compaction: true, forms: true };
  const updates = new Updates({ cwd: "/w", can, context: () => null });
  const at = { threadId: "t", turnId: "u" };
  const told: string[] = [];
  const take = (type: string, fields: object) => {
    for (const update of updates.of({ type, ...at, ...fields } as unknown as TurnEvent)) {
      const { sessionUpdate, toolCallId, title, status, content } = update as never as Record<
        string,
        string
      >;
      const text = (content as { text?: string } | undefined)?.text ?? title ?? "";
      told.push(`${sessionUpdate} ${toolCallId?.split("-")[1] ?? ""} ${text} ${status ?? ""}`);
    }
  };
  const command = (script: string, status: string) => ({
    item: { type: "commandExecution", id: "a", command: script, script, cwd: "/w", status },
  });
  const message = (text: string) => ({ item: { type: "agentMessage", id: "a", text } });
  take("itemStarted", message(""));
  take("assistantMessageDelta", { itemId: "a", delta: "to" });
  take("itemStarted", command("one", "inProgress"));
  take("itemStarted", command("two", "inProgress"));
  take("assistantMessageDelta", { itemId: "a", delta: "gether" });
  take("itemCompleted", command("one", "completed"));
  take("itemCompleted", message("together!"));
  take("itemCompleted", command("two", "failed"));
  // Of two at once the session tells the beginning of the first.
  take("itemStarted", command("three", "inProgress"));
  take("itemCompleted", command("four", "failed"));
  take("itemCompleted", command("three", "completed"));
  take("turnCompleted", { status: "completed" });
  assert.deepEqual(told.map((line) => line.trim()), [
    "agent_message_chunk  to",
    "tool_call 2 one in_progress",
    "tool_call 3 two in_progress",
    "agent_message_chunk  gether",
    "tool_call_update 2  completed",
    "agent_message_chunk  !",
    "tool_call_update 3  failed",
    "tool_call 4 three in_progress",
    "tool_call 5 four in_progress",
    "tool_call_update 5  failed",
    "tool_call_update 4  completed",
  ]);
});

test("a command that a stop cut off is shown once, and one that outlives its turn to its end", () => {
  const can = { terminalOutput: true, notices: true, compaction: true, forms: true };
  const updates = new Updates({ cwd: "/w", can, context: () => null });
  const told = (type: string, fields: object) =>
    updates.of({ type, threadId: "t", ...fields } as unknown as TurnEvent)
      .map((update) => {
        const { status, _meta = {} } = update as ToolCallFields;
        return [update.sessionUpdate, status, ...Object.keys(_meta)].join(" ");
      });
  const command = (turnId: string, status: string) => ({
    turnId,
    item: { type: "commandExecution", id: turnId, command: "x", script: "x", cwd: "/w", status },
  });
  for (
    const [turnId, status, atEnd, late] of [
      ["stopped", "interrupted", ["tool_call_update failed terminal_exit"], []],
      ["over", "completed", [], ["tool_call_update completed terminal_exit"]],
    ] as const
  ) {
    assert.deepEqual(told("itemStarted", command(turnId, "inProgress")), [
      "tool_call in_progress terminal_info",
    ]);
    assert.deepEqual(told("turnCompleted", { turnId, status }), atEnd);
    assert.deepEqual(told("commandFinished", command(turnId, "completed")), late);
    assert.deepEqual(told("commandFinished", command(turnId, "completed")), []);
  }
  // A terminal ends where one was begun.
  const item = { type: "fileChange", id: "p", changes: [], status: "inProgress" };
  told("itemStarted", { turnId: "patch", item });
  const end = { turnId: "patch", status: "interrupted" };
  assert.deepEqual(told("turnCompleted", end), ["tool_call_update failed"]);
  can.terminalOutput = false;
  told("itemStarted", command("plain", "inProgress"));
  assert.deepEqual(told("turnCompleted", { ...end, turnId: "plain" }), ["tool_call_update failed"]);
});
