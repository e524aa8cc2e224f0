import assert from "node:assert/strict";
import { stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { InvalidArgumentError, UnsupportedError } from "../../../src/errors/mod.ts";
import {
  assertCounted,
  type ForkPoint,
  planFork,
  turnsBehind,
} from "../../../src/session/thread/fork_point.ts";
import type { RuntimeCore } from "../../../src/runtime/core.ts";
import { turnsFrom } from "../../../src/session/history/rewind/rewind.ts";
import { test } from "../../_harness.ts";
import { tempDir } from "../../_temp.ts";

test("turnsBehind() counts the turns that a copy must not have", () => {
  const turns = ["a", "b", "c"].map((id) => ({ id }));
  const table: [string | undefined, string | undefined, number][] = [
    ["a", undefined, 2],
    ["c", undefined, 0],
    [undefined, "a", 3],
    [undefined, "c", 1],
  ];
  for (const [after, before, expected] of table) {
    assert.equal(turnsBehind(turns, { after, before }), expected, `${after} ${before}`);
  }
  for (
    const [argument, at] of [
      ["after", { after: "x", before: undefined }],
      ["before", { after: undefined, before: "" }],
    ] as const
  ) {
    assert.throws(
      () => turnsBehind(turns, at),
      (error) => error instanceof InvalidArgumentError && error.argument === argument,
    );
  }
});

test("planFork() lets a codex that can fork at a turn do it, and reads the turns of others", async () => {
  const calls: string[] = [];
  const core = (version: string) =>
    ({
      server: { version },
      call: (method: string) => {
        calls.push(method);
        const items = [{ type: "userMessage" }];
        return Promise.resolve({ thread: { turns: [{ id: "a", items }, { id: "b", items }] } });
      },
    }) as unknown as RuntimeCore;
  const plan = (version: string, at: ForkPoint) => planFork(core(version), "t", at, undefined);
  assert.deepEqual(await plan("0.169.0", {}), { params: {}, drop: 0 });
  assert.deepEqual(await plan("0.169.0", { after: "a" }), { params: { lastTurnId: "a" }, drop: 0 });
  assert.deepEqual(await plan("0.169.0", { before: "b" }), {
    params: { beforeTurnId: "b" },
    drop: 0,
  });
  assert.deepEqual(calls, []);
  assert.deepEqual(await plan("0.104.0", { after: "a" }), { params: {}, drop: 1 });
  assert.deepEqual(calls, ["thread/read"]);
  await assert.rejects(plan("0.169.0", { after: "a", before: "b" }), InvalidArgumentError);
});

test("no turns are taken off by their number that codex counts otherwise", async () => {
  const [user, agent] = ["userMessage", "agentMessage"];
  const odd = {
    review: [user, "enteredReviewMode", "exitedReviewMode"],
    compaction: ["contextCompaction"],
    compacted: [user, "contextCompaction", agent],
    steered: [user, agent, user, agent],
    goal: [agent],
  };
  for (const [name, types] of Object.entries(odd)) {
    const turns = [[user, agent], types, [user, agent]].map((types, n) => ({
      id: `t${n}`,
      items: types.map((type) => ({ type, id: "i" })),
    }));
    const core = (version: string) =>
      ({
        server: { version },
        seen: () => ({ threads: {} }),
        call: (method: string, { itemsView }: { itemsView?: string }) => {
          const data = turns.toReversed().map(({ id, items }) =>
            itemsView === "full" ? { id, items } : { id }
          );
          return Promise.resolve(
            method === "thread/read" ? { thread: { turns } } : { data, nextCursor: null },
          );
        },
      }) as unknown as RuntimeCore;
    for (const version of ["0.104.0", "0.145.0"]) {
      const find = (before: string, counts: boolean) =>
        turnsFrom(core(version), "t", before, undefined, counts);
      assert.deepEqual(await find("t2", true), ["t2"]);
      for (const before of ["t1", "t0"]) {
        await assert.rejects(find(before, true), UnsupportedError, name);
        assert.equal((await find(before, false))[0], before);
      }
    }
    const fork = (at: ForkPoint) => planFork(core("0.104.0"), "t", at, undefined);
    assert.deepEqual(await fork({ after: "t1" }), { params: {}, drop: 1 });
    await assert.rejects(fork({ before: "t1" }), UnsupportedError, name);
  }
});

test("what the thread's file has beyond its turns counts as well", async () => {
  const message = (role: string, text: string) => ({
    type: "message",
    role,
    content: [{ type: "input_text", text }],
  });
  const prompt = (text: string) => [message("user", text), { type: "user_message", message: text }];
  const agent = { type: "agent_message", content: [{ type: "input_text", text: "FINAL_ANSWER" }] };
  const context = message("user", "<environment_context>\n  <cwd>/w</cwd>");
  const said = [{ type: "agent_message", message: "ok" }, message("assistant", "ok")];
  const plain = [context, ...prompt("<task_list>two"), ...said];
  const odd = {
    injected: [...plain, message("user", "by the way")],
    warned: [...plain, message("user", "Warning: apply_patch was requested via exec_command.")],
    agents: [...plain, agent],
    olderAgents: [...plain, message("assistant", '{"author":"/root/a","content":"done"}')],
    uncounted: [...prompt("<turn_aborted>, what does that mean?"), ...said],
    document: prompt("# AGENTS.md instructions for /w\n\n<INSTRUCTIONS>"),
  };
  await using directory = await tempDir("counted-");
  const path = join(directory.path, "rollout.jsonl");
  const turns = ["t0", "t1", "t2"].map((id) => ({ id, items: [{ type: "userMessage" }] }));
  const core = (version: string) =>
    ({
      server: { version },
      seen: () => ({ threads: {} }),
      call: () => Promise.resolve({ thread: { path, turns } }),
    }) as unknown as RuntimeCore;
  const fork = (before: string) => planFork(core("0.125.0"), "t", { before }, undefined);
  const find = (before: string) => turnsFrom(core("0.145.0"), "t", before, undefined, true);
  for (const [name, second] of Object.entries({ plain, ...odd })) {
    const lines = [prompt("one"), second, prompt("three")].flatMap((items, n) => [
      { type: "task_started", turn_id: `t${n}` },
      ...items,
    ]);
    await writeFile(path, lines.map((payload) => `${JSON.stringify({ payload })}\n`).join(""));
    assert.deepEqual([await find("t2"), (await fork("t2")).drop], [["t2"], 1]);
    if (name === "plain") {
      assert.deepEqual([await find("t1"), (await fork("t0")).drop], [["t1", "t2"], 3]);
      // Of a large file only the end is looked at, and what was before it is not known.
      const half = Math.floor((await stat(path)).size / 2);
      const judge = (at: number, most: number) =>
        assertCounted(core("0.125.0"), { path }, turns.slice(at), "revert", most);
      await judge(2, half);
      await assert.rejects(judge(0, half), UnsupportedError);
      continue;
    }
    for (const before of ["t1", "t0"]) {
      await assert.rejects(find(before), UnsupportedError, name);
      await assert.rejects(fork(before), UnsupportedError, name);
    }
  }
});
