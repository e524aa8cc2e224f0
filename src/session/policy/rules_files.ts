/**
 * Codex's own rules files, where somebody watches.
 * @module
 */
import { PolicyError } from "../../errors/mod.ts";
import type { EffectivePolicy } from "../../permissions/mod.ts";

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
