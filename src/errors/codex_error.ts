/**
 * The base of every error; and requests that were not answered as hoped, or may not be made.
 * @module
 */
import { defined, type JsonObject, type JsonValue } from "../json.ts";
import { redactDiagnostic, redactDiagnosticData } from "../redact.ts";
import type { ThreadItem } from "../thread_item.ts";

/** Options shared by all error constructors. */
export interface CodexErrorOptions {
  /** What caused this error. */
  cause?: unknown;
  /** Structured facts about the failure, without payload values. */
  data?: JsonObject;
  /** Whether the same call may succeed when tried again. Default `false`. */
  retryable?: boolean;
}

/**
 * Base of every error of this library. Switch on {@linkcode code}, not on messages.
 *
 * ```ts ignore
 * try {
 *   await quickRun(cwd, "Summarize this repo");
 * } catch (error) {
 *   if (error instanceof CodexError && error.retryable) await tryAgainLater();
 *   else throw error;
 * }
 * ```
 */
export class CodexError extends Error {
  /** Stable identifier of the error class, such as `"turnFailed"`. */
  readonly code: string;
  /** Whether the same call may succeed when tried again. */
  readonly retryable: boolean;
  /** Structured facts about the failure. */
  readonly data?: JsonObject;

  /** Creates an error with a stable code. */
  constructor(code: string, message: string, options: CodexErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    // Not the name of the class, which bundlers shorten.
    this.name = nameFor(code);
    this.code = code;
    this.retryable = options.retryable ?? false;
    if (options.data !== undefined) this.data = options.data;
  }
}

/** Options whose `data` has these facts as well; what the caller says in it comes first. */
export function withData<Options extends CodexErrorOptions>(
  options: Options,
  facts: JsonObject,
): Options {
  return { ...options, data: { ...facts, ...options.data } };
}

/** `"turnFailed"` is the code of a `TurnFailedError`; codes of others' own errors follow the same rule. */
function nameFor(code: string): string {
  return `${code.charAt(0).toUpperCase()}${code.slice(1)}Error`;
}

/** What a turn had produced when it ended without success. */
export interface PartialTurn {
  /** The thread of the turn. */
  threadId: string;
  /** The turn, or `null` when the server never named one. */
  turnId: string | null;
  /** The assistant's text so far. */
  assistantText: string;
  /** The items so far, completed ones with their final content. */
  items: ThreadItem[];
}

/** What there is of a turn that the server never named. */
export function unnamedTurn(threadId: string): PartialTurn {
  return { threadId, turnId: null, assistantText: "", items: [] };
}

/** Gives an error what a turn had produced, where no console and no logger looks: it may be all of a conversation. */
export function keepPartial<E extends CodexError>(error: E, partial: object): E {
  return Object.defineProperty(error, "partial", { value: partial, configurable: true });
}

/** Keeps messages readable. */
export function shorten(text: string): string {
  return text.length <= 600 ? text : `${text.slice(0, 600)}… (${text.length} characters)`;
}

/** What a thrown value says. Never throws: anything can be thrown, also what throws when it is looked at. */
export function messageOf(error: unknown): string {
  try {
    return String(error instanceof Error ? error.message : error);
  } catch {
    return "something was thrown that has no text";
  }
}

// Requests that were not answered as hoped.

/** Why the server refused, where its words tell: it has no codes for these. */
export type RpcRefusal =
  | "noThread"
  | "archived"
  | "invalidThreadId"
  | "noTurn"
  | "unknownValue"
  | "notLoggedIn";

/** Options of {@linkcode RpcError}. */
export interface RpcErrorOptions extends CodexErrorOptions {
  /** Why, and what to do about it. */
  refusal?: {
    /** Why. */
    reason: RpcRefusal;
    /** What to do, in a sentence. */
    advice: string;
  } | null;
}

/**
 * The server answered a request with a JSON-RPC error.
 *
 * ```ts ignore
 * if (error instanceof RpcError) console.log(error.method, error.rpcCode, error.rpcMessage);
 * ```
 */
export class RpcError extends CodexError {
  /** The JSON-RPC error code, such as -32600. */
  readonly rpcCode: number;
  /** The method that was called. */
  readonly method: string;
  /** The server's own message, without secrets and without the values that it refused. */
  readonly rpcMessage: string;
  /** Why, where the server's words tell; else `null`. */
  readonly reason: RpcRefusal | null;
  /** The `data` member of the JSON-RPC error, when there was one. */
  readonly rpcData?: JsonValue;

  /** Creates the error from the JSON-RPC error object. */
  constructor(
    method: string,
    rpcCode: number,
    rpcMessage: string,
    rpcData?: JsonValue,
    options: RpcErrorOptions = {},
  ) {
    const message = redactDiagnostic(rpcMessage);
    const { refusal = null } = options;
    const advice = refusal === null ? "" : `${refusal.advice} `;
    super("rpc", `${advice}${method} failed: ${shorten(message)} (code ${rpcCode})`, {
      retryable: rpcCode === -32001,
      ...withData(options, { method, rpcCode, ...defined({ reason: refusal?.reason }) }),
    });
    this.reason = refusal?.reason ?? null;
    this.rpcCode = rpcCode;
    this.method = method;
    this.rpcMessage = message;
    if (rpcData !== undefined) this.rpcData = redactDiagnosticData(rpcData);
  }

  /** True when the server does not know the method at all (an older or newer codex). */
  get isUnknownMethod(): boolean {
    return this.rpcCode === -32601 ||
      this.rpcMessage.includes(`unknown variant \`${this.method}\``);
  }
}

/** What is wrong with an argument; kinds and names, never values. */
export interface ArgumentProblem {
  /** The argument or option, such as `retry.attempts`. */
  argument: string;
  /** What was received, such as `a number`. */
  received: string;
  /** What is accepted: a kind of value, or the names of the options. */
  accepts: string;
  /** What was probably meant, as a sentence. Default: nothing is guessed. */
  hint?: string;
  /** Whether there is no such option. Default `false`. */
  unknown?: boolean;
  /** What is wrong, where kinds do not tell it. Default: made of the other fields. */
  sentence?: string;
}

/**
 * An argument or an option has a shape that is not accepted. Nothing was started or sent.
 *
 * ```ts ignore
 * if (error instanceof InvalidArgumentError) {
 *   console.log(`${error.argument}: received ${error.received}, accepts ${error.accepted}`);
 * }
 * ```
 */
export class InvalidArgumentError extends CodexError {
  /** The argument or option, such as `retry.attempts`. */
  readonly argument: string;
  /** What was received: the kind, never the value. */
  readonly received: string;
  /** What is accepted. */
  readonly accepted: string;

  /** Creates the error; `where` names what was called. */
  constructor(where: string, problem: ArgumentProblem, options: CodexErrorOptions = {}) {
    const { argument, received, accepts, hint, unknown } = problem;
    const meant = hint === undefined ? "" : ` ${hint}`;
    // What was meant stands before a list that may be long.
    const sentences = unknown === true
      ? `there is no option \`${argument}\`.${meant} The options are ${accepts}.`
      : `${
        problem.sentence ?? `\`${argument}\` must be ${accepts}; received ${received}`
      }.${meant}`;
    super(
      "invalidArgument",
      `${where}: ${sentences}`,
      withData(options, { where, argument, received, accepted: accepts }),
    );
    this.argument = argument;
    this.received = received;
    this.accepted = accepts;
  }
}

/**
 * This codex can't do what was asked; nothing was sent.
 *
 * ```ts ignore
 * try {
 *   await session.startGoal("All tests pass");
 * } catch (error) {
 *   if (error instanceof UnsupportedError) console.log(`${error.feature} needs codex ${error.since}`);
 * }
 * ```
 */
export class UnsupportedError extends CodexError {
  /** What was asked for, such as `startGoal`. */
  readonly feature: string;
  /** The first codex that is known to have it; `null` when none is. */
  readonly since: string | null;

  /** Creates the error; `version` is the codex at hand. */
  constructor(
    feature: string,
    since: string | null,
    version: string | null,
    options: CodexErrorOptions = {},
  ) {
    const needs = since === null ? "no codex is known to offer" : `codex ${since} or newer offers`;
    super(
      "unsupported",
      `${feature}: ${needs} this; connected to ${
        version ?? "an unknown version"
      }. Nothing was sent.`,
      withData(options, { feature, since, version }),
    );
    this.feature = feature;
    this.since = since;
  }
}

/**
 * A request or a result does not fit its schema. Nothing was sent when a request fails.
 *
 * ```ts ignore
 * if (error instanceof RpcValidationError) {
 *   console.log(`${error.method}: ${error.path} of the ${error.subject}`);
 * }
 * ```
 */
export class RpcValidationError extends CodexError {
  /** The method the value belongs to. */
  readonly method: string;
  /** Where the value is wrong, such as `$.input[0].type`. */
  readonly path: string;
  /** Whether the request (`"params"`) or the server's answer (`"result"`) is wrong. */
  readonly subject: "params" | "result";

  /** Creates the error; `expectation` reads like `expected string, got number`. */
  constructor(
    method: string,
    subject: "params" | "result",
    path: string,
    expectation: string,
    options: CodexErrorOptions = {},
  ) {
    super(
      "rpcValidation",
      `${method} ${subject}: ${path}: ${expectation}`,
      withData(options, { method, subject, path }),
    );
    this.method = method;
    this.path = path;
    this.subject = subject;
  }
}

/**
 * A message is larger than `maxMessageBytes`, or than the transport can carry.
 *
 * ```ts ignore
 * if (error instanceof MessageTooLargeError) {
 *   console.log(`${error.bytes} bytes, allowed are ${error.limit}`);
 * }
 * ```
 */
export class MessageTooLargeError extends CodexError {
  /** The size of the message in bytes, as far as it was seen. */
  readonly bytes: number;
  /** The limit in bytes. */
  readonly limit: number;

  /** Creates the error. */
  constructor(what: string, bytes: number, limit: number, options: CodexErrorOptions = {}) {
    super(
      "messageTooLarge",
      `${what} has ${bytes} bytes or more, the limit is ${limit}. Raise \`maxMessageBytes\` if this is expected.`,
      withData(options, { bytes, limit }),
    );
    this.bytes = bytes;
    this.limit = limit;
  }
}

// What may not be done.

/**
 * The call asks for more than the profile allows, such as a writable sandbox without consent, or for a guard that would not
 * hold, such as approvals that nobody is asked for.
 *
 * ```ts ignore
 * if (error instanceof PolicyError) {
 *   console.log(error.message); // names the consent that is missing
 * }
 * ```
 */
export class PolicyError extends CodexError {
  /** Creates the error. */
  constructor(message: string, options: CodexErrorOptions = {}) {
    super("policy", message, options);
  }
}

/**
 * A workspace could not be recorded before a turn, which then was not started; or it can't be taken back. `data.reason` is
 * `tooLarge`, `unreadable`, `store`, `inUse`, `noCheckpoint`, `noBoundary`, `legacyThread` or `workspaceMoved`.
 *
 * ```ts ignore
 * if (error instanceof CheckpointError) console.log(error.message, error.data?.["reason"]);
 * ```
 */
export class CheckpointError extends CodexError {
  /** Creates the error. */
  constructor(message: string, options: CodexErrorOptions = {}) {
    super("checkpoint", message, options);
  }
}

/**
 * The server confirmed a wider policy than was asked for. No turn was run.
 *
 * ```ts ignore
 * if (error instanceof PolicyMismatchError) {
 *   console.log(error.mismatches); // what the server confirmed beyond what was asked
 * }
 * ```
 */
export class PolicyMismatchError extends CodexError {
  /** Each field that differs: its name, what was asked and what the server confirmed. */
  readonly mismatches: PolicyMismatch[];

  /** Creates the error from the differing fields. */
  constructor(mismatches: PolicyMismatch[], options: CodexErrorOptions = {}) {
    super(
      "policyMismatch",
      `The server confirmed a wider policy than was asked for: ` +
        mismatches.map((m) => `${m.field}: asked ${m.asked}, confirmed ${m.confirmed}`).join("; ") +
        `. No turn was run.`,
      options,
    );
    this.mismatches = mismatches;
  }
}

/** One field of a policy that the server did not confirm as asked. */
export interface PolicyMismatch {
  /** The field, such as `sandbox`. */
  field: string;
  /** What was asked for. */
  asked: string;
  /** What the server confirmed. */
  confirmed: string;
}

/**
 * This script's own permissions do not cover what the call asks codex to do.
 *
 * ```ts ignore
 * if (error instanceof PermissionDeniedError) {
 *   console.log(`run it with ${error.missing.join(" ")}`);
 * }
 * ```
 */
export class PermissionDeniedError extends CodexError {
  /** The Deno flags that are missing, ready to paste, such as `--allow-write=/srv/app`. */
  readonly missing: string[];

  /** Creates the error from what was attempted and the missing flags. */
  constructor(what: string, missing: string[], options: CodexErrorOptions = {}) {
    super(
      "permissionDenied",
      `${what} needs permissions that this script does not have. Run it with: ${
        missing.join(" ")
      }` +
        `, or ask for less.`,
      withData(options, { missing }),
    );
    this.missing = missing;
  }
}

/**
 * A hook blocked the call, or failed while its `onError` is `"block"`: `data.reason` is `"hookFailed"` then.
 *
 * ```ts ignore
 * if (error instanceof HookBlockedError) {
 *   console.log(`${error.hookName} in ${error.phase}: ${error.reason}`);
 * }
 * ```
 */
export class HookBlockedError extends CodexError {
  /** The hook's name. */
  readonly hookName: string;
  /** The phase in which it blocked. */
  readonly phase: string;
  /** The reason that the hook gave. */
  readonly reason: string;

  /** Creates the error. */
  constructor(hookName: string, phase: string, reason: string, options: CodexErrorOptions = {}) {
    super(
      "hookBlocked",
      `The hook "${hookName}" blocked ${phase}: ${reason}`,
      withData(options, { hookName, phase }),
    );
    this.hookName = hookName;
    this.phase = phase;
    this.reason = reason;
  }
}
