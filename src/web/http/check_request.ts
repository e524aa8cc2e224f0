/**
 * What a tenant may ask for: an allow-list of fields and of their values. Everything else is refused.
 * @module
 */
import { isJsonObject } from "../../json.ts";
import type { Attachment, PromptWithAttachments } from "../../prompt.ts";
import { badRequest } from "./refusals.ts";
import type { AttachmentPolicy } from "../types.ts";

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
  return {
    model: oneOf(fields["model"], policy.models, "model"),
    effort: oneOf(fields["effort"], policy.efforts, "effort"),
    threadId: threadId ?? null,
  };
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

type Fields = Record<string, unknown>;

/** The fields, when there are no others: one that is overlooked today must not mean something tomorrow. */
function known(body: unknown, names: readonly string[]): Fields {
  if (!isJsonObject(body)) throw badRequest("The body must be a JSON object.");
  const other = Object.keys(body).find((name) => !names.includes(name));
  if (other !== undefined) {
    throw badRequest(
      `The field ${JSON.stringify(other.slice(0, 60))} is not one of: ${names.join(", ")}.`,
      "unknownField",
    );
  }
  return body;
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

function prompt(fields: Fields, policy: AttachmentPolicy): PromptWithAttachments {
  const { text, attachments = [] } = fields;
  if (typeof text !== "string" || text.trim() === "") {
    throw badRequest("text must be a string that says something.");
  }
  if (!Array.isArray(attachments)) throw badRequest("attachments must be a list.");
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
