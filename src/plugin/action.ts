/**
 * What a pre-hook's answer means, whatever it returned.
 * @module
 */
import { isJsonObject, type JsonObject } from "../json.ts";
import type { Attachment } from "../prompt.ts";
import type { HookAction, HookPatch, PreHookPhase } from "./types.ts";

/** What a phase hands to its pre-hooks to change, and gets back. */
export interface Patchable {
  /** The text of the prompt. */
  prompt?: string;
  /** The model. */
  model?: string;
  /** The attachments. */
  attachments?: readonly (string | Attachment)[];
  /** What the hooks noted so far. */
  metadata: JsonObject;
}

/** Of each kind of attachment the strings that must be there; bytes stand in `data` instead. */
const ATTACHMENT_FIELDS: Record<Exclude<Attachment["type"], "audio">, string[]> = {
  path: ["path"],
  image: ["url"],
  localImage: ["path"],
  skill: ["name", "path"],
  mention: ["name", "path"],
};

const ALLOWED: Record<PreHookPhase, readonly (keyof HookPatch)[]> = {
  preRun: ["prompt", "model", "attachments", "metadata"],
  preSessionStart: ["model", "metadata"],
  preTurn: ["prompt", "model", "attachments", "metadata"],
  preToolUse: [],
};

const FIELDS: readonly string[] = ALLOWED.preTurn;

/** A well-formed answer, or what is wrong with it. */
export type ParsedAction =
  | { ok: true; action: HookAction }
  | { ok: false; message: string };

/**
 * Checks what a hook returned. A malformed answer is a failure of the hook and never taken for "continue": whoever
 * misspelt "block" meant to stop something.
 */
export function parseAction(value: unknown): ParsedAction {
  if (!isJsonObject(value)) return malformed(`returned ${typeIn(value)} instead of an action`);
  switch (value["type"]) {
    case "continue":
      return { ok: true, action: { type: "continue" } };
    case "block": {
      const reason = value["reason"];
      const given = typeof reason === "string" && reason !== "";
      return { ok: true, action: { type: "block", reason: given ? reason : "no reason given" } };
    }
    case "mutate":
      return parsePatch(value["patch"]);
    default:
      return malformed(
        `returned an action whose type is ${typeIn(value["type"])}; ` +
          `it must be "continue", "mutate" or "block"`,
      );
  }
}

function parsePatch(value: unknown): ParsedAction {
  if (!isJsonObject(value)) return malformed(`returned a patch that is ${typeIn(value)}`);
  const patch: HookPatch = {};
  for (const [field, given] of Object.entries(value)) {
    // `null` is how JSON from a program says that a field is not given.
    if (given === undefined || given === null) continue;
    if (!FIELDS.includes(field)) {
      return malformed(`returned a patch with the unknown field ${JSON.stringify(field)}`);
    }
    const wrong = fieldProblem(field, given);
    if (wrong !== null) return malformed(`returned a patch whose ${field} is ${wrong}`);
  }
  const { prompt, model, attachments, metadata } = value as HookPatch;
  if (typeof prompt === "string") patch.prompt = prompt;
  if (typeof model === "string") patch.model = model;
  if (Array.isArray(attachments)) patch.attachments = [...attachments];
  if (isJsonObject(metadata)) patch.metadata = metadata;
  return { ok: true, action: { type: "mutate", patch } };
}

function fieldProblem(field: string, value: unknown): string | null {
  switch (field) {
    case "prompt":
    case "model":
      return typeof value !== "string" ? typeIn(value) : value === "" ? "empty" : null;
    case "metadata":
      return !isJsonObject(value) ? typeIn(value) : isCloneable(value) ? null : "not plain data";
    default:
      if (!Array.isArray(value)) return typeIn(value);
      return value.every(isAttachment) ? null : "not a list of paths and attachments";
  }
}

function isAttachment(value: unknown): boolean {
  if (typeof value === "string") return value !== "";
  if (!isJsonObject(value)) return false;
  const { type, data }: { type?: unknown; data?: unknown } = value;
  if (data instanceof Uint8Array || data instanceof Blob) {
    return type === "audio" || (type === "image" && value["url"] === undefined);
  }
  if (typeof type !== "string" || !Object.hasOwn(ATTACHMENT_FIELDS, type)) return false;
  const fields = ATTACHMENT_FIELDS[type as keyof typeof ATTACHMENT_FIELDS];
  return fields.every((field) => typeof value[field] === "string");
}

function isCloneable(value: JsonObject): boolean {
  try {
    structuredClone(value);
    return true;
  } catch {
    return false;
  }
}

function malformed(message: string): ParsedAction {
  return { ok: false, message };
}

/** The shape of a value, never the value itself; short words are safe to show. */
function typeIn(value: unknown): string {
  if (value === undefined) return "nothing";
  if (value === null) return "null";
  if (Array.isArray(value)) return "a list";
  return `a${/^[aeiou]/.test(typeof value) ? "n" : ""} ${typeof value}`;
}

/** What applying a patch gave. */
export interface Applied {
  /** The patched value. */
  next: Patchable;
  /** Fields of the patch that the phase does not take; they were ignored. */
  ignored: string[];
}

/** Applies a well-formed patch, without changing `before`. */
export function applyPatch(phase: PreHookPhase, before: Patchable, patch: HookPatch): Applied {
  const allowed = ALLOWED[phase];
  const next: Patchable = { ...before };
  if (patch.prompt !== undefined && allowed.includes("prompt")) next.prompt = patch.prompt;
  if (patch.model !== undefined && allowed.includes("model")) next.model = patch.model;
  if (patch.attachments !== undefined && allowed.includes("attachments")) {
    next.attachments = [...before.attachments ?? [], ...patch.attachments];
  }
  if (patch.metadata !== undefined && allowed.includes("metadata")) {
    // A copy: the hook may keep its object and change it later.
    next.metadata = { ...before.metadata, ...structuredClone(patch.metadata) };
  }
  const ignored = (Object.keys(patch) as (keyof HookPatch)[]).filter((f) => !allowed.includes(f));
  return { next, ignored };
}

/** What an ignored patch field means, for the report. */
export function ignoredMessage(phase: PreHookPhase, ignored: readonly string[]): string {
  const takes = ALLOWED[phase];
  return `${phase} ${
    takes.length === 0 ? "takes no patch" : `takes only ${takes.join(" and ")}`
  }; ` +
    `ignored: ${
      ignored.join(", ")
    }. Name the hook's phases to have it called only where its patch applies.`;
}
