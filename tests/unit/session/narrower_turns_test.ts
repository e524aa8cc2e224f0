/** A turn with less than one in which something was accepted for the session: codex would not ask about that again. */
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
