/**
 * What the agent may do: what was asked, cut down to what this script may do itself.
 *
 * @module
 */
import {
  callback,
  checkArguments,
  either,
  flag,
  having,
  jsonObject,
  type Kind,
  list,
  name,
  nothing,
  object,
  oneOf,
  path,
  required,
  shape,
  text,
} from "../check/mod.ts";
import { SECRET_VARIABLES as secretVariables } from "../redact.ts";
import { configNeeds } from "./config/config_needs.ts";
import { effectivePolicy as decide } from "./policy/effective_policy.ts";
import type { EffectivePolicy, PolicyFacts, PolicyRequest } from "./policy/policy.ts";
import * as probes from "./probe.ts";

export type { NamedNeed, NetNeed, PathNeed, PermissionNeed } from "./need.ts";
export type { EffectivePolicy, PolicyFacts, PolicyRequest, RulesFile } from "./policy/policy.ts";
export type { PermissionProbe } from "./probe.ts";
export type * from "./types.ts";

// What a decision about a policy is made from.

const requestKind: Kind = required(object(shape<PolicyRequest>({
  cwd: required(path),
  // One that this library does not know is treated as the widest.
  sandbox: required(having("a sandbox policy { type, … }", { type: required(name) })),
  approvalPolicy: required(
    either(
      name,
      having("a granular policy { granular }", { granular: required(having("switches", {})) }),
    ),
  ),
  reads: oneOf(["all", "workspace"]),
  attachments: list(path),
  config: jsonObject,
  contain: flag,
  toolHooks: flag,
})));

/** Who tells what this script may do. */
const probeKind: Kind = required(having("a probe, such as `permissions.hostProbe()`", {
  enforcedBy: required(oneOf(["deno", "node", "probe", "none"])),
  read: required(callback),
  write: required(callback),
  net: required(callback),
  run: required(callback),
  env: required(callback),
  sys: required(callback),
  ffi: required(callback),
}));

/** What is known of this machine and the server. */
const factsKind: Kind = required(object(shape<PolicyFacts>({
  realPath: required(callback),
  tmpdir: required(either(text, nothing)),
  moreTmpdirs: list(text),
  windows: flag,
  serverVersion: required(either(text, nothing)),
  platform: either(text, nothing),
  ownRoot: either(text, nothing),
})));

// Declared here, since documentation follows a namespace to declarations and not to names that it re-exports.

/**
 * What a session may do when it asks for this: the decision of `startSession`, without a server.
 *
 * `"refuse"` (default) throws a `PermissionDeniedError` that names the missing flags when anything asked for is not
 * granted; `"narrow"` takes what is granted and says so in `narrowed`. Codex settings of the caller's own that need more
 * than is granted are refused in both modes. Temporary directories are no part of what is asked: without permission for
 * them they are left out in both modes.
 *
 * ```ts
 * import { permissions } from "@codex/runtime";
 *
 * const { sandbox, narrowed } = permissions.effectivePolicy(
 *   { cwd: "/srv/app", sandbox: { type: "workspaceWrite" }, approvalPolicy: "never" },
 *   permissions.hostProbe(),
 *   { realPath: (path) => path, tmpdir: null, serverVersion: "0.169.0" },
 *   "narrow",
 * );
 * ```
 */
export function effectivePolicy(
  request: PolicyRequest,
  probe: probes.PermissionProbe,
  facts: PolicyFacts,
  mode: "refuse" | "narrow" = "refuse",
): EffectivePolicy {
  checkArguments("effectivePolicy", {
    request: [request, requestKind],
    probe: [probe, probeKind],
    facts: [facts, factsKind],
    mode: [mode, oneOf(["refuse", "narrow"])],
  });
  return decide(request, probe, facts, mode, configNeeds);
}

/**
 * What this script may do: Deno's permissions, Node's permission model where it is switched on, else everything. Answers
 * are asked anew each time, so a revoked permission counts at once; nothing prompts.
 *
 * ```ts
 * import { permissions } from "@codex/runtime";
 *
 * if (!permissions.hostProbe().run("codex")) console.error("Run this with --allow-run=codex");
 * ```
 */
export function hostProbe(): probes.PermissionProbe {
  return probes.hostProbe();
}

/** A probe that grants everything, as on runtimes without permissions. */
export const unrestrictedProbe: probes.PermissionProbe = probes.unrestrictedProbe;

/**
 * Names of environment variables that the agent's commands do not see unless `env.commands` says so. They are patterns of
 * codex's `shell_environment_policy`: `*` stands for any text, letter case does not count.
 */
export const SECRET_VARIABLES: readonly string[] = secretVariables;
