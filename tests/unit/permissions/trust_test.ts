import assert from "node:assert/strict";
import { PolicyError } from "../../../src/errors/mod.ts";
import { sessionSettings, trustOf } from "../../../src/permissions/config/session_settings.ts";
import type { JsonValue } from "../../../src/json.ts";
import { SECRET_VARIABLES } from "../../../src/redact.ts";
import { test } from "../../_harness.ts";

const NOTE = ["Codex does not read AGENTS.md; put what it says into developerInstructions."];

test("no thread makes codex trust a project, and what that costs is told", () => {
  const rows: [
    writes: boolean,
    profile: boolean,
    docsNeedTrust: boolean,
    turnProfiles: boolean,
    expected: unknown,
  ][] = [
    // Old codex reads AGENTS.md of projects that are not trusted.
    [true, false, false, false, { distrust: true, startReadOnly: false, notes: [] }],
    [false, true, false, false, { distrust: true, startReadOnly: false, notes: [] }],
    [true, false, true, false, { distrust: false, startReadOnly: true, notes: [] }],
    [false, false, true, false, { distrust: false, startReadOnly: false, notes: [] }],
    [false, true, true, false, { distrust: false, startReadOnly: false, notes: [] }],
    [true, true, true, true, { distrust: false, startReadOnly: true, notes: [] }],
    [false, true, true, true, { distrust: false, startReadOnly: false, notes: [] }],
    // Where a profile can't come with a turn.
    [true, true, true, false, { distrust: true, startReadOnly: false, notes: NOTE }],
  ];
  for (const [writes, profile, docsNeedTrust, turnProfiles, expected] of rows) {
    const facts = { writes, profile, docsNeedTrust, turnProfiles };
    assert.deepEqual(trustOf({ ...facts, proxied: false }), expected);
    // Where the thread has to begin with its network, whatever says the policy.
    const own = !docsNeedTrust ? expected : {
      distrust: writes,
      startReadOnly: false,
      notes: writes ? NOTE : [],
    };
    assert.deepEqual(trustOf({ ...facts, proxied: true }), own);
  }
});

test("a session's settings say what it leaves to nobody, on top of its own", () => {
  const facts = {
    cwd: "/a/b/c",
    started: {},
    distrust: false,
    asks: false,
    serverVersion: "0.169.0",
  };
  const settings = sessionSettings({ model_verbosity: "low" }, facts);
  assert.equal(settings["model_verbosity"], "low");
  assert.deepEqual([settings["notify"], settings["approvals_reviewer"]], [[], "user"]);
  assert.equal(settings["projects"], undefined);
  // Codex looks for a `.codex` in each folder above.
  const { projects } = sessionSettings({}, { ...facts, distrust: true });
  assert.deepEqual(
    projects,
    Object.fromEntries(
      ["/a/b/c", "/a/b", "/a", "/"].map((folder) => [folder, { trust_level: "untrusted" }]),
    ),
  );
});

test("a session has no hooks of codex's own where a repository's need no trust, or none can be switched off", () => {
  const facts = { cwd: "/w", started: { "features.codex_hooks": true }, asks: false };
  const hooks = (serverVersion: string, distrust = true, own: Record<string, JsonValue> = {}) =>
    sessionSettings(own, { ...facts, distrust, serverVersion })["features.codex_hooks"];
  assert.deepEqual(["0.104.0", "0.125.0", "0.128.0", "0.129.0"].map((version) => hooks(version)), [
    false,
    false,
    false,
    undefined,
  ]);
  assert.equal(hooks("0.120.0", false), undefined);
  assert.equal(hooks("0.120.0", true, { "features.codex_hooks": true }), true);
  assert.equal(hooks("0.120.0", true, { features: { codex_hooks: true } }), true);
});

test("a session has no tools that act past its sandbox, unless the caller's own settings name them", () => {
  const facts = { cwd: "/w", distrust: false, asks: false, serverVersion: "0.169.0" };
  const off = {
    "features.multi_agent": false,
    "features.enable_fanout": false,
    "features.artifact": false,
  };
  const rows: [own: Record<string, JsonValue>, started: Record<string, JsonValue>, JsonValue[]][] =
    [
      [{}, {}, [false, false, false]],
      [{ "features.multi_agent": true }, {}, [true, false, false]],
      [{ features: { multi_agent: false, goals: true } }, {}, [false, false, false]],
      // The older name of the same: both would be read.
      [{ features: { collab: true } }, {}, [null, false, false]],
      [{}, { "features.multi_agent": true }, [null, false, false]],
      [{}, { features: { collab: true } }, [null, false, false]],
      [{}, { "features.enable_fanout": true }, [false, null, false]],
      [{ "features.other": true }, { "features.other": true }, [false, false, false]],
      [{ "features.artifact": true }, {}, [false, false, true]],
    ];
  for (const [own, started, expected] of rows) {
    const settings = sessionSettings(own, { ...facts, started });
    const said = Object.keys(off).map((key) => settings[key] ?? null);
    assert.deepEqual(said, expected, JSON.stringify([own, started]));
  }
});

test("a session has no older tools for agents where its model names them, unless the caller chose these", () => {
  const facts = { cwd: "/w", distrust: false, asks: false };
  const rows: [version: string, own: Record<string, JsonValue>, started: boolean, JsonValue[]][] = [
    ["0.143.0", {}, false, [null, null]],
    ["0.145.0", {}, false, [0, null]],
    ["0.169.0", { "agents.max_depth": 2 }, false, [0, null]],
    ["0.169.0", { agents: { max_depth: 2, w: {} } }, false, [0, { max_depth: 0, w: {} }]],
    ["0.169.0", { "features.multi_agent": false }, false, [0, null]],
    ["0.169.0", { features: { collab: true } }, false, [null, null]],
    ["0.169.0", { "features.multi_agent": true, agents: { w: {} } }, false, [null, { w: {} }]],
    ["0.169.0", {}, true, [null, null]],
  ];
  for (const [serverVersion, own, chosen, expected] of rows) {
    const started = chosen ? { "features.multi_agent": true } : {};
    const settings = sessionSettings(own, { ...facts, serverVersion, started });
    const said = [settings["agents.max_depth"] ?? null, settings["agents"] ?? null];
    assert.deepEqual(said, expected, JSON.stringify([serverVersion, own]));
  }
});

test("a session's settings keep what codex was started with, since a thread's replace them", () => {
  const facts = {
    cwd: "/w",
    started: {
      "shell_environment_policy.exclude": ["STARTED*"],
      "shell_environment_policy.set": { CI: "1" },
      "model_providers.x.name": "x",
    },
    distrust: false,
    asks: false,
    serverVersion: "0.169.0",
  };
  const own = { shell_environment_policy: { exclude: ["OWN*"] } };
  const settings = sessionSettings(own, facts);
  assert.deepEqual(
    settings["shell_environment_policy.exclude"],
    [...SECRET_VARIABLES, "STARTED*", "OWN*"],
  );
  assert.deepEqual(settings["shell_environment_policy.set"], { CI: "1" });
  assert.equal(settings["model_providers.x.name"], undefined);
});

test("a session that asks has no terminals, where codex has a switch for them", () => {
  const facts = { cwd: "/w", started: {}, distrust: false };
  const rows: [version: string | null, off: string | null][] = [
    ["0.104.0", "features.unified_exec"],
    ["0.149.1", "features.unified_exec"],
    ["0.150.0", null],
    ["0.152.1", null],
    ["0.154.0", "features.unified_exec_tty"],
    ["0.169.0", "features.unified_exec_tty"],
    [null, null],
  ];
  for (const [serverVersion, off] of rows) {
    const own = { features: { unified_exec: true, unified_exec_tty: true }, personality: "none" };
    const { features: _, ...others } = own;
    const settings = sessionSettings(others, { ...facts, asks: true, serverVersion });
    for (const key of ["features.unified_exec", "features.unified_exec_tty"]) {
      assert.equal(settings[key], key === off ? false : undefined, `${serverVersion} ${key}`);
    }
    const code = off === "features.unified_exec" ? false : undefined;
    assert.equal(settings["features.js_repl"], code, `${serverVersion} js_repl`);
    const asked = serverVersion === null || serverVersion === "0.104.0" ? undefined : true;
    assert.equal(settings["features.tool_call_mcp_elicitation"], asked);
    // Where nobody is asked they hide nothing.
    const quiet = sessionSettings(own, { ...facts, asks: false, serverVersion });
    assert.equal(quiet["features.unified_exec_tty"], true);
    assert.equal(quiet["features.tool_call_mcp_elicitation"], undefined);
    if (off === null) continue;
    for (const dotted of [own, { [off]: true }]) {
      assert.throws(
        () => sessionSettings(dotted, { ...facts, asks: true, serverVersion }),
        (error) => error instanceof PolicyError && error.message.includes(off),
      );
    }
    sessionSettings({ [off]: false }, { ...facts, asks: true, serverVersion });
  }
});

test("a session's settings turn no snapshots on, whoever consented to what", () => {
  const facts = {
    cwd: "/w",
    started: {},
    distrust: false,
    asks: false,
    serverVersion: "0.169.0",
  };
  for (
    const own of [
      { features: { shell_snapshot: true } },
      { "features.shell_snapshot": true },
      { "features.shell_snapshot_v2": true },
    ]
  ) {
    assert.throws(() => sessionSettings(own, facts), PolicyError);
    sessionSettings(own, { ...facts, commands: "codexDefault" });
  }
});
