/** Codex is killed in every phase of a session's life, and started again. */
import assert from "node:assert/strict";
import { ConnectionClosedError, PolicyError, SessionClosedError } from "../../src/errors/mod.ts";
import { type ModelRequest, type ModelTurn, script } from "../../src/testing/mod.ts";
import { CODEX_VERSIONS } from "../_codex.ts";
import { test } from "../_harness.ts";
import { inWorld, QUICKLY, type World } from "./restart_world.ts";

/** Plays what the prompt asks for. */
function actor(request: ModelRequest): ModelTurn {
  if (request.toolOutputs.length > 0) return "ran";
  if (request.text.includes("hang")) {
    return [script.say(["half an ", "answer"], { open: true }), script.hang()];
  }
  if (request.text.includes("run")) return script.exec("touch ran.txt");
  return `answer to ${request.text}`;
}

/** Whether the model saw these words of the user when it was asked last. */
function remembered(world: World, words: string): boolean {
  return world.model.requests.at(-1)!.userTexts.some((text) => text.includes(words));
}

/** Reads a stream until it has said these words. */
async function untilSaid(
  stream: { recv(): Promise<{ type: string; delta?: string } | null> },
  words: string,
): Promise<void> {
  let text = "";
  while (!text.includes(words)) {
    const event = await stream.recv();
    if (event === null) throw new Error(`the turn ended after: ${text}`);
    if (event.type === "assistantMessageDelta") text += event.delta;
  }
}

function assertLost(error: unknown, text: string): void {
  assert.ok(error instanceof ConnectionClosedError, String(error));
  assert.equal(error.retryable, true);
  assert.deepEqual(error.exit, { code: null, signal: "SIGKILL" });
  assert.equal(error.partial?.assistantText, text);
}

for (const version of CODEX_VERSIONS) {
  test(`a codex ${version} killed while idle is replaced, and the thread remembers`, async () => {
    await inWorld({ version, script: actor }, async (world) => {
      const { client, servers } = world;
      const session = await client.startSession({
        cwd: world.cwd,
        developerInstructions: "Be brief.",
      });
      const { threadId } = session;
      await session.ask("the word is heron");
      servers[0]!.kill();
      await world.reached("restarting");
      const result = await session.ask("and now?");
      assert.equal(result.assistantText, "answer to and now?");
      assert.equal(result.threadId, threadId);
      assert.equal(session.threadId, threadId);
      assert.ok(remembered(world, "the word is heron"));
      assert.equal(servers.length, 2);
      assert.equal(client.runtime.pid, servers[1]!.pid);
      const asked = servers[0]!.sent.find((m) => m.method === "thread/start").params;
      const again = servers[1]!.sent.find((m) => m.method === "thread/resume").params;
      assert.equal(again.threadId, threadId);
      for (const setting of ["cwd", "sandbox", "approvalPolicy", "developerInstructions"]) {
        assert.deepEqual(again[setting], asked[setting], setting);
      }
      await session.close();
    });
  });

  test(`a turn that codex ${version} dies in fails at once; prompts in line run on the next one`, async () => {
    await inWorld({
      version,
      script: actor,
      client: { restart: { ...QUICKLY, baseDelayMs: 400, maxDelayMs: 400 } },
    }, async (world) => {
      const { client, servers } = world;
      const session = await client.startSession({ cwd: world.cwd });
      await session.ask("the word is heron");
      const stream = await session.askStream("hang");
      const queued = [session.ask("second"), session.ask("third")];
      await untilSaid(stream, "half an answer");
      servers[0]!.kill();
      const error = await stream.finish().then(() => null, (each) => each);
      assert.equal(client.runtime.connection, "restarting", "before anything is started again");
      assertLost(error, "half an answer");
      const results = await Promise.all(queued);
      assert.deepEqual(
        results.map(({ assistantText }) => assistantText),
        ["answer to second", "answer to third"],
      );
      assert.equal(new Set(results.map(({ threadId }) => threadId)).size, 1);
      assert.ok(remembered(world, "the word is heron"));
      assert.ok(remembered(world, "second"));
    });
  });
}

test("a thread whose first turn was killed goes on all the same", async () => {
  await inWorld({ script: actor }, async (world) => {
    const session = await world.client.startSession({ cwd: world.cwd });
    const stream = await session.askStream("hang");
    await untilSaid(stream, "half an answer");
    world.servers[0]!.kill();
    await assert.rejects(stream.finish(), ConnectionClosedError);
    // Its last turn has no end.
    assert.equal((await session.sample("a title")).text, "answer to a title");
    assert.equal((await session.ask("go on")).assistantText, "answer to go on");
  });
});

test("a thread whose first turn was sent to a dead codex is started anew", async () => {
  await inWorld({ script: actor }, async (world) => {
    const session = await world.client.startSession({ cwd: world.cwd });
    world.servers[0]!.kill();
    // Nobody has told of the end yet.
    await assert.rejects(session.ask("lost"), ConnectionClosedError);
    assert.equal((await session.ask("go on")).assistantText, "answer to go on");
  });
});

test("a question that waits when codex dies is withdrawn, and the next one is asked anew", async () => {
  const asked: AbortSignal[] = [];
  await inWorld({
    script: actor,
    client: {
      approvals: (_request, { signal }) => {
        asked.push(signal);
        return asked.length === 1 ? { decision: "defer" } : { decision: "decline" };
      },
    },
  }, async (world) => {
    const { client, servers } = world;
    const session = await client.startSession({
      cwd: world.cwd,
      sandbox: "read-only",
      approvalPolicy: "untrusted",
    });
    await session.ask("hello");
    const stream = await session.askStream("run it");
    for (let event = await stream.recv(); event?.type !== "approvalRequested";) {
      assert.notEqual(event, null, "no question came");
      event = await stream.recv();
    }
    const [question] = client.approvals.pending();
    servers[0]!.kill();
    assertLost(await stream.finish().then(() => null, (error) => error), "");
    assert.deepEqual(client.approvals.pending(), []);
    assert.equal(client.approvals.answer(question!.request.id, { decision: "accept" }), false);
    await session.ask("run it again");
    assert.equal(asked.length, 2);
  });
});

test("what codex was allowed before it died stops nothing that comes under the same id on the next one", async () => {
  const run = (command: string) => script.exec(command, {}, { callId: "call_0" });
  await inWorld({
    script: [run("touch one"), run("touch two"), "ran"],
    client: { approvals: () => ({ decision: "accept" }) },
  }, async (world) => {
    const session = await world.client.startSession({
      cwd: world.cwd,
      sandbox: "read-only",
      approvalPolicy: "untrusted",
      allowPrivilegedEscalation: true,
    });
    world.onSend = (server, { result }) => {
      if (server.generation === 1 && result?.decision === "accept") server.kill();
    };
    await assert.rejects(session.ask("first"), ConnectionClosedError);
    assert.equal((await session.ask("second")).assistantText, "ran");
  });
});

test("what was accepted for the session before codex died keeps no turn on the next one from doing less", async () => {
  await inWorld({
    script: actor,
    client: { approvals: () => ({ decision: "acceptForSession" }) },
  }, async (world) => {
    const session = await world.client.startSession({
      cwd: world.cwd,
      sandbox: "workspace-write",
      approvalPolicy: "untrusted",
      allowPrivilegedEscalation: true,
    });
    await session.ask("run it");
    const less = { sandbox: "read-only" } as const;
    await assert.rejects(session.ask("more", less), PolicyError);
    world.servers[0]!.kill();
    await world.reached("restarting");
    assert.equal((await session.ask("more", less)).assistantText, "answer to more");
  });
});

test("a codex that dies while its threads are resumed is replaced as well", async () => {
  await inWorld({ script: actor }, async (world) => {
    const { client, servers } = world;
    const sessions = await Promise.all(
      [1, 2, 3].map(() => client.startSession({ cwd: world.cwd })),
    );
    await Promise.all(sessions.map((session, i) => session.ask(`the word is heron ${i}`)));
    world.onSend = (server, { method }) => {
      if (server.generation === 2 && method === "thread/resume") server.kill();
    };
    servers[0]!.kill();
    await world.reached("restarting");
    const results = await Promise.all(sessions.map((session) => session.ask("and now?")));
    assert.deepEqual(
      results.map(({ threadId }) => threadId),
      sessions.map(({ threadId }) => threadId),
    );
    assert.equal(servers.length, 3);
    assert.ok(remembered(world, "the word is heron"));
    assert.deepEqual(
      world.story().map(({ state, generation, attempt }) => [state, generation, attempt]),
      [
        ["starting", 0, undefined],
        ["running", 1, undefined],
        ["restarting", 1, 1],
        ["restarting", 2, 2],
        ["running", 3, undefined],
      ],
    );
    assert.deepEqual(
      { resumed: world.story().at(-1).resumed, lost: world.story().at(-1).lost },
      { resumed: 3, lost: 0 },
    );
    assert.match(world.story()[2].reason, /ended by SIGKILL/);
    assert.equal(client.runtime.metrics().restarts, 2);
  });
});

test("codex may die again and again, as long as it lives between", async () => {
  await inWorld({
    script: actor,
    client: { restart: { ...QUICKLY, maxRestarts: 1, resetAfterMs: 1 } },
  }, async (world) => {
    const session = await world.client.startSession({ cwd: world.cwd });
    for (let round = 1; round <= 4; round++) {
      const { assistantText } = await session.ask(`round ${round}`);
      assert.equal(assistantText, `answer to round ${round}`);
      world.servers.at(-1)!.kill();
      await world.reached("restarting");
    }
    assert.ok(remembered(world, "round 1"));
    await world.reached("running");
    assert.equal(world.servers.length, 5);
  });
});

test("a codex that never comes back ends the connection, and everybody is told", async () => {
  await inWorld({ script: actor }, async (world) => {
    const { client, servers } = world;
    const session = await client.startSession({ cwd: world.cwd });
    await session.ask("hello");
    world.onSend = (server, { method }) => {
      if (server.generation > 1 && method === "initialize") server.kill();
    };
    const stream = await session.askStream("hang");
    const queued = session.ask("in line").then(() => null, (error) => error);
    servers[0]!.kill();
    assertLost(await stream.finish().then(() => null, (error) => error), "");
    assert.ok(await queued instanceof ConnectionClosedError);
    await world.reached("closed");
    await assert.rejects(session.ask("anybody?"), ConnectionClosedError);
    await assert.rejects(client.startSession({ cwd: world.cwd }), ConnectionClosedError);
    assert.deepEqual(
      world.story().slice(2).map(({ state, attempt }) => [state, attempt]),
      [["restarting", 1], ["restarting", 2], ["restarting", 3], ["closed", undefined]],
    );
    assert.equal(servers.length, 1 + 3);
    const report = await client.runtime.shutdown();
    assert.equal(report.gone, true);
    assert.equal(report.generations, 4);
    await session.close();
  });
});

test("an ephemeral thread does not survive and says so; an unused one is started anew", async () => {
  await inWorld({ script: actor }, async (world) => {
    const { client, servers } = world;
    const config = { cwd: world.cwd, ephemeral: true };
    const used = await client.startSession(config);
    const unused = await client.startSession(config);
    const stored = await client.startSession({ cwd: world.cwd });
    await used.ask("hello");
    servers[0]!.kill();
    await world.reached("restarting");
    await world.reached("running");
    await assert.rejects(used.ask("again"), (error: unknown) => {
      assert.ok(error instanceof SessionClosedError);
      assert.match(error.message, /ephemeral/);
      return true;
    });
    for (const session of [unused, stored]) {
      assert.equal((await session.ask("hello")).assistantText, "answer to hello");
    }
    assert.deepEqual(
      { resumed: world.story().at(-1).resumed, lost: world.story().at(-1).lost },
      { resumed: 2, lost: 1 },
    );
  });
});

test("a shutdown while codex is started again waits for nobody and leaves nothing", async () => {
  await inWorld({
    script: actor,
    client: { restart: { ...QUICKLY, baseDelayMs: 60_000, maxDelayMs: 60_000 } },
  }, async (world) => {
    const { client, servers } = world;
    const session = await client.startSession({ cwd: world.cwd });
    await session.ask("hello");
    servers[0]!.kill();
    await world.reached("restarting");
    const queued = session.ask("in line").then(() => null, (error) => error);
    const begun = performance.now();
    const report = await client.runtime.shutdown();
    assert.ok(performance.now() - begun < 30_000, "the minute until the next try");
    assert.ok(await queued instanceof ConnectionClosedError);
    assert.equal(report.gone, true);
    assert.equal(servers.length, 1);
  });
});
