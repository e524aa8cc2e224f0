/**
 * Everything in the pinned schema has a place in a table of ours. After a new codex: regenerate, then work through what is
 * red here; a name that needs no work goes into the list that says so.
 */
import assert from "node:assert/strict";
import { DELTAS } from "../../../src/protocol/dialect.ts";
import { methodsOfKind } from "../../../src/protocol/inventory.ts";
import { failClosedAnswer } from "../../../src/approvals/answers/answers.ts";
import { checkServerRequestResult } from "../../../src/approvals/answers/answers.ts";
import { parseRequest } from "../../../src/approvals/request/parse_request.ts";
import { test } from "../../_harness.ts";
import { readSource } from "../../_module_graph.ts";

const source = [...readSource().values()].filter((file) => !file.path.includes("/generated/"));
const WORD = /[A-Za-z_][\w]*(?:\/\w+)*/g;

function namesIn(...paths: string[]): Set<string> {
  const files = source.filter((file) => paths.some((path) => file.path.startsWith(path)));
  assert.ok(files.length >= paths.length, paths.join());
  return new Set(files.flatMap((file) => file.code.match(WORD) ?? []));
}

const sorted = (names: Iterable<string>) => [...names].sort();
const missing = (kind: Parameters<typeof methodsOfKind>[0], known: Set<string>) =>
  sorted(methodsOfKind(kind).map(({ method }) => method).filter((method) => !known.has(method)));

test("every request is in the table of what it may do to this machine", () => {
  assert.deepEqual(missing("clientRequest", namesIn("src/permissions/guard/method_table.ts")), []);
});

test("every request of the server is read, and has an answer that grants nothing", () => {
  assert.deepEqual(missing("serverRequest", namesIn("src/approvals/request/parse_request.ts")), []);
  for (const { method } of methodsOfKind("serverRequest")) {
    const request = parseRequest(method, {});
    assert.notEqual(request.type, "unknown", method);
    const answer = failClosedAnswer(request);
    if (answer.type === "result") {
      assert.equal(checkServerRequestResult(method, answer.result), null);
    }
  }
});

/** Looked at: nothing of ours depends on them. They reach readers of raw events, and streams as `unknown`. */
const PASSED_ON = new Set(
  `
  account/gatewayOAuth/changed
  account/login/completed
  account/updated
  app/list/updated
  autoApprovalReview/strictReviewRequired
  command/exec/outputDelta
  configWarning
  deprecationNotice
  externalAgentConfig/import/completed
  externalAgentConfig/import/progress
  fs/changed
  fuzzyFileSearch/sessionCompleted
  fuzzyFileSearch/sessionUpdated
  hook/completed
  hook/started
  item/autoApprovalReview/completed
  item/autoApprovalReview/started
  item/commandExecution/terminalInteraction
  item/mcpToolCall/progress
  mcpServer/event/stream/notification
  mcpServer/oauthLogin/completed
  mcpServer/startupStatus/updated
  model/rerouted
  model/safetyBuffering/updated
  model/verification
  modelProvider/authRecoveryCompleted
  modelProvider/authRecoveryStarted
  process/exited
  process/outputDelta
  project/changed
  remoteControl/status/changed
  skills/changed
  thread/attachment/updated
  thread/compacted
  thread/environment/connected
  thread/environment/disconnected
  thread/goal/cleared
  thread/goal/updated
  thread/prediction/updated
  thread/project/updated
  thread/queue/changed
  thread/readState/changed
  thread/realtime/closed
  thread/realtime/error
  thread/realtime/item/completed
  thread/realtime/item/started
  thread/realtime/item/transcript/delta
  thread/realtime/itemAdded
  thread/realtime/outputAudio/delta
  thread/realtime/sdp
  thread/realtime/started
  thread/realtime/transcript/delta
  thread/realtime/transcript/done
  thread/reverted
  thread/section/changed
  turn/moderationMetadata
  windows/worldWritableWarning
  windowsSandbox/setupCompleted
`.trim().split(/\s+/),
);

test("every notification is read, or known to need nothing", () => {
  const read = namesIn("src/session/", "src/runtime/", "src/approvals/", "src/protocol/dialect.ts");
  const unread = new Set(missing("serverNotification", read));
  assert.deepEqual(sorted(unread.difference(PASSED_ON)), [], "new: read it, or list it");
  const all = new Set(methodsOfKind("serverNotification").map(({ method }) => method));
  assert.deepEqual(sorted(PASSED_ON.difference(all)), [], "listed, but no longer in the schema");
});

/** Pieces of what is no item: streams of processes, and of speech. */
const OTHER_DELTAS = new Set([
  "command/exec/outputDelta",
  "process/outputDelta",
  "thread/realtime/item/transcript/delta",
  "thread/realtime/outputAudio/delta",
  "thread/realtime/transcript/delta",
]);

test("every delta of an item has its place in the item", () => {
  const deltas = methodsOfKind("serverNotification").map(({ method }) => method)
    .filter((method) => /delta$/i.test(method));
  assert.deepEqual(
    sorted(deltas.filter((method) => !OTHER_DELTAS.has(method))),
    sorted(Object.keys(DELTAS)),
  );
});
