/**
 * A transport over the pipes of a process that we own.
 * @module
 */
import { delay, settlesWithin, soon } from "../async.ts";
import type { ProcessExit } from "../errors/mod.ts";
import {
  type ChildProcess,
  descendants,
  endWithScript,
  killEntries,
  killWindowsTree,
  leftInSession,
  platformName,
  type ProcessEntry,
  type ProcessSpec,
  sessionLeader,
  spawnProcess,
} from "../platform/mod.ts";
import type {
  Transport,
  TransportCloseOptions,
  TransportCloseReport,
  TransportSink,
} from "./transport.ts";

/** Options of {@linkcode openStdio}. */
export interface StdioOptions {
  /** What to start. `detached` defaults to `true` here: Ctrl-C then reaches codex as a clean end of stdin. */
  process: ProcessSpec;
  /** Gives up and ends the process again. */
  signal?: AbortSignal;
  /** Receives stderr as it comes, as text. */
  onStderr?: (text: string) => void;
  /** Called once, when the process is gone and what it left behind was ended. */
  onGone?: () => void;
  /** Whether no proxy of the process's environment is between it and this one. Default `false`. */
  direct?: boolean;
}

/** How long each step of the close ladder waits by default, in milliseconds. */
const DEFAULT_GRACE_MS: number = 1000;

/** Starts a process and talks to it over its pipes. Rejects like `spawnProcess`, or with `signal.reason`. */
export async function openStdio(options: StdioOptions): Promise<StdioTransport> {
  options.signal?.throwIfAborted();
  const child = await spawnProcess({ detached: true, ...options.process });
  const transport = new StdioTransport(child, options);
  if (options.signal?.aborted) {
    await transport.close();
    throw options.signal.reason;
  }
  return transport;
}

/** A {@linkcode Transport} over a child process. */
export class StdioTransport implements Transport {
  /** Always `"stdio"`. */
  readonly kind = "stdio" as const;
  /** The process id. */
  readonly pid: number;
  /** Pipes carry messages of any size. */
  readonly maxOutboundBytes: null = null;
  /** Whether no proxy of its environment is between it and this process. */
  readonly direct: boolean;
  readonly #child: ChildProcess;
  /** It leads a session of its own when it was started `detached`. */
  readonly #leader: ProcessEntry | null;
  readonly #stderr: StderrTail;
  readonly #ended: Promise<ProcessExit>;
  #sink: TransportSink | undefined;
  #early: Uint8Array[] = [];
  #exit: ProcessExit | null = null;
  #over: ProcessExit | null = null;
  #closing: Promise<TransportCloseReport> | undefined;

  /** Takes over a running process. */
  constructor(
    child: ChildProcess,
    options: Pick<StdioOptions, "onStderr" | "onGone" | "direct"> = {},
  ) {
    this.#child = child;
    this.pid = child.pid;
    this.#leader = sessionLeader(child.pid);
    this.direct = options.direct ?? false;
    this.#stderr = new StderrTail(options.onStderr);
    child.onStderr((chunk) => this.#stderr.push(chunk));
    const forget = endWithScript(child, this.#leader);
    this.#ended = this.#watch(() => {
      forget();
      options.onGone?.();
    });
  }

  /** How the process ended; `null` while it runs. */
  get exit(): ProcessExit | null {
    return this.#exit;
  }

  /** Begins delivery to the sink. */
  start(sink: TransportSink): void {
    if (this.#sink !== undefined) throw new Error("A transport can be started only once.");
    this.#sink = sink;
    if (this.#over === null && this.#exit === null) {
      this.#child.onStdout((chunk) => sink.bytes(chunk));
      return;
    }
    // The process ended first; its output was kept by #watch.
    for (const chunk of this.#early.splice(0)) sink.bytes(chunk);
    const over = this.#over;
    // Not from inside this call: the caller is not ready before it returns.
    if (over !== null) soon(() => this.#deliverClosed(sink, over));
  }

  /** Writes whole messages; resolves when the pipe took them. */
  write(text: string): Promise<void> {
    return this.#closing === undefined ? this.#child.write(text) : Promise.resolve();
  }

  /** The last 16 KiB of stderr so far. */
  stderrTail(): string {
    return this.#stderr.toString();
  }

  /** The ladder: end of stdin, SIGTERM, SIGKILL, each with its grace; then the process is reaped. */
  close(options: TransportCloseOptions = {}): Promise<TransportCloseReport> {
    return this.#closing ??= this.#close(options.graceMs ?? DEFAULT_GRACE_MS);
  }

  /** SIGKILL now, to the process and all that is known to be below it. */
  kill(): void {
    if (platformName() === "win32") {
      // Its tree can be walked only while it lives.
      void killWindowsTree(this.pid).then(() => this.#child.kill("SIGKILL"));
      return;
    }
    const below = this.#exit === null ? descendants(this.pid) : [];
    this.#child.kill("SIGKILL", { tree: true });
    this.#child.kill("SIGKILL");
    killEntries(below);
  }

  /** Lets the script end although the process runs; it is then ended by the exit hook. */
  unref(): void {
    this.#child.unref();
  }

  /** Keeps the script running while the process runs; the default. */
  ref(): void {
    this.#child.ref();
  }

  async #watch(onGone: () => void): Promise<ProcessExit> {
    const exit = await this.#child.exited;
    this.#exit = exit;
    if (this.#sink === undefined) {
      this.#child.onStdout((chunk) => {
        if (this.#sink === undefined) this.#early.push(chunk);
        else this.#sink.bytes(chunk);
      });
    }
    await Promise.all([this.#endRest(), this.#child.release()]);
    onGone();
    this.#over = exit;
    if (this.#sink !== undefined) this.#deliverClosed(this.#sink, exit);
    return exit;
  }

  /** What the process left in its group and its session has lost its owner: before anybody is told, it is ended. */
  async #endRest(): Promise<void> {
    const leader = this.#leader;
    const group = this.#child.kill("SIGTERM", { tree: true });
    for (let waited = 0;; waited += REST_LOOK_MS) {
      const left = leftInSession(leader);
      if (leader === null ? !group : left.length === 0) return;
      if (waited >= REST_GRACE_MS) {
        this.#child.kill("SIGKILL", { tree: true });
        killEntries(left);
        return;
      }
      if (waited === 0) killEntries(left, "SIGTERM");
      await delay(REST_LOOK_MS);
    }
  }

  #deliverClosed(sink: TransportSink, exit: ProcessExit): void {
    sink.closed({ exit, stderrTail: this.stderrTail() });
  }

  async #close(graceMs: number): Promise<TransportCloseReport> {
    const started = performance.now();
    const { how, complete } = await this.#descend(graceMs);
    const exit = this.#exit;
    if (exit !== null) await this.#ended;
    return {
      // A killed launcher may leave the real server behind, unless its whole group or all pipe holders ended.
      gone: exit !== null && (complete || this.#child.stdoutEnded),
      how,
      exit,
      durationMs: Math.round(performance.now() - started),
    };
  }

  async #descend(
    graceMs: number,
  ): Promise<{ how: TransportCloseReport["how"]; complete: boolean }> {
    const child = this.#child;
    const windows = platformName() === "win32";
    // Without process groups the end of a launcher says nothing about what it started: the end of stdout does.
    const grouped = !windows;
    if (this.#exit !== null) return { how: "alreadyExited", complete: grouped };
    child.closeStdin();
    if (await settlesWithin(child.exited, graceMs)) return { how: "eof", complete: grouped };
    if (windows) {
      const tree = await killWindowsTree(this.pid);
      child.kill("SIGKILL");
      const gone = await settlesWithin(child.exited, Math.max(graceMs, DEFAULT_GRACE_MS));
      return { how: gone ? "sigkill" : "unknown", complete: tree };
    }
    // Up to 0.145 it ends at this without its commands.
    const below = descendants(this.pid);
    if (!child.kill("SIGTERM", { tree: true })) child.kill("SIGTERM");
    if (await settlesWithin(child.exited, graceMs)) {
      killEntries(below);
      return { how: "sigterm", complete: true };
    }
    below.push(...descendants(this.pid));
    const group = child.kill("SIGKILL", { tree: true });
    child.kill("SIGKILL");
    // It has no choice, but needs a moment: with no grace at all it would be told as running.
    const gone = await settlesWithin(child.exited, Math.max(graceMs, DEFAULT_GRACE_MS));
    killEntries(below);
    return { how: gone ? "sigkill" : "unknown", complete: group };
  }
}

/**
 * Milliseconds that what a process left behind has to end by itself, before it is killed, and between the looks at it. MCP
 * servers may ignore both the end of stdin and SIGTERM; so does a sandbox (`bwrap`) whose starter was killed: the first
 * process of its PID namespace waits for ever to be told that it may go on (codex 0.169).
 */
const REST_GRACE_MS = 250;
const REST_LOOK_MS = 25;

// The end of a byte stream as text.

/** How much of stderr is kept for error messages, in characters. */
const STDERR_TAIL_CHARS: number = 16 * 1024;

/** Keeps the last 16 KiB of what is pushed, decoded as UTF-8 across chunk borders. */
export class StderrTail {
  readonly #decoder = new TextDecoder();
  readonly #listener: ((text: string) => void) | undefined;
  #text = "";

  /** Creates an empty tail; the listener gets each piece of text as it comes. */
  constructor(listener?: (text: string) => void) {
    this.#listener = listener;
  }

  /** Adds a chunk. */
  push(chunk: Uint8Array): void {
    const text = this.#decoder.decode(chunk, { stream: true });
    this.#text = cutHead(this.#text + text);
    if (text === "") return;
    try {
      this.#listener?.(text);
    } catch {
      // A fault of the listener is no end of the pipe.
    }
  }

  /** The last 16 KiB so far. */
  toString(): string {
    return this.#text;
  }
}

function cutHead(text: string): string {
  if (text.length <= STDERR_TAIL_CHARS) return text;
  const tail = text.slice(-STDERR_TAIL_CHARS);
  const first = tail.charCodeAt(0);
  // Not in the middle of a surrogate pair.
  return first >= 0xdc00 && first <= 0xdfff ? tail.slice(1) : tail;
}
