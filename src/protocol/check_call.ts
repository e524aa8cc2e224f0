/**
 * What is checked of a call before it is sent, and of its answer before the caller gets it.
 * @module
 */
import { RpcValidationError } from "../errors/mod.ts";
import { methodInfo } from "./inventory.ts";
import { findExperimental, validateParams, validateResult } from "./validator.ts";

/**
 * Why a request may not be sent, or `null`. The server would take experimental ones from this library, which needs some for
 * itself, so whether the caller may use them is decided here.
 */
export function checkCall(
  method: string,
  params: unknown,
  experimentalApi: boolean,
): RpcValidationError | null {
  const known = methodInfo(method)?.kind;
  if (known !== "clientRequest") {
    return new RpcValidationError(
      short(method),
      "params",
      "$",
      known === undefined
        ? "expected a method that this library knows; `requestUnchecked` sends others"
        : "expected a request of the client, got a method of another kind",
    );
  }
  return checkParams(method, params, experimentalApi);
}

/** Why a notification may not be sent, or `null`. */
export function checkNotification(
  method: string,
  params: unknown,
  experimentalApi: boolean,
): RpcValidationError | null {
  const known = methodInfo(method)?.kind;
  if (known === undefined) return null;
  if (known === "clientNotification") return checkParams(method, params, experimentalApi);
  const expected = "expected a notification of the client, got a method of another kind";
  return new RpcValidationError(method, "params", "$", expected);
}

function checkParams(
  method: string,
  params: unknown,
  experimentalApi: boolean,
): RpcValidationError | null {
  const path = experimentalApi ? null : findExperimental(method, params);
  if (path !== null) {
    const what = path === "$" ? "method" : "field";
    return new RpcValidationError(
      method,
      "params",
      path,
      `expected no experimental ${what}; set \`experimentalApi: true\` in the client's configuration to use it`,
    );
  }
  const issue = validateParams(method, params);
  if (issue === null) return null;
  return new RpcValidationError(method, "params", issue.path, issue.expectation);
}

/** What an answer lacks of what its type promises, or `null`. */
export function checkAnswer(method: string, result: unknown): RpcValidationError | null {
  const issue = validateResult(method, result);
  if (issue === null) return null;
  return new RpcValidationError(method, "result", issue.path, issue.expectation);
}

/** A method that is unknown may be any text. */
function short(method: string): string {
  return method.length > 80 ? `${method.slice(0, 79)}…` : method;
}

/** Whether this library knows the method. */
export function isKnown(method: string): boolean {
  return methodInfo(method) !== undefined;
}
