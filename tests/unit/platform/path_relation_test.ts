import assert from "node:assert/strict";
import { isSamePath, type PathRelation, plainPath, relation } from "../../../src/platform/paths.ts";
import { baseName, parentPath, projectFolders, resolvePath } from "../../../src/platform/paths.ts";
import { test } from "../../_harness.ts";

type Row = [directory: string, path: string, PathRelation];

const POSIX: Row[] = [
  ["/a", "/a/b", "inside"],
  ["/a/", "/a", "inside"],
  ["/a", "/ab", "outside"],
  ["/srv/app", "/srv", "outside"],
  ["/a", "/a/../b", "outside"],
  ["/a", "/b/../a/c", "inside"],
  ["/srv/app", "/srv/./app//x", "inside"],
  ["/", "/anything", "inside"],
  ["/", "/..", "inside"],
  ["/a", "b", "unknown"],
  ["a", "/a/b", "unknown"],
  ["/a", "", "unknown"],
  ["/a", "/a/b\0c", "unknown"],
  ["/a", "./a/b", "unknown"],
  ["/a", "~/a", "unknown"],
];

const OTHER_NAMES: Row[] = [
  // Another case, or another way to write a letter: the same file on some systems.
  ["/srv/App", "/srv/app/x", "unknown"],
  ["/w/.git", "/w/.GIT/hooks", "unknown"],
  ["/w/.git", "/w/.g\u200cit/hooks", "unknown"],
  ["/w/caf\u00e9", "/w/cafe\u0301/x", "unknown"],
  ["/w/stra\u00dfe", "/w/STRASSE/x", "unknown"],
  ["/w/k", "/w/\u212a/x", "unknown"],
  ["/w/i", "/w/\u0131/x", "unknown"],
  ["/w/a", "/w/b/A", "outside"],
  // Two slashes, a backslash: something else on Windows.
  ["/srv/app", "//srv/app/x", "unknown"],
  ["/srv/app", "///srv/app/x", "unknown"],
  ["/w", "/w/a\\b", "inside"],
  ["/w/a", "/w/a\\b", "unknown"],
  ["/w/a", "/w/a/..\\..\\etc", "unknown"],
  ["/w/a\\b", "/w/a\\b/c", "inside"],
  // macOS: these three are links.
  ["/private/tmp", "/tmp/x", "unknown"],
  ["/tmp", "/private/tmp/x", "unknown"],
  ["/private", "/var/folders/x", "unknown"],
  ["/tmp", "/tmp/x", "inside"],
  ["/tmp", "/tmpx", "outside"],
  ["/tmp", "/private/tmpx", "outside"],
  ["/var", "/etc/x", "outside"],
];

const WINDOWS: Row[] = [
  ["C:\\work", "C:\\work\\a", "inside"],
  ["C:\\work", "c:/WORK/a", "inside"],
  ["C:\\work", "C:\\work2", "outside"],
  ["C:\\", "C:\\x", "inside"],
  ["C:\\", "D:\\x", "outside"],
  ["C:\\work", "C:\\work\\..\\secret", "outside"],
  ["C:\\", "C:\\..\\..\\x", "inside"],
  // The long form, where nothing is resolved.
  ["C:\\work", "\\\\?\\C:\\work\\a", "inside"],
  ["\\\\?\\C:\\srv\\app", "C:\\srv\\app\\x", "inside"],
  ["C:\\work", "\\\\.\\C:\\work\\a", "inside"],
  ["C:\\work", "\\\\?\\C:\\work\\..\\x", "unknown"],
  ["C:\\work", "\\\\?\\C:\\work.", "unknown"],
  ["C:\\work", "\\\\?\\C:/work/a", "unknown"],
  ["C:\\work", "\\\\?\\GLOBALROOT\\Device\\x", "unknown"],
  ["C:\\work", "\\\\.\\PhysicalDrive0", "unknown"],
  // Names that Windows changes.
  ["C:\\srv\\app", "C:\\srv\\app.\\x", "inside"],
  ["C:\\srv\\app", "C:\\srv\\app . .\\x", "inside"],
  ["C:\\srv\\app", "C:\\srv\\...\\x", "unknown"],
  ["C:\\w\\.git", "C:\\w\\.git::$INDEX_ALLOCATION\\x", "unknown"],
  ["C:\\w", "C:\\w\\file:stream", "unknown"],
  ["C:\\w\\.git", "C:\\w\\GIT~1\\hooks", "unknown"],
  ["C:\\w\\.git", "C:\\w\\GIT~~IBP\\hooks", "unknown"],
  ["C:\\w\\.env", "C:\\w\\ENV~1", "unknown"],
  ["C:\\Users\\RUNNER~1\\t", "C:\\Users\\RUNNER~1\\t\\x", "inside"],
  ["C:\\w\\.git", "C:\\w\\a~rather~long~name\\x", "outside"],
  ["C:\\w\\k", "C:\\w\\\u212a\\x", "unknown"],
  ["C:\\w\\\u00fc", "C:\\w\\\u00dc\\x", "inside"],
  // Shares have many names.
  ["\\\\host\\share", "\\\\HOST\\share\\a", "inside"],
  ["\\\\host\\share", "\\\\?\\UNC\\host\\share\\a", "inside"],
  ["\\\\host\\share", "\\\\host\\share2", "unknown"],
  ["\\\\host\\share", "\\\\127.0.0.1\\share\\a", "unknown"],
  ["C:\\work", "\\\\localhost\\C$\\work\\a", "unknown"],
  // What depends on where one is.
  ["C:\\work", "C:work", "unknown"],
  ["C:\\work", "\\work\\a", "unknown"],
  ["/c", "C:\\x", "unknown"],
  ["C:\\work", "/work/a", "unknown"],
  ["C:\\work", "//server/share/x", "unknown"],
];

test("relation() tells where a path lies, and what it can't tell", async (t) => {
  for (const [name, rows] of Object.entries({ POSIX, OTHER_NAMES, WINDOWS })) {
    await t.step(name, () => {
      for (const [directory, path, expected] of rows) {
        assert.equal(relation(path, directory), expected, `${path} in ${directory}`);
      }
    });
  }
});

test("relation() is inside for a path and itself, whatever it holds, when it can be read", () => {
  for (const [directory, path] of [...POSIX, ...OTHER_NAMES, ...WINDOWS]) {
    for (const one of [directory, path]) {
      assert.equal(relation(one, one), plainPath(one) === null ? "unknown" : "inside", one);
    }
  }
});

test("isSamePath() is for paths that are certainly the same", () => {
  assert.ok(isSamePath("/a/./b/", "/a/b"));
  assert.ok(isSamePath("C:\\A", "c:/a"));
  assert.ok(isSamePath("\\\\?\\C:\\w", "C:\\w"));
  assert.ok(!isSamePath("/A", "/a"));
  assert.ok(!isSamePath("/a", "/a/b"));
  assert.ok(!isSamePath("/a/b", "/a"));
});

test("resolvePath() resolves like the system would", () => {
  const rows: [base: string, path: string, expected: string][] = [
    ["/ws", "a/b", "/ws/a/b"],
    ["/ws", "../x", "/x"],
    ["/ws", "../../../x", "/x"],
    ["/ws", "/abs//x/./y/", "/abs/x/y"],
    ["/ws", "", "/ws"],
    ["/", ".", "/"],
    ["/ws", "//srv/x", "/srv/x"],
    ["C:\\ws", "a\\..\\b", "C:\\ws\\b"],
    ["C:/ws", "b/c", "C:\\ws\\b\\c"],
    ["C:\\ws", "\\x", "C:\\x"],
    ["C:\\ws", "/x", "C:\\x"],
    ["C:\\ws", "//srv/share/x", "\\\\srv\\share\\x"],
    ["C:\\ws", "D:\\x", "D:\\x"],
    ["\\\\srv\\share\\a", "..\\b", "\\\\srv\\share\\b"],
    ["\\\\srv\\share\\a", "\\b", "\\\\srv\\share\\b"],
  ];
  for (const [base, path, expected] of rows) {
    assert.equal(resolvePath(base, path), expected, `${path} in ${base}`);
  }
});

test("projectFolders() ends at the project's root, and without one with the cwd", () => {
  const folders = (...there: string[]) =>
    projectFolders("/a/b/c", (path) => there.includes(path)).join();
  assert.equal(folders("/a/b/.git", "/a/.git"), "/a/b/c,/a/b");
  assert.equal(folders("/a/b/c/.git"), "/a/b/c");
  assert.equal(folders("//.git"), "/a/b/c,/a/b,/a,/");
  assert.equal(folders(), "/a/b/c");
});

test("parentPath() ends at the root, baseName() is the last part", () => {
  assert.deepEqual(["/a/b", "/a", "/", "C:\\x", "C:\\"].map(parentPath), [
    "/a",
    "/",
    null,
    "C:\\",
    null,
  ]);
  assert.deepEqual(["/a/b/", "C:\\x\\y", "/"].map(baseName), ["b", "y", ""]);
});
