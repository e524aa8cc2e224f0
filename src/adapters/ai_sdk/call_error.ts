/**
 * Errors that the AI SDK knows as its own: it recognises them by marks, not by their class.
 * @module
 */
import {
  CodexError,
  EmptyAnswerError,
  messageOf,
  TurnError,
  TurnFailedError,
  type TurnFailureKind,
  TurnTimeoutError,
  UnsupportedError,
} from "../../errors/mod.ts";

/** Which of the AI SDK's errors an error is. */
export type CallErrorKind =
  | "APICallError"
  | "UnsupportedFunctionalityError"
  | "NoContentGeneratedError"
  | "InvalidPromptError";

/** What an HTTP provider would have answered. */
const STATUS: Partial<Record<TurnFailureKind, number>> = {
  rateLimit: 429,
  quotaExceeded: 429,
  auth: 401,
  contextWindow: 400,
  badRequest: 400,
  overloaded: 503,
};

/**
 * An error of a call through the AI SDK, which its `APICallError.isInstance` and the like recognise; `cause` is what happened.
 * The SDK tries again by itself what is `isRetryable`: a turn in which the model has answered never is, since it may have acted.
 */
export class ModelCallError extends CodexError {
  /** Where the call went. */
  readonly url: string = "codex://app-server";
  /** Left empty: prompts stay out of errors. */
  readonly requestBodyValues: Readonly<Record<string, never>> = {};
  /** The HTTP status that an HTTP provider would have answered with, where there is one. */
  readonly statusCode?: number;
  /** `retry-after`, where it is known. */
  readonly responseHeaders?: Record<string, string>;
  /** Whether the SDK may try again. */
  readonly isRetryable: boolean;
  /** What is not supported, where that is the error. */
  readonly functionality?: string;

  /** Creates the error. */
  constructor(kind: CallErrorKind, message: string, options: ModelCallErrorOptions = {}) {
    const { isRetryable = false, statusCode, responseHeaders, functionality, ...rest } = options;
    super("modelCall", message, { retryable: isRetryable, ...rest });
    this.name = `AI_${kind}`;
    this.isRetryable = isRetryable;
    if (statusCode !== undefined) this.statusCode = statusCode;
    if (responseHeaders !== undefined) this.responseHeaders = responseHeaders;
    if (functionality !== undefined) this.functionality = functionality;
    for (const mark of ["vercel.ai.error", `vercel.ai.error.AI_${kind}`]) {
      Object.defineProperty(this, Symbol.for(mark), { value: true });
    }
  }
}

/** Options of {@linkcode ModelCallError}. */
export interface ModelCallErrorOptions {
  /** What happened. */
  cause?: unknown;
  /** Facts without payload values. */
  data?: Record<string, string | number | boolean | null>;
  /** Whether the SDK may try again. Default `false`. */
  isRetryable?: boolean;
  /** The HTTP status. */
  statusCode?: number;
  /** Headers of the answer. */
  responseHeaders?: Record<string, string>;
  /** What is not supported. */
  functionality?: string;
}

/** The SDK's own error for what codex can't do. */
export function unsupported(functionality: string, advice: string): ModelCallError {
  const message = `Codex does not take ${functionality}. ${advice}`;
  return new ModelCallError("UnsupportedFunctionalityError", message, { functionality });
}

/**
 * A failure in the SDK's words; the caller's own signal's reason stays what it is. `answered` tells that the model has answered
 * before the turn failed: it may have acted then, since codex leaves out the item of a command that ends at once when the turn
 * fails right after it (measured on 0.169).
 */
export function callError(
  error: unknown,
  signal: AbortSignal | undefined,
  answered = false,
): unknown {
  if (signal?.aborted && error === signal.reason) return error;
  if (error instanceof ModelCallError || !(error instanceof CodexError)) return error;
  const data = { code: error.code, ...ids(error) };
  const message = messageOf(error);
  if (error instanceof EmptyAnswerError) {
    return new ModelCallError("NoContentGeneratedError", message, { cause: error, data });
  }
  if (error instanceof UnsupportedError) {
    return new ModelCallError("UnsupportedFunctionalityError", message, {
      cause: error,
      data,
      functionality: error.feature,
    });
  }
  const statusCode = statusOf(error);
  const retryAfter = retryAfterOf(error);
  return new ModelCallError("APICallError", message, {
    cause: error,
    data: error instanceof TurnFailedError ? { ...data, kind: error.kind } : data,
    isRetryable: error.retryable && !answered && !hasActed(error),
    ...(statusCode === null ? {} : { statusCode }),
    ...(retryAfter === null ? {} : { responseHeaders: { "retry-after": retryAfter } }),
  });
}

function ids(error: CodexError): Record<string, string | null> {
  return error instanceof TurnError ? { threadId: error.threadId, turnId: error.turnId } : {};
}

function statusOf(error: CodexError): number | null {
  if (error instanceof TurnTimeoutError) return 408;
  if (!(error instanceof TurnFailedError)) return null;
  return error.httpStatus ?? STATUS[error.kind] ?? null;
}

function retryAfterOf(error: CodexError): string | null {
  if (!(error instanceof TurnFailedError) || error.resetsAt === null) return null;
  return `${Math.max(0, Math.ceil((error.resetsAt.getTime() - Date.now()) / 1000))}`;
}

/** Whether a turn may have changed something: to ask again would do it twice. */
function hasActed(error: CodexError): boolean {
  const harmless = new Set(["userMessage", "agentMessage", "reasoning"]);
  return error instanceof TurnError && error.items.some(({ type }) => !harmless.has(type));
}
