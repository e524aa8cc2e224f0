/**
 * Raw requests that could do more than this script may.
 * @module
 */
import type { JsonValue } from "../json.ts";
import { gateMethod, hostProbe, realPathOf, unrestrictedProbe } from "../permissions/mod.ts";
import { currentDirectory } from "../platform/mod.ts";
import type { RuntimeCore } from "./core.ts";
import { isRemote } from "./launch.ts";

/** What the caller of a raw request agreed to. */
export interface CallConsent {
  /** Consent to methods that can write or run things. Default `false`. */
  allowPrivilegedEscalation?: boolean | undefined;
  /** Consent to full access with nobody asked. Default `false`. */
  dangerouslyAllowUnattendedFullAccess?: boolean | undefined;
}

/** Throws `PolicyError` when consent is missing, `PermissionDeniedError` when this script may not do it itself. */
export function guardCall(
  core: RuntimeCore,
  method: string,
  params: JsonValue | undefined,
  consent: CallConsent,
): void {
  // A remote server works on another machine: this script's permissions say nothing about it.
  const remote = isRemote(core.config);
  const { codexHome } = core.server;
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
