/**
 * What a child process is to this library, whichever runtime starts it.
 * @module
 */
import type { ProcessExit } from "../errors/mod.ts";

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
  /** Ends stdin after what was written. */
  closeStdin(): void;
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
