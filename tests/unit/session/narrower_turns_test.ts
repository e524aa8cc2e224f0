/** A turn with less than one in which something was accepted for the session, or an agent started: codex lets both go on. */
import assert from "node:assert/strict";
import { PolicyError } from "../../../src/errors/mod.ts";
import type { EffectivePolicy, SandboxPolicy } from "../../../src/permissions/mod.ts";
import { refuseNarrower } from "../../../src/session/policy/codex_setup.ts";
import { test } from "../../_harness.ts";

const READ: SandboxPolicy = { type: "readOnly" };
const NETWORK: SandboxPolicy = { type: "readOnly", networkAccess: true };
const WRITE: SandboxPolicy = { type: "workspaceWrite", writableRoots: [], excludeSlashTmp: true };
const TMP: SandboxPolicy = { type: "workspaceWrite", writableRoots: [], excludeSlashTmp: false };
const ROOTS: SandboxPolicy = { ...WRITE, writableRoots: ["/other"] };
const FULL: SandboxPolicy = { type: "dangerFullAccess" };

const ROWS: [kept: SandboxPolicy, turn: SandboxPolicy, refused: boolean][] = [
  [READ, READ, false],
  [READ, WRITE, false],
  [WRITE, WRITE, false],
  [WRITE, ROOTS, false],
  [ROOTS, FULL, false],
  [WRITE, READ, true],
  [NETWORK, READ, true],
  [TMP, WRITE, true],
  [ROOTS, WRITE, true],
  [FULL, ROOTS, true],
];

for (const [kept, turn, refused] of ROWS) {
  const told = `${JSON.stringify(turn)} after ${JSON.stringify(kept)}`;
  test(`a turn with ${told} is ${refused ? "refused" : "let through"}`, () => {
    const policy = {
      cwd: "/w",
      approvalPolicy: "untrusted",
      sandbox: turn,
    } as unknown as EffectivePolicy;
    const judge = () => refuseNarrower(policy, ["", JSON.stringify(kept)]);
    if (refused) assert.throws(judge, PolicyError);
    else judge();
  });
}

const AGENTS: [kept: Partial<EffectivePolicy>, turn: Partial<EffectivePolicy>, refused: boolean][] =
  [
    [{}, {}, false],
    [{ sandbox: WRITE }, { sandbox: READ }, true],
    [{ approvalPolicy: "never" }, {}, true],
    [{ approvalPolicy: "on-request" }, {}, true],
    [{}, { approvalPolicy: "never" }, false],
    [{ approvalPolicy: "never" }, { approvalPolicy: "never" }, false],
    // What asks nobody can do nothing that "on-request" would ask about.
    [{ approvalPolicy: "never" }, { approvalPolicy: "on-request" }, false],
    [{ approvalPolicy: "never", sandbox: WRITE }, { approvalPolicy: "on-request" }, true],
    [{}, { readRoots: ["/w"] }, true],
    [{ readRoots: ["/w", "/x"] }, { readRoots: ["/w"] }, true],
    [{ readRoots: ["/w/a"] }, { readRoots: ["/w"] }, false],
    [{ readRoots: ["/w"] }, {}, false],
  ];

for (const [kept, turn, refused] of AGENTS) {
  const told = `${JSON.stringify(turn)} after an agent with ${JSON.stringify(kept)}`;
  test(`a turn with ${told} is ${refused ? "refused" : "let through"}`, () => {
    const common = { cwd: "/w", approvalPolicy: "untrusted", sandbox: READ, readRoots: "all" };
    const policy = { ...common, ...turn } as unknown as EffectivePolicy;
    const judge = () => refuseNarrower(policy, [JSON.stringify({ ...common, ...kept })]);
    if (refused) assert.throws(judge, PolicyError);
    else judge();
  });
}
