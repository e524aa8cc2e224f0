/**
 * Turns that gave no answer, and errors of single features.
 * @module
 */
import { redactDiagnostic } from "../redact.ts";
import type { ThreadItem } from "../thread_item.ts";
import {
  CodexError,
  type CodexErrorOptions,
  keepPartial,
  messageOf,
  type PartialTurn,
  shorten,
  withData,
} from "./codex_error.ts";

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

/** Options of {@linkcode TurnFailedError}. */
export interface TurnFailedErrorOptions extends CodexErrorOptions {
  /** HTTP status of the model's answer, when the server told it. */
  httpStatus?: number;
  /** When a rate limit or quota resets, when the server told it. */
  resetsAt?: Date;
  /** Whose word an `auth` failure is: nobody is logged in, a login was refused, or a key that codex does not manage. */
  login?: "none" | "refused" | "elsewhere";
}

/**
 * Base of the errors that end a turn; what the turn had produced is kept.
 *
 * ```ts ignore
 * if (error instanceof TurnError) console.log(error.partialText, error.items.length);
 * ```
 */
export class TurnError extends CodexError {
  /** What the turn had produced when it ended. Not enumerable: who logs the error does not log the conversation. */
  declare readonly partial: PartialTurn;

  /** Creates the error. */
  constructor(
    code: string,
    message: string,
    partial: PartialTurn,
    options: CodexErrorOptions = {},
  ) {
    super(code, message, withData(options, { threadId: partial.threadId, turnId: partial.turnId }));
    keepPartial(this, partial);
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
  get items(): ThreadItem[] {
    return this.partial.items;
  }
}

const RETRYABLE_KINDS: ReadonlySet<TurnFailureKind> = new Set([
  "rateLimit",
  "overloaded",
  "network",
]);

/** What to do where codex has no login; a sentence without its end. */
export const NOT_LOGGED_IN =
  "Nobody is logged in: run `codex login`, call `client.login()`, or give an `apiKey` to `Client.connect`";

/** What to do about a failure of the credentials, which does not pass by waiting. */
const LOGIN_ADVICE = {
  none: `. ${NOT_LOGGED_IN}; \`client.account()\` tells.`,
  refused:
    ". The login that codex has was refused: run `codex login` anew, or give an `apiKey` to `Client.connect`.",
  elsewhere: ". Check the key of the model's provider; codex has no login for it.",
  unknown:
    ". Nobody is logged in, or the credentials are wrong: run `codex login`, give an `apiKey` to `Client.connect`, or check the " +
    "key of the model's provider.",
};

/**
 * The server reported the turn as failed.
 *
 * ```ts ignore
 * if (error instanceof TurnFailedError) {
 *   console.log(error.kind, error.httpStatus, error.resetsAt, error.retryable);
 * }
 * ```
 */
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
    super(
      "turnFailed",
      `The turn failed (${kind}): ${shorten(redactDiagnostic(message))}${
        kind === "auth" ? LOGIN_ADVICE[options.login ?? "unknown"] : ""
      }`,
      partial,
      { retryable: RETRYABLE_KINDS.has(kind), ...withData(options, { kind }) },
    );
    this.kind = kind;
    this.httpStatus = options.httpStatus ?? null;
    this.resetsAt = options.resetsAt ?? null;
  }
}

/**
 * The turn was interrupted before it completed.
 *
 * ```ts ignore
 * if (error instanceof TurnInterruptedError) {
 *   console.log(error.partialText, error.items.length);
 * }
 * ```
 */
export class TurnInterruptedError extends TurnError {
  /** Creates the error. */
  constructor(partial: PartialTurn, options: CodexErrorOptions = {}) {
    super("turnInterrupted", "The turn was interrupted before it completed.", partial, options);
  }
}

/** Options of {@linkcode TurnTimeoutError}. */
export interface TurnTimeoutErrorOptions extends CodexErrorOptions {
  /** Whether the server has confirmed that the turn has stopped. Default `false`. */
  stopped?: boolean;
  /** Why the model could not be reached when the time was over. Default `null`: it was. */
  unreached?: string | null;
}

const TOLD = "told to stop, which the server has not confirmed: it may still be active";

/**
 * The turn took longer than its `timeoutMs`; the server was told to stop it.
 *
 * ```ts ignore
 * if (error instanceof TurnTimeoutError) {
 *   console.log(error.timeoutMs, error.stopped ? "it has stopped" : "it may go on");
 * }
 * ```
 */
export class TurnTimeoutError extends TurnError {
  /** The limit in milliseconds. */
  readonly timeoutMs: number;
  /** Whether the server had confirmed, when this was thrown, that the turn has stopped. */
  readonly stopped: boolean;

  /** Creates the error. */
  constructor(timeoutMs: number, partial: PartialTurn, options: TurnTimeoutErrorOptions = {}) {
    const { stopped = false, unreached = null } = options;
    super(
      "turnTimeout",
      `The turn took longer than ${timeoutMs} ms and was ${stopped ? "interrupted" : TOLD}.` +
        (unreached === null
          ? " Raise `timeoutMs` for longer turns."
          : ` The model could not be reached: ${shorten(redactDiagnostic(unreached))}`),
      partial,
      withData(options, { stopped }),
    );
    this.timeoutMs = timeoutMs;
    this.stopped = stopped;
  }
}

/** The limit of a run that was used up. */
export interface ExceededLimit {
  /** Which limit. */
  limit: "tokens" | "modelCalls" | "toolCalls";
  /** What it allowed. */
  allowed: number;
  /** What the run had used when it was stopped. */
  used: number;
}

const LIMIT_WORDS = {
  tokens: "tokens",
  modelCalls: "model calls",
  toolCalls: "tool calls",
} as const;

/**
 * The run needed more than its `limits` allow, and was stopped. What it had produced is kept.
 *
 * ```ts ignore
 * try {
 *   await session.ask("Fix every test", { limits: { tokens: 50_000 } });
 * } catch (error) {
 *   if (error instanceof BudgetExceededError) console.log(error.limit, error.used, error.partialText);
 * }
 * ```
 */
export class BudgetExceededError extends TurnError {
  /** The limit that was reached. */
  readonly limit: ExceededLimit["limit"];
  /** What it allowed. */
  readonly allowed: number;
  /** What the run had used, sub-agents included, when it was stopped. */
  readonly used: number;
  /** Whether the server had confirmed, when this was thrown, that the turn has stopped. */
  readonly stopped: boolean;

  /** Creates the error. */
  constructor(
    exceeded: ExceededLimit,
    partial: PartialTurn,
    options: TurnTimeoutErrorOptions = {},
  ) {
    const { limit, allowed, used } = exceeded;
    const { stopped = false } = options;
    super(
      "budgetExceeded",
      `The run needs more than the ${allowed} ${LIMIT_WORDS[limit]} that it may use, and was ` +
        `${stopped ? "stopped" : TOLD}. Used: ${used}. Raise \`limits.${limit}\` for longer runs.`,
      partial,
      withData(options, { limit, allowed, used, stopped }),
    );
    this.limit = limit;
    this.allowed = allowed;
    this.used = used;
    this.stopped = stopped;
  }
}

/**
 * The turn completed without any assistant message.
 *
 * ```ts ignore
 * if (error instanceof EmptyAnswerError) console.log(error.items.map((item) => item.type));
 * ```
 */
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

/**
 * The answer is not JSON, or does not fit the output schema. The text is kept.
 *
 * ```ts ignore
 * if (error instanceof OutputValidationError) console.log(error.text, error.issues);
 * ```
 */
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

// Errors of single features.

/**
 * An attached file does not exist. Nothing was sent.
 *
 * ```ts ignore
 * if (error instanceof AttachmentNotFoundError) console.log(error.path);
 * ```
 */
export class AttachmentNotFoundError extends CodexError {
  /** The path that was looked for, made absolute. */
  readonly path: string;

  /** Creates the error. */
  constructor(path: string, options: CodexErrorOptions = {}) {
    super(
      "attachmentNotFound",
      `The attachment ${path} does not exist. Relative paths are resolved against the session's cwd.`,
      withData(options, { path }),
    );
    this.path = path;
  }
}

/**
 * Another process, or another session of this client, works with the thread: only one may write to it.
 *
 * ```ts ignore
 * if (error instanceof ThreadInUseError) {
 *   console.log(`${error.threadId} is in use elsewhere`);
 * }
 * ```
 */
export class ThreadInUseError extends CodexError {
  /** The thread. */
  readonly threadId: string;

  /** Creates the error; `here` tells that a session of the same client has the thread, or is the message. */
  constructor(threadId: string, options: CodexErrorOptions = {}, here: boolean | string = false) {
    super(
      "threadInUse",
      typeof here === "string"
        ? here
        : here
        ? `The thread ${threadId} is open in another session of this client. Use that one, or close or release it first.`
        : `The thread ${threadId} is in use by another codex process, which keeps it until it ends, also after a session ` +
          "there was released. Resume it on that client, shut that client down and try again, or fork the thread.",
      { retryable: true, ...withData(options, { threadId }) },
    );
    this.threadId = threadId;
  }
}

/**
 * A {@linkcode quickRun} failed; `cause` is the run's own error.
 *
 * ```ts ignore
 * if (error instanceof QuickRunError) console.log(error.kind, error.cause);
 * ```
 */
export class QuickRunError extends CodexError {
  /** What went wrong when codex was shut down afterwards, if anything did. */
  readonly shutdownError?: unknown;
  /** Why the turn failed, where the cause is a `TurnFailedError`; else `null`. */
  readonly kind: TurnFailureKind | null;

  /** Creates the error around the run's error, in its words. */
  constructor(cause: unknown, shutdownError?: unknown) {
    super("quickRun", messageOf(cause), {
      cause,
      retryable: cause instanceof CodexError && cause.retryable,
      data: cause instanceof CodexError ? { causeCode: cause.code } : {},
    });
    this.kind = cause instanceof TurnFailedError ? cause.kind : null;
    if (shutdownError !== undefined) this.shutdownError = shutdownError;
  }
}

/**
 * An edit names another revision than the stored one.
 *
 * ```ts ignore
 * if (error instanceof ArtifactConflictError) {
 *   console.log(error.expectedRevision, error.actualRevision);
 * }
 * ```
 */
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
      { retryable: true, ...withData(options, { expectedRevision, actualRevision }) },
    );
    this.artifactId = artifactId;
    this.expectedRevision = expectedRevision;
    this.actualRevision = actualRevision;
  }
}

/**
 * A web bridge request was refused.
 *
 * ```ts ignore
 * if (error instanceof WebError) return new Response(error.message, { status: error.status });
 * ```
 */
export class WebError extends CodexError {
  /** The HTTP status that answers it. */
  readonly status: number;
  /** A stable word for the reason, such as `"notFound"`. */
  readonly reason: string;

  /** Creates the error. */
  constructor(status: number, reason: string, message: string, options: CodexErrorOptions = {}) {
    super("web", message, withData(options, { status, reason }));
    this.status = status;
    this.reason = reason;
  }
}
