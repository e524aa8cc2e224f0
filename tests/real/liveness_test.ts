/** Servers that neither speak nor close: half-open sockets, stopped processes. */
import assert from "node:assert/strict";
import process from "node:process";
import { ConnectionClosedError, TurnTimeoutError } from "../../src/errors/mod.ts";
import type { EventEnvelope } from "../../src/runtime/log/event_envelope.ts";
import { Runtime } from "../../src/runtime/runtime.ts";
import { Client } from "../../src/session/client/client.ts";
import { script, ScriptedModel } from "../../src/testing/mod.ts";
import { CODEX_VERSIONS, NEWEST_CODEX } from "../_codex.ts";
import { test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";
import { World } from "./_session_world.ts";
import { isRunning } from "./_transport_world.ts";
import { listen, wireTo } from "./websocket_world.ts";

/** The state of a connection as soon as it is this one. */
async function reached(client: Client, state: string, after: number): Promise<EventEnvelope> {
  for await (const event of client.runtime.events({ after })) {
    const told = event.message as { state?: string };
    if (event.kind === "connection" && told.state === state) return event;
  }
  throw new Error(`the connection never was ${state}`);
}

for (const version of CODEX_VERSIONS) {
  test(`a half-open socket ends and is replaced, with codex ${version}`, {
    timeoutMs: 60_000,
  }, async () => {
    await using directory = await tempDir();
    await using model = await ScriptedModel.start(["first", "second"]);
    const server = await listen(model, directory.path, { open: true, version });
    const wire = await wireTo(server.url);
    const client = await Client.connect({
      transport: { type: "websocket", url: wire.url },
      unresponsiveAfterMs: 600,
      restart: { type: "onCrash", baseDelayMs: 10 },
    });
    try {
      const session = await client.startSession({ cwd: directory.path });
      assert.equal((await session.ask("hello")).assistantText, "first");
      // An idle connection: nobody asks anything, and it is noticed all the same.
      wire.freeze();
      const lost = await reached(client, "restarting", 0);
      assert.match(
        String((lost.message as { reason?: string }).reason),
        /gave no sign of life for \d+ ms.*counts as lost/,
      );
      await reached(client, "running", lost.seq);
      assert.equal((await session.ask("again")).assistantText, "second");
      assert.equal(wire.connections, 2);
    } finally {
      await client.shutdown();
      await wire.close();
      await server.close();
    }
  });
}

test(
  "a turn on a half-open socket rejects at once when nothing is started again, and lies about nothing",
  async () => {
    await using directory = await tempDir();
    await using model = await ScriptedModel.start(() => [script.hang()]);
    const server = await listen(model, directory.path, { open: true });
    const wire = await wireTo(server.url);
    const connect = (unresponsiveAfterMs: number) =>
      Client.connect({ transport: { type: "websocket", url: wire.url }, unresponsiveAfterMs });
    const watched = await connect(600);
    const unwatched = await connect(Infinity);
    try {
      const sessions = await Promise.all(
        [watched, unwatched].map((client) => client.startSession({ cwd: directory.path })),
      );
      const streams = await Promise.all(
        // However slow the machine is, only who does not look after the socket is to run out of time.
        sessions.map((session, n) =>
          session.askStream("hello", n === 0 ? {} : { timeoutMs: 3_000 })
        ),
      );
      wire.freeze();
      const [first, second] = await Promise.allSettled(streams.map((stream) => stream.finish()));
      assert.ok(first?.status === "rejected" && first.reason instanceof ConnectionClosedError);
      assert.match(first.reason.message, /no sign of life/);
      // The interrupt could not be delivered: the turn may go on, and the error says so.
      assert.ok(second?.status === "rejected" && second.reason instanceof TurnTimeoutError);
      assert.equal(second.reason.stopped, false);
      assert.match(second.reason.message, /told to stop, which the server has not confirmed/);
    } finally {
      await Promise.all([watched, unwatched].map((client) => client.shutdown()));
      await wire.close();
      await server.close();
    }
  },
);

test("a stopped codex that is waited for is ended, and an idle one is left alone", async () => {
  await using world = await World.start(NEWEST_CODEX);
  const client = await world.connect({ unresponsiveAfterMs: 800 });
  const session = await client.startSession({ cwd: world.cwd });
  const pid = client.runtime.pid!;
  const connection = client.runtime;
  const before = connection.metrics().messagesOut;
  process.kill(pid, "SIGSTOP");
  await new Promise((resolve) => setTimeout(resolve, 1_200));
  assert.equal(connection.connection, "running");
  assert.equal(connection.metrics().messagesOut, before);
  await assert.rejects(session.ask(world.prompt(["never"])), (error) => {
    assert.ok(error instanceof ConnectionClosedError);
    assert.match(error.message, /no sign of life.*codex was ended by SIGKILL/);
    return true;
  });
  assert.equal(isRunning(pid), false);
  // What comes after can't be helped by another try on this client.
  await assert.rejects(client.models(), (error) => {
    assert.ok(error instanceof ConnectionClosedError);
    return error.retryable === false;
  });
});

test("a codex that is stopped in the middle of a turn is noticed, though nothing is asked of it", async () => {
  await using world = await World.start(NEWEST_CODEX);
  const client = await world.connect({ unresponsiveAfterMs: 800 });
  const session = await client.startSession({ cwd: world.cwd });
  const stream = await session.askStream(
    world.prompt([[script.say(["half"], { open: true }), script.hang()]]),
    {
      timeoutMs: 3_600_000,
    },
  );
  // Leaving a loop over the stream would interrupt it.
  for (let event = await stream.recv(); event !== null; event = await stream.recv()) {
    if (event.type !== "assistantMessageDelta") continue;
    // A model that thinks for long is no stopped server: it answers.
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    assert.equal(client.runtime.connection, "running");
    process.kill(client.runtime.pid!, "SIGSTOP");
    break;
  }
  await assert.rejects(stream.finish(), (error) => {
    assert.ok(error instanceof ConnectionClosedError, String(error));
    assert.match(error.message, /no sign of life/);
    return true;
  });
});

test("a codex that works on as many calls as may be in flight is alive", async () => {
  await using world = await World.start(NEWEST_CODEX);
  const limits = { unresponsiveAfterMs: 600, maxInFlight: 1 };
  await using runtime = await Runtime.spawn({ ...world.config(), ...limits });
  const command = ["sleep", "2"];
  await runtime.request("command/exec", { command }, { allowPrivilegedEscalation: true });
  assert.equal(runtime.connection, "running");
});
