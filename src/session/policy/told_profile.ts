/**
 * A session's profile as it is shown.
 * @module
 */
import type { JsonObject, JsonValue } from "../../json.ts";
import { redact, REDACTED } from "../../redact.ts";
import type { ResolvedProfile } from "../profile.ts";

const told: WeakMap<ResolvedProfile, ResolvedProfile> = new WeakMap();

/** A profile to look at: the tokens of MCP servers, and what looks like a secret in codex's settings, are left out. */
export function toldProfile(profile: ResolvedProfile): ResolvedProfile {
  const { mcpServers, config } = profile;
  if (Object.keys(mcpServers).length + Object.keys(config).length === 0) return profile;
  const known = told.get(profile);
  if (known !== undefined) return known;
  const servers = Object.entries(mcpServers).map(([name, server]) => {
    const hidden = Object.fromEntries(
      Object.entries(server).map(([field, value]) => [field, hides(field, value)]),
    );
    return [name, redact(hidden)] as const;
  });
  const clean = {
    ...profile,
    mcpServers: Object.fromEntries(servers) as unknown as ResolvedProfile["mcpServers"],
    config: redact(config as JsonObject) as ResolvedProfile["config"],
  };
  told.set(profile, clean);
  return clean;
}

/** Values of variables and headers may all be secrets. */
function hides(field: string, value: unknown): JsonValue {
  if (field === "bearerToken") return REDACTED;
  if (field !== "env" && field !== "headers") return value as JsonValue;
  return Object.fromEntries(Object.keys(Object(value)).map((name) => [name, REDACTED]));
}
