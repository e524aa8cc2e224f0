/** One codex, many sessions: threads, models, accounts, on the real codex. */
import assert from "node:assert/strict";
import { join } from "node:path";
import {
  ConnectionClosedError,
  RpcError,
  SessionClosedError,
  ThreadInUseError,
} from "../../src/errors/mod.ts";
import { Client } from "../../src/session/client/client.ts";
import type { ThreadFilter } from "../../src/session/client/threads.ts";
import { script } from "../../src/testing/mod.ts";
import { CODEX_VERSIONS, type CodexVersion, SLOW_BETWEEN } from "../_codex.ts";
import { test } from "../_harness.ts";
import { inWorld, isRunning, rejection, SOON_MS, within, type World } from "./_session_world.ts";

function versions(name: string, act: (world: World, version: CodexVersion) => Promise<void>): void {
  for (const version of CODEX_VERSIONS) {
    test(`${name} [${version}]`, () => inWorld(version, (world) => act(world, version)));
  }
}

async function ids(client: Client, filter: ThreadFilter = {}): Promise<string[]> {
  const found: string[] = [];
  for await (const { threadId } of client.threads(filter)) found.push(threadId);
  return found;
}

versions(
  "threads are listed page by page, read, archived and unarchived",
  async (world, version) => {
    const client = await world.connect();
    const made: string[] = [];
    for (let i = 0; i < 5; i++) {
      const session = await client.startSession({ cwd: world.cwd });
      await session.ask(world.prompt([`answer ${i}`], `prompt ${i}`));
      made.push(session.threadId);
      await session.release();
    }
    assert.deepEqual((await ids(client, { pageSize: 2 })).sort(), [...made].sort());
    assert.deepEqual(await ids(client, { cwd: join(world.cwd, "elsewhere") }), []);
    for await (const summary of client.threads()) {
      assert.match(summary.preview, /^prompt \d/);
      assert.equal(summary.cwd, world.cwd);
      assert.ok(summary.createdAt.getTime() > Date.now() - 120_000);
      assert.ok(summary.path!.endsWith(".jsonl"));
      break;
    }
    const snapshot = await client.readThread(made[0]!, { includeTurns: true });
    assert.equal(snapshot.threadId, made[0]);
    assert.equal(snapshot.turns.length, 1);
    assert.equal(snapshot.turns[0]!.status, "completed");
    const texts = snapshot.turns[0]!.items.map((item) => (item as { text?: string }).text);
    assert.ok(texts.includes("answer 0"), `${version}: ${texts}`);
    assert.deepEqual((await client.readThread(made[0]!)).turns, []);
    const unused = await client.startSession({ cwd: world.cwd });
    await unused.rename("for later");
    assert.deepEqual((await client.readThread(unused.threadId, { includeTurns: true })).turns, []);
    await unused.release();

    await client.archiveThread(made[0]!);
    assert.ok(!(await ids(client)).includes(made[0]!));
    assert.deepEqual(await ids(client, { archived: true }), [made[0]!]);
    await client.unarchiveThread(made[0]!);
    assert.ok((await ids(client)).includes(made[0]!));
  },
);

versions("a thread that was just released, or has had no turn, is read as it is", async (world) => {
  const client = await world.connect();
  const turns = async ({ threadId }: { threadId: string }) =>
    (await client.readThread(threadId, { includeTurns: true })).turns.length;
  for (let n = 0; n < 8; n++) {
    const session = await client.startSession({ cwd: world.cwd });
    assert.equal(await turns(session), 0);
    await session.ask(`prompt ${n}`);
    await session.release();
    assert.equal(await turns(session), 1);
  }
});

versions("a thread that was just released takes a name, and goes to the archive", async (world) => {
  const client = await world.connect();
  // The server lets go of a thread in its own time; once would seldom meet it.
  for (let n = 0; n < 8; n++) {
    const session = await client.startSession({ cwd: world.cwd });
    await session.ask(`prompt ${n}`);
    await session.release();
    if (n % 2 === 0) await client.renameThread(session.threadId, `named ${n}`);
    else await client.archiveThread(session.threadId);
  }
  assert.equal((await ids(client, { archived: true })).length, 4);
  await assert.rejects(client.renameThread(crypto.randomUUID(), "x"), { reason: "noThread" });
});

versions(
  "a thread is resumed with its history and with the settings asked for, also on another codex",
  async (world, version) => {
    const first = await world.connect();
    const session = await first.startSession({ cwd: world.cwd, model: "model-a" });
    await session.ask(world.prompt(["I am one."], "first"));
    const { threadId } = session;
    await session.release();
    await first.shutdown();

    const second = await world.connect();
    const resumed = await second.resumeSession(threadId, {
      cwd: world.cwd,
      model: "model-b",
      sandbox: "workspace-write",
      allowPrivilegedEscalation: true,
      approvalPolicy: "on-request",
    });
    assert.equal(resumed.threadId, threadId);
    assert.equal(resumed.policy.sandbox.type, "workspaceWrite");
    // An old codex would let some programs leave its sandbox unasked.
    assert.equal(
      resumed.policy.approvalPolicy,
      version === "0.104.0" ? "untrusted" : "on-request",
    );
    await resumed.ask(world.prompt(["I am two."], "second"));
    const request = world.model.requests.at(-1)!;
    assert.equal(request.model, "model-b");
    assert.ok(request.userTexts.some((text) => text.startsWith("first")));
    const missing = "01a20000-0000-7000-8000-00000000dead";
    const error = await rejection(second.resumeSession(missing, { cwd: world.cwd }));
    assert.ok(error instanceof RpcError, `${error}`);
    assert.equal(error.method, "thread/resume");
    assert.ok(await rejection(second.readThread(missing)) instanceof RpcError);
  },
);

versions("a fork goes on with a copy and leaves the original alone", async (world) => {
  const client = await world.connect();
  const original = await client.startSession({ cwd: world.cwd });
  await original.ask(world.prompt(["root"], "root"));
  const fork = await client.forkSession(original.threadId, { cwd: world.cwd });
  assert.notEqual(fork.threadId, original.threadId);
  await fork.ask(world.prompt(["branch"], "branch"));
  assert.ok(world.model.requests.at(-1)!.userTexts.some((text) => text.startsWith("root")));
  await original.ask(world.prompt(["trunk"], "trunk"));
  const seen = world.model.requests.at(-1)!.userTexts;
  assert.ok(!seen.some((text) => text.startsWith("branch")));
  await Promise.all([fork.close(), original.close()]);
});

versions(
  "an ephemeral fork leaves nothing behind, and a resumed thread stays what it was",
  async (world) => {
    const client = await world.connect();
    const original = await client.startSession({ cwd: world.cwd });
    await original.ask(world.prompt(["root"], "root"));
    const fork = await client.forkSession(original.threadId, { cwd: world.cwd, ephemeral: true });
    await fork.ask(world.prompt(["branch"], "branch"));
    await fork.close();
    assert.deepEqual(await ids(client), [original.threadId]);
    await original.release();
    const resumed = await client.resumeSession(original.threadId, {
      cwd: world.cwd,
      ephemeral: true,
    });
    assert.equal(resumed.profile.ephemeral, false);
    const again = client.resumeSession(original.threadId, { cwd: world.cwd });
    assert.ok(await rejection(again) instanceof ThreadInUseError);
    await resumed.close();
    assert.deepEqual(await ids(client), []);
    assert.deepEqual((await ids(client, { archived: true })).includes(original.threadId), true);
  },
);

versions("models, account and rate limits are read without a login", async (world) => {
  const client = await world.connect();
  const models = await client.models();
  assert.ok(models.length > 2);
  assert.equal(models.filter(({ isDefault }) => isDefault).length, 1);
  for (const { id, displayName, efforts } of models) {
    assert.ok(id !== "" && displayName !== "" && efforts.length > 0, id);
  }
  assert.equal(await client.account(), null);
  const limits = await rejection(client.rateLimits());
  assert.ok(limits instanceof RpcError, `${limits}`);
  assert.equal(client.server.version, world.version);
});

versions("run() leaves nothing in the history, whether it goes well or not", async (world) => {
  const client = await world.connect();
  const result = await client.run(world.cwd, world.prompt(["Done."]));
  assert.equal(result.assistantText, "Done.");
  const profile = { ephemeral: false };
  await client.runWithProfile(world.cwd, world.prompt(["Kept for a while."]), profile);
  const failing = world.prompt([script.httpError(401)]);
  await rejection(client.run(world.cwd, failing));
  await rejection(client.run(world.cwd, failing, profile));
  assert.deepEqual(await ids(client), []);
  assert.equal(client.usage.totalTokens, 26);
});

versions("sessions and clients are disposable, and may be closed more than once", async (world) => {
  let pid = 0;
  let threadId = "";
  {
    await using client = await Client.connect(world.config());
    pid = client.runtime.pid!;
    {
      await using session = await client.startSession({ cwd: world.cwd });
      ({ threadId } = session);
      await session.ask(world.prompt(["Hello."]));
      await Promise.all([session.close(), session.close()]);
      await session.close();
      assert.ok(session.closed);
      assert.ok(await rejection(session.ask("more")) instanceof SessionClosedError);
      assert.ok(await rejection(session.askStream("more")) instanceof SessionClosedError);
    }
    assert.deepEqual(await ids(client), []);
    const archived = await ids(client, { archived: true });
    // Missed once on a busy machine: whether it comes late or not at all tells whose fault it is.
    if (archived.length === 0) assert.fail(`none, then ${await ids(client, { archived: true })}`);
    assert.deepEqual(archived, [threadId]);
    await client.shutdown();
    assert.ok(!isRunning(pid));
    const late = await rejection(client.startSession({ cwd: world.cwd }));
    assert.ok(late instanceof ConnectionClosedError, `${late}`);
  }
  assert.deepEqual(world.running(), []);
});

versions("a session that was never used can be closed", async (world) => {
  const client = await world.connect();
  const unused = await client.startSession({ cwd: world.cwd });
  await unused.close();
  const ephemeral = await client.startSession({ cwd: world.cwd, ephemeral: true });
  await ephemeral.close();
  assert.deepEqual(await ids(client), []);
});

versions("shutdown() settles running and waiting prompts at once", async (world) => {
  const client = await world.connect();
  const session = await client.startSession({ cwd: world.cwd });
  const prompt = world.prompt([[script.say("Half", { open: true }), script.hang()]]);
  const asks = [session.ask(prompt), session.ask("waits"), session.ask("waits too")].map(rejection);
  await world.model.nextRequest();
  const shutdown = client.shutdown();
  for (const ask of asks) {
    const error = await within(SOON_MS, "the end of an ask", ask);
    assert.ok(error instanceof ConnectionClosedError, `${error}`);
    assert.equal(error.retryable, false);
  }
  await shutdown;
  assert.ok(session.closed);
  await session.close();
});

test("a start, a run and a listing can be given up", () =>
  inWorld("0.169.0", async (world) => {
    const client = await world.connect();
    const reason = new Error("enough");
    const aborted = AbortSignal.abort(reason);
    assert.equal(await rejection(Client.connect({ ...world.config(), signal: aborted })), reason);
    const start = client.startSession({ cwd: world.cwd, signal: aborted });
    assert.equal(await rejection(start), reason);
    const stop = new AbortController();
    const starting = client.startSession({ cwd: world.cwd, signal: stop.signal });
    stop.abort(reason);
    assert.equal(await within(SOON_MS, "the abort", rejection(starting)), reason);
    assert.equal(await rejection(client.models({ signal: aborted })), reason);
    assert.equal(await rejection(ids(client, { signal: aborted })), reason);
    const during = new AbortController();
    const run = client.run(world.cwd, world.prompt([[script.hang()]]), { signal: during.signal });
    await world.model.nextRequest();
    during.abort(reason);
    assert.equal(await within(SOON_MS, "the abort", rejection(run)), reason);
  }));

test("what codex has opened for somebody who gave it up does not stay", () =>
  inWorld("0.169.0", async (world) => {
    const first = await world.connect();
    const session = await first.startSession({ cwd: world.cwd });
    await session.ask("hello");
    const { threadId } = session;
    await first.shutdown();
    let stop = new AbortController();
    const reason = new Error("enough");
    const answered = new Set<string>();
    // As soon as codex is asked, and before it has answered.
    const client = await world.connect({
      eventLog: {
        write: ({ direction, method = "" }) => {
          if (!/^thread\/(start|resume|fork)$/.test(method)) return;
          if (direction === "outbound") stop.abort(reason);
          else answered.add(method);
        },
      },
    });
    const server = { command: "sh", args: ["-c", "cat > /dev/null; sleep 4711"] };
    const config = { cwd: world.cwd, allowPrivilegedEscalation: true };
    const openings = [
      (signal: AbortSignal) =>
        client.startSession({ ...config, signal, mcpServers: { slow: server } }),
      (signal: AbortSignal) => client.forkSession(threadId, { ...config, signal }),
      (signal: AbortSignal) => client.resumeSession(threadId, { ...config, signal }),
    ];
    for (const open of openings) {
      stop = new AbortController();
      assert.equal(await within(SOON_MS, "the abort", rejection(open(stop.signal))), reason);
    }
    const other = await world.connect();
    const taken = () => other.resumeSession(threadId, { cwd: world.cwd }).catch(() => null);
    const left = async () => ({
      loaded: (await client.runtime.request("thread/loaded/list", {}) as { data: string[] }).data,
      commands: world.commands("sleep 4711"),
      questions: openings.length - answered.size,
      // What is closed is in the history for a moment.
      copies: (await ids(other)).filter((id) => id !== threadId),
    });
    let resumed = await taken();
    for (let tries = SOON_MS / 50;; tries--) {
      const found = await left();
      const { loaded, commands, copies, questions } = found;
      if (resumed !== null && questions + [loaded, commands, copies].flat().length === 0) break;
      assert.ok(tries > 0, `left: ${JSON.stringify(found)}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
      resumed ??= await taken();
    }
    assert.equal((await resumed.ask("there?")).assistantText, "You said: there?");
  }));

test("prewarm() keeps a codex ready for the next connect with the same configuration", () =>
  inWorld("0.169.0", async (world) => {
    const config = world.config();
    await Client.prewarm(config);
    await Client.prewarm(config);
    const [pid, ...others] = world.servers();
    assert.deepEqual(others, []);
    const client = await Client.connect({ ...config });
    try {
      assert.equal(client.runtime.pid, pid);
      const result = await client.run(world.cwd, world.prompt(["Warm."]));
      assert.equal(result.assistantText, "Warm.");
      const other = await Client.connect(config);
      assert.notEqual(other.runtime.pid, pid);
      await other.shutdown();
    } finally {
      await client.shutdown();
    }
    assert.deepEqual(world.running(), []);
  }));

for (const version of SLOW_BETWEEN) {
  test(`clients that start at once on a new home all start [${version}]`, () =>
    inWorld(version, async (world) => {
      const clients = await Promise.all(Array.from({ length: 6 }, () => world.connect()));
      assert.equal(new Set(clients.map(({ runtime }) => runtime.pid)).size, 6);
    }));
}
