/**
 * Processes on Bun and Node, by `node:child_process`: it behaves the same on both, also under back-pressure.
 * @module
 */
import { type CodexError, PermissionDeniedError, type ProcessExit } from "../errors/mod.ts";
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
import { builtin, mergeEnv, nodeProcess, platformName, signalProcess } from "./runtime.ts";
import { windowsCommand, windowsShellArgs, windowsSystemProgram } from "./windows.ts";

interface Emitter {
  on(event: string, listener: (...args: never[]) => void): void;
  once(event: string, listener: (...args: never[]) => void): void;
}

interface NodeReadable extends Emitter {
  destroy(): void;
  pause?(): void;
  resume?(): void;
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
  const module = builtin<NodeChildProcessModule>("child_process")!;
  const windows = platformName() === "win32";
  const group = spec.detached === true && !windows;
  const inherited = spec.clearEnv === true ? {} : nodeProcess()?.env ?? {};
  const env = mergeEnv(platformName(), inherited, spec.env);
  let command = spec.command;
  let args = spec.args;
  // Node refuses to start .cmd and .bat files by themselves.
  let shell = false;
  if (windows) {
    try {
      command = windowsCommand(command, nodeProcess()?.env ?? {});
    } catch (error) {
      return Promise.reject(error);
    }
    shell = /\.(cmd|bat)$/i.test(command);
    if (shell) {
      [command, args] = [windowsSystemProgram("cmd.exe"), windowsShellArgs(command, args)];
    }
  }
  return new Promise((resolve, reject) => {
    let child: NodeChild;
    try {
      child = module.spawn(command, args, {
        cwd: spec.cwd,
        env,
        stdio: ["pipe", "pipe", "pipe"],
        detached: group,
        windowsHide: true,
        windowsVerbatimArguments: shell || spec.verbatim === true,
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

function spawnFailure(error: unknown, spec: ProcessSpec): CodexError {
  const { code, message = "" } = error as { code?: string; message?: string };
  if (code === "ERR_ACCESS_DENIED") {
    const what = `Starting ${spec.command}`;
    return new PermissionDeniedError(what, ["--allow-child-process"], { cause: error });
  }
  return startFailure(spec, code === "ENOENT" ? "program" : null, message, error);
}

class NodeProcessChild implements ChildProcess {
  readonly pid: number;
  readonly exited: Promise<ProcessExit>;
  readonly #child: NodeChild;
  readonly #group: boolean;
  readonly #stdout: Outlet;
  readonly #stderr: Outlet;
  /** Writes under way: a pipe that a grandchild keeps open would never call back. */
  readonly #writes = new Set<() => void>();
  #stdinClosed = false;
  #gone = false;
  #released: Promise<void> | undefined;

  constructor(child: NodeChild, pid: number, group: boolean) {
    this.#child = child;
    this.#group = group;
    this.pid = pid;
    // Without a listener a broken pipe would end the script.
    child.stdin.on("error", () => {});
    this.#stdout = new Outlet(child.stdout);
    this.#stderr = new Outlet(child.stderr);
    this.exited = new Promise((resolve) => {
      child.once("exit", (code: number | null, signal: string | null) => {
        this.#gone = true;
        for (const done of this.#writes) done();
        resolve({ code: signal === null ? code : null, signal });
      });
    });
  }

  get stdoutEnded(): boolean {
    return this.#stdout.atEnd;
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

  closeStdin(now = false): void {
    if (this.#stdinClosed) return;
    this.#stdinClosed = true;
    try {
      if (now) this.#child.stdin.destroy();
      else this.#child.stdin.end();
    } catch {
      // It was closed from the other side.
    }
  }

  onStdout(listener: (chunk: Uint8Array) => void): void {
    this.#stdout.listen(listener);
  }

  onStderr(listener: (chunk: Uint8Array) => void): void {
    this.#stderr.listen(listener);
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
    await drain([this.#stdout, this.#stderr], drainMs);
    for (const stream of this.#streams()) stream.destroy();
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

/** Unread output beyond this stays in the pipe. */
const BACKLOG_BYTES = 1 << 20;

/**
 * Reads one pipe from the start. When a process ends, Node and Bun throw away what is in a pipe that nobody
 * listens to, so what comes before the listener is kept here.
 */
class Outlet implements ReadPipe {
  /** Chunks so far. */
  count = 0;
  /** No more chunks will come. */
  done = false;
  /** The other end was closed by all who held it. */
  atEnd = false;
  readonly ended: Promise<void>;
  readonly #stream: NodeReadable;
  #listener: ((chunk: Uint8Array) => void) | undefined;
  #backlog: Uint8Array[] = [];
  #backlogBytes = 0;

  constructor(stream: NodeReadable) {
    this.#stream = stream;
    stream.on("error", () => {});
    stream.on("data", (chunk: Uint8Array) => {
      this.count++;
      if (this.#listener !== undefined) this.#listener(chunk);
      else this.#keep(chunk);
    });
    stream.once("end", () => this.atEnd = true);
    this.ended = new Promise((resolve) => {
      for (const event of ["end", "close"]) {
        stream.once(event, () => {
          this.done = true;
          resolve();
        });
      }
    });
  }

  listen(listener: (chunk: Uint8Array) => void): void {
    this.#listener = listener;
    for (const chunk of this.#backlog.splice(0)) listener(chunk);
    if (this.#backlogBytes >= BACKLOG_BYTES) this.#stream.resume?.();
  }

  #keep(chunk: Uint8Array): void {
    this.#backlog.push(chunk);
    this.#backlogBytes += chunk.length;
    if (this.#backlogBytes >= BACKLOG_BYTES) this.#stream.pause?.();
  }
}
