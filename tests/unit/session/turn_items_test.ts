import assert from "node:assert/strict";
import type { JsonObject } from "../../../src/json.ts";
import { fileChanges, TurnItems } from "../../../src/session/turn/turn_items.ts";
import {
  addTokens,
  nextUsage,
  NO_TOKENS,
  readCount,
} from "../../../src/session/turn/turn_usage.ts";
import type { CommandItem } from "../../../src/thread_item.ts";
import type { TokenUsage } from "../../../src/session/turn/turn_result.ts";
import { UsageLedger } from "../../../src/session/turn/turn_usage.ts";
import { test } from "../../_harness.ts";

function message(id: string, text: string, phase?: string | null): JsonObject {
  return { type: "agentMessage", id, text, ...(phase === undefined ? {} : { phase }) };
}

test("the answer is the final message, else the last that is no commentary, else the last", () => {
  const table: [JsonObject[], string][] = [
    [[], ""],
    [[message("a", "one")], "one"],
    [[message("a", "one"), message("b", "two")], "two"],
    [[message("a", "plan", "commentary"), message("b", "end", "final_answer")], "end"],
    [[message("b", "end", "final_answer"), message("a", "after", "commentary")], "end"],
    [[message("b", "end", null), message("a", "after", "commentary")], "end"],
    [[message("a", "only", "commentary")], "only"],
    [[message("a", "x", "final_answer"), message("b", "y", "final_answer")], "y"],
    [[{ type: "reasoning", id: "r", summary: ["s"] }, message("a", "one")], "one"],
  ];
  for (const [items, expected] of table) {
    const it = new TurnItems();
    for (const item of items) it.complete(item);
    assert.equal(it.answer(), expected, JSON.stringify(items));
  }
});

test("a completed message wins over one that was cut, since a retry says everything again", () => {
  const it = new TurnItems();
  it.complete(message("a", "whole"));
  it.begin(message("b", ""));
  it.grow("b", "agentMessage", "cut o");
  assert.equal(it.answer(), "whole");
  assert.equal(it.partialAnswer(), "cut o");
  const cut = new TurnItems();
  cut.grow("b", "agentMessage", "cut o");
  assert.equal(cut.answer(), "cut o");
});

test("text grows by deltas, with or without a beginning, and is replaced by the completed item", () => {
  const it = new TurnItems();
  for (let i = 0; i < 1000; i++) it.grow("a", "agentMessage", `${i},`);
  const expected = Array.from({ length: 1000 }, (_, i) => `${i},`).join("");
  assert.equal((it.get("a") as unknown as JsonObject)["text"], expected);
  assert.equal(it.begin(message("a", "")), null);
  assert.equal(it.partialAnswer(), expected);
  assert.ok(it.complete(message("a", "truth")));
  assert.equal(it.complete(message("a", "truth")), null);
  it.grow("a", "agentMessage", "late");
  assert.equal(it.answer(), "truth");
});

test("unfinished commands and reasoning show what they have", () => {
  const it = new TurnItems();
  it.begin({ type: "commandExecution", id: "c", command: "x", aggregatedOutput: null });
  it.grow("c", "commandExecution", "out");
  it.begin({ type: "reasoning", id: "r", summary: [], content: [] });
  it.grow("r", "reasoning", "think");
  const [command, reasoning] = it.all() as unknown as JsonObject[];
  assert.equal(command!["aggregatedOutput"], "out");
  assert.deepEqual(reasoning!["summary"], ["think"]);
  assert.ok(it.open("commandExecution"));
  it.complete({ type: "commandExecution", id: "c" });
  assert.equal(it.open("commandExecution"), false);
});

test("a command is told with the script inside its wrapper", () => {
  const it = new TurnItems();
  it.begin({ type: "commandExecution", id: "a", command: "/bin/bash -lc 'ls -l | wc'" });
  it.begin({ type: "commandExecution", id: "b", command: "ls -l" });
  it.complete({ type: "commandExecution", id: "c", command: ["odd"] });
  it.complete({ type: "commandExecution", id: "a", command: "/bin/bash -lc 'ls -l'" });
  it.begin({ type: "commandExecution", id: "d", command: "" });
  const scripts = it.all().map((item) => [item.id, (item as CommandItem).script]);
  assert.deepEqual(scripts, [["a", "ls -l"], ["b", null], ["c", null], ["d", null]]);
});

test("items keep the order in which they appeared", () => {
  const it = new TurnItems();
  it.begin(message("a", ""));
  it.begin(message("b", ""));
  it.complete(message("b", "two"));
  it.complete(message("a", "one"));
  assert.deepEqual(it.all().map(({ id }) => id), ["a", "b"]);
});

test("fileChanges() reads the changes of both versions, odd ones included", () => {
  assert.deepEqual(
    fileChanges({
      changes: [
        { path: "/w/a", kind: { type: "add" }, diff: "x" },
        {
          path: "/w/b",
          kind: { type: "update", move_path: "/w/c" },
          diff: "@@ -1 +1 @@\n-x\n+y\n",
        },
        { path: "/w/b", kind: { type: "update", move_path: null }, diff: "" },
        { path: "/w/d", kind: "delete" },
      ],
    }),
    [
      {
        path: "/w/a",
        kind: "add",
        diff: "x",
        unified: "--- /dev/null\n+++ b/w/a\n@@ -0,0 +1 @@\n+x\n\\ No newline at end of file\n",
      },
      {
        path: "/w/b",
        kind: "update",
        diff: "@@ -1 +1 @@\n-x\n+y\n",
        movePath: "/w/c",
        unified: "--- a/w/b\n+++ b/w/c\n@@ -1 +1 @@\n-x\n+y\n",
      },
      { path: "/w/b", kind: "update", diff: "", unified: "--- a/w/b\n+++ b/w/b\n" },
      { path: "/w/d", kind: "delete", diff: "", unified: "--- a/w/d\n+++ /dev/null\n" },
    ],
  );
  assert.deepEqual(fileChanges({}), []);
});

function tokens(input: number, output: number, cached = 1): JsonObject {
  return {
    inputTokens: input,
    cachedInputTokens: cached,
    outputTokens: output,
    reasoningOutputTokens: 0,
    totalTokens: input + output,
  };
}

test("the calls of a turn add up, a repeated report counts once, cached tokens are part of input", () => {
  let usage: TokenUsage | null = null;
  const threadBefore = readCount(tokens(100, 10));
  const reports: [JsonObject, JsonObject][] = [
    [tokens(110, 13, 2), tokens(10, 3)],
    [tokens(110, 13, 2), tokens(10, 3)],
    [tokens(130, 20, 3), tokens(20, 7)],
    [tokens(130, 20, 3), tokens(20, 7)],
  ];
  for (const [total, last] of reports) {
    usage = nextUsage(usage, threadBefore, { total, last, modelContextWindow: 1000 });
  }
  assert.equal(usage!.inputTokens, 30);
  assert.equal(usage!.outputTokens, 10);
  assert.equal(usage!.cachedInputTokens, 2);
  assert.equal(usage!.totalTokens, 40);
  assert.equal(usage!.thread.totalTokens, 150);
  assert.equal(usage!.contextWindow, 1000);
});

test("a report that only repeats the thread's total counts nothing", () => {
  const total = tokens(100, 10);
  const usage = nextUsage(null, readCount(total), { total, last: tokens(5, 5) });
  assert.equal(usage!.totalTokens, 0);
  assert.equal(usage!.thread.totalTokens, 110);
});

test("who joins in the middle of a turn counts all that the total has grown by", () => {
  const usage = nextUsage(null, readCount(tokens(100, 10, 1)), {
    total: tokens(130, 16, 3),
    last: tokens(10, 3),
  });
  assert.equal(usage!.totalTokens, 36);
  assert.equal(usage!.cachedInputTokens, 2);
});

test("a total that is lower than before says nothing of the turn; its last call does", () => {
  const report = { total: tokens(13, 3), last: tokens(10, 3) };
  assert.equal(nextUsage(null, readCount(tokens(100, 10)), report)!.totalTokens, 13);
  assert.equal(nextUsage(null, null, report)!.totalTokens, 13);
});

test("an estimate of what a compaction has left is no call of the next turn", () => {
  // 0.169, when the thread was taken up again and the turn's first call was interrupted.
  const usage = nextUsage(null, null, { total: tokens(10, 3), last: tokens(5_650, 0) });
  assert.deepEqual([usage!.totalTokens, usage!.thread.totalTokens], [0, 13]);
  const next = nextUsage(usage, null, { total: tokens(20, 6), last: tokens(10, 3) });
  assert.equal(next!.totalTokens, 13);
});

test("reports of odd shapes are read as far as they go", () => {
  assert.equal(nextUsage(null, null, undefined), null);
  assert.equal(nextUsage(null, null, 7), null);
  assert.deepEqual(readCount({ inputTokens: "7" }), { ...NO_TOKENS });
  const usage = nextUsage(null, null, { last: { inputTokens: 5 }, total: { inputTokens: 5 } });
  assert.equal(usage!.inputTokens, 5);
  assert.equal(usage!.contextWindow, null);
});

test("ledgers add up turns, and count in their parent", () => {
  const client = new UsageLedger();
  const [a, b] = [new UsageLedger(client), new UsageLedger(client)];
  a.add(readCount(tokens(10, 3)));
  a.add(readCount(tokens(10, 3)));
  b.add(readCount(tokens(1, 1)));
  assert.equal(a.total.totalTokens, 26);
  assert.equal(b.total.totalTokens, 2);
  assert.equal(client.total.totalTokens, 28);
  const { subAgents, ...own } = a.total;
  assert.deepEqual(addTokens(NO_TOKENS, own), own);
  assert.deepEqual(subAgents, NO_TOKENS);
  b.add(readCount(tokens(5, 5)), true);
  assert.deepEqual([client.total.totalTokens, client.total.subAgents.totalTokens], [38, 10]);
});

test("items that share an id at once are each completed once", () => {
  const command = (command: string) => ({ type: "commandExecution", id: "c", command });
  const patch = (path: string) => ({ type: "fileChange", id: "c", changes: [{ path }] });
  const it = new TurnItems();
  assert.ok(it.begin(command("ls")));
  assert.ok(it.begin(patch("/a")));
  assert.equal(it.begin(patch("/a")), null);
  assert.ok(it.complete(command("ls")));
  assert.ok(it.complete(patch("/a")));
  // told of only when it has ended
  assert.ok(it.complete(command("rm x")));
  // told twice
  assert.equal(it.complete(command("ls")), null);
  assert.equal(it.complete(patch("/a")), null);
  assert.deepEqual(it.all().map(({ type }) => type), [
    "commandExecution",
    "fileChange",
    "commandExecution",
  ]);
  assert.equal(it.open("commandExecution") || it.open("fileChange"), false);
});
