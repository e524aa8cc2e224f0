/**
 * Who answers a session's questions, when both the client and the session name somebody.
 * @module
 */
import type { ApprovalHandler } from "../request/types.ts";
import type { ApprovalRules } from "../rules/rule_types.ts";

/**
 * The client's rules hold for every session, and a session's rules are added to them: `deny` still wins wherever it stands.
 * A session's handler is asked in place of the client's. `undefined` when the session has nobody of its own.
 */
export function sessionApprovals(
  client: ApprovalHandler | ApprovalRules | undefined,
  session: ApprovalHandler | ApprovalRules | undefined,
): ApprovalHandler | ApprovalRules | undefined {
  if (session === undefined || typeof client !== "object") return session;
  if (typeof session === "function") return { ...client, ask: session };
  const ask = session.ask ?? client.ask;
  // Whoever declines what no rule names is not overruled by the other.
  const strict = client.default === "decline" || session.default === "decline";
  return {
    rules: [...client.rules, ...session.rules],
    ...(ask === undefined ? {} : { ask }),
    ...(strict ? { default: "decline" as const } : {}),
  };
}
