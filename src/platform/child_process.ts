/**
 * What a child process is to this library, whichever runtime starts it; why one did not start; the rest of its pipes.
 * @module
 */
import { settlesWithin } from "../async.ts";
import { type ProcessExit, SpawnError } from "../errors/mod.ts";
import { pathKind } from "./runtime.ts";

/** What to start. */
export interface ProcessSpec {
  /** A path, or a name that is looked up in PATH. */
  command: string;
  /** The arguments; no shell reads them. */
  args: string[];
  /** The working directory; default: the script's own, or a root when that has been removed. */
  cwd?: string;
  /** Variables added to the child's environment, or all of it with {@linkcode clearEnv}. */
  env?: Record<string, string>;
  /** Do not inherit the script's environment. Default `false`. */
  clearEnv?: boolean;
  /** Windows: join the arguments as they are, without quoting them. Default `false`; ignored elsewhere. */
  verbatim?: boolean;
  /** Put the child into a process group of its own, so that all of it can be ended. Default `false`; ignored on Windows. */
  detached?: boolean;
}

/** The signals that end a process. Windows knows only the last one and takes all for it. */
export type EndSignal = "SIGINT" | "SIGTERM" | "SIGKILL";

/** Options of {@linkcode ChildProcess.kill}. */
export interface KillOptions {
  /** Signal the whole process group of a detached child, where the script may. Default `false`. */
  tree?: boolean;
}

/** Options of {@linkcode ChildProcess.release}. */
export interface ReleaseOptions {
  /** How long to wait for more output that is still in the pipes, in milliseconds. Default 500. */
  drainMs?: number;
}

/** A running process. Register both output listeners at once, or it blocks when a pipe is full. */
export interface ChildProcess {
  /** The process id. */
  readonly pid: number;
  /** Writes UTF-8 text to stdin. Resolves when the pipe took it, or never will; never rejects. */
  write(text: string): Promise<void>;
  /** Ends stdin after what was written; `now`: at once, while the script ends. */
  closeStdin(now?: boolean): void;
  /** Receives stdout in chunks that are not reused. Call once. */
  onStdout(listener: (chunk: Uint8Array) => void): void;
  /** Receives stderr in chunks that are not reused. Call once. */
  onStderr(listener: (chunk: Uint8Array) => void): void;
  /** Resolves when the process has ended and is reaped, even if its own children hold the pipes. Never rejects. */
  readonly exited: Promise<ProcessExit>;
  /** Whether stdout has ended: nobody holds its other end any more. */
  readonly stdoutEnded: boolean;
  /** Sends a signal. `false` when the process is gone, or the tree can't be signalled. */
  kill(signal: EndSignal, options?: KillOptions): boolean;
  /**
   * After the exit: delivers what is left in the pipes, then frees them, even when a grandchild holds
   * their other ends. Idempotent; call it always, or the pipes stay open.
   */
  release(options?: ReleaseOptions): Promise<void>;
  /** Lets the script end although this process runs. */
  unref(): void;
  /** Keeps the script running while this process runs; the default. */
  ref(): void;
}

// Why a program could not be started.

/**
 * The error for a start that failed. Systems answer "not found" for a missing working directory, a missing program, and
 * a program that is there but whose interpreter or loader is not; `missing` is what the runtime could tell of these.
 */
export function startFailure(
  { command, cwd }: Pick<ProcessSpec, "command" | "cwd">,
  missing: "directory" | "program" | null,
  message: string,
  cause: unknown,
): SpawnError {
  const there = cwd === undefined ? "" : pathKind(cwd);
  if (missing === "directory" || there === "missing" || there === "file") {
    return new SpawnError(
      cwd === undefined
        ? "This script's own working directory does not exist, and no other one was given."
        : `The working directory ${cwd} does not exist, or is a file.`,
      { cause, data: { reason: "cwd" } },
    );
  }
  if (missing === "program" && pathKind(command) === "file") {
    return new SpawnError(
      `The program ${command} exists, but what it needs to start does not: the interpreter that its first line names, ` +
        "or its loader (a program made for another C library).",
      { cause, data: { reason: "interpreter", command } },
    );
  }
  if (missing === "program") {
    return new SpawnError(`The program ${command} was not found.`, {
      cause,
      data: { reason: "notFound", command },
    });
  }
  return new SpawnError(`The program ${command} could not be started: ${message}`, {
    cause,
    data: { reason: "failed", command },
  });
}

// Waiting for the rest of a pipe, without trusting that it ends.

/** A pipe of a process that is read. */
export interface ReadPipe {
  /** Chunks so far. */
  readonly count: number;
  /** No more chunks will come. */
  readonly done: boolean;
  /** Settles when it has ended. */
  readonly ended: Promise<void>;
}

const ROUND_MS = 15;
/** Each round is a pass of the event loop: a blocked loop can't pass for an empty pipe. */
const QUIET_ROUNDS = 3;

/**
 * Waits until the pipes end, fall silent, or `limitMs` is over. A grandchild that holds a pipe open
 * must not hold the caller, and what a dead process left in its pipe must not be lost.
 */
export async function drain(pipes: readonly ReadPipe[], limitMs: number): Promise<void> {
  const started = performance.now();
  const count = () => pipes.reduce((sum, pipe) => sum + pipe.count, 0);
  const ended = Promise.all(pipes.map((pipe) => pipe.ended));
  let quiet = 0;
  let seen = count();
  while (
    !pipes.every((pipe) => pipe.done) && quiet < QUIET_ROUNDS &&
    performance.now() - started < limitMs
  ) {
    await settlesWithin(ended, ROUND_MS);
    const now = count();
    quiet = now === seen ? quiet + 1 : 0;
    seen = now;
  }
}
