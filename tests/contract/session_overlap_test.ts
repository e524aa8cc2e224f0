/** Calls on a session that overlap: what was called first holds for what was called after it, and who gives up waits for nothing. */
import assert from "node:assert/strict";
import {
  CodexError,
  ConnectionClosedError,
  PolicyError,
  RequestTimeoutError,
  SessionClosedError,
  TurnInterruptedError,
} from "../../src/errors/mod.ts";
import type { Hooks } from "../../src/plugin/mod.ts";
import type { Session } from "../../src/session/session.ts";
import type { FakeServer, FakeTurn, Message } from "../_fake_server.ts";
import { FakeRpcError, NO_ANSWER, RECORDED_CWD, recordedResult, rewrite } from "../_fake_server.ts";
import { test } from "../_harness.ts";
import { withoutTime } from "../_time.ts";
import { dialects, heldTurns, onFake, quickReview, rejection, startTurn } from "./session_world.ts";

/** What codex answers to whoever sets a goal that is reached at once; `silent` is left without an answer, from its `nth` time on. */
function goalMethods(silent: string | null = null, nth = 1) {
  const goalOf = ({ threadId, status }: Message, server: FakeServer) => {
    const end = status === "active" ? "complete" : status;
    server.notify("thread/goal/updated", { threadId, goal: { objective: "x", status: end } });
    return {};
  };
  const methods: Record<string, (params: Message, server: FakeServer) => unknown> = {
    "thread/goal/clear": () => ({}),
    "thread/goal/set": goalOf,
    "thread/settings/update": () => ({}),
    "thread/read": ({ threadId }) => ({ thread: { id: threadId, status: { type: "idle" } } }),
    "thread/turns/list": () => ({ data: [], nextCursor: null }),
  };
  let times = 0;
  return new Proxy(methods, {
    get: (all, method: string) =>
      method === silent && ++times >= nth ? () => NO_ANSWER : all[method],
  });
}

/** Every request of these methods, in order. */
function sent(server: FakeServer, ...methods: string[]): Message[] {
  return server.received.filter(({ method }) => methods.includes(method));
}

test("what is asked after a change of the settings runs with it, also while both wait in line", async () => {
  await onFake({}, async ({ session, server }) => {
    const calls = [
      session.ask("first"),
      session.update({ effort: "high", mode: "plan" }),
      session.ask("second"),
      session.update({ effort: "low", mode: "default" }),
      session.ask("third"),
    ];
    await Promise.all(calls);
    const told = sent(server(), "turn/start").map(({ params }) => [
      params.effort,
      params.collaborationMode?.mode ?? "default",
    ]);
    assert.deepEqual(told, [["medium", "default"], ["high", "plan"], ["low", "default"]]);
    assert.equal(session.profile.effort, "low");
  });
});

test("a prompt runs with the effort that settings of the client name", async () => {
  const client = { configOverrides: { model_reasoning_effort: "low" } };
  await onFake({ client }, async ({ session, server }) => {
    await session.ask("first");
    assert.equal(sent(server(), "turn/start")[0]!.params.effort, "low");
  });
});

test("a review says what it runs with where it is not certain what the thread has", async () => {
  const updates: string[] = [];
  let refused: FakeRpcError | null = null;
  const methods = {
    "review/start": quickReview,
    "thread/settings/update": ({ effort }: Message) => {
      updates.push(effort);
      if (refused !== null) throw refused;
      return {};
    },
    "turn/start": (params: Message, server: FakeServer) => {
      if (refused !== null) throw refused;
      const { turn, answer } = startTurn(server, params);
      setTimeout(() => (turn.started(), turn.say("ok"), turn.complete()));
      return answer;
    },
    "thread/resume": ({ threadId, cwd }: Message, server: FakeServer) => {
      server.threads.set(threadId, { id: threadId, cwd, turn: null });
      const result = structuredClone(recordedResult("0.169", "threads", "thread/resume"));
      result.thread.id = threadId;
      return { ...result, cwd, approvalPolicy: "never" };
    },
  };
  const client = { restart: { type: "onCrash" as const, baseDelayMs: 1 } };
  await onFake({ server: { methods }, client }, async ({ session, server }) => {
    const review = async () => {
      await session.review({ type: "uncommitted" });
      return updates.splice(0);
    };
    await session.ask("one");
    assert.deepEqual(await review(), [], "as the prompt before it");
    await session.ask("two", { effort: "high" });
    refused = new FakeRpcError("Input exceeds the maximum length", -32602);
    await rejection(session.ask("too long"));
    refused = null;
    assert.deepEqual(await review(), ["medium"], "after a prompt that was refused");
    assert.deepEqual(await review(), [], "after another one");
    refused = new FakeRpcError("too late", -32603);
    await rejection(session.review({ type: "uncommitted" }, { effort: "high" }));
    refused = null;
    assert.deepEqual(await review(), ["high", "medium"], "after a change of which nobody knows");
    const { threadId, cwd } = session;
    const sandboxPolicy = { type: "dangerFullAccess" };
    const threadSettings = { approvalPolicy: "never", sandboxPolicy, cwd };
    const told = session.events();
    server().notify("thread/settings/updated", { threadId, threadSettings });
    await told.next();
    assert.deepEqual(await review(), ["medium"], "after somebody else's change");
    server().crash();
    assert.deepEqual(await review(), ["medium"], "on the next server");
  });
});

test("a session that has planned goes on without a plan, and is asked about its plans only", async () => {
  const approvals = () => ({ decision: "decline" }) as const;
  const own = { mode: "plan", model: "m", approvals } as const;
  const restart = { type: "onCrash" as const, baseDelayMs: 1 };
  await onFake({ session: own, client: { restart } }, async ({ session, client, cwd, server }) => {
    await session.ask("plan");
    await session.update({ mode: "default" });
    assert.equal((await session.ask("do it")).assistantText, "ok");
    server().crash();
    assert.equal((await session.ask("more")).assistantText, "ok", "on the next server");
    assert.ok(await rejection(client.startSession({ cwd, approvals })) instanceof PolicyError);
  });
});

test("a review and a goal that are asked for after a change of the settings run with it", async () => {
  const methods = Object.assign(goalMethods(), { "review/start": quickReview });
  await onFake({ server: { methods } }, async ({ session, server }) => {
    const [, , , goal] = await Promise.all([
      session.ask("first"),
      session.update({ effort: "high" }),
      session.review({ type: "uncommitted" }),
      session.startGoal("x"),
    ]);
    assert.equal((await goal.finish()).status, "complete");
    const updates = sent(server(), "thread/settings/update").map(({ params }) => params.effort);
    assert.deepEqual(updates, ["high", "high"]);
  });
});

for (
  const [method, nth] of [
    ["thread/goal/clear", 1],
    ["thread/unsubscribe", 1],
    ["thread/resume", 1],
    ["thread/settings/update", 1],
    ["thread/goal/set", 1],
  ] as const
) {
  test(`whoever gives up a goal that is being started does not wait for ${method}`, async () => {
    const server = { methods: goalMethods(method, nth) };
    await onFake({ server }, async ({ session, server }) => {
      await session.ask("first");
      const stop = new AbortController();
      const started = session.startGoal("x", { signal: stop.signal });
      await server().waitForMethod(method);
      const enough = new Error("enough");
      stop.abort(enough);
      // Without an answer to what was sent, a limit of 5 s or 30 s would pass before it.
      const first = await Promise.race([rejection(started), server().waitForMethod("never")]);
      assert.equal(first, enough);
    });
  });
}

for (const how of ["dies", "refuses"]) {
  test(`a thread is left without goals where codex ${how} when it is to have them`, async () => {
    const goals: boolean[] = [];
    const methods = goalMethods();
    methods["thread/resume"] = ({ config }, server) => {
      goals.push(config["features.goals"]);
      // Then as always.
      delete methods["thread/resume"];
      if (how === "refuses") throw new FakeRpcError("not now");
      server.crash();
      return NO_ANSWER;
    };
    const client = { restart: { type: "onCrash" as const, baseDelayMs: 1 } };
    await onFake({ server: { methods }, client }, async ({ session, server }) => {
      await session.ask("first");
      await rejection(session.startGoal("x"));
      await session.ask("next");
      const last = sent(server(), "thread/resume").at(-1)!;
      assert.deepEqual([...goals, last.params.config["features.goals"]], [true, false]);
    });
  });
}

test("whoever gives up a goal that is being started does not wait for a hook, or a turn of somebody else", async () => {
  const { answer, turns } = heldTurns();
  const methods = Object.assign(goalMethods(), { "turn/start": answer });
  const called = Promise.withResolvers<AbortSignal>();
  const told = Promise.withResolvers<never>();
  const call = (_: unknown, { signal }: { signal: AbortSignal }) => {
    called.resolve(signal);
    return told.promise;
  };
  const hooks = { pre: [{ name: "slow", phases: ["preRun" as const], call }] };
  await onFake({ server: { methods }, session: { hooks } }, async ({ session }) => {
    const stop = new AbortController();
    const started = session.startGoal("x", { signal: stop.signal });
    const signal = await called.promise;
    stop.abort(new Error("enough"));
    assert.match(`${await rejection(started)}`, /enough/);
    assert.ok(signal.aborted);
    told.reject(signal.reason);
  });
  await onFake({ server: { methods } }, async ({ client, session }) => {
    const input = [{ type: "text" as const, text: "raw" }];
    await client.runtime.request("turn/start", { threadId: session.threadId, input });
    turns[0]!.started();
    const stop = new AbortController();
    const started = session.startGoal("x", { signal: stop.signal });
    await new Promise((resolve) => setTimeout(resolve));
    stop.abort(new Error("enough"));
    assert.match(`${await rejection(started)}`, /enough/);
  });
});

test("a thread that codex did not take up again after a goal is resumed before it is asked anything", async () => {
  let refuses = false;
  const methods: Record<string, (params: Message, server: FakeServer) => unknown> = goalMethods();
  const resume = () => {
    throw new FakeRpcError("the disk is full", -32603);
  };
  const server = {
    methods: new Proxy(methods, {
      get: (all, method: string) => method === "thread/resume" && refuses ? resume : all[method],
    }),
  };
  await onFake({ server }, async ({ session, server }) => {
    await session.ask("first");
    const goal = await session.startGoal("x");
    refuses = true;
    await goal.finish();
    const before = server().received.length;
    // Of a turn on a thread that is not subscribed to, codex tells nothing (0.125 to 0.169).
    assert.match(`${await rejection(session.ask("second"))}`, /the disk is full/);
    refuses = false;
    await session.ask("third");
    const after = server().received.slice(before).map(({ method }) => method);
    assert.deepEqual(after.filter((each) => /resume|turn\/start/.test(each)), [
      "thread/resume",
      "thread/resume",
      "turn/start",
    ]);
  });
});

for (const first of ["turn/start", "review/start"]) {
  test(`a thread that is closed while a turn of somebody else is waited for is resumed before ${first}`, async () => {
    const { answer, turns } = heldTurns();
    const review = (params: Message, server: FakeServer) => {
      setTimeout(() => {
        turns.at(-1)!.started();
        turns.at(-1)!.say("nothing found");
        turns.at(-1)!.complete();
      });
      return answer(params, server);
    };
    const methods = Object.assign(goalMethods(), {
      "turn/start": answer,
      "review/start": review,
      "thread/loaded/list": () => ({ data: [] }),
    });
    await onFake({ server: { methods } }, async ({ client, session, server }) => {
      const { threadId } = session;
      const input = [{ type: "text" as const, text: "raw" }];
      await client.runtime.request("turn/start", { threadId, input });
      turns[0]!.started();
      const before = server().received.length;
      const asked = first === "turn/start"
        ? session.ask("mine")
        : session.review({ type: "uncommitted" });
      // By then both are in line, and have seen a thread that is open.
      await client.runtime.request("thread/loaded/list", {});
      server().notify("thread/closed", { threadId });
      turns[0]!.complete();
      await server().waitFor((each) =>
        each.method === first && server().received.indexOf(each) > before
      );
      if (first === "turn/start") {
        turns[1]!.started();
        turns[1]!.say("done");
        turns[1]!.complete();
      }
      await asked;
      const after = server().received.slice(before).map(({ method }) => method);
      assert.deepEqual(after.filter((each) => each === "thread/resume" || each === first), [
        "thread/resume",
        first,
      ]);
    });
  });
}

test("a change of the settings that failed does not hold for what is asked after it", async () => {
  let refused = 0;
  const resume = () => {
    refused++;
    throw new FakeRpcError("the disk is full", -32603);
  };
  const methods: Record<string, (params: Message, server: FakeServer) => unknown> = {};
  const server = {
    methods: new Proxy(methods, {
      get: (all, method: string) =>
        method === "thread/resume" && refused === 0 ? resume : all[method],
    }),
  };
  await onFake({ server }, async ({ session, server }) => {
    await session.ask("first");
    server().notify("thread/closed", { threadId: session.threadId });
    const [error] = await Promise.all([
      rejection(session.update({ effort: "high" })),
      server().waitForMethod("thread/resume"),
    ]);
    assert.match(`${error}`, /the disk is full/);
    await session.ask("second");
    assert.deepEqual(sent(server(), "turn/start").map(({ params }) => params.effort), [
      "medium",
      "medium",
    ]);
    assert.equal(session.profile.effort, "medium");
  });
});

dialects(
  "a thread whose opening was given up is left when codex has opened it",
  async (dialect) => {
    const held = Promise.withResolvers<void>();
    let holds = false;
    const opened = (method: string) => async (params: Message, server: FakeServer) => {
      const scenario = method === "thread/start" ? "basic" : "threads";
      const was = recordedResult(dialect, scenario, method);
      const id = method === "thread/resume" ? params.threadId : server.id();
      server.threads.set(id, { id, cwd: params.cwd, turn: null });
      if (holds) await held.promise;
      const result = rewrite(was, { [was.thread.id]: id, [RECORDED_CWD]: params.cwd });
      return { ...result, approvalPolicy: params.approvalPolicy };
    };
    const methods = Object.fromEntries(
      ["thread/start", "thread/resume", "thread/fork"].map((method) => [method, opened(method)]),
    );
    await onFake({ server: { dialect, methods } }, async ({ client, cwd, server }) => {
      holds = true;
      const stop = new AbortController();
      const { signal } = stop;
      const opening = [
        client.startSession({ cwd, signal }),
        client.resumeSession("T", { cwd, signal }),
        client.forkSession("F", { cwd, signal }),
      ].map(rejection);
      // The first start was the session's that every world has.
      for (const [method, nth] of [["thread/start", 1], ["thread/resume", 0], ["thread/fork", 0]]) {
        await server().waitFor((each) => sent(server(), `${method}`).indexOf(each) === nth);
      }
      const enough = new Error("enough");
      stop.abort(enough);
      assert.deepEqual(await Promise.all(opening), [enough, enough, enough]);
      const before = server().received.length;
      held.resolve();
      const left = await Promise.all([
        server().waitFor((each) => /unsubscribe/.test(each.method) && each.params.threadId === "T"),
        ...[0, 1].map((n) =>
          server().waitFor((each) =>
            each.method === "thread/archive" && sent(server(), "thread/archive").indexOf(each) === n
          )
        ),
      ]);
      assert.ok(left.every((each) => server().received.indexOf(each) >= before));
      const archived = sent(server(), "thread/archive").map(({ params }) => params.threadId);
      assert.equal(new Set(archived).size, 2);
      assert.ok(!archived.includes("T"), "what was there before stays in the history");
    });
  },
);

for (const what of ["an answer that does not fit", "a failure that may pass", "a review"]) {
  test(`an interrupt that meets the end of a turn has no other turn follow: ${what}`, async () => {
    const { answer, turns } = heldTurns();
    const begin = (params: Message, server: FakeServer) => {
      const answered = answer(params, server);
      const turn = turns.at(-1)!;
      setTimeout(() => {
        turn.started();
        if (turns.length === 1) return;
        turn.say("{}");
        turn.complete();
      });
      return answered;
    };
    const methods = {
      "turn/start": begin,
      "thread/settings/update": () => ({}),
      "review/start": (params: Message, server: FakeServer) => ({
        ...begin({ ...params, input: [] }, server),
        reviewThreadId: params.threadId,
      }),
      // The turn ends by itself while it is being interrupted.
      "turn/interrupt": () => {
        const [turn] = turns;
        if (what === "a failure that may pass") {
          turn!.fail("busy", { httpConnectionFailed: { httpStatusCode: 503 } });
        } else {
          turn!.say("no JSON");
          turn!.complete();
        }
        return {};
      },
    };
    await onFake({ server: { methods } }, async ({ session, server }) => {
      const outputSchema = { type: "object", additionalProperties: false } as const;
      const asked = rejection(
        what === "a review"
          ? session.review({ type: "uncommitted" }, { outputSchema })
          : session.ask("now", { outputSchema, repair: true, retry: { baseDelayMs: 0 } }),
      );
      await server().waitFor(({ method }) => method === "turn/start" || method === "review/start");
      await session.interrupt();
      assert.ok(await asked instanceof CodexError);
      assert.equal(turns.length, 1);
    });
  });
}

for (const what of ["prompt", "review"]) {
  test(`an interrupt right after the abort of a ${what} settles when that has stopped`, async () => {
    const named = Promise.withResolvers<void>();
    const { answer, turns } = heldTurns();
    const begin = async (params: Message, server: FakeServer) => {
      await named.promise;
      const answered = answer({ input: [], ...params }, server);
      setTimeout(() => turns[0]!.started());
      return { ...answered, reviewThreadId: params.threadId };
    };
    const methods = {
      "turn/start": begin,
      "review/start": begin,
      "thread/settings/update": () => ({}),
    };
    await onFake({ server: { methods } }, async ({ session, server }) => {
      const stop = new AbortController();
      const { signal } = stop;
      const asked = rejection(
        what === "review"
          ? session.review({ type: "uncommitted" }, { signal })
          : session.ask("now", { signal }),
      );
      await server().waitFor(({ method }) => method === "turn/start" || method === "review/start");
      stop.abort(new Error("enough"));
      const interrupted = session.interrupt();
      await asked;
      named.resolve();
      await interrupted;
      assert.equal(turns[0]?.signal.aborted, true);
    });
  });
}

for (const what of ["review", "compaction"]) {
  test(`a ${what} that is interrupted while it is prepared is not begun`, async () => {
    const held = Promise.withResolvers<Message>();
    const methods = { "thread/settings/update": () => held.promise };
    await onFake({ server: { methods } }, async ({ session, server }) => {
      const asked = rejection(
        what === "review"
          ? session.review({ type: "uncommitted" }, { effort: "high" })
          : session.compact(),
      );
      await server().waitForMethod("thread/settings/update");
      await session.interrupt();
      held.resolve({});
      assert.ok(await asked instanceof TurnInterruptedError);
      assert.equal((await session.ask("next")).assistantText, "ok");
      assert.deepEqual(sent(server(), "review/start", "thread/compact/start"), []);
    });
  });
}

for (const what of ["review", "compaction"]) {
  test(`a ${what} that is interrupted while it waits for a foreign turn is not begun`, async () => {
    const { "thread/read": read, "thread/turns/list": list } = goalMethods();
    const methods = { "thread/read": read!, "thread/turns/list": list! };
    await onFake({ server: { methods } }, async ({ session, server }) => {
      const events = session.events();
      const { turn } = startTurn(server(), { threadId: session.threadId, input: [] });
      turn.started();
      while ((await events.next()).value?.type !== "turnStarted");
      const asked = rejection(
        what === "review" ? session.review({ type: "uncommitted" }) : session.compact(),
      );
      await session.interrupt();
      assert.equal(turn.signal.aborted, true);
      assert.ok(await asked instanceof TurnInterruptedError);
      assert.equal((await session.ask("next")).assistantText, "ok");
      assert.deepEqual(sent(server(), "review/start", "thread/compact/start"), []);
    });
  });
}

test("what hooks do after a goal has ended does not change its result", async () => {
  const hooks: Hooks = {
    pre: [{ name: "never", phases: ["preToolUse"], call: () => ({ type: "block", reason: "no" }) }],
  };
  const methods = Object.assign(goalMethods(), { "thread/goal/set": () => ({}) });
  await onFake({ server: { methods }, session: { hooks } }, async ({ session, server }) => {
    await session.ask("first");
    const goal = await session.startGoal("x");
    const { threadId } = session;
    // A turn that codex begins for a goal has no prompt.
    for (
      const [method, status] of [["turn/started", "inProgress"], ["turn/completed", "completed"]]
    ) {
      server().notify(method!, { threadId, turn: { id: "own", items: [], status, error: null } });
    }
    const reached = { objective: "x", status: "complete" };
    server().notify("thread/goal/updated", { threadId, goal: reached });
    const { turns } = await goal.finish();
    const question = { threadId, turnId: "late", itemId: "c", command: "ls" };
    const { result } = await server().ask("item/commandExecution/requestApproval", question);
    assert.deepEqual(result, { decision: "decline" });
    assert.deepEqual(turns.map(({ hooks }) => hooks), [{ issues: [], ran: [] }]);
  });
});

for (const between of [false, true]) {
  const when = between ? "between two turns of a goal" : "before a goal's first turn";
  test(`release() ${when} stops the turn that codex is about to begin`, async () => {
    const methods = Object.assign(goalMethods(), {
      "thread/goal/set": () => ({}),
      "turn/interrupt": ({ threadId, turnId: id }: Message, server: FakeServer) => {
        server.notify("turn/completed", {
          threadId,
          turn: { id, items: [], status: "interrupted" },
        });
        return {};
      },
    });
    await onFake({ server: { methods }, session: { goals: true } }, async (world) => {
      const { session, server } = world;
      await session.ask("first");
      const { threadId } = session;
      const goal = await session.startGoal("x");
      const began = (id: string) =>
        server().notify("turn/started", {
          threadId,
          turn: { id, items: [], status: "inProgress" },
        });
      if (between) {
        began("one");
        const turn = { id: "one", items: [], status: "completed" };
        const events = session.events();
        server().notify("turn/completed", { threadId, turn });
        for await (const { type } of events) if (type === "turnCompleted") break;
      }
      const released = session.release();
      setTimeout(() => began("next"), 50);
      await released;
      await rejection(goal.finish());
      const last = sent(server(), "turn/interrupt", "thread/unsubscribe").slice(-2);
      assert.deepEqual(last.map(({ method, params }) => [method, params.turnId]), [
        ["turn/interrupt", "next"],
        ["thread/unsubscribe", undefined],
      ]);
    });
  });
}

test("the end of a session costs no script whose prompt waits in line behind its own hook", async () => {
  const slow: Hooks = {
    pre: [{
      name: "slow",
      phases: ["preRun"],
      call: async () => {
        const closing = session.close();
        // What is rejected without anybody who waits for it is told by now, which ends a script, and fails this test.
        await new Promise((later) => setTimeout(later));
        return await closing.then(() => ({ type: "continue" }));
      },
    }],
  };
  let session: Session;
  await onFake({ server: { onTurn: () => {} } }, async (world) => {
    session = world.session;
    const first = rejection(session.ask("first"));
    await world.server().waitForMethod("turn/start");
    const second = await rejection(session.ask("second", { hooks: slow }));
    assert.ok(second instanceof SessionClosedError, String(second));
    assert.ok(await first instanceof TurnInterruptedError);
  });
});

test("a call of an MCP server's tool ends with its session, whatever becomes of the tool", async () => {
  const mcpServers = { docs: { url: "http://127.0.0.1:9/mcp" } };
  const methods = {
    "config/read": () => ({ config: {} }),
    "mcpServer/tool/call": () => NO_ANSWER,
  };
  await onFake({ server: { methods }, session: { mcpServers } }, async ({ session, server }) => {
    const { signal } = new AbortController();
    const calling = [{}, { signal }].map((options) =>
      rejection(session.mcp.call("docs", "search", {}, options))
    );
    await server().waitFor(() => sent(server(), "mcpServer/tool/call").length === 2);
    await session.close();
    for (const error of await Promise.all(calling)) assert.ok(error instanceof SessionClosedError);
  });
});

dialects(
  "whoever has the next turn hears its end, also when a prompt becomes part of it",
  async (dialect) => {
    let theirs: FakeTurn | undefined;
    const methods = {
      "turn/start": (params: Message, server: FakeServer) => {
        const { clientUserMessageId: clientId, input: content } = params;
        setTimeout(() => {
          const item = {
            type: "userMessage",
            id: "u2",
            content,
            ...(clientId ? { clientId } : {}),
          };
          theirs!.emit("basic", "item/started", { item });
          theirs!.say("for both");
          theirs!.complete();
        });
        const id = dialect === "0.104" ? server.id() : theirs!.id;
        return { turn: { id, items: [], status: "inProgress", error: null } };
      },
    };
    await onFake({ server: { dialect, methods } }, async ({ session, server }) => {
      const next = session.nextTurn();
      const begin = async () => {
        const input = [{ type: "text", text: "theirs" }];
        theirs = startTurn(server(), { threadId: session.threadId, input }).turn;
        theirs.started();
        await next;
        return { type: "continue" as const };
      };
      const hooks: Hooks = { pre: [{ name: "begins", phases: ["preTurn"], call: begin }] };
      assert.equal((await session.ask("mine", { hooks })).assistantText, "for both");
      const stream = await next;
      assert.equal((await stream.finish()).assistantText, "for both");
      const told: string[] = [];
      for await (const { type } of stream) told.push(type);
      assert.deepEqual([told[0], told.at(-1)], ["turnStarted", "turnCompleted"]);
      assert.ok(told.includes("assistantMessageDelta"));
    });
  },
);

test("whoever has the next turn hears that its server ended, also when a prompt became part of it", async () => {
  let theirs: FakeTurn | undefined;
  const methods = {
    "turn/start": ({ clientUserMessageId: clientId, input: content }: Message) => {
      setTimeout(() => {
        const item = { type: "userMessage", id: "u2", content, clientId };
        theirs!.emit("basic", "item/started", { item });
        server!.crash();
      });
      return { turn: { id: theirs!.id, items: [], status: "inProgress", error: null } };
    },
  };
  let server: FakeServer | undefined;
  await onFake({ server: { methods } }, async (world) => {
    const { session } = world;
    server = world.server();
    const next = session.nextTurn();
    const begin = async () => {
      const input = [{ type: "text", text: "theirs" }];
      theirs = startTurn(server!, { threadId: session.threadId, input }).turn;
      theirs.started();
      await next;
      return { type: "continue" as const };
    };
    const hooks: Hooks = { pre: [{ name: "begins", phases: ["preTurn"], call: begin }] };
    const asked = rejection(session.ask("mine", { hooks }));
    const stream = await next;
    assert.ok(await rejection(stream.finish()) instanceof ConnectionClosedError);
    assert.ok(await asked instanceof ConnectionClosedError);
  });
});

test("what a hook changes of a review or a goal that takes no such thing is told", async () => {
  const told: string[] = [];
  const methods = Object.assign(goalMethods(), {
    "review/start": quickReview,
  });
  const seen: (string | undefined)[] = [];
  const hooks: Hooks = {
    pre: [{
      name: "more",
      phases: ["preRun"],
      call: ({ prompt }) =>
        prompt === "next"
          ? { type: "continue" }
          : { type: "mutate", patch: { prompt: "else", attachments: ["/nowhere"] } },
    }],
    post: [{ name: "after", phases: ["postRun"], call: ({ prompt }) => void seen.push(prompt) }],
  };
  await onFake({ server: { methods }, session: { hooks } }, async ({ session, server }) => {
    const events = session.events();
    const all = (async () => {
      for await (const event of events) if (event.type === "warning") told.push(event.message);
    })();
    await session.review({ type: "uncommitted" });
    const own: string[] = [];
    for await (const event of await session.startGoal("x")) {
      if (event.type === "warning") own.push(event.message);
    }
    assert.match(own.join(), /^A goal takes no attachments:[^,]*$/);
    // It is nothing to the next prompt.
    await session.ask("next", {
      onEvent: (event) => event.type === "warning" && own.push(event.message),
    });
    assert.deepEqual(own.filter((message) => message.startsWith("A goal")).length, 1);
    assert.deepEqual(sent(server(), "review/start")[0]!.params.target, {
      type: "uncommittedChanges",
    });
    await session.release();
    await all;
  });
  assert.deepEqual(told.filter((text) => /hook/.test(text)).map((text) => text.slice(0, 36)), [
    "A review of changes takes no prompt:",
    "A review takes no attachments: what ",
    "A goal takes no attachments: what a ",
  ]);
  assert.equal(seen[0], "Review: the uncommitted changes");
});

for (const end of ["release", "close"] as const) {
  test(`${end}() waits for the end of the turn that a prompt is just asking for`, async () => {
    const { answer, turns } = heldTurns();
    const named = Promise.withResolvers<void>();
    const order: string[] = [];
    const leaves = end === "release" ? "thread/unsubscribe" : "thread/archive";
    const methods = {
      "turn/start": async (params: Message, server: FakeServer) => {
        await named.promise;
        setTimeout(() => turns[0]!.started());
        return answer(params, server);
      },
      "turn/interrupt": async () => {
        // Whoever does not wait for it goes on meanwhile.
        for (let i = 0; i < 3; i++) await new Promise((later) => setTimeout(later));
        order.push("interrupted");
        setTimeout(() => turns[0]!.interrupted());
        return {};
      },
      [leaves]: () => {
        order.push(leaves);
        return {};
      },
    };
    await onFake({ server: { methods } }, async ({ session, server }) => {
      const asked = rejection(session.ask("now"));
      await server().waitForMethod("turn/start");
      const ended = session[end]();
      named.resolve();
      await ended;
      assert.ok(await asked instanceof SessionClosedError || await asked instanceof CodexError);
      assert.deepEqual(order, ["interrupted", leaves]);
    });
  });
}

for (
  const what of ["a prompt of a closed thread", "a prompt with more", "a compaction", "a review"]
) {
  test(`who gives up ${what} waits for no answer of the server's`, async () => {
    const silent = {
      "a prompt of a closed thread": "thread/resume",
      "a prompt with more": "config/read",
    }[what] ?? "thread/settings/update";
    const gate = Promise.withResolvers<unknown>();
    const methods = { [silent]: () => gate.promise };
    const session = { sandbox: "workspace-write", allowPrivilegedEscalation: true } as const;
    await onFake({ server: { methods }, session }, async ({ session, server }) => {
      await session.ask("one");
      if (silent === "thread/resume") {
        server().notify("thread/closed", { threadId: session.threadId });
      }
      if (silent === "thread/settings/update") await session.update({ effort: "high" });
      const { signal, abort } = abortable();
      const sandbox = { type: "workspaceWrite", networkAccess: true } as const;
      const given = {
        "a compaction": () => session.compact({ signal }),
        "a review": () => session.review({ type: "uncommitted" }, { signal }),
      }[what] ?? (() =>
        session.ask("two", silent === "config/read" ? { signal, sandbox } : { signal }));
      const gaveUp = rejection(given());
      await server().waitForMethod(silent);
      abort();
      assert.equal(await gaveUp, signal.reason);
      assert.equal(sent(server(), silent).length, 1);
      gate.resolve(NO_ANSWER);
    });
  });
}

function abortable(): { signal: AbortSignal; abort: () => void } {
  const controller = new AbortController();
  return { signal: controller.signal, abort: () => controller.abort(new Error("gave up")) };
}

test("a thread that was closed is resumed once, though who asked for it has given up", async () => {
  const gate = Promise.withResolvers<void>();
  const methods = {
    "thread/resume": async (params: Message) => {
      await gate.promise;
      const was = recordedResult("0.169", "basic", "thread/start");
      const result = rewrite(was, { [was.thread.id]: params.threadId, [RECORDED_CWD]: params.cwd });
      return { ...result, approvalPolicy: params.approvalPolicy };
    },
  };
  await onFake({ server: { methods } }, async ({ session, server }) => {
    await session.ask("one");
    server().notify("thread/closed", { threadId: session.threadId });
    const { signal, abort } = abortable();
    const gaveUp = rejection(session.ask("two", { signal }));
    const next = session.ask("three");
    await server().waitForMethod("thread/resume");
    abort();
    await gaveUp;
    gate.resolve();
    assert.equal((await next).assistantText, "ok");
    assert.equal(sent(server(), "thread/resume").length, 1);
    assert.deepEqual(server().turns.map(({ prompt }) => prompt), ["one", "three"]);
  });
});

test("a prompt that is named after release() was told to be uncertain is stopped all the same", async () => {
  const { answer, turns } = heldTurns();
  const named = Promise.withResolvers<void>();
  const methods = {
    "turn/start": async (params: Message, server: FakeServer) => {
      await named.promise;
      setTimeout(() => turns[0]!.started());
      return answer(params, server);
    },
  };
  await onFake({ server: { methods } }, async ({ session, server }) => {
    const asked = rejection(session.ask("one"));
    await server().waitForMethod("turn/start");
    const told = await withoutTime(4_000, 6_000, () => rejection(session.release()));
    assert.ok(told instanceof RequestTimeoutError, String(told));
    named.resolve();
    assert.ok(await asked instanceof TurnInterruptedError);
    await session.release();
  });
});
