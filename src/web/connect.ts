/**
 * A bridge's client for browsers, and for every other place that has `fetch`: small, without anything of the server.
 * @module
 */
import { delay, stopwatch } from "../async.ts";
import { InvalidArgumentError, WebError } from "../errors/mod.ts";
import type {
  BridgeClient,
  BridgeEvent,
  BridgeSession,
  CallOptions,
  ConnectClock,
  ConnectHeaders,
  ConnectOptions,
  FollowOptions,
} from "./connect_types.ts";

const NUMBERS = {
  timeoutMs: 60_000,
  patienceMs: 30_000,
  silenceMs: 15_000,
  maxRetryMs: 10_000,
};
const RETRY_MS = 1_000;
/** A bridge that wants no pause at all gets this one. */
const LEAST_RETRY_MS = 100;

/** Refusals of a bridge that has not begun to do what was asked: it may be asked again. */
const NOT_BEGUN = ["draining", "closed", "sessionMoved"];
const MAY_PASS = [408, 425, 429, 500, 502, 503, 504];

/** What an option may be, in words, and whether it is. */
type OptionKind = readonly [accepts: string, fits: (value: never) => boolean];
const positive: OptionKind = [
  "a positive number",
  (value: unknown) => typeof value === "number" && value > 0,
];
const OPTIONS: Readonly<Record<keyof ConnectOptions, OptionKind>> = {
  timeoutMs: positive,
  patienceMs: positive,
  silenceMs: positive,
  maxRetryMs: positive,
  fetch: ["a function", isFunction],
  headers: ["a function, or the headers", (value) => isFunction(value) || Object(value) === value],
  credentials: [
    '"omit", "same-origin" or "include"',
    (value) => ["omit", "same-origin", "include"].includes(value),
  ],
  clock: [
    "a clock { now, wait }",
    (value: ConnectClock | null) => isFunction(value?.now) && isFunction(value?.wait),
  ],
};

const clockOfSystem = (): ConnectClock => ({
  now: stopwatch(),
  wait: (ms, signal) => delay(ms, signal).catch(() => {}),
});

/**
 * A client of a bridge at this address, its `basePath` included; in a page it may be relative. Sends nothing yet. Throws
 * `InvalidArgumentError` for an address or an option that can't be meant.
 *
 * Calls reject with a `WebError`: the bridge's refusal by `status` and `reason`, or `unreachable`, `timeout` and
 * `notABridge`. What only reads is tried again for `patienceMs`; anything else only where the bridge has said that it has
 * not begun. `retryable` says that the reason may pass, not that nothing was done: what changes something may have been done
 * all the same when its answer was lost, so look before you send it again. What the browser itself sends again is done once.
 *
 * ```ts ignore
 * import { connect } from "@codex/runtime/connect";
 *
 * const session = await connect("/codex").createSession();
 * await session.ask("Run the tests");
 * for await (const event of session.events()) {
 *   if (event.type === "assistantMessageDelta") show(event.delta);
 *   if (event.type === "approvalRequested") await session.answer(event.request.id, { decision: "accept" });
 * }
 * ```
 */
export function connect(url: string | URL, options: ConnectOptions = {}): BridgeClient {
  const caller = new Caller(url, options);
  const session = (sessionId: string) => sessionOf(caller, sessionId);
  return {
    settings: (options) => caller.call("GET", "settings", options),
    sessions: (options) =>
      caller.call<{ sessions: [] }>("GET", "sessions", options).then((told) => told.sessions),
    createSession: (request = {}, options) =>
      caller.call<{ sessionId: string }>("POST", "sessions", options, request)
        .then(({ sessionId }) => {
          if (typeof sessionId !== "string") throw notABridge();
          return session(sessionId);
        }),
    session,
  };
}

function sessionOf(caller: Caller, sessionId: string): BridgeSession {
  const path = `sessions/${segment(sessionId, "sessionId")}`;
  const turn = (id: string, what: string) => `${path}/turns/${segment(id, "turnId")}/${what}`;
  return {
    sessionId,
    read: (options) => caller.call("GET", path, options),
    events: (options = {}) => caller.follow(path, options),
    ask: async (turn, options) =>
      await caller.call("POST", `${path}/turns`, options, inputOf(turn)),
    steer: async (turnId, input, options) =>
      await caller.call("POST", turn(turnId, "steer"), options, inputOf(input)),
    interrupt: async (turnId, options) =>
      await caller.call("POST", turn(turnId, "interrupt"), options, {}),
    approvals: (options) =>
      caller.call<{ approvals: [] }>("GET", `${path}/approvals`, options)
        .then((told) => told.approvals),
    answer: async (approvalId, answer, options) => {
      const question = `${path}/approvals/${segment(approvalId, "approvalId")}`;
      await caller.call("POST", question, options, answer);
    },
    close: (options) => caller.call("DELETE", path, options),
  };
}

/** Sends requests, and follows streams. */
class Caller {
  readonly #base: string;
  readonly #options: typeof NUMBERS & ConnectOptions;
  readonly #clock: ConnectClock;

  constructor(url: string | URL, options: ConnectOptions) {
    const base = URL.parse(url, globalThis.location?.href);
    if (!/^https?:$/.test(base?.protocol ?? "") || base!.search + base!.hash !== "") {
      throw wrong("url", "something else", "an http address without a query");
    }
    if (Object(options) !== options) {
      throw wrong("options", options === null ? "null" : typeof options, "an object");
    }
    const given = readable("options", () => Object.entries(options))
      .filter(([, value]) => value !== undefined);
    for (const [name, value] of given) {
      if (!Object.hasOwn(OPTIONS, name)) {
        throw wrong(name, typeof value, Object.keys(OPTIONS).join(", "), true);
      }
      const [accepts, fits] = OPTIONS[name as keyof ConnectOptions];
      if (!readable(name, () => fits(value as never))) throw wrong(name, typeof value, accepts);
    }
    this.#base = base!.href.replace(/\/+$/, "");
    this.#options = { ...NUMBERS, ...Object.fromEntries(given) };
    const { headers } = this.#options;
    if (typeof headers !== "function") headersOf(headers);
    this.#clock = options.clock ?? clockOfSystem();
  }

  /** The JSON that answers a request, named so that one that a browser sends again is done once. */
  async call<T>(
    method: string,
    path: string,
    options?: CallOptions,
    body?: unknown,
  ): Promise<T> {
    const { signal } = optionsOf(options);
    const sent = method === "POST" ? written(body) : null;
    if (method !== "GET") path += `?once=${Math.random()}${Math.random()}`;
    const until = this.#clock.now() + this.#options.patienceMs;
    for (let tries = 0;; tries++) {
      try {
        return await this.#once(method, path, sent, signal, objectOf);
      } catch (error) {
        const again = error instanceof WebError && error.retryable &&
          (method === "GET" || NOT_BEGUN.includes(error.reason));
        if (!again || this.#clock.now() >= until) throw error;
        await this.#pause(tries, RETRY_MS / 2, signal);
        signal.throwIfAborted();
      }
    }
  }

  /** Events until their reader leaves, also while that waits for one: a generator alone would end with the next. */
  follow(path: string, options: FollowOptions): AsyncGenerator<BridgeEvent, void, void> {
    const left = new AbortController();
    const events = this.#follow(path, options, left.signal);
    const end = events.return.bind(events);
    events.return = (value) => {
      left.abort();
      return end(value);
    };
    return events;
  }

  async *#follow(
    path: string,
    options: FollowOptions,
    left: AbortSignal,
  ): AsyncGenerator<BridgeEvent, void, void> {
    const { signal: given, onLink, after } = optionsOf(options, "after", "onLink");
    const signal = AbortSignal.any([given, left]);
    let cursor = after ?? null;
    const reader = Math.random();
    let [retryMs, tries] = [RETRY_MS, 0];
    while (!signal.aborted) {
      const gone = new AbortController();
      // Not left to the request alone, which may forget its signal.
      signal.addEventListener("abort", () => gone.abort(), { once: true, signal: gone.signal });
      const ends = AbortSignal.any([signal, gone.signal]);
      let reason: unknown = null;
      try {
        if (cursor === null) {
          const snapshot = await this.#once("GET", path, null, ends, objectOf);
          if (typeof snapshot.cursor !== "string") throw notABridge();
          cursor = snapshot.cursor as string;
          yield { type: "snapshot", snapshot, cursor };
        }
        const stream = `${path}/events?after=${encodeURIComponent(cursor)}&reader=${reader}`;
        const body = await this.#once("GET", stream, null, ends, eventsOf);
        onLink?.("connected", null);
        for await (const { name, id, data, retry } of this.#blocks(body, gone)) {
          // A bridge that only ever says `lagged` is not asked without a pause.
          if (name === "lagged") cursor = null;
          else if (retry === undefined) tries = 0;
          retryMs = Math.max(retry ?? retryMs, LEAST_RETRY_MS);
          if (cursor === null) break;
          if (data === undefined) continue;
          const event = objectIn(JSON.parse(data));
          cursor = id ?? cursor;
          yield { ...event, cursor };
          if (event.type === "sessionClosed" || signal.aborted) return;
        }
        if (cursor === null && tries++ === 0) continue;
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof SyntaxError) throw notABridge(error);
        if (!(error instanceof WebError && error.retryable)) throw error;
        reason = error;
      } finally {
        gone.abort();
      }
      if (signal.aborted) return;
      onLink?.("reconnecting", reason);
      await this.#pause(tries++, retryMs, signal);
    }
  }

  /** Waits longer with every try, and not as long as everybody else. */
  #pause(tries: number, ms: number, signal: AbortSignal): Promise<void> {
    const most = Math.min(this.#options.maxRetryMs, ms * 2 ** tries);
    return this.#clock.wait(most * (0.5 + Math.random() / 2), signal);
  }

  /** One request. Throws `WebError`, `retryable` when it may pass; the signal's reason when it was given up. */
  async #once<T>(
    method: string,
    path: string,
    body: string | null,
    signal: AbortSignal,
    read: (response: Response) => Promise<T>,
  ): Promise<T> {
    signal.throwIfAborted();
    const { headers, credentials = "same-origin", timeoutMs } = this.#options;
    const [late, over] = [new AbortController(), new AbortController()];
    this.#clock.wait(timeoutMs, over.signal).then(() => over.signal.aborted || late.abort());
    const ends = AbortSignal.any([signal, late.signal]);
    // The signal alone does not always end an answer that has begun: Deno 2.9 may forget it, a caller's own fetch too.
    const gone = new Promise<never>((_, reject) =>
      ends.addEventListener("abort", () => reject(ends.reason), { once: true })
    );
    let sent = false;
    const answered = async () => {
      const own = headersOf(typeof headers === "function" ? await headers() : headers);
      sent = true;
      // The global one must not be called as a method of something else.
      const send = this.#options.fetch ?? ((url, init) => globalThis.fetch(url, init));
      const response = await send(`${this.#base}/${path}`, {
        method,
        headers: { ...(body === null ? {} : { "content-type": "application/json" }), ...own },
        credentials,
        signal: ends,
        ...(body === null ? {} : { body }),
      });
      if (ends.aborted) response.body?.cancel().catch(() => {});
      if (response.ok) return await read(response);
      // What stands in between answers in its own words.
      const told = await response.json().catch(() => null);
      const { status } = response;
      const message = `${told?.message ?? `The bridge answered ${status}.`}`;
      const retryable = MAY_PASS.includes(status);
      throw new WebError(status, `${told?.code ?? "unknown"}`, message, { retryable });
    };
    try {
      return await Promise.race([answered(), gone]);
    } catch (error) {
      if (error instanceof WebError) throw error;
      signal.throwIfAborted();
      // The caller's own function threw it.
      if (!sent && !late.signal.aborted) throw error;
      if (error instanceof SyntaxError) throw notABridge(error);
      const passing = { retryable: true, cause: error };
      throw late.signal.aborted
        ? new WebError(504, "timeout", `No answer came within ${timeoutMs} ms.`, passing)
        : new WebError(503, "unreachable", "The bridge can't be reached.", passing);
    } finally {
      over.abort();
    }
  }

  /** The blocks of an event stream; ends with it, and when nothing has come for long, such as after a sleep. */
  async *#blocks(body: ReadableStream<Uint8Array>, gone: AbortController): AsyncGenerator<Block> {
    const { silenceMs } = this.#options;
    const clock = this.#clock;
    const reader = body.getReader();
    const end = () => reader.cancel().catch(() => {});
    // Only who waits can be kept waiting: a reader that takes its time breaks nothing off.
    let since = Infinity;
    (async () => {
      while (!gone.signal.aborted && clock.now() - since < silenceMs) {
        // Timers stand still while a machine sleeps, and its clock does not.
        await clock.wait(silenceMs / 3, gone.signal);
      }
      gone.abort();
      await end();
    })();
    const decoder = new TextDecoder();
    let line: string[] = [];
    let block: Block = {};
    try {
      for (;;) {
        since = clock.now();
        const read = await reader.read().catch(() => null);
        since = Infinity;
        if (read === null || read.done) return;
        const pieces = decoder.decode(read.value, { stream: true }).split("\n");
        for (const piece of pieces.splice(0, pieces.length - 1)) {
          const text = [...line, piece].join("").replace(/\r$/, "");
          line = [];
          if (text !== "") {
            take(block, text);
            continue;
          }
          yield block;
          block = {};
        }
        line.push(pieces[0]!);
      }
    } finally {
      gone.abort();
    }
  }
}

/** One block of an event stream. A comment makes an empty one. */
interface Block {
  id?: string;
  name?: string;
  data?: string;
  retry?: number;
}

function take(block: Block, line: string): void {
  const [, field, value = ""] = /^([^:]*)(?:: ?(.*))?$/s.exec(line)!;
  if (field === "id") block.id = value;
  if (field === "event") block.name = value;
  if (field === "data") block.data = block.data === undefined ? value : `${block.data}\n${value}`;
  if (field === "retry" && /^\d+$/.test(value)) block.retry = Number(value);
}

/** A login's page is no stream. */
async function eventsOf({ body, headers }: Response): Promise<ReadableStream<Uint8Array>> {
  if (body !== null && headers.get("content-type")?.startsWith("text/event-stream")) return body;
  await body?.cancel();
  throw notABridge();
}

/** Everything that a bridge says is an object. */
async function objectOf(response: Response) {
  return objectIn(await response.json());
}

// deno-lint-ignore no-explicit-any
function objectIn(told: any): any {
  if (Object(told) !== told) throw new SyntaxError("no object");
  return told;
}

/** It may be a proxy's page that passes. */
function notABridge(cause?: unknown): WebError {
  const message = "What answered is no bridge, or no whole answer of one.";
  return new WebError(502, "notABridge", message, { retryable: true, cause });
}

function inputOf<T extends object>(input: string | T): T | { text: string } {
  if (typeof input === "string") return { text: input };
  if (Object(input) === input) return input;
  throw wrong("input", input === null ? "null" : typeof input, "a text, or an object { text, … }");
}

/** A part of a path: `.` and `..` would lead to another route. */
function segment(id: string, name: string): string {
  if (typeof id === "string" && !/^\.{0,2}$/.test(id) && id.isWellFormed()) {
    return encodeURIComponent(id);
  }
  throw wrong(name, typeof id, "an id");
}

/** Headers as a record, in small letters; what HTTP can't carry must not look like a bridge that is away. */
function headersOf(given: ConnectHeaders = {}): Record<string, string> {
  const accepts = "names and values that HTTP can carry";
  const all = readable("headers", () => [...new Headers(given)], accepts);
  // They would be sent as that word.
  if (Object.values(given).includes(undefined!)) throw wrong("headers", "undefined", accepts);
  return Object.fromEntries(all);
}

function isFunction(value: unknown): boolean {
  return typeof value === "function";
}

/** A body, of what JSON can say. */
function written(body: unknown): string {
  const text = readable("input", () => JSON.stringify(body));
  if (text === undefined) throw wrong("input", typeof body, "plain data");
  return text;
}

/** What a call was given, with a signal in any case. */
function optionsOf(given: FollowOptions = {}, ...more: string[]) {
  const names = ["signal", ...more];
  const options: FollowOptions = readable("options", () => ({ ...given }));
  const odd = Object(given) === given
    ? Object.keys(options).find((name) => !names.includes(name))
    : "options";
  if (odd !== undefined) throw wrong(odd, typeof given, `{ ${names.join(", ")} }`, true);
  const { signal = new AbortController().signal, after, onLink } = options;
  if (!(signal instanceof AbortSignal)) throw wrong("signal", typeof signal, "an AbortSignal");
  if (after !== undefined && typeof after !== "string") {
    throw wrong("after", typeof after, "a cursor");
  }
  if (onLink !== undefined && typeof onLink !== "function") {
    throw wrong("onLink", typeof onLink, "a function");
  }
  return { signal, after, onLink };
}

/** What a getter, a proxy, a cycle of the caller's does not keep from being read. */
function readable<T>(argument: string, read: () => T, accepts = "plain data"): T {
  try {
    return read();
  } catch {
    throw wrong(argument, "something that can't be read", accepts);
  }
}

function wrong(argument: string, received: string, accepts: string, unknown = false): Error {
  return new InvalidArgumentError("connect", { argument, received, accepts, unknown });
}
