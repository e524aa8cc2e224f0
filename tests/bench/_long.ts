/** Long lives and long histories. Prints one line of JSON. */
import { randomUUID } from "node:crypto";
import { appendFile, mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { type AutomationClock, Runner } from "../../src/automation/runner.ts";
import { UnsupportedError } from "../../src/errors/mod.ts";
import { Client } from "../../src/session/client/client.ts";
import { percentile, residentMb, watchMemory } from "./_measure.ts";

const task = JSON.parse(process.argv[2]!);
const cwd = task.cwd ?? process.cwd();
const fake = { codexPath: process.env["CODEX"]!, requestTimeoutMs: 300_000 };

/** What is really held, after what can be collected is gone. */
function heapMb(): number {
  // deno-lint-ignore no-explicit-any
  const host = globalThis as any;
  host.gc?.();
  host.Bun?.gc(true);
  return process.memoryUsage().heapUsed / 2 ** 20;
}

/** A thousand turns of one session: what the first ones cost, and the last ones. */
async function turns(): Promise<unknown> {
  const client = await Client.connect(fake);
  const session = await client.startSession({ cwd });
  const times: number[] = [];
  const heap: number[] = [];
  for (let n = 0; n < task.turns; n++) {
    const begun = performance.now();
    await session.ask("again");
    times.push(performance.now() - begun);
    if ((n + 1) % (task.turns / 10) === 0) heap.push(heapMb());
  }
  const state = JSON.stringify(client.runtime.state()).length;
  const { eventLogBytes } = client.runtime.metrics();
  await client.shutdown();
  const tenth = task.turns / 10;
  return {
    first: percentile(times.slice(tenth, 2 * tenth), 0.5),
    last: percentile(times.slice(-tenth), 0.5),
    heap,
    stateMb: state / 2 ** 20,
    logMb: eventLogBytes / 2 ** 20,
  };
}

/** A day of runs, one a minute, on a clock that does not wait. */
async function automation(): Promise<unknown> {
  const client = await Client.connect(fake);
  const session = await client.startSession({ cwd });
  let time = Date.UTC(2026, 0, 1);
  const end = time + task.hours * 3_600_000;
  const clock: AutomationClock = {
    now: () => time,
    after(ms, callback) {
      // Only the pace is waited for; a limit of a run never comes.
      if (ms > 60_000) return () => {};
      const timer = setTimeout(() => {
        time += ms;
        callback();
      }, 0);
      return () => clearTimeout(timer);
    },
  };
  const heap: number[] = [];
  let runs = 0;
  const runner = new Runner(session, {
    prompt: "again",
    every: 60_000,
    stopAt: new Date(end),
    onRun: () => {
      if (++runs % 144 === 0) heap.push(heapMb());
    },
  }, clock);
  const { runsCompleted, state } = await runner.finished;
  await client.shutdown();
  return { runs: runsCompleted, state, heap };
}

/** The rollout that a thread of this home has. */
async function rolloutOf(home: string, threadId: string): Promise<string> {
  const all = await readdir(join(home, "sessions"), { recursive: true });
  return join(home, "sessions", all.find((path) => path.includes(threadId))!);
}

async function firstThread(): Promise<{ threadId: string; rollout: string }> {
  const client = await Client.connect(task.config);
  const session = await client.startSession({ cwd });
  await session.ask("hello pears");
  await session.release();
  await client.shutdown();
  const { threadId } = session;
  return { threadId, rollout: await rolloutOf(task.home, threadId) };
}

/** Thousands of threads in the home: listed and searched, by the library and by hand. */
async function history(): Promise<unknown> {
  const { threadId, rollout } = await firstThread();
  const text = await readFile(rollout, "utf8");
  const day = Date.UTC(2026, 0, 1);
  for (let n = 1; n < task.threads; n++) {
    const at = new Date(day + n * 60_000);
    const stamp = at.toISOString().slice(0, 19);
    const id = `0197${n.toString(16).padStart(4, "0")}-0000-7000-8000-${randomUUID().slice(-12)}`;
    const place = join(task.home, "sessions", stamp.slice(0, 10).replaceAll("-", "/"));
    await mkdir(place, { recursive: true });
    const path = join(place, `rollout-${stamp.replaceAll(":", "-")}-${id}.jsonl`);
    await writeFile(path, text.replaceAll(threadId, id));
  }
  const client = await Client.connect(task.config);
  const byHand = async (): Promise<number> => {
    let found = 0;
    let cursor: unknown = null;
    do {
      const params = { limit: 50, cursor, modelProviders: [] };
      // deno-lint-ignore no-explicit-any
      const page: any = await client.runtime.request("thread/list", params as any);
      found += page.data.length;
      cursor = page.nextCursor;
    } while (typeof cursor === "string");
    return found;
  };
  const listed = async (): Promise<number> => {
    let found = 0;
    for await (const _ of client.threads()) found++;
    return found;
  };
  const searched = async (): Promise<number> => {
    let found = 0;
    for await (const _ of client.searchThreads("pears")) found++;
    return found;
  };
  const timed = async (work: () => Promise<number>) => {
    const before = residentMb();
    const peak = watchMemory();
    const begun = performance.now();
    const found = await work();
    return { found, ms: performance.now() - begun, grewMb: peak() - before };
  };
  // The server reads what it does not know yet only once.
  await byHand();
  await listed();
  const results = {
    byHand: await timed(byHand),
    listed: await timed(listed),
    searched: await timed(searched),
  };
  await client.shutdown();
  return results;
}

/** Makes a rollout longer by copies of its last turn, each with ids and a long answer of its own; how many. */
async function grow(path: string, mb: number): Promise<number> {
  const lines = (await readFile(path, "utf8")).trimEnd().split("\n").map((line) =>
    JSON.parse(line)
  );
  const turn = lines.slice(lines.findLastIndex(({ payload }) => payload.type === "task_started"));
  const id: string = turn[0].payload.turn_id;
  const words = "words ".repeat(8_000);
  // The newest codex numbers its lines.
  let { ordinal } = lines.at(-1);
  let [count, size] = [0, 0];
  while (size < mb * 2 ** 20) {
    count++;
    const mark = count.toString(16).padStart(6, "0");
    const copy = turn.map((line) =>
      JSON.stringify(ordinal === undefined ? line : { ...line, ordinal: ++ordinal })
        .replaceAll(id, id.slice(0, -6) + mark)
        .replaceAll(/msg_[\w-]*/g, (name) => name.slice(0, -6) + mark)
        .replaceAll("You said: last", `You said: ${words}`) + "\n"
    ).join("");
    size += copy.length;
    await appendFile(path, copy);
  }
  return count;
}

/** A rollout of many megabytes: resumed, forked, paged through, searched and taken back. */
async function rollout(): Promise<unknown> {
  const first = await Client.connect(task.config);
  const { threadId } = await (async () => {
    const session = await first.startSession({ cwd });
    await session.ask("hello pears");
    await session.ask("last");
    return session;
  })();
  await first.shutdown();
  const path = await rolloutOf(task.home, threadId);
  const turns = 2 + await grow(path, task.mb);
  // What the server noted of the thread while it was short.
  for (const name of await readdir(task.home)) {
    if (name.includes(".sqlite")) await rm(join(task.home, name));
  }
  const client = await Client.connect(task.config);
  const costs: Record<string, unknown> = {};
  const timed = async <T>(name: string, work: () => Promise<T>): Promise<T> => {
    heapMb();
    const { bytesIn } = client.runtime.metrics();
    const [before, peak, begun] = [residentMb(), watchMemory(), performance.now()];
    try {
      return await work();
    } finally {
      const ms = performance.now() - begun;
      const received = (client.runtime.metrics().bytesIn - bytesIn) / 2 ** 20;
      costs[name] = { ms, grewMb: peak() - before, receivedMb: received };
    }
  };
  const count = async (list: AsyncIterable<unknown>): Promise<number> => {
    let found = 0;
    for await (const _ of list) found++;
    return found;
  };
  const session = await timed("resume", () => client.resumeSession(threadId, { cwd }));
  let paged: number | null = null;
  try {
    paged = await timed("page", () => count(client.turns(threadId)));
    if (paged !== turns) throw new Error(`${paged} of ${turns} turns were told`);
    const found = await timed("find", () => count(client.findInThread(threadId, "pears")));
    if (found !== 2) throw new Error(`${found} places were found`);
  } catch (error) {
    if (!(error instanceof UnsupportedError)) throw error;
    delete costs["page"];
  }
  await timed("fork", async () => await (await session.fork()).release());
  const { turnId } = await session.ask("taken back");
  await timed("rewind", () => session.rewind({ before: turnId, files: false }));
  await session.release();
  await client.shutdown();
  return { costs, turns, mb: (await stat(path)).size / 2 ** 20 };
}

const variants: Record<string, () => Promise<unknown>> = { turns, automation, history, rollout };
console.log(JSON.stringify(await variants[task.variant]!()));
process.exit(0);
