/**
 * What a caller is told about a failure: enough to act on, nothing about the inside.
 * @module
 */
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
  if (error instanceof WebError) {
    return { status: error.status, code: error.reason, message: error.message };
  }
  if (error instanceof AttachmentNotFoundError) {
    return failure(400, "attachmentNotFound", "An attached file does not exist.");
  }
  // What is wrong with anything but the input is the bridge's own doing.
  if (
    error instanceof InvalidArgumentError &&
    ["prompt", "attachments"].includes(String(error.data?.["where"]))
  ) {
    return failure(400, "badRequest", "Codex does not take this input.");
  }
  if (error instanceof HookBlockedError) {
    return failure(403, "blocked", "A rule of this server does not allow that.");
  }
  if (error instanceof SessionClosedError) {
    return failure(409, "sessionClosed", "The session was let go of. Try again.");
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
