/** A turn's events as parts: ids of our own, whatever the model's do; everything that was begun is ended. */
import assert from "node:assert/strict";
import { AgUiEvents } from "../../../src/adapters/ag_ui/mod.ts";
import { UIChunks } from "../../../src/adapters/ai_sdk/mod.ts";
import { type TurnPart, TurnParts } from "../../../src/adapters/turn_parts.ts";
import type { ApprovalAudit, ApprovalRequest } from "../../../src/approvals/mod.ts";
import type { ThreadItem, TurnEvent } from "../../../mod.ts";
import { test } from "../../_harness.ts";

const at = { threadId: "t", turnId: "u" };
const event = (type: string, fields: object): TurnEvent =>
  ({ type, ...at, ...fields }) as unknown as TurnEvent;
const started = (item: object) => event("itemStarted", { item });
const completed = (item: object) => event("itemCompleted", { item });
const said = (itemId: string, delta: string) => event("assistantMessageDelta", { itemId, delta });
const over = (status = "completed") => event("turnCompleted", { status, error: null });
const command = (id: string, script: string, status = "inProgress", more = {}) => ({
  type: "commandExecution",
  id,
  command: `bash -lc '${script}'`,
  script,
  cwd: "/w",
  commandActions: [],
  status,
  ...more,
});
const patch = (id: string, status = "inProgress") => ({
  type: "fileChange",
  id,
  changes: [{ path: "/w/a", kind: { type: "add" }, diff: "x" }],
  status,
});
const asks = (id: string, itemId: string, more = {}): TurnEvent =>
  event("approvalRequested", {
    request: {
      type: "command",
      id,
      threadId: "t",
      itemId,
      script: "ls",
      cwd: "/w",
      ...more,
    } as unknown as ApprovalRequest,
  });
const answers = (id: string, decision: string): TurnEvent =>
  event("approvalResolved", { audit: { id, decision, threadId: "t" } as unknown as ApprovalAudit });

/** Parts in short: `tool shell 1`, `ok 1`, `text 2`, `+2 abc`. */
function short(part: TurnPart): string {
  const n = (id: string) => id.replace("u-", "");
  switch (part.type) {
    case "textStart":
      return `${part.commentary ? "aside" : part.isFinal ? "answer" : "text"} ${n(part.id)}`;
    case "textDelta":
      return `+${n(part.id)} ${part.delta}`;
    case "reasoningDelta":
      return `~${n(part.id)} ${part.delta}`;
    case "reasoningStart":
      return `think ${n(part.id)}`;
    case "textEnd":
      return `${part.cut ? "cut" : "end"} ${n(part.id)}`;
    case "reasoningEnd":
      return `end ${n(part.id)}`;
    case "toolStart":
      return `${part.use.name} ${n(part.use.id)}`;
    case "toolDelta":
      return `out ${n(part.use.id)} ${part.delta}`;
    case "toolEnd":
      return `${part.outcome} ${n(part.use.id)}`;
    case "question":
      return `ask ${n(part.use.id)} ${part.request.id}`;
    case "answer":
      return `${part.approved ? "yes" : "no"} ${n(part.use.id)}`;
    case "end":
      return part.status;
    default:
      return part.type;
  }
}

const CASES: [name: string, events: TurnEvent[], parts: string][] = [
  ["text", [
    started({ type: "agentMessage", id: "a", text: "" }),
    said("a", "He"),
    said("a", "y"),
    completed({ type: "agentMessage", id: "a", text: "Hey" }),
    over(),
  ], "text 1|+1 He|+1 y|end 1|completed"],
  ["text whose deltas were lost", [
    said("a", "He"),
    completed({ type: "agentMessage", id: "a", text: "Hey" }),
    over(),
  ], "text 1|+1 He|+1 y|end 1|completed"],
  ["text whose deltas were lost in the middle", [
    said("a", "He"),
    said("a", "o"),
    completed({ type: "agentMessage", id: "a", text: "Hello" }),
    over(),
  ], "text 1|+1 He|+1 o|cut 1|text 2|+2 Hello|end 2|completed"],
  ["text that was told to be less", [
    said("a", "Hello"),
    completed({ type: "agentMessage", id: "a", text: "ell" }),
    over(),
  ], "text 1|+1 Hello|end 1|completed"],
  ["an id that recurs without its phase", [
    started({ type: "agentMessage", id: "a", text: "", phase: "commentary" }),
    said("a", "x"),
    completed({ type: "agentMessage", id: "a", text: "x", phase: "commentary" }),
    started({ type: "agentMessage", id: "a", text: "" }),
    said("a", "y"),
    over(),
  ], "aside 1|+1 x|end 1|text 2|+2 y|end 2|completed"],
  ["a message whose id is like the name of a piece of reasoning", [
    event("reasoningDelta", { itemId: "r", delta: "s", part: "summary" }),
    said("summary r", "x"),
    completed({ type: "reasoning", id: "r", summary: ["s"], content: [] }),
    completed({ type: "agentMessage", id: "summary r", text: "xy" }),
    over(),
  ], "think 1|~1 s|text 2|+2 x|end 1|+2 y|end 2|completed"],
  ["phases", [
    started({ type: "agentMessage", id: "a", text: "", phase: "commentary" }),
    said("a", "x"),
    completed({ type: "agentMessage", id: "b", text: "y", phase: "final_answer" }),
    over(),
  ], "aside 1|+1 x|answer 2|+2 y|end 2|end 1|completed"],
  ["a message id that recurs", [
    said("a", "x"),
    completed({ type: "agentMessage", id: "a", text: "x" }),
    said("a", "y"),
    over(),
  ], "text 1|+1 x|end 1|text 2|+2 y|end 2|completed"],
  ["a plan in the middle of a message", [
    started({ type: "agentMessage", id: "a", text: "" }),
    said("a", "Here: "),
    started({ type: "plan", id: "p", text: "" }),
    event("planDelta", { itemId: "p", delta: "1. " }),
    said("a", "Yes?"),
    completed({ type: "plan", id: "p", text: "1. Go" }),
    completed({ type: "agentMessage", id: "a", text: "Here: Yes?" }),
    over(),
  ], "text 1|+1 Here: |text 2|+2 1. |+1 Yes?|+2 Go|end 2|end 1|completed"],
  ["reasoning in both forms", [
    event("reasoningDelta", { itemId: "r", delta: "s", part: "summary" }),
    event("reasoningDelta", { itemId: "r", delta: "c", part: "content" }),
    completed({ type: "reasoning", id: "r", summary: ["s"], content: ["c"] }),
    over(),
  ], "think 1|~1 s|think 2|~2 c|end 1|end 2|completed"],
  ["reasoning without deltas", [
    completed({ type: "reasoning", id: "r", summary: ["a", "b"] }),
    completed({ type: "reasoning", id: "q" }),
    over(),
  ], "think 1|~1 a\n\nb|end 1|completed"],
  ["a command", [
    started(command("c", "ls")),
    event("commandOutputDelta", { itemId: "c", delta: "x" }),
    completed(command("c", "ls", "completed", { exitCode: 0 })),
    over(),
  ], "shell 1|out 1 x|ok 1|completed"],
  ["a command told by its end alone, that failed", [
    completed(command("c", "ls", "failed", { exitCode: 3 })),
    over(),
  ], "shell 1|failed 1|completed"],
  ["a command and a patch that share an id", [
    started(command("c", "ls")),
    started(patch("c")),
    completed(patch("c", "completed")),
    completed(command("c", "ls", "completed")),
    over(),
  ], "shell 1|apply_patch 2|ok 2|ok 1|completed"],
  ["two commands that share an id", [
    started(command("c", "a")),
    completed(command("c", "a", "completed")),
    started(command("c", "b")),
    completed(command("c", "b", "completed")),
    over(),
  ], "shell 1|ok 1|shell 2|ok 2|completed"],
  ["two commands at once that share an id, of which only the first is told to begin", [
    started(command("c", "a")),
    completed(command("c", "b", "failed")),
    completed(command("c", "a", "completed")),
    over(),
  ], "shell 1|shell 2|failed 2|ok 1|completed"],
  [
    "a command that goes on when the turn ends",
    [started(command("c", "ls")), over("interrupted")],
    "shell 1|unfinished 1|interrupted",
  ],
  ["a question about a command that is known", [
    started(command("c", "ls")),
    asks("q", "c"),
    answers("q", "accept"),
    completed(command("c", "ls", "completed")),
    over(),
  ], "shell 1|ask 1 q|yes 1|ok 1|completed"],
  ["a question before its item, declined", [
    asks("q", "c"),
    answers("q", "decline"),
    started(command("c", "ls", "declined")),
    completed(command("c", "ls", "declined")),
    over(),
  ], "shell 1|ask 1 q|no 1|declined 1|completed"],
  [
    "a question whose item never comes",
    [asks("q", "c"), answers("q", "decline"), over()],
    "shell 1|ask 1 q|no 1|declined 1|completed",
  ],
  ["an item that ends before its question is answered", [
    started(patch("p")),
    asks("q", "p", { type: "fileChange" }),
    completed(patch("p", "declined")),
    answers("q", "decline"),
    over(),
  ], "apply_patch 1|ask 1 q|no 1|declined 1|completed"],
  ["a question that another client answered", [
    started(command("c", "ls")),
    asks("q", "c"),
    answers("q", "none"),
    completed(command("c", "ls", "completed")),
    over(),
  ], "shell 1|ask 1 q|yes 1|ok 1|completed"],
  [
    "a question that waits when the turn ends",
    [started(command("c", "ls")), asks("q", "c"), over("connectionClosed"), answers("q", "cancel")],
    "shell 1|ask 1 q|no 1|declined 1|connectionClosed",
  ],
  ["a second question while the first waits is a use of its own", [
    started(command("c", "ls")),
    asks("q", "c"),
    asks("r", "c"),
    answers("q", "accept"),
    answers("r", "decline"),
    over(),
  ], "shell 1|ask 1 q|shell 2|ask 2 r|yes 1|no 2|unfinished 1|declined 2|completed"],
  ["a question about another command that has the id, or about words for it", [
    started(command("c", "ls")),
    asks("q", "c", { script: "rm it" }),
    answers("q", "accept"),
    completed(command("c", "ls", "completed")),
    over(),
  ], "shell 1|shell 2|ask 2 q|yes 2|ok 2|ok 1|completed"],
  ["a question that does not tell its command", [
    started(command("c", "ls")),
    asks("q", "c", { script: null, command: null }),
    answers("q", "accept"),
    completed(command("c", "ls", "completed")),
    over(),
  ], "shell 1|ask 1 q|yes 1|ok 1|completed"],
  ["a question about a host, or about permissions beyond the command", [
    started(command("c", "ls")),
    asks("q", "c", { network: { host: "evil.example", protocol: null } }),
    answers("q", "decline"),
    asks("r", "c", { additionalPermissions: { network: { enabled: true } } }),
    answers("r", "accept"),
    completed(command("c", "ls", "completed")),
    over(),
  ], "shell 1|shell 2|ask 2 q|no 2|declined 2|shell 3|ask 3 r|yes 3|ok 3|ok 1|completed"],
  ["an agent's own agent asks, and says nothing here", [
    event("approvalRequested", {
      threadId: "x",
      request: { type: "command", id: "q", threadId: "x", itemId: "c", script: "ls", cwd: "/w" },
    }),
    event("assistantMessageDelta", { threadId: "x", itemId: "z", delta: "psst" }),
    event("approvalResolved", { threadId: "x", audit: { id: "q", decision: "accept" } }),
    over(),
  ], "shell 1|ask 1 q|yes 1|ok 1|completed"],
  ["a question of no item that another client answered", [
    event("approvalRequested", {
      threadId: "x",
      request: { type: "command", id: "q", threadId: "x", itemId: "c", script: "ls", cwd: "/w" },
    }),
    event("approvalResolved", { threadId: "x", audit: { id: "q", decision: "none" } }),
    said("a", "x"),
    over(),
  ], "shell 1|ask 1 q|no 1|declined 1|text 2|+2 x|end 2|completed"],
  ["questions for programs are not shown", [
    event("approvalRequested", { request: { type: "currentTime", id: "q" } }),
    over(),
  ], "completed"],
  [
    "an item of a newer codex",
    [completed({ type: "teleport", id: "p", to: "mars" }), over()],
    "teleport 1|ok 1|completed",
  ],
  [
    "a prompt that is tried again",
    [said("a", "x"), over("failed"), said("b", "y"), over()],
    "text 1|+1 x|end 1|text 2|+2 y|end 2|completed",
  ],
  [
    "a message that codex begins anew",
    [
      event("reasoningDelta", { itemId: "r", part: "summary", delta: "Hm" }),
      said("a", "Hal"),
      event("retrying", { message: "cut off", by: "codex" }),
      said("b", "Hallo"),
      over(),
    ],
    "think 1|~1 Hm|text 2|+2 Hal|end 1|cut 2|notice|text 3|+3 Hallo|end 3|completed",
  ],
  ["a turn whose end is not told", [said("a", "x")], "text 1|+1 x|end 1|failed"],
];

for (const [name, events, parts] of CASES) {
  test(`TurnParts: ${name}`, () => {
    const reader = new TurnParts("t", "u");
    const told = [...events.flatMap((each) => reader.take(each)), ...reader.end()];
    assert.equal(told.map(short).join("|"), parts);
    assert.deepEqual([reader.end(), reader.take(said("z", "late"))], [[], []]);
  });
}

test("TurnParts: of a turn that took too long codex tells no error", () => {
  const reader = new TurnParts("t", "u");
  reader.take(event("turnCompleted", { status: "timedOut", error: null }));
  const error = { kind: "timedOut", message: "The turn took too long." };
  assert.deepEqual(reader.end(), [{ type: "end", status: "timedOut", error }]);
});

test("TurnParts: what was interrupted for a reason has failed, what somebody gave up has not", () => {
  const reason = { kind: "budgetExceeded", message: "The run needed more." };
  for (const [error, status] of [[reason, "failed"], [null, "interrupted"]] as const) {
    const reader = new TurnParts("t", "u");
    reader.take(event("turnCompleted", { status: "interrupted", error }));
    assert.deepEqual(reader.end(), [{ type: "end", status, error }]);
  }
});

test("TurnParts: what a snapshot shows goes on from there", () => {
  const reader = new TurnParts("t", "u");
  const items = [
    { type: "userMessage", id: "m", content: [{ type: "text", text: "hi" }] },
    command("c", "ls", "completed"),
    command("d", "sleep", "inProgress"),
    { type: "agentMessage", id: "a", text: "He" },
    { type: "plan", id: "p", text: "1. " },
  ] as unknown as ThreadItem[];
  const told = [
    ...items.flatMap((item) => reader.seed(item)),
    ...reader.take(said("a", "y")),
    ...reader.take(event("planDelta", { itemId: "p", delta: "Go" })),
    ...reader.take(completed({ type: "agentMessage", id: "a", text: "Hey!" })),
    ...reader.take(completed(command("d", "sleep", "completed"))),
    ...reader.take(over()),
    ...reader.end(),
  ];
  assert.equal(
    told.map(short).join("|"),
    "said|shell 1|ok 1|shell 2|text 3|+3 He|text 4|+4 1. |+3 y|+4 Go|+3 !|end 3|ok 2|end 4|completed",
  );
});

test("TurnParts: what began a turn does not steer it, nor does a prompt that is tried again", () => {
  const reader = new TurnParts("t", "u");
  const said = (id: string) => ({ type: "userMessage", id, content: [{ type: "text", text: id }] });
  const told = [
    // Its end is told to who came between its two.
    ...reader.seed(said("one") as unknown as ThreadItem),
    ...["one", "two"].flatMap((id) => reader.take(completed(said(id)))),
    ...reader.take(over("failed")),
    ...["three", "four"].flatMap((id) => reader.take(completed(said(id)))),
  ];
  assert.deepEqual(
    told.flatMap((part) => part.type === "said" ? [[part.text, part.begins]] : []),
    [["one", true], ["two", false], ["three", true], ["four", false]],
  );
});

test("TurnParts: thoughts of a snapshot go on, and are not told again at their end", () => {
  const reader = new TurnParts("t", "u");
  const thought = (...summary: string[]) => ({ type: "reasoning", id: "r", summary, content: [] });
  const told = [
    ...reader.seed(thought("One") as unknown as ThreadItem),
    ...reader.seed(thought("Tw") as unknown as ThreadItem),
    ...reader.take(event("reasoningDelta", { itemId: "r", part: "summary", delta: "o" })),
    ...reader.take(completed(thought("Two"))),
    ...reader.take(completed(thought("Three"))),
    ...reader.end(),
  ];
  assert.equal(
    told.map(short).join("|"),
    "think 1|~1 One|end 1|think 2|~2 Tw|~2 o|end 2|think 3|~3 Three|end 3|failed",
  );
});

test("TurnParts: messages of a snapshot that share an id stay apart, and the last one goes on", () => {
  const reader = new TurnParts("t", "u");
  const items = [
    { type: "agentMessage", id: "a", text: "Hm", phase: "commentary" },
    { type: "agentMessage", id: "a", text: "One" },
    { type: "agentMessage", id: "a", text: "Tw" },
  ] as unknown as ThreadItem[];
  const told = [
    ...items.flatMap((item) => reader.seed(item)),
    ...reader.take(said("a", "o")),
    ...reader.take(completed({ type: "agentMessage", id: "a", text: "Two" })),
    ...reader.take(started({ type: "agentMessage", id: "a", text: "" })),
    ...reader.take(said("a", "Three")),
    ...reader.take(over()),
    ...reader.end(),
  ];
  assert.equal(
    told.map(short).join("|"),
    "aside 1|+1 Hm|end 1|text 2|+2 One|end 2|text 3|+3 Tw|+3 o|end 3|text 4|+4 Three|end 4|completed",
  );
});

test("TurnParts: what is asked for beyond an item is told with the question", () => {
  const ask = (more: object) => {
    const reader = new TurnParts("t", "u");
    reader.take(started(command("c", "ls")));
    reader.take(started(patch("c")));
    const parts = reader.take(asks("q", "c", more));
    const question = parts.find((part) => part.type === "question")!;
    return question.type === "question" ? question.use.input : null;
  };
  const additionalPermissions = { network: { enabled: true }, fileSystem: null, other: false };
  const network = { host: "evil.example", protocol: "https" };
  assert.deepEqual(ask({ additionalPermissions, network: null, action: "command" }), {
    command: "ls",
    cwd: "/w",
    additionalPermissions,
  });
  assert.deepEqual(ask({ network, script: null, command: null, action: "command" }), {
    command: null,
    cwd: "/w",
    network,
  });
  const changes = [{ path: "/w/a", kind: "add", diff: "x" }];
  assert.deepEqual(ask({ type: "fileChange", changes, grantRoot: "/" }), {
    changes,
    grantRoot: "/",
  });
  const call = { mcpTool: "rm", toolArguments: { path: "/" } };
  const elicitation = { server: "s", message: "?", mode: "form", requestedSchema: null, url: null };
  const asked = ask({ type: "elicitation", ...elicitation, toolApproval: true, ...call });
  assert.deepEqual(asked, { ...elicitation, ...call });
});

test("a tool that a person has declined is asked about once, and the answer names the question", () => {
  const reader = new TurnParts("t", "u");
  const events = [
    started(command("c", "ls")),
    asks("q", "c"),
    answers("q", "decline"),
    completed(command("c", "ls", "declined")),
  ];
  const parts = events.flatMap((each) => reader.take(each));
  const chunks = new UIChunks("u", {});
  assert.deepEqual(
    parts.flatMap((part) => chunks.take(part)).map(({ type }) => type)
      .filter((type) => !type.startsWith("tool-input")),
    ["tool-approval-request", "tool-approval-response", "tool-output-denied"],
  );
  const told = new AgUiEvents("t", "r");
  const answer = parts.flatMap((part) => told.take(part))
    .find((each) => each.type === "CUSTOM" && each.name === "codex.answer");
  assert.match(JSON.stringify(answer), /"approvalId":"q".*"approved":false/);
});
