/** The refusals that several files share. */
import { WebError } from "../../errors/mod.ts";

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
