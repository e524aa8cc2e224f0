/** Sessions on a server that behaves as real ones seldom do. */
import assert from "node:assert/strict";
import {
  ConnectionClosedError,
  HookBlockedError,
  MessageTooLargeError,
  PolicyError,
  PolicyMismatchError,
  RequestTimeoutError,
  RpcError,
  SessionClosedError,
  TurnInterruptedError,
} from "../../src/errors/mod.ts";
import { Client } from "../../src/session/client/client.ts";
import type { AskOptions } from "../../src/session/profile.ts";
import type { StandardSchemaV1 } from "../../src/session/output/standard_schema.ts";
import { CALL_MS } from "../../src/session/turn/stop_turn.ts";
import type { TurnEvent } from "../../src/session/turn/turn_event.ts";
import {
  type Dialect,
  DIALECTS,
  FakeRpcError,
  FakeServer,
  type FakeServerOptions,
  fakeTransport,
  type FakeTurn,
  type Message,
  NO_ANSWER,
  recorded,
  RECORDED_CWD,
  recordedResult,
  ReplayServer,
  rewrite,
} from "../_fake_server.ts";
import { test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";
import { dialects, heldTurns, onFake, rejection, startTurn } from "./session_world.ts";

/** A turn that goes on until it is told. */
const hangs = (turn: FakeTurn) => turn.say("Half", { open: true });

dialects(
  "a wider echo is a PolicyMismatchError, and no turn runs on the thread",
  async (dialect) => {
    await using directory = await tempDir("fake-");
    for (const method of ["thread/start", "thread/resume", "thread/fork"] as const) {
      let server: FakeServer | undefined;
      const widened = (params: Message) => {
        const result = structuredClone(recordedResult(dialect, "basic", "thread/start"));
        Object.assign(result, {
          cwd: params.cwd,
          approvalPolicy: params.approvalPolicy,
          sandbox: { type: "dangerFullAccess" },
        });
        return result;
      };
      const client = await Client.connect({
        transport: {
          type: "custom",
          open: fakeTransport((end) =>
            void (server = new FakeServer(end, { dialect, methods: { [method]: widened } }))
          ),
        },
      });
      try {
        const config = { cwd: directory.path };
        const error = await rejection(
          method === "thread/start"
            ? client.startSession(config)
            : method === "thread/resume"
            ? client.resumeSession("T", config)
            : client.forkSession("T", config),
        );
        assert.ok(error instanceof PolicyMismatchError, `${error}`);
        assert.ok(error.mismatches.some(({ field }) => field === "sandbox"));
        await server!.waitForMethod("thread/unsubscribe");
        assert.equal(server!.turns.length, 0);
        const { pendingCalls, messagesOut, bytesOut } = client.runtime.metrics();
        assert.equal(pendingCalls, 0);
        // initialize, initialized, the thread's call, the unsubscribe.
        assert.ok(messagesOut >= 4 && bytesOut > messagesOut * 20, `${messagesOut} ${bytesOut}`);
      } finally {
        await client.shutdown();
      }
    }
  },
);

test("a thread without an id, and a turn without one, are told and settle", async () => {
  await using directory = await tempDir("fake-");
  const methods = { "thread/start": () => ({ thread: {} }) };
  const open = fakeTransport((end) => void new FakeServer(end, { methods }));
  const client = await Client.connect({ transport: { type: "custom", open } });
  const error = await rejection(client.startSession({ cwd: directory.path }));
  assert.ok(error instanceof ConnectionClosedError, `${error}`);
  await client.shutdown();
  await onFake(
    { server: { methods: { "turn/start": () => ({ odd: true }) } } },
    async ({ session }) => {
      const failed = await rejection(session.ask("x"));
      assert.match(`${failed}`, /without a turn id \(received: odd\)/);
    },
  );
});

dialects("what comes before the answer to turn/start is kept", async (dialect) => {
  let answered: Promise<void> | undefined;
  const methods = {
    "turn/start": async (params: Message, server: FakeServer) => {
      const { turn, answer } = startTurn(server, params);
      turn.started();
      turn.say("early");
      turn.complete();
      await (answered = new Promise((resolve) => setTimeout(resolve)));
      return answer;
    },
  };
  await onFake({ server: { dialect, methods } }, async ({ session }) => {
    const events: TurnEvent[] = [];
    const result = await session.ask("x", { onEvent: (event) => events.push(event) });
    assert.equal(result.assistantText, "early");
    assert.equal(events.filter(({ type }) => type === "turnStarted").length, 1);
    assert.equal(events.at(-1)!.type, "turnCompleted");
    // With the mark on the prompt the end comes before it.
    await answered;
  });
});

dialects(
  "a thread is let go when what a raw request was promised has begun and ended",
  async (dialect) => {
    const { answer, turns } = heldTurns();
    const methods = { "turn/start": answer };
    await onFake({ server: { dialect, methods } }, async ({ client, session, server }) => {
      const input = [{ type: "text" as const, text: "raw" }];
      await client.runtime.request("turn/start", { threadId: session.threadId, input });
      const released = session.release();
      await new Promise((resolve) => setTimeout(resolve, 5));
      const sent = (method: string) => server().received.some((each) => each.method === method);
      assert.deepEqual([sent("turn/interrupt"), sent("thread/unsubscribe")], [false, false]);
      turns[0]!.started();
      await released;
      assert.deepEqual([sent("turn/interrupt"), sent("thread/unsubscribe")], [true, true]);
      assert.ok(turns[0]!.signal.aborted);
    });
  },
);

test("a goal waits for what a raw request was promised, and leaves it on no other thread", async () => {
  const { answer, turns } = heldTurns();
  const methods = { "turn/start": answer, "thread/goal/clear": () => ({}) };
  await onFake({ server: { methods } }, async ({ client, session, server }) => {
    const { threadId } = session;
    const input = [{ type: "text" as const, text: "raw" }];
    await client.runtime.request("turn/start", { threadId, input });
    session.startGoal("x").catch(() => {});
    const sent = () => server().received.map(({ method }) => method);
    // What the goal would send without waiting comes before all of these are answered.
    for (let trips = 0; trips < 10; trips++) await client.runtime.request("model/list", {});
    assert.deepEqual(sent().slice(-11), ["turn/start", ...Array(10).fill("model/list")]);
    turns[0]!.started();
    turns[0]!.complete();
    // The thread has had a turn now, and is the same one.
    assert.equal((await server().waitForMethod("thread/resume")).params.threadId, threadId);
    assert.equal(sent().filter((method) => method === "thread/start").length, 1);
  });
});

test("a goal on a thread that is asked for its first turn meanwhile stays on that thread", async () => {
  const [reopens, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  let opened = 0;
  const { answer, turns } = heldTurns();
  const methods = {
    "thread/start": async (params: Message, server: FakeServer) => {
      if (++opened === 2) {
        reopens.resolve();
        await gate.promise;
      }
      const was = recordedResult("0.169", "basic", "thread/start");
      const thread = { id: server.id(), cwd: params.cwd, turn: null };
      server.threads.set(thread.id, thread);
      const result = rewrite(was, { [was.thread.id]: thread.id, [RECORDED_CWD]: params.cwd });
      return { ...result, approvalPolicy: params.approvalPolicy };
    },
    "turn/start": answer,
    "thread/goal/clear": () => ({}),
  };
  await onFake({ server: { methods } }, async ({ client, session, server }) => {
    const { threadId } = session;
    session.startGoal("x").catch(() => {});
    await reopens.promise;
    const input = [{ type: "text" as const, text: "raw" }];
    await client.runtime.request("turn/start", { threadId, input });
    gate.resolve();
    // The other thread is not the session's.
    const left = await server().waitForMethod("thread/unsubscribe");
    assert.notEqual(left.params.threadId, threadId);
    assert.equal(session.threadId, threadId);
    turns[0]!.started();
    turns[0]!.complete();
    assert.equal((await server().waitForMethod("thread/resume")).params.threadId, threadId);
  });
});

/** What codex answers about goals: it takes them, and `works` on them or not. */
const goalMethods = (works: boolean) => ({
  "thread/goal/clear": () => ({}),
  "thread/goal/set": () => ({}),
  "thread/settings/update": () => ({}),
  "experimentalFeature/list": () => ({
    data: [{ name: "goals", stage: "stable", enabled: works, defaultEnabled: true }],
    nextCursor: null,
  }),
});

for (const end of ["release", "close"] as const) {
  test(`${end}() in the middle of a goal leaves the thread, which nobody resumes after it`, async () => {
    await onFake(
      { server: { methods: goalMethods(true) } },
      async ({ client, session, server }) => {
        await session.ask("one");
        const goal = await session.startGoal("x");
        startTurn(server(), { threadId: session.threadId, input: [] }).turn.started();
        const ended = rejection(goal.finish());
        await session[end]();
        assert.ok(await ended instanceof SessionClosedError);
        // What comes late comes before this is answered.
        for (let trips = 0; trips < 5; trips++) await client.runtime.request("model/list", {});
        const sent = server().received.map(({ method }) => method);
        const leaves = sent.filter((method) => /unsubscribe|resume|archive/.test(method));
        assert.deepEqual(leaves, [
          "thread/unsubscribe",
          "thread/resume",
          end === "release" ? "thread/unsubscribe" : "thread/archive",
        ]);
      },
    );
  });
}

for (const end of ["stop", "pause"] as const) {
  test(`${end}() of a goal whose turn codex is about to begin stops that turn first`, async () => {
    await onFake(
      { server: { methods: goalMethods(true) } },
      async ({ client, session, server }) => {
        const { runtime } = client;
        await session.ask("one");
        const goal = await session.startGoal("x");
        // Its first turn, and the one after a turn of its own.
        for (const turns of end === "stop" ? [1] : [1, 2]) {
          if (turns > 1) await goal.resume();
          const before = server().received.length;
          const ended = goal[end]();
          for (let trips = 0; trips < 5; trips++) await runtime.request("model/list", {});
          startTurn(server(), { threadId: session.threadId, input: [] }).turn.started();
          await ended;
          const sent = server().received.slice(before).map(({ method }) => method);
          const told = sent.filter((method) => /interrupt|goal\/clear|unsubscribe/.test(method));
          const wanted = ["turn/interrupt", "thread/goal/clear", "thread/unsubscribe"];
          assert.deepEqual(told, end === "stop" ? wanted : wanted.slice(0, 1));
        }
      },
    );
  });
}

test("release() while a thread is being resumed for a goal leaves it when that is done", async () => {
  const [resumes, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const methods = {
    ...goalMethods(true),
    "thread/resume": async (params: Message) => {
      resumes.resolve();
      await gate.promise;
      const was = recordedResult("0.169", "basic", "thread/start");
      const result = rewrite(was, { [was.thread.id]: params.threadId, [RECORDED_CWD]: params.cwd });
      return { ...result, approvalPolicy: params.approvalPolicy };
    },
  };
  await onFake({ server: { methods } }, async ({ client, session, server }) => {
    await session.ask("one");
    const goal = rejection(session.startGoal("x"));
    await resumes.promise;
    const released = session.release();
    for (let trips = 0; trips < 5; trips++) await client.runtime.request("model/list", {});
    gate.resolve();
    const before = server().received.length;
    await released;
    assert.ok(await goal instanceof SessionClosedError);
    const sent = server().received.map(({ method }) => method);
    assert.ok(sent.lastIndexOf("thread/unsubscribe") >= before, `${sent}`);
    assert.equal(sent.filter((method) => method === "thread/resume").length, 1);
    // Nothing more is set on a thread that is somebody else's now.
    assert.ok(!sent.includes("thread/settings/update"), `${sent}`);
    assert.ok(!sent.includes("experimentalFeature/list"), `${sent}`);
  });
});

test("release() while a thread is being left for a goal has nobody resume it", async () => {
  const [leaves, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const methods = {
    ...goalMethods(true),
    "thread/unsubscribe": async () => {
      leaves.resolve();
      await gate.promise;
      return {};
    },
  };
  await onFake({ server: { methods } }, async ({ client, session, server }) => {
    await session.ask("one");
    const goal = rejection(session.startGoal("x"));
    await leaves.promise;
    const released = session.release();
    for (let trips = 0; trips < 5; trips++) await client.runtime.request("model/list", {});
    gate.resolve();
    await released;
    assert.ok(await goal instanceof SessionClosedError);
    assert.ok(!server().received.some(({ method }) => method === "thread/resume"));
  });
});

test("a goal that a thread may have brought with it is paused when the thread is left", async () => {
  const methods = goalMethods(true);
  await onFake({ server: { methods } }, async ({ client, session, server, cwd }) => {
    await session.ask("one");
    await session.release();
    const goals = () => server().received.filter(({ method }) => method === "thread/goal/set");
    assert.equal(goals().length, 0);
    const again = await client.resumeSession(session.threadId, { cwd, goals: true });
    // What codex has told of no goal is not known yet.
    await again.release();
    assert.deepEqual(goals().map(({ params }) => params.status), ["paused"]);
  });
});

test("a goal that codex would not work on is refused, and the thread is as it was", async () => {
  await onFake({ server: { methods: goalMethods(false) } }, async ({ session, server }) => {
    await session.ask("one");
    assert.ok(await rejection(session.startGoal("x")) instanceof PolicyError);
    assert.ok(!server().received.some(({ method }) => method === "thread/goal/set"));
    assert.equal((await session.ask("two")).assistantText, "ok");
  });
});

dialects("a thread that somebody had the server close is taken up again", async (dialect) => {
  const methods: Required<FakeServerOptions>["methods"] = {};
  await onFake({ server: { dialect, methods } }, async ({ client, session, server }) => {
    const { threadId } = session;
    const resumed = () => server().received.filter(({ method }) => method === "thread/resume");
    await session.ask("one");
    const closings = [
      () => server().notify("thread/archived", { threadId }),
      () => server().notify("thread/closed", { threadId }),
      () => client.runtime.request("thread/unsubscribe", { threadId }),
    ];
    // 0.104 knows the first one only.
    for (const close of dialect === "0.104" ? closings.slice(0, 1) : closings) {
      const before = resumed().length;
      await close();
      assert.equal((await session.ask("on")).assistantText, "ok");
      assert.equal((await session.ask("and on")).assistantText, "ok");
      assert.deepEqual(resumed().slice(before).map(({ params }) => params.threadId), [threadId]);
    }
    // One that is not there any more is refused for what is asked of it, and closes.
    server().threads.delete(threadId);
    methods["thread/resume"] = () => {
      throw new FakeRpcError(`no rollout found for thread id ${threadId}`);
    };
    server().notify("thread/archived", { threadId });
    const gone = await rejection(session.ask("gone"));
    assert.ok(gone instanceof RpcError, `${gone}`);
    assert.match(gone.message, /turn\/start failed/);
    await session.close();
  });
  if (dialect === "0.104") return;
  // An ephemeral one is over.
  await onFake(
    { server: { dialect }, session: { ephemeral: true } },
    async ({ session, server }) => {
      await session.ask("one");
      server().notify("thread/archived", { threadId: session.threadId });
      assert.ok(await rejection(session.ask("gone")) instanceof SessionClosedError);
    },
  );
});

dialects(
  "an abort while turn/start is unanswered stops the turn once it is there",
  async (dialect) => {
    const gate = Promise.withResolvers<void>();
    let first = true;
    const methods = {
      "turn/start": async (params: Message, server: FakeServer) => {
        const { turn, answer } = startTurn(server, params);
        if (first) {
          first = false;
          await gate.promise;
          queueMicrotask(() => turn.started());
        } else {
          queueMicrotask(() => {
            turn.started();
            turn.say("second");
            turn.complete();
          });
        }
        return answer;
      },
    };
    await onFake({ server: { dialect, methods } }, async ({ session, server }) => {
      const [stop, reason] = [new AbortController(), new Error("enough")];
      const aborted = rejection(session.ask("one", { signal: stop.signal }));
      await server().waitForMethod("turn/start");
      stop.abort(reason);
      assert.equal(await aborted, reason);
      const next = session.ask("two");
      gate.resolve();
      assert.equal((await next).assistantText, "second");
      const methods = server().received.map(({ method }) => method);
      const starts = methods.flatMap((method, i) => method === "turn/start" ? [i] : []);
      const interrupt = methods.indexOf("turn/interrupt");
      // The next turn never becomes part of the one that is being stopped.
      assert.ok(starts[0]! < interrupt && interrupt < starts[1]!, `${methods}`);
    });
  },
);

dialects(
  "steer() is repeated where the server tells of the turn before it takes anything for it",
  async (dialect) => {
    let refusals = 2;
    const held = heldTurns();
    await onFake({
      server: {
        dialect,
        methods: {
          "turn/start": held.answer,
          "turn/steer": ({ expectedTurnId }: Message) => {
            if (refusals-- > 0) throw new FakeRpcError("no active turn to steer");
            return { turnId: expectedTurnId };
          },
        },
      },
    }, async ({ session }) => {
      const steered = await session.askStream("x");
      held.turns[0]!.started();
      await steered.steer("more");
      assert.equal(refusals, -1);
      refusals = 100;
      await assert.rejects(steered.steer("more"), RpcError);
      assert.equal(refusals, 95);
      held.turns[0]!.say("both");
      held.turns[0]!.complete();
      assert.equal((await steered.finish()).assistantText, "both");
    });
  },
);

dialects("steer() and interrupt() wait until the server has begun the turn", async (dialect) => {
  const { answer, turns } = heldTurns();
  const methods = { "turn/start": answer };
  await onFake({ server: { dialect, methods } }, async ({ session, server }) => {
    const said = (method: string) => server().received.some((m) => m.method === method);
    const steered = await session.askStream("x");
    const steering = steered.steer("more");
    await microtasks();
    assert.ok(!said("turn/steer"));
    turns[0]!.started();
    await steering;
    const { params } = await server().waitForMethod("turn/steer");
    assert.equal(params.expectedTurnId, steered.turnId);
    assert.equal(params.input[0].text, "more");
    turns[0]!.say("both");
    turns[0]!.complete();
    assert.equal((await steered.finish()).assistantText, "both");

    const stopped = await session.askStream("y");
    const stopping = stopped.interrupt();
    await microtasks();
    assert.ok(!said("turn/interrupt"));
    turns[1]!.started();
    await stopping;
    assert.ok(await rejection(stopped.finish()) instanceof TurnInterruptedError);
  });
});

dialects(
  "a turn/start without an answer costs its prompt, not the session; its turn is stopped when it is seen",
  async (dialect) => {
    const lost: FakeTurn[] = [];
    let silent = true;
    const methods = {
      "turn/start": (params: Message, server: FakeServer) => {
        const { turn, answer } = startTurn(server, params);
        if (silent) {
          lost.push(turn);
          return NO_ANSWER;
        }
        queueMicrotask(() => {
          turn.started();
          turn.say("fine");
          turn.complete();
        });
        return answer;
      },
    };
    const client = { requestTimeoutMs: 40 };
    await onFake({ server: { dialect, methods }, client }, async ({ session, server }) => {
      const asks = [session.ask("one"), session.ask("waits")].map(rejection);
      for (const error of await Promise.all(asks)) {
        assert.ok(error instanceof RequestTimeoutError, `${error}`);
      }
      assert.equal(session.closed, false);
      lost[1]!.started();
      await server().waitForMethod("turn/interrupt");
      assert.ok(lost[1]!.signal.aborted);
      silent = false;
      assert.equal((await session.ask("two")).assistantText, "fine");
    });
  },
);

/** Lets everything happen that waits for nothing but its turn. */
async function microtasks(): Promise<void> {
  for (let i = 0; i < 100; i++) await Promise.resolve();
}

test("an old server that ends the turn instead of answering the interrupt holds nobody up", async () => {
  const methods = {
    "turn/interrupt": ({ threadId }: Message, server: FakeServer) => {
      server.threads.get(threadId)!.turn!.complete();
      return NO_ANSWER;
    },
  };
  const options = { server: { dialect: "0.104" as const, methods, onTurn: hangs } };
  await onFake(options, async ({ session, client, server }) => {
    const asked = session.ask("x");
    await server().waitForMethod("turn/start");
    const started = performance.now();
    await session.interrupt();
    // The turn was faster than its interrupt: it completed, with what there was.
    assert.equal((await asked).assistantText, "Half");
    // So long an answer would be waited for.
    assert.ok(performance.now() - started < CALL_MS);
    assert.equal(client.runtime.metrics().pendingCalls, 0);
  });
});

dialects("a server that refuses the interrupt at first is asked again", async (dialect) => {
  let refusals = 0;
  const methods = {
    // The recorded answer is that of an idle thread; the old server does not say.
    "thread/read": () => ({
      thread: dialect === "0.104" ? {} : { status: { type: "active", activeFlags: [] } },
    }),
    "turn/interrupt": ({ threadId }: Message, server: FakeServer) => {
      if (refusals++ < 2) throw new FakeRpcError("no active turn to interrupt");
      const { turn } = server.threads.get(threadId)!;
      queueMicrotask(() => turn!.interrupted());
      return {};
    },
  };
  await onFake({ server: { dialect, methods, onTurn: hangs } }, async ({ session, server }) => {
    const asked = rejection(session.ask("x"));
    await server().waitForMethod("turn/start");
    await session.interrupt();
    const error = await asked;
    assert.ok(error instanceof TurnInterruptedError && error.partialText === "Half");
    assert.equal(refusals, 3);
  });
});

dialects(
  "the end of the server settles running and waiting prompts and calls in one go",
  async (dialect) => {
    const methods = { "account/read": () => NO_ANSWER };
    const options = { server: { dialect, methods, onTurn: hangs } };
    await onFake(options, async ({ session, server, client, cwd }) => {
      const events: TurnEvent[] = [];
      const half = Promise.withResolvers<void>();
      const other = await client.startSession({ cwd });
      const asks = [
        session.ask("one", {
          onEvent: (event) => {
            events.push(event);
            if (event.type === "assistantMessageDelta") half.resolve();
          },
        }),
        session.ask("two"),
        other.ask("three"),
        client.account(),
      ].map(rejection);
      await Promise.all([half.promise, server().waitForMethod("account/read")]);
      server().crash({ code: 101, signal: null }, "thread 'main' panicked\n");
      const errors = await Promise.all(asks);
      for (const error of errors) {
        assert.ok(error instanceof ConnectionClosedError, `${error}`);
        assert.equal(error.exit?.code, 101);
        assert.match(error.message, /panicked/);
      }
      assert.equal((errors[0] as ConnectionClosedError).partial?.assistantText, "Half");
      const last = events.at(-1)!;
      assert.ok(last.type === "turnCompleted" && last.status === "connectionClosed");
      assert.ok(session.closed && other.closed);
      assert.ok(await rejection(session.ask("late")) instanceof ConnectionClosedError);
      await Promise.all([session.close(), other.close()]);
      assert.equal(client.runtime.connection, "closed");
    });
  },
);

dialects("close() of a session that was released archives nothing", async (dialect) => {
  await onFake({ server: { dialect } }, async ({ session, server }) => {
    await session.ask("x");
    await session.release();
    await session.close();
    assert.equal(server().received.some(({ method }) => method === "thread/archive"), false);
  });
});

dialects("a failed archive can be tried again", async (dialect) => {
  let fails = true;
  const methods = {
    "thread/archive": () => {
      if (fails) throw new FakeRpcError("disk full");
      return {};
    },
  };
  await onFake({ server: { dialect, methods } }, async ({ session, server }) => {
    await session.ask("x");
    assert.ok(await rejection(session.close()) instanceof RpcError);
    assert.ok(session.closed);
    assert.ok(await rejection(session.close()) instanceof RpcError);
    fails = false;
    await session.close();
    await session.close();
    const archives = server().received.filter(({ method }) => method === "thread/archive");
    assert.equal(archives.length, 3);
  });
});

dialects("a thread that is written to or resumed is archived a moment later", async (dialect) => {
  let writes = 2;
  const refusals = [
    `failed to archive session: thread ${crypto.randomUUID()} not found`,
    "thread T already has an active writer",
  ];
  const methods = {
    "thread/archive": () => {
      if (writes-- > 0) throw new FakeRpcError(refusals[writes]!);
      return {};
    },
  };
  await onFake({ server: { dialect, methods } }, async ({ client, session }) => {
    await session.ask("x");
    await session.close();
    assert.equal(writes, -1);
    // Nor does it matter where the thread is archived from.
    refusals[0] = refusals[1]!;
    writes = 2;
    await client.archiveThread(session.threadId);
    assert.equal(writes, -1);
  });
});

dialects("junk, strangers and echoes between the lines change nothing", async (dialect) => {
  const onTurn = (turn: FakeTurn) => {
    const server = servers.at(-1)!;
    const { threadId, id: turnId } = turn;
    server.sendLine("not json");
    server.sendLine('{"id":999999,"result":{}}');
    server.notify("brand/new", { threadId, turnId });
    server.notify("turn/completed", { threadId, turn: { id: "another", status: "failed" } });
    server.notify("turn/completed", {
      threadId: "another",
      turn: { id: turnId, status: "failed" },
    });
    server.notify("item/agentMessage/delta", {
      threadId,
      turnId: "another",
      itemId: "m",
      delta: "X",
    });
    turn.say("real", { id: "m" });
    server.notify("item/completed", {
      threadId,
      turnId,
      item: { type: "agentMessage", id: "m", text: "real" },
    });
    turn.complete();
    server.notify("item/completed", {
      threadId,
      turnId,
      item: { type: "agentMessage", id: "late", text: "late" },
    });
    server.notify("turn/completed", { threadId, turn: { id: turnId, status: "failed" } });
  };
  const servers: FakeServer[] = [];
  await onFake({ server: { dialect, onTurn } }, async ({ session, server, client }) => {
    servers.push(server());
    for (let i = 0; i < 3; i++) {
      const result = await session.ask("x");
      assert.equal(result.assistantText, "real");
      assert.equal(result.items.filter(({ type }) => type === "agentMessage").length, 1);
    }
    assert.equal(client.runtime.metrics().malformed, 3);
  });
});

dialects("a question that nobody knows is answered, and the turn goes on", async (dialect) => {
  const onTurn = async (turn: FakeTurn) => {
    const answer = await servers.at(-1)!.ask("brand/newQuestion", {
      threadId: turn.threadId,
      turnId: turn.id,
    });
    turn.say(answer.error === undefined ? "answered" : "refused");
    turn.complete();
  };
  const servers: FakeServer[] = [];
  await onFake({ server: { dialect, onTurn } }, async ({ session, server }) => {
    servers.push(server());
    assert.equal((await session.ask("x")).assistantText, "refused");
  });
});

dialects("an overloaded server is asked again for the turn", async (dialect) => {
  let busy = 2;
  const methods = {
    "turn/start": (params: Message, server: FakeServer) => {
      if (busy-- > 0) throw new FakeRpcError("Server overloaded; retry later.", -32001);
      const { turn, answer } = startTurn(server, params);
      queueMicrotask(() => {
        turn.started();
        turn.say("at last");
        turn.complete();
      });
      return answer;
    },
  };
  await onFake({ server: { dialect, methods } }, async ({ session }) => {
    assert.equal((await session.ask("x")).assistantText, "at last");
  });
});

dialects(
  "an item beyond maxMessageBytes is a typed error, the turn is stopped, the session lives",
  async (dialect) => {
    let size = 100_000;
    const onTurn = (turn: FakeTurn) => {
      turn.say("x".repeat(size), { deltas: ["x"] });
      if (size < 1000) turn.complete();
    };
    const client = { maxMessageBytes: 50_000 };
    await onFake({ server: { dialect, onTurn }, client }, async ({ session, server }) => {
      const error = await rejection(session.ask("x"));
      assert.ok(error instanceof MessageTooLargeError, `${error}`);
      assert.match(error.message, /item\/completed/);
      size = 10;
      assert.equal((await session.ask("y")).assistantText, "x".repeat(10));
      assert.ok(server().received.some(({ method }) => method === "turn/interrupt"));
    });
  },
);

test("a prompt whose answer or hook waits for the caller's own code ends with the connection", async () => {
  const asked: PromiseWithResolvers<void>[] = [];
  const never = () => {
    asked.at(-1)!.resolve();
    return new Promise<never>(() => {});
  };
  const schema = { type: "object", properties: {}, required: [], additionalProperties: false };
  const jsonSchema = { input: () => schema, output: () => schema };
  const output: StandardSchemaV1 = {
    "~standard": { version: 1, vendor: "handmade", validate: never, jsonSchema } as never,
  };
  const hook = { name: "never", phases: ["preRun" as const], call: never };
  for (const options of [{ output }, { hooks: { pre: [hook] } }]) {
    const onTurn = (turn: FakeTurn) => {
      turn.say("{}");
      turn.complete();
    };
    await onFake({ server: { onTurn } }, async ({ client, session }) => {
      asked.push(Promise.withResolvers());
      const failed = rejection(session.ask("hi", options as AskOptions));
      await asked.at(-1)!.promise;
      await client.shutdown();
      assert.ok(await failed instanceof ConnectionClosedError);
    });
  }
});

test("an end beyond maxMessageBytes settles the turn all the same", async () => {
  const onTurn = (turn: FakeTurn) => {
    servers.at(-1)!.notify("turn/completed", {
      threadId: turn.threadId,
      turn: { id: turn.id, status: "completed", items: [{ text: "x".repeat(100_000) }] },
    });
  };
  const servers: FakeServer[] = [];
  const client = { maxMessageBytes: 50_000 };
  await onFake({ server: { onTurn }, client }, async ({ session, server }) => {
    servers.push(server());
    assert.ok(await rejection(session.ask("x")) instanceof MessageTooLargeError);
  });
});

dialects(
  "prompts run in the order in which they were asked, however slow their hooks are",
  async (dialect) => {
    const onTurn = (turn: FakeTurn) => {
      turn.say(turn.prompt);
      turn.complete();
    };
    let waits = 5;
    const hook = {
      name: "slow",
      phases: ["preRun" as const],
      call: async () => {
        for (let i = waits--; i > 0; i--) await Promise.resolve();
        return { type: "continue" as const };
      },
    };
    const session = { hooks: { pre: [hook] } };
    await onFake({ server: { dialect, onTurn }, session }, async ({ session }) => {
      const order: string[] = [];
      await Promise.all(["1", "2", "3", "4", "5"].map(async (prompt) => {
        order.push((await session.ask(prompt)).assistantText);
      }));
      assert.deepEqual(order, ["1", "2", "3", "4", "5"]);
    });
  },
);

dialects("hooks that block, change and observe a prompt", async (dialect) => {
  const heard: string[] = [];
  const onTurn = (turn: FakeTurn) => {
    turn.say(turn.prompt);
    turn.complete();
  };
  const hooks = {
    pre: [{
      name: "guard",
      call: ({ phase, prompt }: { phase: string; prompt?: string }) => {
        heard.push(phase);
        if (prompt?.includes("secret") === true) return { type: "block" as const, reason: "no" };
        return phase === "preTurn"
          ? { type: "mutate" as const, patch: { prompt: `${prompt}!` } }
          : { type: "continue" as const };
      },
    }],
    post: [{
      name: "watch",
      call: ({ phase, status }: { phase: string; status?: string }) =>
        void heard.push(`${phase} ${status}`),
    }],
  };
  await onFake({ server: { dialect, onTurn }, session: { hooks } }, async ({ session, server }) => {
    assert.deepEqual(heard.splice(0), ["preSessionStart", "postSessionStart ok"]);
    const result = await session.ask("hello");
    assert.equal(result.assistantText, "hello!");
    assert.deepEqual(heard.splice(0), ["preRun", "preTurn", "postTurn ok", "postRun ok"]);
    assert.equal(result.hooks.ran.length, 4);
    const blocked = await rejection(session.ask("the secret"));
    assert.ok(blocked instanceof HookBlockedError, `${blocked}`);
    assert.equal(server().turns.length, 1);
    assert.equal((await session.ask("again")).assistantText, "again!");
  });
});

dialects(
  "an abort, an interrupt and a close reach a prompt that is still in its hooks",
  async (dialect) => {
    let inHook = Promise.withResolvers<void>();
    const hook = {
      name: "endless",
      phases: ["preTurn" as const],
      call: () => {
        inHook.resolve();
        return new Promise<never>(() => {});
      },
    };
    const hooks = { hooks: { pre: [hook] } };
    await onFake({ server: { dialect } }, async ({ session, server }) => {
      const [stop, reason] = [new AbortController(), new Error("enough")];
      const aborted = rejection(session.ask("x", { ...hooks, signal: stop.signal }));
      await inHook.promise;
      stop.abort(reason);
      assert.equal(await aborted, reason);
      inHook = Promise.withResolvers();
      const interrupted = rejection(session.ask("x", hooks));
      await inHook.promise;
      await session.interrupt();
      assert.ok(await interrupted instanceof TurnInterruptedError);
      inHook = Promise.withResolvers();
      const closed = rejection(session.ask("x", hooks));
      await inHook.promise;
      await session.close();
      assert.ok(await closed instanceof SessionClosedError);
      assert.equal(server().turns.length, 0);
    });
  },
);

dialects(
  "approvals are told before the end of their turn, and nothing after it",
  async (dialect) => {
    const onTurn = (turn: FakeTurn) => {
      void turn.command("rm -rf /", "", { ask: true });
      turn.interrupted();
    };
    const client = { approvals: () => new Promise<never>(() => {}) };
    await onFake({ server: { dialect, onTurn }, client }, async ({ session }) => {
      const events: TurnEvent[] = [];
      const stream = await session.askStream("x");
      for await (const event of stream) events.push(event);
      const types = events.map(({ type }) => type).filter((type) => type !== "unknown");
      assert.deepEqual(types.slice(-3), ["approvalRequested", "approvalResolved", "turnCompleted"]);
      assert.ok(await rejection(stream.finish()) instanceof TurnInterruptedError);
    });
  },
);

dialects("prompts leave no listener on their signal", async (dialect) => {
  let listeners = 0;
  const { signal } = new AbortController();
  const [add, remove] = [signal.addEventListener, signal.removeEventListener];
  const known = new Set<unknown>();
  signal.addEventListener = (...args: Parameters<typeof add>) => {
    if (!known.has(args[1])) listeners++;
    known.add(args[1]);
    add.apply(signal, args);
  };
  signal.removeEventListener = (...args: Parameters<typeof remove>) => {
    if (known.delete(args[1])) listeners--;
    remove.apply(signal, args);
  };
  let fail = false;
  const onTurn = (turn: FakeTurn) => {
    turn.say("x");
    if (fail) turn.fail("no");
    else turn.complete();
  };
  await onFake({ server: { dialect, onTurn } }, async ({ session, client, cwd }) => {
    await Promise.all([session.ask("1", { signal }), session.ask("2", { signal })]);
    await client.run(cwd, "3", { signal });
    fail = true;
    await rejection(session.ask("4", { signal }));
    await rejection(session.ask("", { signal }));
    const stream = await session.askStream("5", { signal });
    await rejection(stream.finish());
    await Promise.resolve();
    assert.equal(listeners, 0);
  });
});

test("a session that another server took over goes on there, or says why it can't", async () => {
  const servers: FakeServer[] = [];
  const open = fakeTransport((end) => {
    const server = new FakeServer(end, {
      onTurn: (turn) => {
        if (turn.prompt === "hang") return;
        if (turn.prompt === "y") {
          const item = { type: "collabAgentToolCall", id: "c", receiverThreadIds: ["an agent"] };
          server.notify("item/completed", { threadId: turn.threadId, turnId: turn.id, item });
        }
        turn.say(`server ${servers.length}`);
        turn.complete();
      },
    });
    // The ids of real servers do not repeat.
    for (let i = 0; i < 100 * servers.length; i++) server.id();
    servers.push(server);
  });
  await using directory = await tempDir("fake-");
  const client = await Client.connect({
    transport: { type: "custom", open },
    restart: { type: "onCrash", baseDelayMs: 1 },
  });
  try {
    const cwd = directory.path;
    const [used, unused, passing] = await Promise.all([
      client.startSession({ cwd }),
      client.startSession({ cwd }),
      client.startSession({ cwd, ephemeral: true }),
    ]);
    assert.equal((await used.ask("x")).assistantText, "server 1");
    await passing.ask("x");
    const { threadId } = used;
    const agents: string[] = [];
    void (async () => {
      for await (const { type } of used.events({ subAgents: true })) {
        if (type === "subAgent") agents.push(type);
      }
    })();
    servers[0]!.notify("turn/started", { threadId: "an agent", turn: { id: "a1" } });
    const running = rejection(used.ask("hang"));
    await servers[0]!.waitFor((m) =>
      m.method === "turn/start" && m.params.input[0].text === "hang"
    );
    const [waiting, lost] = [used.ask("y"), rejection(passing.ask("z"))];
    servers[0]!.crash();
    assert.ok(await running instanceof ConnectionClosedError);
    assert.equal((await waiting).assistantText, "server 2");
    assert.equal(used.threadId, threadId);
    // What the agent did on the server that is gone is not told again.
    assert.deepEqual(agents, []);
    assert.equal((await unused.ask("x")).assistantText, "server 2");
    assert.ok(await lost instanceof SessionClosedError);
    assert.ok(passing.closed && !used.closed);
    const resume = await servers[1]!.waitForMethod("thread/resume");
    assert.equal(resume.params.threadId, threadId);
    assert.equal(resume.params.excludeTurns, true);
    assert.equal(resume.params.overrides, undefined);
  } finally {
    await client.shutdown();
  }
});

const REPLAYS: [string, string | RegExp][] = [
  ["basic", "Hello from the model"],
  ["command-accept", "done"],
  ["command-decline", "done"],
  ["command-cancel", /interrupted/],
  ["patch-accept", "done"],
  ["patch-decline", "done"],
  ["dynamic-tool", "done"],
  ["fail-401", /auth/],
  ["fail-429", /rateLimit/],
  ["fail-context", /contextWindow/],
  ["output-schema", '{"ok":true}'],
  ["retry-then-ok", "second try"],
  ["user-input", "done"],
];

/** The end of the thread's file, where a patch that is asked about stands as the model wrote it. */
const WRITTEN = {
  exitCode: 0,
  stderr: "",
  stdout: JSON.stringify({
    type: "response_item",
    payload: { type: "custom_tool_call", call_id: "call_2", input: "*** Add File: new.txt\n+hi\n" },
  }),
};

async function replay(dialect: Dialect, scenario: string): Promise<string> {
  await using directory = await tempDir("replay-");
  let server: ReplayServer | undefined;
  const client = await Client.connect({
    transport: {
      type: "custom",
      open: fakeTransport((end) =>
        void (server = new ReplayServer(end, dialect, scenario, { "command/exec": () => WRITTEN }))
      ),
    },
    approvals: (request) =>
      request.type === "userInput"
        ? { answers: { color: ["Blue"] } } as never
        : { decision: /(accept|decline|cancel)$/.exec(scenario)?.[1] as "accept" ?? "accept" },
  });
  try {
    const { sandbox, approvalPolicy } = recorded(dialect, scenario, "thread/start").params;
    const session = await client.startSession({
      cwd: directory.path,
      sandbox,
      approvalPolicy,
      allowPrivilegedEscalation: true,
      tools: {
        lookup_ticket: {
          description: "d",
          inputSchema: { type: "object", properties: {} },
          run: () => "ticket T-1: open",
        },
      },
    });
    const answer = await session.ask(`scenario ${scenario}`).then(
      ({ assistantText }) => assistantText,
      (error: unknown) => String(error),
    );
    await server!.done;
    // Codex 0.104 reads no file for a client, which runs a program then.
    const surprises = server!.surprises.filter((method) => method !== "fs/readFile");
    assert.deepEqual(surprises, [], `${dialect} ${scenario}`);
    return answer;
  } finally {
    await client.shutdown();
  }
}

for (const dialect of DIALECTS) {
  test(`recorded conversations of ${dialect} go the same way with this client`, async () => {
    for (const [scenario, expected] of REPLAYS) {
      const answer = await replay(dialect, scenario);
      if (typeof expected === "string") assert.equal(answer, expected, scenario);
      else assert.match(answer, expected, scenario);
    }
  });
}

test("a thread is waited for as long as the MCP servers that it needs may take", async () => {
  const methods: Record<string, () => unknown> = { "config/read": () => ({ config: {} }) };
  await onFake({ server: { methods }, client: { requestTimeoutMs: 1_000 } }, async (world) => {
    methods["thread/start"] = () => NO_ANSWER;
    const slow = { url: "http://127.0.0.1:9/", startupTimeoutMs: 20 };
    const open = (server: object) =>
      rejection(world.client.startSession({
        cwd: world.cwd,
        mcpServers: { plain: slow, quick: { ...slow, ...server } },
      }));
    const errors = await Promise.all([
      open({}),
      open({ required: true, startupTimeoutMs: 7 }),
      open({ required: true }),
    ]);
    assert.deepEqual(errors.map((error) => (error as RequestTimeoutError).timeoutMs), [
      1_000,
      1_007,
      1_020,
    ]);
  });
});

/** A client of servers of which the first ones end with these last words, before they have said anything. */
async function startsOf(words: readonly string[]): Promise<{ starts: number; error: unknown }> {
  let starts = 0;
  const open = fakeTransport((end) => {
    const stderrTail = words[starts++];
    if (stderrTail === undefined) return void new FakeServer(end);
    end.close({ exit: { code: 1, signal: null }, stderrTail });
  });
  try {
    const client = await Client.connect({ transport: { type: "custom", open } });
    await client.shutdown();
    return { starts, error: null };
  } catch (error) {
    return { starts, error };
  }
}

test("a server that lost a race for a new home is followed by another one, a few times", async () => {
  // 0.150 and 0.136.
  const races = [
    "Error: failed to initialize sqlite state runtime under /h: failed to initialize state runtime at /h",
    "Error: failed to initialize state runtime at /h while executing migration 15: duplicate column name",
  ];
  assert.deepEqual(await startsOf(races), { starts: 3, error: null });
  const ever = await startsOf(Array.from({ length: 20 }, () => races[0]!));
  assert.equal(ever.starts, 5);
  assert.ok(ever.error instanceof ConnectionClosedError);
  const other = await startsOf(["Error: invalid configuration"]);
  assert.equal(other.starts, 1);
  assert.ok(other.error instanceof ConnectionClosedError);
});
