import assert from "node:assert/strict";
import { isInside, isSamePath, parentPath, resolvePath } from "../../../src/permissions/paths.ts";
import { test } from "../../_harness.ts";

test("resolvePath() resolves like the system would", () => {
  assert.equal(resolvePath("/ws", "a/b"), "/ws/a/b");
  assert.equal(resolvePath("/ws", "../x"), "/x");
  assert.equal(resolvePath("/ws", "../../../x"), "/x");
  assert.equal(resolvePath("/ws", "/abs//x/./y/"), "/abs/x/y");
  assert.equal(resolvePath("/ws", ""), "/ws");
  assert.equal(resolvePath("/", "."), "/");
  assert.equal(resolvePath("C:\\ws", "a\\..\\b"), "C:\\ws\\b");
  assert.equal(resolvePath("C:/ws", "b/c"), "C:\\ws\\b\\c");
  assert.equal(resolvePath("\\\\srv\\share\\a", "..\\b"), "\\\\srv\\share\\b");
});

test("parentPath() ends at the root", () => {
  assert.equal(parentPath("/a/b"), "/a");
  assert.equal(parentPath("/a"), "/");
  assert.equal(parentPath("/"), null);
  assert.equal(parentPath("C:\\"), null);
});

test("isInside() knows a directory from its namesakes", () => {
  assert.equal(isInside("/a/b", "/a"), true);
  assert.equal(isInside("/a", "/a/"), true);
  assert.equal(isInside("/ab", "/a"), false);
  assert.equal(isInside("/a/../b", "/a"), false);
  assert.equal(isInside("/x", "/"), true);
  assert.equal(isInside("c:\\Users\\me", "C:\\users"), true);
  assert.equal(isInside("C:\\x", "C:\\"), true);
});

test("isSamePath() ignores spelling, and letter case on Windows only", () => {
  assert.equal(isSamePath("/a/./b/", "/a/b"), true);
  assert.equal(isSamePath("/A", "/a"), false);
  assert.equal(isSamePath("C:\\A", "c:/a"), true);
});
