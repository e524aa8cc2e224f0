import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { PolicyMismatchError } from "../../../src/errors/mod.ts";
import type { JsonObject, JsonValue } from "../../../src/json.ts";
import {
  type AskedPolicy,
  compareEcho,
  confirmPolicy,
  type PolicyEcho,
} from "../../../src/permissions/policy/compare_echo.ts";
import { effectivePolicy } from "../../../src/permissions/policy/effective_policy.ts";
import { normalizeSandbox } from "../../../src/permissions/guard/gate.ts";
import { unrestrictedProbe } from "../../../src/permissions/probe.ts";
import type { ApprovalPolicy, SandboxMode, SandboxPolicy } from "../../../src/permissions/types.ts";
import { test } from "../../_harness.ts";
import { factsOf } from "./_world.ts";

function asked(
  sandbox: SandboxMode | SandboxPolicy,
  approvalPolicy: ApprovalPolicy = "never",
  cwd = "/ws",
  profileId: string | null = null,
): AskedPolicy {
  const { realPath } = factsOf({ "/link": "/ws" });
  const policy = effectivePolicy(
    { cwd, sandbox: normalizeSandbox(sandbox), approvalPolicy },
    unrestrictedProbe,
    factsOf(),
  );
  return { policy, profileId, realPath };
}

const echoOf = (sandbox: JsonValue, approvalPolicy: JsonValue = "never", cwd = "/ws") => ({
  sandbox,
  approvalPolicy,
  cwd,
});
const fields = (a: AskedPolicy, echo: PolicyEcho) => compareEcho(a, echo).map((m) => m.field);

test("compareEcho() finds nothing in what both recorded versions confirmed", async (t) => {
  const root = fileURLToPath(new URL("../../transcripts", import.meta.url));
  for (const version of await readdir(root)) {
    for (const name of await readdir(`${root}/${version}`)) {
      const lines = (await readFile(`${root}/${version}/${name}`, "utf8")).trim().split("\n")
        .map((line) => JSON.parse(line).m);
      const sent = lines.find((m) => m.method === "thread/start");
      const result = lines.find((m) => m.id === sent?.id && m.result !== undefined)?.result;
      if (result === undefined) continue;
      await t.step(`${version}/${name}`, () => {
        const { sandbox = "read-only", approvalPolicy = "on-request", cwd } = sent.params;
        assert.deepEqual(compareEcho(asked(sandbox, approvalPolicy, cwd), result), []);
        if (sandbox === "danger-full-access") return;
        // The same echo is wider than less, so the comparison does look at it.
        const wider = { ...result, sandbox: { type: "dangerFullAccess" } };
        assert.deepEqual(fields(asked(sandbox, approvalPolicy, cwd), wider), ["sandbox"]);
      });
    }
  }
});

const RO = { type: "readOnly", networkAccess: false };
const WW = {
  type: "workspaceWrite",
  writableRoots: [],
  networkAccess: false,
  excludeTmpdirEnvVar: false,
  excludeSlashTmp: false,
};

const SANDBOXES: [string, SandboxMode | SandboxPolicy, JsonValue, string[]][] = [
  ["the same", "read-only", RO, []],
  ["0.104's read-only", "read-only", { type: "readOnly", access: { type: "fullAccess" } }, []],
  ["narrower", "workspace-write", RO, []],
  ["narrower than full", "danger-full-access", WW, []],
  ["wider type", "read-only", WW, ["sandbox"]],
  ["full instead of workspace", "workspace-write", { type: "dangerFullAccess" }, ["sandbox"]],
  ["external instead of workspace", "workspace-write", { type: "externalSandbox" }, ["sandbox"]],
  ["unknown type", "danger-full-access", { type: "openBar" }, ["sandbox"]],
  ["no sandbox at all", "read-only", null, ["sandbox"]],
  ["a word", "read-only", "read-only", ["sandbox"]],
  ["network in read-only", "read-only", { ...RO, networkAccess: true }, ["sandbox.networkAccess"]],
  ["network by word", "read-only", { ...RO, networkAccess: "enabled" }, ["sandbox.networkAccess"]],
  [
    "network as asked",
    { type: "readOnly", networkAccess: true },
    { ...RO, networkAccess: true },
    [],
  ],
  ["network less than asked", { type: "readOnly", networkAccess: true }, RO, []],
  [
    "external network",
    { type: "externalSandbox" },
    { type: "externalSandbox", networkAccess: "enabled" },
    ["sandbox.networkAccess"],
  ],
  ["one more root", "workspace-write", { ...WW, writableRoots: ["/etc"] }, [
    "sandbox.writableRoots",
  ]],
  ["the cwd as root", "workspace-write", { ...WW, writableRoots: ["/ws"] }, []],
  [
    "a root below one asked for",
    { type: "workspaceWrite", writableRoots: ["/data"] },
    { ...WW, writableRoots: ["/data/sub"] },
    [],
  ],
  [
    "a sibling of a root",
    { type: "workspaceWrite", writableRoots: ["/data"] },
    { ...WW, writableRoots: ["/data2"] },
    ["sandbox.writableRoots"],
  ],
  ["roots of an odd shape", "workspace-write", { ...WW, writableRoots: "/" }, [
    "sandbox.writableRoots",
  ]],
  [
    "temporary directories that were excluded",
    { type: "workspaceWrite", excludeSlashTmp: true, excludeTmpdirEnvVar: true },
    WW,
    ["sandbox.excludeTmpdirEnvVar", "sandbox.excludeSlashTmp"],
  ],
];

test("compareEcho() reports a wider sandbox and passes a narrower one", async (t) => {
  for (const [name, sandbox, echo, expected] of SANDBOXES) {
    await t.step(name, () => assert.deepEqual(fields(asked(sandbox), echoOf(echo)), expected));
  }
});

const granular = (on: boolean, more: JsonObject = {}): JsonObject => ({
  granular: { sandbox_approval: on, rules: on, mcp_elicitations: on, ...more },
});
const everything = granular(true, { skill_approval: true, request_permissions: true });

const APPROVALS: [JsonValue, JsonValue, boolean][] = [
  ["never", "never", true],
  ["never", "on-request", true],
  ["never", "untrusted", true],
  ["never", granular(false), true],
  ["on-request", "never", false],
  ["on-request", "on-failure", false],
  ["on-failure", "on-request", true],
  ["on-request", everything, true],
  ["on-request", granular(true), false],
  ["untrusted", "on-request", false],
  ["untrusted", "never", false],
  ["untrusted", everything, false],
  ["untrusted", "whatever", false],
  ["never", "whatever", false],
  ["never", null, false],
  [granular(true), granular(true), true],
  [granular(true), granular(true, { skill_approval: true }), true],
  [granular(true), granular(true, { rules: false }), false],
  [granular(true), "on-request", true],
  [granular(true), "never", false],
  [granular(false), "never", true],
];

test("compareEcho() reports an approval policy that asks less", async (t) => {
  for (const [told, does, fine] of APPROVALS) {
    await t.step(`${JSON.stringify(told)} → ${JSON.stringify(does)}`, () => {
      const found = fields(asked("read-only", told as unknown as ApprovalPolicy), echoOf(RO, does));
      assert.deepEqual(found, fine ? [] : ["approvalPolicy"]);
    });
  }
});

test("compareEcho() reports another cwd, however it is spelled", () => {
  const at = (cwd: string, echo: JsonValue) =>
    fields(asked("read-only", "never", cwd), { ...echoOf(RO), cwd: echo });
  assert.deepEqual(at("/ws", "/ws/"), []);
  assert.deepEqual(at("/ws/./a/..", "/ws"), []);
  assert.deepEqual(at("/link", "/ws"), []);
  assert.deepEqual(at("/ws", "/link"), []);
  assert.deepEqual(at("/ws", "/ws/sub"), ["cwd"]);
  assert.deepEqual(at("/ws", "/"), ["cwd"]);
  assert.deepEqual(at("/ws", null), ["cwd"]);
});

test("compareEcho() reports another permission profile than the one sent", () => {
  const scoped = asked("read-only", "never", "/ws", "runtime-1");
  const profile = (activePermissionProfile: JsonValue) =>
    fields(scoped, { ...echoOf(RO), activePermissionProfile });
  assert.deepEqual(profile({ id: "runtime-1", extends: null }), []);
  assert.deepEqual(profile({ id: ":workspace", extends: null }), ["permissions"]);
  assert.deepEqual(profile(null), ["permissions"]);
});

test("confirmPolicy() marks the policy confirmed, and reads enforced only when the profile is named", () => {
  const scoped = asked("read-only", "never", "/ws", "runtime-1");
  const named = confirmPolicy(scoped, {
    ...echoOf(RO),
    activePermissionProfile: { id: "runtime-1" },
  });
  assert.deepEqual([named.confirmed, named.readsEnforced], [true, true]);
  const silent = confirmPolicy(scoped, echoOf(RO));
  assert.deepEqual([silent.confirmed, silent.readsEnforced], [true, false]);
  assert.throws(() => confirmPolicy(scoped, echoOf(WW)), (error) => {
    assert(error instanceof PolicyMismatchError);
    assert.deepEqual(error.mismatches, [
      { field: "sandbox", asked: "readOnly", confirmed: "workspaceWrite" },
    ]);
    return true;
  });
});
