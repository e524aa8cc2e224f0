/**
 * The queue of a fleet: prompts go in by a name of their own, and each comes out answered once. `main.ts` says how to run it.
 *
 * On Bun leave out `npm:` in the two imports; on Node, from 24, the versions too, after `npm install bullmq@6.7.0 ioredis@5.9.2`.
 */
import { type Job, Queue } from "npm:bullmq@6.7.0";
import { Redis } from "npm:ioredis@5.9.2";

export { DelayedError, type Job, QueueEvents, UnrecoverableError, Worker } from "npm:bullmq@6.7.0";
export type { Redis } from "npm:ioredis@5.9.2";

/** The queue's name in Redis. */
export const FLEET = "fleet";

/** What is asked, and where. How far the agent may go is the worker's business. */
export interface Task {
  prompt: string;
  cwd: string;
}

/** What comes out. */
export interface Answer {
  threadId: string;
  text: string;
}

/** What a job is at, told while it runs. */
export interface Progress {
  threadId: string;
  doing: string;
  tokens: number;
}

/** A connection as BullMQ needs it. */
export function connect(url: string): Redis {
  return new Redis(url, { maxRetriesPerRequest: null });
}

/** The producers' side: adds jobs, reads answers, cancels. */
export class Fleet implements AsyncDisposable {
  readonly redis: Redis;
  readonly queue: Queue<Task, Answer>;

  constructor(url: string) {
    this.redis = connect(url);
    this.queue = new Queue<Task, Answer>(FLEET, { connection: this.redis });
  }

  /** Adds a job; one that is there already, whatever became of it, is not added again. */
  add(id: string, task: Task): Promise<Job<Task, Answer>> {
    // A failure that passes by waiting is tried again; the worker says which ones do.
    const backoff = { type: "exponential", delay: 1_000, jitter: 0.5 };
    return this.queue.add("prompt", task, { jobId: id, attempts: 6, backoff });
  }

  /** Stops a job, wherever it is: waiting, running, or on its way from a dead worker to the next. */
  async cancel(id: string): Promise<void> {
    if (await this.queue.getJob(id) !== undefined) {
      await this.redis.hset(this.queue.toKey(id), "cancelled", "1");
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.queue.close();
    this.redis.disconnect();
  }
}
