/**
 * Checks messages against the protocol: strictly what is sent, tolerantly what is received.
 *
 * - **Sent** (parameters of client methods, answers to server requests): required fields, types, closed enums and
 *   unions. A field that the type does not name is refused wherever it is, because the server would ignore it
 *   silently, and a misspelt sandbox option must not.
 * - **Received** (results, parameters of server requests and notifications): what every supported version
 *   promises must be there, with its type; unknown fields, enum values, variants and methods pass.
 *
 * @module
 */
import { fits } from "./check.ts";
import { explain, type Issue } from "./explain.ts";
import { definition } from "./table.ts";
import { methodInfo, type MethodKind } from "./methods.ts";

export type { Issue } from "./explain.ts";

/**
 * Checks the parameters of a client request or notification before they are sent.
 * Returns `null` when they fit. An unknown method is an issue too.
 */
export function validateParams(method: string, value: unknown): Issue | null {
  const info = methodInfo(method);
  if (info === undefined || !info.kind.startsWith("client")) {
    return { path: "$", expectation: `expected a method of the client, got ${quoted(method)}` };
  }
  return parameters(info.params, info.paramsOptional, value, false);
}

/** Checks the result of a client request. Returns `null` when it fits or the method is unknown. */
export function validateResult(method: string, value: unknown): Issue | null {
  return result(method, "clientRequest", value, true);
}

/** Checks the parameters of a server request. Returns `null` when they fit or the method is unknown. */
export function validateServerRequestParams(method: string, value: unknown): Issue | null {
  return received(method, "serverRequest", value);
}

/** Checks an answer before it is sent. Returns `null` when it fits or the method is unknown. */
export function validateServerRequestResult(method: string, value: unknown): Issue | null {
  return result(method, "serverRequest", value, false);
}

/** Checks the parameters of a server notification. Returns `null` when they fit or the method is unknown. */
export function validateNotification(method: string, value: unknown): Issue | null {
  return received(method, "serverNotification", value);
}

function received(method: string, kind: MethodKind, value: unknown): Issue | null {
  const info = methodInfo(method);
  if (info?.kind !== kind) return null;
  return parameters(info.params, info.paramsOptional, value, true);
}

function result(method: string, kind: MethodKind, value: unknown, open: boolean): Issue | null {
  const info = methodInfo(method);
  if (info?.kind !== kind || info.result === null) return null;
  return against(info.result, value, open);
}

function parameters(
  name: string | null,
  optional: boolean,
  value: unknown,
  open: boolean,
): Issue | null {
  if (optional && (value === undefined || value === null)) return null;
  if (name !== null) return against(name, value, open);
  // The server takes an empty object for no parameters.
  if (open || (typeof value === "object" && Object.keys(value as object).length === 0)) return null;
  return { path: "$", expectation: "expected no parameters" };
}

function against(name: string, value: unknown, open: boolean): Issue | null {
  const type = definition(name);
  return fits(type, value, open) ? null : explain(type, value, open);
}

/** A method name for a message: shortened, since it may be anything. */
function quoted(method: string): string {
  return JSON.stringify(method.length > 80 ? `${method.slice(0, 79)}…` : method);
}
