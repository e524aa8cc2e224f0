/**
 * What a hook must look like to be registered, hooks as a kind of option, all the hooks of a run in one list, and what a
 * pre-hook's answer means, whatever it returned.
 * @module
 */
import {
  callback,
  having,
  type Kind,
  list,
  name,
  object,
  oneOf,
  required,
  shape,
} from "../check/mod.ts";
import { InvalidArgumentError } from "../errors/mod.ts";
import type {
  HookAction,
  HookPatch,
  HookPhase,
  Hooks,
  PostHook,
  PostHookPhase,
  PreHook,
  PreHookPhase,
} from "./types.ts";
import { isJsonObject, type JsonObject } from "../json.ts";
import type { Attachment } from "../prompt.ts";

/** The phases of pre-hooks. */
const PRE_PHASES: readonly PreHookPhase[] = [
  "preRun",
  "preSessionStart",
  "preTurn",
  "preToolUse",
];

/** The phases of post-hooks. */
const POST_PHASES: readonly PostHookPhase[] = [
  "postRun",
  "postSessionStart",
  "postTurn",
  "postToolUse",
];

/** All phases. */
export const ALL_PHASES: readonly HookPhase[] = [...PRE_PHASES, ...POST_PHASES];

/** What a hook is called with. */
export const contextKind: Kind = required(
  having("a hook's context { phase, … }", { phase: required(oneOf(ALL_PHASES)) }),
);

/** Milliseconds a hook may take when it does not say. */
export const DEFAULT_TIMEOUT_MS = 5_000;

/** The error for a hook that can't be registered: nothing was started. */
export function invalidHook(message: string): InvalidArgumentError {
  return new InvalidArgumentError("hooks", {
    argument: "hooks",
    received: "a hook that can't be registered",
    accepts: "hooks { name, call, phases, timeoutMs, onError }",
    sentence: `${message}. Nothing was started`,
  }, { data: { reason: "invalidHook" } });
}

/** Throws `InvalidArgumentError` when a hook can't be registered, before it could be missed at run time. */
function checkHook(kind: "pre" | "post", hook: PreHook | PostHook): void {
  const name: unknown = hook?.name;
  if (typeof name !== "string" || name === "") {
    throw invalidHook(`A ${kind}-hook needs a name that is not empty`);
  }
  const label = `The ${kind}-hook ${JSON.stringify(name)}`;
  if (typeof hook.call !== "function") throw invalidHook(`${label} has no call function`);
  checkTimeout(label, hook.timeoutMs);
  if (hook.phases !== undefined) {
    // A hook with a misspelt phase would never run, and its author would feel guarded.
    const own: readonly HookPhase[] = kind === "pre" ? PRE_PHASES : POST_PHASES;
    if (!Array.isArray(hook.phases)) throw invalidHook(`${label}: phases must be a list`);
    const unknown = hook.phases.find((phase) => !ALL_PHASES.includes(phase));
    if (unknown !== undefined) {
      throw invalidHook(`${label} names the unknown phase ${JSON.stringify(unknown)}`);
    }
    if (!hook.phases.some((phase) => own.includes(phase))) {
      throw invalidHook(`${label} names no ${kind} phase, so it would never run`);
    }
  }
  const onError: unknown = (hook as PreHook).onError;
  if (kind === "pre" && onError !== undefined && onError !== "block" && onError !== "continue") {
    throw invalidHook(`${label}: onError must be "block" or "continue"`);
  }
}

/** Throws `InvalidArgumentError` when a time limit is not a positive number. */
export function checkTimeout(label: string, timeoutMs: number | undefined): void {
  if (timeoutMs === undefined) return;
  if (typeof timeoutMs !== "number" || !(timeoutMs > 0)) {
    throw invalidHook(`${label}: timeoutMs must be a positive number of milliseconds`);
  }
}

// What the hooks of options may be.

/** A hook. */
export const hookKind: Kind = having("a hook { name, call, phases, timeoutMs, onError }", {
  name: required(name),
  call: required(callback),
});

/** Other libraries name the phase where this one has lists. */
const byPhase: Record<string, string> = Object.fromEntries(
  ALL_PHASES.flatMap((phase) => {
    const list = phase.startsWith("post") ? "post" : "pre";
    const written = `Write \`hooks: { ${list}: [{ name, phases: ["${phase}"], call }] }\`.`;
    return [phase, phase[0]!.toUpperCase() + phase.slice(1)].map((key) => [key, written]);
  }),
);

/** The hooks of a client, a session or a call. */
export const hooksKind: Kind = object(
  shape<Hooks>({ pre: list(hookKind), post: list(hookKind) }, byPhase),
  (value) =>
    typeof value === "function" || Array.isArray(value)
      ? "Write `hooks: { pre: [{ name, call }] }`."
      : undefined,
);

// All the hooks of a run in one list.

/**
 * Joins the hooks of the client, the session and the call, in that order.
 *
 * Throws `InvalidArgumentError` when two pre-hooks or two post-hooks have the same name (dropping one silently would leave its
 * author unguarded), or when a hook has no name, an unknown phase or a bad time limit. One object may be a pre-hook
 * and a post-hook at once.
 */
export function mergeHooks(...layers: readonly (Hooks | undefined)[]): Required<Hooks> {
  const pre = layers.flatMap((layer) => layer?.pre ?? []);
  const post = layers.flatMap((layer) => layer?.post ?? []);
  checkAll("pre", pre);
  checkAll("post", post);
  return { pre, post };
}

function checkAll(kind: "pre" | "post", hooks: readonly (PreHook | PostHook)[]): void {
  const names = new Set<string>();
  for (const hook of hooks) {
    checkHook(kind, hook);
    if (names.has(hook.name)) {
      throw invalidHook(
        `Two ${kind}-hooks are named ${JSON.stringify(hook.name)}; names are unique among the ` +
          `hooks of the client, the session and the call`,
      );
    }
    names.add(hook.name);
  }
}

/**
 * Whether any pre-hook wants a say in tool use, so that the server must ask before each. A post-hook hears of tools
 * that nobody was asked about as well, so it needs no asking.
 */
export function hasToolHooks(hooks: Hooks): boolean {
  return hooks.pre?.some((hook) => isFor(hook, "preToolUse")) ?? false;
}

/** Whether a hook is called in this phase. */
export function isFor(hook: PreHook | PostHook, phase: HookPhase): boolean {
  return hook.phases === undefined || hook.phases.includes(phase);
}

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
