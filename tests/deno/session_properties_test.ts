/** Whatever callers do, and whenever the server dies: every promise settles, and nothing is left behind. */
import assert from "node:assert/strict";
import process from "node:process";
import fc from "npm:fast-check@4.10.2";
import { Client } from "../../src/session/client/client.ts";
import type { PromptRunStream } from "../../src/session/prompt/prompt_run_stream.ts";
import type { Session } from "../../src/session/session.ts";
import { script } from "../../src/testing/mod.ts";
import { CODEX_VERSIONS, tries } from "../_codex.ts";
import { DIALECTS, FakeServer, fakeTransport, type FakeTurn } from "../_fake_server.ts";
import { test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";
import { inWorld, whenGone } from "../real/_session_world.ts";

/** What a turn does. */
const TURNS = ["answer", "fail", "hang", "command", "tool", "overload", "late"] as const;
type Turn = (typeof TURNS)[number];

/** What a caller does next. */
type Step =
  | { do: "ask"; session: number; turn: Turn; abortable: boolean; timeoutMs: number }
  | { do: "stream"; session: number; turn: Turn; leave: boolean }
  | { do: "abort" | "steer" | "leave"; which: number }
  | { do: "interrupt" | "close" | "release"; session: number }
  | { do: "open" }
  | { do: "yield"; rounds: number }
  | { do: "wait"; ms: number }
  | { do: "crash" };

const session = fc.nat(3);
const turn = fc.constantFrom(...TURNS);
const which = fc.nat(9);
const stepOf = (crash: number): fc.Arbitrary<Step> =>
  fc.oneof(
    {
      weight: 8,
      arbitrary: fc.record({
        do: fc.constant("ask" as const),
        session,
        turn,
        abortable: fc.boolean(),
        timeoutMs: fc.constantFrom(1, 20, 5000),
      }),
    },
    {
      weight: 4,
      arbitrary: fc.record({
        do: fc.constant("stream" as const),
        session,
        turn,
        leave: fc.boolean(),
      }),
    },
    {
      weight: 6,
      arbitrary: fc.record({ do: fc.constantFrom("abort", "steer", "leave"), which }),
    },
    {
      weight: 3,
      arbitrary: fc.record({ do: fc.constantFrom("interrupt", "close", "release"), session }),
    },
    { weight: 1, arbitrary: fc.constant({ do: "open" as const }) },
    {
      weight: 6,
      arbitrary: fc.record({ do: fc.constant("yield" as const), rounds: fc.nat(60) }),
    },
    {
      weight: 2,
      arbitrary: fc.record({ do: fc.constant("wait" as const), ms: fc.constantFrom(0, 2, 10) }),
    },
    { weight: crash, arbitrary: fc.constant({ do: "crash" as const }) },
  ) as fc.Arbitrary<Step>;

/** Counts the listeners on a signal. */
function counted(controller: AbortController): { signal: AbortSignal; listeners: () => number } {
  const { signal } = controller;
  const known = new Set<unknown>();
  const [add, remove] = [signal.addEventListener, signal.removeEventListener];
  signal.addEventListener = (...args: Parameters<typeof add>) => {
    known.add(args[1]);
    add.apply(signal, args);
  };
  signal.removeEventListener = (...args: Parameters<typeof remove>) => {
    known.delete(args[1]);
    remove.apply(signal, args);
  };
  return { signal, listeners: () => signal.aborted ? 0 : known.size };
}

interface Actor {
  client: Client;
  cwd: string;
  /** The prompt for a turn of this kind. */
  prompt(turn: Turn): string;
  /** Kills the server. */
  crash(): void;
  /** Whether everything is waited for before the client is shut down. */
  patient: boolean;
  /** How much longer waits take than on the fake. */
  slowness: number;
}

async function settled(promises: readonly Promise<unknown>[]): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error("a promise did not settle")), 30_000);
  });
  await Promise.race([Promise.all(promises), late]).finally(() => clearTimeout(timer));
}

/** Does the steps and waits until everything has settled. */
async function play(steps: readonly Step[], actor: Actor): Promise<void> {
  const { client, cwd } = actor;
  const unhandled: unknown[] = [];
  const listen = (event: PromiseRejectionEvent) => {
    event.preventDefault();
    unhandled.push(event.reason);
  };
  addEventListener("unhandledrejection", listen);
  const sessions: Session[] = [];
  const streams: PromptRunStream[] = [];
  const aborts: AbortController[] = [];
  const signals: (() => number)[] = [];
  const promises: Promise<unknown>[] = [];
  const track = (promise: Promise<unknown>) => void promises.push(promise.catch(() => {}));
  const open = async () => {
    const tools = {
      slow: {
        description: "d",
        inputSchema: { type: "object", properties: {} },
        run: (_args: unknown, { signal }: { signal: AbortSignal }) =>
          new Promise<never>((_, reject) =>
            signal.addEventListener("abort", () => reject(signal.reason))
          ),
      },
    };
    await client.startSession({ cwd, tools, approvalPolicy: "untrusted", ephemeral: true })
      .then((opened) => sessions.push(opened), () => {});
  };
  await Promise.all([open(), open()]);
  assert.equal(sessions.length, 2);
  for (const step of steps) {
    const at = (n: number) => sessions[n % Math.max(1, sessions.length)];
    switch (step.do) {
      case "ask": {
        const controller = new AbortController();
        const { signal, listeners } = counted(controller);
        if (step.abortable) aborts.push(controller);
        signals.push(listeners);
        const timeoutMs = actor.patient
          ? Math.min(step.timeoutMs, 60 * actor.slowness)
          : step.timeoutMs;
        const asked = at(step.session)?.ask(actor.prompt(step.turn), {
          signal,
          timeoutMs,
          retry: { attempts: 1, baseDelayMs: 1 },
        });
        if (asked !== undefined) track(asked);
        break;
      }
      case "stream": {
        const asked = at(step.session)?.askStream(actor.prompt(step.turn), {
          timeoutMs: 60 * actor.slowness,
        });
        if (asked === undefined) break;
        track(asked.then(async (stream) => {
          streams.push(stream);
          for await (const event of stream) {
            if (step.leave && event.type === "assistantMessageDelta") break;
          }
          await stream.finish();
        }));
        break;
      }
      case "abort":
        aborts[step.which % Math.max(1, aborts.length)]?.abort(new Error("enough"));
        break;
      case "steer":
        track(
          streams[step.which % Math.max(1, streams.length)]?.steer("more") ?? Promise.resolve(),
        );
        break;
      case "leave":
        track(
          streams[step.which % Math.max(1, streams.length)]?.[Symbol.asyncDispose]() ??
            Promise.resolve(),
        );
        break;
      case "interrupt":
        track(at(step.session)?.interrupt() ?? Promise.resolve());
        break;
      case "close":
        track(at(step.session)?.close() ?? Promise.resolve());
        break;
      case "release":
        track(at(step.session)?.release() ?? Promise.resolve());
        break;
      case "open":
        track(open());
        break;
      case "yield":
        for (let i = 0; i < step.rounds; i++) await Promise.resolve();
        break;
      case "wait":
        await new Promise((resolve) => setTimeout(resolve, step.ms * actor.slowness));
        break;
      case "crash":
        actor.crash();
    }
  }
  // Either everything ends by itself, by answers and time limits, or the end of the client ends it.
  if (actor.patient) await settled(promises);
  await client.shutdown();
  await settled(promises);
  await new Promise((resolve) => setTimeout(resolve, 0));
  removeEventListener("unhandledrejection", listen);
  assert.deepEqual(unhandled, []);
  assert.deepEqual(signals.map((listeners) => listeners()), signals.map(() => 0));
  assert.equal(client.runtime.metrics().pendingCalls, 0);
  assert.deepEqual(client.approvals.pending(), []);
  for (const each of sessions) assert.ok(each.closed);
}

async function fakeTurn(turn: FakeTurn): Promise<void> {
  switch (turn.prompt as Turn) {
    case "fail":
      return turn.fail("no");
    case "overload":
      return turn.fail("busy", "serverOverloaded");
    case "hang":
      return turn.say("Half", { open: true });
    case "command":
      await turn.command("ls", "out", { ask: true });
      turn.say("done");
      return turn.complete();
    case "tool":
      await turn.tool("slow", {});
      return turn.complete();
    case "late":
      for (let i = 0; i < 30; i++) await Promise.resolve();
      turn.say("late");
      return turn.complete();
    default:
      turn.say("answer");
      turn.usage();
      turn.complete();
  }
}

for (const dialect of DIALECTS) {
  for (const restart of [false, true]) {
    const name = `any mix of ask, abort, steer, interrupt, close and crash settles${
      restart ? ", with restarts" : ""
    } [${dialect}]`;
    test(name, async () => {
      await using directory = await tempDir("properties-");
      await fc.assert(
        fc.asyncProperty(
          fc.array(stepOf(1), { maxLength: 40 }),
          fc.boolean(),
          fc.boolean(),
          fc.boolean(),
          async (steps, startedFirst, accepts, patient) => {
            const servers: FakeServer[] = [];
            const open = fakeTransport((end) => {
              const server = new FakeServer(end, { dialect, startedFirst, onTurn: fakeTurn });
              for (let i = 0; i < 1000 * servers.length; i++) server.id();
              servers.push(server);
            });
            const client = await Client.connect({
              transport: { type: "custom", open },
              requestTimeoutMs: 1000,
              approvals: () =>
                accepts ? { decision: "accept" as const } : new Promise<never>(() => {}),
              ...(restart
                ? { restart: { type: "onCrash" as const, baseDelayMs: 1, maxRestarts: 3 } }
                : {}),
            });
            await play(steps, {
              client,
              cwd: directory.path,
              prompt: (turn) => turn,
              patient,
              slowness: 1,
              crash: () => servers.at(-1)!.crash(),
            });
          },
        ),
        { seed: 20261122, numRuns: tries(120, 60), endOnFailure: true },
      );
    });
  }
}

for (const version of CODEX_VERSIONS) {
  test(`any mix settles with the real codex as well, and leaves no process [${version}]`, async () => {
    await inWorld(version, async (world) => {
      const exec = script.exec("sleep 0.2; echo out");
      const turns: Record<Turn, ReturnType<typeof world.prompt>> = {
        answer: world.prompt(() => "answer"),
        fail: world.prompt(() => script.httpError(401)),
        overload: world.prompt(() => script.httpError(429)),
        hang: world.prompt(() => [script.say("Half", { open: true }), script.hang()]),
        command: world.prompt((request) => request.toolOutputs.length === 0 ? exec : "done"),
        tool: world.prompt((request) =>
          request.toolOutputs.length === 0 ? script.toolCall("slow", {}) : "done"
        ),
        late: world.prompt(() => [script.delay(50), "late"]),
      };
      await fc.assert(
        fc.asyncProperty(
          fc.array(stepOf(0), { minLength: 15, maxLength: 30 }),
          fc.boolean(),
          fc.boolean(),
          async (steps, kill, patient) => {
            const client = await world.connect({
              approvals: () => ({ decision: "accept" as const }),
            });
            const { pid } = client.runtime;
            await play([...steps, ...kill ? [{ do: "crash" as const }] : []], {
              client,
              cwd: world.cwd,
              prompt: (turn) => turns[turn],
              crash: () => process.kill(pid!, "SIGKILL"),
              patient,
              slowness: 10,
            });
            // The commands of a codex that somebody killed end by themselves.
            if (kill) { for (const left of world.running()) await whenGone(left); }
            assert.deepEqual(world.running(), []);
          },
        ),
        { seed: 20261122, numRuns: 6, endOnFailure: true },
      );
    });
  });
}
