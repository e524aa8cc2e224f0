/** One prompt, one line, on the real codex: what it gives, and how it fails. */
import type { Client } from "../../src/session/client/client.ts";
import assert from "node:assert/strict";
import { join } from "node:path";
import process from "node:process";
import {
  AttachmentNotFoundError,
  type CodexError,
  ConnectionClosedError,
  EmptyAnswerError,
  IncompatibleVersionError,
  InvalidArgumentError,
  PolicyError,
  QuickRunError,
  RequestTimeoutError,
  SpawnError,
  TurnFailedError,
  TurnTimeoutError,
} from "../../src/errors/mod.ts";
import { quickRun, quickRunWithProfile } from "../../src/quick_run.ts";
import type { ClientConfig } from "../../src/runtime/config.ts";
import type { EventEnvelope } from "../../src/runtime/log/event_envelope.ts";
import type { RunProfile } from "../../src/session/profile.ts";
import type { TurnEvent } from "../../src/session/turn/turn_event.ts";
import { type ModelTurn, script } from "../../src/testing/mod.ts";
import { CODEX_VERSIONS, type CodexVersion } from "../_codex.ts";
import { test } from "../_harness.ts";
import { inWorld, rejection, SOON_MS, within, type World } from "./_session_world.ts";

/** The cause of a run's failure; fails when there is none, and when a process is left behind. */
async function cause(world: World, run: Promise<unknown>): Promise<CodexError> {
  const error = await rejection(run);
  assert.ok(error instanceof QuickRunError, `${error}`);
  assert.equal(error.shutdownError, undefined);
  assert.deepEqual(world.running(), []);
  return error.cause as CodexError;
}

function versions(name: string, act: (world: World, version: CodexVersion) => Promise<void>): void {
  for (const version of CODEX_VERSIONS) {
    test(`${name} [${version}]`, () => inWorld(version, (world) => act(world, version)));
  }
}

versions(
  "quickRun() returns the answer with usage and items, and leaves nothing behind",
  async (world) => {
    const prompt = world.prompt([
      [
        script.reason("I look."),
        script.exec("echo seen > /dev/null; pwd"),
        script.usage({ inputTokens: 100, cachedInputTokens: 40, outputTokens: 5 }),
      ],
      [script.say("All is well."), script.usage({ inputTokens: 120, outputTokens: 7 })],
    ]);
    const events: TurnEvent[] = [];
    const result = await quickRun(world.cwd, prompt, {
      client: world.config(),
      onEvent: (event) => events.push(event),
    });
    assert.equal(result.assistantText, "All is well.");
    assert.ok(result.threadId !== "" && result.turnId !== "");
    assert.deepEqual(
      result.items.map(({ type }) => type),
      ["userMessage", "reasoning", "commandExecution", "agentMessage"],
    );
    assert.equal(result.usage!.inputTokens, 220);
    assert.equal(result.usage!.cachedInputTokens, 40);
    assert.equal(result.usage!.outputTokens, 12);
    assert.equal(result.usage!.thread.totalTokens, 232);
    assert.equal(result.output, undefined);
    assert.deepEqual(result.hooks, { issues: [], ran: [] });
    assert.equal(events.at(-1)!.type, "turnCompleted");
    assert.deepEqual(world.running(), []);
    const [request] = world.model.requests;
    assert.match(request!.text, /Do it/);
  },
);

versions("quickRunWithProfile() passes its profile on", async (world) => {
  const result = await quickRunWithProfile(world.cwd, world.prompt(["Fine."]), {
    model: "another-model",
    effort: "low",
    developerInstructions: "Be brief and blue.",
  }, { client: world.config() });
  assert.equal(result.assistantText, "Fine.");
  const [request] = world.model.requests;
  assert.equal(request!.model, "another-model");
  assert.match(request!.instructions, /Be brief and blue/);
});

versions(
  "quickRun() has its commands ended and says nothing more to a codex that it ends",
  async (world, version) => {
    const said: string[] = [];
    const write = ({ direction, kind, method }: EventEnvelope) => {
      if (method === "turn/completed") said.length = 0;
      if (direction === "outbound" && kind === "request") said.push(method ?? "");
    };
    const client = { ...world.config(), eventLog: { write } };
    await quickRun(world.cwd, world.prompt([["done"]]), { client });
    const clean = "thread/backgroundTerminals/clean";
    assert.deepEqual(said, version === "0.104.0" ? [] : [clean]);
    // What would stay in the history is taken out of it.
    const kept = { ephemeral: false };
    await quickRunWithProfile(world.cwd, world.prompt([["done"]]), kept, { client });
    assert.deepEqual(said, ["thread/archive"]);
  },
);

test("a codex that is missing is a SpawnError that says where it was looked for", () =>
  inWorld("0.169.0", async (world) => {
    const codexPath = join(world.cwd, "nowhere", "codex");
    const run = quickRun(world.cwd, "x", { client: { ...world.config(), codexPath } });
    const error = await within(SOON_MS, "the error", cause(world, run));
    assert.ok(error instanceof SpawnError, `${error}`);
    assert.ok(error.message.includes(codexPath));
  }));

test("a codex that exits is told with its exit status and the tail of its stderr", () =>
  inWorld("0.169.0", async (world) => {
    const codexPath = await world.program("exits", "echo 'Error: no such thing' >&2; exit 3");
    const run = quickRun(world.cwd, "x", { client: { ...world.config(), codexPath } });
    const error = await within(SOON_MS, "the error", cause(world, run));
    assert.ok(error instanceof ConnectionClosedError, `${error}`);
    assert.equal(error.exit?.code, 3);
    assert.match(error.stderrTail, /no such thing/);
    assert.match(error.message, /no such thing/);
  }));

test("a real codex that refuses its configuration is told with its own words [0.169.0]", () =>
  inWorld("0.169.0", async (world) => {
    const client = world.config({ configOverrides: { model_provider: "nope" } });
    const error = await cause(world, quickRun(world.cwd, "x", { client }));
    assert.ok(error instanceof ConnectionClosedError, `${error}`);
    assert.equal(error.exit?.code, 1);
    assert.match(error.message, /Model provider `nope` not found/);
  }));

test("a codex that never answers initialize is a RequestTimeoutError after requestTimeoutMs", () =>
  inWorld("0.169.0", async (world) => {
    const codexPath = await world.program("silent", "exec sleep 600");
    const client = { ...world.config(), codexPath, requestTimeoutMs: 300 };
    const run = quickRun(world.cwd, "x", { client });
    const error = await within(SOON_MS, "the error", cause(world, run));
    assert.ok(error instanceof RequestTimeoutError, `${error}`);
    assert.equal(error.method, "initialize");
  }));

test("a codex that is too old is an IncompatibleVersionError, unless the gate is off", () =>
  inWorld("0.169.0", async (world) => {
    const hello = `{"id":1,"result":{"userAgent":"codex-runtime/0.103.9 (Linux) x"}}`;
    const codexPath = await world.program("old", `read line; echo '${hello}'; cat > /dev/null`);
    const client: ClientConfig = { ...world.config(), codexPath, requestTimeoutMs: 300 };
    const run = quickRun(world.cwd, "x", { client });
    const error = await within(SOON_MS, "the error", cause(world, run));
    assert.ok(error instanceof IncompatibleVersionError, `${error}`);
    assert.equal(error.found, "0.103.9");
    const ungated = quickRun(world.cwd, "x", { client: { ...client, minVersion: null } });
    assert.ok(await cause(world, ungated) instanceof RequestTimeoutError);
  }));

test("a cwd that does not exist, or is a file, is refused before anything is started", () =>
  inWorld("0.169.0", async (world) => {
    for (const cwd of [join(world.cwd, "missing"), import.meta.filename!, ""]) {
      const run = quickRun(cwd, "x", { client: world.config() });
      const error = await within(SOON_MS, "the error", cause(world, run));
      assert.ok(error instanceof InvalidArgumentError && error.argument === "cwd", `${error}`);
    }
  }));

versions(
  "an empty prompt, a missing attachment and a wide sandbox without consent are refused",
  async (world) => {
    const refused = async (prompt: string, profile: RunProfile = {}) => {
      const client = world.config();
      return await cause(world, quickRunWithProfile(world.cwd, prompt, profile, { client }));
    };
    const [empty, attachment, policy] = await Promise.all([
      rejection(quickRun(world.cwd, " \n", { client: world.config() })),
      rejection(
        quickRunWithProfile(world.cwd, "x", { attachments: ["missing.txt"] }, {
          client: world.config(),
        }),
      ),
      rejection(
        quickRunWithProfile(world.cwd, "x", { sandbox: "workspace-write" }, {
          client: world.config(),
        }),
      ),
    ]) as QuickRunError[];
    assert.ok(empty!.cause instanceof InvalidArgumentError);
    assert.ok(attachment!.cause instanceof AttachmentNotFoundError);
    assert.ok(policy!.cause instanceof PolicyError);
    assert.equal(world.model.requests.length, 0);
    assert.ok(await refused("") instanceof InvalidArgumentError);
  },
);

const FAILURES: [string, ModelTurn, string, number | null][] = [
  ["401", script.httpError(401, { error: { message: "Incorrect API key provided" } }), "auth", 401],
  [
    "429",
    script.httpError(429, { error: { message: "slow down", type: "rate_limit" } }),
    "rateLimit",
    429,
  ],
  ["500", script.httpError(500), "overloaded", null],
  ["a cut stream", [script.say("Some wo", { open: true }), script.cut()], "network", null],
];

versions(
  "a model that answers 401, 429 or 500, or cuts the stream, is a TurnFailedError of its kind",
  async (world) => {
    await Promise.all(FAILURES.map(async ([what, turn, kind, status]) => {
      let failedAt = 0;
      const prompt = world.prompt((_, round) => {
        failedAt = performance.now();
        assert.equal(round, 0, `${what} was tried again`);
        return turn;
      });
      const error = await rejection(quickRun(world.cwd, prompt, { client: world.config() }));
      assert.ok(performance.now() - failedAt < SOON_MS, what);
      const failure = (error as QuickRunError).cause;
      assert.ok(failure instanceof TurnFailedError, `${what}: ${failure}`);
      assert.equal(failure.kind, kind, what);
      if (status !== null) assert.equal(failure.httpStatus, status, what);
      assert.equal(failure.retryable, kind !== "auth", what);
      if (what === "a cut stream") assert.equal(failure.partialText, "Some wo");
      assert.ok(failure.items.length > 0, what);
    }));
    assert.deepEqual(world.running(), []);
  },
);

versions("a failure of the credentials says whose word it is", async (world) => {
  const refuse = () => script.httpError(401, { error: { message: "Incorrect API key provided" } });
  const failed = async (client: Client) => {
    const error = await rejection(client.run(world.cwd, world.prompt(refuse)));
    assert.ok(error instanceof TurnFailedError, `${error}`);
    assert.deepEqual([error.kind, error.httpStatus], ["auth", 401]);
    return error.message;
  };
  const provider = await world.connect();
  assert.match(await failed(provider), /Check the key of the model's provider/);
  const configOverrides = { "model_providers.scripted.requires_openai_auth": true };
  const client = await world.connect({}, { configOverrides });
  assert.match(await failed(client), /Nobody is logged in: run `codex login`/);
  const consent = { allowPrivilegedEscalation: true };
  const login = { type: "apiKey", apiKey: "sk-not-a-real-one" };
  await client.runtime.request("account/login/start", login, consent);
  const refused = await failed(client);
  assert.match(refused, /The login that codex has was refused/);
  assert.doesNotMatch(refused, /sk-not/);
});

versions("a turn that takes too long is interrupted, with what there was", async (world) => {
  const prompt = world.prompt([[script.say("Half of", { open: true }), script.hang()]]);
  const run = quickRunWithProfile(world.cwd, prompt, { timeoutMs: 1_500 }, {
    client: world.config(),
  });
  const started = performance.now();
  const error = await cause(world, run);
  assert.ok(error instanceof TurnTimeoutError, `${error}`);
  assert.equal(error.timeoutMs, 1_500);
  assert.equal(error.partialText, "Half of");
  assert.ok(performance.now() - started < 1_500 + SOON_MS);
  const { signal } = world.model.requests[0]!;
  const aborted = new Promise((resolve) => signal.addEventListener("abort", resolve));
  if (!signal.aborted) await within(SOON_MS, "codex lets go of the model", aborted);
});

versions("an abort before, during and after the turn", async (world) => {
  const reason = new Error("enough");
  const client = world.config();
  const before = quickRun(world.cwd, "x", { client, signal: AbortSignal.abort(reason) });
  assert.equal(await rejection(before), reason);
  assert.deepEqual(world.running(), []);

  const starting = new AbortController();
  const connecting = quickRun(world.cwd, "x", { client, signal: starting.signal });
  starting.abort(reason);
  assert.equal(await within(SOON_MS, "the abort", rejection(connecting)), reason);
  assert.deepEqual(world.running(), []);

  const stop = new AbortController();
  const prompt = world.prompt([[script.say("Half", { open: true }), script.hang()]]);
  const during = quickRun(world.cwd, prompt, {
    client,
    signal: stop.signal,
    onEvent: ({ type }) => type === "assistantMessageDelta" && stop.abort(reason),
  });
  const failed = rejection(during);
  await new Promise((resolve) => stop.signal.addEventListener("abort", resolve));
  assert.equal(await within(SOON_MS, "the abort", failed), reason);
  assert.deepEqual(world.running(), []);

  const late = new AbortController();
  const result = await quickRun(world.cwd, "hi", { client, signal: late.signal });
  late.abort(reason);
  assert.match(result.assistantText, /You said/);
});

versions(
  "a codex that is killed in the middle of a turn is told at once, with what there was",
  async (world) => {
    const prompt = world.prompt([[script.say("Half", { open: true }), script.hang()]]);
    let killedAt = 0;
    const run = quickRun(world.cwd, prompt, {
      client: world.config(),
      onEvent: ({ type }) => {
        if (type !== "assistantMessageDelta") return;
        killedAt = performance.now();
        for (const pid of world.running()) process.kill(pid, "SIGKILL");
      },
    });
    const error = await cause(world, run);
    assert.ok(performance.now() - killedAt < SOON_MS);
    assert.ok(error instanceof ConnectionClosedError, `${error}`);
    assert.equal(error.exit?.signal, "SIGKILL");
    assert.equal(error.partial?.assistantText, "Half");
  },
);

versions("a turn without a message is an EmptyAnswerError", async (world) => {
  const prompt = world.prompt([[script.exec("true")], [script.usage({})]]);
  const error = await cause(world, quickRun(world.cwd, prompt, { client: world.config() }));
  assert.ok(error instanceof EmptyAnswerError, `${error}`);
  assert.ok(error.items.length > 0);
});
