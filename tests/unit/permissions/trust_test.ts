import assert from "node:assert/strict";
import { PolicyError } from "../../../src/errors/mod.ts";
import { sessionSettings, trustOf } from "../../../src/permissions/config/session_settings.ts";
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
    assert.deepEqual(trustOf({ writes, profile, docsNeedTrust, turnProfiles }), expected);
  }
});

test("a session's settings say what it leaves to nobody, on top of its own", () => {
  const facts = { cwd: "/a/b/c", started: {}, distrust: false };
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

test("a session's settings keep what codex was started with, since a thread's replace them", () => {
  const facts = {
    cwd: "/w",
    started: {
      "shell_environment_policy.exclude": ["STARTED*"],
      "shell_environment_policy.set": { CI: "1" },
      "model_providers.x.name": "x",
    },
    distrust: false,
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

test("a session's settings turn no snapshots on, whoever consented to what", () => {
  const facts = { cwd: "/w", started: {}, distrust: false };
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
