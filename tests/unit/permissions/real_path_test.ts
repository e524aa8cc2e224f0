import assert from "node:assert/strict";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { join, sep } from "node:path";
import process from "node:process";
import { realPathOf } from "../../../src/permissions/probe.ts";
import { test } from "../../_harness.ts";
import { tempDir } from "../../_temp.ts";

test("realPathOf() follows links as the system does, and says when it can't", async (t) => {
  await using dir = await tempDir("real-path-");
  // By hand: join() would take the ".." away.
  const at = (path: string) => `${dir.path}/${path}`.replaceAll("/", sep);
  await mkdir(at("a/b"), { recursive: true });
  await mkdir(at("deep/down/here"), { recursive: true });
  await writeFile(at("a/file"), "");
  const links = [["a", "link"], ["deep/down/here", "far"], ["nowhere", "dangling"]] as const;
  for (const [target, link] of links) await symlink(at(target), at(link));
  await symlink("round", at("round"));
  const rows: [path: string, real: string | null][] = [
    ["a/b", "a/b"],
    ["link/b", "a/b"],
    ["link/new/file", "a/new/file"],
    ["new/file", "new/file"],
    ["dangling", null],
    ["dangling/x", null],
    ["round", null],
    ["round/x", null],
    // Up from where a link leads, not from where it lies.
    ["far/..", "deep/down"],
    ["far/../x", "deep/down/x"],
    ["far/../../x", "deep/x"],
    ["a/../b", "b"],
    ["a/../link/new", "a/new"],
    ["dangling/../a", null],
    ["new/../a", "a"],
    ["a/file/x", "a/file/x"],
  ];
  for (const [path, real] of rows) {
    await t.step(path, () => {
      assert.equal(realPathOf(at(path)), real === null ? null : at(real), at(path));
    });
  }
  if (process.platform === "linux") {
    await symlink("/proc/self/cwd", at("own"));
    await symlink("own", at("own-by-another"));
    await symlink(`/proc/${process.pid}/cwd`, at("numbered"));
    const places = ["own", "own/x", "own-by-another/x", "numbered/x", "a/../own/x", "own/../x"];
    for (
      const path of [
        ...places.map(at),
        "/proc/self/root/etc",
        "/proc/thread-self/cwd/x",
        "/dev/fd/0/x",
      ]
    ) {
      assert.equal(realPathOf(path), null, path);
    }
    assert.equal(realPathOf("/proc/version"), "/proc/version");
  }
  // Nobody waits for a path without end that a model or a tenant made up.
  assert.equal(realPathOf(at("new/".repeat(200) + "x")), at("new/".repeat(200) + "x"));
  assert.equal(realPathOf(at("new/".repeat(200_000))), null);
  // "/" is one place on POSIX alone: on Windows it is the root of whichever drive is the current one.
  if (sep === "\\") return;
  assert.equal(realPathOf("/.."), "/");
  assert.equal(realPathOf("/../x-that-is-not-there"), "/x-that-is-not-there");
  assert.equal(realPathOf(join("/", "x-that-is-not-there")), "/x-that-is-not-there");
});
