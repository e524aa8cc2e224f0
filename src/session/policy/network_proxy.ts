/**
 * Codex's own proxy for the network of commands, which keeps them to the hosts that the user named.
 * @module
 */
import { PolicyError } from "../../errors/mod.ts";
import { isJsonObject, type JsonValue, memberOf } from "../../json.ts";
import { type EffectivePolicy, usesProfile } from "../../permissions/mod.ts";
import type { RuntimeCore } from "../../runtime/mod.ts";
import { reachesNetwork } from "./policy_facts.ts";

type Settings = Readonly<Record<string, JsonValue>>;

/**
 * Whether the network of the session's commands, which have it, goes through a proxy of codex's own, which codex starts with the
 * thread: where that begins without the network, what a turn brings goes past it (0.145 to 0.169).
 */
export async function isProxied(
  core: RuntimeCore,
  policy: EffectivePolicy,
  config: Settings,
  docsNeedTrust: boolean,
): Promise<boolean> {
  const past = policy.sandbox.type === "readOnly" && !usesProfile(policy);
  if (!(past || docsNeedTrust) || !await hasNetworkProxy(core, policy.cwd, config)) return false;
  if (!past) return true;
  throw pastProxy();
}

/** Rejects when what one turn brings would go past that proxy: the thread has it from its start, or never. */
export async function refusePastProxy(
  core: RuntimeCore,
  session: EffectivePolicy,
  { sandbox, cwd }: EffectivePolicy,
  config: Settings,
): Promise<void> {
  const past = sandbox.type === "readOnly" && !usesProfile(session);
  if (!past && reachesNetwork(session.sandbox) || !await hasNetworkProxy(core, cwd, config)) return;
  throw pastProxy();
}

function pastProxy(): PolicyError {
  return new PolicyError(
    "Codex keeps the network to the hosts of `features.network_proxy` only in a session that has workspace-write and the " +
      "network from its start.",
    { data: { reason: "networkProxy" } },
  );
}

/**
 * Whether codex's configuration, or the thread's own, has commands reach the network through a proxy of its own, which keeps
 * them to the hosts that the user named.
 */
async function hasNetworkProxy(core: RuntimeCore, cwd: string, own: Settings): Promise<boolean> {
  const dotted = "features.network_proxy";
  const given = [memberOf(own["features"], "network_proxy"), own[dotted], own[`${dotted}.enabled`]];
  if (given.some(isOn)) return true;
  const result = await core.callNow("config/read", { cwd, includeLayers: false });
  return isOn(memberOf(result, "config", "features", "network_proxy"));
}

function isOn(proxy: JsonValue | undefined): boolean {
  return isJsonObject(proxy) ? proxy["enabled"] === true : proxy === true;
}
