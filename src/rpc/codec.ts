/**
 * JSON-RPC messages as codex writes them (without a `jsonrpc` member), to lines and back.
 * @module
 */
import {
  defined,
  fitsJson,
  isJsonObject,
  jsonMisfit,
  type JsonObject,
  type JsonValue,
  kindOf,
  MAX_JSON_DEPTH,
} from "../json.ts";
import { RpcValidationError } from "../errors/mod.ts";
import type { TraceContext } from "../telemetry.ts";

/** Identifies a call; the server numbers its own questions from 0. */
export type RpcId = number | string;

/** The server's answer to a call. */
export interface RpcResponse {
  /** Discriminator. */
  kind: "response";
  /** The call. */
  id: RpcId;
  /** The result, unless `error` is set. */
  result: JsonValue;
  /** The error, or `null`. */
  error: RpcErrorObject | null;
  /** The whole message as it was decoded. */
  raw: JsonObject;
}

/** What went wrong, in the server's words. */
export interface RpcErrorObject {
  /** JSON-RPC error code. */
  code: number;
  /** The server's message. */
  message: string;
  /** More, when there is more. */
  data?: JsonValue;
}

/** A question that wants an answer. */
export interface RpcRequest {
  /** Discriminator. */
  kind: "request";
  /** Echoed in the answer. */
  id: RpcId;
  /** What is asked. */
  method: string;
  /** Its parameters; an empty object when there are none. */
  params: JsonObject;
  /** The whole message as it was decoded. */
  raw: JsonObject;
}

/** A notification. */
export interface RpcNotification {
  /** Discriminator. */
  kind: "notification";
  /** What happened. */
  method: string;
  /** Its parameters; an empty object when there are none. */
  params: JsonObject;
  /** The whole message as it was decoded. */
  raw: JsonObject;
}

/** A line that is no JSON-RPC message. */
export interface RpcMalformed {
  /** Discriminator. */
  kind: "malformed";
  /** What is wrong with it, without its content. */
  reason: string;
}

/** One decoded line. */
export type RpcMessage = RpcResponse | RpcRequest | RpcNotification | RpcMalformed;

/** What the server's side of a skipped message told before its size was known. */
export interface OversizeMessage {
  /** Bytes of the message. */
  bytes: number;
  /** Its id, if it is a request; without a method that of the call it answers. */
  rpcId: RpcId | null;
  /** Its method, if it is a notification or a request. */
  method: string | null;
  /** Its thread, as far as it can be seen. */
  threadId: string | null;
}

/** A message of this side. */
export interface OutboundMessage {
  /** The call's or answer's id. */
  id?: RpcId;
  /** The method of a call or notification. */
  method?: string;
  /** Parameters of a call or notification. */
  params?: JsonValue | undefined;
  /** The trace of who calls; old servers ignore it. */
  trace?: TraceContext | undefined;
  /** The answer to a question. */
  result?: JsonValue;
  /** The refusal of a question. */
  error?: RpcErrorObject;
}

/** Says what a decoded JSON value is. */
function classify(value: JsonValue): RpcMessage {
  if (!isJsonObject(value)) return malformed(`expected an object, got ${kindOf(value)}`);
  const id = value["id"];
  const method = value["method"];
  const hasId = typeof id === "number" || typeof id === "string";
  if (typeof method === "string") {
    const params = value["params"];
    const known = isJsonObject(params) ? params : {};
    if (id === undefined || id === null) {
      return { kind: "notification", method, params: known, raw: value };
    }
    if (hasId) return { kind: "request", id, method, params: known, raw: value };
    return malformed(`the id of ${method} is ${kindOf(id)}`);
  }
  if (!hasId) return malformed("neither a method nor an id");
  const error = value["error"];
  if (isJsonObject(error)) {
    return { kind: "response", id, result: null, error: errorObject(error), raw: value };
  }
  if (value["result"] === undefined) return malformed("an id with neither result nor error");
  return { kind: "response", id, result: value["result"], error: null, raw: value };
}

function errorObject(error: JsonObject): RpcErrorObject {
  const code = error["code"];
  const message = error["message"];
  const data = error["data"];
  return {
    code: typeof code === "number" ? code : -32603,
    message: typeof message === "string" ? message : "the server gave no message",
    ...defined({ data }),
  };
}

function malformed(reason: string): RpcMalformed {
  return { kind: "malformed", reason };
}

/** Decodes one line; a line that is no message is told as `malformed`, never thrown. */
export function decode(line: string): RpcMessage {
  let value: JsonValue;
  try {
    value = JSON.parse(line);
  } catch {
    return malformed("not JSON");
  }
  return classify(value);
}

// The thread that a message names itself, among the first or the last of its params: what a model made may stand in them.
const THREAD_FIRST =
  /^[^{]*\{[^{]*"params":\{(?:"\w+":[^{["]*(?:"[^"\\]*")?,)*"threadId":"([^"\\]+)"/;
const THREAD_LAST =
  /"threadId":"([^"\\]+)"(?:,"\w+":[^{}[\]"]*(?:"[^"\\]*")?)*\}[^{}"]*(?:"\w+":\d+)?\}\s*$/;

/** Reads what can be known of a message from its first and last bytes. Codex writes a question's method before its id. */
export function describeOversize(bytes: number, head: string, tail: string): OversizeMessage {
  const [, number, text = null] =
    /^\s*\{(?:\s*"method"\s*:\s*"[^"\\]+"\s*,)?\s*"id"\s*:\s*(?:(\d+)|"([^"\\]*)")/.exec(head) ??
      [];
  const method = /^\s*\{(?:\s*"id"\s*:[^,{]*,)?\s*"method"\s*:\s*"([^"\\]+)"/.exec(head)?.[1] ??
    null;
  return {
    bytes,
    rpcId: number === undefined ? text : Number(number),
    method,
    threadId: method === null
      ? null
      : THREAD_FIRST.exec(head)?.[1] ?? THREAD_LAST.exec(tail)?.[1] ?? null,
  };
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
    // Whatever else is in a message is this library's own.
    const { params, trace, result, error } = message;
    if (fits(params) && fits(trace) && fits(result) && fits(error)) text = JSON.stringify(message);
  } catch (error) {
    cause = error;
  }
  if (text === undefined) throw unsendable(message, cause);
  // JSON.stringify escapes half of a surrogate pair, and only that.
  return text.includes("\\ud") ? wellFormed(text) : text;
}

function fits(value: unknown): boolean {
  return value === undefined || fitsJson(value, MAX_JSON_DEPTH - 1);
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
