import assert from "node:assert/strict";
import { configNeeds } from "../../../src/permissions/config/config_needs.ts";
import { PermissionDeniedError, PolicyError } from "../../../src/errors/mod.ts";
import {
  decidePolicy,
  effectivePolicy,
  recheckPolicy,
} from "../../../src/permissions/policy/effective_policy.ts";
import type { PolicyFacts, PolicyRequest } from "../../../src/permissions/policy/policy.ts";
import { unrestrictedProbe } from "../../../src/permissions/probe.ts";
import type { ApprovalPolicy, SandboxPolicy } from "../../../src/permissions/types.ts";
import { test } from "../../_harness.ts";
import { ALL, factsOf, type Grants, probeOf } from "./_world.ts";

const WS: SandboxPolicy = { type: "workspaceWrite" };
const ask = (sandbox: SandboxPolicy, more: Partial<PolicyRequest> = {}): PolicyRequest => ({
  cwd: "/ws",
  sandbox,
  approvalPolicy: "never",
  ...more,
});

function missingOf(run: () => unknown): string[] {
  try {
    run();
  } catch (error) {
    assert(error instanceof PermissionDeniedError, String(error));
    return error.missing;
  }
  throw new assert.AssertionError({ message: "nothing was refused" });
}

const REFUSED: [string, SandboxPolicy, Grants, string[]][] = [
  ["read-only without read", { type: "readOnly" }, {}, ["--allow-read=/ws"]],
  [
    "network without net",
    { type: "readOnly", networkAccess: true },
    { read: "all", net: ["a.b"] },
    [
      "--allow-net",
    ],
  ],
  ["workspace-write without write", WS, { read: "all" }, ["--allow-write=/ws"]],
  ["workspace-write without anything", WS, {}, ["--allow-write=/ws", "--allow-read=/ws"]],
  [
    "a writable root without write",
    { type: "workspaceWrite", writableRoots: ["/data"] },
    { read: "all", write: ["/ws"] },
    ["--allow-write=/data"],
  ],
  [
    "a writable root without read",
    { type: "workspaceWrite", writableRoots: ["/data"] },
    { read: ["/ws"], write: ["/ws", "/data"] },
    ["--allow-read=/data"],
  ],
  [
    "full access without anything",
    { type: "dangerFullAccess" },
    {},
    [
      "--allow-read",
      "--allow-write",
      "--allow-net",
      "--allow-run",
      "--allow-env",
      "--allow-sys",
      "--allow-ffi",
    ],
  ],
  ["full access without net", { type: "dangerFullAccess" }, { ...ALL, net: ["a.b"] }, [
    "--allow-net",
  ]],
  ["an external sandbox", { type: "externalSandbox" }, { ...ALL, write: ["/ws"] }, [
    "--allow-write",
  ]],
  ["an unknown sandbox", { type: "newThing" } as unknown as SandboxPolicy, { ...ALL, write: [] }, [
    "--allow-write",
  ]],
];

test("effectivePolicy() refuses with exactly the flags that are missing", async (t) => {
  for (const [name, sandbox, grants, flags] of REFUSED) {
    await t.step(name, () => {
      const found = missingOf(() => effectivePolicy(ask(sandbox), probeOf(grants), factsOf()));
      assert.deepEqual(found, flags);
    });
  }
});

test("effectivePolicy() grants what the script has", async (t) => {
  for (
    const sandbox of [
      { type: "readOnly" },
      { type: "workspaceWrite", writableRoots: ["/data"], networkAccess: true },
      { type: "dangerFullAccess" },
      { type: "externalSandbox", networkAccess: "enabled" },
    ] as SandboxPolicy[]
  ) {
    await t.step(sandbox.type, () => {
      const policy = effectivePolicy(ask(sandbox), probeOf(ALL), factsOf());
      assert.equal(policy.sandbox.type, sandbox.type);
      assert.deepEqual(policy.narrowed, []);
      assert.equal(policy.readRoots, "all");
      assert.equal(policy.enforcedBy, "deno");
      assert.equal(policy.confirmed, false);
    });
  }
});

test("effectivePolicy() without permissions of the runtime's own grants everything and says so", () => {
  const policy = effectivePolicy(ask({ type: "dangerFullAccess" }), unrestrictedProbe, factsOf());
  assert.deepEqual(policy.sandbox, { type: "dangerFullAccess" });
  // Where there is no sandbox nothing leaves it.
  const old = { ...factsOf(), serverVersion: "0.104.0" };
  const asked = { ...ask({ type: "dangerFullAccess" }), approvalPolicy: "on-request" as const };
  const { approvalPolicy, narrowed } = effectivePolicy(asked, unrestrictedProbe, old);
  assert.deepEqual([approvalPolicy, narrowed], ["on-request", []]);
  assert.equal(policy.enforcedBy, "none");
});

test("effectivePolicy() in narrow mode takes what is granted and says what it took away", async (t) => {
  const narrow = (sandbox: SandboxPolicy, grants: Grants) =>
    effectivePolicy(ask(sandbox), probeOf(grants), factsOf(), "narrow");
  await t.step("workspace-write becomes read-only", () => {
    const policy = narrow({ ...WS, networkAccess: true } as SandboxPolicy, { read: "all" });
    assert.deepEqual(policy.sandbox, { type: "readOnly", networkAccess: false });
    assert.deepEqual(policy.narrowed, [
      "workspaceWrite became readOnly, since /ws is not writable.",
      "Commands have no network.",
    ]);
  });
  await t.step("full access becomes workspace-write without network", () => {
    const policy = narrow({ type: "dangerFullAccess" }, { ...ALL, net: ["a.b"] });
    assert.equal(policy.sandbox.type, "workspaceWrite");
    assert.equal((policy.sandbox as { networkAccess?: boolean }).networkAccess, false);
  });
  await t.step("ungranted roots go", () => {
    const policy = narrow(
      { type: "workspaceWrite", writableRoots: ["/data", "/other"] },
      { read: "all", write: ["/ws", "/data"] },
    );
    assert.deepEqual((policy.sandbox as { writableRoots?: string[] }).writableRoots, ["/data"]);
    assert(policy.narrowed.includes("/other is not writable."));
  });
  await t.step("an unknown sandbox becomes read-only", () => {
    const policy = narrow({ type: "newThing" } as unknown as SandboxPolicy, { read: "all" });
    assert.deepEqual(policy.sandbox, { type: "readOnly" });
  });
  await t.step("an unreadable cwd is not read", () => {
    const policy = narrow({ type: "readOnly" }, {});
    assert.deepEqual(policy.readRoots, []);
    assert.deepEqual(policy.narrowed, ["Commands can't read /ws."]);
  });
});

test("effectivePolicy() leaves ungranted temporary directories out without refusing", () => {
  const policy = effectivePolicy(ask(WS), probeOf({ read: "all", write: ["/ws"] }), factsOf());
  assert.deepEqual(policy.sandbox, {
    type: "workspaceWrite",
    writableRoots: [],
    excludeSlashTmp: true,
    excludeTmpdirEnvVar: true,
  });
  assert.deepEqual(policy.narrowed, [
    "/tmp is not writable.",
    "The directory in TMPDIR is not writable.",
  ]);
  const unknown = effectivePolicy(
    ask(WS),
    probeOf({ read: "all", write: ["/ws", "/tmp"] }),
    factsOf({}, { tmpdir: null }),
  );
  assert.equal((unknown.sandbox as { excludeSlashTmp?: boolean }).excludeSlashTmp, false);
  assert.equal((unknown.sandbox as { excludeTmpdirEnvVar?: boolean }).excludeTmpdirEnvVar, true);
});

test("effectivePolicy() wants both the spelling and the real path granted", async (t) => {
  const linked = factsOf({ "/ws": "/real/ws" });
  await t.step("only the spelling", () => {
    assert.deepEqual(
      missingOf(() => effectivePolicy(ask(WS), probeOf({ read: ["/ws"], write: ["/ws"] }), linked)),
      ["--allow-write=/real/ws", "--allow-read=/real/ws"],
    );
  });
  await t.step("only the real path", () => {
    assert.deepEqual(
      missingOf(() =>
        effectivePolicy(ask(WS), probeOf({ read: ["/real"], write: ["/real"] }), linked)
      ),
      ["--allow-write=/ws", "--allow-read=/ws"],
    );
  });
  await t.step("both, and the real path is sent", () => {
    const both = ["/real/ws", "/ws"];
    const policy = effectivePolicy(ask(WS), probeOf({ read: both, write: both }), linked);
    assert.equal(policy.cwd, "/real/ws");
    assert.deepEqual(policy.readRoots, ["/real/ws"]);
  });
  await t.step("a path that can't be followed", () => {
    const grants = { read: ["/ws", "/gone"], write: ["/ws", "/gone"] };
    const sandbox: SandboxPolicy = { type: "workspaceWrite", writableRoots: ["/gone/x"] };
    assert.deepEqual(
      missingOf(() => effectivePolicy(ask(sandbox), probeOf(grants), factsOf())),
      ["--allow-read=/gone/x"],
    );
  });
});

test("effectivePolicy() limits reads to what a scoped script may read", async (t) => {
  const scoped = (read: string[], more: Partial<PolicyRequest> = {}, version = "0.169.0") =>
    effectivePolicy(
      ask({ type: "readOnly" }, more),
      probeOf({ read }),
      factsOf({}, { serverVersion: version }),
    );
  await t.step("the cwd", () => {
    const policy = scoped(["/ws"]);
    assert.deepEqual(policy.readRoots, ["/ws"]);
    assert.equal(policy.readsEnforced, true);
  });
  await t.step("the highest granted directory above the cwd", () => {
    assert.deepEqual(scoped(["/repo"], { cwd: "/repo/packages/a" }).readRoots, ["/repo"]);
  });
  await t.step("attachments, each once", () => {
    const attachments = ["/docs/a.md", "/ws/b.md", "/docs/a.md"];
    assert.deepEqual(scoped(["/ws", "/docs"], { attachments }).readRoots, ["/ws", "/docs/a.md"]);
    // What is named twice keeps its first place.
    const twice = { attachments: ["/docs", "/ws"] };
    assert.deepEqual(scoped(["/ws", "/docs"], twice).readRoots, ["/ws", "/docs"]);
    assert.deepEqual(missingOf(() => scoped(["/ws"], { attachments: ["/docs/a.md"] })), [
      "--allow-read=/docs/a.md",
    ]);
  });
  for (const version of ["0.104.0", "0.124.9", "who knows"]) {
    await t.step(`not enforced by ${version}`, () => {
      assert.equal(scoped(["/ws"], {}, version).readsEnforced, false);
    });
  }
  await t.step("enforced by 0.125.0 and 1.0.0", () => {
    assert.equal(scoped(["/ws"], {}, "0.125.0").readsEnforced, true);
    assert.equal(scoped(["/ws"], {}, "1.0.0").readsEnforced, true);
  });
});

test("effectivePolicy() refuses settings that start programs in both modes", () => {
  const request = ask({ type: "readOnly" }, {
    config: { model_reasoning_effort: "high", mcp_servers: { x: { command: "sh" } } },
  });
  for (const mode of ["refuse", "narrow"] as const) {
    const missing = missingOf(() =>
      effectivePolicy(request, probeOf({ read: "all" }), factsOf(), mode, configNeeds)
    );
    assert(missing.includes("--allow-run"), missing.join(" "));
  }
  effectivePolicy(request, probeOf(ALL), factsOf());
  const harmless = ask({ type: "readOnly" }, { config: { "model_reasoning_effort": "high" } });
  effectivePolicy(harmless, probeOf({ read: "all" }), factsOf(), "refuse", configNeeds);
  // Who can't judge them takes them for the worst.
  const unjudged = missingOf(() => effectivePolicy(harmless, probeOf({ read: "all" }), factsOf()));
  assert(unjudged.includes("--allow-run"), unjudged.join(" "));
});

test("effectivePolicy() says that tool-use hooks turned never into untrusted", () => {
  const decide = (
    approvalPolicy: ApprovalPolicy,
    toolHooks: boolean,
  ) =>
    effectivePolicy(
      ask({ type: "readOnly" }, { approvalPolicy, toolHooks }),
      unrestrictedProbe,
      factsOf(),
    );
  const hooked = decide("never", true);
  assert.equal(hooked.approvalPolicy, "untrusted");
  assert.equal(hooked.toolHooks, true);
  assert.match(hooked.toolHooksNote ?? "", /sent as "untrusted"/);
  assert.equal(decide("never", false).approvalPolicy, "never");
  assert.equal(decide("never", false).toolHooksNote, null);
  assert.equal(decide("on-request", true).approvalPolicy, "on-request");
});

test("policy.toolHooks is true only where hooks are asked about everything that codex asks about", () => {
  const granular = { sandbox_approval: true, rules: true, mcp_elicitations: true };
  const rows: [ApprovalPolicy, sees: boolean, note: RegExp | null][] = [
    ["never", true, /sent as "untrusted"/],
    ["untrusted", true, null],
    ["on-request", false, /"on-request".*do not see.*"untrusted"/],
    ["on-failure", false, /"on-failure".*do not see/],
    [{ granular }, false, /granular.*do not see/],
  ];
  for (const [approvalPolicy, sees, note] of rows) {
    const decide = (toolHooks: boolean, serverVersion: string | null) =>
      effectivePolicy(
        ask({ type: "readOnly" }, { approvalPolicy, toolHooks }),
        unrestrictedProbe,
        { ...factsOf(), serverVersion },
      );
    const { toolHooks, toolHooksNote } = decide(true, "0.169.0");
    assert.equal(toolHooks, sees);
    if (note === null) assert.equal(toolHooksNote, null);
    else assert.match(toolHooksNote!, note);
    for (const version of ["0.104.0", "0.117.0", "0.145.0", null]) {
      const old = decide(true, version);
      // Only those of 0.136 and later are sent as they are, and may not be seen.
      const unlike = typeof approvalPolicy === "string" && approvalPolicy !== "on-request";
      assert.equal(old.toolHooks, sees || (!unlike && version !== "0.145.0"));
      if (old.toolHooks) {
        assert.match(old.toolHooksNote!, /does not ask about reads/);
        const unseen = /Nor does it ask .* MCP tools/.test(old.toolHooksNote!);
        assert.equal(unseen, version !== "0.145.0");
      }
    }
    for (const version of ["0.104.0", "0.130.0", "0.136.0", null]) {
      const { approvalPolicy: sent, narrowed } = decide(false, version);
      const widens = approvalPolicy === "on-request" || typeof approvalPolicy === "object";
      const becomes = widens && version !== "0.136.0";
      assert.deepEqual(sent, becomes ? "untrusted" : approvalPolicy);
      assert.equal(
        narrowed.some((text) => /leave the sandbox unasked/.test(text)),
        becomes,
      );
    }
    assert.deepEqual([decide(false, null).toolHooks, decide(false, null).toolHooksNote], [
      false,
      null,
    ]);
  }
});

test("recheckPolicy() refuses when a permission was revoked meanwhile", () => {
  const facts = factsOf();
  const before: Grants = { read: ["/ws"], write: ["/ws", "/tmp"] };
  const policy = decidePolicy(ask(WS), probeOf(before), facts).policy;
  recheckPolicy(policy, probeOf(before), facts);
  assert.deepEqual(missingOf(() => recheckPolicy(policy, probeOf({ read: ["/ws"] }), facts)), [
    "--allow-write=/ws",
  ]);
  assert.deepEqual(missingOf(() => recheckPolicy(policy, probeOf({ write: ["/ws"] }), facts)), [
    "--allow-read=/ws",
  ]);
  const all = decidePolicy(ask({ type: "readOnly" }), probeOf(ALL), facts).policy;
  assert.deepEqual(missingOf(() => recheckPolicy(all, probeOf({ read: ["/ws"] }), facts)), [
    "--allow-read",
  ]);
});

test("effectivePolicy() spells flags for the runtime that refuses, ready to paste", () => {
  const request = ask(WS, { cwd: "/my work,place" });
  const deno = missingOf(() => effectivePolicy(request, probeOf({ read: "all" }), factsOf()));
  assert.deepEqual(deno, ["'--allow-write=/my work,,place'"]);
  const node = missingOf(() =>
    effectivePolicy(ask(WS), probeOf({ read: "all" }, "node"), factsOf())
  );
  assert.deepEqual(node, ["--allow-fs-write=/ws"]);
});

const SCOPED: Grants = { read: ["/ws"], write: ["/ws"] };

function scoped(
  facts: Partial<PolicyFacts>,
  grants: Grants = SCOPED,
  approvalPolicy: ApprovalPolicy = "untrusted",
  mode: "refuse" | "narrow" = "refuse",
) {
  return effectivePolicy(
    { cwd: "/ws", sandbox: { type: "workspaceWrite" }, approvalPolicy },
    probeOf(grants),
    factsOf({}, { platform: "linux", ...facts }),
    mode,
  );
}

test("effectivePolicy() knows where accepted commands stay in the sandbox, and says where none can be", () => {
  const rows: [Partial<PolicyFacts>, Grants, "sandboxed" | "mayLeave"][] = [
    [{}, SCOPED, "sandboxed"],
    [{ serverVersion: "0.136.0" }, SCOPED, "sandboxed"],
    [{ serverVersion: "0.135.0" }, SCOPED, "mayLeave"],
    [{ serverVersion: null }, SCOPED, "mayLeave"],
    [{ platform: "macos" }, SCOPED, "mayLeave"],
    [{ platform: null }, SCOPED, "mayLeave"],
    [{}, { ...SCOPED, read: "all" }, "mayLeave"],
    [{}, ALL, "mayLeave"],
  ];
  for (const [facts, grants, expected] of rows) {
    const policy = scoped(facts, grants);
    assert.equal(policy.acceptedCommands, expected, JSON.stringify([facts, grants]));
    const told = expected === "mayLeave" && grants !== ALL;
    assert.equal(policy.approvalsNote !== null, told, JSON.stringify([facts, grants]));
    if (told) assert.match(policy.approvalsNote!, /Run it with: .*--allow-ffi/);
  }
  assert.equal(scoped({ platform: "macos" }, SCOPED, "never").approvalsNote, null);
});

test("effectivePolicy() keeps accepted commands inside while everything may be read, where a profile can say so", () => {
  const writes: SandboxPolicy = { type: "workspaceWrite" };
  const rows: [version: string, sandbox: SandboxPolicy, expected: boolean, cwd?: string][] = [
    ["0.135.0", { type: "readOnly" }, false],
    ["0.136.0", { type: "readOnly" }, true],
    ["0.155.0", { type: "readOnly" }, true],
    ["0.136.0", writes, false],
    ["0.136.0", { ...writes, excludeSlashTmp: true }, true],
    ["0.140.0", writes, true],
    ["0.149.0", writes, true],
    ["0.150.0", writes, false],
    ["0.159.0", writes, false],
    ["0.160.0", writes, true],
    ["0.169.0", writes, true],
    ["0.169.0", writes, false, "/"],
    ["0.169.0", { ...writes, writableRoots: ["/"] }, false],
    ["0.169.0", { type: "dangerFullAccess" }, false],
    ["0.169.0", { type: "externalSandbox" }, false],
  ];
  for (const [serverVersion, sandbox, expected, cwd = "/ws"] of rows) {
    const decide = (contain: boolean, platform = "linux") =>
      effectivePolicy(
        { cwd, sandbox, approvalPolicy: "untrusted", contain },
        probeOf(ALL),
        factsOf({}, { platform, serverVersion }),
      ).acceptedCommands;
    const shown = JSON.stringify([serverVersion, sandbox, cwd]);
    assert.equal(decide(true), expected ? "sandboxed" : "mayLeave", shown);
    assert.equal(decide(false), "mayLeave", shown);
    assert.equal(decide(true, "macos"), "mayLeave", shown);
  }
});

test("effectivePolicy() asks nothing about a path that can't be followed where everything is granted", () => {
  const decide = (grants: Grants) =>
    effectivePolicy(
      { cwd: "/gone/x", sandbox: { type: "readOnly" }, approvalPolicy: "never" },
      probeOf(grants),
      factsOf(),
    );
  assert.equal(decide(ALL).cwd, "/gone/x");
  assert.throws(() => decide({ ...ALL, read: ["/gone"] }), PermissionDeniedError);
  const write = (grants: Grants) =>
    effectivePolicy(
      ask({ type: "workspaceWrite", writableRoots: ["/gone/w"] }),
      probeOf(grants),
      factsOf(),
    );
  const { sandbox } = write(ALL);
  assert.deepEqual("writableRoots" in sandbox && sandbox.writableRoots, ["/gone/w"]);
  assert.throws(() => write({ ...ALL, write: ["/ws", "/gone"] }), PermissionDeniedError);
});

test("recheckPolicy() refuses when a directory leads elsewhere by now", () => {
  const sandbox: SandboxPolicy = { type: "workspaceWrite", writableRoots: ["/data"] };
  const elsewhere = (link: string) => factsOf({ [link]: "/home" });
  const { policy } = decidePolicy(ask(sandbox), unrestrictedProbe, factsOf());
  recheckPolicy(policy, unrestrictedProbe, elsewhere("/other"));
  for (const moved of ["/ws", "/data"]) {
    assert.throws(
      () => recheckPolicy(policy, unrestrictedProbe, elsewhere(moved)),
      (error) => error instanceof PolicyError && error.message.startsWith(`${moved} leads`),
    );
  }
  // What was a link from the start is known by where it led.
  const linked = factsOf({ "/ws": "/home" });
  recheckPolicy(
    decidePolicy(ask(sandbox), unrestrictedProbe, linked).policy,
    unrestrictedProbe,
    linked,
  );
  // A session that is kept to its workspace reads what lies there.
  const { policy: reads } = decidePolicy(
    ask({ type: "readOnly" }, { reads: "workspace", attachments: ["/pictures/a.png"] }),
    unrestrictedProbe,
    factsOf(),
  );
  assert.throws(
    () => recheckPolicy(reads, unrestrictedProbe, elsewhere("/pictures")),
    (error) => error instanceof PolicyError && /a\.png leads/.test(error.message),
  );
});

test("effectivePolicy() lets the agent replace no root where codex follows a link in its place", async (t) => {
  const decide = (cwd: string, writableRoots: string[], version: string | null) =>
    effectivePolicy(
      ask({ type: "workspaceWrite", writableRoots }, { cwd }),
      unrestrictedProbe,
      factsOf({ "/shortcut": "/tmp" }, { serverVersion: version }),
    );
  for (const [version, holds] of [["0.130.0", false], [null, false], ["0.136.0", true]] as const) {
    await t.step(String(version), () => {
      const temporary = (cwd: string, ...roots: string[]) => {
        const { sandbox, narrowed } = decide(cwd, roots, version);
        assert(sandbox.type === "workspaceWrite");
        const { excludeSlashTmp, excludeTmpdirEnvVar } = sandbox;
        assert.equal(narrowed.length, Number(excludeSlashTmp) + Number(excludeTmpdirEnvVar));
        return [excludeSlashTmp, excludeTmpdirEnvVar];
      };
      assert.deepEqual(temporary("/ws"), [false, false]);
      assert.deepEqual(temporary("/tmp"), [false, false]);
      assert.deepEqual(temporary("/tmp/ws"), [!holds, false]);
      assert.deepEqual(temporary("/shortcut/ws"), [!holds, false]);
      assert.deepEqual(temporary("/ws", "/var/tmp/me/a/b"), [false, !holds]);
      for (const [cwd, root] of [["/ws/sub", "/ws"], ["/ws", "/ws/sub"]] as const) {
        if (holds) decide(cwd, [root], version);
        else {
          assert.throws(
            () => decide(cwd, [root], version),
            (error) =>
              error instanceof PolicyError && error.message.startsWith("/ws/sub lies in /ws:"),
          );
        }
      }
      decide("/ws", ["/ws", "/data"], version);
    });
  }
});
