/**
 * A fleet whose workers die: every answer once, no prompt asked twice, and no process left.
 *
 *     deno task fleet             200 jobs, 4 workers, two of them killed in the middle of turns; prints figures
 *     deno task fleet bun         the same on Bun
 */
import assert from "node:assert/strict";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { FLEET, Fleet, type Job, QueueEvents } from "../../examples/fleet/queue.ts";
import { Client } from "../../mod.ts";
import { type ModelRequest, type ModelTurn, script, ScriptedModel } from "../../src/testing/mod.ts";
import { bunPath, codexPath, NEWEST_CODEX, ROOT } from "../_codex.ts";
import { limited, seen } from "../_limit.ts";
import { findRedis, freePort, RedisServer } from "../_redis.ts";
import { whenGone } from "../real/_transport_world.ts";
import { tempDir } from "../_temp.ts";
import { makeUsed } from "../_used_home.ts";

/** Milliseconds after which a silent worker is taken for dead. */
const LOCK_MS = 3_000;
const WORDS = Array.from({ length: 1_000 }, (_, i) => `word${i} `);

type Program = NonNullable<Awaited<ReturnType<typeof findRedis>>>;

/** Redis, a model, workers. What the model does with a prompt is decided by `play`; `null` is the usual. */
export class FleetWorld {
  readonly redis: RedisServer;
  readonly model: ScriptedModel;
  readonly fleet: Fleet;
  readonly home: string;
  readonly cwd: string;
  readonly #worker: string[];
  readonly #env: Record<string, string>;
  readonly #workers: Map<number, Deno.ChildProcess> = new Map();
  readonly #events: QueueEvents;
  #heard = Promise.withResolvers<void>();

  constructor(
    redis: RedisServer,
    model: ScriptedModel,
    at: { home: string; cwd: string },
    worker: string[],
    env: Record<string, string>,
  ) {
    this.redis = redis;
    this.model = model;
    this.home = at.home;
    this.cwd = at.cwd;
    this.#worker = worker;
    this.#env = env;
    this.fleet = new Fleet(`redis://127.0.0.1:${redis.port}`);
    this.#events = new QueueEvents(FLEET, { connection: this.fleet.redis });
    this.#events.on("completed", () => this.heard());
    this.#events.on("failed", () => this.heard());
    this.#events.on("delayed", () => this.heard());
  }

  async addWorker(): Promise<number> {
    const [command, ...args] = this.#worker;
    const child = new Deno.Command(command!, {
      args,
      env: this.#env,
      stdout: "piped",
      stderr: Deno.env.get("FLEET_DEBUG") === undefined ? "null" : "inherit",
    }).spawn();
    const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
    let told = "";
    while (!told.includes("ready")) {
      const { done, value } = await limited("a worker to be ready", reader.read());
      if (done) throw new Error(`the worker ended before it was ready: ${told}`);
      told += value;
    }
    await reader.cancel();
    this.#workers.set(child.pid, child);
    return child.pid;
  }

  async addWorkers(count: number): Promise<void> {
    await Promise.all(Array.from({ length: count }, () => this.addWorker()));
  }

  add(id: string, kind = "plain"): Promise<unknown> {
    return this.fleet.add(id, { cwd: this.cwd, prompt: promptOf(id, kind) });
  }

  async job(id: string): Promise<Job> {
    const job = await this.fleet.queue.getJob(id);
    assert.ok(job !== undefined, `there is a job ${id}`);
    return job;
  }

  /** The worker that runs a job. */
  async workerOf(id: string): Promise<number> {
    const { processedBy } = await this.job(id);
    assert.ok(this.#workers.has(Number(processedBy)), `${id} runs: ${processedBy}`);
    return Number(processedBy);
  }

  signal(pid: number, name: Deno.Signal): void {
    Deno.kill(pid, name);
  }

  /** Ends a worker; gives its exit code. */
  async end(pid: number, name: Deno.Signal): Promise<number> {
    const child = this.#workers.get(pid)!;
    this.#workers.delete(pid);
    Deno.kill(pid, name);
    return (await limited(`the end of worker ${pid} by ${name}`, child.status)).code;
  }

  /** Settles when a job has come to its end. */
  over(id: string): Promise<Job> {
    return this.jobThat(`is over`, id, (job) => job.finishedOn !== undefined);
  }

  /** Settles with a job when it fits, looked at after whatever happens to a job. */
  async jobThat(
    is: string,
    id: string,
    fits: (job: Job) => boolean | Promise<boolean>,
  ): Promise<Job> {
    for (;;) {
      const next = this.#heard.promise;
      const job = await this.job(id);
      if (await fits(job)) return job;
      await limited(`an event, until job ${id} ${is}`, next);
    }
  }

  /** Settles when a lock that nobody has renewed meanwhile has run out. */
  locksOver(): Promise<void> {
    return sleep(1.5 * LOCK_MS);
  }

  /** The requests that a job made to the model. */
  requests(id: string): readonly ModelRequest[] {
    return this.model.requests.filter((request) => idOf(request) === id);
  }

  /** Settles when the model was asked this. */
  async asked(id: string, times = 1): Promise<void> {
    while (this.requests(id).length < times) {
      await limited(`request ${times} of job ${id}`, this.#heard.promise);
    }
  }

  /** To be told of each request that came, and of each job that ended. */
  heard(): void {
    this.#heard.resolve();
    this.#heard = Promise.withResolvers();
  }

  /** Settles when the turn of a thread has its end on disk. */
  async ended(threadId: string): Promise<void> {
    await seen(`the end of a turn of ${threadId}`, this.home, async () => {
      const found = await readdir(this.home, { recursive: true });
      const path = found.find((each) => each.endsWith(`${threadId}.jsonl`));
      if (path === undefined) return false;
      return (await readFile(join(this.home, path), "utf8")).includes(`"task_complete"`);
    });
  }

  /** Settles when something of what a job was to do was done. */
  async begun(id: string): Promise<void> {
    const made = join(this.cwd, "made");
    await seen(`what job ${id} does`, made, async () => await this.effects(id) > 0);
  }

  async threadOf(id: string): Promise<string> {
    return await this.redis.command("HGET", this.fleet.queue.toKey(id), "thread");
  }

  /** How often what a job was to do was done. */
  async effects(id: string): Promise<number> {
    const text = await readFile(join(this.cwd, "made", id), "utf8").catch(() => "");
    return text.split("\n").length - 1;
  }

  /** Each job came out once, and asked its prompt once; gives the number of turns that were interrupted. */
  async check(ids: readonly string[]): Promise<number> {
    const events = await this.fleet.redis.xrange(this.fleet.queue.toKey("events"), "-", "+");
    const completions = new Map<string, number>();
    for (const [, fields] of events) {
      const told = Object.fromEntries(
        fields.flatMap((field, i) => i % 2 === 0 ? [[field, fields[i + 1]]] : []),
      );
      if (told["event"] !== "completed") continue;
      const id = `${told["jobId"]}`;
      completions.set(id, (completions.get(id) ?? 0) + 1);
    }
    await using client = await Client.connect(JSON.parse(this.#env["CODEX_CLIENT"]!));
    const threads: string[] = [];
    for await (const { threadId } of client.threads()) threads.push(threadId);
    let interrupted = 0;
    for (const id of ids) {
      const job = await this.job(id);
      assert.equal(await job.getState(), "completed", `${id}: ${job.failedReason}`);
      assert.equal(completions.get(id), 1, `${id} came out once`);
      assert.equal(job.returnvalue.text, `Answer ${id}`);
      const { threadId } = job.returnvalue;
      const { turns } = await client.readThread(threadId, { includeTurns: true });
      const said = turns.flatMap(({ items }) => items).filter(({ type }) => type === "userMessage");
      const prompts = said.filter((item) => JSON.stringify(item).includes(`Job ${id} `));
      assert.equal(prompts.length, 1, `${id} was asked once`);
      assert.equal(turns.filter(({ status }) => status === "completed").length, 1, id);
      assert.equal(turns.at(-1)!.status, "completed");
      // What was done twice was done by a turn that was cut off.
      const effects = await this.effects(id);
      assert.ok(effects >= 1 && effects <= turns.length, `${id}: ${effects} in ${turns.length}`);
      if (turns.length > 1) assert.ok(job.attemptsStarted > 1, `${id} was begun once`);
      interrupted += turns.filter(({ status }) => status === "interrupted").length;
    }
    const asked = new Set(this.model.requests.map(({ threadId }) => threadId));
    const owned = await Promise.all(
      [...new Set(this.model.requests.map(idOf))].map((id) => this.threadOf(id)),
    );
    assert.deepEqual([...asked].sort(), owned.sort(), "each job asked on one thread");
    return interrupted;
  }

  /** Ends the workers in peace, and looks for what they left. */
  async close(): Promise<void> {
    const codes = await Promise.all(
      [...this.#workers.keys()].map((pid) => this.end(pid, "SIGTERM")),
    );
    await this.#events.close();
    await this.fleet[Symbol.asyncDispose]();
    const left = await this.#left();
    assert.deepEqual([codes.filter((code) => code !== 0), left], [[], []]);
  }

  async kill(): Promise<void> {
    for (const pid of [...this.#workers.keys()]) await this.end(pid, "SIGKILL");
    await this.#events.close();
    if (this.fleet.redis.status === "ready") this.fleet.redis.disconnect();
  }

  /** Processes of this world's codexes and their commands, after the time that a killed one needs. */
  async #left(): Promise<string[]> {
    const running = await this.#running();
    await Promise.allSettled([...running.keys()].map((pid) => whenGone(pid, 10_000)));
    return [...(await this.#running()).values()];
  }

  /** What runs for this world, by its id: no children of this process. */
  async #running(): Promise<Map<number, string>> {
    const pids = (await readdir("/proc")).filter((each) => /^\d+$/.test(each));
    const told = await Promise.all(pids.map(async (pid) => {
      const line = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
      return [Number(pid), line] as const;
    }));
    return new Map(
      told.filter(([, line]) => line.includes(this.model.url) || line.includes(this.cwd)),
    );
  }
}

const promptOf = (id: string, kind: string) => `Job ${id} ${kind}: do it.`;
const idOf = ({ userTexts }: ModelRequest) => /Job (\S+) /.exec(userTexts.join("\n"))?.[1] ?? "";

/** Does the job in one command, and says so; by its kind something else comes between. */
function play(request: ModelRequest, earlier: number): ModelTurn {
  const id = idOf(request);
  const kind = /Job \S+ (\w+):/.exec(request.userTexts.join("\n"))?.[1];
  if (kind === "bad") return script.httpError(400, { error: { message: "no such model" } });
  if (kind === "limited" && earlier === 0) {
    return script.httpError(429, { error: { message: "slow down" } });
  }
  const done = JSON.stringify(request.body).includes(`done-${id}!`);
  const pause = kind === "command" && earlier === 0 ? "sleep 20; " : "";
  if (!done) return script.exec(`echo ${id} >> made/${id}; ${pause}echo "do""ne-${id}!"`);
  // The first time it talks until it is stopped.
  const first = !request.userTexts.at(-1)!.startsWith("You were interrupted");
  if (kind === "chatter" || kind === "talk" && first) return script.say(WORDS, { delayMs: 20 });
  return `Answer ${id}`;
}

/** Sets a fleet up, lets the test act, and takes everything down. */
export async function inFleet(
  program: Program,
  runtime: "deno" | "bun",
  concurrency: number,
  act: (world: FleetWorld) => Promise<void>,
  before: (request: ModelRequest) => Promise<void> = () => Promise.resolve(),
): Promise<void> {
  await using directory = await tempDir("fleet-");
  const [home, cwd, redisAt, copy] = ["home", "work", "redis", "fleet"].map((name) =>
    join(directory.path, name)
  ) as [string, string, string, string];
  await makeUsed(home, NEWEST_CODEX);
  for (const path of [join(cwd, "made"), redisAt, copy]) {
    await mkdir(path, { recursive: true });
  }
  const example = join(ROOT, "examples", "fleet");
  let worker = [Deno.execPath(), "run", "-A", "--no-check", join(example, "worker.ts")];
  if (runtime === "bun") {
    // As the example says.
    for (const name of ["queue.ts", "worker.ts"]) {
      const text = await readFile(join(example, name), "utf8");
      const moved = text.replaceAll(`"npm:`, `"`).replaceAll("../../mod.ts", join(ROOT, "mod.ts"));
      await writeFile(join(copy, name), moved);
    }
    // Also below somebody's node_modules.
    worker = [await bunPath(), "--install=force", "run", join(copy, "worker.ts")];
  }
  const counts = new Map<string, number>();
  const model = await ScriptedModel.start(async (request) => {
    const earlier = counts.get(idOf(request)) ?? 0;
    counts.set(idOf(request), earlier + 1);
    world.heard();
    await before(request);
    return play(request, earlier);
  });
  const redis = new RedisServer(program, redisAt, await freePort());
  await redis.start();
  const world = new FleetWorld(redis, model, { home, cwd }, worker, {
    REDIS: `redis://127.0.0.1:${redis.port}`,
    CODEX_CLIENT: JSON.stringify(model.clientConfig({ codexPath: await codexPath(), home })),
    CONCURRENCY: `${concurrency}`,
    LOCK_MS: `${LOCK_MS}`,
    CANCEL_MS: "200",
  });
  try {
    await act(world);
    await world.close();
  } finally {
    await world.kill();
    await redis.stop();
    await model.close();
  }
}

/** Many jobs; as many workers are killed as there are jobs to strike. */
export async function manyJobs(
  world: FleetWorld,
  jobs: number,
  workers: number,
  struck: readonly string[],
): Promise<void> {
  const began = performance.now();
  const ids = Array.from({ length: jobs }, (_, i) => `j${i}`);
  const kinds: Record<string, string> = { j2: "limited", j3: "bad", j4: "chatter" };
  for (const [n, id] of struck.entries()) kinds[id] = n === 0 ? "talk" : "command";
  for (const id of ids) await world.add(id, kinds[id]);
  // The same name is the same job.
  await world.add("j0");
  // Nobody has begun, and it will not begin.
  await world.fleet.cancel("j5");
  await world.addWorkers(workers);
  const takeovers = await Promise.all(struck.map(async (id, n) => {
    // In the middle of what it says, or of its command.
    await world.asked(id, n === 0 ? 2 : 1);
    await world.begun(id);
    const pid = await world.workerOf(id);
    await world.end(pid, "SIGKILL");
    const [at, requests] = [performance.now(), world.requests(id).length];
    await world.asked(id, requests + 1);
    return performance.now() - at;
  }));
  // It runs; now it does not.
  await world.asked("j4", 2);
  const cancelled = performance.now();
  await world.fleet.cancel("j4");
  const stopped = await world.over("j4");
  const cancelMs = performance.now() - cancelled;
  const ended = await Promise.all(ids.map((id) => world.over(id)));

  const failed = ended.filter((job) => job.returnvalue === null);
  assert.deepEqual(failed.map(({ id }) => id), ["j3", "j4", "j5"]);
  assert.equal(stopped.failedReason, "cancelled");
  assert.equal(ended[5]!.failedReason, "cancelled");
  assert.deepEqual([world.requests("j5").length, await world.effects("j5")], [0, 0]);
  // What does not pass by waiting is not tried again, and what does is.
  assert.match(ended[3]!.failedReason, /badRequest/);
  assert.equal(world.requests("j3").length, 1);
  assert.equal(world.requests("j2").length, 3);
  const good = ids.filter((id) => !["j3", "j4", "j5"].includes(id));
  const interrupted = await world.check(good);
  assert.ok(interrupted >= struck.length);
  const seconds = (performance.now() - began) / 1_000;
  console.log(
    `fleet: ${jobs} jobs, ${workers} workers, ${struck.length} killed: ${seconds.toFixed(1)} s, ` +
      `${good.length} answers, each once; ${interrupted} turns were cut off and gone on with, taken over after ` +
      `${
        takeovers.map((ms) => `${Math.round(ms)} ms`).join(", ")
      } (lock ${LOCK_MS} ms); cancelled in ` +
      `${Math.round(cancelMs)} ms`,
  );
}

if (import.meta.main) {
  const redis = await findRedis();
  if (redis === null) Deno.exit(1);
  const runtime = Deno.args[0] === "bun" ? "bun" : "deno";
  await inFleet(redis, runtime, 2, (world) => manyJobs(world, 200, 4, ["j20", "j100"]));
}
