/** A workspace is recorded and taken back: what is seen, what is left alone, what is bounded, what a crash leaves. */
import assert from "node:assert/strict";
import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { execFileSync } from "node:child_process";
import { open } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { test } from "../../_harness.ts";
import { listing } from "../../_listing.ts";
import { tempDir } from "../../_temp.ts";
import { treeFiles } from "../../../src/platform/fs.ts";
import type { TreeFiles } from "../../../src/platform/mod.ts";
import { CheckpointError } from "../../../src/errors/mod.ts";
import {
  CheckpointStore,
  STORE_LIMITS,
} from "../../../src/session/history/rewind/checkpoint_store.ts";
import { recordTree } from "../../../src/session/history/rewind/record_tree.ts";
import { excludesFile, scanTree } from "../../../src/session/history/rewind/scan_tree.ts";
import { Workspace, type WorkspacePlace } from "../../../src/session/history/rewind/workspace.ts";

interface Box extends AsyncDisposable {
  /** The workspace. */
  root: string;
  /** Beside it. */
  outside: string;
  /** Where checkpoints are kept. */
  home: string;
  open(more?: Partial<WorkspacePlace>): Promise<Workspace>;
  put(path: string, text: string): void;
  /** Everything in it, `.git` included, as it lies there. */
  all(): Record<string, string>;
}

async function box(): Promise<Box> {
  const directory = await tempDir("rewind-");
  const root = join(directory.path, "w");
  const outside = join(directory.path, "outside");
  const home = join(directory.path, "home");
  mkdirSync(root);
  mkdirSync(outside);
  const files = (await treeFiles())!;
  return {
    root,
    outside,
    home,
    open: (more = {}) => Workspace.open(files, { root, home, ...more }),
    put: (path, text) => {
      mkdirSync(join(root, path, ".."), { recursive: true });
      writeFileSync(join(root, path), text);
    },
    all: () => listing(root),
    [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose](),
  };
}

const nothing = () => Promise.resolve();

test("what a shell did is taken back: writes, renames, deletions, modes, links, directories", async () => {
  await using b = await box();
  b.put("a.txt", "a");
  b.put("run.sh", "#!/bin/sh");
  b.put("d/b.txt", "b");
  b.put("d/e/c.txt", "c");
  b.put("odd\nname '\"é\u{1f600}", "odd");
  mkdirSync(join(b.root, "empty"));
  symlinkSync("a.txt", join(b.root, "link"));
  symlinkSync("d", join(b.root, "dir-link"));
  chmodSync(join(b.root, "run.sh"), 0o755);
  const before = b.all();
  const w = await b.open();
  const tree = await w.record(undefined);

  b.put("a.txt", "changed");
  b.put("new/deep/x.txt", "x");
  chmodSync(join(b.root, "run.sh"), 0o644);
  renameSync(join(b.root, "d/b.txt"), join(b.root, "d/moved.txt"));
  rmSync(join(b.root, "odd\nname '\"é\u{1f600}"));
  rmSync(join(b.root, "empty"), { recursive: true });
  rmSync(join(b.root, "link"));
  symlinkSync("run.sh", join(b.root, "link"));
  rmSync(join(b.root, "dir-link"));
  mkdirSync(join(b.root, "dir-link"));
  writeFileSync(join(b.root, "dir-link/inside"), "i");
  rmSync(join(b.root, "d/e"), { recursive: true });
  writeFileSync(join(b.root, "d/e"), "a file now");

  const plan = await w.plan(tree, undefined);
  assert.deepEqual(plan.skipped, []);
  assert.deepEqual(plan.files.map(({ path, change }) => `${change} ${path}`), [
    "restore a.txt",
    "create d/b.txt",
    "restore d/e/",
    "create d/e/c.txt",
    "delete d/moved.txt",
    "restore dir-link",
    "delete dir-link/inside",
    "create empty/",
    "restore link",
    "delete new/",
    "delete new/deep/",
    "delete new/deep/x.txt",
    "create odd\nname '\"é\u{1f600}",
    "restore run.sh",
  ]);
  const done = await w.restore(tree, null, nothing, undefined);
  assert.deepEqual(done, { files: plan.files, skipped: [] });
  assert.deepEqual(b.all(), before);
  assert.deepEqual((await w.plan(tree, undefined)).files, []);
});

test("ignored files and repositories are left alone, whatever a turn says is ignored", async () => {
  await using b = await box();
  execFileSync("git", ["init", "-q", b.root]);
  b.put(".gitignore", "secret.env\nbuild/\n");
  b.put("secret.env", "k=1");
  b.put("build/out.o", "1");
  b.put("src/a.ts", "a");
  b.put("sub/.git", "gitdir: /elsewhere");
  b.put("sub/s.txt", "s");
  const git = () =>
    Object.fromEntries(Object.entries(b.all()).filter(([path]) => /^\.git(?:\/|$)/.test(path)));
  const w = await b.open();
  const tree = await w.record(undefined);
  const gitBefore = git();
  // The turn shows what was hidden, hides what it makes, and makes a repository of a directory.
  b.put(".gitignore", "src/\nmade.txt\n");
  b.put("secret.env", "k=2");
  b.put("build/out.o", "2");
  b.put("build/new.o", "3");
  b.put("src/a.ts", "changed");
  b.put("made.txt", "made");
  b.put("src/.git/HEAD", "ref: x");
  b.put("fresh/.git/HEAD", "ref: y");
  b.put("fresh/f.txt", "f");
  b.put("sub/s.txt", "changed");
  const done = await w.restore(tree, null, nothing, undefined);
  assert.deepEqual(done.files.map(({ path }) => path).sort(), [
    ".gitignore",
    "fresh/f.txt",
    "made.txt",
    "src/a.ts",
    "sub/s.txt",
  ]);
  assert.deepEqual(done.skipped.map(({ path }) => path), ["fresh"]);
  const after = b.all();
  assert.equal(after["secret.env"]?.slice(-3), "k=2");
  assert.equal(after["build/out.o"]?.slice(-1), "2");
  assert.equal(after["build/new.o"]?.slice(-1), "3");
  assert.equal(after["src/a.ts"]?.slice(-1), "a");
  assert.equal(after["src/.git/HEAD"]?.slice(-1), "x");
  assert.equal(after["sub/s.txt"]?.slice(-1), "s");
  assert.deepEqual(git(), gitBefore);
});

test("attributes, filters and hooks of a repository neither run nor change a byte", async () => {
  await using b = await box();
  const git = (...args: string[]) => execFileSync("git", ["-C", b.root, ...args]);
  git("init", "-q");
  const ran = join(b.outside, "ran");
  git("config", "filter.evil.clean", `touch ${ran}; cat`);
  git("config", "filter.evil.smudge", `touch ${ran}; cat`);
  git("config", "core.fsmonitor", `touch ${ran}`);
  git("config", "core.autocrlf", "true");
  git("config", "core.worktree", b.outside);
  b.put(".gitattributes", "* text eol=crlf ident filter=evil working-tree-encoding=UTF-16\n");
  b.put("a.txt", "one\r\ntwo\n$Id$\n\u0000\ufffe");
  const before = b.all();
  const w = await b.open();
  const tree = await w.record(undefined);
  b.put("a.txt", "other");
  rmSync(join(b.root, ".gitattributes"));
  await w.restore(tree, null, nothing, undefined);
  assert.deepEqual(b.all(), before);
  assert.equal(existsSync(ran), false);
});

test("no link leads a restore out of the workspace", async () => {
  await using b = await box();
  b.put("d/a.txt", "a");
  b.put("e/b.txt", "b");
  writeFileSync(join(b.outside, "a.txt"), "theirs");
  writeFileSync(join(b.outside, "b.txt"), "theirs");
  const first = await b.open();
  const tree = await first.record(undefined);
  // A directory that became a link is a link: it goes, and what it led to stays.
  rmSync(join(b.root, "d"), { recursive: true });
  symlinkSync(b.outside, join(b.root, "d"));
  b.put("e/b.txt", "changed");
  // Between the plan and its step another directory is swapped for one.
  const w = await b.open({
    beforeStep: ({ path }) => {
      if (path !== "e/b.txt") return;
      renameSync(join(b.root, "e"), join(b.root, "e-away"));
      symlinkSync(b.outside, join(b.root, "e"));
    },
  });
  const done = await w.restore(tree, null, nothing, undefined);
  assert.deepEqual(done.skipped.map(({ path }) => path), ["e/b.txt"]);
  assert.match(done.skipped[0]!.why, /is a link/);
  assert.deepEqual(listing(b.outside), { "a.txt": "644 theirs", "b.txt": "644 theirs" });
  assert.equal(lstatSync(join(b.root, "d")).isDirectory(), true);
  assert.equal(readFileSync(join(b.root, "d/a.txt"), "utf8"), "a");
});

test("a workspace whose way there became a link to another's is left alone", async () => {
  await using b = await box();
  const [mine, theirs] = ["mine", "theirs"].map((name) => join(b.outside, name));
  for (const owner of [mine!, theirs!]) {
    mkdirSync(join(owner, "w", "d"), { recursive: true });
    writeFileSync(join(owner, "w", "a.txt"), "a");
    writeFileSync(join(owner, "w", "kept.txt"), "kept");
  }
  const root = join(mine!, "w");
  const w = await b.open({ root });
  const tree = await w.record(undefined);
  for (const owner of [mine!, theirs!]) {
    writeFileSync(join(owner, "w", "made.txt"), "made");
    mkdirSync(join(owner, "w", "made"));
    rmSync(join(owner, "w", "d"), { recursive: true });
    chmodSync(join(owner, "w", "a.txt"), 0o600);
    rmSync(join(owner, "w", "kept.txt"));
  }
  let swapped = false;
  const swap = () => {
    if (!swapped) renameSync(mine!, join(b.outside, "away"));
    if (!swapped) symlinkSync(theirs!, mine!);
    swapped = true;
  };
  const late = await b.open({ root, beforeStep: swap });
  const before = listing(theirs!);
  const { files, skipped } = await late.restore(tree, null, nothing, undefined);
  assert.deepEqual(listing(theirs!), before);
  assert.deepEqual(files, []);
  assert.deepEqual(skipped.map(({ path }) => path).sort(), [
    "a.txt",
    "d",
    "kept.txt",
    "made",
    "made.txt",
  ]);
  await assert.rejects(late.record(undefined), CheckpointError);
});

test("names of any kind are taken back: line ends, quotes, case, what looks like an option or a path", async () => {
  await using b = await box();
  const names = [
    "a\nb.txt",
    "tab\t",
    '"q"',
    "-rf",
    "\\back",
    " space ",
    "ü.txt",
    "u\u0308.txt",
    "😀",
    "a~",
    "\r",
    "#x",
    "$(id)",
    "C:x",
  ];
  for (const name of names) b.put(`dir ${name}/${name}`, name);
  b.put("Case.txt", "upper");
  b.put("con", "device");
  const before = b.all();
  const w = await b.open();
  const tree = await w.record(undefined);
  for (const name of names) writeFileSync(join(b.root, `dir ${name}`, name), "changed");
  rmSync(join(b.root, `dir ${names[0]}`), { recursive: true });
  renameSync(join(b.root, "Case.txt"), join(b.root, "case.txt"));
  renameSync(join(b.root, "dir -rf"), join(b.root, "DIR -RF"));
  const { skipped } = await w.restore(tree, null, nothing, undefined);
  assert.deepEqual(skipped, []);
  assert.deepEqual(b.all(), before);
});

test("what grew over a bound since is told, and a workspace that did is not touched", async () => {
  await using b = await box();
  b.put("grows.bin", "x");
  b.put("a.txt", "a");
  const scan = { entries: 5, fileBytes: 50, treeBytes: 1_000 };
  const w = await b.open({ scan });
  const tree = await w.record(undefined);
  b.put("grows.bin", "y".repeat(100));
  b.put("a.txt", "changed");
  const one = await w.restore(tree, null, nothing, undefined);
  assert.deepEqual([one.files.map(({ path }) => path).sort(), one.skipped], [
    ["a.txt", "grows.bin"],
    [],
  ]);
  assert.deepEqual([
    readFileSync(join(b.root, "grows.bin"), "utf8"),
    readFileSync(join(b.root, "a.txt"), "utf8"),
  ], ["x", "a"]);
  for (let n = 0; n < 30; n++) b.put(`many/${n}`, "m");
  const all = b.all();
  await assert.rejects(w.restore(tree, null, nothing, undefined), CheckpointError);
  assert.deepEqual(b.all(), all);
});

test("the names of one file are all taken back: none is somebody else's change of another", async () => {
  await using b = await box();
  const link = (from: string, to: string) => linkSync(join(b.root, from), join(b.root, to));
  b.put("a", "a");
  link("a", "a2");
  b.put("b", "b");
  b.put("c", "c");
  link("c", "c2");
  link("c", "c3");
  const before = b.all();
  const tree = await (await b.open()).record(undefined);
  b.put("a", "agent");
  link("b", "b0");
  b.put("b", "agent");
  rmSync(join(b.root, "c2"));
  b.put("c", "agent");
  const changed = new Set(["a", "a2", "b", "b0", "c", "c2", "c3"]);
  const asleep = new Int32Array(new SharedArrayBuffer(4));
  /** The disk tells of changes in the same moment that they are one. */
  const later = () => {
    const changedAt = () => {
      chmodSync(b.outside, 0o700);
      return statSync(b.outside).ctimeMs;
    };
    const from = Math.trunc(changedAt()) + 1;
    // Deno tells whole seconds of it.
    while (changedAt() < from) Atomics.wait(asleep, 0, 0, 5);
  };
  const at = await b.open({ beforeStep: later });
  const done = await at.restore(tree, null, nothing, undefined);
  assert.deepEqual(done.skipped, []);
  assert.deepEqual(new Set(done.files.map(({ path }) => path)), changed);
  assert.deepEqual(b.all(), before);
  // Whoever writes to one of them meanwhile is still seen.
  b.put("a", "agent");
  link("a", "a3");
  const w = await b.open({
    beforeStep: ({ path }) => {
      if (path === "a") b.put("a", "somebody");
    },
  });
  assert.deepEqual((await w.restore(tree, null, nothing, undefined)).skipped.length, 1);
  assert.equal(readFileSync(join(b.root, "a"), "utf8"), "somebody");
});

test("what somebody changes while it is taken back is theirs", async () => {
  await using b = await box();
  b.put("a.txt", "a");
  b.put("b.txt", "b");
  const tree = await (await b.open()).record(undefined);
  b.put("a.txt", "agent");
  b.put("b.txt", "agent");
  b.put("made.txt", "agent");
  const w = await b.open({
    beforeStep: ({ path }) => {
      if (path === "b.txt") b.put("b.txt", "somebody else");
      if (path === "made.txt") b.put("made.txt", "somebody else");
    },
  });
  const { files, skipped } = await w.restore(tree, null, nothing, undefined);
  assert.deepEqual(files.map(({ path }) => path), ["a.txt"]);
  assert.deepEqual(skipped.map(({ path }) => path).sort(), ["b.txt", "made.txt"]);
  assert.equal(readFileSync(join(b.root, "b.txt"), "utf8"), "somebody else");
  assert.equal(readFileSync(join(b.root, "made.txt"), "utf8"), "somebody else");
});

test("directories that let their owner change nothing in them are no obstacle, and stay such ones", async () => {
  await using b = await box();
  b.put("edited/a.txt", "a");
  b.put("closed/b.txt", "b");
  chmodSync(join(b.root, "closed"), 0o555);
  const before = b.all();
  const files = (await treeFiles())!;
  // Root may write everywhere.
  const refuse = (path: string) => {
    if ((statSync(join(path, "..")).mode & 0o200) !== 0) return;
    throw Object.assign(new Error("EACCES"), { code: "EACCES" });
  };
  const w = await Workspace.open({
    ...files,
    writeNew: async (path, ...rest) => (refuse(path), await files.writeNew(path, ...rest)),
    removeDirectory: async (path) => (refuse(path), await files.removeDirectory(path)),
  }, { root: b.root, home: join(b.root, "..", "home") });
  const tree = await w.record(undefined);
  chmodSync(join(b.root, "closed"), 0o755);
  b.put("edited/a.txt", "changed");
  b.put("closed/b.txt", "changed");
  b.put("mod/x/y/go.mod", "made");
  for (const path of ["edited", "closed", "mod/x/y", "mod/x", "mod"]) {
    chmodSync(join(b.root, path), 0o555);
  }
  const { skipped } = await w.restore(tree, null, nothing, undefined);
  assert.deepEqual(skipped, []);
  assert.deepEqual(b.all(), before);
  assert.equal(statSync(join(b.root, "closed")).mode & 0o777, 0o555);
  chmodSync(join(b.root, "closed"), 0o755);
});

test("a file that is written while it is read is not kept half as it was", async () => {
  await using b = await box();
  const path = join(b.root, "a.txt");
  b.put("a.txt", "aaaa");
  const files = (await treeFiles())!;
  const expected = (await files.entry(path))!;
  const handle = await open(path, "r");
  await handle.close();
  const host = (globalThis as { Deno?: { FsFile: { prototype: Reader } } }).Deno;
  const windows = process.platform === "win32";
  const reader: Reader = windows && host?.FsFile.prototype || Object.getPrototypeOf(handle);
  const { read } = reader;
  reader.read = async function (...args) {
    const result = await read.apply(this, args);
    writeFileSync(path, "abab");
    utimesSync(path, new Date(0), new Date(0));
    return result;
  };
  try {
    assert.equal(await files.readExpected(path, expected), null);
  } finally {
    reader.read = read;
  }
  const now = (await files.entry(path))!;
  assert.equal((await files.readExpected(path, now))?.length, 4);
  if (windows) return;
  // What a command leaves in the background may put a pipe in its place, to which nobody writes.
  rmSync(path);
  execFileSync("mkfifo", [path]);
  assert.equal(await files.readExpected(path, now), null);
});

interface Reader {
  read(...args: unknown[]): Promise<unknown>;
}

test("a workspace whose disk is not mounted is not recorded as an empty one", async () => {
  await using b = await box();
  b.put("a.txt", "a");
  const files = (await treeFiles())!;
  let mounted = true;
  const w = await Workspace.open({
    ...files,
    list: async (path) => mounted ? await files.list(path) : [],
    entry: async (path) => {
      const entry = await files.entry(path);
      return entry === null || mounted ? entry : { ...entry, id: "0:2" };
    },
  }, { root: b.root, home: join(b.root, "..", "home") });
  await w.record(undefined);
  mounted = false;
  await assert.rejects(
    w.record(undefined),
    (error) => error instanceof CheckpointError && error.data?.["reason"] === "workspaceMoved",
  );
  mounted = true;
  rmSync(join(b.root, "a.txt"));
  const empty = await w.record(undefined);
  b.put("new.txt", "n");
  await w.restore(empty, null, nothing, undefined);
  assert.deepEqual(readdirSync(b.root), []);
});

test("what was mounted in the workspace since then is left alone", async () => {
  await using b = await box();
  b.put("a.txt", "a");
  b.put("always/x.txt", "x");
  mkdirSync(join(b.root, "share"));
  const files = (await treeFiles())!;
  let mounts = ["always"];
  const w = await Workspace.open({
    ...files,
    entry: async (path) => {
      const entry = await files.entry(path);
      const on = mounts.find((each) => `${path}/`.startsWith(`${join(b.root, each)}/`));
      return entry === null || on === undefined ? entry : { ...entry, id: `${on}:2` };
    },
  }, { root: b.root, home: b.home });
  const tree = await w.record(undefined);
  mounts = ["always", "share", "new/deep"];
  b.put("a.txt", "b");
  b.put("always/y.txt", "y");
  b.put("share/all/precious.txt", "p");
  b.put("new/deep/precious.txt", "p");
  b.put("new/n.txt", "n");
  const { files: done, skipped } = await w.restore(tree, null, nothing, undefined);
  assert.deepEqual(done.map(({ path }) => path), ["a.txt", "always/y.txt", "new/n.txt"]);
  assert.deepEqual(skipped.map(({ path }) => path), ["new/deep", "new", "share"]);
  assert.match(skipped[2]!.why, /^another disk is mounted there/);
  assert.equal(b.all()["share/all/precious.txt"], b.all()["new/deep/precious.txt"]);
  assert.equal(readFileSync(join(b.root, "share/all/precious.txt"), "utf8"), "p");
});

test("what is too large, or no file, is told and left as it is", async () => {
  await using b = await box();
  b.put("big.bin", "x".repeat(100));
  b.put("small.txt", "s");
  execFileSync("mkfifo", [join(b.root, "pipe")]);
  const w = await b.open({ scan: { entries: 100, fileBytes: 50, treeBytes: 1_000 } });
  const tree = await w.record(undefined);
  assert.deepEqual((await w.plan(tree, undefined)).skipped, []);
  // Of another size: disks tell times in steps, in which all of this test may fall.
  b.put("big.bin", "y".repeat(101));
  rmSync(join(b.root, "pipe"));
  b.put("made-big.bin", "z".repeat(100));
  const { files, skipped } = await w.restore(tree, null, nothing, undefined);
  assert.deepEqual(files, [{ path: "made-big.bin", change: "delete" }]);
  assert.deepEqual(skipped.map(({ path }) => path), ["big.bin", "pipe"]);
  assert.equal(readFileSync(join(b.root, "big.bin"), "utf8"), "y".repeat(101));

  for (
    const scan of [
      { entries: 1, fileBytes: 50, treeBytes: 1_000 },
      { entries: 100, fileBytes: 5_000, treeBytes: 20 },
    ]
  ) {
    const small = await b.open({ scan });
    await assert.rejects(
      small.record(undefined),
      (error) => error instanceof CheckpointError && error.data?.["reason"] === "tooLarge",
    );
  }
});

test("what is refused as too large is over: what was kept meanwhile is counted, nothing is looked at", async () => {
  await using b = await box();
  b.put("a.txt", "a");
  b.put("big.bin", "x".repeat(100));
  b.put("c/late.txt", "c");
  b.put("d/many.txt", "d");
  const system = (await treeFiles())!;
  let running = 0;
  // The refusal needs no turn of the event loop; the rest takes one at least.
  const oneTurn = () => new Promise<void>((resolve) => setTimeout(resolve, 0));
  const files: TreeFiles = {
    ...system,
    readExpected: async (path, entry) => {
      await oneTurn();
      return await system.readExpected(path, entry);
    },
    list: async (path) => {
      if (path.endsWith("/d")) return ["many.txt"];
      running++;
      try {
        await oneTurn();
        return (await system.list(path)).sort();
      } finally {
        running--;
      }
    },
    entry: (path: string) => path.endsWith("many.txt") ? Promise.resolve(many) : system.entry(path),
  };
  const many = (await system.entry(join(b.root, "d/many.txt")))!;
  const store = await CheckpointStore.open(join(b.outside, "home"), b.root);
  const isTooLarge = (error: unknown) =>
    error instanceof CheckpointError && error.data?.["reason"] === "tooLarge";

  const limits = { entries: 100, fileBytes: 1_000, treeBytes: 20 };
  await assert.rejects(
    recordTree({ files, root: b.root, store, limits }, null, undefined),
    isTooLarge,
  );
  assert.equal(await store.bytes(), 1);

  const few = { before: new Map(), limits: { ...limits, entries: 4 } };
  await assert.rejects(scanTree(files, b.root, { prefix: "", sources: [] }, few), isTooLarge);
  assert.equal(running, 0);
});

test("a file that is changed in the same moment, with the same size and time, is seen", async () => {
  await using b = await box();
  b.put("a.txt", "aaaa");
  const past = new Date(Date.now() - 60_000);
  utimesSync(join(b.root, "a.txt"), past, past);
  const w = await b.open();
  const tree = await w.record(undefined);
  writeFileSync(join(b.root, "a.txt"), "bbbb");
  utimesSync(join(b.root, "a.txt"), past, past);
  assert.deepEqual((await w.plan(tree, undefined)).files, [{ path: "a.txt", change: "restore" }]);
  const again = await w.record(undefined);
  await w.restore(tree, null, nothing, undefined);
  assert.equal(readFileSync(join(b.root, "a.txt"), "utf8"), "aaaa");
  await w.restore(again, null, nothing, undefined);
  assert.equal(readFileSync(join(b.root, "a.txt"), "utf8"), "bbbb");
});

test("old, many and large checkpoints go, and what is left works", async () => {
  await using b = await box();
  const w = await b.open({ limits: { turns: 3, bytes: 450, ageMs: 60_000 } });
  const trees: string[] = [];
  for (let turn = 0; turn < 6; turn++) {
    b.put("a.txt", String(turn).repeat(100));
    const tree = await w.record(undefined);
    trees.push(tree);
    await w.began(`t${turn}`, tree);
  }
  assert.deepEqual([...(await w.turns()).keys()], ["t3", "t4", "t5"]);
  await w.restore(trees[3]!, null, nothing, undefined);
  assert.equal(readFileSync(join(b.root, "a.txt"), "utf8"), "3".repeat(100));
});

test("a session whose checkpoints were pruned while it was idle records its workspace anew", async () => {
  await using b = await box();
  b.put("a.txt", "a");
  // Old enough to be known by what the disk tells of it.
  const aged = new Date(Date.now() - 60_000);
  utimesSync(join(b.root, "a.txt"), aged, aged);
  const files = (await treeFiles())!;
  const aging: TreeFiles = {
    ...files,
    entry: async (path) => {
      const entry = await files.entry(path);
      return entry === null ? null : { ...entry, ctimeMs: aged.getTime() };
    },
    readExpected: async (path) => await files.readExpected(path, (await files.entry(path))!),
  };
  const w = await Workspace.open(aging, { root: b.root, home: b.home });
  await w.began("one", await w.record(undefined));
  // Another session begins, a month later.
  await CheckpointStore.pruneHome(b.home, STORE_LIMITS, Date.now() + 2 * STORE_LIMITS.ageMs);
  assert.deepEqual(readdirSync(b.home), []);
  const tree = await w.record(undefined);
  await w.began("two", tree);
  b.put("a.txt", "b");
  const { skipped } = await w.restore(tree, null, nothing, undefined);
  assert.deepEqual(skipped, []);
  assert.equal(readFileSync(join(b.root, "a.txt"), "utf8"), "a");
});

test("a clock that was set back makes no checkpoint older than those before it", async () => {
  await using b = await box();
  const w = await b.open({ limits: { turns: 3, bytes: 1e6, ageMs: 3_600_000 } });
  const now = Date.now;
  try {
    for (let turn = 0; turn < 6; turn++) {
      // Half an hour, as a machine that wakes may have, and to 1970, as one without a battery.
      if (turn === 3) Date.now = () => now() - 1_800_000;
      if (turn === 5) Date.now = () => turn;
      b.put("a.txt", String(turn));
      const tree = await w.record(undefined);
      await w.began(`t${turn}`, tree);
      b.put("a.txt", "changed");
      await w.restore(tree, null, nothing, undefined);
      assert.equal(readFileSync(join(b.root, "a.txt"), "utf8"), String(turn));
    }
  } finally {
    Date.now = now;
  }
  assert.deepEqual([...(await w.turns()).keys()], ["t3", "t4", "t5"]);
});

test("the store is its owner's, damage in it is told, and nothing in it leads out of the workspace", async () => {
  await using b = await box();
  b.put("a.txt", "aaaa");
  const w = await b.open();
  const tree = await w.record(undefined);
  await w.began("t1", tree);
  const [folder] = readdirSync(join(b.outside, "../home"));
  const store = join(b.outside, "../home", folder!);
  assert.equal(statSync(store).mode & 0o777, 0o700);
  const [short] = readdirSync(join(store, "objects"));
  const [content] = readdirSync(join(store, "objects", short!));
  writeFileSync(join(store, "objects", short!, content!), "evil");
  b.put("a.txt", "changed");
  const { skipped } = await w.restore(tree, null, nothing, undefined);
  assert.deepEqual(skipped, [{ path: "a.txt", why: "what was recorded of it is gone or damaged" }]);
  writeFileSync(join(store, "trees", tree), "evil");
  await assert.rejects(w.plan(tree, undefined), CheckpointError);

  // A restore that somebody else has written down.
  const victim = join(b.outside, "victim");
  writeFileSync(victim, "theirs");
  const steps = ["../outside/victim", "/etc/x", "a/../../outside/victim", ".git/config", "x/.GIT/y"]
    .map((path) => ({ do: "remove", path, was: null }));
  writeFileSync(join(store, "restores", "evil"), JSON.stringify({ at: Date.now(), steps }));
  await (await b.open()).recover("none");
  assert.equal(readFileSync(victim, "utf8"), "theirs");
});

test("content that a machine without power has left empty in the store is kept anew", async () => {
  await using b = await box();
  b.put("a.txt", "a");
  await (await b.open()).record(undefined);
  const objects = readdirSync(b.home, { recursive: true }).map((name) => join(b.home, `${name}`))
    .filter((path) => /objects/.test(path) && statSync(path).isFile());
  assert.equal(objects.length, 1);
  writeFileSync(objects[0]!, "");
  const w = await b.open();
  const tree = await w.record(undefined);
  b.put("a.txt", "changed");
  const { skipped } = await w.restore(tree, null, nothing, undefined);
  assert.deepEqual(skipped, []);
  assert.equal(readFileSync(join(b.root, "a.txt"), "utf8"), "a");
});

test("the user's own ignore file is found in git's configuration", () => {
  assert.equal(excludesFile("[user]\nexcludesFile = no\n[core]\n\texcludesfile = ~/ig\n"), "~/ig");
  assert.equal(excludesFile('[core "x"]\nexcludesFile = no\n'), null);
  assert.equal(excludesFile('[core]\nexcludesFile = "/a b"\n[alias]\nexcludesfile = no'), "/a b");
});

test("the user's own ignore file counts, whatever the home is called", async () => {
  await using b = await box();
  const home = join(b.outside, "$& home");
  mkdirSync(home);
  writeFileSync(join(home, ".gitconfig"), "[core]\nexcludesFile = ~/mine\n");
  writeFileSync(join(home, "mine"), "private.txt\n");
  const names = ["HOME", "USERPROFILE"];
  const before = names.map((name) => process.env[name]);
  for (const name of names) process.env[name] = home;
  try {
    b.put("private.txt", "before");
    b.put("a.txt", "before");
    const w = await b.open();
    const tree = await w.record(undefined);
    b.put("private.txt", "after");
    b.put("a.txt", "after");
    assert.deepEqual((await w.plan(tree, undefined)).files.map(({ path }) => path), ["a.txt"]);
  } finally {
    for (const [i, name] of names.entries()) {
      if (before[i] === undefined) delete process.env[name];
      else process.env[name] = before[i];
    }
  }
});

test("one at a time uses a workspace's checkpoints, and one that died is put out", async () => {
  await using b = await box();
  b.put("a.txt", "a");
  const [one, two] = [await b.open(), await b.open()];
  const trees = await Promise.all([one, two, one, two].map((each) => each.record(undefined)));
  assert.equal(trees.length, 4);
  const home = join(b.outside, "../home");
  const lock = join(home, readdirSync(home)[0]!, "lock");
  assert.equal(existsSync(lock), false);
  // Somebody at work is waited for, until the caller gives up.
  writeFileSync(lock, "somebody");
  const signal = AbortSignal.timeout(100);
  await assert.rejects(one.record(signal), (error) => error === signal.reason);
  // Somebody who was silent for long is dead: of many who see it, all get their turn.
  const long = new Date(Date.now() - 60_000);
  utimesSync(lock, long, long);
  await Promise.all([one, two, await b.open()].map((each) => each.record(undefined)));
  assert.deepEqual(readdirSync(join(lock, "..")).filter((name) => name.startsWith("lock")), []);
});

test("one that died before the clock was set back is put out as well", async () => {
  await using b = await box();
  b.put("a.txt", "a");
  const w = await b.open({ limits: { ...STORE_LIMITS, silentMs: 60 } });
  await w.record(undefined);
  const home = join(b.outside, "../home");
  const lock = join(home, readdirSync(home)[0]!, "lock");
  writeFileSync(lock, "somebody");
  utimesSync(lock, new Date("2100-01-01"), new Date("2100-01-01"));
  await w.record(AbortSignal.timeout(20_000));
  assert.equal(existsSync(lock), false);
});

test("a new file that could not be written whole, as a lock on a full disk, is not left", async () => {
  await using b = await box();
  const full = {
    length: 1,
    subarray: () => {
      throw new Error("No space left on device");
    },
  };
  const path = join(b.root, "lock");
  await assert.rejects((await treeFiles())!.writeNew(path, full as never, false));
  assert.equal(existsSync(path), false);
  // One that was there is somebody's.
  writeFileSync(path, "somebody");
  await assert.rejects((await treeFiles())!.writeNew(path, new Uint8Array(1), false));
  assert.equal(readFileSync(path, "utf8"), "somebody");
});

test("a workspace below the top of its repository goes by the ignore files above it", async () => {
  await using b = await box();
  execFileSync("git", ["init", "-q", b.root]);
  b.put(".gitignore", "/pkg/app/out/\n*.tmp\n");
  b.put(".git/info/exclude", "private\n");
  b.put("pkg/.gitignore", "!keep.tmp\n");
  for (const name of ["out/o", "a.tmp", "keep.tmp", "private", "src.ts"]) {
    b.put(`pkg/app/${name}`, "1");
  }
  const w = await b.open({ root: join(b.root, "pkg/app") });
  const tree = await w.record(undefined);
  for (const name of ["out/o", "a.tmp", "keep.tmp", "private", "src.ts"]) {
    b.put(`pkg/app/${name}`, "2");
  }
  const { files } = await w.plan(tree, undefined);
  assert.deepEqual(files.map(({ path }) => path), ["keep.tmp", "src.ts"]);
});

test("a directory of a million files is looked at in parts, and refused before its end", async () => {
  const file = { kind: "file", mode: 0o600, size: 1, mtimeMs: 1, ctimeMs: 1, id: "1:1" } as const;
  let [looks, open, most] = [0, 0, 0];
  const files = {
    list: () => Promise.resolve(Array.from({ length: 1_000_000 }, (_, n) => `${n}`)),
    entry: async (path: string) => {
      if (path.endsWith(".gitignore")) return null;
      looks++;
      most = Math.max(most, ++open);
      await Promise.resolve();
      open--;
      return file;
    },
  } as unknown as TreeFiles;
  const limits = { entries: 1_000, fileBytes: Infinity, treeBytes: Infinity };
  await assert.rejects(
    scanTree(files, "/w", { prefix: "", sources: [] }, { limits }),
    (error) => error instanceof CheckpointError && error.data?.["reason"] === "tooLarge",
  );
  assert.ok(looks < 2_000 && most < 1_000, `${looks} ${most}`);
});

test("ignore files that would take hours are refused, and one that takes a while holds nobody up", async () => {
  await using b = await box();
  b.put("a.txt", "a");
  const w = await b.open();
  const isTooLarge = (error: unknown) =>
    error instanceof CheckpointError && error.data?.["reason"] === "tooLarge";
  b.put(".gitignore", "*a*b*c?\n".repeat(100_000));
  await assert.rejects(w.record(undefined), isTooLarge);
  // Few rules of which each is looked at for long.
  b.put("a".repeat(200), "");
  for (const costly of [`*[${"b".repeat(4_000)}]x\n`, `${"**/".repeat(1_300)}x\n`]) {
    b.put(".gitignore", costly.repeat(256));
    await assert.rejects(w.record(undefined), isTooLarge);
  }
  rmSync(join(b.root, ".gitignore"));
  // Each of them is allowed; together they hold for one directory.
  for (const folder of ["", "d/", "d/e/"]) b.put(`${folder}.gitignore`, "*a*b*c?\n".repeat(2_000));
  b.put("d/e/f.txt", "f");
  await assert.rejects(w.record(undefined), isTooLarge);
  rmSync(join(b.root, "d/e/.gitignore"));
  await w.record(undefined);

  for (let n = 0; n < 5; n++) b.put(`c${n}/.gitignore`, "#".repeat(2 ** 20));
  await assert.rejects(w.record(undefined), isTooLarge);
  rmSync(join(b.root, "c4"), { recursive: true });
  rmSync(join(b.root, "c3"), { recursive: true });

  // On a disk that never makes anybody wait, only the scan itself can let others have their turn.
  const entry = (await (await treeFiles())!.entry(join(b.root, "a.txt")))!;
  const files = {
    list: () => Promise.resolve(Array.from({ length: 400 }, (_, n) => `${"ab".repeat(20)}${n}`)),
    entry: () => Promise.resolve(entry),
  } as unknown as TreeFiles;
  const sources = [{ base: "", text: "*a*b*c?\n".repeat(2_000) }];
  const stop = new AbortController();
  const reason = new Error("enough");
  setTimeout(() => stop.abort(reason), 0);
  const limits = { entries: 1_000, fileBytes: Infinity, treeBytes: Infinity };
  const looking = { before: new Map(), limits, signal: stop.signal };
  const scan = scanTree(files, "/w", { prefix: "", sources }, looking);
  await assert.rejects(scan, (error) => error === reason);
});

test("a working tree beside its repository goes by the repository's own ignore file", async () => {
  await using b = await box();
  const git = (at: string, ...args: string[]) =>
    execFileSync("git", ["-C", at, "-c", "user.name=a", "-c", "user.email=a@b", ...args], {
      stdio: "ignore",
    });
  git(b.root, "init", "-q");
  git(b.root, "commit", "-q", "--allow-empty", "-m", "first");
  b.put(".git/info/exclude", "private\n");
  const beside = join(b.outside, "tree");
  git(b.root, "worktree", "add", "-q", beside);
  const write = (text: string) => {
    for (const name of ["private", "src.ts"]) writeFileSync(join(beside, name), text);
  };
  write("1");
  const w = await b.open({ root: beside });
  const tree = await w.record(undefined);
  write("22");
  const { files, skipped } = await w.restore(tree, null, nothing, undefined);
  assert.deepEqual([files, skipped], [[{ path: "src.ts", change: "restore" }], []]);
  assert.equal(readFileSync(join(beside, "private"), "utf8"), "22");
  // What leads nowhere, or to what is no repository, is no reason to fail.
  for (const text of ["gitdir: /nowhere\n", "gitdir: ../..\n", "gitdir:", "\u0000"]) {
    writeFileSync(join(beside, ".git"), text);
    await w.record(undefined);
  }
});

test("a name that is no UTF-8 is told and left, with the directory that holds it", async () => {
  await using b = await box();
  b.put("a.txt", "a");
  const w = await b.open();
  const tree = await w.record(undefined);
  execFileSync("sh", ["-c", "mkdir new && printf x > new/$(printf '\\377') && printf y > new/b"], {
    cwd: b.root,
  });
  const { files, skipped } = await w.restore(tree, null, nothing, undefined);
  assert.deepEqual(files, [{ path: "new/b", change: "delete" }]);
  assert.deepEqual(skipped, [
    { path: "new/\ufffd", why: "its name is no UTF-8" },
    { path: "new", why: "it holds what is left alone: its name is no UTF-8" },
  ]);
});

test("a repository around the workspace counts unless it ignores the workspace as a whole", async () => {
  const cases = [
    // A home with a few files under git.
    ["*\n", ["a.log", "a.txt"]],
    ["/w/\n*.log\n", ["a.log", "a.txt"]],
    ["*.log\n", ["a.txt"]],
    ["/*\n!/w\n*.log\n", ["a.txt"]],
  ] as const;
  for (const [text, restored] of cases) {
    await using b = await box();
    b.put("../.git/HEAD", "ref");
    b.put("../.gitignore", text);
    b.put("a.txt", "a");
    b.put("a.log", "a");
    const w = await b.open();
    const tree = await w.record(undefined);
    b.put("a.txt", "changed");
    b.put("a.log", "changed");
    const { files } = await w.restore(tree, null, nothing, undefined);
    assert.deepEqual(files.map(({ path }) => path).sort(), restored, text);
  }
});

test("ignore files around the workspace with too many rules are refused before they are compared", async () => {
  await using b = await box();
  b.put("../.git/HEAD", "ref");
  b.put("../.gitignore", "a\n".repeat(500_000));
  const w = await b.open();
  await assert.rejects(w.record(undefined), CheckpointError);
});

test("what was moved here from where nothing is recorded is left alone: it is nowhere else", async () => {
  await using b = await box();
  b.put(".gitignore", ".env\nbuild/\nd/private\n");
  b.put(".git/HEAD", "ref");
  b.put(".env", "key");
  b.put("d/private", "mine");
  b.put("d/a.txt", "a");
  b.put("config", "config");
  b.put("large", "x".repeat(101));
  const bornMs = (path: string) => Math.trunc(lstatSync(join(b.root, path)).birthtimeMs);
  /** Makes a file that the disk tells from what was made at another time. */
  const putAfter = (path: string, time: number) => {
    do {
      rmSync(join(b.root, path), { force: true });
      b.put(path, `later ${path}`);
    } while (time !== 0 && bornMs(path) === time);
  };
  putAfter("build/out", bornMs("config"));
  writeFileSync(join(b.outside, "other"), "other");
  const last = bornMs("../outside/other");
  // Not every disk tells when a file was made.
  if (last === 0) return;
  const w = await b.open({ scan: { entries: 100, fileBytes: 100, treeBytes: 10_000 } });
  const { now } = Date;
  // The steps in which disks count are no longer than two seconds.
  Date.now = () => last + 2_000;
  const tree = await w.record(undefined).finally(() => Date.now = now);

  const move = (from: string, to: string) => renameSync(join(b.root, from), join(b.root, to));
  putAfter("made", last);
  mkdirSync(join(b.root, "new"));
  move(".env", "new/env.bak");
  move(".git", "git-old");
  move("build/out", "config");
  move("d", "e");
  move("large", "large2");
  move("../outside/other", "other");
  const { skipped } = await w.restore(tree, null, nothing, undefined);
  const left = b.all();
  assert.deepEqual(
    Object.keys(left).filter((path) => !/^(?:\.gitignore|build)$/.test(path)),
    [
      ...["config", "d", "d/a.txt", "e", "e/private", "git-old", "git-old/HEAD"],
      ...["large2", "new", "new/env.bak", "other"],
    ],
  );
  assert.equal(readFileSync(join(b.root, "config"), "utf8"), "later build/out");
  assert.deepEqual(
    skipped.map(({ path }) => path).sort(),
    ["config", "e", "e/private", "git-old", "large", "large2", "new", "new/env.bak", "other"],
  );
  // What stays under its name is none of that, nor is what the turn has made.
  putAfter("config", last);
  const { files: again } = await w.plan(tree, undefined);
  assert.deepEqual(again, [{ path: "config", change: "restore" }]);
});

test("what can't be looked at when it is recorded is not taken for new later", async () => {
  await using b = await box();
  b.put("shut/mine.txt", "mine");
  const files = (await treeFiles())!;
  const shut: TreeFiles = {
    ...files,
    // A directory that may be listed only.
    entry: (path) =>
      path.endsWith("mine.txt")
        ? Promise.reject(Object.assign(new Error("no"), { code: "EACCES" }))
        : files.entry(path),
  };
  const place = { root: b.root, home: b.home };
  const tree = await (await Workspace.open(shut, place)).record(undefined);
  const w = await Workspace.open(files, place);
  const { skipped } = await w.restore(tree, null, nothing, undefined);
  assert.equal(readFileSync(join(b.root, "shut/mine.txt"), "utf8"), "mine");
  assert.deepEqual(skipped.map(({ path }) => path), ["shut/mine.txt"]);
});
