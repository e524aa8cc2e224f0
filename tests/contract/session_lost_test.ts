/** What becomes of a session whose connection is lost, on a server that goes on without it. */
import assert from "node:assert/strict";
import { ConnectionClosedError } from "../../src/errors/mod.ts";
import { Client } from "../../src/session/client/client.ts";
import { FakeRpcError, FakeServer, type FakeServerOptions, NO_ANSWER } from "../_fake_server.ts";
import { test } from "../_harness.ts";
import { rejection, startTurn } from "./session_world.ts";

/** A server that goes on when the connection to it is lost. */
interface World {
  client: Client;
  server: FakeServer;
  /** Lets a client that has lost its connection make a new one. */
  back: () => void;
}

type Methods = NonNullable<FakeServerOptions["methods"]>;

/** Loses the connection when it is asked for a turn, which it begins. */
const losesTurns = (lose: () => void): Methods => ({
  "turn/start": (params, server) => {
    startTurn(server, params);
    lose();
    return NO_ANSWER;
  },
});

/** Runs a test on a server that loses the connection when these methods say so. */
async function onLost(
  act: (world: World) => Promise<void>,
  methodsOf: (lose: () => void) => Methods = losesTurns,
): Promise<void> {
  let socket: WebSocket | undefined;
  let take: (line: string) => void;
  const end = {
    onLine: (each: typeof take) => void (take = each),
    send: (line: string) => socket!.readyState === WebSocket.OPEN && socket!.send(line),
    close: () => {},
  };
  const server = new FakeServer(end, { methods: methodsOf(() => socket!.close()) });
  const { promise: open, resolve: back } = Promise.withResolvers<void>();
  const http = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    async (request) => {
      if (socket !== undefined) await open;
      const upgraded = Deno.upgradeWebSocket(request);
      socket = upgraded.socket;
      socket.onmessage = ({ data }) => take(data);
      return upgraded.response;
    },
  );
  const client = await Client.connect({
    transport: { type: "websocket", url: `ws://127.0.0.1:${http.addr.port}` },
    restart: { type: "onCrash", baseDelayMs: 1 },
  });
  try {
    await act({ client, server, back });
  } finally {
    back();
    await client.shutdown();
    await http.shutdown();
  }
}

const denoOnly = "the server is Deno's own";

for (const ends of ["can't go on", "is released", "is closed"]) {
  test(
    `a turn whose answer was lost, so that nobody knows of it, is stopped where its session ${ends}`,
    { denoOnly },
    () =>
      onLost(async ({ client, server, back }) => {
        const session = await client.startSession({ cwd: "/", ephemeral: ends !== "is released" });
        assert.ok(await rejection(session.ask("one")) instanceof ConnectionClosedError);
        const ended = ends === "can't go on"
          ? new Promise((resolve) => session.closeSignal.addEventListener("abort", resolve))
          : ends === "is closed"
          ? session.close()
          : session.release();
        back();
        const { params } = await server.waitForMethod("turn/interrupt");
        assert.deepEqual(params, { threadId: session.threadId, turnId: "" });
        await ended;
        assert.equal(session.closed, true);
        assert.equal(server.threads.get(session.threadId)!.turn, null);
      }),
  );
}

/** Takes a goal, loses the connection before it begins a turn of it, and is closing the thread at first. */
function losesGoals(lose: () => void): Methods {
  let closing = false;
  const refuse = () => {
    closing = false;
    throw new FakeRpcError("thread 0199 is closing; retry after the thread is closed");
  };
  return {
    "thread/goal/set": () => {
      closing = true;
      // When this is answered.
      setTimeout(lose);
      return {};
    },
    "thread/goal/clear": () => ({}),
    "thread/read": ({ threadId }) => ({ thread: { id: threadId, status: { type: "idle" } } }),
    "thread/settings/update": () => ({}),
    "thread/turns/list": () => ({ data: [], nextCursor: null }),
    get "thread/resume"() {
      // Then as always.
      return closing ? refuse : undefined!;
    },
  };
}

/** Whether a thread was opened with goals, each time. */
function opened(server: FakeServer, method: string): boolean[] {
  return server.received.filter((message) => message.method === method)
    .map(({ params }) => params.config["features.goals"]);
}

test(
  "a goal whose connection was lost goes on, on a thread that has goals",
  { denoOnly },
  () =>
    onLost(async ({ client, server, back }) => {
      const session = await client.startSession({ cwd: "/" });
      const { threadId } = session;
      await session.ask("one");
      const goal = await session.startGoal("x");
      back();
      await server.waitFor(() => opened(server, "thread/resume").length === 3);
      server.notify("thread/goal/updated", {
        threadId,
        goal: { objective: "x", status: "complete" },
      });
      assert.equal((await goal.finish()).status, "complete");
      await session.ask("two");
      // The second one was refused.
      assert.deepEqual(opened(server, "thread/resume"), [true, true, true, false]);
    }, losesGoals),
);

test(
  "a goal is told as lost where its thread had no turn and is replaced",
  { denoOnly },
  () =>
    onLost(async ({ client, server, back }) => {
      const session = await client.startSession({ cwd: "/" });
      const goal = await session.startGoal("x");
      back();
      assert.ok(await rejection(goal.finish()) instanceof ConnectionClosedError);
      await session.ask("two");
      assert.deepEqual(opened(server, "thread/start"), [false, true, true, false]);
    }, losesGoals),
);

test(
  "a compaction of which nothing was heard when the connection was lost is told as lost",
  { denoOnly },
  () =>
    onLost(async ({ client, back }) => {
      const session = await client.startSession({ cwd: "/", timeoutMs: 5_000 });
      await session.ask("one");
      const lost = rejection(session.compact());
      back();
      assert.ok(await lost instanceof ConnectionClosedError);
      assert.equal((await session.ask("two")).assistantText, "ok");
    }, (lose) => ({
      "thread/compact/start": () => {
        // When this is answered.
        setTimeout(lose);
        return {};
      },
      "thread/settings/update": () => ({}),
    })),
);
