/** What a session does with its thread beside asking, on the real codex: copies, samples, names, items, settings, others' turns. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  InvalidArgumentError,
  RpcError,
  SessionClosedError,
  UnsupportedError,
} from "../../src/errors/mod.ts";
import { coreOf } from "../../src/runtime/mod.ts";
import type { SessionEvent } from "../../src/session/events/session_event.ts";
import { script } from "../../src/testing/mod.ts";
import { codexes } from "../_codex.ts";
import { test } from "../_harness.ts";
import { inWorld, rejection, SOON_MS, within, type World } from "./_session_world.ts";

const VERSIONS = codexes("0.169.0", "0.145.0", "0.104.0");

/** The prompts that the model was shown last. */
function heard(world: World): string[] {
  const { userTexts } = world.model.requests.at(-1)!;
  return userTexts.filter((text) => !text.startsWith("<") && !text.startsWith("# AGENTS"));
}

for (const version of VERSIONS) {
  test(`fork() copies up to a turn, with the session's own settings [${version}]`, () =>
    inWorld(version, async (world) => {
      const client = await world.connect();
      const session = await client.startSession({ cwd: world.cwd, effort: "low" });
      const [one, two] = [
        await session.ask("one"),
        await session.ask("two"),
        await session.ask("3"),
      ];
      const cases: [object, string[]][] = [
        [{}, ["one", "two", "3", "more"]],
        [{ after: one.turnId }, ["one", "more"]],
        [{ before: two.turnId }, ["one", "more"]],
        [{ after: two.turnId }, ["one", "two", "more"]],
        [{ before: one.turnId }, ["more"]],
      ];
      for (const [at, expected] of cases) {
        const copy = await session.fork(at);
        assert.notEqual(copy.threadId, session.threadId);
        assert.equal(copy.profile.effort, "low");
        const { usage } = await copy.ask("more");
        assert.deepEqual(heard(world), expected, JSON.stringify(at));
        assert.equal(usage?.totalTokens, 13, "what the original used is not the copy's");
        await copy.close();
      }
      const other = await client.forkSession(session.threadId, {
        cwd: world.cwd,
        after: one.turnId,
        effort: "high",
      });
      await other.ask("more");
      assert.deepEqual(heard(world), ["one", "more"]);
      assert.equal(other.profile.effort, "high");

      const both = session.fork({ after: one.turnId, before: two.turnId });
      assert.ok(await rejection(both) instanceof InvalidArgumentError);
      const unknown = await rejection(session.fork({ after: crypto.randomUUID() }));
      assert.ok(
        unknown instanceof InvalidArgumentError || unknown instanceof RpcError,
        `${unknown}`,
      );
      // The conversation itself is as it was.
      await session.ask("four");
      assert.deepEqual(heard(world), ["one", "two", "3", "four"]);
    }));

  test(`sample() and fork() go by what a session has for its turns [${version}]`, () =>
    inWorld(version, async (world) => {
      const client = await world.connect();
      const file = join(world.cwd, "notes.txt");
      writeFileSync(file, "");
      const session = await client.startSession({
        cwd: world.cwd,
        sandbox: "workspace-write",
        allowPrivilegedEscalation: true,
        networkAccess: true,
        approvalPolicy: "untrusted",
        approvals: { rules: [{ effect: "deny", command: ["awk"] }] },
        outputSchema: { type: "object", properties: {}, additionalProperties: false },
        attachments: [file],
      });
      for (const used of [false, true]) {
        // A codex that serves samples itself offers no tools.
        const calls = !used || version !== "0.169.0";
        const asks = world.prompt((_, round) =>
          round === 0 && calls ? [script.exec("awk 'BEGIN { print 41 + 1 }'")] : "A"
        );
        assert.equal((await session.sample(asks)).text, "A");
        const { toolOutputs, userTexts } = world.model.requests.at(-1)!;
        assert.equal(toolOutputs.some(({ text }) => /\b42\b/.test(text)), false);
        assert.equal(userTexts.at(-1)!.includes("notes.txt"), false);
        if (!used) await session.ask(world.prompt(["{}"]));
      }
      const planning = await client.startSession({
        cwd: world.cwd,
        mode: "plan",
        checkpoints: true,
      });
      assert.equal((await planning.sample("A title?")).text, "You said: A title?");
      assert.doesNotMatch(JSON.stringify(world.model.requests.at(-1)!.body), /proposed_plan/);
      await planning.close();
      const copy = await session.fork({ networkAccess: false });
      const { sandbox } = copy.policy;
      assert.equal("networkAccess" in sandbox && sandbox.networkAccess === true, false);
      await copy.close();
    }));

  if (version !== "0.104.0") {
    test(`sample() and fork() know what was injected before the first turn [${version}]`, () =>
      inWorld(version, async (world) => {
        const client = await world.connect();
        const session = await client.startSession({ cwd: world.cwd });
        const content = [{ type: "input_text", text: "The build is green." }];
        await session.inject([{ type: "message", role: "user", content }]);
        assert.equal((await session.sample("A title?")).text, "You said: A title?");
        assert.deepEqual(heard(world), ["The build is green.", "A title?"]);
        const copy = await session.fork();
        await copy.ask("one");
        assert.deepEqual(heard(world), ["The build is green.", "one"]);
      }));
  }

  test(`sample(), rename(), inject() and update() do as they say [${version}]`, () =>
    inWorld(version, async (world) => {
      const client = await world.connect();
      const session = await client.startSession({ cwd: world.cwd });
      const events: SessionEvent[] = [];
      const listening = (async () => {
        for await (const event of session.events()) events.push(event);
      })();

      // Before the first turn there is nothing to copy.
      assert.equal((await session.sample("hello?")).text, "You said: hello?");
      await session.ask("one");
      const before = client.usage.totalTokens;
      const { text, usage } = await session.sample("A title?");
      assert.equal(text, "You said: A title?");
      assert.equal(usage?.totalTokens, 13);
      assert.equal(client.usage.totalTokens - before, 13);
      assert.equal(session.usage.totalTokens, client.usage.totalTokens);
      assert.ok(heard(world).includes("one"), "the question sees the conversation");
      await session.ask("two");
      assert.deepEqual(heard(world), ["one", "two"], "the conversation does not see the question");

      // Codex 0.169 itself takes no more than 4,000 bytes.
      const long = "é".repeat(2_001);
      assert.equal((await session.sample(long)).text, `You said: ${long}`);
      assert.deepEqual(heard(world), ["one", "two", long]);
      assert.ok(await rejection(session.sample(" ")) instanceof InvalidArgumentError);
      const passing = await client.startSession({ cwd: world.cwd, ephemeral: true });
      assert.equal((await passing.sample("now?")).text, "You said: now?");
      await passing.ask("used");
      assert.ok(await rejection(passing.sample("then?")) instanceof InvalidArgumentError);
      await passing.close();

      // A question that waits behind a prompt, and one that is given up.
      const gate = Promise.withResolvers<void>();
      const slow = session.ask(world.prompt([[script.gate(gate.promise), "slow"]]));
      const waiting = session.sample("later?");
      const reason = new Error("enough");
      const stop = new AbortController();
      const givenUp = rejection(session.sample("never?", { signal: stop.signal }));
      stop.abort(reason);
      assert.equal(await within(SOON_MS, "the abort", givenUp), reason);
      gate.resolve();
      assert.equal((await slow).assistantText, "slow");
      assert.equal((await waiting).text, "You said: later?");

      await session.rename("Pears");
      const listed = [];
      for await (const thread of client.threads()) listed.push(thread);
      if (version !== "0.104.0") {
        assert.equal(listed.find((each) => each.threadId === session.threadId)?.name, "Pears");
      }
      assert.ok(await rejection(session.rename("")) instanceof InvalidArgumentError);

      const item = {
        type: "message",
        role: "user",
        content: [{ type: "input_text", text: "The build is green." }],
      };
      const out = client.runtime.metrics().messagesOut;
      const injected = session.inject([item]);
      if (version === "0.104.0") {
        const error = await rejection(injected);
        assert.ok(error instanceof UnsupportedError, `${error}`);
        assert.equal(error.feature, "inject");
        assert.equal(error.since, "0.125.0");
        assert.equal(client.runtime.metrics().messagesOut, out, "nothing was sent");
      } else {
        await injected;
        await session.ask("three");
        assert.ok(heard(world).includes("The build is green."));
      }

      await session.update({ model: "other-model", effort: "high" });
      assert.equal(session.profile.effort, "high");
      await session.ask("four");
      assert.equal(world.model.requests.at(-1)!.model, "other-model");
      await session.ask("five", { effort: "low" });
      await session.ask("six");
      const { reasoning } = world.model.requests.at(-1)!.body;
      // 0.104 sends no effort to a model that it does not know.
      const sent = version === "0.104.0" ? undefined : "high";
      assert.equal((reasoning as { effort: string } | undefined)?.effort, sent);

      await session.close();
      await listening;
      const renamed = events.filter(({ type }) => type === "nameChanged");
      assert.deepEqual(renamed.map((event) => "name" in event ? event.name : ""), ["Pears"]);
      assert.ok(await rejection(session.sample("x")) instanceof SessionClosedError);
      assert.ok(await rejection(session.rename("x")) instanceof SessionClosedError);
    }));

  test(`nextTurn() hands out a turn that something else began [${version}]`, () =>
    inWorld(version, async (world) => {
      const client = await world.connect();
      const session = await client.startSession({ cwd: world.cwd, limits: { modelCalls: 2 } });
      const core = coreOf(client.runtime);
      const start = (text: string) =>
        core.call("turn/start", {
          threadId: session.threadId,
          input: [{ type: "text", text }],
        });
      await session.ask("one");
      const next = session.nextTurn();
      await start("by somebody else");
      const stream = await within(SOON_MS, "the turn", next);
      const types: string[] = [];
      for await (const { type } of stream) types.push(type);
      const result = await stream.finish();
      assert.equal(result.assistantText, "You said: by somebody else");
      assert.equal(result.usage?.totalTokens, 13);
      assert.equal(result.turnId, stream.turnId);
      assert.equal(types.at(-1), "turnCompleted");
      assert.ok(types.includes("assistantMessageDelta"));
      // It is counted once, and the next prompt is a turn of its own.
      assert.equal(session.usage.totalTokens, 26);
      assert.equal((await session.ask("two")).assistantText, "You said: two");

      // The session's limits hold for it, and leaving its stream stops it.
      const looping = session.nextTurn();
      await start(world.prompt(() => [script.exec("true")]));
      const error = await within(SOON_MS, "the limit", rejection((await looping).finish()));
      assert.equal((error as { code?: string }).code, "budgetExceeded");
      const hanging = session.nextTurn();
      await start(world.prompt([[script.hang()]]));
      await using left = await hanging;
      await left.interrupt();
      assert.equal(
        (await rejection(left.finish()) as { code?: string }).code,
        "turnInterrupted",
      );

      const stop = new AbortController();
      const reason = new Error("enough");
      const waiting = rejection(session.nextTurn({ signal: stop.signal }));
      stop.abort(reason);
      assert.equal(await waiting, reason);
      const last = rejection(session.nextTurn());
      await session.close();
      assert.ok(await within(SOON_MS, "the end", last) instanceof SessionClosedError);
    }));
}
