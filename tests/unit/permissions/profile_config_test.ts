import assert from "node:assert/strict";
import type { JsonObject } from "../../../src/json.ts";
import { effectivePolicy } from "../../../src/permissions/policy/effective_policy.ts";
import type { EffectivePolicy } from "../../../src/permissions/policy/policy.ts";
import {
  containmentAdvice,
  rootAroundHome,
  threadPolicyParams,
  turnPolicyParams,
} from "../../../src/permissions/policy/profile_config.ts";
import { findServerFiles } from "../../../src/permissions/policy/server_files.ts";
import type { ServerFiles } from "../../../src/permissions/policy/profile_config.ts";
import type { SandboxPolicy } from "../../../src/permissions/types.ts";
import { test } from "../../_harness.ts";
import { ALL, factsOf, type Grants, probeOf } from "./_world.ts";

const EXE = "/opt/node_modules/@openai/codex-linux-x64/vendor/x86_64-unknown-linux-musl/bin/codex";
const VENDOR = "/opt/node_modules/@openai/codex-linux-x64/vendor/x86_64-unknown-linux-musl";

function filesOf(executable: string, root: string[] | null = null): ServerFiles {
  return { executable, root, rootLinks: [] };
}

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
    // The user's own roots would be those of a turn that writes.
    config: { sandbox_workspace_write: { writable_roots: [] } },
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
  const bare = { ...policy({ type: "workspaceWrite" }, ALL), sandbox: { type: "workspaceWrite" } };
  const { config } = threadPolicyParams(bare as EffectivePolicy);
  assert.deepEqual((config["sandbox_workspace_write"] as JsonObject)["writable_roots"], []);
});

test("threadPolicyParams() refuses directories that a profile would take for patterns", () => {
  for (const name of ["**", "a*", "[x]", "q?"]) {
    const cwd = `/ws/${name}`;
    const scoped: EffectivePolicy = {
      ...policy({ type: "workspaceWrite", writableRoots: ["/ws"] }, {
        read: ["/ws"],
        write: ["/ws"],
      }),
      readRoots: ["/ws"],
    };
    const refused = { name: "PolicyError", message: /takes the name for a pattern/ };
    assert.throws(() => threadPolicyParams({ ...scoped, cwd }), refused);
    assert.throws(() => threadPolicyParams({ ...scoped, readRoots: [cwd] }), refused);
    assert.throws(
      () =>
        threadPolicyParams({
          ...scoped,
          sandbox: { type: "workspaceWrite", writableRoots: [cwd] },
        }),
      refused,
    );
    // Without a profile it is a name like any other, and nothing that is accepted can be held there.
    const asked = {
      cwd,
      sandbox: { type: "workspaceWrite" },
      approvalPolicy: "untrusted",
      contain: true,
    } as const;
    const facts = factsOf({}, { serverVersion: "0.169.0", platform: "linux" });
    const whole = effectivePolicy(asked, probeOf(ALL), facts);
    assert.equal(whole.acceptedCommands, "mayLeave");
    assert.deepEqual(threadPolicyParams(whole).profileId, null);
    assert.equal(
      effectivePolicy({ ...asked, cwd: "/ws" }, probeOf(ALL), facts).acceptedCommands,
      "sandboxed",
    );
  }
});

test("threadPolicyParams() sends a profile and no sandbox when reads are limited", () => {
  const scoped = policy({ type: "readOnly" }, { read: ["/ws"] });
  const params = threadPolicyParams(scoped, { files: filesOf(EXE) });
  assert.equal("sandbox" in params, false);
  assert.equal(params.config["default_permissions"], params.profileId);
  assert.deepEqual(profileOf(params.config), {
    filesystem: { ":minimal": "read", [VENDOR]: "read", "/ws": "read" },
    network: { enabled: false },
  });
  assert.deepEqual(turnPolicyParams(scoped, { policy: scoped, params }), {});
});

test("threadPolicyParams() lets a limited profile write where the policy does", () => {
  const grants = { read: ["/ws", "/data", "/tmp"], write: ["/ws", "/data", "/tmp"] };
  const writable: SandboxPolicy = { type: "workspaceWrite", writableRoots: ["/data"] };
  const { config } = threadPolicyParams(policy(writable, grants), {
    files: filesOf("/usr/bin/codex"),
  });
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
    threadPolicyParams(policy({ type: "readOnly" }, { read }), { files: filesOf(EXE) }).profileId;
  assert.equal(id(["/ws"]), id(["/ws"]));
  assert.notEqual(id(["/ws"]), id(["/"]));
  assert.match(id(["/ws"])!, /^runtime-[0-9a-f]{16}$/);
});

test("threadPolicyParams() sends the sandbox to a codex that knows no profiles", () => {
  const old = policy({ type: "readOnly" }, { read: ["/ws"] }, "0.104.0");
  assert.equal(old.readsEnforced, false);
  assert.equal(threadPolicyParams(old).sandbox, "read-only");
  const params = threadPolicyParams(old);
  assert.deepEqual(turnPolicyParams(old, { policy: old, params }), {
    sandboxPolicy: { type: "readOnly" },
  });
});

const FILES = filesOf(EXE, ["/dev", "/home", "/proc", "/tmp", "/usr"]);

/** What a session may do whose accepted commands are kept in the sandbox while everything may be read. */
function contained(sandbox: SandboxPolicy, serverVersion = "0.169.0"): EffectivePolicy {
  return effectivePolicy(
    { cwd: "/home/ws", sandbox, approvalPolicy: "untrusted", contain: true },
    probeOf(ALL),
    factsOf({}, { serverVersion, platform: "linux" }),
  );
}

test("threadPolicyParams() denies the root and grants what lies in it, to keep accepted commands inside", () => {
  const read = { ":root": "deny", ":minimal": "read", [VENDOR]: "read", "/home": "read" };
  const readOnly = threadPolicyParams(contained({ type: "readOnly" }), { files: FILES });
  assert.deepEqual(profileOf(readOnly.config), {
    filesystem: { ...read, "/tmp": "read", "/usr": "read" },
    network: { enabled: false },
  });
  const writes = threadPolicyParams(
    contained({ type: "workspaceWrite", networkAccess: true, excludeTmpdirEnvVar: true }),
    { files: FILES },
  );
  assert.deepEqual(profileOf(writes.config), {
    filesystem: { ...read, "/usr": "read", "/home/ws": "write", ":slash_tmp": "write" },
    network: { enabled: true },
  });
});

test("a turn names a profile that its thread brought, and a sandbox only where none can be named", () => {
  const writable: SandboxPolicy = { type: "workspaceWrite" };
  const session = contained(writable);
  const options = { files: FILES, turnProfiles: true, startReadOnly: true };
  const params = threadPolicyParams(session, options);
  const thread = { policy: session, params };
  const own = turnPolicyParams(session, thread, options)!["permissions"] as string;
  const narrow = turnPolicyParams(contained({ type: "readOnly" }), thread, options);
  // It starts with the profile that writes nothing.
  assert.deepEqual(narrow, { permissions: params.profileId });
  assert.notEqual(own, params.profileId);
  assert.deepEqual(
    Object.keys(params.config["permissions"] as JsonObject).sort(),
    [own, params.profileId].sort(),
  );
  const open = (sandbox: SandboxPolicy) => turnPolicyParams(contained(sandbox), thread, options);
  assert.deepEqual(open({ type: "dangerFullAccess" }), {
    sandboxPolicy: { type: "dangerFullAccess" },
  });
  assert.equal(open({ type: "workspaceWrite", networkAccess: true }), null);
  // Where turns can't name profiles, they can have nothing but the thread's.
  assert.deepEqual(turnPolicyParams(session, thread, { files: FILES }), {});
  assert.equal(turnPolicyParams(contained({ type: "readOnly" }), thread, { files: FILES }), null);
});

test("findServerFiles reads absolute paths and nothing else", () => {
  const read = (stdout: string, exitCode = 0) =>
    findServerFiles.read({ exitCode, stdout, stderr: "" });
  const nothing = { executable: null, root: null, rootLinks: [] };
  const whole = `codex ${EXE}\nroot /bin\nroot /home\nlink /home\n`;
  assert.deepEqual(read(whole), {
    executable: EXE,
    root: ["/bin", "/home"],
    rootLinks: ["/home"],
  });
  assert.deepEqual(read(whole, 1), nothing);
  assert.deepEqual(read(""), nothing);
  assert.deepEqual(findServerFiles.read(null), nothing);
  // A name with a line break in it is no two names.
  assert.deepEqual(read("codex codex\nroot /a\nb\nroot /x/../etc\nroot /c\nlink /d\n"), {
    executable: null,
    root: ["/a", "/c"],
    rootLinks: [],
  });
});

test("threadPolicyParams() keeps codex itself from reading beside a workspace", () => {
  const of = (reads: "all" | "workspace", networkAccess: boolean) => {
    const decided = effectivePolicy(
      {
        cwd: "/ws",
        sandbox: { type: "workspaceWrite", networkAccess },
        approvalPolicy: "never",
        reads,
      },
      probeOf(reads === "all" ? { ...ALL, read: ["/ws"] } : ALL),
      factsOf(),
    );
    return threadPolicyParams(decided, { files: filesOf(EXE) }).config;
  };
  assert.equal(of("workspace", false)["project_doc_max_bytes"], 0);
  assert.equal("project_doc_max_bytes" in of("all", false), false);
  // By either name that the user may have switched them on.
  assert.equal(of("workspace", false)["features.memories"], false);
  assert.equal(of("workspace", false)["memories.use_memories"], false);
  assert.deepEqual(profileOf(of("workspace", true))["network"], { enabled: true });
  assert.deepEqual(profileOf(of("workspace", false))["network"], { enabled: false });
});

test("containmentAdvice() names the codex that could keep accepted commands in", () => {
  const writes = { type: "workspaceWrite" } as const;
  const rows: [SandboxPolicy, string | null, string | null, RegExp | null][] = [
    [{ type: "readOnly" }, "0.136.0", "linux", null],
    [{ type: "readOnly" }, "0.125.0", "linux", /0\.136\.0/],
    [{ type: "readOnly" }, "0.169.0", "macos", /Linux/],
    [{ type: "readOnly" }, "0.169.0", null, /Linux/],
    [{ type: "readOnly" }, null, "linux", /0\.136\.0/],
    [writes, "0.169.0", "linux", null],
    [writes, "0.155.1", "linux", /0\.160\.0/],
    [writes, "0.145.0", "linux", null],
    [writes, "0.136.0", "linux", /excludeSlashTmp.*0\.160\.0/],
    [{ ...writes, excludeSlashTmp: true }, "0.136.0", "linux", null],
    [writes, "0.104.0", "linux", /0\.160\.0/],
    [{ type: "dangerFullAccess" }, "0.104.0", "macos", null],
  ];
  for (const [sandbox, version, platform, wanted] of rows) {
    const advice = containmentAdvice(sandbox, { version, platform });
    if (wanted === null) assert.equal(advice, null, `${version} ${platform}`);
    else assert.match(advice!, wanted);
  }
});

test("rootAroundHome() finds codex's home in what the agent may write", () => {
  const write = {
    type: "workspaceWrite",
    excludeSlashTmp: true,
    excludeTmpdirEnvVar: true,
  } as const;
  const links: Record<string, string> = { "/link": "/w", "/u/.codex": "/w/dot" };
  const facts = {
    realPath: (path: string) => links[path] ?? path,
    tmpdir: "/t",
    serverVersion: "0.169.0",
  };
  const rows: [
    home: string,
    cwd: string,
    sandbox: SandboxPolicy,
    version: string,
    string | null,
  ][] = [
    ["/h/codex", "/h", write, "0.169.0", "/h"],
    ["/h/codex", "/h/codex", write, "0.169.0", "/h/codex"],
    ["/h/codex", "/h/codex/worktrees/a", write, "0.169.0", null],
    ["/h/codex", "/home", write, "0.169.0", null],
    ["/h/codex", "/h", { type: "readOnly" }, "0.169.0", null],
    ["/h/codex", "/w", { ...write, writableRoots: ["/a", "/h/"] }, "0.169.0", "/h/"],
    // Codex keeps commands out of this one, and did not before.
    ["/h/.codex", "/h", write, "0.169.0", null],
    ["/h/.codex", "/h", write, "0.110.0", "/h"],
    ["/h/.codex", "/", write, "0.169.0", "/"],
    ["/w/codex", "/link", write, "0.169.0", "/link"],
    ["/u/.codex", "/u", write, "0.169.0", "/u"],
    ["/u/.codex", "/w", write, "0.169.0", "/w"],
    ["/tmp/.codex", "/w", { ...write, excludeSlashTmp: false }, "0.169.0", "/tmp"],
    ["/tmp/.codex", "/w", write, "0.169.0", null],
    ["/t/x", "/w", { ...write, excludeTmpdirEnvVar: false }, "0.169.0", "/t"],
  ];
  for (const [home, cwd, sandbox, serverVersion, expected] of rows) {
    const found = rootAroundHome({ cwd, sandbox }, home, { ...facts, serverVersion });
    assert.equal(found, expected, `${home} ${cwd} ${serverVersion}`);
  }
  const shared = { cwd: "/w", sandbox: { ...write, excludeSlashTmp: false } };
  assert.equal(rootAroundHome(shared, "/tmp/x", facts), "/tmp");
  assert.equal(rootAroundHome(shared, "/tmp/x", { ...facts, windows: true }), null);
});
