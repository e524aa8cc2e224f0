/** Which of the turns that begin after a session asked for a compaction is the compaction. */
import assert from "node:assert/strict";
import { TurnInterruptedError } from "../../../src/errors/mod.ts";
import { ForeignTurns } from "../../../src/session/thread/foreign_turns.ts";
import { compact } from "../../../src/session/thread/server_turns.ts";
import type { ThreadHost } from "../../../src/session/thread/thread_host.ts";
import { Turn } from "../../../src/session/turn/turn.ts";
import { test } from "../../_harness.ts";
import { turnHost } from "./_turn_host.ts";

/** A thread whose turns are played by the test. */
class Stage {
  readonly foreign = new ForeignTurns({
    limits: {},
    timeoutMs: 60_000,
    rateLimits: undefined,
    count: () => {},
    recheck: () => Promise.resolve(),
    stopAll: () => Promise.resolve(),
  });
  readonly #sent = Promise.withResolvers<void>();
  /** Settles when the compaction was asked for. */
  readonly sent = this.#sent.promise;
  readonly #host: ThreadHost;

  constructor() {
    const { foreign } = this;
    const call = () => {
      this.#sent.resolve();
      return Promise.resolve({});
    };
    this.#host = {
      core: { call, server: { version: "0.169.0" } },
      threadId: "T",
      foreign,
      turns: { context: null, rest: { expect: () => {} } },
      profile: { timeoutMs: 60_000 },
      settle: () => Promise.resolve(),
      checkpoint: () => Promise.resolve(),
      stored: () => Promise.resolve(),
      take: () => Promise.resolve(() => {}),
    } as unknown as ThreadHost;
  }

  compact(): Promise<unknown> {
    return compact(this.#host, {}).then(() => "compacted", (error) => error);
  }

  /** A turn with one item of this type, if any, that ends so, or not at all. */
  turn(id: string, type: string | null, status: string | null): Turn {
    const turn = new Turn(turnHost(), id, null);
    turn.notification("turn/started", { turn: { id } });
    this.foreign.adopt(turn);
    if (type !== null) turn.notification("item/started", { item: { type, id: `${id}-item` } });
    if (status !== null) turn.notification("turn/completed", { turn: { id, status } });
    return turn;
  }
}

const TABLE: [what: string, turns: [type: string | null, status: string | null][], end: unknown][] =
  [
    ["one", [["contextCompaction", "completed"]], "compacted"],
    ["one that is stopped", [["contextCompaction", "interrupted"]], TurnInterruptedError],
    [
      "one that is stopped before it tells of itself",
      [[null, "interrupted"]],
      TurnInterruptedError,
    ],
    ["one after another's", [["userMessage", "interrupted"], [
      "contextCompaction",
      "completed",
    ]], "compacted"],
    // Codex 0.104 says of a prompt that it takes into a compaction that its turn has begun, and nothing of an end.
    ["one beside another's that does not end", [[null, null], [
      "contextCompaction",
      "completed",
    ]], "compacted"],
    ["one after two of others", [["userMessage", "completed"], ["commandExecution", "completed"], [
      "contextCompaction",
      "interrupted",
    ]], TurnInterruptedError],
  ];

for (const [what, turns, end] of TABLE) {
  test(`compact() tells the end of the compaction: ${what}`, async () => {
    const it = new Stage();
    const others: string[] = [];
    // Who waits for any turn gets none that was asked for.
    const unclaim = it.foreign.claim((turn) => {
      others.push(turn.turnId);
      return null;
    });
    const told = it.compact();
    await it.sent;
    const all = turns.map(([type, status], n) => it.turn(String(n), type, status));
    it.turn("later", "userMessage", "completed");
    const result = await told;
    for (const turn of all) turn.release();
    if (typeof end === "string") assert.equal(result, end);
    else assert.ok(result instanceof (end as typeof TurnInterruptedError), `${result}`);
    if (what !== "one that is stopped before it tells of itself") {
      assert.deepEqual(others, ["later"]);
    }
    unclaim();
  });
}
