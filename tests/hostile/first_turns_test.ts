/**
 * Threads start read-only where codex would else trust the directory, and the first turn brings the sandbox: also when it is
 * one that codex itself begins. It writes where the session may, and nowhere else.
 */
import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { RpcError, testing, UnsupportedError } from "../../mod.ts";
import { codexes } from "../_codex.ts";
import { test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";
import { world } from "../real/_safety_world.ts";

const { exec, inPrompt, toolCall } = testing.script;

// Since 0.150 the thread starts read-only; before, codex is told that the project is not trusted.
for (const version of codexes("0.169.0", "0.150.0")) {
  test(
    `a goal, a review and a prompt after a compaction write where the session may, codex ${version}`,
    { timeoutMs: 180_000 },
    async (t) => {
      await using outside = await tempDir("outside-");
      let steps: testing.ModelTurn[] = [];
      await using w = await world(version, { script: () => steps.shift() ?? "done" });
      const reached: testing.ModelTurn[] = [toolCall("update_goal", { status: "complete" })];
      const tries = (name: string): testing.ModelTurn[] => [
        exec(`touch ${name}`),
        exec(`touch ${join(outside.path, name)}`),
        exec("touch .git/x .codex/x"),
      ];
      type Place = Awaited<ReturnType<typeof w.session>>;
      const firsts: [string, (place: Place) => Promise<unknown>][] = [
        ["goal", async ({ session }) => {
          steps = [...tries("goal"), ...reached, "reached"];
          const goal = await session.startGoal("Reach it.", { timeoutMs: 60_000 });
          assert.equal((await goal.finish()).status, "complete");
        }],
        ["review", async ({ session }) => {
          steps = tries("review");
          await session.review({ type: "custom", instructions: "Look." });
        }],
        ["compaction", async ({ session }) => {
          await session.compact();
          steps = tries("compaction");
          await session.ask("go", { timeoutMs: 60_000 });
        }],
      ];
      for (const sandbox of ["workspace-write", "read-only"] as const) {
        for (const [name, first] of firsts) {
          await t.step(`${name}, ${sandbox}`, async () => {
            const place = await w.session({ sandbox, approvalPolicy: "never" });
            await first(place);
            assert.deepEqual(steps, [], "the model was not asked for all of it");
            assert.equal(place.has(name), sandbox === "workspace-write");
            assert.equal(place.has(".codex/x"), false);
            assert.deepEqual(await readdir(outside.path), []);
          });
        }
      }
    },
  );
}

// Of a prompt that it refuses 0.145 keeps what it said of the sandbox, and 0.169 does not.
for (const version of codexes("0.169.0", "0.145.0")) {
  test(`a review after a prompt that was refused has its session's sandbox, codex ${version}`, async () => {
    await using w = await world(version);
    const place = await w.session({ sandbox: "read-only", approvalPolicy: "never" });
    await place.session.ask(inPrompt([exec("touch prompt"), "done"]), {
      sandbox: "workspace-write",
    });
    assert.equal(place.has("prompt"), true);
    await assert.rejects(place.session.ask("x".repeat(2 ** 20 + 1)), RpcError);
    const instructions = inPrompt([exec("touch review"), "fine"]);
    await place.session.review({ type: "custom", instructions });
    assert.equal(place.has("review"), false);
  });
}

// Up to 0.144 the thread's settings can't be told again, and what a refused prompt said of them stays.
for (const version of codexes("0.125.0")) {
  test(`a review after a prompt that was refused begins if that said nothing else, codex ${version}`, async () => {
    await using w = await world(version);
    const refused = "x".repeat(2 ** 20 + 1);
    const review = async (sandbox?: "read-only") => {
      const place = await w.session({ approvalPolicy: "never" });
      await assert.rejects(
        place.session.ask(refused, sandbox === undefined ? {} : { sandbox }),
        RpcError,
      );
      const instructions = inPrompt([exec("touch review"), "fine"]);
      await place.session.review({ type: "custom", instructions });
      return place.has("review");
    };
    assert.equal(await review(), true);
    await assert.rejects(review("read-only"), UnsupportedError);
  });
}

// Up to 0.146.1 a review has the sandbox that its thread was opened with, whatever the thread's settings are.
for (const version of codexes("0.169.0", "0.147.0", "0.146.1", "0.104.0")) {
  test(`a review has the sandbox that it asks for, or is refused, codex ${version}`, async () => {
    await using w = await world(version);
    const place = await w.session({ approvalPolicy: "never" });
    const sandbox = "read-only";
    // The thread has it, then.
    await place.session.ask(inPrompt(["done"]), { sandbox });
    const instructions = inPrompt([exec("touch review"), "fine"]);
    const review = place.session.review({ type: "custom", instructions }, { sandbox });
    if (version === "0.169.0" || version === "0.147.0") await review;
    else await assert.rejects(review, UnsupportedError);
    assert.equal(place.has("review"), false);
  });
}
