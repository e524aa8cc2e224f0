/** Cassettes: every recorded conversation plays back, faithfully and loosely, and through a real client. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ConnectionClosedError } from "../../src/errors/mod.ts";
import { Runtime } from "../../src/runtime/runtime.ts";
import { Tape } from "../../src/testing/cassette/cassette_tape.ts";
import { threadIn } from "../../src/testing/cassette/cassette_tape.ts";
import { Cassette } from "../../src/testing/cassette/cassette.ts";
import { CassetteDivergenceError } from "../../src/testing/cassette/cassette_divergence_error.ts";
import { memoryPair } from "../../src/transport/memory.ts";
import { memoryTransport } from "../../src/testing/memory_transport.ts";
import { test } from "../_harness.ts";
import { type Dialect, DIALECTS, type Message, scenarios, TRANSCRIPTS } from "../_transcripts.ts";

function cassette(dialect: Dialect, scenario: string): Cassette {
  return Cassette.load(readFileSync(join(TRANSCRIPTS, dialect, `${scenario}.jsonl`), "utf8"));
}

function tape(recorded: Cassette): Tape {
  return new Tape(recorded.messages.map((message, i) => ({ message, line: i + 1 })), {});
}

/** The messages of each thread, those of no thread left out. */
function byThread(messages: Message[]): Map<string, string[]> {
  const threads = new Map<string, string[]>();
  for (const m of messages) {
    const thread = threadIn(m.params ?? {});
    if (thread === null) continue;
    threads.set(thread, [...threads.get(thread) ?? [], JSON.stringify(m)]);
  }
  return threads;
}

for (const dialect of DIALECTS) {
  test(`cassette: every ${dialect} transcript plays back to the client that it was recorded with`, () => {
    for (const scenario of scenarios(dialect)) {
      const recorded = cassette(dialect, scenario);
      const played = tape(recorded);
      const said: Message[] = [];
      const hear = (outputs: ReturnType<Tape["take"]>) => {
        for (const output of outputs) if ("line" in output) said.push(JSON.parse(output.line));
      };
      hear(played.start());
      for (const { dir, m } of recorded.messages) {
        // Other ids than the recorded ones, as any other client would have.
        if (dir === ">") hear(played.take(m!["method"] === undefined ? m! : renumbered(m!)));
      }
      const server = recorded.messages.filter(({ dir }) => dir === "<").map(({ m }) =>
        m as Message
      );
      assert.equal(said.length, server.length, scenario);
      assert.deepEqual(played.unused(), [], scenario);
      assert.deepEqual(byThread(said), byThread(server), scenario);
    }
  });

  test(`cassette: every ${dialect} transcript plays back to a client that waits for each answer`, () => {
    for (const scenario of scenarios(dialect)) {
      const recorded = cassette(dialect, scenario);
      const played = tape(recorded);
      played.start();
      for (const { dir, m } of recorded.messages) {
        if (dir === "<") continue;
        const said = played.take(m!);
        if (m!["id"] === undefined || m!["method"] === undefined) continue;
        const answered = said.some((output) =>
          "line" in output && JSON.parse(output.line).id === m!["id"] &&
          JSON.parse(output.line).method === undefined
        );
        assert.ok(answered, `${scenario}: ${m!["method"]}`);
      }
    }
  });
}

function renumbered(m: Message): Message {
  return m.id === undefined ? m : { ...m, id: m.id + 1000 };
}

test("cassette: a runtime runs on it as on a server", async () => {
  for (const dialect of DIALECTS) {
    const replay = cassette(dialect, "basic").replay();
    const runtime = await Runtime.spawn(replay.clientConfig({ experimentalApi: true }));
    assert.equal(runtime.server.version.startsWith(dialect), true);
    const events = runtime.events({ after: 0 });
    const { thread } = await runtime.request("thread/start", {
      cwd: "/elsewhere",
      sandbox: "read-only",
      approvalPolicy: "untrusted",
    }) as Message;
    assert.equal(thread.cwd, "/elsewhere");
    await runtime.request("turn/start", { threadId: thread.id, input: [] });
    for await (const event of events) if (event.method === "turn/completed") break;
    const turn = runtime.state().threads[thread.id]!.turns.at(-1)!;
    assert.equal(turn.status, "completed");
    replay.assertComplete();
    assert.equal(replay.divergence, null);
    await runtime.shutdown();
  }
});

test("cassette: a client that does something else is told where, and loses the connection", async () => {
  const replay = cassette("0.169", "basic").replay();
  const runtime = await Runtime.spawn(replay.clientConfig());
  await assert.rejects(
    runtime.request("review/start", { prompt: "secret words" }),
    (error: unknown) => {
      assert.ok(error instanceof ConnectionClosedError);
      assert.ok(error.cause instanceof CassetteDivergenceError);
      assert.match(error.message, /left the cassette at line \d+: expected thread\/start/);
      assert.equal(error.cause.received, "review/start");
      return true;
    },
  );
  assert.throws(() => replay.assertComplete(), CassetteDivergenceError);
  assert.deepEqual(replay.unused, ["thread/start", "turn/start"]);
  await runtime.shutdown();
});

test("cassette: a recorded connection keeps the script running no longer than another one", async () => {
  const { transport } = memoryTransport({ version: "0.169.0" });
  const told: string[] = [];
  const { open } = Cassette.record(async (options) => {
    const inner = await transport.open(options);
    return Object.assign(inner, { ref: () => told.push("ref"), unref: () => told.push("unref") });
  }).transport();
  const recorded = await open({});
  recorded.unref!();
  recorded.ref!();
  assert.deepEqual(told, ["unref", "ref"]);
  await recorded.close();
});

test("cassette: what was not asked for is told", async () => {
  const replay = cassette("0.169", "basic").replay();
  const runtime = await Runtime.spawn(replay.clientConfig());
  await runtime.shutdown();
  assert.equal(replay.divergence, null);
  assert.throws(() => replay.assertComplete(), {
    expected: "thread/start",
    received: null,
  });
});

test("cassette: each connection of the recording is played once", async () => {
  const replay = cassette("0.169", "basic").replay();
  await (await Runtime.spawn(replay.clientConfig())).shutdown();
  await assert.rejects(
    Runtime.spawn(replay.clientConfig()),
    (error: unknown) => error instanceof CassetteDivergenceError,
  );
  const again = cassette("0.169", "basic");
  await (await Runtime.spawn(again.clientConfig())).shutdown();
  await (await Runtime.spawn(again.clientConfig())).shutdown();
});

test("cassette: what is recorded plays back, crash and restart included, and holds no secret", async () => {
  const { transport, server } = memoryTransport();
  server.handle("account/login/start", () => ({ type: "apiKey" }));
  server.handle("thread/start", () => ({ thread: { id: "t-1", cwd: "/w", turns: [] } }));
  const recorder = Cassette.record(transport.open, { replace: { "/w": "/project" } });

  const talk = async (config: Parameters<typeof Runtime.spawn>[0], crash: () => void) => {
    await using runtime = await Runtime.spawn({
      ...config,
      restart: { type: "onCrash", baseDelayMs: 1 },
    });
    const events = runtime.events({ after: 0 });
    const login = { type: "apiKey", apiKey: "hunter2-hunter2" };
    assert.deepEqual(
      await runtime.request("account/login/start", login, {
        allowPrivilegedEscalation: true,
      }),
      { type: "apiKey" },
    );
    crash();
    for await (const event of events) {
      const { state, generation } = event.message as { state?: string; generation?: number };
      if (event.kind === "connection" && state === "running" && generation === 2) break;
    }
    return await runtime.request("thread/start", {
      cwd: "/project",
      sandbox: "read-only",
      approvalPolicy: "untrusted",
    }) as Message;
  };

  const crash = () => server.close({ code: 3, signal: null });
  const original = await talk(recorder.clientConfig(), crash);
  assert.equal(original.thread.cwd, "/w");
  const text = recorder.toString();
  assert.ok(!text.includes("hunter2"));
  const replay = Cassette.load(text).replay();
  const again = await talk(replay.clientConfig(), () => {});
  assert.equal(again.thread.cwd, "/project");
  replay.assertComplete();
});

test("cassette: bytes are recorded as the lines that they are, however they are cut", async () => {
  const { client, server } = memoryPair();
  const recorder = Cassette.record(() => Promise.resolve(client));
  const transport = await recorder.transport().open({});
  let bytes = 0;
  const closed = new Promise<void>((resolve) =>
    transport.start({
      bytes: (chunk) => bytes += chunk.length,
      text: () => {},
      closed: () => resolve(),
    })
  );
  await transport.write('{"id":1,"method":"a","params":{}}\n{"method":"b"}\n');
  const said = new TextEncoder().encode(
    '{"id":1,"result":"ä"}\n\n{"method":"c"}\nno json\n{"method":"d',
  );
  for (let i = 0; i < said.length; i += 7) server.sendBytes(said.subarray(i, i + 7));
  server.close({ exit: { code: 4, signal: null } });
  await closed;
  assert.equal(bytes, said.length);
  const lines = Cassette.load(recorder.toString()).messages.map(({ t: _t, ...rest }) => rest);
  assert.deepEqual(lines, [
    { dir: ">", m: { id: 1, method: "a", params: {} } },
    { dir: ">", m: { method: "b" } },
    { dir: "<", m: { id: 1, result: "ä" } },
    { dir: "<", m: { method: "c" } },
    { dir: "<", closed: { exit: { code: 4, signal: null }, stderrTail: "" } },
  ]);
});
