/**
 * What a request to the bridge says, checked: its body, prompts, and answers to questions.
 * @module
 */
import { longTimeout } from "../../async.ts";
import type { ApprovalDecision, ApprovalRequest } from "../../approvals/mod.ts";
import { WebError } from "../../errors/mod.ts";
import { isJsonObject, joinBytes, type JsonObject, stringOf } from "../../json.ts";
import type { Attachment, PromptWithAttachments } from "../../prompt.ts";
import type { AttachmentPolicy } from "../types.ts";
import { badRequest } from "./refusals.ts";

/** What tenants may choose from. */
export interface RequestPolicy {
  /** The models. */
  models: readonly string[];
  /** The efforts. */
  efforts: readonly string[];
  /** The longest turn in milliseconds; may be `Infinity`. */
  maxTimeoutMs: number;
  /** Which attachments pass. */
  attachments: AttachmentPolicy;
}

/** A session that may be created. */
export interface CheckedSession {
  /** The model, or `null`. */
  model: string | null;
  /** The effort, or `null`. */
  effort: string | null;
  /** The thread to go on with, or `null`. */
  threadId: string | null;
}

/** A turn that may be started. */
export interface CheckedTurn {
  /** What is asked. */
  prompt: PromptWithAttachments;
  /** The model, or `null` for the session's. */
  model: string | null;
  /** The effort, or `null` for the session's. */
  effort: string | null;
  /** Milliseconds, or `null` for the bridge's own. */
  timeoutMs: number | null;
}

/** Checks the body of a new session. Throws `WebError` 400. */
export function checkSession(body: unknown, policy: RequestPolicy): CheckedSession {
  const fields = known(body, ["model", "effort", "threadId"]);
  const { threadId } = fields;
  if (threadId !== undefined && (typeof threadId !== "string" || threadId === "")) {
    throw badRequest("threadId must be a string.");
  }
  const model = oneOf(fields["model"], policy.models, "model");
  const effort = oneOf(fields["effort"], policy.efforts, "effort");
  if (threadId !== undefined && (model !== null || effort !== null)) {
    throw badRequest(
      "The session of a threadId keeps its model and effort: ask a turn with others.",
    );
  }
  return { model, effort, threadId: threadId ?? null };
}

/** Checks the body of a new turn. Throws `WebError` 400. */
export function checkTurn(body: unknown, policy: RequestPolicy): CheckedTurn {
  const fields = known(body, ["text", "attachments", "model", "effort", "timeoutMs"]);
  return {
    prompt: prompt(fields, policy.attachments),
    model: oneOf(fields["model"], policy.models, "model"),
    effort: oneOf(fields["effort"], policy.efforts, "effort"),
    timeoutMs: timeout(fields["timeoutMs"], policy.maxTimeoutMs),
  };
}

/** Checks the body of a steering. Throws `WebError` 400. */
export function checkSteer(body: unknown, policy: RequestPolicy): PromptWithAttachments {
  return prompt(known(body, ["text", "attachments"]), policy.attachments);
}

/** The fields, when there are no others: one that is overlooked today must not mean something tomorrow. */
export function known(body: unknown, names: readonly string[]): JsonObject {
  if (!isJsonObject(body)) throw badRequest("The body must be a JSON object.");
  const other = Object.keys(body).find((name) => !names.includes(name));
  if (other === undefined) return body;
  throw badRequest(
    `The field ${JSON.stringify(other.slice(0, 60))} is not one of: ${names.join(", ")}.`,
    "unknownField",
  );
}

function oneOf(value: unknown, allowed: readonly string[], name: string): string | null {
  if (value === undefined || value === null) return null;
  if (typeof value === "string" && allowed.includes(value)) return value;
  throw badRequest(
    allowed.length === 0
      ? `${name} can't be chosen here; leave it out.`
      : `${name} must be one of: ${allowed.join(", ")}.`,
    "notAllowed",
  );
}

function timeout(value: unknown, max: number): number | null {
  if (value === undefined || value === null) return null;
  if (typeof value === "number" && value > 0 && value <= max) return value;
  const limit = max === Infinity ? "" : ` up to ${max}`;
  throw badRequest(`timeoutMs must be a positive number${limit}.`, "notAllowed");
}

/** Each may be a file that is looked for, while nobody else is served. */
const MAX_ATTACHMENTS = 256;

function prompt(fields: JsonObject, policy: AttachmentPolicy): PromptWithAttachments {
  const { text, attachments = [] } = fields;
  if (typeof text !== "string" || text.trim() === "") {
    throw badRequest("text must be a string that says something.");
  }
  if (!Array.isArray(attachments)) throw badRequest("attachments must be a list.");
  if (attachments.length > MAX_ATTACHMENTS) {
    throw badRequest(`No more than ${MAX_ATTACHMENTS} attachments can be sent along.`);
  }
  const checked = attachments.map((each) => attachment(each, policy));
  return { text, ...(checked.length === 0 ? {} : { attachments: checked }) };
}

function attachment(value: unknown, policy: AttachmentPolicy): Attachment {
  const given = typeof value === "string" ? { type: "path", path: value } : value;
  if (!isJsonObject(given)) throw badRequest("Each attachment must be a path or an object.");
  const { type } = given;
  if (type === "image" && policy !== "none") {
    const { url } = known(given, ["type", "url"]);
    if (typeof url === "string" && /^data:image\/[\w.+-]+;base64,[A-Za-z0-9+/=]+$/.test(url)) {
      return { type, url };
    }
    throw badRequest("An image's url must be a base64 data: URL.", "notAllowed");
  }
  if ((type === "path" || type === "localImage") && policy === "files") {
    const { path } = known(given, ["type", "path"]);
    if (typeof path === "string" && staysBelow(path)) return { type, path };
    throw badRequest(
      "An attachment's path must be relative and stay below the directory.",
      "notAllowed",
    );
  }
  throw badRequest("This kind of attachment is not allowed here.", "notAllowed");
}

/** A relative path, on every system, that does not climb out. */
function staysBelow(path: string): boolean {
  const parts = path.split(/[\\/]/);
  return path !== "" && !/^[\\/~]|[\0\n\r]|^[A-Za-z]:/.test(path) && !parts.includes("..");
}

// Which answers a tenant may give: for its own session, now, and nothing that outlives the session.

/** The questions that are put to people. The others are this process's own business. */
const FOR_PEOPLE: ReadonlySet<ApprovalRequest["type"]> = new Set([
  "command",
  "fileChange",
  "permissions",
  "userInput",
  "elicitation",
]);

const WORDS: ReadonlySet<unknown> = new Set(["accept", "acceptForSession", "decline", "cancel"]);

/** Whether a person is asked. */
export function isForPeople(request: Pick<ApprovalRequest, "type">): boolean {
  return FOR_PEOPLE.has(request.type);
}

/**
 * Checks the body of an answer. Throws `WebError` 400. Whether it fits its question is for the broker to say; here the
 * answers fall that would reach beyond the session, such as rules that codex writes down for everybody.
 */
export function checkAnswer(body: unknown): ApprovalDecision {
  if (!isJsonObject(body)) throw badRequest("The body must be a JSON object.");
  if ("decision" in body) {
    known(body, ["decision", "reason"]);
    if (!WORDS.has(body["decision"])) {
      throw badRequest(`decision must be one of: ${[...WORDS].join(", ")}.`, "invalidAnswer");
    }
    if (body["reason"] !== undefined && typeof body["reason"] !== "string") {
      throw badRequest("reason must be a string.", "invalidAnswer");
    }
  } else if ("permissions" in body) {
    known(body, ["permissions", "scope"]);
  } else if ("answers" in body) {
    known(body, ["answers"]);
  } else if ("action" in body) {
    known(body, ["action", "content", "persist"]);
    if (body["persist"] !== undefined && body["persist"] !== "session") {
      throw badRequest("persist can only be session here.", "invalidAnswer");
    }
  } else {
    throw badRequest(
      "An answer has decision, permissions, answers or action.",
      "invalidAnswer",
    );
  }
  return body as unknown as ApprovalDecision;
}

// Request bodies of limited size and time.

/** How large a body may be, and how long it may take. */
export interface BodyLimits {
  /** Bytes. */
  maxBytes: number;
  /** Milliseconds for the whole of it. */
  timeoutMs: number;
}

/** Reads a JSON body; an empty one is `{}`. Throws `WebError` 413, 408 or 400, and reads no more than it must. */
export async function readJson(request: Request, limits: BodyLimits): Promise<unknown> {
  const bytes = await readBytes(request, limits);
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw badRequest("The body could not be read as UTF-8 text.", "invalidJson");
  }
  if (text.trim() === "") return {};
  try {
    return JSON.parse(text);
  } catch {
    throw badRequest("The body is not JSON.", "invalidJson");
  }
}

/** All bytes of a body. Throws `WebError` 413 or 408, or 400 when it breaks off; reads no more than it must. */
export async function readBytes(
  request: Request,
  { maxBytes, timeoutMs }: BodyLimits,
): Promise<Uint8Array> {
  const { body } = request;
  const told = Number(request.headers.get("content-length") ?? 0);
  if (request.bodyUsed || (body === null && told > 0 && request.method === "POST")) {
    throw readAlready();
  }
  if (body === null) return new Uint8Array();
  if (told > maxBytes) {
    // Left unread, some servers would keep the connection waiting for it. Bun never settles it for a copy of a request.
    body.cancel().catch(() => {});
    throw tooLarge(maxBytes);
  }
  const reader = (body as ReadableStream<Uint8Array>).getReader();
  const late = Promise.withResolvers<null>();
  const inTime = longTimeout(() => late.resolve(null), timeoutMs);
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    for (;;) {
      const next = await Promise.race([reader.read(), late.promise]);
      if (next === null) throw tooSlow(timeoutMs);
      if (next.done) break;
      length += next.value.length;
      if (length > maxBytes) throw tooLarge(maxBytes);
      chunks.push(next.value);
    }
  } catch (error) {
    // Not waited for: what does not come may not end either.
    reader.cancel().catch(() => {});
    if (error instanceof WebError) throw error;
    throw badRequest("The body broke off.", "invalidJson");
  } finally {
    inTime();
  }
  if (length === 0 && told > 0) throw readAlready();
  return joinBytes(chunks);
}

/** The request with a body that was read already. */
export function withBody(request: Request, body: Uint8Array): Request {
  const { method, url, headers } = request;
  if (request.body === null) return request;
  return new Request(url, { method, headers, body: body as Uint8Array<ArrayBuffer> });
}

/** The `threadId` that a JSON body names, or `null`. */
export function threadIdIn(body: Uint8Array): string | null {
  try {
    return stringOf(JSON.parse(new TextDecoder().decode(body)), "threadId");
  } catch {
    return null;
  }
}

/** Such as by Express's `json()`. Taken for an empty body it would silently mean something else. */
function readAlready(): WebError {
  return new WebError(500, "bodyRead", "The body was read in front of the bridge. Mount it first.");
}

function tooLarge(maxBytes: number): WebError {
  return new WebError(413, "tooLarge", `A body may have up to ${maxBytes} bytes.`);
}

function tooSlow(timeoutMs: number): WebError {
  return new WebError(408, "bodyTimeout", `A body may take up to ${timeoutMs} ms.`, {
    retryable: true,
  });
}
