import assert from "node:assert/strict";
import type { JsonObject } from "../../../src/json.ts";
import { effectivePolicy } from "../../../src/permissions/policy/effective_policy.ts";
import type { EffectivePolicy } from "../../../src/permissions/policy/policy.ts";
import {
  findCodexExecutable,
  threadPolicyParams,
  turnSandboxPolicy,
} from "../../../src/permissions/policy/profile_config.ts";
import type { SandboxPolicy } from "../../../src/permissions/types.ts";
import { test } from "../../_harness.ts";
import { ALL, factsOf, type Grants, probeOf } from "./_world.ts";

const EXE = "/opt/node_modules/@openai/codex-linux-x64/vendor/x86_64-unknown-linux-musl/bin/codex";
const VENDOR = "/opt/node_modules/@openai/codex-linux-x64/vendor/x86_64-unknown-linux-musl";

function policy(sandbox: SandboxPolicy, grants: Grants, version = "0.169.0"): EffectivePolicy {
  return effectivePolicy(
    { cwd: "/ws", sandbox, approvalPolicy: "never" },
    probeOf(grants),
    factsOf({}, { serverVersion: version }),
  );
}

function profileOf(config: JsonObject): JsonObject {
  const name = config["default_permissions"] as string;
  return (config["permissions"] as JsonObject)[name] as JsonObject;
}

test("threadPolicyParams() sends a sandbox with its details when everything may be read", () => {
  assert.deepEqual(threadPolicyParams(policy({ type: "readOnly" }, ALL)), {
    approvalPolicy: "never",
    sandbox: "read-only",
    config: {},
    profileId: null,
  });
  const writable: SandboxPolicy = { type: "workspaceWrite", writableRoots: ["/data"] };
  assert.deepEqual(threadPolicyParams(policy(writable, ALL)), {
    approvalPolicy: "never",
    sandbox: "workspace-write",
    config: {
      sandbox_workspace_write: {
        writable_roots: ["/data"],
        network_access: false,
        exclude_tmpdir_env_var: false,
        exclude_slash_tmp: false,
      },
    },
    profileId: null,
  });
});

test("threadPolicyParams() sends a profile and no sandbox when reads are limited", () => {
  const scoped = policy({ type: "readOnly" }, { read: ["/ws"] });
  const params = threadPolicyParams(scoped, EXE);
  assert.equal("sandbox" in params, false);
  assert.equal(params.config["default_permissions"], params.profileId);
  assert.deepEqual(profileOf(params.config), {
    filesystem: { ":minimal": "read", [VENDOR]: "read", "/ws": "read" },
    network: { enabled: false },
  });
  assert.equal(turnSandboxPolicy(scoped), null);
});

test("threadPolicyParams() lets a limited profile write where the policy does", () => {
  const grants = { read: ["/ws", "/data", "/tmp"], write: ["/ws", "/data", "/tmp"] };
  const writable: SandboxPolicy = { type: "workspaceWrite", writableRoots: ["/data"] };
  const { config } = threadPolicyParams(policy(writable, grants), "/usr/bin/codex");
  assert.deepEqual(profileOf(config)["filesystem"], {
    ":minimal": "read",
    "/usr/bin/codex": "read",
    "/ws": "write",
    "/data": "write",
    ":slash_tmp": "write",
  });
});

test("threadPolicyParams() names a profile by its content", () => {
  const id = (read: string[]) =>
    threadPolicyParams(policy({ type: "readOnly" }, { read }), EXE).profileId;
  assert.equal(id(["/ws"]), id(["/ws"]));
  assert.notEqual(id(["/ws"]), id(["/"]));
  assert.match(id(["/ws"])!, /^runtime-[0-9a-f]{16}$/);
});

test("threadPolicyParams() sends the sandbox to a codex that knows no profiles", () => {
  const old = policy({ type: "readOnly" }, { read: ["/ws"] }, "0.104.0");
  assert.equal(old.readsEnforced, false);
  assert.equal(threadPolicyParams(old).sandbox, "read-only");
  assert.deepEqual(turnSandboxPolicy(old), { type: "readOnly" });
});

test("findCodexExecutable reads an absolute path and nothing else", () => {
  const read = (exitCode: number, stdout: string) =>
    findCodexExecutable.read({ exitCode, stdout, stderr: "" });
  assert.equal(read(0, `${EXE}\n`), EXE);
  assert.equal(read(1, `${EXE}\n`), null);
  assert.equal(read(0, "codex\n"), null);
  assert.equal(read(0, ""), null);
  assert.equal(findCodexExecutable.read(null), null);
});
