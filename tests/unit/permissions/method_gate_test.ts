import assert from "node:assert/strict";
import {
  InvalidArgumentError,
  PermissionDeniedError,
  PolicyError,
} from "../../../src/errors/mod.ts";
import type { JsonObject } from "../../../src/json.ts";
import { gateMethod, type MethodGateContext } from "../../../src/permissions/guard/method_gate.ts";
import { type PermissionProbe, unrestrictedProbe } from "../../../src/permissions/probe.ts";
import { test } from "../../_harness.ts";
import { ALL, factsOf, type Grants, probeOf } from "./_world.ts";

const context: MethodGateContext = {
  consent: null,
  codexHome: "/home/me/.codex",
  serverCwd: "/ws",
  asksBeforeLeaving: true,
  realPath: factsOf({ "/ws/link": "/secret" }).realPath,
};

function missing(method: string, params: JsonObject, grants: Grants): string[] | null {
  const refusal = gateMethod(method, params, probeOf(grants), context);
  if (refusal === null) return null;
  assert(refusal instanceof PermissionDeniedError, String(refusal));
  return refusal.missing;
}

const WS: Grants = { read: ["/ws"], write: ["/ws"] };
const EVERYTHING = [
  "--allow-read",
  "--allow-write",
  "--allow-net",
  "--allow-run",
  "--allow-env",
  "--allow-sys",
  "--allow-ffi",
];
const profile = (filesystem: JsonObject, network: JsonObject = { enabled: false }): JsonObject => ({
  config: { default_permissions: "p", permissions: { p: { filesystem, network } } },
});
const sandbox = (type: string, more: JsonObject = {}): JsonObject => ({
  sandboxPolicy: { type, ...more },
});

const CASES: [string, string, JsonObject, Grants, string[] | null][] = [
  ["talk is free", "thread/list", {}, {}, null],
  ["interrupting is free", "turn/interrupt", { threadId: "t", turnId: "u" }, {}, null],
  ["a plain turn is free", "turn/start", { threadId: "t", input: [{ type: "text" }] }, {}, null],
  ["reading inside", "fs/readFile", { path: "/ws/a" }, WS, null],
  ["reading outside", "fs/readFile", { path: "/etc/passwd" }, WS, ["--allow-read=/etc/passwd"]],
  ["climbing out", "fs/readFile", { path: "/ws/../etc/x" }, WS, ["--allow-read=/etc/x"]],
  ["following a link out", "fs/readFile", { path: "/ws/link/k" }, WS, ["--allow-read=/secret/k"]],
  ["a relative path", "fs/readDirectory", { path: "sub" }, WS, null],
  ["no path at all", "fs/readFile", {}, WS, ["--allow-read"]],
  ["writing inside", "fs/writeFile", { path: "/ws/a" }, WS, null],
  ["writing outside", "fs/remove", { path: "/etc" }, WS, ["--allow-write=/etc"]],
  [
    "copying out",
    "fs/copy",
    { sourcePath: "/ws/a", destinationPath: "/out/a" },
    WS,
    ["--allow-write=/out/a"],
  ],
  [
    "copying in",
    "fs/copy",
    { sourcePath: "/etc/shadow", destinationPath: "/ws/a" },
    WS,
    ["--allow-read=/etc/shadow"],
  ],
  ["a marketplace elsewhere", "plugin/read", { marketplacePath: "/etc/m.json", pluginName: "p" }, {
    read: ["/ws", "/home/me/.codex"],
  }, ["--allow-read=/etc/m.json"]],
  [
    "skills elsewhere, on old servers",
    "skills/list",
    { cwds: ["/ws"], perCwdExtraUserRoots: [{ cwd: "/ws", extraUserRoots: ["/etc/skills"] }] },
    { read: ["/ws", "/home/me/.codex"] },
    ["--allow-read=/etc/skills"],
  ],
  ["profiles of a directory", "permissionProfile/list", { cwd: "/etc" }, {
    read: ["/home/me/.codex"],
  }, ["--allow-read=/etc"]],
  ["a review in its thread", "review/start", { threadId: "t", delivery: "inline" }, WS, null],
  ["a review", "review/start", { threadId: "t", delivery: null }, WS, null],
  [
    "a review elsewhere",
    "review/start",
    { threadId: "t", delivery: "detached" },
    WS,
    EVERYTHING,
  ],
  [
    "a command in a profile",
    "command/exec",
    { ...sandbox("readOnly"), permissionProfile: ":danger-full-access" },
    { read: "all" },
    EVERYTHING.slice(1),
  ],
  [
    "a command with a field of the future",
    "command/exec",
    {
      ...sandbox("readOnly"),
      sandboxOverride: "none",
    },
    { read: "all" },
    EVERYTHING.slice(1),
  ],
  [
    "a thread that is given away later",
    "thread/metadata/update",
    { threadId: "t", daybreakEnabled: true },
    WS,
    EVERYTHING,
  ],
  // Codex takes `~` for the home of its user in some places: measured with `cwd` and with profiles on 0.169.
  ["a thread in a home", "thread/start", { sandbox: "read-only", cwd: "~/x" }, {
    read: "all",
  }, null],
  ["writing in a home", "thread/start", { sandbox: "workspace-write", cwd: "~/x" }, {
    read: "all",
    write: ["/ws", "/tmp"],
  }, ["--allow-write"]],
  ["moving a turn home", "turn/start", { cwd: "~/x" }, WS, ["--allow-read", "--allow-write"]],
  [
    "a command at home",
    "command/exec",
    {
      ...sandbox("workspaceWrite", { excludeSlashTmp: true, excludeTmpdirEnvVar: true }),
      cwd: "~",
    },
    { read: "all", write: ["/ws"] },
    ["--allow-write"],
  ],
  ["a file at home", "fs/readFile", { path: "~/x" }, WS, ["--allow-read"]],
  ["another kind of path", "turn/start", { cwd: 5 }, WS, ["--allow-read", "--allow-write"]],
  ["skills at home", "skills/list", { cwds: ["~"] }, { read: ["/ws", "/home/me/.codex"] }, [
    "--allow-read",
  ]],
  [
    "a profile for a home",
    "thread/start",
    { cwd: "/ws", ...profile({ ":minimal": "read", "~/x": "write" }) },
    WS,
    ["--allow-read", "--allow-write"],
  ],
  ["searching", "fuzzyFileSearch", { roots: ["/ws", "/etc"] }, WS, ["--allow-read=/etc"]],
  ["reading codex's config", "config/read", {}, WS, ["--allow-read=/home/me/.codex"]],
  ["writing codex's config", "config/value/write", { keyPath: "x" }, WS, EVERYTHING],
  ["a shell command", "thread/shellCommand", { threadId: "t", command: "id" }, WS, EVERYTHING],
  ["a process", "process/spawn", { command: ["id"] }, WS, EVERYTHING],
  ["an MCP tool", "mcpServer/tool/call", {}, WS, EVERYTHING],
  ["installing a plugin", "plugin/install", {}, WS, EVERYTHING],
  ["a method of the future", "teleport/start", {}, WS, EVERYTHING],
  ["a thread method of the future", "thread/teleport", {}, WS, EVERYTHING],
  ["an old conversation", "newConversation", {}, WS, EVERYTHING],
  ["a command in the user's own policy", "command/exec", { command: ["id"] }, WS, EVERYTHING],
  ["a sandboxed command", "command/exec", sandbox("readOnly"), WS, ["--allow-read"]],
  ["a sandboxed command", "command/exec", sandbox("readOnly"), { read: "all" }, null],
  [
    "a sandboxed command with network",
    "command/exec",
    sandbox("readOnly", { networkAccess: true }),
    { read: "all" },
    ["--allow-net"],
  ],
  ["a free command", "command/exec", sandbox("dangerFullAccess"), WS, EVERYTHING],
  ["a free turn", "turn/start", sandbox("dangerFullAccess"), WS, EVERYTHING],
  ["a free thread", "thread/start", { sandbox: "danger-full-access" }, WS, EVERYTHING],
  ["a sandbox of the future", "turn/start", sandbox("openBar"), WS, EVERYTHING],
  ["a writable turn", "turn/start", { ...sandbox("workspaceWrite"), cwd: "/ws" }, {
    read: "all",
    write: ["/ws"],
  }, ["--allow-write"]],
  [
    "a writable turn without temporary directories",
    "turn/start",
    {
      ...sandbox("workspaceWrite", { excludeSlashTmp: true, excludeTmpdirEnvVar: true }),
      cwd: "/ws",
    },
    { read: "all", write: ["/ws"] },
    null,
  ],
  ["moving a turn", "turn/start", { cwd: "/etc" }, WS, ["--allow-read=/etc", "--allow-write=/etc"]],
  ["a read-only thread", "thread/start", { sandbox: "read-only" }, WS, ["--allow-read"]],
  ["a thread in whatever sandbox", "thread/start", { cwd: "/ws" }, WS, EVERYTHING],
  ["resuming in whatever sandbox", "thread/resume", { threadId: "t" }, WS, EVERYTHING],
  [
    "a thread in a profile",
    "thread/start",
    profile({ ":minimal": "read", "/ws": "write" }),
    WS,
    null,
  ],
  ["a profile that reads more", "thread/start", profile({ "/etc": "read" }), WS, [
    "--allow-read=/etc",
  ]],
  ["a profile that reads all", "thread/start", profile({ ":root": "read" }), WS, ["--allow-read"]],
  ["a profile by pattern", "thread/start", profile({ "/e*": "read" }), WS, ["--allow-read"]],
  ["a profile that denies", "thread/start", profile({ "/ws": "read", "/x": "none" }), WS, null],
  ["a profile with network", "thread/start", profile({ "/ws": "read" }, { enabled: true }), WS, [
    "--allow-net",
  ]],
  ["a named profile", "thread/start", { permissions: ":danger-full-access" }, WS, EVERYTHING],
  [
    "a thread with an MCP server",
    "thread/start",
    {
      ...profile({ "/ws": "read" }),
      config: {
        ...profile({ "/ws": "read" })["config"] as JsonObject,
        "mcp_servers.x.command": "sh",
      },
    },
    WS,
    EVERYTHING,
  ],
  ["another reviewer", "turn/start", { approvalsReviewer: "guardian_subagent" }, WS, EVERYTHING],
  ["the user as reviewer", "turn/start", { approvalsReviewer: "user" }, WS, null],
  ["more roots", "turn/start", { runtimeWorkspaceRoots: ["/data"] }, WS, [
    "--allow-read=/data",
    "--allow-write=/data",
  ]],
  ["another environment", "turn/start", { environments: [{ cwd: "/data" }] }, WS, [
    "--allow-read=/data",
    "--allow-write=/data",
  ]],
  [
    "a local image",
    "turn/steer",
    { input: [{ type: "localImage", path: "/etc/x.png" }, { type: "mention", path: "/etc/y" }] },
    WS,
    ["--allow-read=/etc/x.png"],
  ],
];

test("gateMethod() lets a raw request do no more than the script", async (t) => {
  for (const [name, method, params, grants, flags] of CASES) {
    await t.step(`${method}: ${name}`, () => {
      assert.deepEqual(missing(method, params, grants), flags);
    });
  }
});

test("gateMethod() lets everything pass where nothing is limited", async (t) => {
  for (const [name, method, params] of CASES) {
    await t.step(`${method}: ${name}`, () => {
      assert.equal(gateMethod(method, params, unrestrictedProbe, context), null);
      assert.equal(gateMethod(method, params, probeOf(ALL), context), null);
    });
  }
});

test("gateMethod() asks nothing of the runtime for a call that needs nothing", () => {
  const asked = (): never => assert.fail("asked for a permission");
  const probe: PermissionProbe = {
    enforcedBy: "deno",
    read: asked,
    write: asked,
    net: asked,
    run: asked,
    env: asked,
    sys: asked,
    ffi: asked,
  };
  for (const consent of [null, {}]) {
    assert.equal(gateMethod("model/list", {}, probe, { ...context, consent }), null);
  }
  assert.throws(() => gateMethod("command/exec", { command: ["id"] }, probe, context), /asked for/);
});

test("gateMethod() asks for the caller's consent where it is told to", async (t) => {
  const gate = (
    method: string,
    params: JsonObject,
    consent: MethodGateContext["consent"],
    more: Partial<MethodGateContext> = {},
  ) => gateMethod(method, params, unrestrictedProbe, { ...context, ...more, consent });
  const refused: [string, JsonObject][] = [
    ["thread/start", { sandbox: "workspace-write", cwd: "/ws" }],
    ["thread/start", { config: { sandbox_mode: "danger-full-access" } }],
    ["turn/start", sandbox("workspaceWrite")],
    ["command/exec", sandbox("dangerFullAccess")],
    ["thread/settings/update", sandbox("externalSandbox")],
    ["process/spawn", { command: ["id"] }],
    ["thread/shellCommand", { command: "id" }],
    ["command/exec", { command: ["id"] }],
    ["fs/writeFile", { path: "/ws/a", dataBase64: "" }],
    ["fs/copy", { sourcePath: "/ws/a", destinationPath: "/ws/b" }],
    ["config/value/write", { keyPath: "model", value: "m" }],
    ["mcpServer/tool/call", { server: "s", tool: "t" }],
    ["someFuture/method", {}],
    ["turn/start", { sandboxPolicy: "danger" }],
    ["turn/start", { threadId: "t", sandboxOverride: "none" }],
    ["turn/start", { threadId: "t", approvalsReviewer: "auto_review" }],
    ["turn/start", { threadId: "t", permissions: ":danger-full-access" }],
    ["turn/start", { threadId: "t", cwd: "/elsewhere" }],
    ["turn/start", { threadId: "t", environments: [{ cwd: "/elsewhere" }] }],
    ["turn/start", { threadId: "t", runtimeWorkspaceRoots: ["/elsewhere"] }],
    ["thread/start", {}],
    ["thread/start", { sandbox: "read-only", selectedCapabilityRoots: [{ path: "/p" }] }],
    ["thread/start", { sandbox: "read-only", daybreakEnabled: true }],
    ["thread/start", { sandbox: "read-only", config: { "mcp_servers.e.command": "sh" } }],
    ["command/exec", { ...sandbox("readOnly"), permissionProfile: ":danger-full-access" }],
    ["review/start", { threadId: "t", delivery: "detached" }],
    ["thread/metadata/update", { threadId: "t", daybreakEnabled: true }],
    ["account/login/start", { type: "apiKey", apiKey: "k" }],
    ["account/logout", {}],
    ["account/newest", {}],
  ];
  for (const [method, params] of refused) {
    await t.step(`${method} ${JSON.stringify(params)}`, () => {
      assert(gate(method, params, {}) instanceof PolicyError);
    });
  }
  await t.step("a method that is not known is told as one", () => {
    const { message } = gate("thread/strat", {}, {})!;
    assert.match(message, /^thread\/strat is no method that is known here/);
  });
  await t.step("a sandbox of another shape is no question of consent", () => {
    for (const sandbox of [5, {}, [], "walls"]) {
      const all = { allowPrivilegedEscalation: true, dangerouslyAllowUnattendedFullAccess: true };
      const refusal = gate("turn/start", { threadId: "t", sandboxPolicy: sandbox }, all);
      assert(refusal instanceof InvalidArgumentError);
      assert.match(refusal.message, /`sandboxPolicy` must be/);
    }
  });
  await t.step("what can't be looked at is not sent", () => {
    for (const params of [["t", null], "t", 1, true]) {
      const consent = { allowPrivilegedEscalation: true };
      const refusal = gateMethod("turn/start", params, unrestrictedProbe, { ...context, consent });
      assert(refusal instanceof InvalidArgumentError);
    }
  });
  await t.step("the first consent alone stops nobody's questions", () => {
    const yes = { allowPrivilegedEscalation: true };
    const both = { ...yes, dangerouslyAllowUnattendedFullAccess: true };
    const spelled = profile({ "/ws": "read" });
    const rows: [string, JsonObject, boolean][] = [
      ["thread/start", {}, true],
      ["thread/start", { approvalPolicy: "untrusted" }, false],
      ["thread/start", { approvalPolicy: "on-request" }, true],
      ["thread/start", spelled, false],
      ["thread/start", { permissions: "mine" }, true],
      ["turn/start", { threadId: "t" }, false],
      ["turn/start", { threadId: "t", approvalPolicy: "untrusted" }, false],
      ["turn/start", { threadId: "t", approvalPolicy: "never" }, true],
      ["turn/start", { threadId: "t", approvalPolicy: "on-request" }, true],
      ["turn/start", { threadId: "t", permissions: "mine" }, true],
      ["thread/settings/update", { threadId: "t", approvalPolicy: "never" }, true],
      ["review/start", { threadId: "t", delivery: "detached" }, true],
      ["review/start", { threadId: "t", delivery: "inline" }, false],
    ];
    for (const [method, params, refuses] of rows) {
      const refusal = gate(method, params, yes);
      assert.equal(refusal instanceof PolicyError, refuses, `${method} ${JSON.stringify(params)}`);
      assert.equal(gate(method, params, both), null);
    }
  });
  await t.step("consent opens", () => {
    const yes = { allowPrivilegedEscalation: true };
    assert.equal(gate("turn/start", { ...sandbox("workspaceWrite"), threadId: "t" }, yes), null);
    assert.equal(gate("process/spawn", { command: ["id"] }, yes), null);
    assert.equal(gate("command/exec", { command: ["id"] }, yes), null);
    assert.equal(gate("fs/writeFile", { path: "/ws/a" }, yes), null);
    assert.equal(gate("someFuture/method", {}, yes), null);
    const free = { ...sandbox("dangerFullAccess"), threadId: "t", approvalPolicy: "never" };
    assert(gate("turn/start", free, yes) instanceof PolicyError);
    assert.equal(gate("turn/start", { ...free, approvalPolicy: "untrusted" }, yes), null);
    const both = { ...yes, dangerouslyAllowUnattendedFullAccess: true };
    assert.equal(gate("turn/start", free, both), null);
  });
  await t.step("where codex lets some programs leave the sandbox, its choice needs consent", () => {
    const context = { asksBeforeLeaving: false };
    const reads = { sandbox: "read-only" };
    const spelled = profile({ "/ws": "read" });
    const rows: [string, JsonObject, boolean][] = [
      ["thread/start", reads, true],
      ["thread/resume", { ...reads, threadId: "t" }, true],
      ["thread/start", { ...reads, approvalPolicy: "on-request" }, true],
      ["thread/start", { ...reads, approvalPolicy: { granular: { rules: true } } }, true],
      ["thread/start", { ...reads, config: { approval_policy: "on-request" } }, true],
      ["thread/start", spelled, true],
      ["thread/start", { ...reads, approvalPolicy: "never" }, false],
      ["thread/start", { ...reads, approvalPolicy: "untrusted" }, false],
      ["thread/start", { ...reads, approvalPolicy: "on-failure" }, false],
      ["thread/start", { ...spelled, approvalPolicy: "untrusted" }, false],
      ["turn/start", { threadId: "t", approvalPolicy: "on-request" }, true],
      ["turn/start", { threadId: "t", ...sandbox("readOnly"), approvalPolicy: "on-request" }, true],
      ["turn/start", { threadId: "t", ...sandbox("readOnly") }, false],
      ["turn/start", { threadId: "t" }, false],
      ["command/exec", sandbox("readOnly"), false],
    ];
    const unattended = { dangerouslyAllowUnattendedFullAccess: true };
    const both = { ...unattended, allowPrivilegedEscalation: true };
    for (const [method, params, refuses] of rows) {
      const label = `${method} ${JSON.stringify(params)}`;
      for (const consent of [{}, { allowPrivilegedEscalation: true }]) {
        const refusal = gate(method, params, consent, context);
        assert.equal(refusal instanceof PolicyError, refuses, label);
      }
      assert.equal(gate(method, params, both, context), null, label);
    }
    const given = gate("thread/start", reads, unattended, context);
    assert.equal(given, null, "a read-only sandbox needs no other consent");
    const writes = { sandbox: "workspace-write", cwd: "/ws", approvalPolicy: "on-request" };
    const yes = { allowPrivilegedEscalation: true };
    assert(gate("thread/start", writes, yes, context) instanceof PolicyError);
    assert.equal(gate("thread/start", writes, yes), null);
    assert.equal(
      gate("thread/start", { ...writes, approvalPolicy: "untrusted" }, yes, context),
      null,
    );
  });
  await t.step("read-only needs none", () => {
    assert.equal(gate("thread/start", { sandbox: "read-only" }, {}), null);
    assert.equal(gate("turn/start", { threadId: "t" }, {}), null);
    assert.equal(gate("command/exec", sandbox("readOnly"), {}), null);
    assert.equal(gate("fs/readFile", { path: "/ws/a" }, {}), null);
    assert.equal(gate("thread/list", {}, {}), null);
  });
});
