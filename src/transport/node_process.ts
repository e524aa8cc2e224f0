/**
 * Processes on Bun and Node, by `node:child_process`: it behaves the same on both, also under back-pressure.
 * @module
 */
import { type ProcessExit, SpawnError } from "../errors.ts";
import { drain } from "./_drain.ts";
import { builtin, nodeProcess, pathKind, platformName, signalProcess } from "./_platform.ts";
import { windowsShellArgs } from "./_windows_args.ts";
import type {
  ChildProcess,
  EndSignal,
  KillOptions,
  ProcessSpec,
  ReleaseOptions,
} from "./process.ts";

interface Emitter {
  on(event: string, listener: (...args: never[]) => void): void;
  once(event: string, listener: (...args: never[]) => void): void;
}

interface NodeReadable extends Emitter {
  destroy(): void;
  ref?(): void;
  unref?(): void;
}

interface NodeWritable extends NodeReadable {
  write(text: string, done: (error?: unknown) => void): boolean;
  end(): void;
}

interface NodeChild extends Emitter {
  pid?: number;
  stdin: NodeWritable;
  stdout: NodeReadable;
  stderr: NodeReadable;
  kill(signal: string): boolean;
  ref(): void;
  unref(): void;
}

interface NodeChildProcessModule {
  spawn(command: string, args: string[], options: Record<string, unknown>): NodeChild;
}

/** Starts a process on Bun or Node. */
export function spawnNodeProcess(spec: ProcessSpec): Promise<ChildProcess> {
  const module = builtin<NodeChildProcessModule>("child_process");
  if (module === null) {
    return Promise.reject(new SpawnError("This runtime has no child_process module."));
  }
  const windows = platformName() === "win32";
  const group = spec.detached === true && !windows;
  const env = spec.clearEnv === true ? { ...spec.env } : { ...nodeProcess()?.env, ...spec.env };
  // Node refuses to start .cmd and .bat files by themselves.
  const shell = windows && /\.(cmd|bat)$/i.test(spec.command);
  const [command, args] = shell
    ? ["cmd.exe", windowsShellArgs(spec.command, spec.args)]
    : [spec.command, spec.args];
  return new Promise((resolve, reject) => {
    let child: NodeChild;
    try {
      child = module.spawn(command, args, {
        cwd: spec.cwd,
        env,
        stdio: ["pipe", "pipe", "pipe"],
        detached: group,
        windowsHide: true,
        windowsVerbatimArguments: shell,
      });
    } catch (error) {
      reject(spawnFailure(error, spec));
      return;
    }
    // After the start, errors of a failed kill arrive here as well; a settled promise ignores them.
    child.on("error", (error: unknown) => reject(spawnFailure(error, spec)));
    if (child.pid === undefined) return;
    // Its listeners must be there before the first event: a process may end within this tick.
    const running = new NodeProcessChild(child, child.pid, group);
    child.once("spawn", () => resolve(running));
    running.exited.then(() => resolve(running));
  });
}

function spawnFailure(error: unknown, spec: ProcessSpec): SpawnError {
  const { code, message = "" } = error as { code?: string; message?: string };
  if (spec.cwd !== undefined && pathKind(spec.cwd) !== "directory") {
    return new SpawnError(`The working directory ${spec.cwd} does not exist.`, {
      cause: error,
      data: { reason: "cwd" },
    });
  }
  if (code === "ENOENT") {
    return new SpawnError(`The program ${spec.command} was not found.`, {
      cause: error,
      data: { reason: "notFound", command: spec.command },
    });
  }
  return new SpawnError(`The program ${spec.command} could not be started: ${message}`, {
    cause: error,
    data: { reason: "failed", command: spec.command },
  });
}

class NodeProcessChild implements ChildProcess {
  readonly pid: number;
  readonly exited: Promise<ProcessExit>;
  stdoutEnded = false;
  readonly #child: NodeChild;
  readonly #group: boolean;
  readonly #ended: Promise<void>;
  /** Writes under way: a pipe that a grandchild keeps open would never call back. */
  readonly #writes = new Set<() => void>();
  #chunks = 0;
  #openPipes = 2;
  #stdinClosed = false;
  #gone = false;
  #released: Promise<void> | undefined;
  #readers = 0;

  constructor(child: NodeChild, pid: number, group: boolean) {
    this.#child = child;
    this.#group = group;
    this.pid = pid;
    // Without a listener a broken pipe would end the script.
    for (const stream of [child.stdin, child.stdout, child.stderr]) stream.on("error", () => {});
    this.exited = new Promise((resolve) => {
      child.once("exit", (code: number | null, signal: string | null) => {
        this.#gone = true;
        for (const done of this.#writes) done();
        resolve({ code: signal === null ? code : null, signal });
      });
    });
    this.#ended = new Promise((resolve) => {
      const onEnd = (): void => {
        if (--this.#openPipes === 0) resolve();
      };
      child.stdout.once("end", () => this.stdoutEnded = true);
      for (const stream of [child.stdout, child.stderr]) {
        let once = false;
        for (const event of ["end", "close"]) {
          stream.once(event, () => {
            if (!once) onEnd();
            once = true;
          });
        }
      }
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
      try {
        this.#child.stdin.write(text, done);
      } catch {
        done();
      }
    });
  }

  closeStdin(): void {
    if (this.#stdinClosed) return;
    this.#stdinClosed = true;
    try {
      this.#child.stdin.end();
    } catch {
      // It was closed from the other side.
    }
  }

  onStdout(listener: (chunk: Uint8Array) => void): void {
    this.#listen(this.#child.stdout, listener);
  }

  onStderr(listener: (chunk: Uint8Array) => void): void {
    this.#listen(this.#child.stderr, listener);
  }

  #listen(stream: NodeReadable, listener: (chunk: Uint8Array) => void): void {
    this.#readers++;
    stream.on("data", (chunk: Uint8Array) => {
      this.#chunks++;
      listener(chunk);
    });
  }

  kill(signal: EndSignal, options: KillOptions = {}): boolean {
    if (options.tree === true) {
      if (!this.#group || signal === "SIGINT") return false;
      return signalProcess(-this.pid, signal);
    }
    if (this.#gone) return false;
    try {
      return this.#child.kill(signal);
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
    await drain({
      count: () => this.#chunks,
      ended: () => this.#openPipes === 0 || this.#readers === 0,
      whenEnded: this.#ended,
    }, drainMs);
    for (const stream of [this.#child.stdin, this.#child.stdout, this.#child.stderr]) {
      stream.destroy();
    }
  }

  unref(): void {
    this.#child.unref();
    for (const stream of this.#streams()) stream.unref?.();
  }

  ref(): void {
    this.#child.ref();
    for (const stream of this.#streams()) stream.ref?.();
  }

  #streams(): NodeReadable[] {
    return [this.#child.stdin, this.#child.stdout, this.#child.stderr];
  }
}
