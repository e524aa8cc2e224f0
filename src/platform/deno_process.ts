/**
 * Processes on Deno, by `Deno.Command`: it needs the run permission for one program and nothing else.
 * @module
 */
import { defined } from "../json.ts";
import { PermissionDeniedError, type ProcessExit } from "../errors/mod.ts";
import {
  type ChildProcess,
  drain,
  type EndSignal,
  type KillOptions,
  type ProcessSpec,
  type ReadPipe,
  type ReleaseOptions,
  startFailure,
} from "./child_process.ts";
import { canRun, signalProcess } from "./runtime.ts";
import { wouldPrompt } from "./unasked.ts";

/** Starts a process on Deno. */
// deno-lint-ignore require-await -- what is thrown here must reject, as on the other runtimes
export async function spawnDenoProcess(spec: ProcessSpec): Promise<ChildProcess> {
  // Elsewhere a try costs nothing, and tells "missing" from "not allowed".
  if (!canRun(spec.command) && wouldPrompt()) throw notPermitted(spec.command);
  return new DenoProcess(spawn(spec), spec.detached === true && Deno.build.os !== "windows");
}

function spawn(spec: ProcessSpec): Deno.ChildProcess {
  const start = (blanked: Record<string, string>): Deno.ChildProcess =>
    new Deno.Command(spec.command, {
      args: spec.args,
      ...defined({ cwd: spec.cwd }),
      env: { ...blanked, ...spec.env },
      clearEnv: spec.clearEnv ?? false,
      ...(spec.verbatim === true ? { windowsRawArguments: true } : {}),
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
      ...(spec.detached === true && Deno.build.os !== "windows" ? { detached: true } : {}),
    }).spawn();
  try {
    return start({});
  } catch (error) {
    // Under a scoped --allow-run Deno refuses an inherited LD_LIBRARY_PATH and its like. Empty ones pass;
    // without env permission only this error tells which there are.
    const names = loaderVariables(error);
    if (names.length === 0 || names.some((name) => spec.env?.[name] !== undefined)) {
      throw spawnFailure(error, spec);
    }
    try {
      return start(Object.fromEntries(names.map((name) => [name, ""])));
    } catch (again) {
      throw spawnFailure(again, spec);
    }
  }
}

/** The `LD_*` and `DYLD_*` variables that Deno refused to pass on. */
export function loaderVariables(error: unknown): string[] {
  const { name, message } = error as { name?: string; message?: string };
  const list = /with (.*) environment variables?\b/.exec(message ?? "")?.[1];
  return name !== "NotCapable" || list === undefined ? [] : list.match(/\b(?:LD|DYLD)_\w+/g) ?? [];
}

function spawnFailure(error: unknown, spec: ProcessSpec): Error {
  const { name, message = "" } = error as { name?: string; message?: string };
  const loader = loaderVariables(error);
  if (loader.length > 0) {
    return new PermissionDeniedError(
      `Starting ${spec.command} with ${loader.join(", ")} set`,
      ["--allow-run"],
      { cause: error },
    );
  }
  if (name === "NotCapable") return notPermitted(spec.command, error);
  // "failed resolving cwd": the script's own directory was removed, which Deno needs even for an absolute cwd.
  const noDirectory = /No such cwd|failed resolving cwd/.test(message);
  const missing = noDirectory ? "directory" : name === "NotFound" ? "program" : null;
  return startFailure(spec, missing, message, error);
}

function notPermitted(command: string, cause?: unknown): PermissionDeniedError {
  return new PermissionDeniedError(
    `Starting ${command} (which must also be installed: Deno drops a granted name that it can't find)`,
    [`--allow-run=${command}`],
    defined({ cause }),
  );
}

class DenoProcess implements ChildProcess {
  readonly pid: number;
  readonly exited: Promise<ProcessExit>;
  stdoutEnded = false;
  readonly #child: Deno.ChildProcess;
  readonly #group: boolean;
  readonly #stdin: WritableStreamDefaultWriter<Uint8Array>;
  readonly #pipes: Pipe[] = [];
  readonly #encoder = new TextEncoder();
  /** Writes under way: a pipe that a grandchild keeps open would never settle them. */
  readonly #writes = new Set<() => void>();
  #stdinClosed = false;
  #gone = false;
  #released: Promise<void> | undefined;

  constructor(child: Deno.ChildProcess, group: boolean) {
    this.#child = child;
    this.#group = group;
    this.pid = child.pid;
    this.#stdin = child.stdin.getWriter();
    // A broken pipe must surface as the exit it is, not as an unhandled rejection.
    this.#stdin.closed.catch(() => {});
    this.exited = child.status.then(
      ({ code, signal }) => ({ code: signal === null ? code : null, signal }),
      () => ({ code: null, signal: null }),
    ).then((exit) => {
      this.#gone = true;
      for (const done of this.#writes) done();
      return exit;
    });
  }

  write(text: string): Promise<void> {
    if (this.#stdinClosed || this.#gone) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        this.#writes.delete(done);
        resolve();
      };
      this.#writes.add(done);
      // A failed write means that the reader is gone; `exited` tells.
      this.#stdin.write(this.#encoder.encode(text)).then(done, done);
    });
  }

  closeStdin(now = false): void {
    if (this.#stdinClosed) return;
    this.#stdinClosed = true;
    (now ? this.#stdin.abort() : this.#stdin.close()).catch(() => {});
  }

  onStdout(listener: (chunk: Uint8Array) => void): void {
    const pipe = new Pipe(this.#child.stdout, listener);
    this.#pipes.push(pipe);
    pipe.ended.then(() => this.stdoutEnded = pipe.atEnd);
  }

  onStderr(listener: (chunk: Uint8Array) => void): void {
    this.#pipes.push(new Pipe(this.#child.stderr, listener));
  }

  kill(signal: EndSignal, options: KillOptions = {}): boolean {
    if (options.tree === true) {
      if (!this.#group || signal === "SIGINT") return false;
      return signalProcess(-this.pid, signal);
    }
    if (this.#gone) return false;
    try {
      this.#child.kill(signal);
      return true;
    } catch {
      return false;
    }
  }

  release(options: ReleaseOptions = {}): Promise<void> {
    return this.#released ??= this.#release(options.drainMs ?? 500);
  }

  async #release(drainMs: number): Promise<void> {
    await this.exited;
    this.closeStdin();
    // Unread streams must be cancelled too, or their pipes stay open.
    if (!this.#child.stdout.locked) await this.#child.stdout.cancel().catch(() => {});
    if (!this.#child.stderr.locked) await this.#child.stderr.cancel().catch(() => {});
    await drain(this.#pipes, drainMs);
    await Promise.all(this.#pipes.map((pipe) => pipe.cancel()));
  }

  unref(): void {
    this.#unlessGone(() => this.#child.unref());
  }

  ref(): void {
    this.#unlessGone(() => this.#child.ref());
  }

  /** Deno throws in the moment between the process's end and the word of it. */
  #unlessGone(act: () => void): void {
    try {
      act();
    } catch {
      // What has ended holds no script.
    }
  }
}

/** Reads one pipe to its end, whoever holds the other one. */
class Pipe implements ReadPipe {
  /** Chunks delivered so far. */
  count = 0;
  /** No more chunks will come. */
  done = false;
  /** The other end was closed by all who held it. */
  atEnd = false;
  readonly ended: Promise<void>;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  #cancelled = false;

  constructor(stream: ReadableStream<Uint8Array>, listener: (chunk: Uint8Array) => void) {
    this.#reader = stream.getReader();
    this.ended = this.#read(listener);
  }

  async #read(listener: (chunk: Uint8Array) => void): Promise<void> {
    try {
      for (;;) {
        const { value, done } = await this.#reader.read();
        if (done) break;
        this.count++;
        try {
          listener(value);
        } catch (error) {
          // A fault of the listener is no end of the pipe; it surfaces where faults do.
          reportError(error);
        }
      }
      this.atEnd = !this.#cancelled;
    } catch {
      // A pipe that can't be read has ended.
    } finally {
      this.done = true;
    }
  }

  async cancel(): Promise<void> {
    this.#cancelled = !this.done;
    await this.#reader.cancel().catch(() => {});
    await this.ended;
  }
}
