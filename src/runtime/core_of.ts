/**
 * The ways to the core inside a runtime: whole, for sessions; by guarded calls, for raw requests.
 * @module
 */
import { kindOf } from "../check/mod.ts";
import { InvalidArgumentError } from "../errors/mod.ts";
import type { JsonValue } from "../json.ts";
import { hostProbe, loadMethodGate, realPathOf, unrestrictedProbe } from "../permissions/mod.ts";
import { currentDirectory } from "../platform/mod.ts";
import type { RuntimeCore } from "./core.ts";
import { isRemote } from "./connect.ts";

const cores: WeakMap<object, RuntimeCore> = new WeakMap();

/** Lets the rooms above reach the core of a runtime without showing it to users. */
export function coreOf(runtime: object): RuntimeCore {
  const core = cores.get(runtime);
  if (core === undefined) {
    throw new InvalidArgumentError("Runtime", {
      argument: "this",
      received: kindOf(runtime),
      accepts: "a Runtime that `Runtime.spawn` made",
    });
  }
  return core;
}

/** Remembers the core of a runtime. */
export function setCore(runtime: object, core: RuntimeCore): void {
  cores.set(runtime, core);
}

/** What the caller of a raw request agreed to. */
export interface CallConsent {
  /** Consent to methods that can write or run things. Default `false`. */
  allowPrivilegedEscalation?: boolean | undefined;
  /** Consent to full access with nobody asked. Default `false`. */
  dangerouslyAllowUnattendedFullAccess?: boolean | undefined;
}

/** Rejects with `PolicyError` when consent is missing, `PermissionDeniedError` when this script may not do it itself. */
export async function guardCall(
  core: RuntimeCore,
  method: string,
  params: JsonValue | undefined,
  consent: CallConsent,
): Promise<void> {
  // A remote server works on another machine: this script's permissions say nothing about it.
  const remote = isRemote(core.config);
  const { codexHome } = core.server;
  const gateMethod = await loadMethodGate();
  const refusal = gateMethod(method, params, remote ? unrestrictedProbe : hostProbe(), {
    consent,
    codexHome,
    // Most calls do not need to know.
    get serverCwd() {
      return core.config.processCwd ?? currentDirectory() ?? undefined;
    },
    realPath: realPathOf,
  });
  if (refusal !== null) throw refusal;
}
