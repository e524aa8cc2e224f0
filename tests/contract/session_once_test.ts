/** Guards of a session that nothing but its refusal shows: each is tried with what it refuses, and with what it lets pass. */
import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import {
  BudgetExceededError,
  HookBlockedError,
  MessageTooLargeError,
  RequestTimeoutError,
  SessionClosedError,
  ThreadInUseError,
  TurnInterruptedError,
  TurnTimeoutError,
} from "../../src/errors/mod.ts";
import type { HookContext } from "../../src/plugin/types.ts";
import type { SessionEvent } from "../../src/session/events/session_event.ts";
import type { TurnEvent } from "../../src/session/turn/turn_event.ts";
import type { ThreadItem } from "../../src/thread_item.ts";
import type { TransportFactory } from "../../src/transport/transport.ts";
import {
  FakeRpcError,
  FakeServer,
  fakeTransport,
  type FakeTurn,
  type Message,
  recordedResult,
} from "../_fake_server.ts";
import { test } from "../_harness.ts";
import { dialects, onFake, rejection, startTurn } from "./session_world.ts";

const answers = (turn: FakeTurn) => {
  turn.say(turn.prompt);
  turn.complete();
};

const hangs = (turn: FakeTurn) => turn.say("Half", { open: true });

const THREAD = "01b20000-0000-7000-8000-000000000777";
const AGENT = "01b20000-0000-7000-8000-000000000888";

const calls = (server: FakeServer, method: string) =>
  server.received.filter((message) => message.method === method).length;

dialects(
  "of two that take up a thread at once, one is told to use the other's",
  async (dialect) => {
    await onFake({ server: { dialect, onTurn: answers } }, async ({ client, server, cwd }) => {
      const both = await Promise.allSettled([
        client.resumeSession(THREAD, { cwd }),
        client.resumeSession(THREAD, { cwd }),
      ]);
      const refused = both.filter(({ status }) => status === "rejected");
      assert.equal(refused.length, 1);
      assert.ok((refused[0] as PromiseRejectedResult).reason instanceof ThreadInUseError);
      const [kept] = both.filter(({ status }) => status === "fulfilled");
      const session =
        (kept as PromiseFulfilledResult<Awaited<ReturnType<typeof client.startSession>>>)
          .value;
      // Whoever comes later is refused before anything is sent.
      const sent = calls(server(), "thread/resume");
      const late = await rejection(client.resumeSession(session.threadId, { cwd }));
      assert.ok(late instanceof ThreadInUseError, `${late}`);
      assert.equal(calls(server(), "thread/resume"), sent);
      assert.equal((await session.ask("still mine")).assistantText, "still mine");
      await session.release();
      await client.resumeSession(session.threadId, { cwd });
    });
  },
);

dialects("a turn whose end is too long to be read is over: nothing is stopped", async (dialect) => {
  let server: FakeServer | undefined;
  const onTurn = (turn: FakeTurn) => {
    if (turn.prompt !== "long") return answers(turn);
    server!.threads.get(turn.threadId)!.turn = null;
    server!.notify("turn/completed", {
      threadId: turn.threadId,
      turn: { id: turn.id, status: "completed", items: [{ text: "x".repeat(100_000) }] },
    });
  };
  const client = { maxMessageBytes: 50_000 };
  await onFake({ server: { dialect, onTurn }, client }, async (world) => {
    server = world.server();
    const error = await rejection(world.session.ask("long"));
    assert.ok(error instanceof MessageTooLargeError, `${error}`);
    assert.equal((await world.session.ask("next")).assistantText, "next");
    assert.equal(calls(server, "turn/interrupt"), 0);
  });
});

dialects(
  "a turn that is stopped for its time has timed out, whatever its end says",
  async (dialect) => {
    const onTurn = (turn: FakeTurn) => turn.prompt === "next" ? answers(turn) : hangs(turn);
    await onFake({ server: { dialect, onTurn } }, async ({ session }) => {
      const events: TurnEvent[] = [];
      const late = await rejection(
        session.ask("x", { timeoutMs: 30, onEvent: (event) => void events.push(event) }),
      );
      assert.ok(late instanceof TurnTimeoutError, `${late}`);
      assert.equal(late.partial.assistantText, "Half");
      const end = events.findLast(({ type }) => type === "turnCompleted");
      assert.equal(end?.type === "turnCompleted" && end.status, "timedOut");
      // Somebody's interrupt is one.
      const stream = await session.askStream("y");
      await session.interrupt();
      assert.ok(await rejection(stream.finish()) instanceof TurnInterruptedError);
      assert.equal((await session.ask("next")).assistantText, "next");
    });
  },
);

test("what a turn still asks ends with it, also where the server never tells its end", async () => {
  const called = Promise.withResolvers<AbortSignal>();
  const asked = Promise.withResolvers<AbortSignal>();
  const never = new Promise<never>(() => {});
  const onTurn = (turn: FakeTurn) => {
    void turn.tool("slow", {});
    void turn.command("make", "", { ask: true });
  };
  const methods = {
    "turn/interrupt": () => {
      throw new FakeRpcError("no active turn to interrupt");
    },
    "thread/read": ({ threadId }: { threadId: string }) => ({
      thread: { id: threadId, status: { type: "idle" } },
    }),
    "thread/turns/list": () => ({ data: [], nextCursor: null }),
  };
  const session = {
    approvalPolicy: "on-request" as const,
    approvals: (_: unknown, { signal }: { signal: AbortSignal }) => {
      asked.resolve(signal);
      return never;
    },
    tools: {
      slow: {
        description: "Takes its time",
        inputSchema: { type: "object" },
        run: (_: unknown, { signal }: { signal: AbortSignal }) => {
          called.resolve(signal);
          return never;
        },
      },
    },
  };
  await onFake({ server: { onTurn, methods }, session }, async ({ client, session }) => {
    const ended = rejection(session.ask("x"));
    const signals = await Promise.all([called.promise, asked.promise]);
    await session.interrupt();
    assert.ok(await ended instanceof TurnInterruptedError);
    assert.deepEqual(signals.map(({ aborted }) => aborted), [true, true]);
    assert.deepEqual(client.approvals.pending(), []);
  });
});

dialects(
  "what this library declines is told as a warning, what others do is not",
  async (dialect) => {
    for (const certain of [false, true]) {
      const onTurn = async (turn: FakeTurn) => {
        const options = { id: "call_1", ask: true };
        // Two changes under one id: which of them is asked about can't be told.
        await Promise.all([
          turn.addFile("a", "x", options),
          ...(certain ? [] : [turn.addFile("b", "y", options)]),
        ]);
        turn.complete();
      };
      const client = { approvals: () => ({ decision: "decline" as const }) };
      const session = { approvalPolicy: "on-request" as const };
      await onFake({ server: { dialect, onTurn }, client, session }, async ({ session }) => {
        const warnings: string[] = [];
        const onEvent = (event: TurnEvent) => {
          if (event.type === "warning") warnings.push(event.message);
        };
        await session.ask("x", { onEvent }).catch(() => {});
        const declined = warnings.filter((text) => /not the only one of its id/.test(text));
        assert.equal(declined.length, certain ? 0 : 2, warnings.join("\n"));
      });
    }
  },
);

dialects(
  "a thread is archived once, one that was never used is forgiven, a refusal is not",
  async (dialect) => {
    let refusal: string | null = "no rollout found for thread id x";
    const methods = {
      "thread/archive": () => {
        if (refusal !== null) throw new FakeRpcError(refusal);
        return {};
      },
    };
    await onFake({ server: { dialect, methods } }, async ({ client, session, server, cwd }) => {
      await session.close();
      refusal = "disk full";
      const other = await client.startSession({ cwd });
      assert.match(String(await rejection(other.close())), /disk full/);
      refusal = null;
      await other.close();
      await other.close();
      assert.equal(calls(server(), "thread/archive"), 3);
      if (dialect === "0.104") return;
      // What leaves no trace is not archived.
      await (await client.startSession({ cwd, ephemeral: true })).close();
      assert.equal(calls(server(), "thread/archive"), 3);
    });
  },
);

dialects(
  "close() archives on the next server when codex dies while it is asked to",
  async (dialect) => {
    const servers: FakeServer[] = [];
    const methods = {
      "thread/archive": (_: unknown, server: FakeServer) => {
        servers.push(server);
        if (servers.length === 1) server.crash();
        return {};
      },
    };
    const client = { restart: { type: "onCrash" as const, baseDelayMs: 1 } };
    await onFake({ server: { dialect, methods }, client }, async ({ session }) => {
      await session.ask("x");
      await session.close();
      assert.equal(new Set(servers).size, 2);
    });
  },
);

dialects(
  "what somebody starts while the session lets go of its thread is stopped",
  async (dialect) => {
    for (const how of ["release", "close"] as const) {
      let late: FakeTurn | undefined;
      const begin = (params: { threadId: string }, server: FakeServer) => {
        if (late !== undefined) return { status: "unsubscribed" };
        const input = [{ type: "text", text: "late" }];
        late = startTurn(server, { threadId: params.threadId, input }).turn;
        late.started();
        late.say("Half", { open: true });
        // A thread that has not been written down can't be archived.
        if (how === "close") throw new FakeRpcError("no rollout found for thread id x");
        return { status: "unsubscribed" };
      };
      const methods = { [how === "release" ? "thread/unsubscribe" : "thread/archive"]: begin };
      await onFake({ server: { dialect, methods } }, async ({ session, server }) => {
        const events: SessionEvent[] = [];
        const listening = (async () => {
          for await (const event of session.events()) events.push(event);
        })();
        await session[how]();
        await listening;
        assert.ok(late!.signal.aborted, `${how}: the turn goes on`);
        assert.equal(calls(server(), "turn/interrupt"), 1);
        const ends = events.filter(({ type }) => type === "turnCompleted");
        assert.deepEqual(ends.map((end) => end.type === "turnCompleted" && end.status), [
          "interrupted",
        ]);
      });
    }
  },
);

test("an MCP server that did not start is told: to the turn at work, or to the next prompt", async () => {
  const failed = (name: string) => ({ name, status: "failed", error: "no such program" });
  let server: FakeServer | undefined;
  const onTurn = (turn: FakeTurn) => {
    server!.notify("mcpServer/startupStatus/updated", {
      threadId: turn.threadId,
      ...failed("within"),
    });
    answers(turn);
  };
  await onFake({ server: { onTurn } }, async (world) => {
    server = world.server();
    const { session } = world;
    server.notify("mcpServer/startupStatus/updated", {
      threadId: session.threadId,
      ...failed("before"),
    });
    const warnings: string[] = [];
    const onEvent = (event: TurnEvent) => {
      if (event.type === "warning" && /MCP/.test(event.message)) warnings.push(event.message);
    };
    await session.ask("x", { onEvent });
    assert.deepEqual(warnings.map((text) => /server (\w+) did not/.exec(text)?.[1]), [
      "before",
      "within",
    ]);
  });
});

test("a review whose session ends while it is prepared is not started", async () => {
  const settling = Promise.withResolvers<void>();
  const answered = Promise.withResolvers<void>();
  const methods = {
    "thread/settings/update": async () => {
      settling.resolve();
      await answered.promise;
      return {};
    },
  };
  await onFake({ server: { onTurn: answers, methods } }, async ({ session, server }) => {
    const review = rejection(session.review({ type: "uncommitted" }));
    await settling.promise;
    await session.close();
    answered.resolve();
    assert.ok(await review instanceof SessionClosedError);
    assert.equal(calls(server(), "review/start"), 0);
  });
});

test("an agent that a turn is just starting while its session ends is stopped", async () => {
  for (const end of ["close", "release"] as const) {
    const interrupted: string[] = [];
    const begun = Promise.withResolvers<void>();
    const named = ({ threadId }: { threadId: string }, server: FakeServer) => {
      if (threadId === AGENT) return {};
      const item = {
        type: "collabAgentToolCall",
        id: "call",
        status: "completed",
        receiverThreadIds: [AGENT],
      };
      server.notify("item/completed", { threadId, turnId: "foreign", item });
      // Its turn begins when the session has been let go of.
      setTimeout(() => {
        server.notify("turn/started", { threadId: AGENT, turn: { id: "C" } });
        begun.resolve();
      }, 20);
      return {};
    };
    const methods = {
      [end === "close" ? "thread/archive" : "thread/unsubscribe"]: named,
      "turn/interrupt": ({ threadId, turnId }: Record<string, string>, server: FakeServer) => {
        interrupted.push(threadId!);
        server.notify("turn/completed", { threadId, turn: { id: turnId, status: "interrupted" } });
        return {};
      },
    };
    await onFake({ server: { onTurn: answers, methods: methods as never } }, async (world) => {
      await world.session.ask("x");
      await Promise.all([world.session[end](), begun.promise]);
      assert.deepEqual(interrupted, [AGENT], end);
    });
  }
});

test("whoever asks for the next turn again at once misses none, and gets none of before", () =>
  onFake({ server: { onTurn: answers } }, async ({ session, server }) => {
    await session.ask("first");
    const pass = (count: number) =>
      Array.from({ length: count }, () => {
        const { turn } = startTurn(server(), { threadId: session.threadId, input: [] });
        turn.started();
        turn.say(turn.id);
        turn.complete();
        return turn.id;
      });
    let next = session.nextTurn();
    for (const id of pass(3)) {
      const turn = await next;
      next = session.nextTurn();
      assert.deepEqual([turn.turnId, (await turn.finish()).assistantText], [id, id]);
    }
    const [first] = pass(2);
    assert.equal((await next).turnId, first);
    // Timers of the same length come in their order: those of the session come first.
    const later = () => new Promise((resolve) => setTimeout(resolve, 0));
    await later();
    next = session.nextTurn();
    const [last] = pass(1);
    assert.equal((await next).turnId, last);
    await later();
  }));

test("nothing is asked of a session that is closed, and nothing is sent for it", async () => {
  await onFake({}, async ({ session, server }) => {
    await session.ask("one");
    await session.close();
    const before = server().received.length;
    const asked: Record<string, () => Promise<unknown>> = {
      ask: () => session.ask("x"),
      askWithProfile: () => session.askWithProfile("x", {}),
      askStream: () => session.askStream("x"),
      nextTurn: () => session.nextTurn(),
      startGoal: () => session.startGoal("x"),
      compact: () => session.compact(),
      review: () => session.review({ type: "uncommitted" }),
      sample: () => session.sample("x"),
      fork: () => session.fork(),
      rewind: () => session.rewind({ before: "t" }),
      inject: () => session.inject([]),
      update: () => session.update({ effort: "high" }),
      rename: () => session.rename("x"),
    };
    for (const [name, ask] of Object.entries(asked)) {
      const error = await rejection(ask());
      assert.ok(error instanceof SessionClosedError, `${name}: ${error}`);
    }
    assert.deepEqual(server().received.slice(before).map(({ method }) => method), []);
    await session.interrupt();
    await session.release();
  });
});

test("a session whose server is gone serves its tools to nobody any more", async () => {
  let server: FakeServer | undefined;
  const methods = { "config/read": () => ({ config: {}, layers: [] }) };
  const fake = fakeTransport((end) => void (server = new FakeServer(end, { methods })));
  const open: TransportFactory = async (options) =>
    Object.assign(await fake(options), { direct: true });
  await onFake({ client: { transport: { type: "custom", open } } }, async ({ client, cwd }) => {
    const tools = {
      look: { description: "Looks", inputSchema: { type: "object" }, run: () => "seen" },
    };
    const session = await client.resumeSession(THREAD, { cwd, tools });
    const { config } = (await server!.waitForMethod("thread/resume")).params;
    const { url, http_headers } = config.mcp_servers.session_tools;
    const headers = { ...http_headers, "content-type": "application/json" };
    const ping = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "ping" });
    const status = () =>
      fetch(url, { method: "POST", headers, body: ping }).then(
        async (response) => (await response.text(), response.status),
        () => "refused",
      );
    assert.equal(await status(), 200);
    const ended = new Promise((resolve) => session.closeSignal.addEventListener("abort", resolve));
    server!.crash();
    await ended;
    assert.equal(await status(), "refused");
  });
});

test("a command that a stopped turn begins after its end is ended, one of another turn is not", async () => {
  const onTurn = (turn: FakeTurn) => turn.prompt === "stop" ? hangs(turn) : answers(turn);
  const cleaned = "thread/backgroundTerminals/clean";
  const methods = { [cleaned]: () => ({}) };
  await onFake({ server: { onTurn, methods } }, async ({ session, server }) => {
    const begin = (turnId: string) => {
      const item = {
        type: "commandExecution",
        id: turnId,
        command: "sleep 9",
        status: "inProgress",
      };
      server().notify("item/started", { threadId: session.threadId, turnId, item });
    };
    const { turnId } = await session.ask("one");
    begin(turnId);
    const stream = await session.askStream("stop");
    await stream.interrupt();
    await assert.rejects(stream.finish(), TurnInterruptedError);
    begin(turnId);
    assert.equal(calls(server(), cleaned), 0);
    begin(stream.turnId);
    const { params } = await server().waitForMethod(cleaned);
    assert.deepEqual(params, { threadId: session.threadId });
  });
});

test("what a script of an earlier turn does is the active turn's, and the end of its commands is nobody's", async () => {
  const onTurn = (turn: FakeTurn) => turn.prompt === "wait" ? hangs(turn) : answers(turn);
  const methods = { "thread/backgroundTerminals/clean": () => ({}) };
  await onFake({ server: { onTurn, methods } }, async ({ session, server }) => {
    const { turnId } = await session.ask("one");
    const { threadId } = session;
    const item = { type: "commandExecution", command: "x", aggregatedOutput: "" };
    const began = (id: string) =>
      server().notify("item/started", {
        threadId,
        turnId,
        item: { ...item, id, status: "inProgress" },
      });
    const ended = (id: string) =>
      server().notify("item/completed", {
        threadId,
        turnId,
        item: { ...item, id, status: "completed", exitCode: 0 },
      });
    // Nothing is active: it is nobody's.
    began("between");
    const late: SessionEvent[] = [];
    const told = (async () => {
      for await (const event of session.events()) late.push(event);
    })();
    const limits = { toolCalls: 2 };
    const events: TurnEvent[] = [];
    const stream = await session.askStream("wait", { limits, onEvent: (e) => events.push(e) });
    ended("between");
    began("exec-1");
    ended("exec-1");
    began("exec-2");
    const delta = { threadId, turnId, itemId: "exec-2", delta: "out" };
    server().notify("item/commandExecution/outputDelta", delta);
    // Of the turn that is over there is no news.
    server().notify("turn/diff/updated", { threadId, turnId, diff: "no" });
    began("exec-3");
    const error = await rejection(stream.finish());
    assert.ok(error instanceof BudgetExceededError, `${error}`);
    const commands = (items: readonly ThreadItem[]) =>
      items.filter(({ type }) => type === "commandExecution").map(({ id }) => id);
    assert.deepEqual(commands(error.partial.items), ["exec-1", "exec-2", "exec-3"]);
    assert.ok(events.some((event) => event.type === "commandOutputDelta" && event.delta === "out"));
    assert.ok(events.every(({ turnId }) => turnId === stream.turnId));
    assert.ok(!events.some(({ type }) => type === "diffUpdated"));
    await session.close();
    await told;
    const finished = late.filter((event) => event.type === "commandFinished");
    assert.deepEqual(finished.map(({ item }) => item.id), ["between"]);
  });
});

test("a thread on which a turn was stopped is closed and resumed before the next one where codex lets scripts go on", async () => {
  for (const version of ["0.139.0", "0.140.0", "0.162.1", "0.163.0"]) {
    const leaves = version === "0.140.0" || version === "0.162.1";
    for (const ephemeral of [false, true]) {
      const initialize = ({ clientInfo }: Message) => {
        const hello = recordedResult("0.169", "basic", "initialize");
        return { ...hello, userAgent: `${clientInfo.name}/${version} (x)` };
      };
      const onTurn = (turn: FakeTurn) => turn.prompt === "stop" ? hangs(turn) : answers(turn);
      const methods = { initialize, "thread/backgroundTerminals/clean": () => ({}) };
      const options = { server: { onTurn, methods }, session: { ephemeral } };
      await onFake(options, async ({ session, server }) => {
        const ask = async () => {
          const before = server().received.length;
          const events: TurnEvent[] = [];
          await session.ask("x", { onEvent: (event) => events.push(event) });
          const sent = server().received.slice(before).map(({ method }) => method)
            .filter((method) => /^(?:turn.start|thread.(?:unsubscribe|resume))$/.test(method));
          return [...sent, ...events.filter(({ type }) => type === "warning")].map((one) =>
            typeof one === "string" ? one : "warning"
          );
        };
        const stop = async (id: string) => {
          const stream = await session.askStream("stop");
          const item = { type: "commandExecution", id, command: "x", status: "inProgress" };
          const { turnId } = stream;
          server().notify("item/started", { threadId: session.threadId, turnId, item });
          await stream.interrupt();
          await assert.rejects(stream.finish(), TurnInterruptedError);
        };
        assert.deepEqual(await ask(), ["turn/start"]);
        await stop("exec-1");
        const renewed = ["thread/unsubscribe", "thread/resume", "turn/start"];
        const scripted = ephemeral ? ["turn/start", "warning"] : renewed;
        assert.deepEqual(await ask(), leaves ? scripted : ["turn/start"]);
        assert.deepEqual(await ask(), ["turn/start"]);
        // Without a script there is nothing to tell.
        await stop("call_1");
        assert.deepEqual(await ask(), leaves && !ephemeral ? renewed : ["turn/start"]);
      });
    }
  }
});

test("no tool of this process runs for a call that comes after the end of its turn", async () => {
  let server: FakeServer | undefined;
  const turns: FakeTurn[] = [];
  const onTurn = (turn: FakeTurn) => turns.push(turn) === 1 ? answers(turn) : hangs(turn);
  const methods = { "config/read": () => ({ config: {}, layers: [] }) };
  const fake = fakeTransport((end) => void (server = new FakeServer(end, { methods, onTurn })));
  const open: TransportFactory = async (options) =>
    Object.assign(await fake(options), { direct: true });
  await onFake({ client: { transport: { type: "custom", open } } }, async ({ client, cwd }) => {
    const tools = {
      look: { description: "Looks", inputSchema: { type: "object" }, run: () => "seen" },
    };
    const session = await client.resumeSession(THREAD, { cwd, tools });
    const { config } = (await server!.waitForMethod("thread/resume")).params;
    const { url, http_headers } = config.mcp_servers.session_tools;
    const call = async (_meta: Record<string, unknown>) => {
      const params = { name: "look", arguments: {}, _meta };
      const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/call", params });
      const headers = { ...http_headers, "content-type": "application/json" };
      const { result } = await (await fetch(url, { method: "POST", headers, body })).json();
      return result.content[0].text;
    };
    const of = (turnId: string) => ({ "x-codex-turn-metadata": { turn_id: turnId } });
    const { turnId } = await session.ask("one");
    assert.equal(await call(of(turnId)), "The call was not answered.");
    // 0.104 says nothing of where it comes from; what the program calls by itself is of no turn.
    assert.equal(await call({}), "The call was not answered.");
    assert.equal(await call({ threadId: THREAD }), "seen");
    const stream = await session.askStream("two");
    assert.equal(await call(of(turnId)), "The call was not answered.");
    assert.equal(await call(of(turns[1]!.id)), "seen");
    assert.equal(await call({}), "seen");
    // An agent may go on beyond the turn that started it.
    const item = { type: "collabAgentToolCall", id: "c", receiverThreadIds: [AGENT] };
    server!.notify("item/completed", { threadId: THREAD, turnId: turns[1]!.id, item });
    server!.notify("turn/started", { threadId: AGENT, turn: { id: "agent's" } });
    turns[1]!.complete();
    await stream.finish();
    assert.deepEqual([await call({}), await call(of("agent's"))], ["seen", "seen"]);
    const turn = { id: "agent's", status: "completed" };
    server!.notify("turn/completed", { threadId: AGENT, turn });
    while (await call({}) === "seen");
    assert.equal(await call(of("agent's")), "The call was not answered.");
  });
});

test("a notification that is sent while there is no server goes to the next one", async () => {
  const servers: FakeServer[] = [];
  const gate = Promise.withResolvers<void>();
  const fake = fakeTransport((end) => void servers.push(new FakeServer(end)));
  const open: TransportFactory = async (options) => {
    if (servers.length === 1) await gate.promise;
    return await fake(options);
  };
  const client = {
    transport: { type: "custom" as const, open },
    restart: { type: "onCrash" as const, baseDelayMs: 1 },
  };
  await onFake({ client }, async ({ client: { runtime } }) => {
    servers[0]!.crash();
    for await (const { message } of runtime.events()) {
      if ((message as { state?: string } | undefined)?.state === "restarting") break;
    }
    const told = runtime.notify("some/notification", { any: 1 });
    const late = await rejection(runtime.request("model/list", {}, { timeoutMs: 5 }));
    assert.ok(late instanceof RequestTimeoutError, `${late}`);
    const [stop, reason] = [new AbortController(), new Error("enough")];
    const given = rejection(runtime.request("model/list", {}, { signal: stop.signal }));
    stop.abort(reason);
    assert.equal(await given, reason);
    gate.resolve();
    await told;
    assert.equal((await servers[1]!.waitForMethod("some/notification")).params.any, 1);
  });
});

test("the first prompt of a session whose codex ends before it is sent runs on the next one's thread", async () => {
  const asked: string[] = [];
  const client = { restart: { type: "onCrash" as const, baseDelayMs: 1 } };
  const methods = {
    initialize: (_: unknown, server: FakeServer) => {
      // Another name for the thread on each server.
      for (const _ of asked) server.id();
      asked.push("started");
      return structuredClone(recordedResult("0.169", "basic", "initialize"));
    },
  };
  const onTurn = (turn: FakeTurn) => {
    asked.push(turn.threadId);
    answers(turn);
  };
  await onFake({ server: { onTurn, methods }, client }, async ({ client, session, server }) => {
    const first = session.threadId;
    const call = async () => {
      server().crash();
      while (client.runtime.connection === "running") await new Promise((go) => setTimeout(go));
      return { type: "continue" as const };
    };
    const hooks = { pre: [{ name: "slow", phases: ["preTurn" as const], call }] };
    assert.equal((await session.ask("one", { hooks })).assistantText, "one");
    assert.notEqual(session.threadId, first);
    assert.deepEqual(asked, ["started", "started", session.threadId]);
  });
});

test("a session that is asked for while there is no server is opened on the next one", async () => {
  const servers: FakeServer[] = [];
  let gate = Promise.withResolvers<void>();
  const methods = { "config/read": () => ({ config: {} }) };
  const fake = fakeTransport((end) => void servers.push(new FakeServer(end, { methods })));
  const open: TransportFactory = async (options) => {
    if (servers.length > 0) await gate.promise;
    return await fake(options);
  };
  const config = {
    transport: { type: "custom" as const, open },
    restart: { type: "onCrash" as const, baseDelayMs: 1 },
  };
  // Whether it may have a server of that name is asked of codex before the thread is started.
  const own = { mcpServers: { own: { command: "x" } }, allowPrivilegedEscalation: true };
  await onFake({ client: config }, async ({ client, cwd }) => {
    const calls: Record<string, (more: { signal?: AbortSignal }) => Promise<unknown>> = {
      startSession: (more) => client.startSession({ cwd, ...own, ...more }),
      resumeSession: (more) => client.resumeSession("t", { cwd, ...own, ...more }),
      forkSession: (more) => client.forkSession("t", { cwd, ...own, ...more }),
      run: (more) => client.run(cwd, "x", { ...own, ...more }),
    };
    for (const [name, call] of Object.entries(calls)) {
      gate = Promise.withResolvers();
      servers.at(-1)!.crash();
      for await (const { message } of client.runtime.events()) {
        if ((message as { state?: string } | undefined)?.state === "restarting") break;
      }
      const given = new AbortController();
      const givenUp = call({ signal: given.signal }).then(() => "opened", (error) => error);
      const opened = call({}).then(() => "opened", (error) => error);
      given.abort(name);
      assert.equal(await givenUp, name);
      gate.resolve();
      assert.equal(await opened, "opened", name);
    }
  });
});

dialects(
  "tokens of a try that failed are told, also where the next one tells none",
  async (dialect) => {
    let tries = 0;
    const onTurn = (turn: FakeTurn) => {
      if (tries++ > 0) return answers(turn);
      turn.usage();
      turn.fail("busy", { httpConnectionFailed: { httpStatusCode: 503 } });
    };
    await onFake({ server: { dialect, onTurn } }, async ({ session }) => {
      const { usage } = await session.ask("now", { retry: { baseDelayMs: 0 } });
      assert.equal(tries, 2);
      assert.ok(usage !== null && usage.totalTokens > 0 && usage.thread.totalTokens > 0);
      assert.equal(usage.totalTokens, session.usage.totalTokens);
    });
  },
);

test("a prompt is answered beside the fake timers of a test, which do no microtask by themselves", async () => {
  const real = globalThis.queueMicrotask;
  const kept: (() => void)[] = [];
  globalThis.queueMicrotask = (act) => void kept.push(act);
  try {
    await onFake({ server: { onTurn: answers } }, async ({ client, cwd }) => {
      const session = await client.startSession({ cwd });
      assert.equal((await session.ask("still there?")).assistantText, "still there?");
    });
  } finally {
    globalThis.queueMicrotask = real;
    for (const act of kept) act();
  }
});

test("handlers and hooks run in the asynchronous context of their prompt, not in the one in which messages are read", async () => {
  const user = new AsyncLocalStorage<string>();
  let during: () => unknown;
  let started = Promise.withResolvers<void>();
  const onTurn = (turn: FakeTurn) =>
    user.run("reader", async () => {
      during();
      // What was sent before is delivered in the context that it was sent in, with what comes in the same moment.
      await started.promise;
      await turn.command("touch a", "", { ask: true });
      answers(turn);
    });
  const seen: [called: string, user: string | undefined][] = [];
  const approvals = () => {
    seen.push(["handler", user.getStore()]);
    return { decision: "decline" as const };
  };
  const see = ({ phase }: HookContext) => {
    seen.push([phase, user.getStore()]);
    return { type: "continue" as const };
  };
  const watch = { name: "watch", call: see };
  await onFake({ server: { onTurn } }, async ({ client, cwd }) => {
    const hooks = { pre: [watch], post: [watch] };
    const session = await client.startSession({
      cwd,
      approvalPolicy: "untrusted",
      approvals,
      hooks,
    });
    seen.splice(0);
    const onEvent = ({ type }: TurnEvent) => {
      if (type === "turnStarted") started.resolve();
      if (type === "turnCompleted") started = Promise.withResolvers();
    };
    const ask = (name: string) => user.run(name, () => session.ask(name, { onEvent }));
    let second: Promise<unknown> | undefined;
    // Its run begins beside the first one's turn.
    during = () => second ??= ask("bob");
    await ask("ann");
    await second;
  });
  for (const who of ["handler", "preRun", "postRun", "preTurn", "postTurn", "preToolUse"]) {
    const users = seen.filter(([called]) => called === who).map(([, name]) => name);
    assert.deepEqual(users, ["ann", "bob"], who);
  }
});

for (
  const [what, blocked, told] of [
    ["prompt", "preRun", ["preRun"]],
    ["review", "preRun", ["preRun"]],
    ["goal", "preRun", ["preRun"]],
    ["prompt", "preTurn", ["preRun", "preTurn", "postRun"]],
    ["review", "preTurn", ["preRun", "preTurn", "postRun"]],
  ] as const
) {
  test(`post-hooks of a ${what} hear of what has begun, and of nothing else: ${blocked} blocks`, async () => {
    const phases: string[] = [];
    const note = (context: HookContext) => {
      phases.push(context.phase);
      return context.phase === blocked
        ? { type: "block", reason: "no" } as const
        : { type: "continue" } as const;
    };
    const hooks = {
      pre: [{ name: "before", phases: ["preRun", "preTurn"] as const, call: note }],
      post: [{ name: "after", phases: ["postRun", "postTurn"] as const, call: note }],
    };
    const session = { hooks, goals: true };
    await onFake({ session }, async ({ session }) => {
      const asked = what === "prompt"
        ? session.ask("now")
        : what === "review"
        ? session.review({ type: "uncommitted" })
        : session.startGoal("now");
      assert.ok(await rejection(asked) instanceof HookBlockedError);
      assert.deepEqual(phases, told);
    });
  });
}
