/**
 * A hook that is a program of any language: what goes into it, and what its end means.
 * @module
 */
import { longTimeout } from "../async.ts";
import {
  checkArgument,
  checkArguments,
  checkOptions,
  either,
  having,
  list,
  milliseconds,
  name as nonEmpty,
  oneOf,
  path,
  record,
  required,
  shape,
  signal,
  text,
} from "../check/mod.ts";
import { CodexError } from "../errors/mod.ts";
import {
  type ChildProcess,
  descendants,
  endWithScript,
  killEntries,
  killWindowsTree,
  platformName,
  spawnProcess,
} from "../platform/mod.ts";
import type { Invocation, ProgramEnd } from "./shell_protocol.ts";
import type {
  HookAction,
  HookCallOptions,
  HookContext,
  HookPhase,
  PostHook,
  PreHook,
} from "./types.ts";
import { checkTimeout, contextKind, DEFAULT_TIMEOUT_MS, invalidHook } from "./validate.ts";

/** Options of {@linkcode ShellCommandHook}. */
export interface ShellCommandHookOptions {
  /** When to run it. Default: all phases of the list (`pre` or `post`) it is put into. */
  phases?: readonly HookPhase[];
  /** What a failure means in a pre phase. Default `"block"`. */
  onError?: "block" | "continue";
  /** Milliseconds until the program is killed with all that it started. Default 5,000. */
  timeoutMs?: number;
  /** Variables added to the environment that the program inherits. Default none. */
  env?: Readonly<Record<string, string>>;
  /** The program's working directory. Default: this script's own. */
  cwd?: string;
}

const SHELL_HOOK = shape<ShellCommandHookOptions>({
  phases: list(text),
  onError: oneOf(["block", "continue"]),
  timeoutMs: milliseconds,
  env: record(text),
  cwd: path,
});

/** A program that prints more than this is not printing an action. */
const MAX_STDOUT_BYTES = 1024 * 1024;

/** How much of the end of stderr is kept for the report. */
const STDERR_TAIL_BYTES = 4096;

/**
 * Runs a program as a pre-hook, a post-hook or both. It gets the {@linkcode HookContext} as one line of JSON on stdin.
 *
 * In a pre phase it answers by its exit status: `0` with nothing (or `{}`) on stdout continues, `0` with a
 * {@linkcode HookAction} as JSON does that, `2` blocks with the `reason` of the JSON it printed, else with what it
 * printed to stdout or stderr. Any other end is a failure, and so is a `0` with something else on stdout. In a post
 * phase all but `0` is reported as an issue.
 *
 * A list of arguments starts the program without a shell, the same on every system; a string goes through `sh -c`
 * (Windows: `cmd.exe`, which fills in `%NAME%` unless the line holds a `"`, and where a list has to name a program that
 * Windows can start, not a `.sh`). Deno needs `--allow-run` for the program or the shell; only the unscoped permission lets the
 * program's own children be killed too.
 *
 * ```ts ignore
 * const guard = new ShellCommandHook("no-push", ["python3", "/srv/hooks/no_push.py"], {
 *   phases: ["preToolUse"],
 * });
 * const client = await Client.connect({ hooks: { pre: [guard] } });
 * ```
 */
export class ShellCommandHook implements PreHook, PostHook {
  /** Identifies the hook in errors and reports. */
  readonly name: string;
  /** When it runs; all phases when absent. */
  readonly phases?: readonly HookPhase[];
  /** What a failure means in a pre phase. */
  readonly onError: "block" | "continue";
  /** Milliseconds until the program is killed. */
  readonly timeoutMs: number;
  readonly #command: string | readonly string[];
  readonly #env: Readonly<Record<string, string>>;
  readonly #cwd: string | undefined;

  /** Names the program. Throws `InvalidArgumentError` for an empty command or a bad time limit. */
  constructor(
    name: string,
    command: string | readonly string[],
    options: ShellCommandHookOptions = {},
  ) {
    checkArgument("ShellCommandHook", "name", name, required(nonEmpty));
    checkArgument("ShellCommandHook", "command", command, required(either(text, list(text))));
    checkOptions("ShellCommandHook", options, SHELL_HOOK);
    const label = `ShellCommandHook ${JSON.stringify(name)}`;
    if (typeof command === "string" ? command.trim() === "" : !command[0]) {
      throw invalidHook(`${label} has an empty command`);
    }
    checkTimeout(label, options.timeoutMs);
    this.name = name;
    if (options.phases !== undefined) this.phases = options.phases;
    this.onError = options.onError ?? "block";
    this.timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    this.#command = typeof command === "string" ? command : [...command];
    this.#env = options.env ?? {};
    this.#cwd = options.cwd;
  }

  /** Runs the program. Rejects when it fails, or with the signal's reason after it was killed. */
  async call(context: HookContext, options: HookCallOptions): Promise<HookAction> {
    checkArguments("ShellCommandHook.call", {
      context: [context, contextKind],
      options: [options, required(having("{ signal }", { signal: required(signal) }))],
    });
    const { checkExit, contextJson, invocation, preAnswer } = await import("./shell_protocol.ts");
    const program = invocation(this.#command, platformName() === "win32");
    const end = await this.#run(program, contextJson(context), options.signal);
    if (context.phase.startsWith("post")) {
      checkExit(end);
      return { type: "continue" };
    }
    // Whether it really is an action is for the runner to judge, as with any hook.
    return preAnswer(end) as HookAction;
  }

  async #run(
    { command, args, verbatim }: Invocation,
    input: string,
    outer: AbortSignal,
  ): Promise<ProgramEnd> {
    outer.throwIfAborted();
    const windows = platformName() === "win32";
    const child = await spawnProcess({
      command,
      args,
      env: { ...this.#env },
      verbatim,
      ...(this.#cwd === undefined ? {} : { cwd: this.#cwd }),
      // A group of its own is what lets a timeout reach everything the program started.
      detached: true,
    });
    const forget = endWithScript(child);
    const limit = new AbortController();
    // The runner keeps the limit as well; this one holds when the hook is called by hand.
    const cancel = longTimeout(
      () => limit.abort(new DOMException(`took longer than ${this.timeoutMs} ms`, "TimeoutError")),
      this.timeoutMs,
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
      // A program that does not read its stdin is as good as one that does: its exit is what counts.
      void child.write(input);
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
    }
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
    const joined = new Uint8Array(this.#bytes.length + chunk.length);
    joined.set(this.#bytes);
    joined.set(chunk, this.#bytes.length);
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
