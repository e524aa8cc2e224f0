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

/** The adapter was closed. */
export function closedError(): WebError {
  return new WebError(503, "closed", "The bridge is closing. Try again in a moment.");
}
