/** What a prompt may use, on the real codex: a loop that would never end, tries, repairs, agents of the agent, automation. */
import assert from "node:assert/strict";
import { spawn } from "../../src/automation/mod.ts";
import { BudgetExceededError } from "../../src/errors/mod.ts";
import type { RunLimits } from "../../src/session/profile.ts";
import type { TurnEvent } from "../../src/session/turn/turn_event.ts";
import { script } from "../../src/testing/mod.ts";
import { codexes } from "../_codex.ts";
import { test } from "../_harness.ts";
import { inWorld, rejection, SOON_MS, within } from "./_session_world.ts";

/** Tokens of one call of the scripted model. */
const CALL = 13;

const loop = () => [script.exec("true")];

async function exceeded(promise: Promise<unknown>): Promise<BudgetExceededError> {
  const error = await within(20_000, "the limit", rejection(promise));
  assert.ok(error instanceof BudgetExceededError, `${error}`);
  assert.equal(error.retryable, false);
  return error;
}

for (const version of codexes("0.169.0", "0.145.0", "0.104.0")) {
  test(`a run stops within one model call of its limits, and no sooner [${version}]`, () =>
    inWorld(version, async (world) => {
      const client = await world.connect();
      const session = await client.startSession({ cwd: world.cwd });
      const contexts = [session.context];

      const cases: { limits: RunLimits; limit: string; calls: number }[] = [
        { limits: { tokens: 3 * CALL }, limit: "tokens", calls: 3 },
        { limits: { tokens: 3 * CALL - 1 }, limit: "tokens", calls: 3 },
        { limits: { modelCalls: 2 }, limit: "modelCalls", calls: 2 },
        { limits: { toolCalls: 1 }, limit: "toolCalls", calls: 2 },
        { limits: { toolCalls: 9, modelCalls: 1, tokens: 900 }, limit: "modelCalls", calls: 1 },
      ];
      for (const { limits, limit, calls } of cases) {
        const before = world.model.requests.length;
        const events: TurnEvent[] = [];
        const error = await exceeded(
          session.ask(world.prompt(loop), { limits, onEvent: (event) => events.push(event) }),
        );
        assert.equal(error.limit, limit);
        assert.equal(error.allowed, limits[error.limit]);
        assert.ok(error.stopped);
        assert.ok(error.items.some((item) => (item as { type: string }).type === "userMessage"));
        const heard = world.model.requests.length - before;
        assert.ok(heard >= calls && heard <= calls + 1, `${limit}: ${heard} calls`);
        const end = events.at(-1)!;
        assert.ok(end.type === "turnCompleted" && end.status === "interrupted");
        assert.equal(end.error?.kind, "budgetExceeded");
        assert.match(end.error.message, new RegExp(`limits\\.${limit} of`));
        assert.ok(
          events.some((e) => e.type === "warning" && e.message.includes(`limits.${limit}`)),
        );
      }

      // Each model would go on for ever.
      assert.ok(await world.isQuiet(), "a turn goes on");

      // What is enough is enough.
      const before = world.model.requests.length;
      const { assistantText, usage } = await session.ask(
        world.prompt([[script.exec("true")], "Done."]),
        { limits: { tokens: 2 * CALL, modelCalls: 2, toolCalls: 1 } },
      ).catch((error: BudgetExceededError) => {
        const items = error.items?.map((item) => JSON.stringify(item)).join("\n");
        return assert.fail(`${error}\n${world.model.requests.length - before} calls\n${items}`);
      });
      assert.equal(assistantText, "Done.");
      assert.equal(usage?.totalTokens, 2 * CALL);
      contexts.push(session.context);
      const [unknown, context] = contexts;
      assert.equal(unknown, null);
      assert.equal(context?.usedTokens, CALL);
      assert.ok(context.windowTokens! > 1000 && context.percent !== null);
      assert.equal(session.usage.totalTokens, client.usage.totalTokens);
      // Everything the model was asked, the last call of a stopped turn excepted, which told nothing.
      const calls = world.model.requests.filter(({ threadId }) =>
        threadId === session.threadId
      ).length;
      assert.ok(session.usage.totalTokens >= (calls - cases.length) * CALL);
      assert.ok(session.usage.totalTokens <= calls * CALL);

      // So is it for a summary of the thread, which is no answer.
      const exact = await client.startSession({
        cwd: world.cwd,
        limits: { tokens: CALL, modelCalls: 1, toolCalls: 0 },
      });
      for (let n = 0; n < 2; n++) {
        assert.equal((await exact.ask(world.prompt(["one"]))).assistantText, "one");
        await exact.compact();
      }

      // A tool of this process is a tool, whether codex tells an item of its call (not 0.104) or not.
      let ran = 0;
      const look = {
        description: "Looks.",
        inputSchema: { type: "object" },
        run: () => `${++ran}`,
      } as const;
      const own = await client.startSession({
        cwd: world.cwd,
        tools: { look },
        limits: { toolCalls: 2 },
      });
      const call = script.toolCall("look", {});
      assert.equal((await own.ask(world.prompt([call, call, "Done."]))).assistantText, "Done.");
      ran = 0;
      const looked = await exceeded(own.ask(world.prompt(() => call)));
      assert.equal(looked.limit, "toolCalls");
      assert.ok(ran >= 2 && ran <= 3, `${ran} calls`);
    }));

  test(`a turn that nobody here asked for has the session's limits [${version}]`, () =>
    inWorld(version, async (world) => {
      const client = await world.connect();
      const session = await client.startSession({ cwd: world.cwd, limits: { modelCalls: 2 } });
      const told: string[] = [];
      const kinds: string[] = [];
      let begun = Promise.withResolvers<void>();
      void (async () => {
        for await (const event of session.events()) {
          if (event.type === "warning") told.push(event.message);
          if (event.type === "turnStarted") begun.resolve();
          if (event.type === "turnCompleted" && event.error !== null) kinds.push(event.error.kind);
        }
      })();
      const begin = () =>
        client.runtime.request("turn/start", {
          threadId: session.threadId,
          input: [{ type: "text", text: world.prompt(loop) }],
        } as never);
      // Somebody waits for it, or nobody does.
      const next = session.nextTurn();
      await begin();
      const error = await exceeded(next.then((turn) => turn.finish()));
      assert.equal(error.limit, "modelCalls");
      assert.ok(await world.isQuiet(), "the first goes on");
      const before = world.model.requests.length;
      begun = Promise.withResolvers();
      await begin();
      // Before it is heard of, a prompt would become part of it.
      await begun.promise;
      assert.equal((await session.ask(world.prompt(["mine"]))).assistantText, "mine");
      const heard = world.model.requests.length - before;
      assert.ok(heard >= 3 && heard <= 4, `${heard}`);
      assert.ok(await world.isQuiet(), "the second goes on");
      assert.equal(told.filter((text) => text.includes("limits.modelCalls")).length, 2);
      assert.deepEqual(kinds, Array(2).fill("budgetExceeded"));
    }));

  test(`tries, repairs and later turns count as one run [${version}]`, () =>
    inWorld(version, async (world) => {
      const client = await world.connect();
      const session = await client.startSession({ cwd: world.cwd, limits: { modelCalls: 2 } });
      const outputSchema = {
        type: "object",
        properties: { n: { type: "number" } },
        required: ["n"],
        additionalProperties: false,
      };

      // The first answer is wrong, and the repair would be the call too many.
      let before = world.model.requests.length;
      const unrepaired = await exceeded(
        session.ask(world.prompt(["no JSON"]), {
          outputSchema,
          repair: true,
          limits: { modelCalls: 1 },
        }),
      );
      assert.equal(unrepaired.partialText, "no JSON");
      assert.equal(world.model.requests.length - before, 1);

      // Both turns of a repaired prompt are in the result's numbers, and in everyone else's.
      const start = client.usage.totalTokens;
      const play = world.prompt(["no JSON"]);
      const repaired = await session.ask(play, { outputSchema, repair: true }).catch((e) => e);
      // The repair's prompt has no play: the model repeats it, which is no JSON either.
      assert.equal(repaired.code, "outputValidation");
      assert.equal(client.usage.totalTokens - start, 2 * CALL);

      // A call, a failure, another try: its second call is the run's third.
      before = world.model.requests.length;
      const failed = script.httpError(429, { error: { message: "slow down" } });
      const retried = await exceeded(
        session.ask(world.prompt((_, round) => round === 1 ? failed : [script.exec("true")]), {
          retry: { attempts: 2, baseDelayMs: 1 },
        }),
      );
      assert.equal(retried.limit, "modelCalls");
      const heard = world.model.requests.length - before;
      assert.ok(heard >= 3 && heard <= 4, `${heard}`);

      // An automation takes limits, and ends with what they say.
      const handle = spawn(session, {
        prompt: world.prompt(loop),
        every: 60_000,
        limits: { tokens: CALL },
      });
      const { state, lastError } = await within(SOON_MS, "the automation", handle.wait());
      assert.equal(state, "failed");
      assert.ok(lastError instanceof BudgetExceededError, `${lastError}`);
      assert.equal(lastError.limit, "tokens");
    }));
}

test("what the agents of an agent use is in the run's limits, and they stop with it", () =>
  inWorld("0.169.0", async (world) => {
    const client = await world.connect();
    const session = await client.startSession({
      cwd: world.cwd,
      config: { "features.multi_agent": true },
    });
    const namespace = "multi_agent_v1";
    const child = world.prompt(loop, "child");
    const parent = world.prompt(({ toolOutputs }) => {
      const [spawned] = toolOutputs;
      if (spawned === undefined) {
        return [script.toolCall("spawn_agent", { message: child }, { namespace })];
      }
      const { agent_id } = JSON.parse(spawned.text);
      const wait = { targets: [agent_id], timeout_ms: 20_000 };
      return [script.toolCall("wait_agent", wait, { namespace })];
    });
    const error = await exceeded(session.ask(parent, { limits: { modelCalls: 8 } }));
    assert.equal(error.limit, "modelCalls");
    assert.ok(world.model.requests.length <= 10, `${world.model.requests.length}`);
    assert.ok(await world.isQuiet());
    const { subAgents, totalTokens } = session.usage;
    assert.ok(subAgents.totalTokens >= 4 * CALL && totalTokens > subAgents.totalTokens);
  }));
