/** The state projection, fed with everything the real servers were recorded to say. */
import assert from "node:assert/strict";
import { StateProjection } from "../../src/runtime/state/state.ts";
import type { RuntimeState, TurnState } from "../../src/runtime/state/state_types.ts";
import { test } from "../_harness.ts";
import {
  type Dialect,
  DIALECTS,
  type Message,
  RECORDED_CWD,
  scenarios,
  transcript,
} from "../_transcripts.ts";

/** Feeds a transcript, deltas by the quick way when `quick`. */
function replay(dialect: Dialect, scenario: string, quick: boolean): RuntimeState {
  const state = new StateProjection();
  const asked = new Map<unknown, string>();
  for (const { dir, m } of transcript(dialect, scenario)) {
    if (dir === ">") {
      if (m.method !== undefined) asked.set(m.id, m.method);
      continue;
    }
    const { threadId, turnId, itemId, delta } = m.params ?? {};
    if (quick && m.method?.startsWith("item/") && typeof delta === "string") {
      state.applyDelta({ method: m.method, threadId, turnId, itemId }, delta);
    } else if (m.method === undefined) {
      state.apply({ kind: "response", method: asked.get(m.id), message: m });
    } else {
      state.apply({
        kind: m.id === undefined ? "notification" : "serverRequest",
        method: m.method,
        message: m,
      });
    }
  }
  return state.snapshot();
}

function lastTurn(state: RuntimeState): TurnState {
  return Object.values(state.threads).at(-1)!.turns.at(-1)!;
}

for (const dialect of DIALECTS) {
  test(`state: every ${dialect} transcript ends in the state its messages tell`, () => {
    for (const scenario of scenarios(dialect)) {
      const state = replay(dialect, scenario, false);
      assert.deepEqual(replay(dialect, scenario, true), state, scenario);
      const wire = transcript(dialect, scenario).filter(({ dir }) => dir === "<");
      for (const { m } of wire) {
        if (m.method === "turn/completed") {
          const turn = turnOf(state, m);
          assert.equal(turn.status, m.params.turn.status, scenario);
          assert.deepEqual(turn.error, m.params.turn.error, scenario);
          assert.ok(turn.items.every((item) => item.state !== "open"), scenario);
        }
        if (m.method === "item/started") {
          assert.ok(turnOf(state, m).items.some((item) => item.id === m.params.item.id), scenario);
        }
      }
      for (const thread of Object.values(state.threads)) {
        assert.equal(thread.activeTurnId, null, scenario);
        assert.equal(thread.cwd, RECORDED_CWD, scenario);
        assert.equal(thread.model, "scripted-model", scenario);
        for (const turn of thread.turns) {
          for (const item of turn.items) assertFinal(item, wire.map(({ m }) => m), scenario);
        }
      }
    }
  });
}

function turnOf(state: RuntimeState, m: Message): TurnState {
  const id = m.params.turnId ?? m.params.turn.id;
  return state.threads[m.params.threadId]!.turns.find((turn) => turn.id === id)!;
}

/** A completed item holds exactly the fields of the last final item that the server sent. */
function assertFinal(
  item: TurnState["items"][number],
  messages: Message[],
  scenario: string,
): void {
  assert.equal(item.truncated, false, scenario);
  const final = messages.findLast((m) =>
    (m.method === "item/completed") && m.params.item.id === item.id
  );
  if (final === undefined) return;
  assert.equal(item.state, "completed", scenario);
  for (const [field, value] of Object.entries(final.params.item)) {
    if (value !== null) assert.deepEqual(item[field], value, `${scenario}: ${field}`);
  }
}

test("state: an answer is read as it was written", () => {
  for (const dialect of DIALECTS) {
    const turn = lastTurn(replay(dialect, "basic", true));
    const message = turn.items.find((item) => item.type === "agentMessage")!;
    assert.equal(turn.status, "completed");
    assert.ok(message.text!.length > 0);
    assert.ok(turn.usage!.total.totalTokens > 0);
  }
});

test("state: a command, its output and its verdict", () => {
  for (const dialect of DIALECTS) {
    const accepted = lastTurn(replay(dialect, "command-accept", true)).items
      .find((item) => item.type === "commandExecution")!;
    assert.equal(accepted.status, "completed");
    assert.equal(accepted.aggregatedOutput, "2\n");
    const declined = lastTurn(replay(dialect, "command-decline", true)).items
      .find((item) => item.type === "commandExecution")!;
    assert.equal(declined.status, "declined");
  }
});

test("state: an interrupted turn is interrupted, a failed one tells why", () => {
  for (const dialect of DIALECTS) {
    assert.equal(lastTurn(replay(dialect, "interrupt", true)).status, "interrupted");
    const failed = lastTurn(replay(dialect, "fail-401", true));
    assert.equal(failed.status, "failed");
    assert.match(failed.error!.message, /401/);
  }
});

test("state: a patch leaves its diff", () => {
  for (const dialect of DIALECTS) {
    const turn = lastTurn(replay(dialect, "patch-accept", true));
    assert.match(turn.diff!, /^diff --git/);
  }
});
