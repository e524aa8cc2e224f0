/**
 * Profiles with their defaults filled in, and one laid over another.
 * @module
 */
import { kindOf } from "../../check/mod.ts";
import { InvalidArgumentError } from "../../errors/mod.ts";
import { isJsonObject, type JsonObject, plainSettings } from "../../json.ts";
import { normalizeSandbox } from "../../permissions/mod.ts";
import { mergeHooks } from "../../plugin/mod.ts";
import type { ResolvedProfile, RunProfile, TurnOptions } from "../profile.ts";
import { ASK_OPTIONS } from "../profile_shape.ts";
import { asAttachment } from "../../prompt.ts";

/** Milliseconds for a whole turn by default. */
export const DEFAULT_TIMEOUT_MS: number = 120_000;

/** A profile with every default filled in: the safe ones. */
export function resolveProfile(profile: RunProfile): ResolvedProfile {
  const config = plainSettings(profile.config);
  return {
    model: profile.model ?? null,
    effort: profile.effort ?? "medium",
    approvalPolicy: profile.approvalPolicy ?? "never",
    sandbox: normalizeSandbox(profile.sandbox ?? "read-only"),
    reads: profile.reads ?? "all",
    allowPrivilegedEscalation: profile.allowPrivilegedEscalation ?? false,
    dangerouslyAllowUnattendedFullAccess: profile.dangerouslyAllowUnattendedFullAccess ?? false,
    allowRulesFiles: profile.allowRulesFiles ?? false,
    timeoutMs: checkTimeout(profile.timeoutMs ?? DEFAULT_TIMEOUT_MS),
    limits: profile.limits ?? {},
    attachments: (profile.attachments ?? []).map(asAttachment),
    outputSchema: (profile.outputSchema as JsonObject | undefined) ?? null,
    hooks: mergeHooks(profile.hooks),
    tools: profile.tools ?? {},
    developerInstructions: profile.developerInstructions ?? null,
    config,
    ephemeral: profile.ephemeral ?? false,
    goals: profile.goals ?? goalsIn(config) ?? false,
  };
}

/** The profile that these settings come from. */
export function profileOf(resolved: ResolvedProfile): RunProfile {
  const { model, outputSchema, developerInstructions, ...rest } = resolved;
  return {
    ...rest,
    attachments: [...rest.attachments],
    ...(model === null ? {} : { model }),
    ...(outputSchema === null ? {} : { outputSchema }),
    ...(developerInstructions === null ? {} : { developerInstructions }),
  };
}

/** Whether the thread's own codex settings ask for goals. */
function goalsIn(config: ResolvedProfile["config"]): boolean | undefined {
  const { features } = config;
  const goals = config["features.goals"] ?? (isJsonObject(features) ? features["goals"] : null);
  return typeof goals === "boolean" ? goals : undefined;
}

/** A session's profile with one turn's options over it. Attachments and hooks are added, the rest replaced. */
export function overlayProfile(base: ResolvedProfile, over: TurnOptions): ResolvedProfile {
  return {
    ...base,
    ...(over.model === undefined ? {} : { model: over.model }),
    ...(over.effort === undefined ? {} : { effort: over.effort }),
    ...(over.approvalPolicy === undefined ? {} : { approvalPolicy: over.approvalPolicy }),
    ...(over.sandbox === undefined ? {} : { sandbox: normalizeSandbox(over.sandbox) }),
    ...(over.allowPrivilegedEscalation === undefined
      ? {}
      : { allowPrivilegedEscalation: over.allowPrivilegedEscalation }),
    ...(over.dangerouslyAllowUnattendedFullAccess === undefined
      ? {}
      : { dangerouslyAllowUnattendedFullAccess: over.dangerouslyAllowUnattendedFullAccess }),
    ...(over.timeoutMs === undefined ? {} : { timeoutMs: checkTimeout(over.timeoutMs) }),
    ...(over.limits === undefined ? {} : { limits: over.limits }),
    ...(over.outputSchema === undefined ? {} : { outputSchema: over.outputSchema as JsonObject }),
    attachments: [...base.attachments, ...(over.attachments ?? []).map(asAttachment)],
    hooks: over.hooks === undefined ? base.hooks : mergeHooks(base.hooks, over.hooks),
  };
}

function checkTimeout(timeoutMs: number): number {
  if (typeof timeoutMs === "number" && timeoutMs > 0) return timeoutMs;
  throw new InvalidArgumentError("profile", {
    argument: "timeoutMs",
    received: kindOf(timeoutMs),
    accepts: "a positive number of milliseconds",
  });
}

/** What one turn can have of a profile; the rest belongs to the thread. */
export function turnOptionsOf(profile: RunProfile): TurnOptions {
  return Object.fromEntries(
    Object.entries(profile).filter(([name]) => Object.hasOwn(ASK_OPTIONS.options, name)),
  );
}

/** One layer of settings over another. Attachments and hooks are added, the rest replaced. */
export function layerProfile<Base extends TurnOptions, Over extends TurnOptions>(
  base: Base,
  over: Over,
): Base & Over {
  const defined = Object.fromEntries(
    Object.entries(over).filter(([, value]) => value !== undefined),
  );
  const attachments = [...base.attachments ?? [], ...over.attachments ?? []];
  return {
    ...base,
    ...defined,
    ...(attachments.length === 0 ? {} : { attachments }),
    ...(base.hooks === undefined && over.hooks === undefined
      ? {}
      : { hooks: mergeHooks(base.hooks, over.hooks) }),
  } as Base & Over;
}
