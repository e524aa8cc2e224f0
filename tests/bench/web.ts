/**
 * What a bridge costs for each browser and each event: `deno run -A tests/bench/web.ts [DELTAS]`.
 *
 * Memory of what is idle is measured twice: over real sockets on the real codex, beside a server that only keeps the same
 * number of streams open (`_web_sockets.ts`), and in this process. The flood has no sockets and no codex: a thread that says
 * what it is told to say, and readers of the answers' bodies; its CPU is compared with streams that carry the same bytes in
 * the same chunks, in the same process.
 */
import assert from "node:assert/strict";
import process from "node:process";
import type { TurnEvent } from "../../src/session/turn/turn_event.ts";
import { createBridge } from "../../src/web/mod.ts";
import type { WebClient, WebThread } from "../../src/web/client.ts";
import { type IdleCost, idleCost } from "./_web_sockets.ts";

if (!("gc" in globalThis)) {
  const { code } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      "--no-check",
      "--v8-flags=--expose-gc",
      import.meta.filename!,
      ...Deno.args,
    ],
    stdout: "inherit",
    stderr: "inherit",
  }).spawn().status;
  Deno.exit(code);
}

const SESSIONS = 200;
const CLIENTS = 1_000;
const CROWD = 500;
const DELTAS = Number(Deno.args[0] ?? 20_000);
/** What must hold: bytes of heap, and times the CPU of the same bytes. */
const LIMITS = { client: 12_000, session: 40_000, cpu: 1.5 };

const gc = (globalThis as unknown as { gc: () => void }).gc;
const settled = async () => {
  for (let i = 0; i < 5; i++) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    gc();
  }
  return process.memoryUsage().heapUsed;
};

/** Turns of the threads, by thread: what is pushed is told. */
const turns: Map<string, (event: TurnEvent | null) => void> = new Map();
let threads = 0;
const client: WebClient = {
  approvals: { pending: () => [], answer: () => false },
  startSession: () => {
    const threadId = `thread-${++threads}`;
    const thread: WebThread = {
      threadId,
      askStream: () => {
        const waiting: (TurnEvent | null)[] = [];
        let wake: ((event: TurnEvent | null) => void) | null = null;
        turns.set(threadId, (event) => {
          if (wake === null) return void waiting.push(event);
          const told = wake;
          wake = null;
          told(event);
        });
        const recv = () =>
          waiting.length > 0
            ? Promise.resolve(waiting.shift()!)
            : new Promise<TurnEvent | null>((resolve) => wake = resolve);
        const nothing = () => Promise.resolve();
        return Promise.resolve({ turnId: "turn", recv, steer: nothing, interrupt: nothing });
      },
      close: () => Promise.resolve(),
      release: () => Promise.resolve(),
    };
    return Promise.resolve(thread);
  },
  resumeSession: () => Promise.reject(new Error("not here")),
  readThread: () => Promise.reject(new Error("not here")),
  archiveThread: () => Promise.resolve(),
};
const bridge = createBridge({
  client,
  cwd: "/",
  isolation: "trusting",
  authorize: () => "ann",
  maxSessionsPerTenant: 10_000,
  maxStreamsPerTenant: 10_000,
  maxLogEvents: DELTAS + 100,
  maxLogBytes: 64 * 1024 * 1024,
});
const call = (method: string, path: string, body?: unknown) =>
  bridge.fetch(
    new Request(`http://localhost/codex${path}`, {
      method,
      headers: { "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    }),
  );

/** One browser: reads all that comes, and counts. */
class Reader {
  bytes = 0;
  events = 0;
  readonly chunks: Uint8Array[] | null;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly over: Promise<void>;

  constructor(stream: ReadableStream<Uint8Array>, keep = false) {
    this.chunks = keep ? [] : null;
    this.#reader = stream.getReader();
    this.over = this.#run();
  }

  async #run(): Promise<void> {
    for (;;) {
      const { done, value } = await this.#reader.read();
      if (done) return;
      this.bytes += value.length;
      this.chunks?.push(value);
    }
  }

  async leave(): Promise<void> {
    await this.#reader.cancel();
    await this.over;
  }
}

/** The middle one of three, since a process's memory comes and goes in pages. */
async function idle(kind: "bridge" | "bare", sessions: number) {
  const costs: IdleCost[] = [];
  for (let i = 0; i < 3; i++) costs.push(await idleCost(kind, sessions, CLIENTS));
  const middle = (of: (cost: IdleCost) => number) => costs.map(of).sort((a, b) => a - b)[1]!;
  return {
    session: {
      rss: middle(({ session }) => session.rss),
      heap: middle(({ session }) => session.heap),
    },
    client: { rss: middle(({ client }) => client.rss), heap: middle(({ client }) => client.heap) },
  };
}

const [bare, real] = [await idle("bare", 10), await idle("bridge", CLIENTS)];
const beside = real.client.rss - bare.client.rss;
console.log(
  `over sockets, on codex: idle session: ${real.session.rss} bytes of memory, ${real.session.heap} of heap ` +
    `(heap at most ${LIMITS.session})`,
);
console.log(
  `over sockets, on codex: idle client: ${real.client.rss} bytes of memory, ${real.client.heap} of heap; ` +
    `in a bare server ${bare.client.rss} and ${bare.client.heap}: ` +
    `${beside} and ${real.client.heap - bare.client.heap} more (at most ${LIMITS.client})`,
);

const before = await settled();
const ids: string[] = [];
for (let i = 0; i < SESSIONS; i++) {
  ids.push((await (await call("POST", "/sessions", {})).json()).sessionId);
}
const withSessions = await settled();
const readers: Reader[] = [];
for (let i = 0; i < CLIENTS; i++) {
  readers.push(new Reader((await call("GET", `/sessions/${ids[i % SESSIONS]}/events`)).body!));
}
const withClients = await settled();
const perSession = Math.round((withSessions - before) / SESSIONS);
const perClient = Math.round((withClients - withSessions) / CLIENTS);
console.log(
  `in one process: idle session: ${perSession} bytes of heap (at most ${LIMITS.session})`,
);
console.log(`in one process: idle client: ${perClient} bytes of heap (at most ${LIMITS.client})`);
await Promise.all(readers.map((reader) => reader.leave()));

/** Sends a turn of so many deltas to a crowd; gives the CPU in µs, and what one of the crowd read. */
async function flood(): Promise<{ cpu: number; encoded: number; chunks: Uint8Array[] }> {
  const { sessionId, threadId } = await (await call("POST", "/sessions", {})).json();
  const crowd: Reader[] = [];
  for (let i = 0; i < CROWD; i++) {
    crowd.push(new Reader((await call("GET", `/sessions/${sessionId}/events`)).body!, i === 0));
  }
  await (await call("POST", `/sessions/${sessionId}/turns`, { text: "go" })).body?.cancel();
  const tell = turns.get(threadId)!;
  let encoded = 0;
  const base = { threadId, turnId: "turn" };
  const began = process.cpuUsage();
  for (let i = 0; i < DELTAS; i++) {
    const event = {
      type: "assistantMessageDelta",
      ...base,
      itemId: "m",
      delta: `word ${i} `,
      toJSON(this: Record<string, unknown>) {
        encoded++;
        const { toJSON: _, ...rest } = this;
        return rest;
      },
    };
    tell(event as unknown as TurnEvent);
    // As a model speaks: some tokens at once, and then the next.
    if (i % 10 === 9) await new Promise((resolve) => setTimeout(resolve, 0));
  }
  tell({ type: "turnCompleted", ...base, status: "completed", error: null });
  tell(null);
  const all = crowd[0]!;
  const end = `"status":"completed"`;
  while (!new TextDecoder().decode(all.chunks!.at(-1)).includes(end)) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  while (crowd.some(({ bytes }) => bytes < all.bytes)) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  const { user, system } = process.cpuUsage(began);
  await Promise.all(crowd.map((reader) => reader.leave()));
  await (await call("DELETE", `/sessions/${sessionId}`)).body?.cancel();
  return { cpu: user + system, encoded, chunks: all.chunks! };
}

/** The same bytes in the same chunks through the same number of streams. */
async function floor(chunks: readonly Uint8Array[]): Promise<number> {
  let at = 0;
  const waiting: (() => void)[] = [];
  const crowd = Array.from({ length: CROWD }, () => {
    let mine = 0;
    const inner = new ReadableStream<Uint8Array>({
      async pull(controller): Promise<void> {
        while (mine >= at) await new Promise<void>((resolve) => waiting.push(resolve));
        controller.enqueue(chunks[mine++]!);
      },
    });
    return new Reader(inner);
  });
  await new Promise((resolve) => setTimeout(resolve, 0));
  const began = process.cpuUsage();
  // As many at once as the readers of the bridge had.
  const step = Math.ceil(chunks.length / (DELTAS / 10));
  while (at < chunks.length) {
    at = Math.min(at + step, chunks.length);
    for (const wake of waiting.splice(0)) wake();
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
  const total = chunks.reduce((sum, { length }) => sum + length, 0);
  while (crowd.some(({ bytes }) => bytes < total)) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  const { user, system } = process.cpuUsage(began);
  await Promise.all(crowd.map((reader) => reader.leave()));
  return user + system;
}

const ratios: number[] = [];
for (let round = 1; round <= 3; round++) {
  const { cpu, encoded, chunks } = await flood();
  const plain = await floor(chunks);
  ratios.push(cpu / plain);
  const events = CROWD * DELTAS;
  console.log(
    `${DELTAS} deltas to ${CROWD} clients: ${(cpu / events).toFixed(3)} µs of CPU an event, ` +
      `the same bytes ${(plain / events).toFixed(3)} µs: ${(cpu / plain).toFixed(2)} times; ` +
      `${encoded} encodings, ${chunks.length} chunks`,
  );
  assert.ok(encoded <= DELTAS, "each event is encoded once");
}
await bridge.close();
ratios.sort((a, b) => a - b);
const ratio = ratios[1]!;
console.log(`CPU: ${ratio.toFixed(2)} times the same bytes (at most ${LIMITS.cpu})`);
const held = Math.max(perSession, real.session.heap) <= LIMITS.session &&
  Math.max(perClient, beside) <= LIMITS.client && ratio <= LIMITS.cpu;
Deno.exit(held ? 0 : 1);
