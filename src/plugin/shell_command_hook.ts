/**
 * A hook that is a program of any language: what goes into it, and what its end means.
 * @module
 */
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
import type {
  HookAction,
  HookCallOptions,
  HookContext,
  HookPhase,
  PostHook,
  PreHook,
} from "./types.ts";
import { contextKind } from "./hook_kind.ts";
import { checkTimeout, DEFAULT_TIMEOUT_MS, HOOK_FILES, invalidHook } from "./validate.ts";

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

/**
 * Runs a program as a pre-hook, a post-hook or both. It gets the {@linkcode HookContext} as one line of JSON on stdin,
 * without the bytes of attachments.
 *
 * In a pre phase it answers by its exit status: `0` with nothing (or `{}`) on stdout continues, `0` with a
 * {@linkcode HookAction} as JSON does that, `2` blocks with the `reason` of the JSON it printed, else with what it
 * printed to stdout or stderr. Any other end is a failure, and so is a `0` with something else on stdout. In a post
 * phase all but `0` is reported as an issue.
 *
 * A list of arguments starts the program without a shell, the same on every system; a string goes through `sh -c`. On
 * Windows a list has to name a program that Windows can start, not a `.sh`, and a string goes through `cmd.exe`, which
 * fills in `%NAME%` unless the line holds a `"`. Deno needs `--allow-run` for the program or the shell; only the unscoped
 * permission lets the program's own children be killed too.
 *
 * It has to lie where no agent may write: what an agent puts in its place answers for it, outside the sandbox.
 *
 * The program does not outlive the script, however that ends: a second process, a shell, watches over it. On Windows, without
 * a shell, and on Deno without permission to run `sh`, there is none, and a program that runs when a signal or an uncaught
 * error ends the script runs on.
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
    const words = typeof command === "string" ? command.split(/\s+/) : command;
    HOOK_FILES.set(this, [options.cwd ?? ".", ...words.filter((word) => word.includes("/"))]);
  }

  /** Runs the program. Rejects when it fails, or with the signal's reason after it was killed. */
  async call(context: HookContext, options: HookCallOptions): Promise<HookAction> {
    checkArguments("ShellCommandHook.call", {
      context: [context, contextKind],
      options: [options, required(having("{ signal }", { signal: required(signal) }))],
    });
    const { runProgram } = await import("./hook_program.ts");
    const program = {
      command: this.#command,
      env: this.#env,
      cwd: this.#cwd,
      timeoutMs: this.timeoutMs,
    };
    return await runProgram(program, context, options.signal);
  }
}
