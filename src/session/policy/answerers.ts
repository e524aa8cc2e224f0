/**
 * Who answers a session's questions.
 * @module
 */
import {
  type ApprovalHandler,
  type ApprovalRules,
  loadSessionRules,
  type SessionRules,
} from "../../approvals/mod.ts";

type Approvals = ApprovalHandler | ApprovalRules | undefined;

/** A session's own approvals, and those that hold for it. */
export type SessionAnswerers =
  & {
    /** The session's own; `undefined`: none. */
    own: Approvals;
  }
  & (
    | {
      /** Its own and the client's, together. */
      all: ApprovalHandler | ApprovalRules;
      /** What they can do under a policy. */
      rules: SessionRules;
    }
    | {
      /** Nobody answers. */
      all: undefined;
      /** Nothing to be judged. */
      rules: null;
    }
  );

/** Puts a session's own approvals together with the client's; what judges them is loaded where there are any. */
export async function answerersOf(client: Approvals, own: Approvals): Promise<SessionAnswerers> {
  const either = own ?? client;
  if (either === undefined) return { own: undefined, all: undefined, rules: null };
  const rules = await loadSessionRules();
  return { own, all: rules.sessionApprovals(client, either), rules };
}
