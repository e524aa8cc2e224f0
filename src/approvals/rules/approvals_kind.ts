/**
 * What the approvals of options may be.
 * @module
 */
import {
  callback,
  either,
  type Kind,
  kind,
  list,
  object,
  oneOf,
  required,
  shape,
} from "../../check/mod.ts";

import type { ApprovalRules } from "./rule_types.ts";

const AS_RULES = 'Write `approvals: { rules: [{ effect: "allow", … }] }`.';

const rule: Kind = kind("a rule { effect, … }", ["object"]);

/** A handler, or rules; `checkApprovals` looks at each rule. */
export const approvalsKind: Kind = either(
  callback,
  object(
    shape<ApprovalRules>({
      rules: required(list(rule)),
      ask: callback,
      default: oneOf(["ask", "decline"]),
    }, { allow: AS_RULES, deny: AS_RULES, handler: "ask" }),
    (value) => Array.isArray(value) ? "Write `approvals: { rules: [ … ] }`." : undefined,
  ),
);
