import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdir, symlink } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { InvalidArgumentError } from "../../../src/errors/mod.ts";
import { FilteredPostHook, FilteredPreHook } from "../../../src/plugin/matcher.ts";
import { HookMatcher, type HookMatcherOptions } from "../../../src/plugin/matcher.ts";
import { hasToolHooks, mergeHooks } from "../../../src/plugin/validate.ts";
import type { HookContext, HookPhase, PreHook } from "../../../src/plugin/types.ts";
import { test } from "../../_harness.ts";
import { tempDir } from "../../_temp.ts";

function context(facts: Partial<HookContext> = {}): HookContext {
  return { phase: "preToolUse", correlationId: "hk-1", at: new Date(0), metadata: {}, ...facts };
}

const signal = new AbortController().signal;

test("HookMatcher matches only when every constraint holds", () => {
  const rows: [HookMatcherOptions, Partial<HookContext>, boolean][] = [
    [{}, {}, true],
    [{ phases: [] }, { phase: "postRun" }, true],
    [{ phases: ["preTurn"] }, { phase: "preTurn" }, true],
    [{ phases: ["preTurn"] }, { phase: "preRun" }, false],
    [{ toolName: "git" }, { toolName: "git" }, true],
    [{ toolName: "git" }, { toolName: "gitk" }, false],
    [{ toolName: "git" }, {
      toolName: "cd",
      toolKind: "command",
      script: "cd x && /usr/bin/git push",
    }, true],
    [{ toolName: "git" }, { toolName: "sudo", toolKind: "command", script: "sudo git gc" }, true],
    [{ toolName: "gi*" }, { toolName: "cd", toolKind: "command", script: "cd x; git push" }, true],
    [{ toolName: "git" }, { toolName: "$X", toolKind: "command", script: "$X push" }, true],
    ...[
      "{git,push}",
      "/usr/bin/gi? push",
      "`echo git` push",
      "env '-Sgit push'",
      "/usr/lib/git-core/git-push",
      "vim -c '!git push'",
      "GIT push",
    ].map((script): [HookMatcherOptions, Partial<HookContext>, boolean] => [
      { toolName: "git" },
      { toolName: "x", toolKind: "command", script },
      true,
    ]),
    [{ toolName: "git" }, { toolName: "cat", toolKind: "command", script: "cat git" }, false],
    [{ toolName: "git" }, { toolName: "cd", toolKind: "mcpTool", script: "cd x; git push" }, false],
    [{ toolName: "git" }, {}, false],
    [{ toolName: ["rm", "git"] }, { toolName: "git" }, true],
    [{ toolName: "github/*" }, { toolName: "github/create_issue" }, true],
    [{ toolName: "github/*" }, { toolName: "gitlab/create_issue" }, false],
    // A server's tool of which codex does not tell the name may be any.
    [{ toolName: "github/create_issue" }, { toolName: "github", toolKind: "mcpTool" }, true],
    [{ toolName: "git/push" }, { toolName: "github", toolKind: "mcpTool" }, false],
    [{ toolName: "github-x/push" }, { toolName: "github", toolKind: "mcpTool" }, false],
    [{ toolName: "github/create_issue" }, { toolName: "github/x", toolKind: "mcpTool" }, false],
    [{ toolName: "github/x/y" }, { toolName: "github/x", toolKind: "mcpTool" }, false],
    [{ cwdPrefix: "/srv/app" }, { cwd: "/srv/app" }, true],
    [{ cwdPrefix: "/srv/app" }, {}, false],
    [{ toolName: "git", cwdPrefix: "/srv" }, { toolName: "git", cwd: "/home" }, false],
    [{ toolName: "git", cwdPrefix: "/srv" }, { toolName: "git", cwd: "/srv/a" }, true],
  ];
  for (const [options, facts, expected] of rows) {
    assert.equal(
      new HookMatcher(options).matches(context(facts)),
      expected,
      JSON.stringify([options, facts]),
    );
  }
});

test("HookMatcher compares directories by whole segments, on POSIX and on Windows", () => {
  const rows: [prefix: string, cwd: string, boolean][] = [
    ["/srv/app", "/srv/app/src", true],
    ["/srv/app/", "/srv/app", true],
    ["/srv/app", "/srv/app2", false],
    ["/srv/app", "/srv", false],
    ["/srv/app", "/srv/app/../other", false],
    ["/srv/app", "/srv/./app//x", true],
    ["/", "/anything", true],
    // In doubt one too many: some systems take these for the same, and some paths can't be told.
    ["/srv/App", "/srv/app", true],
    ["/srv/app", "srv/app", true],
    ["C:\\srv\\app", "C:\\srv\\app.\\x", true],
    ["C:\\srv\\.git", "C:\\srv\\GIT~1", true],
    ["C:\\work", "C:\\work\\a", true],
    ["C:\\work", "c:/WORK/a", true],
    ["C:\\work", "C:\\work2", false],
    ["C:\\", "C:\\x", true],
    // A Windows that has no D: can't tell where it would lead, which is in doubt, too.
    ["C:\\", "D:\\x", process.platform === "win32" && !existsSync("D:\\")],
    ["C:\\work", "\\\\?\\C:\\work\\a", true],
    ["C:\\work", "C:\\work\\..\\secret", false],
    ["C:\\", "C:\\..\\..\\x", true],
    ["\\\\host\\share", "\\\\HOST\\share\\a", true],
    ["\\\\host\\share", "\\\\?\\UNC\\host\\share\\a", true],
    // Nobody can tell where directories of another machine lead that is not there.
    ["\\\\host\\share\\a", "\\\\host\\share\\b", process.platform === "win32"],
    ["\\\\host\\share", "\\\\host\\share2", true],
    ["/c", "C:\\x", true],
  ];
  for (const [cwdPrefix, cwd, expected] of rows) {
    const found = new HookMatcher({ cwdPrefix }).matches(context({ cwd }));
    assert.equal(found, expected, `${cwd} below ${cwdPrefix}`);
  }
});

test("HookMatcher follows the links of both directories, and counts what it can't follow", async () => {
  await using dir = await tempDir("cwd-");
  const at = (...names: string[]) => join(dir.path, ...names);
  await mkdir(at("real", "sub"), { recursive: true });
  await mkdir(at("other"));
  await symlink(at("real"), at("link"));
  await symlink(at("loop"), at("loop"));
  await symlink(at("real", "sub"), at("below"));
  const rows: [prefix: string, cwd: string, boolean][] = [
    [at("real"), at("link"), true],
    [at("real"), at("link", "sub"), true],
    [at("link"), at("real"), true],
    [at("link"), at("real", "sub"), true],
    [at("link", "sub"), at("real"), false],
    [at("real"), at("other"), false],
    [at("link"), at("other"), false],
    [at("real"), at("loop"), true],
    [at("loop"), at("real"), true],
    [at("link"), at("below"), true],
    [at("missing"), at("real"), false],
  ];
  for (const [cwdPrefix, cwd, expected] of rows) {
    const found = new HookMatcher({ cwdPrefix }).matches(context({ cwd }));
    assert.equal(found, expected, `${cwd} below ${cwdPrefix}`);
  }
});

test("HookMatcher takes a command that is not told for any, as rules do", () => {
  const facts = context({ toolName: "command", toolKind: "command" });
  for (const options of [{ toolName: "git" }, { commandPrefix: "git push" }]) {
    assert.equal(new HookMatcher(options).matches(facts), true, JSON.stringify(options));
  }
});

test("HookMatcher finds a command wherever a script may start it", () => {
  const rows: [prefix: string, facts: Partial<HookContext>, boolean][] = [
    ["git push", { argv: ["git", "push", "origin"] }, true],
    ["git push", { argv: ["git", "pull"] }, false],
    ["git", { argv: ["/usr/bin/git", "status"] }, true],
    ["git", { argv: ["C:\\Git\\git.exe", "status"] }, true],
    ["git", { argv: ["gitk"] }, false],
    ["git pu", { argv: ["git", "push"] }, false],
    ["rm", { script: "cd /x && rm -rf y" }, true],
    ["rm", { script: "echo rm" }, false],
    ["rm", { script: "LANG=C rm -rf y" }, true],
    ["rm", { script: "sudo -u me rm -rf y" }, true],
    ["rm", { script: "find . -name x -exec rm {} \\;" }, true],
    ["rm", { script: "ls | xargs -n1 rm" }, true],
    ["rm", { script: "echo $(rm -rf y)" }, true],
    ["rm", { script: "echo `rm -rf y`" }, true],
    ["rm", { script: "r''m -rf y" }, true],
    ["rm", { script: "r\\m -rf y" }, true],
    ["rm", { script: "$TOOL -rf y" }, true],
    ["rm", { script: "ls\nrm -rf y" }, true],
    ["rm", { command: "/bin/bash -lc 'rm -rf y'" }, true],
    ["rm", { command: "bash -c \"sh -c 'rm y'\"" }, true],
    ["rm", { command: "cat notes" }, false],
    ["git push", { script: "git -C x push" }, true],
    ["git push", { script: "git --exec-path=x push" }, true],
    ["git push", { script: "git pu?h" }, true],
    ["git push", { script: "{git,push}" }, true],
    ["git push", { script: "a=push; git $a" }, true],
    ["git push", { command: "/usr/bin/GIT push" }, true],
    ["git push", { command: "git commit -m push" }, false],
    ["git push", { command: "echo 'x" }, true],
    ["git push", { command: "curl x | sh" }, true],
    ["rm", {}, false],
    ["rm", { toolKind: "command" }, true],
    ["rm", { toolKind: "command", command: "" }, true],
    ["rm", { toolKind: "fileChange" }, false],
  ];
  for (const [commandPrefix, facts, expected] of rows) {
    const found = new HookMatcher({ commandPrefix }).matches(context(facts));
    assert.equal(found, expected, JSON.stringify([commandPrefix, facts]));
  }
});

test("HookMatcher refuses constraints that could only be mistakes", () => {
  const wrong: HookMatcherOptions[] = [
    { phases: ["preturn" as HookPhase] },
    { toolName: "" },
    { commandPrefix: "  " },
    { cwdPrefix: "" },
    { cwdPrefix: "srv/app" },
    { cwdPrefix: "//srv/app" },
    // nothing would match these
    { toolName: ["git", "*push"] },
    { commandPrefix: "rm* x" },
    { phases: ["preTurn"], toolName: "git" },
    { phases: ["preRun", "postTurn"], commandPrefix: "git push" },
  ];
  for (const options of wrong) assert.throws(() => new HookMatcher(options), InvalidArgumentError);
  const preTurn: PreHook = { name: "a", phases: ["preTurn"], call: () => ({ type: "continue" }) };
  assert.throws(() => new FilteredPreHook(preTurn, { toolName: "git" }), InvalidArgumentError);
  new FilteredPreHook(preTurn, { cwdPrefix: "/srv" });
  new HookMatcher({ phases: ["preTurn", "preToolUse"], toolName: "git*", commandPrefix: "git *" });
});

test("a filtered hook keeps the inner hook's name, limits and error rule, and is asked only on a match", async () => {
  let asked = 0;
  const inner: PreHook = {
    name: "guard",
    onError: "continue",
    timeoutMs: 77,
    call: () => {
      asked++;
      return { type: "block", reason: "no" };
    },
  };
  const hook = new FilteredPreHook(inner, { toolName: "git" });
  assert.deepEqual([hook.name, hook.onError, hook.timeoutMs], ["guard", "continue", 77]);
  assert.deepEqual(await hook.call(context({ toolName: "ls" }), { signal }), { type: "continue" });
  assert.equal(asked, 0);
  assert.equal((await hook.call(context({ toolName: "git" }), { signal })).type, "block");
  const seen: HookPhase[] = [];
  const post = new FilteredPostHook(
    { name: "log", call: ({ phase }) => seen.push(phase) },
    new HookMatcher({ phases: ["postTurn"] }),
  );
  post.call(context({ phase: "postRun" }), { signal });
  post.call(context({ phase: "postTurn" }), { signal });
  assert.deepEqual(seen, ["postTurn"]);
});

test("a filtered hook that never matches tool use does not count as a tool hook", () => {
  const inner: PreHook = { name: "a", call: () => ({ type: "continue" }) };
  assert.equal(hasToolHooks({ pre: [inner] }), true);
  assert.equal(hasToolHooks({ pre: [new FilteredPreHook(inner, { phases: ["preTurn"] })] }), false);
  assert.equal(hasToolHooks({ pre: [new FilteredPreHook(inner, { toolName: "git" })] }), true);
  assert.equal(hasToolHooks({ post: [{ name: "p", call: () => {} }] }), false);
  assert.equal(hasToolHooks({}), false);
});

test("mergeHooks() keeps client, session and call order", () => {
  const pre = (name: string): PreHook => ({ name, call: () => ({ type: "continue" }) });
  const merged = mergeHooks(
    { pre: [pre("c1"), pre("c2")] },
    undefined,
    { pre: [pre("s")], post: [{ name: "s", call: () => {} }] },
    { pre: [pre("a")] },
  );
  assert.deepEqual(merged.pre.map((hook) => hook.name), ["c1", "c2", "s", "a"]);
  assert.deepEqual(merged.post.map((hook) => hook.name), ["s"]);
  assert.deepEqual(mergeHooks(), { pre: [], post: [] });
});

test("mergeHooks() rejects hooks that would be lost or never run", () => {
  const call = (): { type: "continue" } => ({ type: "continue" });
  const rows: [unknown, RegExp][] = [
    [{ pre: [{ name: "a", call }, { name: "a", call }] }, /Two pre-hooks are named "a"/],
    [{ post: [{ name: "a", call }, { name: "a", call }] }, /Two post-hooks are named "a"/],
    [{ pre: [{ name: "", call }] }, /needs a name/],
    [{ pre: [{ call }] }, /needs a name/],
    [{ pre: [{ name: "a" }] }, /no call function/],
    [{ pre: [{ name: "a", call, phases: ["preTrun"] }] }, /unknown phase "preTrun"/],
    [{ pre: [{ name: "a", call, phases: ["postTurn"] }] }, /no pre phase/],
    [{ pre: [{ name: "a", call, phases: [] }] }, /no pre phase/],
    [{ post: [{ name: "a", call, phases: ["preTurn"] }] }, /no post phase/],
    [{ pre: [{ name: "a", call, timeoutMs: 0 }] }, /timeoutMs/],
    [{ pre: [{ name: "a", call, timeoutMs: NaN }] }, /timeoutMs/],
    [{ pre: [{ name: "a", call, timeoutMs: -1 }] }, /timeoutMs/],
    [{ pre: [{ name: "a", call, onError: "allow" }] }, /onError/],
  ];
  for (const [hooks, message] of rows) {
    assert.throws(
      () => mergeHooks(hooks as never),
      (error: unknown) => error instanceof InvalidArgumentError && message.test(error.message),
      String(message),
    );
  }
});
