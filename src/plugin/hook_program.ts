/**
 * The program of a hook, from its start to its end. It is loaded when the first one runs.
 * @module
 */
import { longTimeout } from "../async.ts";
import { CodexError } from "../errors/mod.ts";
import { defined, joinBytes } from "../json.ts";
import {
  canRun,
  type ChildProcess,
  descendants,
  endWithScript,
  killEntries,
  killWindowsTree,
  pathKind,
  platformName,
  spawnProcess,
} from "../platform/mod.ts";
import {
  checkExit,
  contextJson,
  type Invocation,
  invocation,
  preAnswer,
  type ProgramEnd,
} from "./shell_protocol.ts";
import type { HookAction, HookContext } from "./types.ts";

/** A program that prints more than this is not printing an action. */
const MAX_STDOUT_BYTES = 1024 * 1024;
/** How much of the end of stderr is kept for the report. */
const STDERR_TAIL_BYTES = 4096;

/** What is run, and how. */
export interface HookProgram {
  /** A line for the shell, or a program and its arguments. */
  command: string | readonly string[];
  /** Variables beside the script's own. */
  env: Readonly<Record<string, string>>;
  /** Where it runs; `undefined`: where the script does. */
  cwd: string | undefined;
  /** Milliseconds until it is killed. */
  timeoutMs: number;
}

/** Runs the program. Rejects when it fails, or with the signal's reason after it was killed. */
export async function runProgram(
  program: HookProgram,
  context: HookContext,
  signal: AbortSignal,
): Promise<HookAction> {
  const windows = platformName() === "win32";
  const how = invocation(program.command, windows);
  if (typeof program.command === "string" && !windows) how.command = shell();
  const end = await run(how, program, contextJson(context), signal);
  if (context.phase.startsWith("post")) {
    checkExit(end);
    return { type: "continue" };
  }
  // Whether it really is an action is for the runner to judge, as with any hook.
  return preAnswer(end) as HookAction;
}

/** The system's own shell, where this script can tell: a `sh` that PATH has first may be the agent's. */
function shell(): string {
  return pathKind("/bin/sh") === "file" && canRun("/bin/sh") ? "/bin/sh" : "sh";
}

async function run(
  { command, args, verbatim }: Invocation,
  { cwd, env, timeoutMs }: HookProgram,
  input: string,
  outer: AbortSignal,
): Promise<ProgramEnd> {
  outer.throwIfAborted();
  const windows = platformName() === "win32";
  // Shells drop variables with names that are none of theirs.
  let gated = !windows && canRun(command) &&
    Object.keys(env).every((name) => /^[A-Za-z_]\w*$/.test(name));
  const start = () =>
    spawnProcess({
      ...(gated
        ? { command: shell(), args: ["-c", GATE, "sh", command, ...args] }
        : { command, args }),
      env: { ...env },
      verbatim,
      ...defined({ cwd }),
      // A group of its own is what lets a timeout reach everything the program started.
      detached: true,
    });
  const child = await start().catch((error) => {
    if (!gated) throw error;
    // Where no shell may run, or its PATH has none, the program may need none.
    gated = false;
    return start();
  });
  const forget = endWithScript(child);
  let unguard: (() => Promise<void>) | null = null;
  const limit = new AbortController();
  // The runner keeps the limit as well; this one holds when the hook is called by hand.
  const cancel = longTimeout(
    () => limit.abort(new DOMException(`took longer than ${timeoutMs} ms`, "TimeoutError")),
    timeoutMs,
  );
  const signal = AbortSignal.any([outer, limit.signal]);
  let killed: Promise<void> | undefined;
  const kill = (): void => void (killed ??= killTree(child, windows));
  signal.addEventListener("abort", kill, { once: true });
  if (signal.aborted) kill();
  const stdout = new Kept("start", MAX_STDOUT_BYTES, kill);
  const stderr = new Kept("end", STDERR_TAIL_BYTES);
  child.onStdout((chunk) => stdout.add(chunk));
  child.onStderr((chunk) => stderr.add(chunk));
  try {
    if (!windows) unguard = await guardOf(child.pid);
    // A program that does not read its stdin is as good as one that does: its exit is what counts.
    void child.write(gated ? `\n${input}` : input);
    child.closeStdin();
    const exit = await child.exited;
    cancel();
    await killed;
    await child.release();
    signal.throwIfAborted();
    if (stdout.overflown) {
      throw new CodexError("hookProgram", `printed more than ${MAX_STDOUT_BYTES} bytes`);
    }
    return { ...exit, stdout: stdout.text(), stderr: stderr.text() };
  } finally {
    cancel();
    signal.removeEventListener("abort", kill);
    forget();
    await unguard?.();
  }
}

/** Becomes the program once there is a line on its stdin: if the script ends before it has written that, nothing has begun. */
const GATE = `read -r _ && exec "$@"`;

/**
 * Waits for the end of its stdin; then ends a group, and by their parents those that left it, where the system tells. A word
 * about one that has just ended would end it: nobody is there to read that.
 */
const GUARD =
  `exec 2>/dev/null; read -r _; end() { for child in $(cat "/proc/$1"/task/*/children); do end "$child"; done; ` +
  `kill -KILL "$1"; }; end "$1"; kill -KILL "-$1"`;

/**
 * Ends the program when a signal or an uncaught error ends the script, which runs nothing then: another process sees its own
 * stdin end. The result forgets the program again. `null` where it could not be started.
 */
async function guardOf(pid: number): Promise<(() => Promise<void>) | null> {
  try {
    const guard = await spawnProcess({
      command: shell(),
      args: ["-c", GUARD, "sh", String(pid)],
      // What a terminal tells the script's own group must not end it.
      detached: true,
    });
    return async () => {
      guard.kill("SIGKILL");
      await guard.exited;
      await guard.release({ drainMs: 0 });
    };
  } catch {
    return null;
  }
}

/** Ends the program and what it started, as far as this script may. */
async function killTree(child: ChildProcess, windows: boolean): Promise<void> {
  if (windows) {
    // Without permission for it, the program alone is ended.
    await killWindowsTree(child.pid);
  } else {
    // Those that made groups of their own are found by their parents, before these are gone.
    const all = descendants(child.pid);
    child.kill("SIGKILL", { tree: true });
    killEntries(all);
  }
  child.kill("SIGKILL");
}

/** Output up to a limit: its start, with a note when there is more, or its end. */
class Kept {
  overflown = false;
  #bytes: Uint8Array = new Uint8Array(0);
  readonly #part: "start" | "end";
  readonly #limit: number;
  readonly #onOverflow: (() => void) | undefined;

  constructor(part: "start" | "end", limit: number, onOverflow?: () => void) {
    this.#part = part;
    this.#limit = limit;
    this.#onOverflow = onOverflow;
  }

  add(chunk: Uint8Array): void {
    if (this.overflown && this.#part === "start") return;
    const joined = joinBytes([this.#bytes, chunk]);
    this.overflown ||= joined.length > this.#limit;
    this.#bytes = this.#part === "start"
      ? joined.slice(0, this.#limit)
      : joined.slice(-this.#limit);
    if (this.overflown) this.#onOverflow?.();
  }

  text(): string {
    return new TextDecoder().decode(this.#bytes);
  }
}
