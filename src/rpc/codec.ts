/**
 * Messages to lines and back.
 * @module
 */
import { RpcValidationError } from "../errors.ts";
import type { JsonValue } from "../json.ts";
import { classify, type RpcErrorObject, type RpcId, type RpcMessage } from "./envelope.ts";

/** Decodes one line; a line that is no message is told as `malformed`, never thrown. */
export function decode(line: string): RpcMessage {
  let value: JsonValue;
  try {
    value = JSON.parse(line);
  } catch {
    return { kind: "malformed", reason: "not JSON" };
  }
  return classify(value);
}

/** Encodes a call. Methods without parameters want them left out, the others want at least `{}`. */
export function encodeRequest(id: RpcId, method: string, params: JsonValue | undefined): string {
  return encode(method, params === undefined ? { id, method } : { id, method, params });
}

/** Encodes news for the server. */
export function encodeNotification(method: string, params: JsonValue | undefined): string {
  return encode(method, params === undefined ? { method } : { method, params });
}

/** Encodes the answer to a question of the server. */
export function encodeResult(id: RpcId, result: JsonValue): string {
  return encode("result", { id, result });
}

/** Encodes the refusal of a question of the server. */
export function encodeError(id: RpcId, error: RpcErrorObject): string {
  return encode("error", { id, error });
}

function encode(method: string, message: unknown): string {
  try {
    return JSON.stringify(message);
  } catch (cause) {
    // A BigInt or a cycle: say so before anything is sent, in the words of a validation failure.
    throw new RpcValidationError(method, "params", "$", "expected a value that JSON can carry", {
      cause,
    });
  }
}
