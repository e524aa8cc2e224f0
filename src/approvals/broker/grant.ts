/**
 * What an answer would let the agent do beyond its sandbox, read from the answer itself.
 * @module
 */
import { isJsonObject, type JsonObject, type JsonValue } from "../../json.ts";
import type { Grant } from "./gate.ts";
import type { ApprovalRequest } from "../request/types.ts";

const ACCEPTED: ReadonlySet<unknown> = new Set([
  "accept",
  "acceptForSession",
  "approved",
  "approved_for_session",
]);

/** What the result grants; `null` when it grants nothing on the server's machine. */
export function grantOf(request: ApprovalRequest, result: JsonValue): Grant | null {
  const fields: JsonObject = isJsonObject(result) ? result : {};
  switch (request.type) {
    case "command": {
      const { decision } = fields;
      const host = allowedHost(decision);
      if (host !== null) {
        return host === "" ? null : { type: "command", network: { host }, plain: false };
      }
      if (!isAccepted(decision)) return null;
      // A rule for later commands lets them run, whatever this question was about.
      const only = typeof decision === "string" && request.additionalPermissions === null;
      const { network } = request;
      return {
        type: "command",
        network: only && network !== null ? { host: network.host } : null,
        plain: only,
      };
    }
    case "fileChange": {
      if (!isAccepted(fields["decision"])) return null;
      const { changes, grantRoot } = request;
      return { type: "fileChange", changes, grantRoot };
    }
    case "permissions": {
      const granted = fields["permissions"];
      if (!isJsonObject(granted) || Object.keys(granted).length === 0) return null;
      const { network, fileSystem } = granted;
      return {
        type: "permissions",
        permissions: {
          network: isJsonObject(network) ? network : null,
          fileSystem: isJsonObject(fileSystem) ? fileSystem : null,
        },
      };
    }
    default:
      return null;
  }
}

function isAccepted(decision: JsonValue | undefined): boolean {
  if (!isJsonObject(decision)) return ACCEPTED.has(decision);
  return !("denied" in decision);
}

/** The host of a network rule; `""` when the rule forbids it, `null` when the decision is no such rule. */
function allowedHost(decision: JsonValue | undefined): string | null {
  if (!isJsonObject(decision)) return null;
  const outer = decision["applyNetworkPolicyAmendment"] ?? decision["network_policy_amendment"];
  const rule = isJsonObject(outer) ? outer["network_policy_amendment"] : undefined;
  if (!isJsonObject(rule) || typeof rule["host"] !== "string") return null;
  return rule["action"] === "allow" ? rule["host"] : "";
}
