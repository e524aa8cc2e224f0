/** What the random histories are made of, how one is played on the real codex, and what must hold after it. */
import assert from "node:assert/strict";
import process from "node:process";
import fc from "npm:fast-check@4.10.2";
import { plainSettings } from "../../src/json.ts";
import { codexTransport } from "../../src/launch/mod.ts";
import { supports } from "../../src/protocol/mod.ts";
import type { Client } from "../../src/session/client/client.ts";
import type { EventEnvelope } from "../../src/runtime/log/event_envelope.ts";
import type { SessionEvent } from "../../src/session/events/session_event.ts";
import type { SessionConfig } from "../../src/session/profile.ts";
import type { Session } from "../../src/session/session.ts";
import { type ModelStep, script } from "../../src/testing/mod.ts";
import { within, type World } from "../real/_session_world.ts";
import { slowLink } from "../_slow_link.ts";

/** What the model does with a prompt. */
const WORKS = ["say", "slow", "command", "long", "loop", "hang", "agent", "agents"] as const;
type Work = typeof WORKS[number];

/** What somebody does at some moment, without waiting for what was done before. */
export type Step =
  | { type: "ask"; work: Work; abortAfter: number | null; steer: boolean; limited: boolean }
  | { type: "foreign"; work: Work }
  /** A prompt that waits in codex's own queue (0.169); behind whom it waits decides when it begins. */
  | { type: "queue"; work: Work }
  /** A turn that codex begins for us; `stopAfter`: given up after so many milliseconds. */
  | { type: "goal" | "compact" | "review"; stopAfter: number | null }
  | { type: "interrupt" }
  | { type: "pause"; ms: number }
  | { type: "kill" }
  /** Releases the session and takes its thread up again. */
  | { type: "reopen" };

/** How somebody answers who is asked: a hook, or a handler. */
const ANSWERS = ["none", "accepts", "throws", "hangs"] as const;
type Answer = typeof ANSWERS[number];

/** One history. */
export interface History {
  steps: Step[];
  delayMs: number;
  hook: Answer;
  handler: Answer;
  /** Whether a codex that dies is started again. */
  restart: boolean;
  /** Whether the session is closed in the middle of everything, or when all has settled. */
  closeEarly: boolean;
}

const work = fc.constantFrom(...WORKS);

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      type: fc.constant("ask" as const),
      work,
      abortAfter: fc.option(fc.integer({ min: 0, max: 250 })),
      steer: fc.boolean(),
      limited: fc.boolean(),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ type: fc.constantFrom("foreign" as const, "queue" as const), work }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      type: fc.constantFrom("goal" as const, "compact" as const, "review" as const),
      stopAfter: fc.option(fc.integer({ min: 0, max: 400 })),
    }),
  },
  { weight: 2, arbitrary: fc.record({ type: fc.constant("interrupt" as const) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      type: fc.constant("pause" as const),
      ms: fc.integer({ min: 1, max: 200 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("kill" as const) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("reopen" as const) }) },
);

/** Any history. */
export const anyHistory: fc.Arbitrary<History> = fc.record({
  steps: fc.array(step, { minLength: 1, maxLength: 8 }),
  delayMs: fc.constantFrom(0, 5, 60),
  hook: fc.constantFrom(...ANSWERS),
  handler: fc.constantFrom(...ANSWERS),
  restart: fc.boolean(),
  closeEarly: fc.boolean(),
});

/** What of the wire is looked at. */
interface Notification {
  method: string;
  params: {
    threadId: string;
    thread?: { id: string };
    turn?: { id: string };
    turnId?: string;
    item?: { type: string };
    tokenUsage?: Record<"total" | "last", { totalTokens: number }>;
  };
}

/** Stands among the notifications where codex died. */
const NEW_SERVER = "(died)";
/** Stands among them where a session let go of its thread. */
const JOINED = "(released)";
/** Stands among them where a session was closed. */
const CLOSES = "(closed)";

/** Milliseconds that a turn of a history may take. */
const TURN_MS = 2_500;
const USAGE = script.usage({ inputTokens: 10, outputTokens: 3 });
const CALL_TOKENS = 13;

function kill(pid: number | null): void {
  try {
    if (pid !== null) process.kill(pid, "SIGKILL");
  } catch {
    // It is dead already.
  }
}

const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Plays histories, with as few processes as they leave alive. */
export class Player {
  readonly #world: World;
  readonly #clients: Map<boolean, Client> = new Map();
  #delayMs = 0;
  #wire: Notification[] = [];
  #log: EventEnvelope[] = [];
  #commands = 7000;

  constructor(world: World) {
    this.#world = world;
  }

  /** Plays one history. */
  async play(history: History): Promise<void> {
    const told: SessionEvent[] = [];
    this.#log = [];
    try {
      await this.#play(history, told);
    } catch (error) {
      throw new Error(trace(this.#log, told), { cause: error });
    }
  }

  async #play(history: History, told: SessionEvent[]): Promise<void> {
    const world = this.#world;
    this.#delayMs = 0;
    const client = await this.#client(history.restart);
    const wire: Notification[] = this.#wire = [];
    const sessions: Session[] = [];
    const listening: Promise<void>[] = [];
    // How much was on the wire when each listener joined.
    const joined: number[] = [];
    const join = (session: Session) => {
      sessions.push(session);
      const events = session.events({ subAgents: true });
      joined.push(this.#wire.length);
      listening.push((async () => {
        for await (const event of events) told.push(event);
      })());
      return session;
    };
    const config = this.#config(history);
    let session = join(await client.startSession(config));
    this.#delayMs = history.delayMs;
    const first = this.#commands;
    const promises: Promise<unknown>[] = [];
    const keep = (promise: Promise<unknown>) => {
      promise.catch(() => {});
      promises.push(promise);
    };
    for (const each of history.steps) {
      const it = session;
      switch (each.type) {
        case "ask": {
          const stop = new AbortController();
          const limits = each.limited || each.work === "loop" ? { modelCalls: 3 } : {};
          keep((async () => {
            const prompt = this.#prompt(each.work);
            const stream = await it.askStream(prompt, { signal: stop.signal, limits });
            if (each.steer) await stream.steer("more").catch(() => {});
            return await stream.finish();
          })());
          if (each.abortAfter !== null) {
            keep(wait(each.abortAfter).then(() => stop.abort(new Error("enough"))));
          }
          break;
        }
        case "foreign": {
          const started = client.runtime.request("turn/start", {
            threadId: it.threadId,
            input: [{ type: "text", text: this.#prompt(each.work) }],
          });
          keep(started);
          break;
        }
        case "queue":
          keep(client.runtime.request("thread/queue/add", {
            threadId: it.threadId,
            clientUserMessageId: crypto.randomUUID(),
            input: [{ type: "text", text: this.#prompt(each.work) }],
          }));
          break;
        case "goal":
        case "compact":
        case "review": {
          const stop = new AbortController();
          const { signal } = stop;
          keep(this.#begin(it, each.type, signal));
          if (each.stopAfter !== null) {
            keep(wait(each.stopAfter).then(() => stop.abort(new Error("enough"))));
          }
          break;
        }
        case "interrupt":
          keep(it.interrupt());
          break;
        case "pause":
          await wait(each.ms);
          break;
        case "kill":
          kill(client.runtime.pid);
          break;
        case "reopen":
          await within(25_000, "release()", it.release());
          // What the thread uses until it is taken up again is told to nobody.
          wire.push({ method: JOINED, params: { threadId: "" } });
          try {
            session = join(await client.resumeSession(it.threadId, config));
          } catch {
            // Never used, killed meanwhile, or both.
            if (client.runtime.connection === "closed") break;
            session = join(await within(15_000, "a new session", client.startSession(config)));
          }
      }
    }
    if (!history.closeEarly) {
      await within(40_000, "every promise", Promise.allSettled(promises));
      // What was given up or took too long ends without another word, and so does an agent that nobody waits for.
      await this.#assertEnded(first, 15_000);
      await within(25_000, "interrupt()", session.interrupt());
    }
    wire.push({ method: CLOSES, params: { threadId: "" } });
    await within(25_000, "close()", session.close());
    await within(15_000, "every promise", Promise.allSettled(promises));
    await within(5_000, "events()", Promise.all(listening));
    await this.#assertQuiet(wire);
    await this.#assertEnded(first, 2_000);
    check(wire, joined, told, sessions, world.version);
  }

  /** The model hears nothing more. */
  async #assertQuiet(wire: Notification[]): Promise<void> {
    const { requests } = this.#world.model;
    const heard = requests.length;
    await wait(60);
    const late = requests.slice(heard);
    if (late.length === 0) return;
    // What codex sent before it stopped the turn may arrive after that: nobody waits for the answer, and nothing follows.
    const ended = wire.filter(({ method }) => method === "turn/completed")
      .map(({ params }) => params.turn!.id);
    const after = heard + late.length;
    await wait(400);
    const what = late.map(({ turnId, text, signal }) =>
      `${turnId} ${text} ${signal.aborted ? "given up" : "waited for"}`
    );
    console.log(`a late request: ${what}`);
    assert.ok(
      requests.length === after &&
        late.every(({ turnId, signal }) => signal.aborted || ended.includes(turnId ?? "")),
      `the model heard more after close(): ${what}`,
    );
  }

  /** No command of the history runs. */
  async #assertEnded(first: number, ms: number): Promise<void> {
    for (let left = ms / 50;; left--) {
      const running = Array.from({ length: this.#commands - first }, (_, i) => first + i + 1)
        .filter((n) => this.#world.commands(`sleep ${n}`).length > 0);
      if (running.length === 0) break;
      assert.ok(left > 0, `the commands ${running} run on`);
      await wait(50);
    }
  }

  /** Ends what is left. */
  async end(): Promise<void> {
    for (const client of this.#clients.values()) await client.shutdown();
  }

  /** The client of the histories before, if it lives. */
  async #client(restart: boolean): Promise<Client> {
    const known = this.#clients.get(restart);
    if (known !== undefined && known.runtime.connection !== "closed") return known;
    const { codexPath, env, configOverrides } = this.#world.config();
    const open = codexTransport({
      codexPath: codexPath!,
      env: env!,
      configOverrides: plainSettings(configOverrides),
    });
    const client = await this.#world.connect({
      transport: { type: "custom", open: slowLink(open, () => Math.random() * this.#delayMs) },
      approvalTimeoutMs: 400,
      ...(restart
        ? { restart: { type: "onCrash", baseDelayMs: 10, maxDelayMs: 50, maxRestarts: 1e6 } }
        : {}),
      eventLog: {
        write: (event) => {
          this.#log.push(event);
          const { state } = event.message as { state?: string };
          if (event.kind === "connection" && state === "restarting") {
            this.#wire.push({ method: NEW_SERVER, params: { threadId: "" } });
          }
          if (event.kind !== "notification") return;
          this.#wire.push(event.message as unknown as Notification);
        },
      },
    });
    this.#clients.set(restart, client);
    return client;
  }

  /** Lets codex begin turns of its own. */
  async #begin(
    session: Session,
    type: "goal" | "compact" | "review",
    signal: AbortSignal,
  ): Promise<unknown> {
    if (type === "compact") return await session.compact({ signal });
    const says = [script.say("x"), USAGE];
    if (type === "review") {
      const instructions = this.#world.prompt(() => says);
      return await session.review({ type: "custom", instructions }, { signal });
    }
    const done = [script.toolCall("update_goal", { status: "complete" }), USAGE];
    const objective = this.#world.prompt((_, round) => round === 2 ? done : says);
    return await (await session.startGoal(objective, { signal, timeoutMs: TURN_MS })).finish();
  }

  #config({ hook, handler }: History): SessionConfig {
    const never = () => new Promise<never>(() => {});
    const fail = () => {
      throw new Error("I can't");
    };
    const hooks = {
      accepts: () => ({ type: "continue" as const }),
      throws: fail,
      hangs: never,
    };
    const handlers = {
      accepts: () => ({ decision: "accept" as const }),
      throws: fail,
      hangs: never,
    };
    return {
      cwd: this.#world.cwd,
      // Codex 0.104 takes no depth, and none is deeper than one there.
      config: {
        "features.multi_agent": true,
        ...(this.#world.version === "0.104.0" ? {} : { "agents.max_depth": 4 }),
      },
      timeoutMs: TURN_MS,
      ...(hook === "none" ? {} : {
        hooks: {
          pre: [{ name: hook, phases: ["preToolUse"], timeoutMs: 300, call: hooks[hook] }],
        },
      }),
      ...(handler === "none" ? {} : { approvalPolicy: "untrusted", approvals: handlers[handler] }),
    } as SessionConfig;
  }

  #prompt(work: Work): string {
    const says = [script.say("x"), USAGE];
    const command = (cmd: string): ModelStep[] => [script.exec(cmd), USAGE];
    const long = `sleep ${++this.#commands}`;
    switch (work) {
      case "say":
        return this.#world.prompt(() => says);
      case "slow":
        return this.#world.prompt(() => [script.delay(150), ...says]);
      case "command":
        return this.#world.prompt((_, round) => round === 0 ? command("true") : says);
      case "long":
        return this.#world.prompt((_, round) => round === 0 ? command(long) : says);
      case "loop":
        return this.#world.prompt(() => command("true"));
      case "hang":
        return this.#world.prompt(() => [script.say("Half", { open: true }), script.hang()]);
      case "agent":
        return this.#starts(this.#works(long, "child"));
      case "agents":
        return this.#starts(this.#starts(this.#works(long, "grandchild")));
    }
  }

  /** A prompt that runs a command. */
  #works(command: string, text: string): string {
    const says = [script.say("x"), USAGE];
    return this.#world.prompt(
      (_, round) => round === 0 ? [script.exec(command), USAGE] : says,
      text,
    );
  }

  /** A prompt whose agent starts another one for this task, and waits for it. */
  #starts(message: string): string {
    const says = [script.say("x"), USAGE];
    return this.#world.prompt(({ toolOutputs, tools }, round) => {
      // 0.125 offers them without a namespace, and 0.104 does not.
      const namespace = tools.includes("spawn_agent") ? {} : { namespace: "multi_agent_v1" };
      if (round === 0) return [script.toolCall("spawn_agent", { message }, namespace), USAGE];
      const id = /"agent_id":"([^"]+)"/.exec(toolOutputs.at(-1)?.text ?? "")?.[1];
      if (round > 1 || id === undefined) return says;
      const wait = { targets: [id], timeout_ms: 20_000 };
      return [script.toolCall("wait_agent", wait, namespace), USAGE];
    });
  }
}

/** Every turn on the wire is told once, with one end, and counted once. */
function check(
  wire: Notification[],
  joined: number[],
  told: SessionEvent[],
  sessions: Session[],
  version: string,
): void {
  const turns = told.map((event) => event.type === "subAgent" ? event.event : event);
  const ids = (type: string) =>
    turns.filter((event) => event.type === type)
      .map((event) => (event as { turnId: string }).turnId);
  const [started, ended] = [ids("turnStarted"), ids("turnCompleted")];
  assert.equal(new Set(started).size, started.length, "a turn was told twice");
  assert.equal(new Set(ended).size, ended.length, "an end was told twice");
  assert.deepEqual(started.filter((id) => !ended.includes(id)), [], "a turn has no end");
  // Whoever joins in the middle of a turn hears of its end only.
  const under = new Set(
    joined.flatMap((at) =>
      wire.slice(0, at).map(({ params }) => params?.turn?.id ?? params?.turnId)
    ),
  );
  const sudden = ended.filter((id) => !started.includes(id) && !under.has(id));
  assert.deepEqual(sudden, [], "a turn has no beginning");
  // Codex 0.104 says of turns that they have started which never work: their end is told all the same. What an agent of
  // the history before does at its end is not of this one. One that begins while the session is closed may be found to be
  // the session's when nobody listens any more.
  const own = new Set(sessions.map(({ threadId }) => threadId));
  const seen = new Set<string>();
  const onWire: string[] = [];
  const closes = wire.findIndex(({ method }) => method === CLOSES);
  for (const [at, { method, params }] of wire.entries()) {
    if (method === "turn/started" && at < closes) seen.add(params.turn!.id);
    if (method !== "turn/completed") continue;
    const { id } = params.turn!;
    if (own.has(params.threadId) || seen.has(id)) onWire.push(id);
  }
  assert.deepEqual(onWire.filter((id) => !ended.includes(id)), [], "a turn was not told");
  // Old servers repeat counts, and one that was started again begins with what it had written down.
  const totals = new Map<string, number>();
  const begun = new Set<string>();
  // A compaction begins with the count of the call before; of a new server it may be the first that is heard.
  const compactions = new Map<string, { total: number; last: number } | null>();
  let [expected, first] = [0, true];
  for (const { method, params } of wire) {
    if (method === NEW_SERVER || method === JOINED) {
      totals.clear();
      begun.clear();
      first = false;
    }
    if (method === "turn/started") begun.add(params.turn!.id);
    if (method === "thread/started") totals.set(params.thread!.id, 0);
    // Codex 0.104 does not say that a compaction has started.
    if (method === "item/started") begun.add(params.turnId!);
    if (params?.item?.type === "contextCompaction" && !compactions.has(params.turnId!)) {
      compactions.set(params.turnId!, null);
    }
    if (method !== "thread/tokenUsage/updated") continue;
    const { threadId, turnId } = params;
    const { total: { totalTokens: total }, last } = params.tokenUsage!;
    const before = totals.get(threadId) ?? (first ? 0 : null);
    totals.set(threadId, total);
    // What is told of a turn before is the thread's state when it is taken up again.
    if (before === null && !begun.has(turnId!)) continue;
    const held = compactions.get(turnId!);
    if (before === null && held === null) {
      compactions.set(turnId!, { total, last: last.totalTokens });
      continue;
    }
    compactions.delete(turnId!);
    // Where no call was before, it was the compaction's own, and an estimate follows.
    if (held && held.total === total && held.last !== last.totalTokens) expected += held.last;
    // More than all that was used is an estimate, of what a compaction leaves.
    const own = last.totalTokens > total ? 0 : last.totalTokens;
    expected += before === null || total < before ? own : total - before;
  }
  const counted = sessions.reduce((sum, { usage }) => sum + usage.totalTokens, 0);
  // Old servers do not say which count is the first of a thread that was taken up again.
  const joins = wire.filter(({ method }) => method === NEW_SERVER || method === JOINED).length;
  const repeated = supports(version, "repeatsTokenCounts") ? joins * CALL_TOKENS : 0;
  assert.ok(
    counted <= expected && counted >= expected - repeated,
    `${counted} of ${expected} tokens`,
  );
}

/** What was on the wire, and what was told, for whoever has to find out why. */
function trace(log: EventEnvelope[], told: SessionEvent[]): string {
  const tail = (id: unknown) => typeof id === "string" ? id.slice(-4) : "";
  const said = log.filter(({ method = "" }) =>
    !/elta|tatus|mcp|codex\/event|rateLimits/.test(method)
  )
    .map(({ at, direction, kind, method, message }) => {
      const { params, result, error } = message as Record<string, Record<string, never>>;
      const { threadId, turnId, turn, item, tokenUsage } = { ...result, ...params } as {
        threadId?: string;
        turnId?: string;
        turn?: { id: string; status: string };
        item?: { type: string };
        tokenUsage?: { total: { totalTokens: number } };
      };
      const about = [tail(threadId), tail(turn?.id ?? turnId), turn?.status, item?.type];
      const more = [tokenUsage?.total.totalTokens, error === undefined ? "" : error["message"]];
      const words = [direction, kind, method, ...about, ...more];
      return [at.toISOString().slice(17, 23), ...words].filter(Boolean).join(" ");
    });
  const heard = told.map((event) => event.type === "subAgent" ? event.event : event)
    .filter(({ type }) => /^(turn|tokenUsage|warning)/.test(type)).map((event) => {
      const { type, turnId, status, message } = event as unknown as Record<string, string>;
      return [type, tail(turnId), status, message].filter(Boolean).join(" ");
    });
  return `on the wire:\n${said.join("\n")}\ntold:\n${heard.join("\n")}`;
}
