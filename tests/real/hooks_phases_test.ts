/** Every phase fires on every way to ask, what hooks change arrives at the model, and what they block does not happen. */
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  Client,
  HookBlockedError,
  type plugin,
  type PromptRunResult,
  quickRun,
  QuickRunError,
  Workflow,
} from "../../mod.ts";
import { exec, inPrompt, toolCall } from "../../src/testing/model/script.ts";
import { CODEX_VERSIONS, codexPath, NEWEST_CODEX } from "../_codex.ts";
import { test } from "../_harness.ts";
import { type World, world } from "./_safety_world.ts";

const START = ["preSessionStart", "postSessionStart"];
const ASK = ["preRun", "preTurn", "preToolUse", "postToolUse", "postTurn", "postRun"];
/** A prompt in which the model uses a tool. */
const PROMPT = inPrompt([exec("touch made"), "done"]);
const ACCEPT = () => ({ decision: "accept" }) as const;
const PROFILE = { sandbox: "workspace-write", allowPrivilegedEscalation: true } as const;

interface Recorder {
  hooks: plugin.Hooks;
  seen: plugin.HookContext[];
  /** The phases since the last call. */
  phases(): string[];
}

function recorder(name = "recorder"): Recorder {
  const seen: plugin.HookContext[] = [];
  let told = 0;
  return {
    seen,
    hooks: {
      pre: [{
        name,
        call(context) {
          seen.push(context);
          return { type: "continue" };
        },
      }],
      post: [{ name, call: (context) => void seen.push(context) }],
    },
    phases() {
      const fresh = seen.slice(told).map(({ phase }) => phase);
      told = seen.length;
      return fresh;
    },
  };
}

/** A client whose hooks are recorded. */
async function recorded(
  version: typeof CODEX_VERSIONS[number],
): Promise<World & { log: Recorder }> {
  const log = recorder();
  return Object.assign(await world(version, { hooks: log.hooks, approvals: ACCEPT }), { log });
}

/** What the result says was called, in the order of the calls. */
const reported = (result: PromptRunResult): string[] => result.hooks.ran.map(({ phase }) => phase);

for (const version of CODEX_VERSIONS) {
  test(`all eight phases fire on every way to ask, codex ${version}`, async (t) => {
    await using w = await recorded(version);
    const { client, log, model } = w;

    await t.step("ask and askStream", async () => {
      const { session, cwd } = await w.session({ approvalPolicy: "never" });
      assert.deepEqual(log.phases(), START);
      assert.deepEqual(session.startHooks.ran.map(({ phase }) => phase), START);
      const asked = await session.ask(PROMPT);
      assert.deepEqual(log.phases(), ASK);
      assert.deepEqual(reported(asked), ASK);
      const stream = await session.askStream(PROMPT);
      for await (const _ of stream);
      const streamed = await stream.finish();
      assert.deepEqual(log.phases(), ASK);
      assert.deepEqual(reported(streamed), ASK);
      await session.askWithProfile(PROMPT, {});
      assert.deepEqual(log.phases(), ASK);

      await session.release();
      assert.deepEqual(log.phases(), []);
      const resumed = await client.resumeSession(session.threadId, { cwd, ...PROFILE });
      assert.deepEqual(log.phases(), START);
      assert.equal(log.seen.at(-1)?.threadId, session.threadId);
      const forked = await client.forkSession(session.threadId, { cwd, ...PROFILE });
      assert.deepEqual(log.phases(), START);
      assert.equal(log.seen.at(-1)?.threadId, forked.threadId);
      assert.notEqual(forked.threadId, resumed.threadId);
      await forked.ask(PROMPT);
      assert.deepEqual(log.phases(), ASK);
      await resumed.ask(PROMPT);
      assert.deepEqual(log.phases(), ASK);
      await assert.rejects(client.resumeSession(session.threadId, { cwd }), {
        code: "threadInUse",
      });
    });

    await t.step("run: one run from the start of its session to the end", async () => {
      const { cwd } = await w.session();
      log.phases();
      const result = await client.run(cwd, PROMPT, PROFILE);
      assert.deepEqual(log.phases(), [...START, ...ASK]);
      assert.deepEqual(reported(result), [...START, ...ASK]);
      const ids = new Set(log.seen.slice(-8).map(({ correlationId }) => correlationId));
      assert.equal(ids.size, 1);
    });

    await t.step("quickRun and Workflow.run", async () => {
      const { cwd } = await w.session();
      const codex = await codexPath(version);
      const config = { ...model.clientConfig({ codexPath: codex }), approvals: ACCEPT };
      const quick = recorder();
      const result = await quickRun(cwd, PROMPT, { client: { ...config, hooks: quick.hooks } });
      assert.deepEqual(quick.phases(), [...START, ...ASK]);
      assert.deepEqual(reported(result), [...START, ...ASK]);
      const flow = recorder();
      await using workflow = await Workflow.connect({ cwd, client: config, hooks: flow.hooks });
      await workflow.run(PROMPT);
      assert.deepEqual(flow.phases(), [...START, ...ASK]);
    });
  });
}

test("what pre-hooks change arrives at the model, in order", async (t) => {
  const order: string[] = [];
  const tag = (name: string, phase: plugin.HookPhase): plugin.PreHook => ({
    name,
    phases: [phase],
    call({ prompt, metadata }) {
      order.push(name);
      const notes = [...(metadata["notes"] as string[] ?? []), name];
      return {
        type: "mutate",
        patch: {
          ...(prompt === undefined ? {} : { prompt: `${prompt} ${name}` }),
          metadata: { notes },
        },
      };
    },
  });
  const hooks: plugin.Hooks = {
    pre: [tag("client-run", "preRun"), tag("client-turn", "preTurn"), {
      name: "model at the start",
      phases: ["preSessionStart"],
      call: () => ({ type: "mutate", patch: { model: "model-of-the-start" } }),
    }],
  };
  await using w = await world(NEWEST_CODEX, { hooks, script: () => "answer" });
  const { session, cwd } = await w.session({ hooks: { pre: [tag("session-turn", "preTurn")] } });

  await t.step("prompt, metadata and the model of the session's start", async () => {
    let seen: unknown;
    await session.ask("ask", {
      hooks: {
        pre: [tag("call-turn", "preTurn")],
        post: [{ name: "look", phases: ["postTurn"], call: (c) => void (seen = c.metadata) }],
      },
    });
    const names = ["client-run", "client-turn", "session-turn", "call-turn"];
    assert.deepEqual(order, names);
    assert.deepEqual(seen, { notes: names });
    const request = w.model.requests.at(-1)!;
    assert.equal(request.text, `ask ${names.join(" ")}`);
    assert.equal(request.model, "model-of-the-start");
  });

  await t.step("attachments and the model of one prompt", async () => {
    await writeFile(join(cwd, "notes.txt"), "hello");
    const result = await session.ask("ask", {
      hooks: {
        pre: [{
          name: "attach",
          phases: ["preTurn"],
          call: () => ({
            type: "mutate",
            patch: { attachments: ["notes.txt"], model: "model-of-the-turn" },
          }),
        }],
      },
    });
    assert.deepEqual(result.hooks.issues, []);
    const request = w.model.requests.at(-1)!;
    assert.equal(request.model, "model-of-the-turn");
    assert.match(request.userTexts.join("\n"), /notes\.txt/);
  });

  await t.step("but not what a phase does not take: that is an issue in the result", async () => {
    const result = await w.client.run(cwd, "ask", {
      hooks: {
        pre: [{
          name: "too early",
          phases: ["preSessionStart"],
          call: () => ({ type: "mutate", patch: { prompt: "another" } }),
        }],
      },
    });
    assert.deepEqual(result.hooks.issues.map((one) => [one.hookName, one.phase, one.class]), [
      ["too early", "preSessionStart", "validation"],
    ]);
    assert.match(w.model.requests.at(-1)!.text, /^ask /);
  });
});

test("a block in any pre phase keeps what follows from happening", async (t) => {
  await using w = await recorded(NEWEST_CODEX);
  const { client, log, model } = w;
  const { session, cwd } = await w.session({ approvalPolicy: "never" });
  const block = (phase: plugin.HookPhase): plugin.Hooks => ({
    pre: [{ name: "stop", phases: [phase], call: () => ({ type: "block", reason: "no" }) }],
  });
  const blocked = (phase: string) => (error: unknown) =>
    error instanceof HookBlockedError && error.hookName === "stop" && error.phase === phase &&
    error.reason === "no";

  await t.step("preSessionStart: no thread", async () => {
    const threads = async () => {
      const { data } = await client.runtime.request("thread/loaded/list", {}) as { data: string[] };
      return data.length;
    };
    const before = await threads();
    await assert.rejects(
      client.startSession({ cwd, hooks: block("preSessionStart") }),
      blocked("preSessionStart"),
    );
    await assert.rejects(
      client.run(cwd, "x", { hooks: block("preSessionStart") }),
      blocked("preSessionStart"),
    );
    await assert.rejects(
      client.forkSession(session.threadId, { cwd, hooks: block("preSessionStart") }),
      blocked("preSessionStart"),
    );
    assert.equal(await threads(), before);
  });
  for (const phase of ["preRun", "preTurn"] as const) {
    await t.step(`${phase}: no turn, on any way`, async () => {
      const requests = model.requests.length;
      const hooks = block(phase);
      await assert.rejects(session.ask("x", { hooks }), blocked(phase));
      await assert.rejects(session.askStream("x", { hooks }), blocked(phase));
      await assert.rejects(client.run(cwd, "x", { hooks }), blocked(phase));
      const config = model.clientConfig({ codexPath: await codexPath(NEWEST_CODEX) });
      await assert.rejects(
        quickRun(cwd, "x", { client: { ...config, hooks } }),
        (error) => error instanceof QuickRunError && blocked(phase)(error.cause),
      );
      assert.equal(model.requests.length, requests);
      assert.equal((await session.ask(inPrompt(["fine"]))).assistantText, "fine");
    });
  }
  await t.step("a blocked turn still ends its run, with the error", async () => {
    log.phases();
    await session.ask("x", { hooks: block("preTurn") }).catch(() => {});
    assert.deepEqual(log.phases(), ["preRun", "preTurn", "postRun"]);
    const last = log.seen.at(-1)!;
    assert.equal(last.status, "error");
    assert.ok(last.error instanceof HookBlockedError);
  });
  await t.step("preToolUse: no effect, and the turn goes on", async () => {
    const place = await w.session({ approvalPolicy: "never", hooks: block("preToolUse") });
    const result = await place.act(exec("touch no"));
    assert.equal(place.has("no"), false);
    assert.equal(result.assistantText, "done");
    const [audit] = place.audits();
    assert.deepEqual([audit?.decidedBy, audit?.rule, audit?.reason], ["hook", "stop", "no"]);
  });
});

test("two hooks of one name are refused before anything is sent", async () => {
  const { hooks } = recorder();
  await using w = await world(NEWEST_CODEX, { hooks });
  const { session } = await w.session();
  const requests = w.model.requests.length;
  for (const layer of [{ pre: hooks.pre! }, { post: hooks.post! }]) {
    await assert.rejects(session.ask("x", { hooks: layer }), { code: "invalidArgument" });
    await assert.rejects(w.session({ hooks: layer }), { code: "invalidArgument" });
  }
  await assert.rejects(Client.connect({ hooks: { pre: [...hooks.pre!, ...hooks.pre!] } }), {
    code: "invalidArgument",
  });
  assert.equal(w.model.requests.length, requests);
});

test("post-hooks of a goal's tools, and of a review's, have ended when it has", async () => {
  const reached = toolCall("update_goal", { status: "complete" });
  const steps = [exec("true"), reached, "reached", exec("true"), "fine"];
  await using w = await world(NEWEST_CODEX, { script: () => steps.shift()! });
  const ended: string[] = [];
  let over = Promise.withResolvers<void>();
  const slow: plugin.PostHook = {
    name: "slow",
    phases: ["postToolUse", "postTurn", "postRun"],
    call: async ({ phase }) => {
      if (phase === "postToolUse") await over.promise;
      ended.push(phase);
    },
  };
  const { session } = await w.session({ approvalPolicy: "never", hooks: { post: [slow] } });
  void (async () => {
    for await (const { type } of session.events()) {
      if (type !== "turnCompleted") continue;
      // Whatever its end brings about without an answer of codex's has happened when codex has answered some more.
      for (let answers = 0; answers < 10; answers++) await w.client.models();
      over.resolve();
    }
  })();
  const goal = await session.startGoal("Reach it.");
  const { turns } = await goal.finish();
  assert.deepEqual(ended.splice(0), ["postToolUse", "postRun"]);
  assert.deepEqual(turns[0]!.hooks.ran.map(({ phase }) => phase), ["postToolUse", "postRun"]);
  over = Promise.withResolvers();
  await session.review({ type: "custom", instructions: "Look." });
  assert.deepEqual(ended, ["postToolUse", "postTurn", "postRun"]);
});
