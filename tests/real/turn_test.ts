/** How turns go and end on the real codex, whatever happens: stopped, failed, crowded, late, large. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { spawn } from "../../src/automation/mod.ts";
import type { AutomationSession } from "../../src/automation/types.ts";
import {
  ConnectionClosedError,
  RpcError,
  TurnFailedError,
  type TurnFailureKind,
  TurnInterruptedError,
  TurnTimeoutError,
} from "../../src/errors/mod.ts";
import type { Session } from "../../src/session/session.ts";
import type { TurnEvent } from "../../src/session/turn/turn_event.ts";
import { type ModelTurn, script } from "../../src/testing/mod.ts";
import { CODEX_VERSIONS, type CodexVersion, tries } from "../_codex.ts";
import { test } from "../_harness.ts";
import { inWorld, rejection, SOON_MS, whenGone, within, type World } from "./_session_world.ts";

function versions(
  name: string,
  act: (world: World, version: CodexVersion) => Promise<void>,
  timeoutMs = 30_000,
): void {
  for (const version of CODEX_VERSIONS) {
    const run = () => inWorld(version, (world) => act(world, version));
    test(`${name} [${version}]`, { timeoutMs }, run);
  }
}

/** A hook on events: settles with the first that fits. */
function watch(fits: (event: TurnEvent) => boolean): {
  onEvent: (event: TurnEvent) => void;
  seen: Promise<TurnEvent>;
} {
  const { promise, resolve } = Promise.withResolvers<TurnEvent>();
  return { onEvent: (event) => fits(event) && resolve(event), seen: promise };
}

/** Waits for something that only looking can tell. */
async function until(what: string, look: () => boolean): Promise<void> {
  const deadline = performance.now() + SOON_MS;
  while (!look()) {
    if (performance.now() > deadline) throw new Error(`${what} did not happen`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

versions(
  "a running command is really gone after a timeout, an abort, an interrupt and a close",
  async (world) => {
    const client = await world.connect();
    const session = await client.startSession({ cwd: world.cwd });
    const stop = new AbortController();
    const reason = new Error("enough");
    const ways: [string, (ask: Promise<unknown>) => Promise<unknown>, object][] = [
      ["timeout", async (ask) => assert.ok(await rejection(ask) instanceof TurnTimeoutError), {
        timeoutMs: 2_500,
      }],
      ["abort", async (ask) => {
        const failed = rejection(ask);
        stop.abort(reason);
        assert.equal(await within(SOON_MS, "the abort", failed), reason);
      }, { signal: stop.signal }],
      ["interrupt", async (ask) => {
        const failed = rejection(ask);
        await session.interrupt();
        assert.ok(await failed instanceof TurnInterruptedError);
      }, {}],
      ["close", async (ask) => {
        const failed = rejection(ask);
        await session.close();
        assert.ok(await failed instanceof TurnInterruptedError);
      }, {}],
    ];
    for (const [index, [way, end, options]] of ways.entries()) {
      const command = `sleep 31${index}`;
      const started = watch((e) => e.type === "itemStarted" && e.item.type === "commandExecution");
      const ask = session.ask(world.prompt([[script.exec(command)], "never said"]), {
        ...options,
        onEvent: started.onEvent,
      });
      ask.catch(() => {});
      await started.seen;
      await until(`${command} by ${way}`, () => world.commands(command).length > 0);
      const pids = world.commands(command);
      await end(ask);
      for (const pid of pids) await whenGone(pid);
    }
  },
);

versions(
  "kill -9 in the middle of a command settles everything, and the thread can be resumed",
  async (world) => {
    const first = await world.connect();
    const session = await first.startSession({ cwd: world.cwd });
    const started = watch((e) => e.type === "itemStarted" && e.item.type === "commandExecution");
    const asks = [
      session.ask(world.prompt([[script.exec("sleep 320")]]), { onEvent: started.onEvent }),
      session.ask("waits"),
    ].map(rejection);
    await started.seen;
    process.kill(first.runtime.pid!, "SIGKILL");
    for (const ask of asks) {
      const error = await within(SOON_MS, "the end", ask);
      assert.ok(error instanceof ConnectionClosedError, `${error}`);
      assert.equal(error.exit?.signal, "SIGKILL");
    }
    assert.ok(session.closed);
    assert.ok(session.closeSignal.aborted);
    await session.close();
    const second = await world.connect();
    const resumed = await second.resumeSession(session.threadId, { cwd: world.cwd });
    assert.equal((await resumed.ask(world.prompt(["back"]))).assistantText, "back");
  },
);

interface Failure {
  what: string;
  turn: ModelTurn;
  kind: TurnFailureKind;
  /** Where the old server knows less. */
  old?: TurnFailureKind;
}

const error = (message: string, type: string, code: string | null = null) => ({
  error: { message, type, code, param: null },
});

const FAILURES: Failure[] = [
  {
    what: "400",
    turn: script.httpError(400, error("bad", "invalid_request_error")),
    kind: "badRequest",
  },
  {
    what: "400 context_length_exceeded",
    turn: script.httpError(
      400,
      error(
        "Your input exceeds the context window of this model.",
        "invalid_request_error",
        "context_length_exceeded",
      ),
    ),
    kind: "contextWindow",
  },
  {
    what: "401",
    turn: script.httpError(401, error("Incorrect API key provided", "x")),
    kind: "auth",
  },
  { what: "403", turn: script.httpError(403, error("no", "x")), kind: "auth" },
  {
    what: "404 model_not_found",
    turn: script.httpError(
      404,
      error("The model `x` does not exist", "invalid_request_error", "model_not_found"),
    ),
    kind: "badRequest",
  },
  { what: "413", turn: script.httpError(413, "too large"), kind: "contextWindow" },
  {
    what: "429",
    turn: script.httpError(429, error("Rate limit reached", "rate_limit_error")),
    kind: "rateLimit",
  },
  {
    what: "429 usage_limit_reached",
    turn: script.httpError(429, {
      error: {
        type: "usage_limit_reached",
        message: "The usage limit has been reached",
        plan_type: "plus",
        resets_at: 1_900_000_000,
      },
    }),
    kind: "quotaExceeded",
  },
  {
    what: "429 insufficient_quota",
    turn: script.httpError(
      429,
      error("You exceeded your current quota", "insufficient_quota", "insufficient_quota"),
    ),
    kind: "quotaExceeded",
    // All it says is the status.
    old: "rateLimit",
  },
  { what: "500", turn: script.httpError(500), kind: "overloaded" },
  { what: "503", turn: script.httpError(503, "down"), kind: "overloaded" },
  {
    what: "503 server_is_overloaded",
    turn: script.httpError(503, error("busy", "x", "server_is_overloaded")),
    kind: "overloaded",
  },
  {
    what: "failed context_length_exceeded",
    turn: script.failed("context_length_exceeded", "too long"),
    kind: "contextWindow",
  },
  {
    what: "failed insufficient_quota",
    turn: script.failed("insufficient_quota", "no credit"),
    kind: "quotaExceeded",
  },
  {
    what: "failed rate_limit_exceeded",
    turn: script.failed("rate_limit_exceeded", "Rate limit reached for x."),
    kind: "rateLimit",
  },
  {
    what: "failed server_is_overloaded",
    turn: script.failed("server_is_overloaded", "busy"),
    kind: "overloaded",
  },
  {
    what: "failed invalid_prompt",
    turn: script.failed("invalid_prompt", "Invalid prompt: no."),
    kind: "other",
  },
  { what: "incomplete", turn: ["some", script.incomplete()], kind: "other" },
  { what: "cut", turn: [script.say("some", { open: true }), script.cut()], kind: "network" },
  { what: "ended without completed", turn: ["some", script.end()], kind: "network" },
  { what: "garbage", turn: [script.raw("<html>no</html>\n\n"), script.end()], kind: "network" },
];

versions(
  "each failure of the model settles the turn as failed, of its kind, in its own session",
  async (world, version) => {
    const client = await world.connect();
    const kinds = await Promise.all(FAILURES.map(async ({ what, turn }) => {
      const session = await client.startSession({ cwd: world.cwd, ephemeral: true });
      const failed = await rejection(session.ask(world.prompt([turn, "fine"])));
      assert.ok(failed instanceof TurnFailedError, `${what}: ${failed}`);
      assert.equal(failed.threadId, session.threadId);
      assert.equal((await session.ask(world.prompt(["fine"]))).assistantText, "fine", what);
      return [what, failed.kind];
    }));
    const expected = FAILURES.map(({ what, kind, old }) => [
      what,
      version === "0.104.0" ? old ?? kind : kind,
    ]);
    assert.deepEqual(kinds, expected);
  },
);

versions("the time when a quota resets is told where the server tells it", async (world) => {
  const client = await world.connect();
  const session = await client.startSession({ cwd: world.cwd });
  const resetsAt = Math.floor(Date.now() / 1000) + 3600;
  const limited = [
    script.headers({
      "x-codex-primary-used-percent": "100",
      "x-codex-primary-window-minutes": "300",
      "x-codex-primary-reset-at": `${resetsAt}`,
    }),
    script.httpError(429, {
      error: {
        type: "usage_limit_reached",
        message: "The usage limit has been reached",
        plan_type: "plus",
        resets_at: resetsAt,
      },
    }),
  ];
  const failed = await rejection(session.ask(world.prompt([limited])));
  assert.ok(failed instanceof TurnFailedError && failed.kind === "quotaExceeded", `${failed}`);
  assert.equal(failed.resetsAt?.getTime(), resetsAt * 1000);
  assert.equal(failed.retryable, false);
});

versions(
  "codex's own tries do not double the text, in the answer or in the deltas of its message",
  async (world) => {
    const client = await world.connect({}, {
      configOverrides: { "model_providers.scripted.stream_max_retries": 2 },
    });
    const session = await client.startSession({ cwd: world.cwd });
    const events: TurnEvent[] = [];
    const result = await session.ask(
      world.prompt([
        [script.say("First try", { open: true }), script.cut()],
        [script.say("Second try, whole.")],
      ]),
      { onEvent: (event) => events.push(event) },
    );
    assert.equal(result.assistantText, "Second try, whole.");
    assert.equal(events.filter((e) => e.type === "retrying" && e.by === "codex").length, 1);
    const last = result.items.findLast(({ type }) => type === "agentMessage")!;
    const text = events.flatMap((e) =>
      e.type === "assistantMessageDelta" && e.itemId === last.id ? [e.delta] : []
    );
    assert.equal(text.join(""), "Second try, whole.");
  },
);

versions(
  "of several messages the final one is the answer; the others stay apart in items",
  async (world, version) => {
    const client = await world.connect();
    const session = await client.startSession({ cwd: world.cwd });
    const result = await session.ask(world.prompt([
      [script.say("I look first.", { phase: "commentary" }), script.exec("true")],
      [
        script.say("The answer.", { phase: "final_answer" }),
        script.say("A remark.", { phase: "commentary" }),
      ],
    ]));
    // The old server knows no phases: there the last message counts.
    assert.equal(result.assistantText, version === "0.104.0" ? "A remark." : "The answer.");
    const texts = result.items.flatMap((item) => item.type === "agentMessage" ? [item.text] : []);
    assert.deepEqual(texts, ["I look first.", "The answer.", "A remark."]);
  },
);

versions(
  "steering in the middle of an answer gives one answer, and the turn ends",
  async (world) => {
    const client = await world.connect();
    const session = await client.startSession({ cwd: world.cwd });
    const gate = Promise.withResolvers<void>();
    const prompt = world.prompt((request) =>
      request.text.startsWith("Rather")
        ? "r2"
        : [script.say("p1"), script.gate(gate.promise), script.say("p2")]
    );
    const name = /\[.*\]/.exec(prompt)![0];
    const stream = await session.askStream(prompt);
    for (;;) {
      const event = await stream.recv();
      if (event?.type === "itemCompleted" && event.item.type === "agentMessage") break;
    }
    await stream.steer(`Rather this ${name}`);
    gate.resolve();
    const result = await stream.finish();
    assert.equal(result.assistantText, "r2");
    // 0.169 gives the rest of the first answer up, begun or not; the old server waits for it.
    const texts = result.items.flatMap((item) =>
      item.type === "agentMessage" && item.text !== "" ? [item.text] : []
    );
    assert.ok(["p1,r2", "p1,p2,r2"].includes(texts.join()), texts.join());
  },
);

versions("a declined file change completes once, and the turn goes on", async (world) => {
  const client = await world.connect({ approvals: () => ({ decision: "decline" }) });
  const session = await client.startSession({
    cwd: world.cwd,
    sandbox: "workspace-write",
    approvalPolicy: "untrusted",
    allowPrivilegedEscalation: true,
  });
  const events: TurnEvent[] = [];
  const patch = "*** Begin Patch\n*** Add File: new.txt\n+hi\n*** End Patch";
  const result = await session.ask(world.prompt([script.applyPatch(patch), "As you wish."]), {
    onEvent: (event) => events.push(event),
  });
  assert.equal(result.assistantText, "As you wish.");
  const completed = events.filter((e) =>
    e.type === "itemCompleted" && e.item.type === "fileChange"
  );
  assert.equal(completed.length, 1);
  const changes = events.flatMap((e) => e.type === "fileChange" ? [e.status] : []);
  assert.equal(changes.at(-1), "declined");
  assert.ok(!existsSync(join(world.cwd, "new.txt")));
});

versions("a prompt of megabytes is answered or refused, but never lost", async (world, version) => {
  const client = await world.connect();
  const session = await client.startSession({ cwd: world.cwd });
  const ask = session.ask(world.prompt(["Long."], "x".repeat(2_000_000)));
  if (version === "0.104.0") assert.equal((await ask).assistantText, "Long.");
  else {
    const refused = await rejection(ask);
    assert.ok(refused instanceof RpcError && refused.rpcCode === -32602, `${refused}`);
  }
  assert.equal((await session.ask(world.prompt(["fine"]))).assistantText, "fine");
});

versions(
  "a model that can't be reached fails the turn, or its time limit does",
  async (world, version) => {
    const client = await world.connect({}, {
      configOverrides: {
        "model_providers.scripted.base_url": "http://127.0.0.1:9/v1",
        // As codex comes: 0.169 tries for ever.
        "features.unbounded_connection_retries": true,
      },
    });
    const session = await client.startSession({ cwd: world.cwd });
    const events: TurnEvent[] = [];
    const failed = await rejection(
      session.ask("x", { timeoutMs: 1500, onEvent: (event) => events.push(event) }),
    );
    if (version === "0.104.0") {
      assert.ok(failed instanceof TurnFailedError && failed.kind === "network", `${failed}`);
    } else {
      assert.ok(failed instanceof TurnTimeoutError, `${failed}`);
      assert.match(failed.message, /The model could not be reached: .*Connection failed/);
      assert.doesNotMatch(failed.message, /Raise/);
      assert.ok(events.some((e) => e.type === "retrying" && /Connection failed/.test(e.message)));
    }
  },
);

versions(
  "an approval policy that only some servers know is sent, or another one that asks for more",
  async (world, version) => {
    const client = await world.connect();
    const granular = {
      granular: { sandbox_approval: true, rules: true, mcp_elicitations: true },
    };
    const config = { cwd: world.cwd, approvalPolicy: granular as never };
    const session = await client.startSession(config);
    assert.equal((await session.ask(world.prompt(["fine"]))).assistantText, "fine");
    // Codex 0.104 knows none like it; what would ask about less than it may leave unasked becomes "untrusted".
    const told = version === "0.104.0" ? /became "untrusted"/ : /^$/;
    assert.match(session.policy.narrowed.join(), told);
  },
);

versions("a failed turn is kept in the history as the server tells it", async (world, version) => {
  const client = await world.connect();
  const session = await client.startSession({ cwd: world.cwd });
  await rejection(session.ask(world.prompt([script.httpError(401)])));
  await session.ask(world.prompt(["fine"]));
  const { turns } = await client.readThread(session.threadId, { includeTurns: true });
  const failed = version === "0.104.0" ? "completed" : "failed";
  assert.deepEqual(turns.map(({ status }) => status), [failed, "completed"]);
  const ephemeral = await client.startSession({ cwd: world.cwd, ephemeral: true });
  await ephemeral.ask(world.prompt(["fine"]));
  const snapshot = await client.readThread(ephemeral.threadId);
  assert.equal(snapshot.path, null);
});

versions("answers of megabytes arrive whole, and can be read again", async (world) => {
  const client = await world.connect();
  const session = await client.startSession({ cwd: world.cwd });
  const result = await session.ask(world.prompt([[script.flood(400, 5000)]]));
  assert.equal(result.assistantText.length, 2_000_000);
  const { turns } = await client.readThread(session.threadId, { includeTurns: true });
  const texts = turns[0]!.items.flatMap((item) => item.type === "agentMessage" ? [item.text] : []);
  assert.equal(texts[0]!.length, 2_000_000);
});

versions(
  "a command that goes on in the background ends later and disturbs no turn",
  async (world) => {
    const client = await world.connect();
    const ended = Promise.withResolvers<void>();
    const heard: string[] = [];
    const session = await client.startSession({
      cwd: world.cwd,
      hooks: {
        post: [{
          name: "watch",
          phases: ["postToolUse"],
          call: ({ toolStatus, script: line }) => {
            heard.push(`${line} ${toolStatus}`);
            ended.resolve();
          },
        }],
      },
    });
    const first = await session.ask(
      world.prompt([
        [script.exec("sleep 1.2; echo end", { yield_time_ms: 250 })],
        "left it running",
      ]),
    );
    assert.equal(first.assistantText, "left it running");
    assert.equal(first.items.filter(({ type }) => type === "commandExecution").length, 1);
    const second = await session.ask(world.prompt(["second"]));
    assert.equal(second.assistantText, "second");
    assert.ok(!second.items.some(({ type }) => type === "commandExecution"));
    await within(SOON_MS, "the command's end", ended.promise);
    assert.deepEqual(heard, ["sleep 1.2; echo end completed"]);
  },
);

/** Each tool for commands tells it in words of its own. */
function exitCodeIn(output: string): string | undefined {
  return /(?:exited with code |Exit code: |"exit_code":)(\d+)/.exec(output)?.[1];
}

const AT_ONCE = tries(50, 20);

versions(
  `${AT_ONCE} sessions at once, each with a command and an approval, keep their answers apart`,
  async (world) => {
    const asked = new Map<string, string>();
    const client = await world.connect({
      approvals: async (request) => {
        await Promise.resolve();
        if (request.type !== "command") return { decision: "decline" };
        assert.ok(!asked.has(request.threadId!));
        asked.set(request.threadId!, request.script ?? "");
        return { decision: "accept" };
      },
    });
    const sessions = await Promise.all(Array.from({ length: AT_ONCE }, () =>
      client.startSession({
        cwd: world.cwd,
        approvalPolicy: "untrusted",
        ephemeral: true,
      })));
    const results = await Promise.all(sessions.map((session, i) =>
      session.ask(
        world.prompt((request, round) =>
          round === 0
            ? [script.exec(`sleep 0.01; exit ${i + 10}`, { yield_time_ms: 30_000 })]
            // On a busy machine codex loses what commands print, but not how they end.
            : `${i} saw ${exitCodeIn(request.toolOutputs.at(-1)!.text)}`
        ),
        { timeoutMs: 80_000 },
      )
    ));
    for (const [i, result] of results.entries()) {
      assert.equal(result.assistantText, `${i} saw ${i + 10}`);
      assert.equal(result.threadId, sessions[i]!.threadId);
      assert.equal(asked.get(result.threadId), `sleep 0.01; exit ${i + 10}`);
      const command = result.items.find(({ type }) => type === "commandExecution")!;
      assert.equal((command as { exitCode?: number }).exitCode, i + 10);
    }
    assert.equal(asked.size, AT_ONCE);
  },
  100_000,
);

versions("a session in the middle of an approval can be aborted and asked again", async (world) => {
  const pending = Promise.withResolvers<AbortSignal>();
  const told = Promise.withResolvers<void>();
  const client = await world.connect({
    approvals: (_request, { signal }) => {
      pending.resolve(signal);
      signal.addEventListener("abort", () => told.resolve());
      return new Promise(() => {});
    },
  });
  const session = await client.startSession({ cwd: world.cwd, approvalPolicy: "untrusted" });
  const [stop, reason] = [new AbortController(), new Error("enough")];
  const target = join(world.cwd, "never");
  const ask = rejection(
    session.ask(world.prompt([[script.exec(`touch ${target}`)]]), { signal: stop.signal }),
  );
  await pending.promise;
  stop.abort(reason);
  assert.equal(await within(SOON_MS, "the abort", ask), reason);
  await within(SOON_MS, "the handler's signal", told.promise);
  assert.equal((await session.ask(world.prompt(["fine"]))).assistantText, "fine");
  assert.ok(!existsSync(target));
});

versions("an automation runs on a session, and its stop interrupts and waits", async (world) => {
  const client = await world.connect();
  const session: Session & AutomationSession = await client.startSession({ cwd: world.cwd });
  let round = 0;
  const prompt = world.prompt(() =>
    ++round <= 2 ? `round ${round}` : [script.say("Half", { open: true }), script.hang()]
  );
  const handle = spawn(session, { prompt, every: 50 });
  const answers: (string | undefined)[] = [];
  const runs = handle[Symbol.asyncIterator]();
  while (answers.length < 2) answers.push((await runs.next()).value?.result?.assistantText);
  assert.deepEqual(answers, ["round 1", "round 2"]);
  await until("the third run", () => round === 3);
  const status = await within(SOON_MS, "the stop", handle.stop());
  assert.equal(status.state, "stopped");
  assert.equal(status.runsCompleted, 2);
  assert.equal((await session.ask(world.prompt(["fine"]))).assistantText, "fine");
  const failing = spawn(session, { prompt: world.prompt([script.httpError(401)]), every: 50 });
  const failed = await failing.wait();
  assert.equal(failed.state, "failed");
  assert.ok(failed.lastError instanceof TurnFailedError);
  const waiting = spawn(session, {
    prompt: "x",
    every: 60_000,
    startAt: new Date(Date.now() + 60_000),
  });
  await session.close();
  assert.equal((await within(SOON_MS, "the end", waiting.wait())).state, "failed");
});

versions("the runtime's state shows what the turns were made of", async (world) => {
  const client = await world.connect();
  const session = await client.startSession({ cwd: world.cwd });
  await session.ask(world.prompt([[script.exec("sleep 0.3; echo seen")], "Done."]));
  await rejection(session.ask(world.prompt([script.httpError(401)])));
  const state = JSON.parse(JSON.stringify(client.runtime.state()));
  const text = JSON.stringify(state);
  assert.ok(text.includes("commandExecution") && text.includes("agentMessage"), text);
  assert.ok(text.includes("failed") && text.includes("completed"), text);
});
