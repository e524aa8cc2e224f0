/**
 * A process that ends, and a disk that is full, before each operation on a file that a rewind's record or restore does: each
 * one, those of its store included. Here such a process is one whose operations never return; `faults/rewind_crash_test.ts`
 * kills real ones.
 */
import assert from "node:assert/strict";
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
import { test } from "../_harness.ts";
import { listing } from "../_listing.ts";
import { tempDir } from "../_temp.ts";
import { CheckpointError } from "../../src/errors/mod.ts";
import { treeFiles } from "../../src/platform/fs.ts";
import { Workspace } from "../../src/session/history/rewind/workspace.ts";

type Act = (...args: unknown[]) => Promise<unknown>;
// Processes end here, and no machine does.
Deno.FsFile.prototype.sync = () => Promise.resolve();
Deno.FsFile.prototype.syncData = () => Promise.resolve();

const CHANGING = ["mkdir", "open", "rename", "remove", "symlink", "chmod", "utime"] as const;

/**
 * Lets `work` do its operations up to a number. Then they never return (`"ends"`), or those that need room are refused
 * (`"full"`). Settles with whether that number was reached, and with what became of the work that was not cut off.
 */
async function upTo<T>(
  last: number,
  how: "ends" | "full",
  work: () => Promise<T>,
): Promise<{ reached: boolean; result: T | undefined; error: unknown }> {
  let done = 0;
  const over = Promise.withResolvers<void>();
  const timers: number[] = [];
  const opened: Deno.FsFile[] = [];
  const guarded = (act: Act, needsRoom: (args: unknown[]) => boolean): Act =>
    async function (this: unknown, ...args) {
      if (done >= last && how === "ends") {
        over.resolve();
        await new Promise(() => {});
      }
      if (how === "full" && needsRoom(args) && done++ >= last) {
        over.resolve();
        throw new Error("No space left on device (os error 28)");
      }
      if (how === "ends") done++;
      const made = await act.apply(this, args);
      if (made instanceof Deno.FsFile) opened.push(made);
      return made;
    };
  const host = Deno as unknown as Record<string, Act>;
  const real = Object.fromEntries(CHANGING.map((name) => [name, host[name]!]));
  const file = Deno.FsFile.prototype as unknown as Record<string, Act>;
  const write = file["write"]!;
  const { setInterval } = globalThis;
  const define = (name: string, value: Act) => Object.defineProperty(host, name, { value });
  for (const name of CHANGING) {
    const needsRoom = ([, options]: unknown[]) =>
      name === "mkdir" || name === "symlink" ||
      name === "open" && (options as Deno.OpenOptions | undefined)?.createNew === true;
    define(name, guarded(real[name]!, needsRoom));
  }
  file["write"] = guarded(write, () => true);
  // A process that has ended beats no more.
  globalThis.setInterval = ((...args: Parameters<typeof setInterval>) => {
    timers.push(setInterval(...args) as unknown as number);
    return timers.at(-1);
  }) as typeof setInterval;
  let [result, error]: [T | undefined, unknown] = [undefined, undefined];
  let reached = false;
  void over.promise.then(() => reached = true);
  try {
    const ended = work().then((value) => void (result = value), (cause) => void (error = cause));
    await (how === "ends" ? Promise.race([ended, over.promise]) : ended);
    await Promise.resolve();
    return { reached, result, error };
  } finally {
    for (const [name, act] of Object.entries(real)) define(name, act);
    file["write"] = write;
    globalThis.setInterval = setInterval;
    timers.forEach(clearInterval);
    for (const file of opened) {
      try {
        file.close();
      } catch {
        // It was closed.
      }
    }
  }
}

class Box {
  readonly root: string;
  readonly home: string;

  constructor(path: string) {
    this.root = join(path, "w");
    this.home = join(path, "home");
    mkdirSync(this.root, { recursive: true });
  }

  put(path: string, text: string): void {
    mkdirSync(join(this.root, path, ".."), { recursive: true });
    writeFileSync(join(this.root, path), text);
  }

  first(): void {
    this.put("a.txt", "a");
    this.put("run.sh", "run");
    chmodSync(join(this.root, "run.sh"), 0o755);
    this.put("d/b.txt", "b".repeat(5_000));
    symlinkSync("a.txt", join(this.root, "link"));
  }

  change(): void {
    this.put("a.txt", "changed");
    this.put("new/x.txt", "x");
    chmodSync(join(this.root, "run.sh"), 0o644);
    rmSync(join(this.root, "d"), { recursive: true });
    this.put("d", "a file now");
    rmSync(join(this.root, "link"));
  }

  async open(): Promise<Workspace> {
    const { root, home } = this;
    return await Workspace.open((await treeFiles())!, { root, home });
  }

  /** Whoever held the store has been silent for long. */
  age(): void {
    const long = new Date(Date.now() - 60_000);
    for (const folder of readdirSync(this.home)) {
      for (const name of readdirSync(join(this.home, folder))) {
        if (name.startsWith("lock")) utimesSync(join(this.home, folder, name), long, long);
      }
    }
  }

  all(): Record<string, string> {
    return listing(this.root);
  }
}

/** Calls `act` for each operation until one call did not need so many; how many that were. */
async function everyStep(act: (box: Box, step: number) => Promise<boolean>): Promise<number> {
  for (let step = 0;; step++) {
    await using directory = await tempDir("rewind-steps-");
    const box = new Box(directory.path);
    box.first();
    if (!await act(box, step)) return step;
  }
}

const LONG = { timeoutMs: 120_000 };

test("what was recorded before stays, whenever the next record ends", LONG, async () => {
  const steps = await everyStep(async (box, step) => {
    const before = box.all();
    const first = await box.open();
    const tree = await first.record(undefined);
    await first.began("one", tree);
    box.change();
    const changed = box.all();
    const { reached, error } = await upTo(step, "ends", async () => {
      const next = await box.open();
      await next.began("two", await next.record(undefined));
    });
    assert.equal(error, undefined, `${step}`);
    box.age();
    assert.deepEqual(box.all(), changed, `${step}: a record changes nothing`);
    const again = await box.open();
    const now = await again.record(undefined);
    const turns = await again.turns();
    assert.ok(turns.has("one") && (reached || turns.has("two")), `${step}`);
    for (const [name, wanted] of [[tree, before], [now, changed]] as const) {
      const { skipped } = await again.restore(name, null, () => Promise.resolve(), undefined);
      assert.deepEqual([box.all(), skipped], [wanted, []], `${step}`);
    }
    return reached;
  });
  assert.ok(steps > 15, `${steps} steps`);
});

test("a restore that ends at any operation is finished or was not begun", LONG, async () => {
  let notBegun = 0;
  const steps = await everyStep(async (box, step) => {
    const before = box.all();
    const first = await box.open();
    const tree = await first.record(undefined);
    box.change();
    const changed = box.all();
    const what = { threadId: "thread", before: "turn", turns: ["turn"] };
    let takenBack = false;
    const { reached, error } = await upTo(step, "ends", async () => {
      const takeBack = () => Promise.resolve(void (takenBack = true));
      await (await box.open()).restore(tree, what, takeBack, undefined);
    });
    assert.equal(error, undefined, `${step}`);
    box.age();
    const next = await box.open();
    const { finished, skipped, conversations } = await next.recover("thread");
    assert.deepEqual(skipped, [], `${step}`);
    if (finished + conversations.length === 0 && !takenBack) {
      // Nothing was written down, so nothing was done: neither files nor conversation.
      assert.deepEqual(box.all(), changed, `${step}`);
      notBegun++;
    } else assert.deepEqual(box.all(), before, `${step}`);
    for (const { done } of conversations) await done();
    assert.equal((await next.recover("thread")).finished, 0);
    return reached;
  });
  assert.ok(steps > 25 && notBegun > 3 && notBegun < steps, `${steps} steps, ${notBegun} before`);
});

test(
  "a disk that gets full refuses the record, or leaves each file as it was or as it is",
  LONG,
  async () => {
    let [refused, part] = [0, 0];
    const steps = await everyStep(async (box, step) => {
      const before = box.all();
      const first = await box.open();
      const tree = await first.record(undefined);
      box.change();
      const changed = box.all();
      const record = await upTo(step, "full", async () => {
        const next = await box.open();
        await next.began("two", await next.record(undefined));
      });
      assert.equal(record.error instanceof CheckpointError, record.reached, `${step}`);
      assert.deepEqual(box.all(), changed, `${step}`);

      let takenBack = false;
      const { reached, result, error } = await upTo(step, "full", async () => {
        const what = { threadId: "thread", before: "turn", turns: ["turn"] };
        const takeBack = () => Promise.resolve(void (takenBack = true));
        return await (await box.open()).restore(tree, what, takeBack, undefined);
      });
      const now = box.all();
      if (error !== undefined) {
        assert.ok(error instanceof CheckpointError, `${step}: ${error}`);
        assert.equal(takenBack, false, `${step}`);
        assert.deepEqual(now, changed, `${step}`);
        refused++;
      } else {
        const told = new Map(
          result!.skipped.map(({ path, why }) => [path.replace(/\/$/, ""), why]),
        );
        for (const path of new Set([...Object.keys(before), ...Object.keys(now)])) {
          const above = path.split("/").map((_, n, names) => names.slice(0, n + 1).join("/"));
          if (now[path] !== before[path]) assert.ok(above.some((each) => told.has(each)), path);
        }
        for (const { path } of result!.files) {
          const plain = path.replace(/\/$/, "");
          assert.equal(now[plain], before[plain], `${step}: ${path}`);
        }
        if (told.size > 0) part++;
        assert.equal(told.size > 0, reached, `${step}`);
        assert.ok(
          Object.keys(now).every((path) => !path.endsWith("~")),
          `${step}: a draft is left`,
        );
      }
      // With room again it is done.
      const { skipped } = await (await box.open()).restore(
        tree,
        null,
        () => Promise.resolve(),
        undefined,
      );
      assert.deepEqual([box.all(), skipped], [before, []], `${step}`);
      return record.reached || reached;
    });
    assert.ok(
      steps > 8 && refused > 1 && part > 1,
      `${steps} steps: ${refused} refused, ${part} in part`,
    );
  },
);
