import assert from "node:assert/strict";
import { InvalidArgumentError, PolicyError } from "../../../src/errors/mod.ts";
import {
  normalizeSandbox,
  type PrivilegeConsent,
  privilegeRefusal,
  sandboxMode,
} from "../../../src/permissions/need.ts";
import type { ApprovalPolicy, SandboxPolicy } from "../../../src/permissions/types.ts";
import { test } from "../../_harness.ts";

const READ: SandboxPolicy = { type: "readOnly" };
const WRITE: SandboxPolicy = { type: "workspaceWrite" };
const FULL: SandboxPolicy = { type: "dangerFullAccess" };
const EXTERNAL: SandboxPolicy = { type: "externalSandbox" };
const UNKNOWN = { type: "quantumSandbox" } as unknown as SandboxPolicy;
const granular = (sandbox_approval: boolean): ApprovalPolicy => ({
  granular: { sandbox_approval, rules: true, mcp_elicitations: true },
});
const yes = { allowPrivilegedEscalation: true, cwd: "/ws" };
const full = { ...yes, dangerouslyAllowUnattendedFullAccess: true };

const CASES: [string, SandboxPolicy, ApprovalPolicy, PrivilegeConsent, RegExp | null][] = [
  ["read-only needs nothing", READ, "never", {}, null],
  ["workspace-write without consent", WRITE, "on-request", { cwd: "/ws" }, /allowPrivileged/],
  ["workspace-write with consent", WRITE, "never", yes, null],
  ["workspace-write without cwd", WRITE, "never", { allowPrivilegedEscalation: true }, /cwd/],
  ["workspace-write with a blank cwd", WRITE, "never", { ...yes, cwd: "  " }, /cwd/],
  ["full access with consent, asking", FULL, "untrusted", yes, null],
  ["full access, asking for what leaves no sandbox", FULL, "on-request", yes, /Unattended/],
  ["full access, asking for what failed", FULL, "on-failure", yes, /Unattended/],
  ["read-only with network", { ...READ, networkAccess: true }, "never", {}, /^Network access lets/],
  ["read-only with network and consent", { ...READ, networkAccess: true }, "never", yes, null],
  ["full access with consent, unattended", FULL, "never", yes, /Unattended/],
  ["full access, granular that never asks", FULL, granular(false), yes, /Unattended/],
  ["full access, granular that asks", FULL, granular(true), yes, /Unattended/],
  ["full access, unattended with both", FULL, "never", full, null],
  [
    "full access with the second consent only",
    FULL,
    "never",
    { cwd: "/ws", dangerouslyAllowUnattendedFullAccess: true },
    /allowPrivileged/,
  ],
  ["an external sandbox without consent", EXTERNAL, "never", { cwd: "/ws" }, /allowPrivileged/],
  ["an external sandbox with consent, unattended", EXTERNAL, "never", yes, /Unattended/],
  ["an external sandbox with consent, asking", EXTERNAL, "untrusted", yes, null],
  ["an external sandbox with both", EXTERNAL, "never", full, null],
  ["an unknown type, unattended", UNKNOWN, "never", yes, /Unattended/],
  ["an unknown type without consent", UNKNOWN, "on-request", { cwd: "/ws" }, /allowPrivileged/],
];

test("privilegeRefusal() lets through only what the caller agreed to", async (t) => {
  for (const [name, sandbox, approval, consent, expected] of CASES) {
    await t.step(name, () => {
      const refusal = privilegeRefusal(sandbox, approval, consent);
      if (expected === null) assert.equal(refusal, null);
      else {
        // Consent that is missing is one thing, a directory that is missing another.
        const of = expected.source === "cwd" ? InvalidArgumentError : PolicyError;
        assert(refusal instanceof of);
        assert.match(refusal.message, expected);
      }
    });
  }
});

test("normalizeSandbox() takes modes and policies and refuses the rest", async (t) => {
  await t.step("modes", () => {
    assert.deepEqual(normalizeSandbox("read-only"), READ);
    assert.deepEqual(normalizeSandbox("workspace-write"), WRITE);
    assert.deepEqual(normalizeSandbox("danger-full-access"), FULL);
  });
  await t.step("policies, unknown types included", () => {
    assert.deepEqual(normalizeSandbox(UNKNOWN), UNKNOWN);
    const roots: SandboxPolicy = { type: "workspaceWrite", writableRoots: ["/a", "C:\\b"] };
    assert.deepEqual(normalizeSandbox(roots), roots);
  });
  await t.step("as it was when it was given", () => {
    const writableRoots = ["/a"];
    const policy = normalizeSandbox({ type: "workspaceWrite", writableRoots });
    writableRoots.push("/b");
    assert.deepEqual(policy, { type: "workspaceWrite", writableRoots: ["/a"] });
    let reads = 0;
    const odd = {
      get type() {
        return reads++ === 0 ? "readOnly" : "dangerFullAccess";
      },
    };
    const judged = normalizeSandbox(odd as SandboxPolicy);
    assert.deepEqual([judged.type, judged.type], ["readOnly", "readOnly"]);
  });
  for (
    const wrong of ["workspaceWrite", "", null, {}, { type: 1 }, {
      type: "workspaceWrite",
      writableRoots: ["relative"],
    }, { type: "workspaceWrite", writableRoots: "/a" }]
  ) {
    await t.step(`not ${JSON.stringify(wrong)}`, () => {
      assert.throws(
        () => normalizeSandbox(wrong as unknown as SandboxPolicy),
        InvalidArgumentError,
      );
    });
  }
});

test("sandboxMode() is never wider than the policy", () => {
  assert.equal(sandboxMode(READ), "read-only");
  assert.equal(sandboxMode(WRITE), "workspace-write");
  assert.equal(sandboxMode(FULL), "danger-full-access");
  assert.equal(sandboxMode(EXTERNAL), "read-only");
  assert.equal(sandboxMode(UNKNOWN), "read-only");
});
