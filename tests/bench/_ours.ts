/** What is measured of this library, each in a process of its own. Prints one line of JSON. */
import { createHash } from "node:crypto";
import process from "node:process";
import { Client } from "../../src/session/client/client.ts";
import type { PromptRunStream } from "../../src/session/prompt/prompt_run_stream.ts";
import type { Session } from "../../src/session/session.ts";
import { measure, percentile, residentMb, watchMemory } from "./_measure.ts";

const task = JSON.parse(process.argv[2]!);
const config = {
  codexPath: process.env["CODEX"]!,
  requestTimeoutMs: 300_000,
  ...task.client,
};
const cwd = process.cwd();
const FOREVER = { timeoutMs: 300_000 };

function digest(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 16);
}

/** Reads a stream as a user would, and keeps nothing of it: keeping would be measured too. */
async function read(stream: PromptRunStream): Promise<{ events: number; whole: boolean }> {
  let events = 0;
  let characters = 0;
  for await (const event of stream) {
    events++;
    if (event.type === "assistantMessageDelta") characters += event.delta.length;
  }
  const { assistantText } = await stream.finish();
  return { events, whole: characters === assistantText.length };
}

/** One stream, every event delivered. */
async function flood(client: Client): Promise<unknown> {
  const session = await client.startSession({ cwd });
  const stop = measure();
  const { events, whole } = await read(await session.askStream("flood", FOREVER));
  return { ...stop(), events, whole };
}

/** Nobody listens. */
async function unread(client: Client): Promise<unknown> {
  const session = await client.startSession({ cwd });
  const stop = measure();
  const { assistantText } = await session.ask("flood", FOREVER);
  return { ...stop(), events: 0, characters: assistantText.length };
}

/** Many streams at once. */
async function sessions(client: Client): Promise<unknown> {
  const all: Session[] = [];
  for (let i = 0; i < task.sessions; i++) all.push(await client.startSession({ cwd }));
  // The flood begins when the last turn has begun: starting them is not what is measured.
  const streams = await Promise.all(all.map((session) => session.askStream("flood", FOREVER)));
  const stop = measure();
  const outcomes = await Promise.all(streams.map(read));
  return {
    ...stop(),
    events: outcomes.reduce((sum, { events }) => sum + events, 0),
    whole: outcomes.every(({ whole }) => whole),
  };
}

/** Round trips one after the other, then many at once. */
async function requests(client: Client): Promise<unknown> {
  const { runtime } = client;
  const ask = () => runtime.request("model/list", {});
  for (let i = 0; i < 300; i++) await ask();
  const times: number[] = [];
  for (let i = 0; i < task.sequential; i++) {
    const begun = performance.now();
    await ask();
    times.push(performance.now() - begun);
  }
  // A client that has been at work for a while: what compiles its code is not what is measured.
  for (let i = 0; i < 4; i++) await Promise.all(Array.from({ length: task.pipelined }, ask));
  const stop = measure();
  for (let i = 0; i < 4; i++) await Promise.all(Array.from({ length: task.pipelined }, ask));
  const cpuMs = stop().cpuMs / 4;
  return { cpuMs, p50: percentile(times, 0.5), p99: percentile(times, 0.99) };
}

/** A reader that sleeps while everything arrives, or takes a millisecond for each event. */
async function slow(client: Client): Promise<unknown> {
  const session = await client.startSession({ cwd });
  const before = residentMb();
  const peak = watchMemory();
  const idle: number[] = [];
  const during: number[] = [];
  const ask = async (times: number[]) => {
    const begun = performance.now();
    await client.runtime.request("model/list", {});
    times.push(performance.now() - begun);
  };
  const pause = () => new Promise((resolve) => setTimeout(resolve, 5));
  for (let i = 0; i < 50; i++) await ask([]);
  for (let i = 0; i < 200; i++) {
    await ask(idle);
    await pause();
  }
  const stream = await session.askStream("flood", FOREVER);
  let over = false;
  const finished = stream.finish().finally(() => over = true);
  const asking = (async () => {
    while (!over) {
      await ask(during);
      await pause();
    }
  })();
  const pieces: string[] = [];
  let events = 0;
  if (task.reader === "stalls") await finished;
  for await (const event of stream) {
    events++;
    if (event.type === "assistantMessageDelta") pieces.push(event.delta);
    if (task.reader === "slow") await new Promise((resolve) => setTimeout(resolve, 1));
  }
  const { assistantText } = await finished;
  await asking;
  return {
    grewMb: peak() - before,
    events,
    identical: digest(pieces.join("")) === digest(assistantText),
    characters: assistantText.length,
    idleP50: percentile(idle, 0.5),
    duringP50: percentile(during, 0.5),
  };
}

/** One long line. */
async function line(client: Client): Promise<unknown> {
  const { runtime } = client;
  const seen = (async () => {
    for await (const event of runtime.events({ methods: ["item/completed"] })) {
      return JSON.stringify(event.message).length;
    }
    return 0;
  })();
  const stop = measure();
  await runtime.request("bench/flood", {}, { allowPrivilegedEscalation: true });
  const cost = stop();
  return { ...cost, characters: await seen };
}

const variants: Record<string, (client: Client) => Promise<unknown>> = {
  flood,
  unread,
  sessions,
  requests,
  slow,
  line,
};

const client = await Client.connect(config);
const result = await variants[task.variant]!(client);
await client.shutdown();
console.log(JSON.stringify(result));
