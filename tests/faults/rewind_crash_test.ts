/**
 * A restore that is killed is finished by the next one who opens the workspace. Real processes, at one of three steps;
 * `deno/rewind_steps_test.ts` plays each operation on a file.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { ROOT } from "../_codex.ts";
import { onDeno, test } from "../_harness.ts";
import { listing } from "../_listing.ts";
import { tempDir } from "../_temp.ts";
import { treeFiles } from "../../src/platform/fs.ts";
import { Workspace } from "../../src/session/history/rewind/workspace.ts";

test("a rewind that is killed is finished by the next start", async () => {
  await using directory = await tempDir("rewind-crash-");
  const root = join(directory.path, "w");
  const home = join(directory.path, "home");
  const put = (path: string, text: string) => {
    mkdirSync(join(root, path, ".."), { recursive: true });
    writeFileSync(join(root, path), text);
  };
  put("a.txt", "a");
  put("run.sh", "run");
  chmodSync(join(root, "run.sh"), 0o755);
  put("d/b.txt", "b");
  symlinkSync("a.txt", join(root, "link"));
  const before = listing(root);
  const files = (await treeFiles())!;
  const tree = await (await Workspace.open(files, { root, home })).record(undefined);
  const change = () => {
    put("a.txt", "changed");
    put("new/x.txt", "x");
    put("run.sh", "other");
    chmodSync(join(root, "run.sh"), 0o644);
    rmSync(join(root, "d"), { recursive: true });
    put("d", "a file now");
    rmSync(join(root, "link"));
  };
  const script = join(ROOT, "tests", "faults", "rewind_crash_script.ts");
  const args = onDeno ? ["run", "-A", "--no-check", script] : ["run", script];
  let killed = 0;
  for (;; killed += 3) {
    change();
    const changed = listing(root);
    const { signal, status, stdout, stderr } = spawnSync(
      process.execPath,
      [...args, root, home, tree, String(killed)],
      { encoding: "utf8" },
    );
    if (signal === null) {
      assert.equal(status, 0, stderr);
      assert.match(stdout, /restored/);
      break;
    }
    // What died holds the lock until it has been silent for a while.
    const [folder] = readdirSync(home);
    const long = new Date(Date.now() - 60_000);
    utimesSync(join(home, folder!, "lock"), long, long);
    const next = await Workspace.open(files, { root, home });
    const { finished, skipped, conversations } = await next.recover("thread");
    assert.deepEqual(skipped, [], `killed at ${killed}`);
    assert.equal(finished, 1);
    assert.deepEqual(listing(root), before, `killed at ${killed}`);
    assert.notDeepEqual(changed, before);
    assert.deepEqual(conversations.map(({ before }) => before), ["turn"]);
    for (const { done } of conversations) await done();
    assert.equal((await next.recover("thread")).finished, 0);
  }
  assert.ok(killed > 12, `only ${killed} steps`);
  assert.deepEqual(listing(root), before);
});
