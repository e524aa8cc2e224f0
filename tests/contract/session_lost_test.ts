/** What becomes of a session whose connection is lost, on a server that goes on without it. */
import assert from "node:assert/strict";
import { ConnectionClosedError } from "../../src/errors/mod.ts";
import { Client } from "../../src/session/client/client.ts";
import { FakeServer, NO_ANSWER } from "../_fake_server.ts";
import { test } from "../_harness.ts";
import { rejection, startTurn } from "./session_world.ts";

/** A server that goes on when the connection to it is lost. */
interface World {
  client: Client;
  server: FakeServer;
  /** Lets a client that has lost its connection make a new one. */
  back: () => void;
}

/** Runs a test on a server that loses the connection when it is asked for a turn, which it begins. */
async function onLost(act: (world: World) => Promise<void>): Promise<void> {
  let socket: WebSocket | undefined;
  let take: (line: string) => void;
  const end = {
    onLine: (each: typeof take) => void (take = each),
    send: (line: string) => socket!.readyState === WebSocket.OPEN && socket!.send(line),
    close: () => {},
  };
  const server = new FakeServer(end, {
    methods: {
      "turn/start": (params, server) => {
        startTurn(server, params);
        socket!.close();
        return NO_ANSWER;
      },
    },
  });
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
