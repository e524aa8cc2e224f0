/** Run under some flags: prints what each codex policy becomes, refused and narrowed, as JSON. Argument: a {@linkcode Job}. */
import { PermissionDeniedError } from "../../src/errors/mod.ts";
import { effectivePolicy } from "../../src/permissions/policy/effective_policy.ts";
import { hostProbe } from "../../src/permissions/probe.ts";
import { realPathOf } from "../../src/permissions/probe.ts";
import type { SandboxPolicy } from "../../src/permissions/types.ts";
import type { Job, Outcome } from "./permissions_matrix_test.ts";

const { cwd, root }: Job = JSON.parse(Deno.args[0]!);

const policies: Record<string, SandboxPolicy> = {
  readOnly: { type: "readOnly" },
  network: { type: "readOnly", networkAccess: true },
  workspace: { type: "workspaceWrite" },
  roots: { type: "workspaceWrite", writableRoots: [root] },
  full: { type: "dangerFullAccess" },
};

const outcomes: Record<string, Outcome> = {};
for (const [name, sandbox] of Object.entries(policies)) {
  const decide = (mode: "refuse" | "narrow") =>
    effectivePolicy({ cwd, sandbox, approvalPolicy: "never" }, hostProbe(), {
      realPath: realPathOf,
      tmpdir: null,
      serverVersion: "0.169.0",
    }, mode);
  let missing: string[] = [];
  try {
    decide("refuse");
  } catch (error) {
    if (!(error instanceof PermissionDeniedError)) throw error;
    missing = error.missing;
  }
  outcomes[name] = { missing, narrowed: decide("narrow") };
}
console.log(JSON.stringify(outcomes));
