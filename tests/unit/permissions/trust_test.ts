import assert from "node:assert/strict";
import { trustOf } from "../../../src/permissions/config/session_settings.ts";
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
