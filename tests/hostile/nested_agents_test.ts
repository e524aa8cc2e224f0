/**
 * Agents that start agents that start agents, several at once: whatever ends the prompt that they work for ends all of them, and
 * what goes on when the prompt is over is bounded, told and counted.
 */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import {
  BudgetExceededError,
  ConnectionClosedError,
  PolicyError,
  TurnInterruptedError,
} from "../../src/errors/mod.ts";
import type { HookAction } from "../../src/plugin/types.ts";
import type { EventEnvelope } from "../../src/runtime/log/event_envelope.ts";
import type { SessionEvent } from "../../src/session/events/session_event.ts";
import type { Client } from "../../src/session/client/client.ts";
import type { RunProfile, SessionConfig } from "../../src/session/profile.ts";
import { tool } from "../../src/session/namespace.ts";
import type { Session } from "../../src/session/session.ts";
import { type ModelRequest, type ModelStep, script } from "../../src/testing/mod.ts";
import { codexes, tries } from "../_codex.ts";
import { test } from "../_harness.ts";
import { callMcp } from "../real/_mcp_world.ts";
import { inWorld, rejection, within, type World } from "../real/_session_world.ts";

const LIMIT_MS = 40_000;
const USAGE = script.usage({ inputTokens: 10, outputTokens: 3 });

/** The agents of codex up to 0.169 (`multi_agent`), and those of newer models, which are named (`multi_agent_v2`). */
type Kind = "v1" | "v2";

const CONFIG: Record<Kind, NonNullable<RunProfile["config"]>> = {
  v1: { "features.multi_agent": true, "agents.max_depth": 5, "agents.max_threads": 20 },
  v2: { "features.multi_agent_v2": { enabled: true, max_concurrent_threads_per_session: 20 } },
};

const BLOCK = { type: "block", reason: "no" } as const;

let commands = 17_000;

async function until(what: string, look: () => boolean): Promise<void> {
  const deadline = performance.now() + LIMIT_MS;
  while (!look()) {
    if (performance.now() > deadline) throw new Error(`${what} did not happen`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** The ids of the agents that an agent of the old kind has started, as its model was told. */
function started({ body }: ModelRequest): string[] {
  const ids = JSON.stringify(body).matchAll(/agent_id\\*":\\*"([0-9a-f-]{36})/g);
  return [...new Set(Array.from(ids, ([, id]) => id!))];
}

/** A prompt whose agent starts so many agents, which each start so many, and so on; the last ones do `work`. All wait. */
function tree(world: World, kind: Kind, shape: number[], work: () => string): string {
  const [width, ...rest] = shape;
  if (width === undefined) return work();
  const tasks = Array.from({ length: width }, () => tree(world, kind, rest, work));
  const namespace = { namespace: kind === "v1" ? "multi_agent_v1" : "collaboration" };
  return world.prompt((request, round): ModelStep[] => {
    if (round === 0) {
      return [
        ...tasks.map((message, n) => {
          const args = kind === "v1"
            ? { message }
            : { task_name: `t${n}`, message, fork_turns: "none" };
          return script.toolCall("spawn_agent", args, namespace);
        }),
        USAGE,
      ];
    }
    const wait = kind === "v1"
      ? { targets: started(request).slice(round - 1, round), timeout_ms: 60_000 }
      : { timeout_ms: 60_000 };
    const answers = JSON.stringify(request.body).split("Message Type: FINAL_ANSWER").length - 1;
    if (round > width || answers >= width || wait.targets?.length === 0) {
      return [script.say("all done"), USAGE];
    }
    return [script.toolCall("wait_agent", wait, namespace), USAGE];
  }, `Start ${width}.`);
}

/** Work that does not end by itself. */
function sleeps(world: World, names: string[]): () => string {
  return () => {
    const command = `sleep ${++commands}`;
    names.push(command);
    return world.prompt((
      _,
      round,
    ) => [round === 0 ? script.exec(command) : script.say("x"), USAGE]);
  };
}

/** What is on the wire, and what the session tells of it. */
class Watch {
  readonly wire: { method: string; params: Record<string, unknown> }[] = [];
  readonly told: SessionEvent[] = [];

  log(event: EventEnvelope): void {
    if (event.kind === "notification") this.wire.push(event.message as never);
  }

  listen(session: Session): void {
    const events = session.events({ subAgents: true });
    void (async () => {
      for await (const event of events) this.told.push(event);
    })();
  }

  /** Every turn on the wire is told once, as begun and as ended, and every token is counted once. */
  assertWhole(session: Session): void {
    const told = (type: string) => turnsTold(this.told, type);
    const begun = this.wire.filter(({ method }) => method === "turn/started")
      .map(({ params }) => (params["turn"] as { id: string }).id);
    assert.deepEqual(told("turnStarted").toSorted(), begun.toSorted());
    assert.deepEqual(told("turnCompleted").toSorted(), begun.toSorted());
    const totals = new Map<string, number>();
    for (const { method, params } of this.wire) {
      if (method !== "thread/tokenUsage/updated") continue;
      const { total } = params["tokenUsage"] as { total: { totalTokens: number } };
      totals.set(String(params["threadId"]), total.totalTokens);
    }
    const sum = [...totals.values()].reduce((all, each) => all + each, 0);
    assert.equal(session.usage.totalTokens, sum);
  }
}

/** The turns of which the session has told this. */
function turnsTold(events: readonly SessionEvent[], type: string): string[] {
  return events.flatMap((each) => each.type === "subAgent" ? [each.event] : [each])
    .filter((each) => each.type === type).map((each) => (each as { turnId: string }).turnId);
}

/** None of the commands runs, and the model hears nothing more. */
async function assertGone(world: World, names: string[]): Promise<void> {
  await until(
    "the end of the commands",
    () => names.every((name) => world.commands(name).length === 0),
  );
  assert.ok(await world.isQuiet(), "the model hears more");
}

async function watched(
  world: World,
  profile: Omit<SessionConfig, "cwd">,
): Promise<{ client: Client; session: Session; watch: Watch }> {
  const watch = new Watch();
  const client = await world.connect({ eventLog: { write: (event) => watch.log(event) } });
  const session = await client.startSession({ cwd: world.cwd, ...profile });
  watch.listen(session);
  return { client, session, watch };
}

for (const [version, kind] of [["0.169.0", "v1"], ["0.145.0", "v2"]] as const) {
  test(
    `three generations of agents end with their prompt, in the middle of their starts as well [${version}]`,
    { timeoutMs: 240_000 },
    () =>
      inWorld(version, async (world) => {
        // When the first, or the last, of them is at work; and when the model has been asked so many times.
        const moments = tries(
          ["first", "last", "release", 2, 4, 6, 8],
          // Whom of them it meets at work is no matter of the kind of agent.
          kind === "v1" ? ["first", "release", 6] : ["last", 4],
        );
        for (const moment of moments) {
          const watch = new Watch();
          await using client = await world.connect({
            eventLog: { write: (event) => watch.log(event) },
          });
          const session = await client.startSession({ cwd: world.cwd, config: CONFIG[kind] });
          watch.listen(session);
          const names: string[] = [];
          const asked = world.model.requests.length;
          const stream = await session.askStream(
            tree(world, kind, [2, 1, 1], sleeps(world, names)),
          );
          const runs = (name: string) => world.commands(name).length > 0;
          await until(`the moment ${moment}`, () =>
            moment === "first"
              ? names.some(runs)
              : typeof moment === "string"
              ? names.every(runs)
              : world.model.requests.length >= asked + moment);
          const stopped = moment === "release"
            ? session.release()
            : moment === "first"
            ? stream.interrupt()
            : session.interrupt();
          await within(LIMIT_MS, `the end at ${moment}`, stopped);
          assert.ok(await rejection(stream.finish()) instanceof TurnInterruptedError);
          await assertGone(world, names);
          if (moment !== "release") {
            const next = session.ask(world.prompt(() => [script.say("next"), USAGE]));
            assert.equal((await within(LIMIT_MS, "the next prompt", next)).assistantText, "next");
          }
          await within(LIMIT_MS, "close()", session.close());
          watch.assertWhole(session);
        }
        // All go on to their ends.
        const { session, watch } = await watched(world, { config: CONFIG[kind] });
        const quick = () =>
          world.prompt(() => [script.say("leaf"), USAGE]);
        const whole = session.ask(tree(world, kind, [2, 1, 1], quick));
        assert.equal((await within(LIMIT_MS, "the prompt", whole)).assistantText, "all done");
        await session.close();
        watch.assertWhole(session);
      }),
  );
}

test(
  "agents side by side stay within the limits of their prompt, and so does one that outlives it",
  () =>
    inWorld("0.169.0", async (world) => {
      const { client, session, watch } = await watched(world, {
        config: CONFIG.v1,
        limits: { modelCalls: 6 },
      });
      const names: string[] = [];
      // Codex tells of the calls that these make only when the commands have ended.
      const asked = rejection(session.ask(tree(world, "v1", [2, 1, 1], sleeps(world, names))));
      const error = await within(LIMIT_MS, "the limit", asked);
      assert.ok(error instanceof BudgetExceededError, `${error}`);
      assert.ok(error.used <= 6, `${error.used}`);
      assert.equal(names.filter((name) => world.commands(name).length > 0).length, 0);
      await assertGone(world, names);

      const loop = world.prompt(() => [script.exec("true"), USAGE]);
      const spawns = (message: string) =>
        world.prompt((_, round) => {
          if (round > 0) return [script.say("went"), USAGE];
          const to = { namespace: "multi_agent_v1" };
          return [script.toolCall("spawn_agent", { message }, to), USAGE];
        });
      const before = world.model.requests.length;
      assert.equal((await session.ask(spawns(loop))).assistantText, "went");
      const warned = () =>
        watch.told.some((each) =>
          each.type === "warning" && /more than its prompt/.test(each.message)
        );
      await until("the warning", warned);
      await until("the end of its turn", () =>
        turnsTold(watch.told, "turnCompleted").length ===
          turnsTold(watch.told, "turnStarted").length);
      const heard = world.model.requests.length - before;
      assert.ok(heard <= 7, `${heard} calls`);
      await assertGone(world, []);

      // One that a turn of somebody else's has started: a prompt of ours is not stopped for what that turn may use.
      const ours = Promise.withResolvers<void>();
      const agentEnds = Promise.withResolvers<void>();
      const gated = world.prompt(() => [script.gate(ours.promise), script.exec("true"), USAGE]);
      const ended = () => turnsTold(watch.told, "turnCompleted").length;
      const sofar = ended();
      await client.runtime.request("turn/start", {
        threadId: session.threadId,
        input: [{ type: "text", text: spawns(gated), text_elements: [] }],
      });
      await until("the end of that turn", () => ended() === sofar + 1);
      const asks = session.ask(world.prompt(() => {
        ours.resolve();
        return [script.gate(agentEnds.promise), script.say("ours"), USAGE];
      }));
      await until("the end of the agent", () => ended() === sofar + 2);
      agentEnds.resolve();
      assert.equal((await within(LIMIT_MS, "the prompt", asks)).assistantText, "ours");
      await session.close();
      watch.assertWhole(session);
    }),
);

test(
  "an agent that outlives its prompt has the session's time, and what it has left running ends with the session",
  () =>
    inWorld("0.169.0", async (world) => {
      const { session, watch } = await watched(world, { config: CONFIG.v1, timeoutMs: 4_000 });
      const spawns = (message: string) =>
        world.prompt((_, round) => {
          if (round === 0) {
            const to = { namespace: "multi_agent_v1" };
            return [script.toolCall("spawn_agent", { message }, to), USAGE];
          }
          return [script.say("went"), USAGE];
        });
      const names: string[] = [];
      await session.ask(spawns(sleeps(world, names)()));
      const ends = () =>
        watch.told.flatMap((each) =>
          each.type === "subAgent" && each.event.type === "turnCompleted" ? [each.event.status] : []
        );
      await until("the end of its turn", () => ends().length === 1);
      assert.deepEqual(ends(), ["timedOut"]);
      await assertGone(world, names);
      // Its turn has ended, and its command goes on behind it.
      const left = `sleep ${++commands}`;
      const leaves = world.prompt((_, round) => [
        round === 0 ? script.exec(left, { yield_time_ms: 250 }) : script.say("left"),
        USAGE,
      ]);
      await session.ask(spawns(leaves));
      await until("the end of its turn", () => ends().length === 2);
      assert.equal(ends()[1], "completed");
      assert.notDeepEqual(world.commands(left), []);
      await session.release();
      await assertGone(world, [left]);
      watch.assertWhole(session);
    }),
);

test(
  "an agent of an earlier prompt that a later one waits for has the time of that one",
  () =>
    inWorld("0.145.0", async (world) => {
      const { session, watch } = await watched(world, { config: CONFIG.v2, timeoutMs: 2_000 });
      const gate = Promise.withResolvers<void>();
      const message = world.prompt(() => [script.gate(gate.promise), script.say("leaf"), USAGE]);
      const to = { namespace: "collaboration" };
      const args = { task_name: "t", message, fork_turns: "none" };
      const calls = (name: string, given: typeof args | { timeout_ms: number }) =>
        world.prompt((_, round) => [
          round === 0 ? script.toolCall(name, given, to) : script.say("went"),
          USAGE,
        ]);
      await session.ask(calls("spawn_agent", args));
      const waits = calls("wait_agent", { timeout_ms: 30_000 });
      const asked = session.ask(waits, { timeoutMs: LIMIT_MS });
      // Longer than the session's time.
      setTimeout(() => gate.resolve(), 3_000);
      assert.equal((await within(LIMIT_MS, "the prompt", asked)).assistantText, "went");
      assert.ok(!watch.told.some(({ type }) => type === "warning"));
      await session.close();
      watch.assertWhole(session);
    }),
);

test(
  "what agents of agents ask is the session's to answer, and all of them end when codex dies",
  () =>
    inWorld("0.169.0", async (world) => {
      const watch = new Watch();
      const client = await world.connect({ eventLog: { write: (event) => watch.log(event) } });
      const asked: string[] = [];
      const dies = Promise.withResolvers<void>();
      const config: SessionConfig = {
        cwd: world.cwd,
        config: CONFIG.v1,
        approvalPolicy: "untrusted",
        approvals: (request) => {
          asked.push(request.threadId!);
          if (asked.length <= 2) return { decision: "decline" };
          // As long as this one is not answered, all of them wait.
          if (asked.length === 4) dies.resolve();
          return new Promise<never>(() => {});
        },
      };
      const session = await client.startSession(config);
      watch.listen(session);
      const touches = () =>
        world.prompt((
          _,
          round,
        ) => [round === 0 ? script.exec("touch x") : script.say("leaf"), USAGE]);
      const whole = session.ask(tree(world, "v1", [1, 2], touches));
      assert.equal((await within(LIMIT_MS, "the prompt", whole)).assistantText, "all done");
      const agents = new Set(asked);
      assert.equal(agents.size, 2);
      const named = new Set(
        watch.told.flatMap((each) => each.type === "subAgent" ? [each.threadId] : []),
      );
      assert.equal(named.size, 3);
      assert.ok([...agents].every((threadId) => named.has(threadId)));
      const other = await client.startSession(config);
      watch.listen(other);
      const stuck = rejection(other.ask(tree(world, "v1", [1, 2], touches)));
      await within(LIMIT_MS, "the questions", dies.promise);
      process.kill(client.runtime.pid!, "SIGKILL");
      const error = await within(LIMIT_MS, "the prompt", stuck);
      assert.ok(error instanceof ConnectionClosedError, `${error}`);
      await until("the ends", () =>
        turnsTold(watch.told, "turnCompleted").length ===
          turnsTold(watch.told, "turnStarted").length);
      assert.equal(turnsTold(watch.told, "turnStarted").length, 8);
      assert.deepEqual(client.approvals.pending(), []);
    }),
);

for (const version of codexes("0.169.0", "0.145.0")) {
  test(
    `a goal that ends between its turns without being reached leaves no agent at work [${version}]`,
    { timeoutMs: 240_000 },
    () =>
      inWorld(version, async (world) => {
        const client = await world.connect();
        const session = await client.startSession({ cwd: world.cwd, config: CONFIG.v1 });
        const [turnEnds, agentEnds] = [
          Promise.withResolvers<void>(),
          Promise.withResolvers<void>(),
        ];
        let main: string | null | undefined;
        let [calls, rounds] = [0, 0];
        let name = "";
        const objective = world.prompt((request): ModelStep[] => {
          main ??= request.threadId;
          if (request.threadId !== main) {
            calls++;
            return [script.gate(agentEnds.promise), script.exec("true"), USAGE];
          }
          if (rounds++ > 0) return [script.gate(turnEnds.promise), script.say("on"), USAGE];
          const to = { namespace: "multi_agent_v1" };
          return [script.toolCall("spawn_agent", { message: `Work for ${name}` }, to), USAGE];
        }, "Reach it.");
        name = objective.slice(objective.indexOf("["));
        const goal = await session.startGoal(objective);
        await until("the agent", () => calls === 1 && rounds === 2);
        // Somebody else lets the goal rest: it is over for its caller when the turn has ended.
        const { threadId } = session;
        await client.runtime.request("thread/goal/set", { threadId, status: "paused" });
        turnEnds.resolve();
        const { status } = await within(LIMIT_MS, "the goal", goal.finish());
        assert.equal(status, "stopped");
        agentEnds.resolve();
        assert.ok(await world.isQuiet(), "the agent goes on");
        assert.equal(calls, 1);
        await within(LIMIT_MS, "close()", session.close());
      }),
  );
}

for (const version of codexes("0.169.0", "0.145.0")) {
  test(`no agent writes for a turn that may only read, codex ${version}`, () =>
    inWorld(version, async (world) => {
      const { client, session } = await watched(world, {
        config: CONFIG.v2,
        sandbox: "workspace-write",
        allowPrivilegedEscalation: true,
      });
      const to = { namespace: "collaboration" };
      const call = (tool: string, args: Record<string, string | number>) =>
        script.toolCall(tool, args, to);
      const idle = world.prompt(["idle"]);
      const spawn = { task_name: "kid", message: idle, fork_turns: "none" };
      const wait = call("wait_agent", { timeout_ms: 60_000 });
      await session.ask(world.prompt([[call("spawn_agent", spawn)], [wait], "started"]));

      const write = (name: string) => world.prompt([[script.exec(`touch ${name}`)], "wrote"]);
      const work = (name: string) => {
        const message = write(name);
        const again = call("followup_task", { target: "kid", message });
        return world.prompt([[again], [wait], "worked"]);
      };
      // It keeps the sandbox of the turn that started it.
      await assert.rejects(session.ask(work("less"), { sandbox: "read-only" }), PolicyError);
      // And its approval policy: nobody would be asked, nor a hook.
      const phases = ["preToolUse" as const];
      const hooks = { pre: [{ name: "no", phases, call: () => BLOCK }] };
      for (const more of [{ approvalPolicy: "untrusted" as const }, { hooks }]) {
        await assert.rejects(session.ask(work("unasked"), more), PolicyError);
      }
      await session.ask(work("same"));
      await session.release();
      // Nor for the thread's next session, as long as the agent is there.
      const less = { cwd: world.cwd, config: CONFIG.v2 };
      await assert.rejects(client.resumeSession(session.threadId, less), PolicyError);
      await client.shutdown();
      const other = await world.connect();
      const next = await other.resumeSession(session.threadId, less);
      await next.ask(work("next"));
      assert.deepEqual(await readdir(world.cwd), ["same"]);
    }));
}

for (const [version, kind] of [["0.169.0", "v1"], ["0.145.0", "v2"]] as const) {
  test(`the hooks of a prompt judge its agents to their end, codex ${version}`, () =>
    inWorld(version, async (world) => {
      const seen: string[] = [];
      const hook = (name: string, action: HookAction): Pick<RunProfile, "hooks"> => ({
        hooks: {
          pre: [{
            name,
            phases: ["preToolUse"],
            call: ({ script = "" }) => (seen.push(`${name}: ${script}`), action),
          }],
        },
      });
      const { session } = await watched(world, {
        config: CONFIG[kind],
        sandbox: "workspace-write",
        allowPrivilegedEscalation: true,
        approvalPolicy: "untrusted",
        approvals: () => ({ decision: "accept" }),
        ...hook("session", { type: "continue" }),
      });
      const spawn = (name: string, message: string) =>
        kind === "v1"
          ? script.toolCall("spawn_agent", { message }, { namespace: "multi_agent_v1" })
          : script.toolCall("spawn_agent", { task_name: name, message, fork_turns: "none" }, {
            namespace: "collaboration",
          });
      const gate = Promise.withResolvers<void>();
      const grandchild = world.prompt([[script.exec("touch grandchild")], "done"]);
      const child = world.prompt([
        [script.gate(gate.promise), script.exec("touch child")],
        [spawn("grandchild", grandchild)],
        "done",
      ]);
      await session.ask(world.prompt([[spawn("child", child)], "begun"]), hook("first", BLOCK));
      const second = world.prompt([[script.exec("touch second")], "done"]);
      await session.ask(second, hook("second", { type: "continue" }));
      assert.deepEqual(seen.splice(0), ["session: touch second", "second: touch second"]);
      await session.compact();
      gate.resolve();
      const both = ["child", "grandchild"].flatMap((name) =>
        ["session", "first"].map((by) => `${by}: touch ${name}`)
      );
      await until("their commands", () => seen.length >= both.length);
      assert.deepEqual(seen, both);
      assert.deepEqual(await readdir(world.cwd), ["second"]);
    }));
}

for (const version of codexes("0.169.0", "0.145.0")) {
  test(`an agent has nothing of what the session before had accepted, codex ${version}`, () =>
    inWorld(version, async (world) => {
      await using client = await world.connect();
      const asked: string[] = [];
      const answering = (decision: "acceptForSession" | "decline"): SessionConfig => ({
        cwd: world.cwd,
        config: CONFIG.v2,
        sandbox: "workspace-write",
        approvalPolicy: "untrusted",
        allowPrivilegedEscalation: true,
        approvals: ({ type }) => {
          asked.push(`${type} ${decision}`);
          return { decision };
        },
      });
      const to = { namespace: "collaboration" };
      const message = () => world.prompt([[script.exec("touch there")], "tried"]);
      const has = async (session: Session, tool: string, args: Record<string, string>) => {
        const call = script.toolCall(tool, { message: message(), ...args }, to);
        const wait = script.toolCall("wait_agent", { timeout_ms: 60_000 }, to);
        await session.ask(world.prompt([[call], [wait], "done"]));
      };
      const session = await client.startSession(answering("acceptForSession"));
      await has(session, "spawn_agent", { task_name: "kid", fork_turns: "none" });
      // For this session codex asks no more.
      await has(session, "followup_task", { target: "kid" });
      assert.deepEqual(asked, ["command acceptForSession"]);
      await rm(join(world.cwd, "there"));
      await session.release();

      const next = await client.resumeSession(session.threadId, answering("decline"));
      await has(next, "followup_task", { target: "kid" });
      assert.deepEqual(asked, ["command acceptForSession", "command decline"]);
      assert.deepEqual(await readdir(world.cwd), []);
    }));
}

for (const version of codexes("0.169.0", "0.145.0")) {
  test(`the hooks of a prompt judge the served tools of its agents as well, codex ${version}`, () =>
    inWorld(version, async (world) => {
      const ran: string[] = [];
      const note = tool({
        description: "Notes",
        inputSchema: { type: "object", properties: { by: { type: "string" } } },
        run: ({ by }) => (ran.push(String(by)), "noted"),
      });
      const { session: begun } = await watched(world, { config: CONFIG.v2 });
      await begun.ask("Hello");
      const session = await begun.fork({ tools: { note } });
      const call = (by: string) => callMcp(version, "session_tools", "note", { by });
      const gate = Promise.withResolvers<void>();
      let answer = "";
      const child = world.prompt(({ toolOutputs }: ModelRequest, round): ModelStep[] => {
        if (round === 0) return [script.gate(gate.promise), call("child")];
        answer = toolOutputs.at(-1)?.text ?? "";
        return [script.say("done")];
      });
      const args = { task_name: "child", message: child, fork_turns: "none" };
      const spawn = script.toolCall("spawn_agent", args, { namespace: "collaboration" });
      const phases = ["preToolUse" as const];
      const matcher = { toolName: "note" };
      const hooks = { pre: [{ name: "no", phases, matcher, call: () => BLOCK }] };
      await session.ask(world.prompt([[spawn], "begun"]), { hooks });
      await session.ask(world.prompt([[call("second")], "done"]));
      gate.resolve();
      await until("its call", () => answer !== "");
      assert.match(answer, /no/);
      assert.deepEqual(ran, ["second"]);
      await session.close();
    }));
}

for (const version of codexes("0.169.0", "0.145.0")) {
  test(`what an agent is granted counts in its own sandbox, codex ${version}`, () =>
    inWorld(version, async (world) => {
      const asked = Promise.withResolvers<void>();
      const { session } = await watched(world, {
        config: CONFIG.v2,
        sandbox: "workspace-write",
        allowPrivilegedEscalation: true,
        approvalPolicy: "untrusted",
        approvals: () => (asked.resolve(), { decision: "acceptForSession" }),
      });
      const [begins, ends] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
      const child = world.prompt([
        [script.gate(begins.promise), script.exec("touch child")],
        "done",
      ]);
      const args = { task_name: "child", message: child, fork_turns: "none" };
      const spawn = script.toolCall("spawn_agent", args, { namespace: "collaboration" });
      await session.ask(world.prompt([[spawn], "begun"]));
      const whole = session.ask(world.prompt([[script.gate(ends.promise), script.say("wide")]]), {
        sandbox: "danger-full-access",
      });
      await until("the wide prompt", () => world.model.requests.length >= 4);
      begins.resolve();
      await asked.promise;
      await until("its command", () => existsSync(join(world.cwd, "child")));
      ends.resolve();
      await whole;
      assert.equal((await session.ask(world.prompt(["as before"]))).assistantText, "as before");
      await session.close();
    }));
}
