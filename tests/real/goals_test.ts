/** Turns that codex begins for a session, on the real codex: goals, compactions, reviews. */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import process from "node:process";
import { spawn } from "../../src/automation/mod.ts";
import { stringOf } from "../../src/json.ts";
import type { Client } from "../../src/session/client/client.ts";
import {
  BudgetExceededError,
  ConnectionClosedError,
  InvalidArgumentError,
  SessionClosedError,
  TurnTimeoutError,
  UnsupportedError,
} from "../../src/errors/mod.ts";
import type { ModelRequest } from "../../src/testing/mod.ts";
import { type ModelStep, type ModelTurn, script } from "../../src/testing/mod.ts";
import { CODEX_VERSIONS, codexes } from "../_codex.ts";
import { test } from "../_harness.ts";
import { inWorld, rejection, within, type World } from "./_session_world.ts";

const WITH_GOALS = codexes("0.169.0", "0.145.0");
const CALL = 13;

/** For what must happen at all; when, is no matter of these tests. */
const LIMIT_MS = 60_000;
const LONG = { timeoutMs: 300_000 };

/** Waits for a request that comes after this call. */
function asked(world: World): Promise<unknown> {
  const from = world.model.requests.length;
  return world.model.waitForRequest(({ index }) => index >= from, { timeoutMs: LIMIT_MS });
}

/** Connects, and counts the turns that begin on a thread. */
async function counting(
  world: World,
): Promise<{ client: Client; turns: (threadId: string) => number }> {
  const begun: (string | undefined)[] = [];
  const client = await world.connect({
    eventLog: {
      write: ({ kind, method, threadId }) => {
        if (kind === "notification" && method === "turn/started") begun.push(threadId);
      },
    },
  });
  return { client, turns: (threadId) => begun.filter((each) => each === threadId).length };
}

/** Whether codex offers goals in this request. */
function offersGoals({ body }: ModelRequest): boolean {
  return JSON.stringify(body["tools"] ?? []).includes("create_goal");
}

async function until(what: string, look: () => boolean): Promise<void> {
  const deadline = Date.now() + LIMIT_MS;
  while (!look()) {
    if (Date.now() > deadline) throw new Error(`${what} did not happen`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** An objective for which the model plays this. */
function objective(
  world: World,
  play: (request: ModelRequest, round: number) => ModelTurn,
): string {
  return world.prompt(play, "Reach it.");
}

const reached = () => [script.toolCall("update_goal", { status: "complete" })];

for (const version of WITH_GOALS) {
  test(
    `a goal has nothing of what its prompt was given for itself [${version}]`,
    LONG,
    () =>
      inWorld(version, async (world) => {
        const client = await world.connect();
        const { cwd } = world;
        const own = { cwd, goals: true, allowPrivilegedEscalation: true } as const;
        const session = await client.startSession({ ...own, sandbox: "read-only" });
        const told: string[] = [];
        void (async () => {
          for await (const event of session.events()) {
            if (event.type === "warning") told.push(event.message);
            else if (event.type === "turnCompleted") told.push(event.status);
          }
        })();
        const gate = Promise.withResolvers<void>();
        const make = (name: string, before?: ModelStep) =>
          world.prompt((_, round) => {
            if (round === 0) return [script.toolCall("create_goal", { objective: "go" })];
            if (round === 1) return "made";
            if (round > 2) return round === 3 ? reached() : "reached";
            return [...before === undefined ? [] : [before], script.exec(`touch ${name}`)];
          });
        await session.ask(make("more", script.gate(gate.promise)), { sandbox: "workspace-write" });
        await until("its end", () => told.includes("interrupted"));
        gate.resolve();
        assert.ok(told.some((message) => /The turn is stopped: .*a goal/.test(message)));
        await session.close();
        // With what the session has it goes on.
        const other = await client.startSession({ ...own, sandbox: "workspace-write" });
        await other.ask(make("same"), { sandbox: "workspace-write" });
        await until("its work", () => readdirSync(cwd).includes("same"));
        assert.equal(readdirSync(cwd).includes("more"), false);
        await other.close();
      }),
  );

  test(
    `a goal is worked on turn after turn until it is reached [${version}]`,
    LONG,
    () =>
      inWorld(version, async (world) => {
        const client = await world.connect();
        const session = await client.startSession({ cwd: world.cwd });
        await session.ask("one");
        const text = objective(
          world,
          (_, round) => round < 2 ? `step ${round}` : round === 2 ? reached() : "It is reached.",
        );
        const goal = await session.startGoal(text);
        const waiting = session.ask("after the goal");
        const ends: string[] = [];
        for await (const event of goal) if (event.type === "turnCompleted") ends.push(event.turnId);
        const { status, turns, usage } = await within(LIMIT_MS, "the goal", goal.finish());
        assert.equal(status, "complete");
        assert.deepEqual(turns.map(({ turnId }) => turnId), ends);
        assert.equal(turns[0]?.assistantText, "step 0");
        assert.equal(turns[1]?.assistantText, "step 1");
        assert.equal(turns.length, 3);
        assert.equal(usage.totalTokens, 4 * CALL);
        assert.equal((await waiting).assistantText, "You said: after the goal");
        assert.equal(session.usage.totalTokens, 6 * CALL);
        assert.equal(client.usage.totalTokens, 6 * CALL);
        // Goals were there for the goal only.
        assert.equal(offersGoals(world.model.requests.at(-1)!), false);
        assert.ok(world.model.requests.some(offersGoals));
        assert.ok(await world.isQuiet());

        // A second one on the same thread, given up by its limits, and one that the model can't go on with.
        const before = world.model.requests.length;
        const bounded = await session.startGoal(objective(world, () => "more"), {
          limits: { tokens: 4 * CALL },
        });
        const limited = await within(LIMIT_MS, "the limit", bounded.finish());
        assert.equal(limited.status, "budgetLimited");
        const heard = world.model.requests.length - before;
        assert.ok(heard >= 4 && heard <= 5, `${heard} calls`);
        assert.ok(await world.isQuiet());
        assert.equal((await session.ask("and on")).assistantText, "You said: and on");

        // An automation works on goals: one that is reached, one that is stopped with it.
        const runs = [];
        const handle = spawn(session, {
          prompt: objective(world, (_, round) => round === 0 ? reached() : "Done."),
          every: 1,
          maxRuns: 1,
          goal: true,
        });
        for await (const run of handle) runs.push(run);
        assert.equal(handle.status().state, "stopped");
        assert.equal(handle.status().runsCompleted, 1);
        assert.equal(runs[0]?.goal?.status, "complete");
        assert.equal(runs[0]?.result?.assistantText, "Done.");
        const begun = asked(world);
        const endless = spawn(session, {
          prompt: objective(world, () => [script.delay(20), script.say("more")]),
          every: 60_000,
          goal: true,
        });
        await begun;
        const halted = await within(LIMIT_MS, "the automation's stop", endless.stop());
        assert.equal(halted.runsCompleted, 0);
        assert.ok(await world.isQuiet(), "the automation is stopped");

        // One that the model has made: all its turns have the session's limits together.
        const own = await client.startSession({
          cwd: world.cwd,
          goals: true,
          limits: { modelCalls: 4 },
        });
        const made = () =>
          world.model.requests.filter(({ threadId }) => threadId === own.threadId).length;
        const makes = [script.toolCall("create_goal", { objective: "Go on." })];
        await own.ask(world.prompt((_, round) => round === 0 ? makes : "more"));
        await world.model.waitForRequest(() => made() >= 2 + 4, { timeoutMs: LIMIT_MS });
        assert.ok(await world.isQuiet(), "the model's goal goes on");
        assert.ok(made() <= 2 + 5, `${made()} calls`);
        await own.close();
      }),
  );

  test(
    `a goal can be paused, resumed, stopped, and ends with its time or its session [${version}]`,
    LONG,
    () =>
      inWorld(version, async (world) => {
        const { client, turns } = await counting(world);
        const session = await client.startSession({ cwd: world.cwd, goals: true });
        // Whoever was told that it has stopped sees no turn begin after that.
        const isStopped = async () => {
          const before = turns(session.threadId);
          return await world.isQuiet() && turns(session.threadId) === before;
        };
        const endless = (name: string) =>
          objective(world, (_, round) => [script.delay(20), script.say(`${name} ${round}`)]);

        const goal = await session.startGoal(endless("a"));
        const events = goal[Symbol.asyncIterator]();
        const turnEnd = async () => {
          for (;;) {
            const { done, value } = await events.next();
            if (done || value.type === "turnCompleted") return done !== true;
          }
        };
        assert.ok(await within(LIMIT_MS, "a turn", turnEnd()));
        await within(LIMIT_MS, "the pause", goal.pause());
        assert.ok(await isStopped(), "paused");
        const before = world.model.requests.length;
        await goal.resume();
        while (world.model.requests.length === before) await turnEnd();
        const stopped = await within(LIMIT_MS, "the stop", goal.stop());
        assert.equal(stopped.status, "stopped");
        assert.ok(stopped.turns.length >= 2);
        assert.ok(await isStopped(), "stopped");
        assert.ok(await rejection(goal.resume()) instanceof SessionClosedError);

        // The whole session's interrupt, its time, a signal, an early exit from the loop.
        let begun = asked(world);
        const interrupted = await session.startGoal(endless("b"));
        await begun;
        // Codex may leave an interrupt between two turns unanswered, which is then asked anew.
        await within(LIMIT_MS, "the interrupt", session.interrupt());
        assert.equal((await interrupted.finish()).status, "stopped");
        const timed = await session.startGoal(endless("c"), { timeoutMs: 500 });
        assert.equal((await within(LIMIT_MS, "the time", timed.finish())).status, "timedOut");
        const [stop, reason] = [new AbortController(), new Error("enough")];
        const aborted = await session.startGoal(endless("d"), { signal: stop.signal });
        stop.abort(reason);
        assert.equal(await within(LIMIT_MS, "the abort", rejection(aborted.finish())), reason);
        const left = await session.startGoal(endless("e"));
        for await (const event of left) if (event.type === "turnStarted") break;
        assert.equal((await within(LIMIT_MS, "the exit", left.finish())).status, "stopped");
        assert.ok(await isStopped(), "left");

        // A turn that fails ends it, and is told.
        const failing = await session.startGoal(objective(world, () => [script.httpError(401)]));
        const failure = await within(LIMIT_MS, "the failure", rejection(failing.finish()));
        assert.equal((failure as { code?: string }).code, "turnFailed");
        assert.ok(await isStopped(), "failed");

        begun = asked(world);
        const last = await session.startGoal(endless("f"));
        await begun;
        const gone = rejection(last.finish());
        await within(LIMIT_MS, "the close", session.close());
        assert.ok(await within(LIMIT_MS, "the end", gone) instanceof SessionClosedError);
        assert.ok(await isStopped(), "closed");
      }),
  );
}

for (const version of WITH_GOALS) {
  test(
    `turns that others begin while a goal is active are told as theirs, and end no goal [${version}]`,
    LONG,
    () =>
      inWorld(version, async (world) => {
        const client = await world.connect();
        const session = await client.startSession({
          cwd: world.cwd,
          goals: true,
          limits: { tokens: 50 * CALL },
        });
        const { threadId } = session;
        const told: string[] = [];
        void (async () => {
          for await (const event of session.events()) {
            if (event.type === "turnCompleted") told.push(`${event.turnId} ${event.status}`);
          }
        })();
        const heard = Promise.withResolvers<void>();
        const opens = Promise.withResolvers<void>();
        let done = false;
        const goal = await session.startGoal(
          world.prompt((_, round) => {
            heard.resolve();
            if (round === 0) return [script.gate(opens.promise), script.say("step")];
            if (!done) return [script.delay(20), script.say("step")];
            done = false;
            return reached();
          }, "Reach it."),
        );
        const own: string[] = [];
        const events = (async () => {
          for await (const event of goal) {
            if (event.type === "turnStarted") own.push(event.turnId);
          }
        })();
        const begin = async (text: string) => {
          const input = [{ type: "text" as const, text, text_elements: [] }];
          const answer = await client.runtime.request("turn/start", { threadId, input });
          return answer as { turn: { id: string } };
        };
        await heard.promise;
        if (version === "0.169.0") {
          // The queue begins its prompt between two turns of the goal.
          const queued = world.prompt(() => "queued", "queued");
          await client.runtime.request("thread/queue/add", {
            threadId,
            clientUserMessageId: crypto.randomUUID(),
            input: [{ type: "text", text: queued }],
          });
          opens.resolve();
          const wait = { timeoutMs: LIMIT_MS };
          const asked = await world.model.waitForRequest(
            ({ userTexts }) => userTexts.includes(queued),
            wait,
          );
          // The goal goes on when that prompt is answered; a pause before would stop it as well.
          await world.model.waitForRequest(({ index }) => index > asked.index, wait);
        } else opens.resolve();
        await within(LIMIT_MS, "the pause", goal.pause());

        // While it is paused, somebody's prompt answers, and another one fails.
        const before = told.length;
        await begin(world.prompt(() => "raw", "raw"));
        await until("its end", () => told.length > before);
        const { turn } = await begin(world.prompt(() => [script.httpError(401)], "bad"));
        await until("its failure", () => told.includes(`${turn.id} failed`));
        done = true;
        await goal.resume();
        const { status, turns, usage } = await within(LIMIT_MS, "the goal", goal.finish());
        await events;
        assert.equal(status, "complete");
        assert.deepEqual(own, turns.map(({ turnId }) => turnId));
        const texts = turns.map(({ assistantText }) => assistantText);
        assert.ok(!texts.includes("queued") && !texts.includes("raw"), `${texts}`);
        assert.ok(!own.includes(turn.id), "the one that failed");
        // Everything is counted, what is the goal's as the goal's only.
        const foreign = version === "0.169.0" ? 2 : 1;
        assert.equal(session.usage.totalTokens - usage.totalTokens, foreign * CALL);
      }),
  );

  test(
    `a goal whose codex dies has an end, and does not begin again on the next one [${version}]`,
    LONG,
    () =>
      inWorld(version, async (world) => {
        for (const goals of [true, false]) {
          for (const restart of [true, false]) {
            const client = await world.connect(
              restart ? { restart: { type: "onCrash", baseDelayMs: 10 } } : {},
            );
            const session = await client.startSession({ cwd: world.cwd, goals });
            const begun = asked(world);
            const goal = await session.startGoal(
              objective(world, (_, round) => [script.delay(20), script.say(`${round}`)]),
            );
            await begun;
            const events = (async () => {
              for await (const event of goal) void event;
            })();
            process.kill(client.runtime.pid!, "SIGKILL");
            const lost = await within(LIMIT_MS, "the end", rejection(goal.finish()));
            assert.ok(lost instanceof ConnectionClosedError, `${lost}`);
            await within(LIMIT_MS, "the events", events);
            // What is asked of it now settles at once.
            await within(LIMIT_MS, "the pause", goal.pause());
            assert.ok(await rejection(goal.resume()) instanceof SessionClosedError);
            assert.equal(await within(LIMIT_MS, "the stop", rejection(goal.stop())), lost);
            await goal[Symbol.asyncDispose]();
            if (restart) {
              assert.equal((await session.ask("next")).assistantText, "You said: next");
              assert.ok(await world.isQuiet(), "it goes on");
              // Nor does it for whoever takes the thread up later.
              const { threadId } = session;
              const left = await client.runtime.request("thread/goal/get", { threadId });
              assert.deepEqual(left, { goal: null });
              const again = await session.startGoal(
                objective(world, (_, n) => n === 0 ? reached() : "Done."),
              );
              assert.equal((await within(LIMIT_MS, "again", again.finish())).status, "complete");
            } else {
              assert.ok(await rejection(session.startGoal("x")) instanceof ConnectionClosedError);
            }
            await client.shutdown();
          }
        }
      }),
  );
}

test(
  "a goal needs a thread that is kept, a codex that has goals, and a thread of any age",
  LONG,
  async () => {
    await inWorld("0.169.0", async (world) => {
      const client = await world.connect();
      const passing = await client.startSession({ cwd: world.cwd, ephemeral: true });
      assert.ok(await rejection(passing.startGoal("x")) instanceof InvalidArgumentError);
      assert.ok(await rejection(passing.startGoal("")) instanceof InvalidArgumentError);
      const fresh = await client.startSession({ cwd: world.cwd });
      const goal = await fresh.startGoal(objective(world, (_, n) => n === 0 ? reached() : "Done."));
      assert.equal((await within(LIMIT_MS, "the goal", goal.finish())).status, "complete");
      assert.equal((await fresh.ask("hello")).assistantText, "You said: hello");
    });
    await inWorld("0.104.0", async (world) => {
      const client = await world.connect();
      const session = await client.startSession({ cwd: world.cwd });
      const out = client.runtime.metrics().messagesOut;
      const error = await rejection(session.startGoal("x"));
      assert.ok(error instanceof UnsupportedError, `${error}`);
      assert.equal(error.since, "0.145.0");
      assert.equal(client.runtime.metrics().messagesOut, out);
    });
  },
);

for (const version of codexes("0.145.0", "0.125.0", ...CODEX_VERSIONS)) {
  test(
    `compact() sums the conversation up, and can be given up [${version}]`,
    LONG,
    () =>
      inWorld(version, async (world) => {
        const client = await world.connect();
        const session = await client.startSession({ cwd: world.cwd });
        await session.ask("one");
        const events = session.events();
        const { tokensBefore, tokensAfter } = await within(LIMIT_MS, "compact", session.compact());
        assert.equal(tokensBefore, CALL);
        assert.ok(tokensAfter !== null && tokensAfter !== CALL, `${tokensAfter}`);
        const seen: string[] = [];
        for await (const { type } of events) {
          seen.push(type);
          if (type === "turnCompleted") break;
        }
        assert.ok(seen.includes("compacted"), `${seen}`);
        assert.equal(session.usage.totalTokens, 2 * CALL, "its tokens are counted");
        const waited = await Promise.all([
          // Old codex can't be told again what the session's own effort is, and need not be.
          session.ask("two", { effort: "high" }),
          session.compact(),
          session.ask("three"),
        ]);
        assert.equal(waited[0].assistantText, "You said: two");
        assert.equal(waited[2].assistantText, "You said: three");
        // What the prompt before it brought counts for that one only.
        const effort = stringOf(world.model.requests.at(-2)!.body["reasoning"], "effort");
        if (version === "0.145.0" || version === "0.169.0") assert.equal(effort, "medium");

        const [stop, reason] = [new AbortController(), new Error("enough")];
        const slow = asked(world);
        world.hold = true;
        const given = rejection(session.compact({ signal: stop.signal }));
        await slow;
        stop.abort(reason);
        assert.equal(await within(LIMIT_MS, "the abort", given), reason);
        world.hold = false;
        assert.equal((await session.ask("four")).assistantText, "You said: four");
      }),
  );

  test(
    `compact() of a thread that was taken up again counts its own tokens only [${version}]`,
    LONG,
    () =>
      inWorld(version, async (world) => {
        const client = await world.connect();
        const used = await client.startSession({ cwd: world.cwd });
        await used.ask("one");
        await used.ask("two");
        await used.release();
        const session = await client.resumeSession(used.threadId, { cwd: world.cwd });
        await session.compact();
        assert.equal((await session.ask("three")).usage?.totalTokens, CALL);
        assert.equal(session.usage.totalTokens, 2 * CALL);
        // Here no call was ever counted: what a compaction tells first is its own.
        const fresh = await client.startSession({ cwd: world.cwd });
        const [stop, asked] = [new AbortController(), Promise.withResolvers<void>()];
        const silent = world.prompt(() => {
          asked.resolve();
          return [script.hang()];
        });
        const given = rejection(fresh.ask(silent, { signal: stop.signal }));
        await asked.promise;
        stop.abort();
        await given;
        await fresh.release();
        const again = await client.resumeSession(fresh.threadId, { cwd: world.cwd });
        await again.compact();
        assert.equal((await again.ask("four")).usage?.totalTokens, CALL);
        assert.equal(again.usage.totalTokens, 2 * CALL);
      }),
  );

  test(
    `review() reviews, and gives its findings as data when asked [${version}]`,
    LONG,
    () =>
      inWorld(version, async (world) => {
        let sent = () => {};
        const client = await world.connect({
          eventLog: {
            write: ({ kind, method }) => {
              if (kind === "request" && method === "review/start") sent();
            },
          },
        });
        const session = await client.startSession({ cwd: world.cwd });
        const instructions = world.prompt(["Line 3 is wrong."], "Look closely.");
        const { reviewText, turnId, items } = await within(
          15_000,
          "the review",
          session.review({ type: "custom", instructions }),
        );
        assert.equal(reviewText, "Line 3 is wrong.");
        assert.ok(items.some(({ type }) => type === "exitedReviewMode"));
        assert.ok(world.model.requests.at(-1)!.userTexts.some((text) => text.includes("closely")));
        const next = await session.ask("next");
        assert.notEqual(next.turnId, turnId);

        const outputSchema = {
          type: "object",
          properties: { said: { type: "string" } },
          required: ["said"],
          additionalProperties: false,
        };
        world.answer = '{"said":"fine"}';
        const typed = await session.review({ type: "custom", instructions: "Look." }, {
          outputSchema,
        });
        assert.deepEqual(typed.output, { said: "fine" });
        // After another review, the model would give what that one has found.
        const before = world.model.requests.length;
        const look = (name: string) =>
          session.review({ type: "custom", instructions: name }, { outputSchema });
        await Promise.all([look("A"), session.ask("x", { outputSchema }), look("B")]);
        const heard = world.model.requests.slice(before).map(({ text }) => /\w+/.exec(text)![0]);
        assert.deepEqual(heard, ["A", "Give", "x", "B", "Give"]);
        delete world.answer;

        const [stop, reason] = [new AbortController(), new Error("enough")];
        const hanging = world.prompt([[script.hang()]]);
        const hangs = asked(world);
        const given = rejection(
          session.review({ type: "custom", instructions: hanging }, { signal: stop.signal }),
        );
        await hangs;
        stop.abort(reason);
        assert.equal(await within(LIMIT_MS, "the abort", given), reason);
        // Given up before the server has named its turn, it ends before the next prompt begins.
        const early = new AbortController();
        sent = () => early.abort(reason);
        const unnamed = session.review({ type: "custom", instructions: "Look." }, {
          signal: early.signal,
        });
        const after = session.ask("after");
        assert.equal(await within(LIMIT_MS, "the early abort", rejection(unnamed)), reason);
        assert.equal((await within(LIMIT_MS, "the next", after)).assistantText, "You said: after");
        sent = () => {};
        const timed = rejection(
          session.review({ type: "custom", instructions: world.prompt([[script.hang()]]) }, {
            timeoutMs: 500,
          }),
        );
        assert.ok(await within(LIMIT_MS, "the time", timed) instanceof TurnTimeoutError);
        const limited = rejection(
          session.review(
            { type: "custom", instructions: world.prompt(() => [script.exec("true")]) },
            { limits: { toolCalls: 1 } },
          ),
        );
        assert.ok(await within(LIMIT_MS, "the limit", limited) instanceof BudgetExceededError);
        // No codex tells the tokens of a review: what can't be held is told, and its second turn is held.
        const warnings: string[] = [];
        const counted = await session.review({
          type: "custom",
          instructions: world.prompt(["Fine."]),
        }, {
          limits: { tokens: 1 },
          onEvent: (event) => void (event.type === "warning" && warnings.push(event.message)),
        });
        assert.equal(counted.usage, null);
        assert.match(warnings.join(), /limits\.tokens and limits\.modelCalls can't be held/);
        assert.equal((await session.ask("last")).assistantText, "You said: last");
        const wrong = session.review({ type: "uncommittedChanges" } as never);
        assert.ok(await rejection(wrong) instanceof InvalidArgumentError);
      }),
  );
}

for (const version of CODEX_VERSIONS) {
  test(
    `what one turn was allowed is not what later turns of codex's own may do [${version}]`,
    LONG,
    () =>
      inWorld(version, async (world) => {
        const client = await world.connect();
        const session = await client.startSession({ cwd: world.cwd });
        await session.ask(world.prompt([[script.exec("touch allowed")], "Done."]), {
          sandbox: "workspace-write",
          allowPrivilegedEscalation: true,
        });
        assert.ok(readdirSync(world.cwd).includes("allowed"));
        const play = (_: ModelRequest, round: number) =>
          round === 0 ? [script.exec("touch sneaked")] : "Tried.";
        const instructions = world.prompt(play);
        const review = session.review({ type: "custom", instructions });
        if (version === "0.104.0") {
          const error = await rejection(review);
          assert.ok(error instanceof UnsupportedError, `${error}`);
          assert.equal(error.since, "0.145.0");
          await session.ask("again as the session is");
          await session.review({ type: "custom", instructions });
        } else {
          await review;
          const goal = await session.startGoal(
            objective(
              world,
              (_, round) =>
                round === 0 ? [script.exec("touch sneaked")] : round === 1 ? reached() : "Done.",
            ),
          );
          assert.equal((await within(LIMIT_MS, "the goal", goal.finish())).status, "complete");
        }
        assert.deepEqual(readdirSync(world.cwd), ["allowed"]);
      }),
  );
}
