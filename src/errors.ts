/**
 * Every error this library throws, each with a stable {@linkcode CodexError.code}.
 *
 * Messages say what failed, what was received and what to do. They never hold prompts, answers or secrets.
 * @module
 */
import type { JsonObject, JsonValue } from "./json.ts";

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
    this.name = new.target.name;
    this.code = code;
    this.retryable = options.retryable ?? false;
    if (options.data !== undefined) this.data = options.data;
  }
}

/** The codex process could not be found or started. */
export class SpawnError extends CodexError {
  /** Creates the error. */
  constructor(message: string, options: CodexErrorOptions = {}) {
    super("spawn", message, options);
  }
}

/** The codex that answered is older than this client accepts. */
export class IncompatibleVersionError extends CodexError {
  /** The version found, or `null` when the server did not tell one. */
  readonly found: string | null;
  /** The oldest version accepted. */
  readonly required: string;

  /** Creates the error from the version found and the one required. */
  constructor(found: string | null, required: string, options: CodexErrorOptions = {}) {
    super(
      "incompatibleVersion",
      `codex ${
        found ?? "of unknown version"
      } is older than ${required}, which this client needs. ` +
        `Update it with \`npm install -g @openai/codex\`, or set \`minVersion: null\` to try anyway.`,
      { ...options, data: { found, required, ...options.data } },
    );
    this.found = found;
    this.required = required;
  }
}

/** How a process ended. */
export interface ProcessExit {
  /** Exit code, or `null` when a signal ended it or the code is not known. */
  code: number | null;
  /** The signal that ended it, or `null`. */
  signal: string | null;
}

/** Options of {@linkcode ConnectionClosedError}. */
export interface ConnectionClosedErrorOptions extends CodexErrorOptions {
  /** How the process ended, when it is known. */
  exit?: ProcessExit;
  /** The last lines the process wrote to stderr. */
  stderrTail?: string;
}

/** The connection to the server ended while something was waiting for it. */
export class ConnectionClosedError extends CodexError {
  /** How the process ended; `null` for remote servers or when unknown. */
  readonly exit: ProcessExit | null;
  /** The last 16 KiB the process wrote to stderr; empty for remote servers. */
  readonly stderrTail: string;

  /** Creates the error; the exit status and stderr's last line become part of the message. */
  constructor(message: string, options: ConnectionClosedErrorOptions = {}) {
    const exit = options.exit ?? null;
    const tail = options.stderrTail ?? "";
    super("connectionClosed", message + describeExit(exit, tail), {
      retryable: true,
      ...options,
      data: {
        ...options.data,
        exit: exit === null ? null : { code: exit.code, signal: exit.signal },
      },
    });
    this.exit = exit;
    this.stderrTail = tail;
  }

  /** What the running turn had produced, when a turn was running. */
  partial?: PartialTurn;

  /** The same error for one turn, with what that turn had produced. */
  withPartial(partial: PartialTurn): ConnectionClosedError {
    const copy: ConnectionClosedError = Object.create(
      Object.getPrototypeOf(this),
      Object.getOwnPropertyDescriptors(this),
    );
    copy.partial = partial;
    return copy;
  }
}

function describeExit(exit: ProcessExit | null, tail: string): string {
  let text = "";
  if (exit !== null) {
    text += exit.signal === null
      ? ` (codex exited with code ${exit.code ?? "unknown"})`
      : ` (codex was ended by ${exit.signal})`;
  }
  // deno-lint-ignore no-control-regex
  const last = tail.replace(/\x1b\[[0-9;]*m/g, "").trimEnd().split("\n").slice(-3).join(" | ")
    .trim();
  if (last !== "") text += `; stderr ends with: ${last.slice(-500)}`;
  return text;
}

/** The server did not answer a request in time. */
export class RequestTimeoutError extends CodexError {
  /** The method that was called. */
  readonly method: string;
  /** How long the call waited, in milliseconds. */
  readonly timeoutMs: number;

  /** Creates the error. */
  constructor(method: string, timeoutMs: number, options: CodexErrorOptions = {}) {
    super("requestTimeout", `No answer to ${method} within ${timeoutMs} ms.`, {
      retryable: true,
      ...options,
      data: { method, timeoutMs, ...options.data },
    });
    this.method = method;
    this.timeoutMs = timeoutMs;
  }
}

/** The server answered a request with a JSON-RPC error. */
export class RpcError extends CodexError {
  /** The JSON-RPC error code, such as -32600. */
  readonly rpcCode: number;
  /** The method that was called. */
  readonly method: string;
  /** The server's own message. */
  readonly rpcMessage: string;
  /** The `data` member of the JSON-RPC error, when there was one. */
  readonly rpcData?: JsonValue;

  /** Creates the error from the JSON-RPC error object. */
  constructor(
    method: string,
    rpcCode: number,
    rpcMessage: string,
    rpcData?: JsonValue,
    options: CodexErrorOptions = {},
  ) {
    super("rpc", `${method} failed: ${shorten(rpcMessage)} (code ${rpcCode})`, {
      retryable: rpcCode === -32001,
      ...options,
      data: { method, rpcCode, ...options.data },
    });
    this.rpcCode = rpcCode;
    this.method = method;
    this.rpcMessage = rpcMessage;
    if (rpcData !== undefined) this.rpcData = rpcData;
  }

  /** True when the server does not know the method at all (an older or newer codex). */
  get isUnknownMethod(): boolean {
    return this.rpcCode === -32601 ||
      this.rpcMessage.includes(`unknown variant \`${this.method}\``);
  }
}

function shorten(text: string): string {
  return text.length <= 600 ? text : `${text.slice(0, 600)}… (${text.length} characters)`;
}

/** A request or a result does not fit its schema. Nothing was sent when a request fails. */
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
    super("rpcValidation", `${method} ${subject}: ${path}: ${expectation}`, {
      ...options,
      data: { method, subject, path, ...options.data },
    });
    this.method = method;
    this.path = path;
    this.subject = subject;
  }
}

/** A message is larger than `maxMessageBytes`, or than the transport can carry. */
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
      { ...options, data: { bytes, limit, ...options.data } },
    );
    this.bytes = bytes;
    this.limit = limit;
  }
}

/** The call asks for more than the profile allows, such as a writable sandbox without consent. */
export class PolicyError extends CodexError {
  /** Creates the error. */
  constructor(message: string, options: CodexErrorOptions = {}) {
    super("policy", message, options);
  }
}

/** The server confirmed a wider policy than was asked for. No turn was run. */
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

/** This script's own permissions do not cover what the call asks codex to do. */
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
      { ...options, data: { missing, ...options.data } },
    );
    this.missing = missing;
  }
}

/** An attached file does not exist. Nothing was sent. */
export class AttachmentNotFoundError extends CodexError {
  /** The path that was looked for, made absolute. */
  readonly path: string;

  /** Creates the error. */
  constructor(path: string, options: CodexErrorOptions = {}) {
    super(
      "attachmentNotFound",
      `The attachment ${path} does not exist. Relative paths are resolved against the session's cwd.`,
      { ...options, data: { path, ...options.data } },
    );
    this.path = path;
  }
}

/** A hook blocked the call, or failed while its `onError` is `"block"`. */
export class HookBlockedError extends CodexError {
  /** The hook's name. */
  readonly hookName: string;
  /** The phase in which it blocked. */
  readonly phase: string;
  /** The reason that the hook gave. */
  readonly reason: string;

  /** Creates the error. */
  constructor(hookName: string, phase: string, reason: string, options: CodexErrorOptions = {}) {
    super("hookBlocked", `The hook "${hookName}" blocked ${phase}: ${reason}`, {
      ...options,
      data: { hookName, phase, ...options.data },
    });
    this.hookName = hookName;
    this.phase = phase;
    this.reason = reason;
  }
}

/** Why a turn failed. */
export type TurnFailureKind =
  | "rateLimit"
  | "quotaExceeded"
  | "auth"
  | "contextWindow"
  | "overloaded"
  | "network"
  | "badRequest"
  | "sandbox"
  | "other";

/** What a turn had produced when it ended without success. */
export interface PartialTurn {
  /** The thread of the turn. */
  threadId: string;
  /** The turn, or `null` when the server never named one. */
  turnId: string | null;
  /** The assistant's text so far. */
  assistantText: string;
  /** The items so far, completed ones with their final content. */
  items: unknown[];
}

/** Options of {@linkcode TurnFailedError}. */
export interface TurnFailedErrorOptions extends CodexErrorOptions {
  /** HTTP status of the model's answer, when the server told it. */
  httpStatus?: number;
  /** When a rate limit or quota resets, when the server told it. */
  resetsAt?: Date;
}

/** Base of the errors that end a turn; what the turn had produced is kept. */
export class TurnError extends CodexError {
  /** What the turn had produced when it ended. */
  readonly partial: PartialTurn;

  /** Creates the error. */
  constructor(
    code: string,
    message: string,
    partial: PartialTurn,
    options: CodexErrorOptions = {},
  ) {
    super(code, message, {
      ...options,
      data: { threadId: partial.threadId, turnId: partial.turnId, ...options.data },
    });
    this.partial = partial;
  }

  /** The thread of the turn. */
  get threadId(): string {
    return this.partial.threadId;
  }

  /** The turn, or `null` when the server never named one. */
  get turnId(): string | null {
    return this.partial.turnId;
  }

  /** The assistant's text up to the end. */
  get partialText(): string {
    return this.partial.assistantText;
  }

  /** The items up to the end. */
  get items(): unknown[] {
    return this.partial.items;
  }
}

const RETRYABLE_KINDS: ReadonlySet<TurnFailureKind> = new Set([
  "rateLimit",
  "overloaded",
  "network",
]);

/** The server reported the turn as failed. */
export class TurnFailedError extends TurnError {
  /** Why it failed. */
  readonly kind: TurnFailureKind;
  /** HTTP status of the model's answer, or `null`. */
  readonly httpStatus: number | null;
  /** When the limit resets, or `null`. */
  readonly resetsAt: Date | null;

  /** Creates the error. */
  constructor(
    kind: TurnFailureKind,
    message: string,
    partial: PartialTurn,
    options: TurnFailedErrorOptions = {},
  ) {
    super("turnFailed", `The turn failed (${kind}): ${shorten(message)}`, partial, {
      retryable: RETRYABLE_KINDS.has(kind),
      ...options,
      data: { kind, ...options.data },
    });
    this.kind = kind;
    this.httpStatus = options.httpStatus ?? null;
    this.resetsAt = options.resetsAt ?? null;
  }
}

/** The turn was interrupted before it completed. */
export class TurnInterruptedError extends TurnError {
  /** Creates the error. */
  constructor(partial: PartialTurn, options: CodexErrorOptions = {}) {
    super("turnInterrupted", "The turn was interrupted before it completed.", partial, options);
  }
}

/** The turn took longer than its `timeoutMs`; the server was told to stop it. */
export class TurnTimeoutError extends TurnError {
  /** The limit in milliseconds. */
  readonly timeoutMs: number;

  /** Creates the error. */
  constructor(timeoutMs: number, partial: PartialTurn, options: CodexErrorOptions = {}) {
    super(
      "turnTimeout",
      `The turn took longer than ${timeoutMs} ms and was interrupted. Raise \`timeoutMs\` for longer turns.`,
      partial,
      options,
    );
    this.timeoutMs = timeoutMs;
  }
}

/** The turn completed without any assistant message. */
export class EmptyAnswerError extends TurnError {
  /** Creates the error. */
  constructor(partial: PartialTurn, options: CodexErrorOptions = {}) {
    super("emptyAnswer", "The turn completed without an assistant message.", partial, options);
  }
}

/** One way in which an answer does not fit its schema. */
export interface OutputIssue {
  /** Where, such as `$.items[2].name`. */
  path: string;
  /** What was expected. */
  message: string;
}

/** The answer is not JSON, or does not fit the output schema. The text is kept. */
export class OutputValidationError extends TurnError {
  /** The ways in which the answer does not fit. */
  readonly issues: OutputIssue[];

  /** Creates the error. */
  constructor(issues: OutputIssue[], partial: PartialTurn, options: CodexErrorOptions = {}) {
    const shown = issues.slice(0, 3).map((i) => `${i.path}: ${i.message}`).join("; ");
    super(
      "outputValidation",
      `The answer does not fit the output schema: ${shown}`,
      partial,
      options,
    );
    this.issues = issues;
  }

  /** The assistant's text as it came. */
  get text(): string {
    return this.partial.assistantText;
  }
}

/** The session, stream or client was closed before the call. */
export class SessionClosedError extends CodexError {
  /** Creates the error. */
  constructor(
    message = "The session is closed. Start or resume another one.",
    options: CodexErrorOptions = {},
  ) {
    super("sessionClosed", message, options);
  }
}

/** A {@linkcode quickRun} failed; `cause` is the run's own error. */
export class QuickRunError extends CodexError {
  /** What went wrong when codex was shut down afterwards, if anything did. */
  readonly shutdownError?: unknown;

  /** Creates the error around the run's error. */
  constructor(cause: unknown, shutdownError?: unknown) {
    const inner = cause instanceof Error ? cause.message : String(cause);
    super("quickRun", `The run failed: ${inner}`, {
      cause,
      retryable: cause instanceof CodexError && cause.retryable,
      data: cause instanceof CodexError ? { causeCode: cause.code } : {},
    });
    if (shutdownError !== undefined) this.shutdownError = shutdownError;
  }
}

/** An edit names another revision than the stored one. */
export class ArtifactConflictError extends CodexError {
  /** The artifact. */
  readonly artifactId: string;
  /** The revision the edit was made for. */
  readonly expectedRevision: string;
  /** The revision that is stored. */
  readonly actualRevision: string;

  /** Creates the error. */
  constructor(
    artifactId: string,
    expectedRevision: string,
    actualRevision: string,
    options: CodexErrorOptions = {},
  ) {
    super(
      "artifactConflict",
      `The artifact changed meanwhile: expected revision ${expectedRevision}, found ${actualRevision}. ` +
        `Load the new text and make the edit again.`,
      { retryable: true, ...options, data: { expectedRevision, actualRevision, ...options.data } },
    );
    this.artifactId = artifactId;
    this.expectedRevision = expectedRevision;
    this.actualRevision = actualRevision;
  }
}

/** A web bridge request was refused. */
export class WebError extends CodexError {
  /** The HTTP status that answers it. */
  readonly status: number;
  /** A stable word for the reason, such as `"notFound"`. */
  readonly reason: string;

  /** Creates the error. */
  constructor(status: number, reason: string, message: string, options: CodexErrorOptions = {}) {
    super("web", message, { ...options, data: { status, reason, ...options.data } });
    this.status = status;
    this.reason = reason;
  }
}
