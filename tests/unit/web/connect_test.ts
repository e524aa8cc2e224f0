/** The browser's client, on a scripted network and a clock that the test turns. */
import assert from "node:assert/strict";
import { InvalidArgumentError, WebError } from "../../../src/errors/mod.ts";
import { connect } from "../../../src/web/connect.ts";
import type { BridgeEvent, ConnectClock, ConnectOptions } from "../../../src/web/connect_types.ts";
import { test } from "../../_harness.ts";

/** How long a request and a third of a silence may take in these tests; everything else that is waited for is a pause. */
const LIMITS = [60_000, 7_000, 5_000];

/** Time that passes when somebody waits for nothing else, or when the test says so. */
class Clock implements ConnectClock {
  time = 1_000_000;
  /** Whether a pause is over as soon as it begins; else `pass` ends it. */
  readonly runs: boolean;
  /** How long was waited between tries. */
  readonly pauses: number[] = [];
  readonly #waiting: Set<{ at: number; done: () => void }> = new Set();

  constructor(runs: boolean) {
    this.runs = runs;
  }

  now = () => this.time;

  wait = (ms: number, signal: AbortSignal): Promise<void> => {
    const isPause = !LIMITS.includes(ms);
    if (isPause) this.pauses.push(ms);
    if (isPause && this.runs) {
      this.time += ms;
      return Promise.resolve();
    }
    if (signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const entry = { at: this.time + ms, done: () => (this.#waiting.delete(entry), resolve()) };
      this.#waiting.add(entry);
      signal.addEventListener("abort", entry.done);
    });
  };

  pass(ms: number): void {
    this.time += ms;
    for (const entry of [...this.#waiting]) if (entry.at <= this.time) entry.done();
  }
}

/** One request as the network saw it. */
interface Seen {
  method: string;
  path: string;
  /** What names a request that changes something. */
  once: string | null;
  body: unknown;
  headers: Record<string, string>;
  signal: AbortSignal;
}

type Step = (seen: Seen) => Response | Promise<Response>;

/** A client whose requests are answered by these steps, the last one again and again. */
function client(steps: Step[], options: ConnectOptions = {}, runs = true) {
  const seen: Seen[] = [];
  const clock = new Clock(runs);
  const bridge = connect("https://a.example/codex/", {
    clock,
    fetch: (url, init) => {
      const { method, body, headers, signal } = init as Required<RequestInit>;
      const request = {
        method,
        path: url.replace("https://a.example/codex", "").replace(/[?&](?:once|reader)=.*/, ""),
        once: new URL(url).searchParams.get("once"),
        body: body === undefined ? undefined : JSON.parse(body as string),
        headers: headers as Record<string, string>,
        signal: signal as AbortSignal,
      };
      seen.push(request);
      return (async () => await steps[Math.min(seen.length, steps.length) - 1]!(request))();
    },
    ...options,
  });
  return { bridge, seen, clock, session: bridge.session("sess_1") };
}

const json = (body: unknown, status = 200) => () => Response.json(body, { status });
const refusal = (status: number, code: string) => json({ code, message: `It is ${code}.` }, status);
const away = () => Promise.reject(new TypeError("Failed to fetch"));
const snapshot = (cursor: string) => json({ sessionId: "sess_1", turns: [], cursor });

const SSE = { headers: { "content-type": "text/event-stream; charset=utf-8" } };

/** A stream of these pieces that ends by `end`, or stays open without it. */
function stream(pieces: (string | Uint8Array)[], end?: "close" | "break"): Step {
  return ({ signal }) => {
    const left = [...pieces];
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        signal.addEventListener("abort", () => {
          try {
            controller.error(signal.reason);
          } catch {
            // It is over already.
          }
        });
      },
      pull(controller) {
        const piece = left.shift();
        if (piece !== undefined) {
          controller.enqueue(typeof piece === "string" ? new TextEncoder().encode(piece) : piece);
        } else if (end === "close") controller.close();
        else if (end === "break") controller.error(new TypeError("connection reset"));
      },
    }, { highWaterMark: 0 });
    return new Response(body, SSE);
  };
}

const delta = (text: string) => ({ type: "assistantMessageDelta", delta: text });
const block = (id: string, event: object, name = "") =>
  `id: ${id}\n${name === "" ? "" : `event: ${name}\n`}data: ${JSON.stringify(event)}\n\n`;
const CLOSED = block("e.9", { type: "sessionClosed", sessionId: "sess_1" }, "sessionClosed");

async function all(events: AsyncIterable<BridgeEvent>): Promise<BridgeEvent[]> {
  const list: BridgeEvent[] = [];
  for await (const event of events) list.push(event);
  return list;
}

const textOf = (events: BridgeEvent[]) =>
  events.map((event) => event.type === "assistantMessageDelta" ? event.delta : "").join("");

async function failure(promise: Promise<unknown>): Promise<WebError> {
  const error = await promise.then(() => assert.fail("it settled"), (error) => error);
  assert.ok(error instanceof WebError, String(error));
  return error;
}

test("a stream that is cut at any byte goes on with what was not told, once", async () => {
  const words = ["one ", "zwei·", "三 ", "🙂 ", 'four\n"', "five"];
  const told = words.map((word, i) => block(`e.${i + 1}`, delta(word)));
  const whole = `retry: 50\n\n: heartbeat\n\n${told.join("")}${CLOSED}`;
  const bytes = new TextEncoder().encode(whole);
  const rest: Step = ({ path }) => {
    const after = Number(/after=e\.(\d+)$/.exec(decodeURIComponent(path))![1]);
    return stream([told.slice(after).join("") + CLOSED], "close")({
      signal: new AbortController().signal,
    } as Seen);
  };
  for (let cut = 0; cut <= bytes.length; cut++) {
    const begin = stream([bytes.subarray(0, cut)], cut % 2 === 0 ? "close" : "break");
    const { session } = client([snapshot("e.0"), begin, rest]);
    const events = await all(session.events());
    assert.equal(events[0]!.type, "snapshot");
    assert.equal(textOf(events), words.join(""), `cut at ${cut}`);
    assert.equal(events.at(-1)!.type, "sessionClosed");
    assert.equal(new Set(events.map(({ cursor }) => cursor)).size, events.length);
  }
  // However it comes in pieces, and with the line ends of other servers.
  for (const text of [whole, whole.replaceAll("\n", "\r\n")]) {
    const each = [...new TextEncoder().encode(text)].map((byte) => Uint8Array.of(byte));
    const { session, seen } = client([stream(each)]);
    assert.equal(textOf(await all(session.events({ after: "e.0" }))), words.join(""));
    assert.equal(seen[0]!.path, "/sessions/sess_1/events?after=e.0");
    assert.equal(seen.length, 1, "a cursor of its own needs no snapshot");
  }
});

test("a bridge that is away is asked again, more and more seldom, and never given up", async () => {
  const links: string[] = [];
  const page = () => new Response("<html>", { headers: { "content-type": "text/html" } });
  const troubles = [
    away,
    refusal(503, "draining"),
    refusal(502, "codexRefused"),
    refusal(429, "tooManyStreams"),
    () => new Response("Bad Gateway", { status: 502 }),
    page,
    away,
    away,
  ];
  const { session, seen, clock } = client(
    [...troubles, snapshot("e.0"), ...troubles, stream([CLOSED])],
    { maxRetryMs: 5_000 },
  );
  const onLink = (state: string) => links.push(state);
  assert.deepEqual((await all(session.events({ onLink }))).map(({ type }) => type), [
    "snapshot",
    "sessionClosed",
  ]);
  assert.equal(seen.length, 18);
  assert.deepEqual(links, [...Array(16).fill("reconnecting"), "connected"]);
  for (const [i, pause] of clock.pauses.entries()) {
    const most = Math.min(5_000, 1_000 * 2 ** i);
    assert.ok(pause >= most / 2 && pause <= most, `${i}: ${pause}`);
  }
});

test("a bridge that wants to be asked again at once is not asked without a pause", async () => {
  const { session, clock } = client([
    stream(["retry: 0\n\n" + block("e.1", delta("one"))], "close"),
    stream([CLOSED]),
  ]);
  await all(session.events({ after: "e.0" }));
  assert.equal(clock.pauses.length, 1);
  assert.ok(clock.pauses[0]! >= 50, `${clock.pauses}`);
});

test("what won't pass ends the events with its reason", async () => {
  for (const [status, code] of [[401, "unauthorized"], [404, "notFound"], [403, "csrf"]] as const) {
    const { session, seen } = client([snapshot("e.0"), refusal(status, code)]);
    const error = await failure(all(session.events()));
    assert.deepEqual([error.status, error.reason, seen.length], [status, code, 2]);
  }
  const { session } = client([stream(["id: e.1\ndata: {\n\n"])]);
  assert.equal((await failure(all(session.events({ after: "e.0" })))).reason, "notABridge");
});

test("a stream that falls silent is opened anew, also after a sleep; a slow reader breaks nothing", async () => {
  const links: string[] = [];
  const { session, seen, clock } = client(
    [stream([block("e.1", delta("one "))]), stream([block("e.2", delta("two")), CLOSED])],
    { silenceMs: 15_000 },
  );
  const events = session.events({ after: "e.0", onLink: (state) => links.push(state) });
  assert.equal(textOf([(await events.next()).value!]), "one ");
  // The reader takes an hour for it: nobody waits, so nothing is silent.
  for (let i = 0; i < 5; i++) {
    clock.pass(720_000);
    await new Promise((resolve) => setTimeout(resolve));
  }
  assert.equal(seen[0]!.signal.aborted, false);
  const next = events.next();
  await new Promise((resolve) => setTimeout(resolve));
  // The machine sleeps: of its timers but one third of the silence has passed, of its clock a night.
  clock.time += 8 * 3_600_000;
  clock.pass(5_000);
  assert.equal(textOf([(await next).value!]), "two");
  assert.equal(seen[0]!.signal.aborted, true);
  assert.match(decodeURIComponent(seen[1]!.path), /after=e\.1$/);
  assert.deepEqual(links, ["connected", "reconnecting", "connected"]);
  await events.return();
});

test("after a gap a snapshot comes, and a bridge that only says so is not asked without a pause", async () => {
  const lagged = block("f.0", { type: "lagged", after: "e.1" }, "lagged");
  const { session, clock } = client([
    stream([block("e.1", delta("one ")), lagged]),
    snapshot("f.4"),
    stream([block("f.5", delta("two")), CLOSED]),
  ]);
  const types = (await all(session.events({ after: "e.0" }))).map((
    { type, cursor },
  ) => [type, cursor]);
  assert.deepEqual(types, [
    ["assistantMessageDelta", "e.1"],
    ["snapshot", "f.4"],
    ["assistantMessageDelta", "f.5"],
    ["sessionClosed", "e.9"],
  ]);
  assert.deepEqual(clock.pauses, []);

  let asked = 0;
  const ever = client([({ path, signal }) => {
    if (++asked > 20) return refusal(404, "notFound")();
    return path.includes("/events") ? stream([lagged])({ signal } as Seen) : snapshot("f.4")();
  }]);
  await failure(all(ever.session.events()));
  assert.equal(ever.clock.pauses.length, 9);
  assert.ok(ever.clock.pauses.at(-1)! > ever.clock.pauses[0]!);
});

test("an abort and a reader that leaves end the stream and its request", async () => {
  for (const how of ["abort", "return", "break"]) {
    const stop = new AbortController();
    const { session, seen } = client([snapshot("e.0"), stream([block("e.1", delta("one"))])]);
    const events = session.events({ signal: stop.signal });
    if (how === "break") {
      for await (const { type } of events) if (type !== "snapshot") break;
    } else {
      await events.next();
      await events.next();
    }
    if (how === "return") await events.return();
    if (how === "abort") {
      const next = events.next();
      stop.abort();
      assert.equal((await next).done, true);
    }
    assert.equal(seen[1]!.signal.aborted, true, how);
    assert.equal((await events.next()).done, true);
  }
  // While it waits for the next event; a fetch may forget its signal once the answer has begun.
  const one = stream([block("e.1", delta("one"))]);
  const deaf: Step = (seen) => one({ ...seen, signal: new AbortController().signal });
  for (const step of [one, deaf]) {
    for (const how of ["abort", "return"]) {
      const stop = new AbortController();
      const idle = client([snapshot("e.0"), step]);
      const events = idle.session.events({ signal: stop.signal });
      await events.next();
      await events.next();
      const waiting = events.next();
      await new Promise((resolve) => setTimeout(resolve));
      if (how === "abort") stop.abort();
      else assert.equal((await events.return()).done, true);
      assert.equal((await waiting).done, true);
      assert.equal(idle.seen[1]!.signal.aborted, true);
    }
  }

  // In a pause, and before it has begun.
  const stop = new AbortController();
  const { session, seen } = client([away], {}, false);
  const next = session.events({ signal: stop.signal, onLink: () => stop.abort() }).next();
  assert.equal((await next).done, true);
  assert.equal((await session.events({ signal: stop.signal }).next()).done, true);
  assert.equal(seen.length, 1);
  await assert.rejects(session.read({ signal: stop.signal }), { name: "AbortError" });
});

test("a call that changes something is sent again only where the bridge has not begun", async () => {
  for (const code of ["draining", "closed", "sessionMoved"]) {
    const { session, seen } = client([
      refusal(503, code),
      refusal(503, code),
      json({ turnId: "t" }, 202),
    ]);
    assert.deepEqual(await session.ask("hi"), { turnId: "t" });
    assert.equal(seen.length, 3);
    assert.deepEqual(seen[2]!.body, { text: "hi" });
    // A browser may send each of them again by itself.
    await session.ask("hi");
    const names = seen.map(({ once }) => once);
    assert.ok(names[0] !== null && names[0] === names[2] && names[2] !== names[3], `${names}`);
  }
  const lost: [Step, string][] = [
    [away, "unreachable"],
    [refusal(503, "ownerUnreachable"), "ownerUnreachable"],
    [refusal(503, "unavailable"), "unavailable"],
    [refusal(504, "timeout"), "timeout"],
    [() => new Response("", { status: 503 }), "unknown"],
    [() => new Response("<html>"), "notABridge"],
  ];
  for (const [step, reason] of lost) {
    for (
      const act of [
        (session: ReturnType<typeof client>["session"]) => session.ask("hi"),
        (session: ReturnType<typeof client>["session"]) => session.close(),
        (session: ReturnType<typeof client>["session"]) =>
          session.answer("a", { decision: "accept" }),
      ]
    ) {
      const { session, seen } = client([step]);
      const error = await failure(act(session));
      assert.deepEqual([error.reason, error.retryable, seen.length], [reason, true, 1]);
    }
    // What reads is asked again, for as long as the patience lasts.
    const { session, seen, clock } = client([step], { patienceMs: 20_000 });
    const from = clock.time;
    assert.equal((await failure(session.read())).reason, reason);
    assert.ok(seen.length > 3 && clock.time - from >= 20_000 && clock.time - from < 31_000);
  }
});

test("a request that is not answered is given up after its time", async () => {
  const { session, seen, clock } = client([() => new Promise<Response>(() => {})], {
    timeoutMs: 7_000,
    fetch: (_, { signal }) =>
      new Promise((_, reject) => {
        signal!.addEventListener("abort", () => reject(signal!.reason));
      }),
  }, false);
  assert.deepEqual(seen, []);
  const asked = failure(session.ask("hi"));
  await new Promise((resolve) => setTimeout(resolve));
  clock.pass(7_000);
  assert.deepEqual([(await asked).reason, (await asked).status], ["timeout", 504]);
});

/** What is on its way gets there. */
const settle = () => new Promise((resolve) => setTimeout(resolve));

test("nothing that does not heed the signal keeps a call waiting", async () => {
  const never = new Promise<never>(() => {});
  let cancelled = 0;
  // Half of an answer, and then nothing, whatever the signal says.
  const half = () =>
    new ReadableStream<Uint8Array>({ pull: () => never, cancel: () => void cancelled++ });
  const deaf: [Step, ConnectOptions][] = [
    [() => never, {}],
    [() => new Response(half()), {}],
    [() => new Response(half(), { status: 503 }), {}],
    [json([]), { headers: () => never }],
  ];
  for (const [step, options] of deaf) {
    const { session, clock } = client([step], { ...options, patienceMs: 1 });
    const late = session.ask("hello").catch((error) => error);
    await settle();
    clock.pass(60_000);
    assert.equal((await late).reason, "timeout");

    const gone = new AbortController();
    const given = session.ask("hello", { signal: gone.signal }).catch((error) => error);
    await settle();
    gone.abort("enough");
    assert.equal(await given, "enough");
  }
  // An answer that comes when it was given up is not left open.
  const answer = Promise.withResolvers<Response>();
  const { session, clock } = client([() => answer.promise], { patienceMs: 1 });
  const late = session.read().catch((error) => error);
  await settle();
  clock.pass(60_000);
  assert.equal((await late).reason, "timeout");
  answer.resolve(new Response(half()));
  await settle();
  assert.equal(cancelled, 1);
  // What the caller's own function throws is the caller's.
  const own = new Error("no token");
  const { session: other, seen } = client([json([])], { headers: () => Promise.reject(own) });
  await assert.rejects(other.read(), (error) => error === own);
  assert.equal(seen.length, 0);
});

test("each call is its route, with fresh headers, and cookies of the own origin", async () => {
  let token = 0;
  const { bridge, session, seen } = client(
    [json({ sessionId: "sess_2", sessions: [], approvals: [] })],
    { headers: () => Promise.resolve({ authorization: `Bearer ${++token}` }) },
  );
  await bridge.settings();
  await bridge.sessions();
  assert.equal((await bridge.createSession({ model: "m" })).sessionId, "sess_2");
  await session.steer("t/1", "more");
  await session.interrupt("t?");
  await session.approvals();
  await session.answer("q#1", { answers: { a: ["b"] } });
  await session.close();
  assert.deepEqual(seen.map(({ method, path, body }) => [method, path, body]), [
    ["GET", "/settings", undefined],
    ["GET", "/sessions", undefined],
    ["POST", "/sessions", { model: "m" }],
    ["POST", "/sessions/sess_1/turns/t%2F1/steer", { text: "more" }],
    ["POST", "/sessions/sess_1/turns/t%3F/interrupt", {}],
    ["GET", "/sessions/sess_1/approvals", undefined],
    ["POST", "/sessions/sess_1/approvals/q%231", { answers: { a: ["b"] } }],
    ["DELETE", "/sessions/sess_1", undefined],
  ]);
  assert.deepEqual(
    seen.map(({ method, once }) => once === null ? method : "named"),
    ["GET", "GET", "named", "named", "named", "GET", "named", "named"],
  );
  assert.deepEqual(seen.map(({ headers }) => headers["authorization"]).at(-1), "Bearer 8");
  assert.equal(seen[2]!.headers["content-type"], "application/json");
});

test("headers arrive in every form that fetch knows", async () => {
  const given = { Authorization: "Bearer x" };
  for (const headers of [given, new Headers(given), () => given, () => new Headers(given)]) {
    const { bridge, seen } = client([json({ sessionId: "sess_2" })], { headers });
    await bridge.createSession();
    assert.deepEqual(seen[0]!.headers, {
      "content-type": "application/json",
      authorization: "Bearer x",
    });
  }
});

test("what can't be meant is refused before anything is sent", async () => {
  for (
    const url of ["", "/codex", "ftp://a/b", "javascript:alert(1)", "https://a/b?c", "https://a/#b"]
  ) {
    assert.throws(() => connect(url), InvalidArgumentError, url);
  }
  const bad = [
    null,
    5,
    "https://b",
    { timeoutMs: 0 },
    { silenceMs: NaN },
    { patienceMs: "1" },
    { retries: 3 },
    { fetch: 5 },
    { clock: {} },
    { clock: null },
    { credentials: "always" },
    { headers: "Bearer x" },
    { headers: { authorization: "a\nb" } },
    { headers: { authorization: "\u{1f511}" } },
    { headers: { authorization: undefined } },
    new Proxy({}, { ownKeys: () => assert.fail() }),
  ];
  for (const options of bad) {
    assert.throws(() => connect("https://a", options as ConnectOptions), InvalidArgumentError);
  }
  const { bridge, session, seen } = client([json({})]);
  for (const input of [null, 5, undefined, true]) {
    await assert.rejects(session.ask(input as unknown as string), InvalidArgumentError);
    await assert.rejects(session.steer("t", input as unknown as string), InvalidArgumentError);
  }
  for (const headers of [{ authorization: "a\nb" }, { authorization: undefined }, "Bearer x"]) {
    const odd = client([json({})], { headers: (() => headers) as () => Record<string, string> });
    await assert.rejects(odd.bridge.settings(), InvalidArgumentError);
    assert.deepEqual([odd.seen, odd.clock.pauses], [[], []]);
  }
  for (const id of ["", ".", "..", 7 as unknown as string]) {
    assert.throws(() => bridge.session(id), InvalidArgumentError);
    await assert.rejects(session.steer(id, "x"), InvalidArgumentError);
    await assert.rejects(session.interrupt(id), InvalidArgumentError);
    await assert.rejects(session.answer(id, { decision: "accept" }), InvalidArgumentError);
  }
  assert.deepEqual(seen, []);
});

test("a limit beyond the longest timer is waited for in pieces", async () => {
  const longest = 2 ** 31 - 1;
  const timers: { over: () => void; ms: number }[] = [];
  const { setTimeout: real } = globalThis;
  globalThis.setTimeout = ((over: () => void, ms = 0) => timers.push({ over, ms })) as never;
  try {
    const { session } = client([], {
      clock: undefined as unknown as ConnectClock,
      timeoutMs: 2 * longest + 7,
      fetch: (_, { signal }) =>
        new Promise((_, reject) => {
          signal!.addEventListener("abort", () => reject(signal!.reason));
        }),
    });
    const asked = failure(session.ask("hi"));
    for (let due = 0; due < 3; due++) {
      for (let tick = 0; timers.length === due && tick < 1_000; tick++) await Promise.resolve();
      timers[due]!.over();
    }
    assert.equal((await asked).reason, "timeout");
    assert.deepEqual(timers.slice(0, 3).map(({ ms }) => ms), [longest, longest, 7]);
  } finally {
    globalThis.setTimeout = real;
  }
});

test("a limit of infinity is none, on the system's clock too", async () => {
  const { session } = client([json({ turnId: "t" }, 202)], {
    clock: undefined as unknown as ConnectClock,
    timeoutMs: Infinity,
    silenceMs: Infinity,
    fetch: async (_, { signal }) => {
      await new Promise((resolve) => setTimeout(resolve, 20));
      signal!.throwIfAborted();
      return json({ turnId: "t" }, 202)();
    },
  });
  assert.deepEqual(await session.ask("hi"), { turnId: "t" });
});

test("an answer that is JSON and no bridge's is told as such, and not as a mistake of the reader", async () => {
  const notABridge = { reason: "notABridge", retryable: true };
  for (const odd of [null, "ok", 7, true]) {
    const { bridge, session } = client([json(odd)], { patienceMs: 1 });
    const asked: [name: string, ask: () => Promise<unknown>][] = [
      ["settings", () => bridge.settings()],
      ["sessions", () => bridge.sessions()],
      ["createSession", () => bridge.createSession()],
      ["read", () => session.read()],
      ["approvals", () => session.approvals()],
      ["ask", () => session.ask("hi")],
      ["close", () => session.close()],
    ];
    for (const [name, ask] of asked) await assert.rejects(ask(), notABridge, `${name} ${odd}`);
  }
  await assert.rejects(client([json({})]).bridge.createSession(), notABridge);
  // What follows comes back to it.
  for (const odd of [null, {}, { cursor: 7 }]) {
    const { session } = client([json(odd), snapshot("c-1")]);
    const { value } = await session.events().next();
    assert.equal(value!.type, "snapshot");
  }
  const { session } = client([snapshot("c-1"), stream(["id: c-2\ndata: null\n\n"])]);
  const events = session.events();
  await events.next();
  await assert.rejects(events.next(), /notABridge|no bridge/);
});
