/**
 * Codex's sandbox for Windows.
 * @module
 */
import { isJsonObject } from "../../json.ts";
import type { EffectivePolicy } from "../../permissions/mod.ts";
import type { RuntimeCore } from "../../runtime/mod.ts";

/** On Windows codex has a sandbox only where it was set up; until then it lets no command run, or none inside. */
export async function withWindowsNote(
  core: RuntimeCore,
  policy: EffectivePolicy,
): Promise<EffectivePolicy> {
  const { type } = policy.sandbox;
  if (type === "dangerFullAccess") return policy;
  const status = await core.callNow("windowsSandbox/readiness", {}).then(
    (result) => isJsonObject(result) ? result["status"] : undefined,
    () => undefined,
  );
  if (status === undefined || status === "ready") return policy;
  const note = `Codex's sandbox for Windows is not ready (${JSON.stringify(status)}): ` +
    "commands are refused, or run without it once accepted. Set `windows.sandbox` in codex's configuration.";
  return { ...policy, narrowed: [...policy.narrowed, note] };
}
