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
  workspaceRootsBeyond,
} from "../../../src/permissions/policy/compare_echo.ts";
import { effectivePolicy } from "../../../src/permissions/policy/effective_policy.ts";
import { normalizeSandbox } from "../../../src/permissions/need.ts";
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
  ["a name that every object has", "read-only", { type: "constructor" }, ["sandbox"]],
  ["another such name", "read-only", { type: "hasOwnProperty" }, ["sandbox"]],
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
  const unnamed = asked({ type: "workspaceWrite" });
  const [found] = compareEcho(unnamed, echoOf({ ...WW, writableRoots: ["/etc"] }));
  assert.deepEqual([found?.asked, found?.confirmed], ["[]", '["/etc"]']);
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
  ["never", "toString", false],
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
  assert.deepEqual(at("/ws", "/link"), []);
  // What is asked for was real: a link that is there by now was put in its place.
  assert.deepEqual(at("/link", "/ws"), ["cwd"]);
  assert.deepEqual(at("/ws", "/ws/sub"), ["cwd"]);
  assert.deepEqual(at("/ws", "/"), ["cwd"]);
  assert.deepEqual(at("/ws", null), ["cwd"]);
});

test("workspaceRootsBeyond() takes the confirmed cwd for no other root, however it is spelled", () => {
  const a = asked({ type: "workspaceWrite", writableRoots: ["/more"] });
  const beyond = (cwd: string, ...roots: JsonValue[]) =>
    workspaceRootsBeyond(a, { cwd, runtimeWorkspaceRoots: roots });
  assert.deepEqual(beyond("/ws", "/ws", "/ws/sub", "/more"), []);
  assert.deepEqual(beyond("/link", "/link"), []);
  // Today it leads there; the server keeps it for later turns.
  assert.deepEqual(beyond("/ws", "/link"), ["/link"]);
  assert.deepEqual(beyond("/ws", "/", "/other", 7), ["/", "/other", "7"]);
  assert.deepEqual(workspaceRootsBeyond(a, { cwd: "/ws" }), []);
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
  const whole = asked("read-only", "never", "/ws", "runtime-1");
  const scoped = { ...whole, policy: { ...whole.policy, readRoots: ["/ws"] } };
  const named = confirmPolicy(scoped, {
    ...echoOf(RO),
    activePermissionProfile: { id: "runtime-1" },
  });
  assert.deepEqual([named.confirmed, named.readsEnforced], [true, true]);
  const silent = confirmPolicy(scoped, echoOf(RO));
  assert.deepEqual([silent.confirmed, silent.readsEnforced], [true, false]);
  // Where everything may be read, a profile is there for what is accepted.
  const kept = { ...whole, policy: { ...whole.policy, acceptedCommands: "sandboxed" as const } };
  for (
    const [echo, stays] of [[echoOf(RO), "mayLeave"], [{
      ...echoOf(RO),
      activePermissionProfile: { id: "runtime-1" },
    }, "sandboxed"]] as const
  ) {
    const { readsEnforced, acceptedCommands } = confirmPolicy(kept, echo);
    assert.deepEqual([readsEnforced, acceptedCommands], [true, stays]);
  }
  assert.throws(() => confirmPolicy(scoped, echoOf(WW)), (error) => {
    assert(error instanceof PolicyMismatchError);
    assert.deepEqual(error.mismatches, [
      { field: "sandbox", asked: "readOnly", confirmed: "workspaceWrite" },
    ]);
    return true;
  });
});

test("a mismatch names the roots that were asked for, also when there were none", () => {
  const bare = asked("workspace-write");
  const none = {
    ...bare,
    policy: { ...bare.policy, sandbox: { type: "workspaceWrite" } as const },
  };
  assert.deepEqual(compareEcho(none, echoOf({ ...WW, writableRoots: ["/etc"] })), [
    { field: "sandbox.writableRoots", asked: "[]", confirmed: '["/etc"]' },
  ]);
});

const CONFIRMED: [string, SandboxMode | SandboxPolicy, JsonValue, SandboxPolicy, RegExp[]][] = [
  ["the same", "workspace-write", WW, {
    type: "workspaceWrite",
    writableRoots: [],
    excludeSlashTmp: false,
    excludeTmpdirEnvVar: false,
  }, []],
  ["read-only instead", "workspace-write", RO, { type: "readOnly" }, [/readOnly instead of work/]],
  [
    "no network",
    { type: "readOnly", networkAccess: true },
    RO,
    { type: "readOnly", networkAccess: false },
    [/no network/],
  ],
  [
    "network",
    { type: "readOnly", networkAccess: true },
    { ...RO, networkAccess: true },
    { type: "readOnly", networkAccess: true },
    [],
  ],
  ["workspace instead of everything", "danger-full-access", WW, {
    type: "workspaceWrite",
    networkAccess: false,
  }, [
    /workspaceWrite instead of dangerFullAccess/,
    /no network/,
  ]],
  [
    "a root and a temporary directory less",
    { type: "workspaceWrite", writableRoots: ["/data", "/more"] },
    { ...WW, writableRoots: ["/more"], excludeSlashTmp: true },
    {
      type: "workspaceWrite",
      writableRoots: ["/more"],
      excludeSlashTmp: true,
      excludeTmpdirEnvVar: false,
    },
    [/does not make \/data writable/],
  ],
  [
    "codex's own root",
    "workspace-write",
    { ...WW, writableRoots: ["/home/.codex/memories"] },
    {
      type: "workspaceWrite",
      writableRoots: ["/home/.codex/memories"],
      excludeSlashTmp: false,
      excludeTmpdirEnvVar: false,
    },
    [],
  ],
];

test("confirmPolicy() says what the server confirmed, and what that takes away", async (t) => {
  for (const [name, sandbox, echo, confirmed, sentences] of CONFIRMED) {
    await t.step(name, () => {
      const own = { ...asked(sandbox), ownRoots: ["/home/.codex/memories"] };
      const policy = confirmPolicy(own, echoOf(echo));
      assert.deepEqual(policy.sandbox, confirmed);
      assert.equal(policy.narrowed.length, sentences.length, policy.narrowed.join("\n"));
      for (const [at, wanted] of sentences.entries()) assert.match(policy.narrowed[at]!, wanted);
    });
  }
});

test("compareEcho() tolerates codex's own root and nothing beside it", () => {
  const own = { ...asked("workspace-write"), ownRoots: ["/home/.codex/memories"] };
  const roots = (...writableRoots: string[]) => fields(own, echoOf({ ...WW, writableRoots }));
  assert.deepEqual(roots("/home/.codex/memories"), []);
  for (const other of ["/home/.codex", "/home/.codex/memories2", "/home/.codex/rules", "/"]) {
    assert.deepEqual(roots("/home/.codex/memories", other), ["sandbox.writableRoots"], other);
  }
  // It is no part of a session that may not write at all.
  const readOnly = { ...asked("read-only"), ownRoots: ["/home/.codex/memories"] };
  assert.deepEqual(fields(readOnly, echoOf(WW)), ["sandbox"]);
});

test("confirmPolicy() says that the server asks more", () => {
  const more = confirmPolicy(asked("read-only", "never"), echoOf(RO, "untrusted"));
  assert.equal(more.approvalPolicy, "untrusted");
  assert.match(more.narrowed.join(), /asks more/);
  const same = confirmPolicy(asked("read-only", "on-request"), echoOf(RO, "on-request"));
  assert.deepEqual([same.approvalPolicy, same.narrowed], ["on-request", []]);
});
