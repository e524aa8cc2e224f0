/**
 * Codex's own proxy for the network of commands, which keeps them to the hosts that the user named.
 * @module
 */
import { PolicyError } from "../../errors/mod.ts";
import { isJsonObject, memberOf } from "../../json.ts";
import { type EffectivePolicy, usesProfile } from "../../permissions/mod.ts";
import type { RuntimeCore } from "../../runtime/mod.ts";
import { reachesNetwork } from "./policy_facts.ts";

/**
 * Whether the network of the session's commands, which have it, goes through a proxy of codex's own, which codex starts with the
 * thread: where that begins without the network, what a turn brings goes past it (0.145 to 0.169).
 */
export async function isProxied(
  core: RuntimeCore,
  policy: EffectivePolicy,
  docsNeedTrust: boolean,
): Promise<boolean> {
  const past = policy.sandbox.type === "readOnly" && !usesProfile(policy);
  if (!(past || docsNeedTrust) || !await hasNetworkProxy(core, policy.cwd)) return false;
  if (!past) return true;
  throw pastProxy(
    "for a read-only sandbox with the network: leave the network out, or use workspace-write",
  );
}

/** Rejects when what one turn brings would go past that proxy: the thread has it from its start, or never. */
export async function refusePastProxy(
  core: RuntimeCore,
  session: EffectivePolicy,
  { sandbox, cwd }: EffectivePolicy,
): Promise<void> {
  if (!reachesNetwork(sandbox)) return;
  const past = sandbox.type === "readOnly" && !usesProfile(session);
  if (!past && reachesNetwork(session.sandbox) || !await hasNetworkProxy(core, cwd)) return;
  throw pastProxy(
    "for a turn that brings the network: start a workspace-write session that has it from the start",
  );
}

function pastProxy(where: string): PolicyError {
  return new PolicyError(
    `Codex's configuration keeps the network to some hosts (\`features.network_proxy\`), which does not hold ${where}.`,
    { data: { reason: "networkProxy" } },
  );
}

/**
 * Whether codex's configuration has commands reach the network through a proxy of its own, which keeps them to the hosts that
 * the user named.
 */
async function hasNetworkProxy(core: RuntimeCore, cwd: string): Promise<boolean> {
  const result = await core.callNow("config/read", { cwd, includeLayers: false });
  const proxy = memberOf(result, "config", "features", "network_proxy");
  return isJsonObject(proxy) ? proxy["enabled"] === true : proxy === true;
}
