/** Repeated runs in one directory, on the real codex. */
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { InvalidArgumentError } from "../../src/errors/mod.ts";
import { Workflow } from "../../src/workflow.ts";
import { CODEX_VERSIONS } from "../_codex.ts";
import { test } from "../_harness.ts";
import { inWorld, isRunning, rejection } from "./_session_world.ts";

for (const version of CODEX_VERSIONS) {
  test(`runs of a workflow forget each other, its sessions remember [${version}]`, () =>
    inWorld(version, async (world) => {
      const seen: string[] = [];
      const hook = (name: string) => ({
        name,
        phases: ["preTurn" as const],
        call: () => {
          seen.push(name);
          return { type: "continue" as const };
        },
      });
      await writeFile(join(world.cwd, "one.md"), "1");
      await writeFile(join(world.cwd, "two.md"), "2");
      let pid = 0;
      {
        await using workflow = await Workflow.connect({
          cwd: world.cwd,
          client: world.config(),
          model: "model-a",
          attachments: ["one.md"],
          hooks: { pre: [hook("workflow")] },
        });
        pid = workflow.client.runtime.pid!;
        const first = await workflow.run(world.prompt(["one"], "first"));
        const second = await workflow.runWithProfile(
          world.prompt(["two"], "second"),
          { model: "model-b", attachments: ["two.md"], hooks: { pre: [hook("profile")] } },
          { effort: "high" },
        );
        assert.notEqual(first.threadId, second.threadId);
        assert.deepEqual([first.assistantText, second.assistantText], ["one", "two"]);
        assert.deepEqual(seen, ["workflow", "workflow", "profile"]);
        const [a, b] = world.model.requests;
        assert.equal(a!.model, "model-a");
        assert.equal(b!.model, "model-b");
        assert.match(b!.text, /one\.md\n.*two\.md/s);
        assert.ok(!b!.userTexts.some((text) => text.startsWith("first")));

        const session = await workflow.startSession({ effort: "low" });
        await session.ask(world.prompt(["three"], "third"));
        await session.ask(world.prompt(["four"], "fourth"));
        assert.ok(
          world.model.requests.at(-1)!.userTexts.some((text) => text.startsWith("third")),
        );
        await session.close();
        for await (const { threadId } of workflow.client.threads()) {
          assert.fail(`${threadId} was left in the history`);
        }
        await workflow.shutdown();
      }
      assert.ok(!isRunning(pid));
    }));
}

test("a workflow in a directory that does not exist starts nothing", () =>
  inWorld("0.169.0", async (world) => {
    const cwd = join(world.cwd, "missing");
    const error = await rejection(Workflow.connect({ cwd, client: world.config() }));
    assert.ok(error instanceof InvalidArgumentError, `${error}`);
    assert.deepEqual(world.running(), []);
  }));
