/** Whatever a shell does to a tree, a rewind takes back byte for byte, and touches nothing that is ignored or a repository's. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import fc from "npm:fast-check@4.10.2";
import "./_seed.ts";
import { listing } from "../_listing.ts";
import { test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";
import { treeFiles } from "../../src/platform/fs.ts";
import { Workspace } from "../../src/session/history/rewind/workspace.ts";

const name = fc.constantFrom(
  "a",
  "b",
  "c d",
  "é\n",
  "keep.log",
  "x.log",
  ".gitignore",
  "'\"",
  "-f",
);
const path = fc.array(name, { minLength: 1, maxLength: 3 }).map((names) => names.join("/"));
const bytes = fc.uint8Array({ maxLength: 40 });
const action = fc.oneof(
  fc.record({ do: fc.constant("write" as const), path, bytes }),
  fc.record({ do: fc.constant("remove" as const), path }),
  fc.record({ do: fc.constant("rename" as const), path, to: path }),
  fc.record({ do: fc.constant("mkdir" as const), path }),
  fc.record({
    do: fc.constant("chmod" as const),
    path,
    mode: fc.constantFrom(0o755, 0o600, 0o644),
  }),
  fc.record({
    do: fc.constant("link" as const),
    path,
    target: fc.constantFrom("a", "../outside", "b/a", "/nowhere"),
  }),
  fc.record({ do: fc.constant("init" as const), path }),
);
type Action = typeof action extends fc.Arbitrary<infer T> ? T : never;

/** What a shell would do; what can't be done is not. */
function act(root: string, step: Action): void {
  const at = join(root, step.path);
  // A shell could write through a link as well; here the outside is looked at afterwards.
  try {
    for (let up = dirname(at); up.length > root.length; up = dirname(up)) {
      if (lstatSync(up).isSymbolicLink()) return;
    }
  } catch {
    // It is made below.
  }
  try {
    if (step.do !== "remove" && step.do !== "chmod") mkdirSync(dirname(at), { recursive: true });
    switch (step.do) {
      case "write":
        return writeFileSync(at, step.bytes);
      case "remove":
        return rmSync(at, { recursive: true });
      case "rename":
        mkdirSync(dirname(join(root, step.to)), { recursive: true });
        return renameSync(at, join(root, step.to));
      case "mkdir":
        return void mkdirSync(at, { recursive: true });
      case "chmod":
        return chmodSync(at, lstatSync(at).isDirectory() ? 0o755 : step.mode);
      case "link":
        return symlinkSync(step.target, at);
      case "init":
        mkdirSync(join(at, ".git"), { recursive: true });
        return writeFileSync(join(at, ".git/HEAD"), "ref: x");
    }
  } catch {
    // A shell says so and goes on.
  }
}

const listed = (root: string) => new Map(Object.entries(listing(root)));

test("what a turn does is taken back byte for byte, and nothing else", async () => {
  await using directory = await tempDir("rewind-property-");
  const files = (await treeFiles())!;
  let run = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(action, { maxLength: 10 }),
      fc.array(action, { maxLength: 12 }),
      async (first, turn) => {
        const box = join(directory.path, String(run++));
        const root = join(box, "w");
        mkdirSync(join(box, "outside"), { recursive: true });
        writeFileSync(join(box, "outside/theirs"), "theirs");
        mkdirSync(root);
        execFileSync("git", ["init", "-q", root]);
        for (const step of first) act(root, step);
        // What is ignored is known: files that end with .log, wherever they are.
        for (const [each] of listed(root)) {
          if (each.endsWith(".gitignore")) {
            rmSync(join(root, each), { recursive: true, force: true });
          }
        }
        writeFileSync(join(root, ".gitignore"), "*.log\n");
        const isLeft = (each: string) =>
          each.split("/").some((part) => part.endsWith(".log") || part === ".git");
        const before = listed(root);
        const workspace = await Workspace.open(files, { root, home: join(box, "home") });
        const tree = await workspace.record(undefined);
        for (const step of turn) act(root, step);
        const between = listed(root);
        const planned = await workspace.plan(tree, undefined);
        const done = await workspace.restore(tree, null, () => Promise.resolve(), undefined);
        const after = listed(root);
        assert.deepEqual(done, { files: planned.files, skipped: planned.skipped });
        const skipped = new Set(done.skipped.map(({ path }) => path.replace(/\/$/, "")));
        const isTold = (each: string) =>
          [...skipped].some((one) => each === one || each.startsWith(`${one}/`));
        for (const each of new Set([...before.keys(), ...after.keys()])) {
          if (isLeft(each) || isTold(each)) continue;
          assert.equal(after.get(each), before.get(each), each);
        }
        // Left alone: what is ignored or a repository's is what the turn has made of it.
        for (const each of new Set([...between.keys(), ...after.keys()])) {
          if (isLeft(each)) assert.equal(after.get(each), between.get(each), each);
        }
        assert.deepEqual([...listed(join(box, "outside"))], [["theirs", "644 theirs"]]);
        // What is told as left has a reason that can be seen: it holds, or is in the place of, what is left alone.
        if (![...between.keys()].some((each) => isLeft(each) && !each.startsWith(".git"))) {
          assert.deepEqual(done.skipped, []);
        }
        rmSync(box, { recursive: true });
      },
    ),
    { numRuns: Number(Deno.env.get("FC_RUNS") ?? 40) },
  );
});
