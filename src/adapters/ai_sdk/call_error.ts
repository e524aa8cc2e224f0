/**
 * Failures of codex as the AI SDK's errors.
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
import { present } from "../../json.ts";
import { ModelCallError } from "./model_call_error.ts";

/** What an HTTP provider would have answered. */
const STATUS: Partial<Record<TurnFailureKind, number>> = {
  rateLimit: 429,
  quotaExceeded: 429,
  auth: 401,
  contextWindow: 400,
  badRequest: 400,
  overloaded: 503,
};

/** The SDK's own error for what codex can't do. */
export function unsupported(functionality: string, advice: string): ModelCallError {
  const message = `Codex does not take ${functionality}. ${advice}`;
  return new ModelCallError("UnsupportedFunctionalityError", message, { functionality });
}

/**
 * A failure in the SDK's words; the caller's own signal's reason stays what it is. `answered` tells that the model has answered
 * before the turn failed, or that a tool of this process has run: it may have acted then, since codex tells nothing of a command
 * that its sandbox stopped within its first moments (0.104 to 0.169: neither on the wire nor in its record of the turn).
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
  const retryAfter = retryAfterOf(error);
  return new ModelCallError("APICallError", message, {
    cause: error,
    data: error instanceof TurnFailedError ? { ...data, kind: error.kind } : data,
    isRetryable: error.retryable && !answered && !hasActed(error),
    ...present({ statusCode: statusOf(error) }),
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
