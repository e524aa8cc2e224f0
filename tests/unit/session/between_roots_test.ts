/** Directories between a writable one and the cwd: which of them become roots of their own. */
import assert from "node:assert/strict";
import { mkdir, symlink } from "node:fs/promises";
import { join } from "node:path";
import type { EffectivePolicy } from "../../../src/permissions/mod.ts";
import type { RuntimeCore } from "../../../src/runtime/core.ts";
import { mayWriteIn, withBetween } from "../../../src/session/policy/codex_setup.ts";
import { test } from "../../_harness.ts";
import { tempDir } from "../../_temp.ts";

const ANNA = 1000;
const OTHER = 1001;

test("the agent may write in a directory of the cwd's owner, of everybody, and as root in any", () => {
  const directory = (uid: number | null, mode: number | null, gid = 0) => ({
    uid,
    gid,
    mode,
    size: 0,
  });
  const cwd = directory(ANNA, 0o40755, ANNA);
  const cases: [string, ReturnType<typeof directory> | null, number | null, boolean][] = [
    ["of the same owner", directory(ANNA, 0o40755), ANNA, true],
    ["of the same owner, whoever asks", directory(ANNA, 0o40700), null, true],
    ["of the system", directory(0, 0o40755), ANNA, false],
    ["of somebody else", directory(OTHER, 0o40755), null, false],
    ["of the system, for everybody", directory(0, 0o41777), ANNA, true],
    ["of the cwd's group", directory(0, 0o40775, ANNA), ANNA, true],
    ["of another group", directory(0, 0o40775), ANNA, false],
    ["of somebody else, asked as root", directory(OTHER, 0o40700), 0, true],
    ["that can't be looked at", null, ANNA, true],
    ["whose mode is not told", directory(OTHER, null), ANNA, true],
  ];
  for (const [what, given, uid, expected] of cases) {
    assert.equal(mayWriteIn(given, cwd, uid), expected, what);
  }
  assert.equal(mayWriteIn(null, null, ANNA), true);
});

test("what lies between is added on this machine, also where a root is spelled by a link", async () => {
  await using directory = await tempDir("between-");
  const [real, link] = [join(directory.path, "real"), join(directory.path, "link")];
  const cwd = join(real, "a", "b");
  await mkdir(cwd, { recursive: true });
  await symlink(real, link);
  const added = (root: string, version: string, config: object = {}) => {
    const core = { server: { version, platformOs: "linux" }, config } as unknown as RuntimeCore;
    const sandbox = { type: "workspaceWrite", writableRoots: [root] } as const;
    const policy = withBetween(core, { cwd, sandbox } as unknown as EffectivePolicy);
    return (policy.sandbox as typeof sandbox).writableRoots.slice(1);
  };
  const between = [join(real, "a")];
  assert.deepEqual(added(real, "0.169.0"), between);
  assert.deepEqual(added(link, "0.169.0"), between);
  assert.deepEqual(added(real, "0.130.0"), []);
  const transport = { type: "websocket", url: "wss://host.example" };
  assert.deepEqual(added(real, "0.169.0", { transport }), []);
  assert.deepEqual(added(join(real, "other"), "0.169.0"), []);
});
