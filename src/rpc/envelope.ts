/**
 * JSON-RPC messages as codex writes them: without a `jsonrpc` member.
 * @module
 */
import { isJsonObject, type JsonObject, type JsonValue } from "../json.ts";

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

/** News. */
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

/** A message of this side. */
export interface OutboundMessage {
  /** The call's or answer's id. */
  id?: RpcId;
  /** The method of a call or news. */
  method?: string;
  /** Parameters of a call or news. */
  params?: JsonValue | undefined;
  /** The answer to a question. */
  result?: JsonValue;
  /** The refusal of a question. */
  error?: RpcErrorObject;
}

/** Says what a decoded JSON value is. */
export function classify(value: JsonValue): RpcMessage {
  if (!isJsonObject(value)) return malformed(`expected an object, got ${typeName(value)}`);
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
    return malformed(`the id of ${method} is ${typeName(id)}`);
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
    ...(data === undefined ? {} : { data }),
  };
}

function malformed(reason: string): RpcMalformed {
  return { kind: "malformed", reason };
}

function typeName(value: JsonValue): string {
  return value === null ? "null" : Array.isArray(value) ? "an array" : `a ${typeof value}`;
}
