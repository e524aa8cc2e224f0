/** The mode of a session on the real codex: plans, their questions, and the way back to work. */
import assert from "node:assert/strict";
import { toEvents } from "../../src/adapters/ag_ui/namespace.ts";
import { codexModel, toUIMessageStream } from "../../src/adapters/ai_sdk/namespace.ts";
import type { ApprovalRequest } from "../../src/approvals/mod.ts";
import { InvalidArgumentError, RpcError } from "../../src/errors/mod.ts";
import type { SessionEvent } from "../../src/session/events/session_event.ts";
import { type RecordedRequest, script } from "../../src/testing/mod.ts";
import { test } from "../_harness.ts";
import { inWorld, rejection, type World } from "./_session_world.ts";

/** The mode that the model was told of last; `null`: of none. */
function toldMode({ body }: RecordedRequest): string | null {
  const heads = [
    ...JSON.stringify(body).matchAll(/<collaboration_mode># (Plan|Collaboration Mode: Default)/g),
  ];
  return heads.at(-1)?.[1]?.split(" ").at(-1) ?? null;
}

const last = (world: World) => world.model.requests.at(-1)!;

const QUESTION = {
  questions: [{
    id: "where",
    header: "Where",
    question: "Which file?",
    options: [{ label: "a.ts", description: "the first" }, {
      label: "b.ts",
      description: "the other",
    }],
  }],
};
const PLAN = "# Plan\n- one\n- two";
const proposed = (before: string) => `${before}<proposed_plan>\n${PLAN}\n</proposed_plan>\n`;

for (const version of ["0.169.0", "0.104.0"]) {
  test(`mode "plan" asks, proposes, and ends with its prompt [${version}]`, () =>
    inWorld(version, async (world) => {
      const asked: ApprovalRequest[] = [];
      const client = await world.connect({
        approvals: (request) => {
          asked.push(request);
          return request.type === "userInput"
            ? { answers: { where: ["b.ts"] } }
            : { decision: "decline" };
        },
      });
      const session = await client.startSession({ cwd: world.cwd });
      await session.ask("one");
      assert.equal(toldMode(last(world)), null, "work needs no word of it");

      const events: SessionEvent[] = [];
      const prompt = world.prompt([
        [script.toolCall("request_user_input", QUESTION)],
        proposed("Here it is.\n"),
      ]);
      const result = await session.ask(prompt, {
        mode: "plan",
        onEvent: (event) => events.push(event),
      });
      assert.equal(toldMode(last(world)), "Plan");
      assert.deepEqual(asked.map(({ type }) => type), ["userInput"], "asked under `never` as well");
      assert.match(JSON.stringify(last(world).body["input"]), /b\.ts/);
      assert.equal(result.proposedPlan?.trim(), PLAN);
      assert.equal(result.assistantText.trim(), "Here it is.");
      const text = events.map((event) => event.type === "planDelta" ? event.delta : "").join("");
      assert.equal(text.trim(), PLAN);
      assert.ok(result.items.some(({ type }) => type === "plan"));

      // Codex keeps the mode: the next prompt says that it is over, the one after need not.
      const back = await session.ask("two");
      assert.equal(back.proposedPlan, null);
      assert.equal(toldMode(last(world)), "Default");
      await session.ask("three");
      assert.equal(toldMode(last(world)), "Default");

      // Nothing but a plan is an answer.
      const bare = await session.ask(world.prompt([proposed("")]), { mode: "plan" });
      assert.equal(bare.proposedPlan?.trim(), PLAN);
      assert.equal(bare.assistantText.trim(), PLAN);

      // Who shows a turn, or asks by the AI SDK, hears the plan as well as the words around it.
      const whole = `${proposed("Here it is.\n")}Shall I?`;
      for (const show of [toUIMessageStream, toEvents]) {
        const stream = await session.askStream(world.prompt([whole]), { mode: "plan" });
        const told: string[] = [];
        for await (const each of show(stream)) told.push("delta" in each ? `${each.delta}` : "");
        for (const words of [PLAN, "Here it is.", "Shall I?"]) {
          assert.ok(told.join("").includes(words), `${words} in ${told}`);
        }
      }
      await using model = codexModel(client, { cwd: world.cwd, mode: "plan" });
      const user = (text: string) => ({ role: "user" as const, content: [{ type: "text", text }] });
      const asking = user(world.prompt([whole]));
      const first = await model.doGenerate({ prompt: [asking] });
      const texts = first.content.map((part) => part.type === "text" ? part.text : "");
      assert.ok(texts.some((text) => text.includes(PLAN)) && texts.join("").includes("Shall I?"));
      const words = {
        role: "assistant" as const,
        content: [{ type: "text", text: texts.join("") }],
      };
      const second = await model.doGenerate({ prompt: [asking, words, user("Do it.")] });
      const threads = [first, second].map((each) => each.providerMetadata["codex"]!["threadId"]);
      assert.equal(threads[0], threads[1], "it is the thread that has proposed the plan");

      // A compaction, which codex works on by itself, is possible in between.
      await session.compact();

      // A thread that was left in the middle of planning is taken up for work.
      const planner = await client.startSession({ cwd: world.cwd, mode: "plan" });
      await planner.ask("four");
      assert.equal(toldMode(last(world)), "Plan");
      const { threadId } = planner;
      await planner.release();
      const resumed = await client.resumeSession(threadId, { cwd: world.cwd });
      assert.equal(resumed.profile.mode, "default");
      await resumed.ask("five");
      assert.equal(toldMode(last(world)), "Default");
      const copy = await resumed.fork({ mode: "plan" });
      await copy.ask("six");
      assert.equal(toldMode(last(world)), "Plan");

      // A turn's own model ends with the turn, in either mode.
      await session.ask("seven", { model: "other-model", mode: "plan" });
      assert.equal(last(world).model, "other-model");
      await session.ask("eight");
      assert.equal(last(world).model, "scripted-model");
      await session.ask("nine", { model: "other-model" });
      assert.equal(last(world).model, "other-model");
      await session.ask("ten");
      assert.equal(last(world).model, "scripted-model");

      // However a plan ends, the next prompt is work.
      const lost = script.httpError(400, { error: { message: "no plan today" } });
      assert.ok(await rejection(session.ask(world.prompt([lost]), { mode: "plan" })));
      await session.ask("after a failure");
      assert.equal(toldMode(last(world)), "Default");
      const stop = new AbortController();
      const given = new Error("enough");
      const aborted = session.ask(
        world.prompt(() => {
          stop.abort(given);
          return [script.hang()];
        }),
        { mode: "plan", signal: stop.signal },
      );
      assert.equal(await rejection(aborted), given);
      await session.ask("after an abort");
      assert.equal(toldMode(last(world)), "Default");
      const hanging = world.prompt([[script.hang()]]);
      const stopped = await session.askStream(hanging, { mode: "plan" });
      await stopped.interrupt();
      assert.ok(await rejection(stopped.finish()));
      await session.ask("after an interruption");
      assert.equal(toldMode(last(world)), "Default");

      await session.update({ mode: "plan" });
      await session.ask("eleven");
      assert.equal(toldMode(last(world)), "Plan");
      await session.ask("twelve", { mode: "default" });
      assert.equal(toldMode(last(world)), "Default");

      // A handler that only plans ask is heard under `never`.
      const own = await client.startSession({
        cwd: world.cwd,
        mode: "plan",
        approvals: () => ({ answers: { where: ["a.ts"] } }),
      });
      await own.ask(world.prompt([[script.toolCall("request_user_input", QUESTION)], "done"]));
      assert.match(JSON.stringify(last(world).body["input"]), /a\.ts/);

      const wrong = session.ask("x", { mode: "planning" } as never);
      assert.ok(await rejection(wrong) instanceof InvalidArgumentError);
      const review = session.review({ type: "uncommitted" }, { mode: "plan" } as never);
      assert.ok(await rejection(review) instanceof InvalidArgumentError);
    }));
}

test("a plan that the server refused leaves the next prompt in the right mode [0.104.0]", () =>
  inWorld("0.104.0", async (world) => {
    const client = await world.connect();
    const session = await client.startSession({ cwd: world.cwd, mode: "plan" });
    await session.ask("one");
    // The prompt that would have ended the mode: this codex does not know the effort.
    const refused = await rejection(session.ask("two", { mode: "default", effort: "bogus" }));
    assert.ok(refused instanceof RpcError, `${refused}`);
    await session.ask("three", { mode: "default" });
    assert.equal(toldMode(last(world)), "Default");
  }));
