/** The refusals that several files share. */
import {
  AttachmentNotFoundError,
  ConnectionClosedError,
  HookBlockedError,
  InvalidArgumentError,
  RequestTimeoutError,
  RpcError,
  SessionClosedError,
  WebError,
} from "../../errors/mod.ts";
import { base64, stringOf } from "../../json.ts";

/** Also the answer about another tenant's things: whether they exist is nobody else's business. */
export function notFound(what: string): WebError {
  return new WebError(404, "notFound", `There is no such ${what}.`);
}

/** The request is not one that this bridge knows. */
export function badRequest(message: string, reason = "badRequest"): WebError {
  return new WebError(400, reason, message);
}

/** The request does not fit what is going on. */
export function conflict(reason: string, message: string): WebError {
  return new WebError(409, reason, message);
}

/** Too many of something at once. */
export function tooMany(reason: string, message: string): WebError {
  return new WebError(429, reason, message);
}

/** Another server has changed what this one knew. */
export function changedElsewhere(): WebError {
  return new WebError(
    503,
    "sessionMoved",
    "Another server has the session. Try again in a moment.",
  );
}

/** The bridge ends soon. */
export function drainingError(): WebError {
  return new WebError(503, "draining", "This server is about to restart. Try again in a moment.");
}

/** The adapter was closed. */
export function closedError(): WebError {
  return new WebError(503, "closed", "The bridge is closing. Try again in a moment.");
}

// What a caller is told about a failure: enough to act on, nothing about the inside.

/** A failure as the caller sees it. */
export interface HttpFailure {
  /** The HTTP status. */
  status: number;
  /** A stable word for the reason. */
  code: string;
  /** What happened, and what to do. */
  message: string;
}

/** The failure's face to the outside. */
export function httpFailure(error: unknown): HttpFailure {
  // The application's own may have a status that is no refusal, or none at all.
  if (error instanceof WebError && error.status >= 400 && error.status <= 599) {
    return { status: error.status, code: error.reason, message: error.message };
  }
  if (error instanceof AttachmentNotFoundError) {
    return failure(400, "attachmentNotFound", "An attached file does not exist.");
  }
  // What is wrong with anything but the input is the bridge's own doing.
  if (
    (error instanceof InvalidArgumentError &&
      ["prompt", "attachments"].includes(String(error.data?.["where"]))) ||
    // Such as `input_too_large`. 0.169.
    (error instanceof RpcError && stringOf(error.rpcData, "input_error_code") !== null)
  ) {
    return failure(400, "badRequest", "Codex does not take this input.");
  }
  // One that failed refused nothing: whoever wrote it has to hear of it.
  if (error instanceof HookBlockedError && error.data?.["reason"] !== "hookFailed") {
    return failure(403, "blocked", "A rule of this server does not allow that.");
  }
  if (error instanceof SessionClosedError) {
    return failure(409, "sessionClosed", "The session was released. Try again.");
  }
  if (error instanceof RequestTimeoutError) {
    return failure(504, "timeout", "Codex did not answer in time. Try again.");
  }
  if (error instanceof ConnectionClosedError) {
    return failure(503, "unavailable", "Codex is not available. Try again later.");
  }
  if (error instanceof RpcError) return failure(502, "codexRefused", "Codex refused the request.");
  return failure(500, "internal", "Something went wrong here.");
}

/** A failure as an answer. */
export function errorResponse(
  { status, code, message }: HttpFailure,
  headers: Record<string, string> = {},
): Response {
  return Response.json({ code, message }, {
    status,
    headers: {
      ...headers,
      ...(status === 429 || status === 503 ? { "retry-after": "1" } : {}),
    },
  });
}

function failure(status: number, code: string, message: string): HttpFailure {
  return { status, code, message };
}

// Names that can't be guessed.

/** A prefix and `bytes` random bytes, in letters, digits, `_` and `-`. */
export function randomId(prefix: string, bytes = 24): string {
  const random = crypto.getRandomValues(new Uint8Array(bytes));
  return prefix + urlSafe(random);
}

function urlSafe(bytes: Uint8Array): string {
  return base64(bytes).replaceAll("+", "_").replaceAll("/", "-").replaceAll("=", "");
}

/** A session's id. */
export function sessionId(): string {
  return randomId("sess_");
}

/** The id of a session that follows from a name: who may use it is decided by its tenant, not by who knows the id. */
export async function sessionIdOf(name: string): Promise<string> {
  const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(name));
  return `sess_${urlSafe(new Uint8Array(hash).subarray(0, 24))}`;
}

/** Whether it has the form of a session's id; anything else is not looked for. */
export function isSessionId(id: string): boolean {
  return /^sess_[\w-]{32}$/.test(id);
}
