/** Clients of a real app server that listens for WebSockets. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { ApprovalHandler, ApprovalRequest } from "../../src/approvals/request/types.ts";
import {
  ConnectionClosedError,
  MessageTooLargeError,
  PolicyError,
  TurnInterruptedError,
} from "../../src/errors/mod.ts";
import type { ClientConfig } from "../../src/runtime/config.ts";
import type { EventEnvelope } from "../../src/runtime/log/event_envelope.ts";
import { Client } from "../../src/session/client/client.ts";
import { type ModelRequest, type ModelTurn, script, ScriptedModel } from "../../src/testing/mod.ts";
import { codexes, type CodexVersion } from "../_codex.ts";
import { test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";
import { whenGone } from "./_transport_world.ts";
import { listen, TOKEN, wireTo } from "./websocket_world.ts";

const exec = script.exec(`python3 -c "print(2)"`);
/** Commands are asked about, and run without a sandbox, which not every machine can make. */
const ASKING = {
  approvalPolicy: "untrusted",
  sandbox: "danger-full-access",
  allowPrivilegedEscalation: true,
} as const;

interface Stage {
  url: string;
  dir: string;
  model: ScriptedModel;
  /** Ends the server. */
  kill(): Promise<void>;
  /** Connects a client that is shut down at the end. */
  connect(config?: ClientConfig, token?: string | null, url?: string): Promise<Client>;
}

async function onStage(
  turns: Parameters<typeof ScriptedModel.start>[0],
  act: (stage: Stage) => Promise<void>,
  open?: CodexVersion,
): Promise<void> {
  await using directory = await tempDir();
  await using model = await ScriptedModel.start(turns);
  // Codex 0.104 knows no tokens.
  const how = open === undefined ? {} : { open: true, version: open };
  const server = await listen(model, directory.path, how);
  const clients: Client[] = [];
  try {
    await act({
      url: server.url,
      dir: directory.path,
      model,
      kill: () => server.close(),
      async connect(config = {}, token: string | null = TOKEN, url = server.url) {
        const transport = { type: "websocket", url, ...(token === null ? {} : { token }) } as const;
        const client = await Client.connect({ ...config, transport });
        clients.push(client);
        return client;
      },
    });
  } finally {
    await Promise.all(clients.map((client) => client.shutdown()));
    await server.close();
  }
}

/** The next event that fits, past or future. */
async function event(
  client: Client,
  fits: (event: EventEnvelope) => boolean,
): Promise<EventEnvelope> {
  for await (const each of client.runtime.events({ after: 0 })) if (fits(each)) return each;
  throw new Error("the connection ended before the event");
}

// deno-lint-ignore no-explicit-any
const body = (event: EventEnvelope): any => event.message;

/** A handler that tells of each question, and answers when the test says so. */
function answering(): {
  handler: ApprovalHandler;
  asked: { request: ApprovalRequest; signal: AbortSignal; accept(): void }[];
  /** The n-th question, as soon as it is there. */
  question(n: number): Promise<{ request: ApprovalRequest; signal: AbortSignal; accept(): void }>;
} {
  const asked: { request: ApprovalRequest; signal: AbortSignal; accept(): void }[] = [];
  let told = Promise.withResolvers<void>();
  return {
    asked,
    handler: (request, { signal }) =>
      new Promise((resolve) => {
        asked.push({ request, signal, accept: () => resolve({ decision: "accept" }) });
        told.resolve();
        told = Promise.withResolvers();
      }),
    async question(n) {
      while (asked.length <= n) await told.promise;
      return asked[n]!;
    },
  };
}

test("a client attached by WebSocket runs turns and leaves the server alone", async () => {
  await onStage(["first", "second"], async ({ connect, dir }) => {
    const client = await connect();
    assert.equal(client.server.version, "0.169.0");
    assert.equal(client.runtime.pid, null);
    const session = await client.startSession({ cwd: dir });
    assert.equal((await session.ask("hello")).assistantText, "first");
    await session.release();
    const { threadId } = session;
    const report = await client.runtime.shutdown();
    assert.deepEqual([report.gone, report.how], [true, "detached"]);
    const later = await connect();
    const resumed = await later.resumeSession(threadId, { cwd: dir });
    assert.equal((await resumed.ask("again")).assistantText, "second");
  });
});

for (const version of codexes("0.169.0", "0.104.0")) {
  test(`rules in the home of a server that was attached to are seen, codex ${version}`, async () => {
    await onStage(["done"], async ({ connect, dir, model }) => {
      const client = await connect({}, null);
      const config = { cwd: dir, approvalPolicy: "untrusted" } as const;
      const approvals: ApprovalHandler = () => ({ decision: "decline" });
      await (await client.startSession({ ...config, approvals })).close();
      const rules = join(model.clientConfig().env.set["CODEX_HOME"]!, "rules");
      await mkdir(rules, { recursive: true });
      await writeFile(join(rules, ".own.rules"), 'prefix_rule(pattern = ["touch"])\n');
      await assert.rejects(client.startSession({ ...config, approvals }), /\.own\.rules/);
      const session = await client.startSession(config);
      assert.deepEqual(session.policy.rulesFiles.map(({ path }) => path), [
        join(rules, ".own.rules"),
      ]);
    }, version);
  });
}

test("a wrong and a missing token reject with what to do, and without the token", async () => {
  await onStage([], async ({ connect }) => {
    for (const token of ["a-wrong-token", null]) {
      // A refusal is not a crash: nothing is tried again.
      await assert.rejects(connect({ restart: { type: "onCrash" } }, token), (error) => {
        assert.ok(error instanceof ConnectionClosedError);
        assert.equal(error.retryable, false);
        assert.equal(error.data?.["httpStatus"], 401);
        assert.match(error.message, /HTTP 401.*`token`/);
        assert.ok(!error.message.includes("a-wrong-token"));
        return true;
      });
    }
  });
});

test("two clients on one thread are both asked, and the first answer counts", async () => {
  await onStage(["ready", exec, "done"], async ({ connect, dir }) => {
    const [mine, theirs] = [answering(), answering()];
    const answers = { first: 0, second: 0 };
    const log = (client: keyof typeof answers) => ({
      write({ kind }: EventEnvelope) {
        if (kind === "serverResponse") answers[client]++;
      },
    });
    const first = await connect({ approvals: mine.handler, eventLog: log("first") });
    const second = await connect({ approvals: theirs.handler, eventLog: log("second") });
    const session = await first.startSession({ cwd: dir, ...ASKING });
    // A thread can be joined once it has a turn.
    await session.ask("hello");
    await second.resumeSession(session.threadId, { cwd: dir, ...ASKING });
    const result = session.ask("run it");
    const [question, other] = await Promise.all([mine.question(0), theirs.question(0)]);
    assert.equal(question.request.itemId, other.request.itemId);
    other.accept();
    assert.equal((await result).assistantText, "done");
    assert.equal(question.signal.aborted, true);
    const audit = body(await event(first, (each) => each.kind === "approval"));
    assert.deepEqual([audit.decidedBy, audit.decision], ["otherClient", "none"]);
    const winner = body(await event(second, (each) => each.kind === "approval"));
    assert.deepEqual([winner.decidedBy, winner.decision], ["handler", "accept"]);
    // The late answer goes nowhere.
    question.accept();
    await first.models();
    assert.deepEqual(answers, { first: 0, second: 1 });
  });
});

test("a dropped socket is replaced, its thread resumed, and the turn goes on with its question", async () => {
  let commands = 0;
  const namespace = { namespace: "multi_agent_v1" };
  const model = ({ userTexts, toolOutputs }: ModelRequest): ModelTurn => {
    const text = userTexts.at(-1) ?? "";
    if (text === "run it") return commands++ === 0 ? exec : "done";
    if (text === "work") return toolOutputs.length === 0 ? exec : "worked";
    // Codex tells it of its agent's end.
    if (text.startsWith("<subagent_notification>")) return "its agent is done";
    if (text !== "let it work") return text === "hello" ? "ready" : "after";
    const [spawned, waited] = toolOutputs;
    if (spawned === undefined) {
      return script.toolCall("spawn_agent", { message: "work" }, namespace);
    }
    // Beside load that comes after the end of the wait.
    if (waited !== undefined) return "its agent is done";
    const { agent_id } = JSON.parse(spawned.text);
    return script.toolCall("wait_agent", { targets: [agent_id], timeout_ms: 60_000 }, namespace);
  };
  await onStage(model, async ({ connect, dir, url }) => {
    const wire = await wireTo(url);
    try {
      const { handler, question, asked } = answering();
      const restart = { type: "onCrash", baseDelayMs: 10 } as const;
      const client = await connect({ approvals: handler, restart }, TOKEN, wire.url);
      const session = await client.startSession({
        cwd: dir,
        ...ASKING,
        config: { "features.multi_agent": true },
      });
      await session.ask("hello");
      const result = session.ask("run it");
      const lost = await question(0);
      wire.cut();
      const again = await question(1);
      assert.equal(lost.signal.aborted, true);
      assert.equal(again.request.itemId, lost.request.itemId);
      // An answer to what was lost goes nowhere.
      lost.accept();
      again.accept();
      assert.equal((await result).assistantText, "done");
      assert.equal((await session.ask("and now?")).assistantText, "after");
      assert.equal(asked.length, 2);
      assert.equal(wire.connections, 2);
      // Nothing was decided about the question that was lost with its socket.
      const audits: string[] = [];
      for await (const each of client.runtime.events({ after: 0 })) {
        if (each.kind !== "approval") continue;
        audits.push(`${body(each).decidedBy} ${body(each).decision} ${body(each).reason}`);
        if (audits.length === 2) break;
      }
      assert.deepEqual(audits, ["failClosed none closed", "handler accept null"]);
      assert.equal(client.runtime.connection, "running");
      const states: string[] = [];
      for await (const each of client.runtime.events({ after: 0 })) {
        if (each.kind === "connection") states.push(body(each).state);
        if (states.length === 4) break;
      }
      assert.deepEqual(states, ["starting", "running", "restarting", "running"]);
      // So does the turn of an agent, which is told once, and counted.
      const told: string[] = [];
      const events = session.events({ subAgents: true });
      const listening = (async () => {
        for await (const each of events) {
          if (each.type !== "subAgent" || !each.event.type.startsWith("turn")) continue;
          told.push(each.event.type);
        }
      })();
      const spawning = session.ask("let it work");
      await question(2);
      wire.cut();
      (await question(3)).accept();
      const { assistantText, usage } = await spawning;
      assert.equal(assistantText, "its agent is done");
      assert.equal(usage?.subAgents?.totalTokens, 26);
      await session.close();
      await listening;
      assert.deepEqual(told, ["turnStarted", "turnCompleted"]);
    } finally {
      await wire.close();
    }
  });
});

test("what was accepted for the session stays accepted on a server whose socket dropped", async () => {
  const model = ({ userTexts, toolOutputs }: ModelRequest): ModelTurn =>
    userTexts.at(-1) === "run it" && toolOutputs.length === 0 ? exec : "done";
  await onStage(model, async ({ connect, dir, url }) => {
    const wire = await wireTo(url);
    try {
      const approvals: ApprovalHandler = () => ({ decision: "acceptForSession" });
      const restart = { type: "onCrash", baseDelayMs: 10 } as const;
      const client = await connect({ approvals, restart }, TOKEN, wire.url);
      const session = await client.startSession({ cwd: dir, ...ASKING });
      await session.ask("run it");
      wire.cut();
      // One that is asked before anybody has noticed is lost.
      await session.ask("hello").catch(() => session.ask("hello"));
      await assert.rejects(session.ask("more", { sandbox: "read-only" }), PolicyError);
    } finally {
      await wire.close();
    }
  });
});

test("a turn that ended while the socket was down still gives its whole answer", async () => {
  const gate = Promise.withResolvers<void>();
  const turns = [
    "ready",
    [script.say("one"), script.exec("echo two")],
    [
      script.gate(gate.promise),
      script.say("three"),
    ],
    [script.say("half", { open: true }), script.hang()],
    [
      script.exec(`sh -c 'echo $$ > pid; exec sleep 300'`),
    ],
  ];
  await onStage(turns, async ({ connect, dir, url, model }) => {
    const wire = await wireTo(url);
    try {
      const restart = {
        type: "onCrash",
        baseDelayMs: 10,
        maxDelayMs: 20,
        maxRestarts: 1000,
      } as const;
      const client = await connect({ restart }, TOKEN, wire.url);
      const settings = { ...ASKING, cwd: dir, approvalPolicy: "never" } as const;
      const session = await client.startSession({
        ...settings,
        dangerouslyAllowUnattendedFullAccess: true,
      });
      await session.ask("hello");
      const watcher = await connect();
      await watcher.runtime.request("thread/resume", {
        threadId: session.threadId,
        excludeTurns: true,
      }, { allowPrivilegedEscalation: true, dangerouslyAllowUnattendedFullAccess: true });
      const result = session.ask("count");
      await model.waitForRequest((request) => request.toolOutputs.length === 1);
      wire.target = null;
      wire.cut();
      gate.resolve();
      await event(watcher, (each) => each.method === "turn/completed");
      wire.target = url;
      const { assistantText, items } = await result;
      assert.equal(assistantText, "three");
      const types = items.map((item) => item.type).filter((type) => type !== "userMessage");
      assert.deepEqual(types, ["agentMessage", "commandExecution", "agentMessage"]);
      // One that is given up while the socket is down is stopped when it is up again.
      const stop = new AbortController();
      const reason = new Error("enough");
      const begun = Promise.withResolvers<void>();
      const givenUp = session.ask("never", {
        signal: stop.signal,
        onEvent: ({ type }) => type === "assistantMessageDelta" && begun.resolve(),
      });
      await begun.promise;
      wire.target = null;
      wire.cut();
      while (client.runtime.connection !== "restarting") await new Promise((go) => setTimeout(go));
      stop.abort(reason);
      assert.equal(await givenUp.catch((error) => error), reason);
      wire.target = url;
      await event(
        watcher,
        (each) =>
          each.method === "turn/completed" && body(each).params.turn.status === "interrupted",
      );
      // The server's record does not tell of a command that runs: it ends with its turn all the same.
      const told = Promise.withResolvers<void>();
      const onEvent = ({ type }: { type: string }) => type === "itemStarted" && told.resolve();
      const runs = session.ask("run", { onEvent }).catch((error) => error);
      // Before its turn was told here, it may have begun or not.
      await told.promise;
      const file = join(dir, "pid");
      while (!existsSync(file) || readFileSync(file, "utf8") === "") {
        await new Promise((go) => setTimeout(go, 10));
      }
      wire.cut();
      await session.interrupt();
      const end = await runs;
      assert.ok(end instanceof TurnInterruptedError, String(end));
      await whenGone(Number(readFileSync(file, "utf8")));
    } finally {
      await wire.close();
    }
  });
});

test("a turn whose server was started anew rejects, and the thread goes on", async () => {
  await onStage(["ready", [script.say("half", { open: true }), script.hang()], "after"], async (
    { connect, dir, url, model, kill },
  ) => {
    const wire = await wireTo(url);
    const second = await listen(model, dir);
    try {
      const restart = { type: "onCrash", baseDelayMs: 10 } as const;
      const client = await connect({ restart }, TOKEN, wire.url);
      const session = await client.startSession({ cwd: dir });
      await session.ask("hello");
      const result = session.ask("go");
      await event(client, (each) => body(each).params?.delta === "half");
      wire.target = second.url;
      await kill();
      await assert.rejects(result, (error) => {
        assert.ok(error instanceof ConnectionClosedError);
        assert.equal(error.retryable, true);
        assert.equal(error.partial?.assistantText, "half");
        return true;
      });
      assert.equal((await session.ask("and now?")).assistantText, "after");
    } finally {
      await wire.close();
      await second.close();
    }
  });
});

test("an ephemeral thread is lost with its socket, and says so at once", async () => {
  await onStage([exec, "fine"], async ({ connect, dir, url }) => {
    const wire = await wireTo(url);
    try {
      const { handler, question } = answering();
      const restart = { type: "onCrash", baseDelayMs: 10 } as const;
      const client = await connect({ approvals: handler, restart }, TOKEN, wire.url);
      const lost = assert.rejects(client.run(dir, "run it", ASKING), ConnectionClosedError);
      await question(0);
      wire.cut();
      await lost;
      assert.equal((await client.run(dir, "another")).assistantText, "fine");
      // Nobody can go on with what it did: that was stopped.
      const stopped = await event(
        client,
        (each) => each.kind === "response" && each.method === "turn/interrupt",
      );
      assert.equal(body(stopped).error, undefined);
    } finally {
      await wire.close();
    }
  });
});

test("a frame over 16 MiB is refused before it is sent, and costs nothing else", async () => {
  await onStage(["fine"], async ({ connect, dir }) => {
    const client = await connect();
    const session = await client.startSession({ cwd: dir });
    const before = client.runtime.metrics().messagesOut;
    const input = [{ type: "text", text: "x".repeat(16 << 20) }];
    await assert.rejects(
      client.runtime.request("turn/start", { threadId: session.threadId, input }),
      (error) => {
        assert.ok(error instanceof MessageTooLargeError);
        assert.equal(error.limit, 16 << 20);
        assert.ok(error.bytes > error.limit);
        return true;
      },
    );
    assert.equal(client.runtime.metrics().messagesOut, before);
    assert.equal((await session.ask("hello")).assistantText, "fine");
  });
});
