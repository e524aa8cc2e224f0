/**
 * What a tenant hears of an event: nothing about the inside, such as the provider's address, its keys or codex's stderr.
 * @module
 */
import type { TurnEvent } from "../../session/mod.ts";

type KnownTurnEvent = Exclude<TurnEvent, { type: "unknown" }>;

/** What is said about a failure of each kind; the provider's own words are for the operator. */
const FAILURES: Readonly<Record<string, string>> = {
  rateLimit: "The model's provider limits the requests. Try again later.",
  quotaExceeded: "The quota of this server is used up.",
  auth: "This server could not sign in to the model's provider.",
  contextWindow: "The conversation has become too long for the model.",
  overloaded: "The model's provider is overloaded. Try again later.",
  network: "The model's provider could not be reached. Try again later.",
  badRequest: "The model's provider refused the request.",
  sandbox: "The sandbox refused something.",
};

/** The event as a tenant hears it. */
export function forTenants(event: KnownTurnEvent): KnownTurnEvent {
  switch (event.type) {
    case "warning":
      return { ...event, message: "Codex gave a warning." };
    case "retrying":
      return { ...event, message: "The model could not be reached; trying again." };
    case "turnCompleted":
      return event.error === null ? event : {
        ...event,
        error: { kind: event.error.kind, message: failureMessage(event.status, event.error.kind) },
      };
    default:
      return event;
  }
}

function failureMessage(status: string, kind: string): string {
  if (status === "connectionClosed") return "The connection to codex was lost.";
  if (status === "timedOut") return "The turn took too long.";
  if (status === "interrupted") return "The turn was stopped.";
  return Object.hasOwn(FAILURES, kind) ? FAILURES[kind]! : "The turn failed.";
}
