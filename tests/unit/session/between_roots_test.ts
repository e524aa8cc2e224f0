/** Directories between a writable one and the cwd: which of them become roots of their own. */
import assert from "node:assert/strict";
import { mayWriteIn } from "../../../src/session/policy/codex_setup.ts";
import { test } from "../../_harness.ts";

const ANNA = 1000;
const OTHER = 1001;

test("the agent may write in a directory of the cwd's owner, of everybody, and as root in any", () => {
  const directory = (uid: number | null, mode: number | null) => ({ uid, mode, size: 0 });
  const cwd = directory(ANNA, 0o40755);
  const cases: [string, ReturnType<typeof directory> | null, number | null, boolean][] = [
    ["of the same owner", directory(ANNA, 0o40755), ANNA, true],
    ["of the same owner, whoever asks", directory(ANNA, 0o40700), null, true],
    ["of the system", directory(0, 0o40755), ANNA, false],
    ["of somebody else", directory(OTHER, 0o40755), null, false],
    ["of the system, for everybody", directory(0, 0o41777), ANNA, true],
    ["of a group", directory(0, 0o40775), ANNA, true],
    ["of somebody else, asked as root", directory(OTHER, 0o40700), 0, true],
    ["that can't be looked at", null, ANNA, true],
    ["whose mode is not told", directory(OTHER, null), ANNA, true],
  ];
  for (const [what, given, uid, expected] of cases) {
    assert.equal(mayWriteIn(given, cwd, uid), expected, what);
  }
  assert.equal(mayWriteIn(null, null, ANNA), true);
});
