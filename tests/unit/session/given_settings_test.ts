/** What a caller gives is what it was then: objects that are changed later change no session and no prompt that waits. */
import assert from "node:assert/strict";
import type { RunProfile } from "../../../src/session/profile.ts";
import { overlayProfile, resolveProfile } from "../../../src/session/policy/thread_params.ts";
import { test } from "../../_harness.ts";

const granular = () => ({
  granular: {
    sandbox_approval: true,
    rules: true,
    mcp_elicitations: true,
    skill_approval: true,
    request_permissions: true,
  },
});

test("a sandbox, an approval policy and directories are copied when they are given", () => {
  const sandbox = { type: "workspaceWrite" as const, writableRoots: ["/a"] };
  const approvalPolicy = granular();
  const additionalDirectories = ["/more"];
  const given: RunProfile = { approvalPolicy, sandbox, additionalDirectories };
  const session = resolveProfile(given);
  const turn = overlayProfile(resolveProfile({}), { approvalPolicy, sandbox });
  const told = () =>
    JSON.stringify([session, turn].map((one) => [
      one.sandbox,
      one.approvalPolicy,
      one.additionalDirectories,
    ]));
  const before = told();
  sandbox.writableRoots.push("/b");
  approvalPolicy.granular.sandbox_approval = false;
  additionalDirectories.push("/etc");
  assert.equal(told(), before);
});
