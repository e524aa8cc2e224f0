/**
 * One worker of a fleet: takes jobs, runs each on a codex of its own, and ends with SIGTERM when its jobs are done.
 *
 *     REDIS=redis://127.0.0.1:6379 CODEX_HOME=/srv/codex CONCURRENCY=4 deno run -A examples/fleet/worker.ts
 *
 * Start as many as you like, on as many machines as share CODEX_HOME and the directories of the jobs. Each may be killed at
 * any time. Why an answer comes once all the same, and a prompt is asked once:
 *
 * - A job has one thread: the first whose id is in the job's hash in Redis. Nothing is asked on another one.
 * - Codex (0.147 and later) lets one process at a time write to a thread, until that process ends. Here it ends with the job.
 *   So whoever holds the thread is alone with it, also where BullMQ takes a worker that sleeps for a dead one.
 * - Whoever takes over reads the thread first: an answer that is there is the result, and what was begun is gone on with.
 * - BullMQ stores the result in the step that completes the job, and only for the worker that has the job's lock.
 */
import process from "node:process";
import {
  Client,
  type ClientConfig,
  CodexError,
  type Session,
  type SessionConfig,
  ThreadInUseError,
} from "../../mod.ts";
import {
  type Answer,
  connect,
  DelayedError,
  FLEET,
  type Job,
  type Progress,
  type Task,
  UnrecoverableError,
  Worker,
} from "./queue.ts";

const {
  REDIS = "redis://127.0.0.1:6379",
  CODEX_CLIENT = "{}",
  CONCURRENCY = "4",
  TIMEOUT_MS = "600000",
  TOKENS = "500000",
  LOCK_MS = "30000",
  CANCEL_MS = "1000",
}: Record<string, string | undefined> = process.env;
const codex: ClientConfig = JSON.parse(CODEX_CLIENT);
const PROFILE = {
  sandbox: "workspace-write",
  allowPrivilegedEscalation: true,
  timeoutMs: Number(TIMEOUT_MS),
} as const;
const GO_ON =
  "You were interrupted. See what is done already, do not do it again, and finish the task.";

const redis = connect(REDIS);

/** Runs one job from wherever it is. */
async function perform(job: Job<Task, Answer>, signal: AbortSignal): Promise<Answer> {
  const key = worker.toKey(`${job.id}`);
  const [threadId, tokens] = await redis.hmget(key, "thread", "tokens");
  const limits = { tokens: Math.max(1, Number(TOKENS) - Number(tokens)) };
  const config = { ...PROFILE, cwd: job.data.cwd, limits, signal };
  await using client = await Client.connect({ ...codex, signal });
  const session = typeof threadId === "string"
    ? await client.resumeSession(threadId, config)
    : await begin(client, key, config);

  const { turns } = await client.readThread(session.threadId, { includeTurns: true, signal });
  const last = turns.at(-1);
  if (last?.status === "completed") {
    const said = last.items.findLast((item) => item.type === "agentMessage");
    if (said !== undefined) return { threadId: session.threadId, text: said.text };
  }
  const progress: Progress = { threadId: session.threadId, doing: "starting", tokens: 0 };
  const { assistantText } = await session.ask(last === undefined ? job.data.prompt : GO_ON, {
    signal,
    onEvent: (event) => {
      if (event.type === "itemStarted") progress.doing = event.item.type;
      else if (event.type === "tokenUsage") progress.tokens = event.usage.thread.totalTokens;
      else return;
      const told = [job.updateProgress(progress), redis.hset(key, "tokens", progress.tokens)];
      Promise.all(told).catch(() => {});
    },
  });
  return { threadId: session.threadId, text: assistantText };
}

/** A thread for a job that has none. */
async function begin(client: Client, key: string, config: SessionConfig): Promise<Session> {
  const session = await client.startSession(config);
  // A thread with a name is on disk, and this process has it from now on.
  await session.rename(key);
  if (await redis.hsetnx(key, "thread", session.threadId) === 1) return session;
  // Somebody who was taken for dead was first. Nothing was asked here.
  await session.close();
  throw new ThreadInUseError(session.threadId);
}

const worker = new Worker<Task, Answer>(FLEET, async (job, token, signal) => {
  const cancelling = new AbortController();
  const check = async () => {
    if (await redis.hexists(worker.toKey(`${job.id}`), "cancelled") === 1) {
      cancelling.abort(new UnrecoverableError("cancelled"));
    }
  };
  const timer = setInterval(() => check().catch(() => {}), Number(CANCEL_MS));
  try {
    await check();
    cancelling.signal.throwIfAborted();
    return await perform(job, AbortSignal.any([cancelling.signal, ...(signal ? [signal] : [])]));
  } catch (error) {
    if (error instanceof ThreadInUseError) {
      // Its former worker still ends, or sleeps. This is no attempt.
      await job.moveToDelayed(Date.now() + Number(LOCK_MS) / 4, token);
      throw new DelayedError();
    }
    if (error instanceof CodexError && error.retryable) throw error;
    throw new UnrecoverableError(error instanceof Error ? error.message : String(error));
  } finally {
    clearInterval(timer);
  }
}, {
  connection: redis,
  name: `${process.pid}`,
  concurrency: Number(CONCURRENCY),
  // A worker that does not renew its locks in this time is taken for dead.
  lockDuration: Number(LOCK_MS),
  stalledInterval: Number(LOCK_MS) / 2,
  // So many may die with one job; then it is the job that kills them.
  maxStalledCount: 5,
});
// Taken for dead: another worker may wait for the thread.
worker.on("lockRenewalFailed", (ids) => ids.forEach((id) => worker.cancelJob(id)));
worker.on("error", (error) => console.error(error.message));
await worker.waitUntilReady();
console.log(`worker ${process.pid} is ready`);

await new Promise<void>((resolve) => process.once("SIGTERM", () => resolve()));
await worker.close();
redis.disconnect();
