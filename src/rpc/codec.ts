/**
 * Messages to lines and back.
 * @module
 */
import { fitsJson, jsonMisfit } from "../check/mod.ts";
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

/**
 * Encodes a message of this side; what is undefined in it is left out, as the server wants it. The server drops a line
 * that it can't read and answers nothing, so whatever it could not read is refused here, with its path; half an emoji is
 * replaced, since every text that was cut at a length may end with one.
 */
export function encode(message: OutboundMessage): string {
  let text: string | undefined;
  let cause: unknown;
  try {
    if (fitsJson(message)) text = JSON.stringify(message);
  } catch (error) {
    cause = error;
  }
  if (text === undefined) throw unsendable(message, cause);
  // JSON.stringify escapes half of a surrogate pair, and only that.
  return text.includes("\\ud") ? wellFormed(text) : text;
}

/** Escapes are read from left to right: `\\ud83c` is a backslash and four letters. */
function wellFormed(text: string): string {
  return text.replace(
    /\\(?:u[0-9a-f]{4}|.)/g,
    (escape) => escape.startsWith("\\ud") ? "\ufffd" : escape,
  );
}

function unsendable(message: OutboundMessage, cause: unknown): RpcValidationError {
  const { method } = message;
  const subject = method === undefined ? "result" : "params";
  const misfit = jsonMisfit(message);
  const path = (misfit?.path ?? "$").replace(/^\$\.(?:params|result)/, "$");
  const expectation = `expected what JSON can carry, got ${misfit?.found ?? "something else"}`;
  return new RpcValidationError(method ?? "an answer", subject, path, expectation, { cause });
}
