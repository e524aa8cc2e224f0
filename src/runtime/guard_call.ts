/**
 * Raw requests, each judged before it is sent.
 * @module
 */
import { longTimeout } from "../async.ts";
import { PolicyError, RequestTimeoutError } from "../errors/mod.ts";
import { DEFAULTS, isRemote } from "./defaults.ts";
import { type JsonValue, memberOf } from "../json.ts";
import {
  hostProbe,
  loadedMethodGate,
  realPathOf,
  unrestrictedProbe,
  withMethodGate,
} from "../permissions/mod.ts";
import {
  currentDirectory,
  entryKind,
  isEndless,
  projectFolders,
  resolvePath,
} from "../platform/mod.ts";
import { supports } from "../protocol/mod.ts";
import { type CallOptions, encode } from "../rpc/mod.ts";
import type { RuntimeCore } from "./core.ts";

/** What the caller of a raw request agreed to. */
export interface CallConsent {
  /** Consent to methods that can write or run things. Default `false`. */
  allowPrivilegedEscalation?: boolean | undefined;
  /** Consent to full access with nobody asked. Default `false`. */
  dangerouslyAllowUnattendedFullAccess?: boolean | undefined;
}

/**
 * Judges a call and sends it. Both are done with a copy of its parameters: a call may have to wait for its turn, for another
 * server or for a busy one, and the caller's object may say something else by then. Throws or rejects with `PolicyError` when
 * consent is missing, `PermissionDeniedError` when this script may not do it itself, `RpcValidationError` for what JSON can't
 * carry.
 */
export function guardCall<T, Consent extends CallConsent>(
  core: RuntimeCore,
  method: string,
  given: JsonValue | undefined,
  consent: Consent | undefined,
  send: (
    core: RuntimeCore,
    method: string,
    params: JsonValue | undefined,
    consent: Consent | undefined,
  ) => Promise<T>,
): Promise<T> {
  const params = given === undefined ? undefined : copyOf(method, given);
  const gateMethod = loadedMethodGate();
  if (gateMethod === null) {
    return withMethodGate((loaded) => {
      judgeCall(loaded, core, method, params, consent);
      return send(core, method, params, consent);
    });
  }
  judgeCall(gateMethod, core, method, params, consent);
  return send(core, method, params, consent);
}

/** Judges a raw request, and calls the server. */
export function guardRequest(
  core: RuntimeCore,
  method: string,
  params: JsonValue | undefined,
  options: (CallConsent & CallOptions) | undefined,
): Promise<JsonValue> {
  return guardCall(core, method, params, options, callInTime);
}

/** Its time begins now, also where it waits for the next server. */
function callInTime(
  core: RuntimeCore,
  method: string,
  params: JsonValue | undefined,
  options: CallOptions = {},
): Promise<JsonValue> {
  if (core.state !== "restarting") return core.call(method, params, options);
  const { signal, timeoutMs = core.config.requestTimeoutMs ?? DEFAULTS.requestTimeoutMs } = options;
  const late = new AbortController();
  const cancel = longTimeout(
    () => late.abort(new RequestTimeoutError(method, timeoutMs)),
    timeoutMs,
  );
  const either = AbortSignal.any([late.signal, signal ?? late.signal]);
  return core.call(method, params, { ...options, signal: either }).finally(cancel);
}

function copyOf(method: string, params: JsonValue): JsonValue {
  const { params: copy } = JSON.parse(encode({ method, params }));
  return copy;
}

const NO_CONSENT: CallConsent = Object.freeze({});

function judgeCall(
  gateMethod: NonNullable<ReturnType<typeof loadedMethodGate>>,
  core: RuntimeCore,
  method: string,
  params: JsonValue | undefined,
  consent: CallConsent = NO_CONSENT,
): void {
  // A remote server works on another machine: this script's permissions say nothing about it.
  const probe = isRemote(core.config) ? unrestrictedProbe : hostProbe();
  const context = new CallContext(core, consent);
  const refusal = gateMethod(method, params, probe, context);
  if (refusal !== null) throw refusal;
  const { serverCwd } = context;
  if (isRemote(core.config) || serverCwd === undefined || !OPENS.test(method)) return;
  const cwd = memberOf(params, "cwd") ?? (method === "thread/start" ? serverCwd : null);
  if (typeof cwd === "string") refuseEndless(resolvePath(serverCwd, cwd));
}

/** Calls after which codex reads what a directory says to the model, and its settings. */
const OPENS = /^(?:thread\/(?:start|resume|fork)|turn\/start)$/;

/** Throws `PolicyError` where codex would read what has no end, with all of its threads; skills are a session's care. */
function refuseEndless(cwd: string): void {
  const names = [".codex/config.toml", ".git", "AGENTS.md", "AGENTS.override.md"];
  const stray = projectFolders(cwd, (path) => entryKind(path) !== "missing")
    .flatMap((folder) => names.map((name) => `${folder}/${name}`)).find(isEndless);
  if (stray === undefined) return;
  const data = { reason: "endlessFile" };
  throw new PolicyError(`Codex would read ${stray}, which has no end.`, { data });
}

/** What the gate may ask of a call's surroundings; most calls need none of it. */
class CallContext {
  readonly consent: CallConsent;
  readonly realPath: typeof realPathOf = realPathOf;
  readonly #core: RuntimeCore;

  constructor(core: RuntimeCore, consent: CallConsent) {
    this.#core = core;
    this.consent = consent;
  }

  get codexHome(): string | undefined {
    return this.#core.server.codexHome;
  }

  get asksBeforeLeaving(): boolean {
    return supports(this.#core.server.version, "asksBeforeLeaving");
  }

  get serverCwd(): string | undefined {
    return this.#core.config.processCwd ?? currentDirectory() ?? undefined;
  }
}
