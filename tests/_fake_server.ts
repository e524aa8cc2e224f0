/**
 * Fake app-servers for contract tests. {@linkcode ReplayServer} replays a recording; {@linkcode FakeServer} behaves as
 * the test says, and clones every shape from the recordings.
 */
import type { ProcessExit } from "../src/errors/mod.ts";
import type { FakeEnd } from "./_fake_end.ts";
import { FakeTurn } from "./_fake_turn.ts";
import { unknownMethod } from "./_replay_server.ts";
import {
  type Dialect,
  type Message,
  recorded,
  RECORDED_CWD,
  recordedResult,
  transcript,
} from "./_transcripts.ts";

export { type FakeEnd, fakeTransport } from "./_fake_end.ts";
export { FakeTurn } from "./_fake_turn.ts";
export { type Extras, ReplayServer } from "./_replay_server.ts";
export * from "./_transcripts.ts";

/** How a {@linkcode FakeServer} behaves. */
export interface FakeServerOptions {
  /** Default `"0.169"`. */
  dialect?: Dialect;
  /** What a turn does. Default: says `ok`, reports usage and completes. */
  onTurn?: (turn: FakeTurn) => void | Promise<void>;
  /** Answers by method, before the built-in ones; throw a {@linkcode FakeRpcError} to refuse, return `NO_ANSWER` to be silent. */
  methods?: Record<string, (params: Message, server: FakeServer) => unknown>;
  /** Sends `turn/started` before the `turn/start` response, as 0.169 does under load. Default `false`. */
  startedFirst?: boolean;
}

/** Returned by a method of {@linkcode FakeServerOptions.methods} that does not answer. */
export const NO_ANSWER: unique symbol = Symbol("no answer");

/** Refuses a request. */
export class FakeRpcError extends Error {
  readonly code: number;
  readonly data: unknown;
  constructor(message: string, code = -32600, data?: unknown) {
    super(message);
    this.code = code;
    this.data = data;
  }
}

/** What the fake knows of a thread. */
export interface FakeThread {
  id: string;
  cwd: string;
  turn: FakeTurn | null;
}

/** A programmable server that speaks a recorded dialect. */
export class FakeServer {
  readonly dialect: Dialect;
  /** Every message of the client. */
  readonly received: Message[] = [];
  /** Threads by id. */
  readonly threads: Map<string, FakeThread> = new Map();
  /** Every turn so far. */
  readonly turns: FakeTurn[] = [];
  readonly #end: FakeEnd;
  readonly #options: FakeServerOptions;
  readonly #watchers = new Set<() => void>();
  readonly #answers = new Map<number, (answer: Message) => void>();
  #lastId = 0;
  // The real server counts its requests from 0.
  #nextRequestId = 0;

  constructor(end: FakeEnd, options: FakeServerOptions = {}) {
    this.#end = end;
    this.#options = options;
    this.dialect = options.dialect ?? "0.169";
    end.onLine((line) => void this.#take(JSON.parse(line)));
  }

  /** Sends any message. */
  send(message: Message): void {
    this.#end.send(JSON.stringify(message));
  }

  /** Sends a raw line, well-formed or not. */
  sendLine(line: string): void {
    this.#end.send(line);
  }

  /** Sends a notification. */
  notify(method: string, params: Message): void {
    this.send({ method, params });
  }

  /** Asks the client; resolves with its whole answer message. */
  ask(method: string, params: Message): Promise<Message> {
    const id = this.#nextRequestId++;
    return new Promise((resolve) => {
      this.#answers.set(id, resolve);
      this.send({ method, id, params });
    });
  }

  /** Dies; by default with exit code 1 and nothing on stderr. */
  crash(exit: ProcessExit = { code: 1, signal: null }, stderrTail = ""): void {
    this.#end.close({ exit, stderrTail });
  }

  /** The first message of the client, past or future, that fits. */
  waitFor(predicate: (message: Message) => boolean): Promise<Message> {
    return new Promise((resolve) => {
      let seen = 0;
      const look = () => {
        for (; seen < this.received.length; seen++) {
          if (!predicate(this.received[seen])) continue;
          this.#watchers.delete(look);
          return resolve(this.received[seen]);
        }
      };
      this.#watchers.add(look);
      look();
    });
  }

  /** The client's first request or notification with this method, past or future. */
  waitForMethod(method: string): Promise<Message> {
    return this.waitFor((m) => m.method === method);
  }

  /** A fresh id in the form of the server's; never a recorded one, which would be renamed by mistake. */
  id(): string {
    return `01b20000-0000-7000-8000-${String(++this.#lastId).padStart(12, "0")}`;
  }

  async #take(message: Message): Promise<void> {
    this.received.push(message);
    for (const look of [...this.#watchers]) look();
    if (message.method === undefined) {
      this.#answers.get(message.id)?.(message);
      this.#answers.delete(message.id);
      return;
    }
    if (message.id === undefined) return;
    try {
      const own = this.#options.methods?.[message.method];
      if (own === undefined) return this.#builtin(message);
      const result = await own(message.params, this);
      if (result !== NO_ANSWER) this.send({ id: message.id, result });
    } catch (error) {
      if (!(error instanceof FakeRpcError)) throw error;
      const { code, message: text, data } = error;
      this.send({
        error: { code, ...(data === undefined ? {} : { data }), message: text },
        id: message.id,
      });
    }
  }

  #builtin(message: Message): void {
    const { id, method, params } = message;
    switch (method) {
      case "initialize":
        return this.send({ id, result: this.#hello(params.clientInfo) });
      case "thread/start":
      case "thread/resume":
      case "thread/fork":
        return this.#startThread(message);
      case "thread/archive": {
        const { threadId } = params;
        this.#thread(threadId);
        this.threads.delete(threadId);
        if (this.dialect !== "0.104") {
          this.notify("thread/status/changed", { threadId, status: { type: "notLoaded" } });
        }
        this.send({ id, result: {} });
        return this.notify("thread/archived", { threadId });
      }
      case "thread/unsubscribe":
        if (this.dialect === "0.104") return this.send(unknownMethod(message));
        return this.send({ id, result: { status: "unsubscribed" } });
      case "config/read":
        return this.send({ id, result: { config: {} } });
      case "hooks/list":
        // As 0.169 tells of a home without hooks.
        return this.send({
          id,
          result: {
            data: [{ cwd: params.cwds[0], hooks: [], warnings: [], errors: [] }],
          },
        });
      case "turn/start":
        return this.#startTurn(message);
      case "turn/steer":
        return this.#steer(message);
      case "turn/interrupt":
        return this.#interrupt(message);
      default:
        return this.#answerAsRecorded(message);
    }
  }

  /** Lists, accounts and the like: what was recorded, under the names of the request. */
  #answerAsRecorded(message: Message): void {
    const { id, method, params } = message;
    for (const scenario of ["threads", "account"]) {
      const asked = transcript(this.dialect, scenario).find(({ dir, m }) =>
        dir === ">" && m.method === method
      );
      if (asked === undefined) continue;
      const answer = transcript(this.dialect, scenario).find(({ dir, m }) =>
        dir === "<" && m.id === asked.m.id && m.method === undefined
      )!.m;
      const names: Record<string, string> = {};
      if (typeof params?.threadId === "string") {
        names[asked.m.params.threadId] = params.threadId;
      }
      if (typeof params?.cwd === "string") {
        names[RECORDED_CWD] = params.cwd;
      }
      return this.send({ ...rewrite(answer, names), id });
    }
    this.send(unknownMethod(message));
  }

  #hello(client: { name: string; version: string }): Message {
    const result = structuredClone(recordedResult(this.dialect, "basic", "initialize"));
    const asked = recorded(this.dialect, "basic", "initialize").params.clientInfo;
    result.userAgent = client.name + result.userAgent.slice(asked.name.length)
      .replace(`(${asked.name}; ${asked.version})`, `(${client.name}; ${client.version})`);
    return result;
  }

  #startThread({ id, method, params }: Message): void {
    const threadId = method === "thread/resume" ? params.threadId : this.id();
    const cwd = params.cwd ?? RECORDED_CWD;
    this.threads.set(threadId, {
      id: threadId,
      cwd,
      turn: this.threads.get(threadId)?.turn ?? null,
    });
    const was = recordedResult(
      this.dialect,
      method === "thread/start" ? "basic" : "threads",
      method,
    );
    const result = rewrite(was, { [was.thread.id]: threadId, [RECORDED_CWD]: cwd });
    result.approvalPolicy = params.approvalPolicy ?? "on-request";
    result.sandbox = this.#sandbox(params.sandbox ?? "read-only");
    if (params.model !== undefined) result.model = params.model;
    if (params.ephemeral === true && this.dialect !== "0.104") {
      Object.assign(result.thread, { ephemeral: true, path: null });
    }
    if (method === "thread/fork") result.thread.forkedFromId = params.threadId;
    this.send({ id, result });
    if (method !== "thread/resume") this.notify("thread/started", { thread: result.thread });
  }

  #sandbox(mode: string): Message {
    const scenario = ({
      "workspace-write": "command-accept",
      "danger-full-access": "command-never",
    } as Record<string, string>)[mode] ?? "basic";
    return recordedResult(this.dialect, scenario, "thread/start").sandbox;
  }

  #startTurn({ id, params }: Message): void {
    const thread = this.#thread(params.threadId);
    const result = structuredClone(recordedResult(this.dialect, "basic", "turn/start"));
    if (thread.turn !== null) {
      // A busy thread: 0.169 steers, 0.104 hands out a turn that never completes.
      const turnId = this.dialect === "0.169" ? thread.turn.id : this.id();
      return this.send({ id, result: rewrite(result, { [result.turn.id]: turnId }) });
    }
    const turn = new FakeTurn(this, thread, this.id(), params);
    thread.turn = turn;
    this.turns.push(turn);
    const answer = { id, result: rewrite(result, { [result.turn.id]: turn.id }) };
    if (this.#options.startedFirst === true) {
      turn.started();
      this.send(answer);
    } else {
      this.send(answer);
      turn.started();
    }
    void (async () => {
      if (this.#options.onTurn !== undefined) return await this.#options.onTurn(turn);
      turn.say("ok");
      turn.usage();
      turn.complete();
    })();
  }

  #steer({ id, params }: Message): void {
    const { turn } = this.#thread(params.threadId);
    if (turn === null) throw new FakeRpcError("no active turn to steer");
    if (turn.id !== params.expectedTurnId) {
      throw new FakeRpcError(
        `expected active turn id \`${params.expectedTurnId}\` but found \`${turn.id}\``,
      );
    }
    turn.steers.push(params.input);
    this.send({ id, result: { turnId: turn.id } });
    for (const look of [...this.#watchers]) look();
  }

  #interrupt({ id, params }: Message): void {
    const { turn } = this.#thread(params.threadId);
    if (turn === null) {
      // 0.104 does not answer at all.
      if (this.dialect === "0.104") return;
      throw new FakeRpcError("no active turn to interrupt");
    }
    this.send({ id, result: {} });
    turn.interrupted();
  }

  #thread(id: string): FakeThread {
    const thread = this.threads.get(id);
    if (thread === undefined) throw new FakeRpcError(`thread not found: ${id}`);
    return thread;
  }
}

/** A copy of a recorded value with other names in it. */
export function rewrite(value: Message, names: Record<string, string>): Message {
  let text = JSON.stringify(value);
  for (const [was, is] of Object.entries(names)) {
    text = text.replaceAll(was, JSON.stringify(is).slice(1, -1));
  }
  return JSON.parse(text);
}
