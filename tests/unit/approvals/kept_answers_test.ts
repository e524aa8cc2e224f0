/** What is accepted for the session: by whom it is remembered, and what still sees later requests. */
import assert from "node:assert/strict";
import type { JsonObject, JsonValue } from "../../../src/json.ts";
import type { ApprovalDecision } from "../../../src/approvals/mod.ts";
import type { ThreadGate } from "../../../src/approvals/broker/gate.ts";
import { isForSession, KeptAnswers } from "../../../src/approvals/broker/kept_answers.ts";
import { test } from "../../_harness.ts";
import {
  type Bench,
  bench,
  COMMAND,
  ELICITATION,
  MCP_APPROVAL,
  PATCH,
  patchOf,
  requestOf,
  settle,
  THREAD,
  TURN,
} from "./_requests.ts";

const FOR_SESSION: ApprovalDecision = { decision: "acceptForSession" };
const LEGACY = "applyPatchApproval";

/** A broker that knows a patch as the server told of it, and counts who is asked. */
function patches(gate: ThreadGate, realPath?: (path: string) => string | null) {
  const asked: string[] = [];
  const b = bench({
    approvals: (request) => {
      asked.push(request.type);
      return FOR_SESSION;
    },
    ...(realPath === undefined ? {} : { realPath }),
  });
  b.register(THREAD, gate);
  let count = 0;
  const patch = async (...paths: string[]): Promise<JsonValue> => {
    const id = `patch_${++count}`;
    const changes = paths.map((path) => ({ path, kind: { type: "add" }, diff: "x\n" }));
    b.broker.noticed(THREAD, "item/started", { item: { type: "fileChange", id, changes } });
    const replies = b.send(PATCH, { itemId: id });
    await b.audited(count);
    return (replies[0] as { result: JsonObject }).result["decision"]!;
  };
  return { b, asked, patch };
}

test("an acceptance for the session that was not given while it was held is not remembered", async () => {
  for (const by of ["turnEnded", "otherClient", "twin"]) {
    const heard = Promise.withResolvers<void>();
    let asked = 0;
    const kept: string[] = [];
    const b = bench({
      approvals: () => (asked++ === 0 ? FOR_SESSION : { decision: "decline" }),
      heardAll: () => heard.promise,
    });
    b.register(THREAD, { onKept: ({ type }) => void kept.push(type) });
    const change = (id: string) => {
      const changes = [{ path: "/w/a", kind: { type: "add" }, diff: "x\n" }];
      b.broker.noticed(THREAD, "item/started", { item: { type: "fileChange", id, changes } });
      b.send(PATCH, { itemId: id }, id);
    };
    change("p1");
    await settle();
    if (by === "turnEnded") b.broker.turnEnded(THREAD, TURN);
    else if (by === "otherClient") b.broker.resolvedElsewhere("p1", THREAD);
    else b.send(COMMAND, { itemId: "p1", command: "rm x" });
    heard.resolve();
    await settle();
    assert.equal(b.audits[0]!.decision, by === "otherClient" ? "none" : "decline");
    change("p2");
    await settle();
    assert.deepEqual([asked, kept], [2, []], by);
    assert.equal(b.audits.at(-1)!.decision, "decline");
  }
});

test("a change that is accepted for the session is told to codex once, and remembered here", async () => {
  const { b, asked, patch } = patches({});
  assert.equal(await patch("/w/a"), "accept");
  assert.equal(await patch("/w/a"), "accept");
  assert.equal(await patch("/w/a", "/w/b"), "accept");
  assert.equal(asked.length, 2);
  assert.deepEqual(
    b.audits.map(({ decision, decidedBy, reason }) => [decision, decidedBy, reason]),
    [
      ["acceptForSession", "handler", null],
      ["accept", "handler", "accepted for the session"],
      ["acceptForSession", "handler", null],
    ],
  );
  // Both are kept now.
  assert.equal(await patch("/w/b"), "accept");
  assert.equal(asked.length, 2);
});

test("what was accepted for the session is asked about again when it leads elsewhere", async () => {
  let place: string | null = "/w/d/f";
  const { asked, patch } = patches({}, () => place);
  await patch("/w/d/f");
  await patch("/w/d/f");
  assert.equal(asked.length, 1);
  place = "/elsewhere/f";
  await patch("/w/d/f");
  assert.equal(asked.length, 2);
  place = null;
  await patch("/w/d/f");
  assert.equal(asked.length, 3);
});

test("hooks and deny rules still see what was accepted for the session", async () => {
  const seen: string[] = [];
  let block = false;
  const { asked, patch } = patches({
    preToolUse: (request) => {
      seen.push(request.type);
      const verdict = { type: "block", hookName: "guard", reason: "no" } as const;
      return Promise.resolve(block ? verdict : { type: "continue" });
    },
  });
  await patch("/w/a");
  await patch("/w/a");
  block = true;
  assert.equal(await patch("/w/a"), "decline");
  assert.deepEqual([seen.length, asked.length], [3, 1]);
});

test("kept answers are those of one session and thread, and of files that are all known", () => {
  const kept = new KeptAnswers();
  const follow = (path: string) => path;
  const [session, next] = [{}, {}];
  kept.keep(patchOf("/w/a"), follow, session);
  assert.equal(kept.covers(patchOf("/w/a"), follow, session), true);
  assert.equal(kept.covers(patchOf("/w/a"), follow, next), false);
  assert.equal(kept.covers(patchOf("/w/a"), follow), false);
  kept.keep(patchOf("/w/a"), follow);
  assert.equal(kept.covers(patchOf("/w/a"), follow), true);
  assert.equal(kept.covers(patchOf("/w/a", "/w/b"), follow), false);
  assert.equal(kept.covers(patchOf("/w/a"), undefined), false);
  assert.equal(kept.covers(requestOf(PATCH), follow), false);
  assert.equal(
    kept.covers(requestOf(PATCH, {}, { type: "fileChange", changes: [] }), follow),
    false,
  );
  assert.equal(kept.covers({ ...patchOf("/w/a"), threadId: "another" }, follow), false);
  assert.equal(kept.covers({ ...patchOf("/w/a"), threadId: null }, follow), false);
  const root = requestOf(PATCH, { grantRoot: "/w" }, {
    type: "fileChange",
    changes: [{ path: "/w/a", kind: { type: "add" }, diff: "" }],
  });
  assert.equal(kept.covers(root, follow), false);
  const move = requestOf(PATCH, {}, {
    type: "fileChange",
    changes: [{ path: "/w/a", kind: { type: "update", move_path: "/w/c" }, diff: "" }],
  });
  assert.equal(kept.covers(move, follow), false);
  kept.keep(move, follow);
  for (const request of [move, patchOf("/w/c"), patchOf("/w/a", "/w/c")]) {
    assert.equal(kept.covers(request, follow), true);
  }
  for (const odd of [null, "acceptForSession", []]) {
    assert.equal(isForSession(requestOf(COMMAND), odd), false);
  }
  for (let n = 0; n < 1001; n++) kept.keep(patchOf(`/w/${n}`), follow);
  assert.equal(kept.covers(patchOf("/w/a"), follow), false);
  assert.equal(kept.covers(patchOf("/w/1000"), follow), true);
  for (let n = 0; n < 1001; n++) kept.keep({ ...patchOf("/w/a"), threadId: `T${n}` }, follow);
  assert.equal(kept.covers(patchOf("/w/1000"), follow), false);
});

/** What goes to the server for a decision, with these hooks and rules. */
async function told(
  method: string,
  change: JsonObject,
  decision: ApprovalDecision,
  gate: ThreadGate,
  options: Parameters<typeof bench>[0] = {},
): Promise<JsonValue> {
  const b: Bench = bench({ approvals: () => decision, ...options });
  b.register(THREAD, gate);
  const replies = b.send(method, change);
  await b.audited();
  return (replies[0] as { result: JsonValue }).result;
}

test("codex remembers only what hooks need not see", async () => {
  const watched: ThreadGate = { preToolUse: () => Promise.resolve({ type: "continue" }) };
  const unwatched: ThreadGate = { ...watched, watches: () => false };
  const session = (persist: JsonValue) => ({ action: "accept", content: {}, _meta: persist });
  const rows: [string, JsonObject, ThreadGate, JsonValue][] = [
    [COMMAND, {}, {}, { decision: "acceptForSession" }],
    [COMMAND, {}, unwatched, { decision: "acceptForSession" }],
    [COMMAND, {}, watched, { decision: "accept" }],
    ["execCommandApproval", {}, {}, { decision: "approved_for_session" }],
    ["execCommandApproval", {}, watched, { decision: "approved" }],
    [LEGACY, {}, {}, { decision: "approved" }],
    [ELICITATION, MCP_APPROVAL, {}, session({ persist: "session" })],
    [ELICITATION, MCP_APPROVAL, watched, session(null)],
  ];
  for (const [method, change, gate, expected] of rows) {
    assert.deepEqual(await told(method, change, FOR_SESSION, gate), expected, method);
  }
});

test("a session is told of each answer that codex goes on with", async () => {
  const asks = { permissions: { network: { enabled: true } } };
  const kept = async (
    method: string,
    change: JsonObject,
    decision: ApprovalDecision,
    more = {},
  ) => {
    const heard: string[] = [];
    const onKept: ThreadGate["onKept"] = ({ type }, grant) => {
      // Without the grant nobody could tell that this script may no longer give it.
      heard.push(grant?.type ?? (type === "elicitation" ? type : "nothing"));
    };
    await told(method, change, decision, { ...more, onKept });
    return heard.join();
  };
  const PERMISSIONS = "item/permissions/requestApproval";
  const once: ApprovalDecision = { decision: "accept" };
  const amendment: ApprovalDecision = { decision: "accept", execPolicyAmendment: ["git"] };
  const watched = { preToolUse: () => Promise.resolve({ type: "continue" } as const) };
  assert.equal(await kept(COMMAND, {}, FOR_SESSION), "command");
  assert.equal(await kept("execCommandApproval", {}, FOR_SESSION), "command");
  assert.equal(await kept(COMMAND, {}, amendment), "command");
  assert.equal(await kept(PERMISSIONS, asks, FOR_SESSION), "permissions");
  assert.equal(await kept(PERMISSIONS, asks, FOR_SESSION, watched), "permissions");
  assert.equal(await kept(ELICITATION, MCP_APPROVAL, FOR_SESSION), "elicitation");
  assert.equal(await kept(COMMAND, {}, FOR_SESSION, watched), "");
  assert.equal(await kept(COMMAND, {}, once), "");
  assert.equal(await kept(PERMISSIONS, asks, once), "");
  assert.equal(await kept(PERMISSIONS, asks, { permissions: {}, scope: "session" }), "");
  assert.equal(await kept(PATCH, {}, FOR_SESSION), "");
});

test("a file that was accepted for the session is asked about again under another sandbox", async () => {
  let reach = "workspaceWrite";
  const { asked, patch } = patches({ reach: () => reach });
  await patch("/w/a");
  await patch("/w/a");
  assert.equal(asked.length, 1);
  reach = "readOnly";
  await patch("/w/a");
  assert.equal(asked.length, 2);
});

test("an amendment, by which codex would never ask again, is declined where hooks want to see each use", async () => {
  const amendment: ApprovalDecision = { decision: "accept", execPolicyAmendment: ["git"] };
  const watched: ThreadGate = { preToolUse: () => Promise.resolve({ type: "continue" }) };
  for (const method of [COMMAND, "execCommandApproval"]) {
    assert.equal(
      typeof (await told(method, {}, amendment, {}) as JsonObject)["decision"],
      "object",
    );
    const answer = JSON.stringify(await told(method, {}, amendment, watched));
    assert.match(answer, /decline|denied/);
  }
  // Codex writes rules about hosts to the same file.
  const asked = { command: null, networkApprovalContext: { host: "a.example", protocol: "http" } };
  const rule = (decision: "accept" | "decline", action: "allow" | "deny"): ApprovalDecision => ({
    decision,
    networkPolicyAmendment: { host: "a.example", action },
  });
  const kept = (answer: JsonValue) => JSON.stringify(answer).includes("network_policy_amendment");
  assert.equal(kept(await told(COMMAND, asked, rule("accept", "allow"), {})), true);
  assert.deepEqual(await told(COMMAND, asked, rule("accept", "allow"), watched), {
    decision: "decline",
  });
  assert.equal(kept(await told(COMMAND, asked, rule("decline", "deny"), watched)), true);
});

test("no permission to write is granted where hooks want to see each change", async () => {
  const watched: ThreadGate = { preToolUse: () => Promise.resolve({ type: "continue" }) };
  const permissions = "item/permissions/requestApproval";
  const network = { enabled: true };
  const path = { type: "path", path: "/a" };
  const rows: [asked: JsonObject, watched: boolean][] = [
    [{ network, fileSystem: { read: null, write: ["/a"] } }, false],
    [{ network: null, fileSystem: { entries: [{ path, access: "write" }] } }, false],
    [{ network, fileSystem: null }, true],
    [{ network: null, fileSystem: { read: ["/a"], write: null } }, true],
    [{ network: null, fileSystem: { entries: [{ path, access: "read" }] } }, true],
  ];
  for (const [asked, passes] of rows) {
    for (const decision of ["accept", "acceptForSession"] as const) {
      const granted = async (gate: ThreadGate) => {
        const result = await told(permissions, { permissions: asked }, { decision }, gate);
        return Object.keys((result as JsonObject)["permissions"] as JsonObject).length > 0;
      };
      assert.equal(await granted({}), true);
      assert.equal(await granted({ ...watched, watches: () => false }), true);
      assert.equal(await granted(watched), passes, JSON.stringify(asked));
    }
  }
});

test("a rule for the session judges each command and change anew", async () => {
  const rules = { rules: [{ effect: "allow", scope: "session", outsideSandbox: true }] } as const;
  const by = { approvals: rules as never };
  assert.deepEqual(await told(COMMAND, {}, FOR_SESSION, {}, by), { decision: "accept" });
  assert.deepEqual(await told(LEGACY, {}, FOR_SESSION, {}, by), { decision: "approved" });
  const mcp = await told(ELICITATION, MCP_APPROVAL, FOR_SESSION, {}, by) as JsonObject;
  assert.deepEqual(mcp["_meta"], { persist: "session" });
});
