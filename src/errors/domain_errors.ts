/**
 * Errors of single features.
 * @module
 */
import { CodexError, type CodexErrorOptions, messageOf } from "./codex_error.ts";
import { TurnFailedError, type TurnFailureKind } from "./turn_errors.ts";

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

/** Another process works with the thread: codex lets only one write to it. */
export class ThreadInUseError extends CodexError {
  /** The thread. */
  readonly threadId: string;

  /** Creates the error. */
  constructor(threadId: string, options: CodexErrorOptions = {}) {
    super(
      "threadInUse",
      `The thread ${threadId} is in use by another codex process, which keeps it until it ends, also after a session ` +
        "there was released. Resume it on that client, shut that client down and try again, or fork the thread.",
      { retryable: true, ...options, data: { threadId, ...options.data } },
    );
    this.threadId = threadId;
  }
}

/** A {@linkcode quickRun} failed; `cause` is the run's own error. */
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
