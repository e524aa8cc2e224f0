/** Run by Node under its permission model: prints what a writable session would miss. Argument: the cwd. */
import process from "node:process";
import { decidePolicy } from "../../src/permissions/policy/effective_policy.ts";
import { flagsFor } from "../../src/permissions/need.ts";
import { hostProbe } from "../../src/permissions/probe.ts";
import { realPathOf } from "../../src/permissions/probe.ts";

const cwd = process.argv[2]!;
const probe = hostProbe();
const { policy, denied } = decidePolicy(
  { cwd, sandbox: { type: "workspaceWrite" }, approvalPolicy: "never" },
  probe,
  { realPath: realPathOf, tmpdir: null, serverVersion: "0.169.0" },
);
console.log(JSON.stringify({ policy, missing: flagsFor(denied, probe.enforcedBy) }));
