/**
 * What answers of the server tell a diagnosis.
 * @module
 */
import { type JsonValue, memberOf, stringOf } from "../../json.ts";
import { servedMethods } from "../../protocol/mod.ts";
import type { DiagnosedDrift, DiagnosedLogin } from "./diagnosis_types.ts";

/** Reads the answer to `account/read`, without whose account it is. */
export function loginOf(answer: JsonValue): DiagnosedLogin {
  return {
    type: stringOf(answer, "account", "type"),
    plan: stringOf(answer, "account", "planType"),
    required: memberOf(answer, "requiresOpenaiAuth") === true,
  };
}

/** Reads the methods that a server has from its refusal of one that it has not; `null` when it names none. */
export function driftOf(refusal: string, known: ReadonlySet<string>): DiagnosedDrift | null {
  const served = servedMethods(refusal);
  if (served === null) return null;
  return {
    missing: [...known].filter((method) => !served.has(method)).sort(),
    unknown: [...served].filter((method) => !known.has(method)).sort(),
  };
}
