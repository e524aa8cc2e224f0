/**
 * What of codex's own setup a session is refused for, or told of: rules files, and the sandbox on Windows.
 * @module
 */
import { PolicyError } from "../../errors/mod.ts";
import { isJsonObject } from "../../json.ts";
import type { EffectivePolicy } from "../../permissions/mod.ts";
import type { RuntimeCore } from "../../runtime/mod.ts";

/**
 * Rules files let commands run that no hook, no approval and no permission of this script has seen. Where one of these was
 * meant to hold, that is an error.
 */
export function rulesFilesRefusal(rulesFiles: EffectivePolicy["rulesFiles"]): PolicyError {
  const told = rulesFiles.slice(0, 3).map(({ path, allows }) =>
    allows.length === 0
      ? `${path} (not readable for this script)`
      : `${path} (${allows.slice(0, 3).join(", ")})`
  );
  return new PolicyError(
    `Codex's own rules let commands run outside the sandbox or reach hosts, unseen by hooks, approvals and permissions: ${
      told.join("; ")
    }. ` +
      "Remove them, use another CODEX_HOME, let the script read them, or set `allowRulesFiles: true`.",
    { data: { rulesFiles: rulesFiles.map(({ path }) => path) } },
  );
}

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
