/**
 * Messages to lines and back.
 * @module
 */
import { RpcValidationError } from "../errors/mod.ts";
import type { JsonValue } from "../json.ts";
import { classify, type OutboundMessage, type RpcMessage } from "./envelope.ts";

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

/** Encodes a message of this side; what is undefined in it is left out, as the server wants it. */
export function encode(message: OutboundMessage): string {
  try {
    return JSON.stringify(message);
  } catch (cause) {
    // A BigInt or a cycle: say so before anything is sent, in the words of a validation failure.
    const { method = "an answer" } = message;
    throw new RpcValidationError(method, "params", "$", "expected a value that JSON can carry", {
      cause,
    });
  }
}
