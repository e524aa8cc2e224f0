/** What Windows and macOS do differently, as far as it can be shown anywhere. */
import assert from "node:assert/strict";
import process from "node:process";
import { buildEnv, minimalEnvNames, prependPath } from "../../../src/launch/settings.ts";
import { PermissionDeniedError } from "../../../src/errors/mod.ts";
import { effectivePolicy } from "../../../src/permissions/policy/effective_policy.ts";
import { codexHomeIn } from "../../../src/platform/paths.ts";
import { mergeEnv, nameInEnv } from "../../../src/platform/runtime.ts";
import { parsePs, tellsEnd } from "../../../src/platform/process_tree.ts";
import { runSync } from "../../../src/platform/runtime.ts";
import { startFailure } from "../../../src/platform/child_process.ts";
import {
  findWindowsProgram,
  windowsCommand,
  windowsSystemProgram,
} from "../../../src/platform/windows.ts";
import { homeVariables } from "../../../src/testing/model/homes.ts";
import { shellStep } from "../../../src/testing/model/player.ts";
import { exec } from "../../../src/testing/model/script.ts";
import { test } from "../../_harness.ts";

test("findWindowsProgram() looks into PATH alone, for what Windows can start", () => {
  const files = ["C:\\work\\guard.exe", "C:\\b\\guard.cmd", "D:\\c\\guard.exe", "C:\\b\\x.bat"];
  const find = (name: string, path: string | undefined) =>
    findWindowsProgram(name, { path, isFile: (file) => files.includes(file) });
  assert.equal(find("guard", "C:\\a;C:\\b;D:\\c"), "C:\\b\\guard.cmd");
  assert.equal(find("guard.exe", "C:\\b;D:\\c"), "D:\\c\\guard.exe");
  assert.equal(find("x", '"C:\\b"'), "C:\\b\\x.bat");
  // The working directory is not PATH, however it is spelled.
  for (const path of [".", "", ";", "work", "\\work", "C:work", undefined]) {
    assert.equal(find("guard", path), null);
  }
});

test("windowsCommand() starts no bare name", () => {
  assert.equal(windowsCommand("C:\\x\\codex.exe", {}), "C:\\x\\codex.exe");
  assert.equal(windowsCommand(".\\hooks\\guard.cmd", {}), ".\\hooks\\guard.cmd");
  for (const name of ["cmd", "cmd.exe", "CMD.EXE", "taskkill"]) {
    assert.match(windowsCommand(name, {}), /^[A-Z]:\\.*\\System32\\(?:cmd|taskkill)\.exe$/i);
  }
  assert.throws(() => windowsCommand("guard", { Path: "C:\\a" }), /guard was not found in PATH/);
});

test("windowsSystemProgram() takes no relative SystemRoot", () => {
  const before = process.env["SystemRoot"];
  try {
    process.env["SystemRoot"] = "C:\\WINNT\\";
    assert.equal(windowsSystemProgram("cmd.exe"), "C:\\WINNT\\System32\\cmd.exe");
    process.env["SystemRoot"] = ".";
    assert.equal(windowsSystemProgram("cmd.exe"), "C:\\Windows\\System32\\cmd.exe");
  } finally {
    if (before === undefined) delete process.env["SystemRoot"];
    else process.env["SystemRoot"] = before;
  }
});

test("mergeEnv() lets one variable be set under any letter case on Windows, and two elsewhere", () => {
  const inherited = { HTTP_PROXY: "theirs", Path: "C:\\theirs", OTHER: "kept" };
  const set = { http_proxy: "mine", PATH: "C:\\mine" };
  assert.deepEqual(mergeEnv("win32", inherited, set), {
    OTHER: "kept",
    http_proxy: "mine",
    PATH: "C:\\mine",
  });
  assert.deepEqual(mergeEnv("linux", inherited, set), { ...inherited, ...set });
  assert.equal(nameInEnv("win32", { Path: "" }, "PATH"), "Path");
  assert.equal(nameInEnv("linux", { Path: "" }, "PATH"), undefined);
});

test("buildEnv() and prependPath() know one PATH on Windows", () => {
  const source = {
    platform: "win32",
    get: (name: string) => name === "PATH" ? "C:\\theirs" : undefined,
    mayRead: () => true,
  };
  const env = buildEnv({ inherit: ["PATH"], set: { Path: "C:\\mine" } }, source);
  assert.deepEqual(env.env, { Path: "C:\\mine" });
  assert.deepEqual(prependPath(env, ["C:\\h"], source).env, { Path: "C:\\h;C:\\mine" });
});

test("codex on Windows limits no reads: a script with scoped reads is refused, in both modes", () => {
  const probe = {
    enforcedBy: "deno" as const,
    read: (path?: string) => path !== undefined && path.startsWith("C:\\w"),
    write: () => false,
    net: () => false,
    run: () => true,
    env: () => false,
    sys: () => false,
    ffi: () => false,
  };
  const facts = {
    realPath: (path: string) => path,
    tmpdir: null,
    serverVersion: "0.169.0",
    windows: true,
  };
  const request = {
    cwd: "C:\\w",
    sandbox: { type: "readOnly" },
    approvalPolicy: "never",
  } as const;
  for (const mode of ["refuse", "narrow"] as const) {
    assert.throws(() => effectivePolicy(request, probe, facts, mode), (error) => {
      assert.ok(error instanceof PermissionDeniedError);
      assert.deepEqual(error.missing, ["--allow-read"]);
      assert.match(error.message, /Windows, where codex can't keep its commands from reading/);
      return true;
    });
  }
  const open = { ...probe, read: () => true };
  assert.equal(effectivePolicy(request, open, facts).readRoots, "all");
});

test("each of Windows' temporary directories must be granted", () => {
  const probe = {
    enforcedBy: "deno" as const,
    read: () => true,
    write: (path?: string) => path === "C:\\w" || path === "C:\\tmpdir",
    net: () => false,
    run: () => true,
    env: () => true,
    sys: () => false,
    ffi: () => false,
  };
  const request = {
    cwd: "C:\\w",
    sandbox: { type: "workspaceWrite" },
    approvalPolicy: "never",
  } as const;
  const facts = { realPath: (path: string) => path, serverVersion: "0.169.0", windows: true };
  const decide = (tmpdir: string | null, moreTmpdirs: string[]) =>
    effectivePolicy(request, probe, { ...facts, tmpdir, moreTmpdirs });
  const sandbox = (policy: { sandbox: unknown }) =>
    policy.sandbox as { excludeTmpdirEnvVar: boolean; excludeSlashTmp: boolean };
  assert.equal(sandbox(decide("C:\\tmpdir", [])).excludeTmpdirEnvVar, false);
  assert.equal(sandbox(decide("C:\\tmpdir", ["C:\\Temp"])).excludeTmpdirEnvVar, true);
  assert.equal(sandbox(decide(null, [])).excludeTmpdirEnvVar, true);
  // There is no /tmp to be told about.
  assert.deepEqual(decide("C:\\tmpdir", []).narrowed, []);
  assert.equal(sandbox(decide("C:\\tmpdir", [])).excludeSlashTmp, true);
});

test("parsePs() reads what macOS tells of processes, and the system's own ps can say it", () => {
  const text =
    "    1     0 Mon Nov  2 10:00:00 2026\n  42     1 Tue Nov  3 11:00:01 2026  \nnoise\n\n";
  assert.deepEqual(parsePs(text), [
    { pid: 1, parent: 0, session: null, startTime: "Mon Nov  2 10:00:00 2026" },
    { pid: 42, parent: 1, session: null, startTime: "Tue Nov  3 11:00:01 2026" },
  ]);
  const own = runSync("/bin/ps", ["-p", String(process.pid), "-o", "pid=,ppid=,lstart="]);
  // Not every machine has one.
  if (own !== null) assert.equal(parsePs(own)[0]?.pid, process.pid);
});

test("tellsEnd() knows a process that has ended and waits to be reaped, so that no script's end waits for it", () => {
  for (
    const [platform, text, ended] of [
      ["linux", "42 (codex) Z 1 42 42 0", true],
      ["linux", "42 (codex) X 1 42 42 0", true],
      ["linux", "42 (codex) S 1 42 42 0", false],
      // A name is no state.
      ["linux", "42 (a Z b) S 1 42 42 0", false],
      ["linux", null, false],
      ["darwin", "Z+  \n", true],
      ["darwin", "  Zs\n", true],
      ["darwin", "Ss+ \n", false],
      ["darwin", "R+  \n", false],
      // Nothing is certain of one that is not listed, or where `ps` may not be started.
      ["darwin", "", false],
      ["darwin", null, false],
    ] as const
  ) assert.equal(tellsEnd(platform, text), ended, `${platform}: ${text}`);
});

test("homeVariables() hides the user's own directories from a codex under test, by every name of the system", () => {
  const posix = { HOME: "/p/home", TMPDIR: "/p/tmp" };
  for (const platform of ["linux", "darwin"]) {
    assert.deepEqual(homeVariables(platform, { home: "/p/home", tmp: "/p/tmp" }), posix);
  }
  const [home, tmp] = ["C:\\p\\home", "C:\\p\\tmp"];
  const set = homeVariables("win32", { home, tmp });
  assert.equal(`${set["HOMEDRIVE"]}${set["HOMEPATH"]}`, home);
  assert.equal(set["HOMEDRIVE"], "C:");
  const unc = homeVariables("win32", { home: "\\\\server\\share\\p", tmp });
  assert.deepEqual([unc["HOMEDRIVE"], unc["HOMEPATH"]], ["", "\\\\server\\share\\p"]);
  // Of what a codex under test inherits, no place of the user's is left.
  const values: Record<string, string> = Object.fromEntries(
    minimalEnvNames("win32").map((name) => [name, `C:\\Users\\me\\${name}`]),
  );
  const source = { platform: "win32", get: (name: string) => values[name], mayRead: () => true };
  const { env } = buildEnv({ inherit: "minimal", set: { ...set, CODEX_HOME: home } }, source);
  const child = mergeEnv("win32", {}, env);
  const places =
    /^(?:HOME|USERPROFILE|HOMEDRIVE|HOMEPATH|APPDATA|LOCALAPPDATA|TEMP|TMP|CODEX_HOME)$/i;
  for (const [name, value] of Object.entries(child).filter(([name]) => places.test(name))) {
    assert.ok(!value!.includes("Users"), `${name}=${value}`);
  }
});

test("minimalEnvNames() passes what programs on Windows are found and started by", () => {
  const names = new Set(minimalEnvNames("win32"));
  for (
    const name of [
      ...["PROGRAMFILES", "PROGRAMFILES(X86)", "PROGRAMW6432", "PROGRAMDATA", "PSMODULEPATH"],
      ...["USERDOMAIN", "USERPROFILE", "SYSTEMROOT", "COMSPEC", "PATHEXT", "TEMP", "TMP"],
    ]
  ) assert.ok(names.has(name), name);
  // Names of Windows are the same in any case; the list has each once.
  assert.equal(new Set([...names].map((name) => name.toUpperCase())).size, names.size);
});

test("startFailure() tells what is missing", () => {
  const told = (
    command: string,
    cwd: string | undefined,
    missing: "directory" | "program" | null,
  ) => startFailure({ command, ...(cwd === undefined ? {} : { cwd }) }, missing, "text", null);
  const reasons = [
    told("/no/such", "/gone", "directory"),
    told("/no/such", undefined, "directory"),
    told("/no/such", undefined, "program"),
    told(process.execPath, undefined, "program"),
    told("/no/such", undefined, null),
  ].map((error) => error.data?.["reason"]);
  assert.deepEqual(reasons, ["cwd", "cwd", "notFound", "interpreter", "failed"]);
  // Systems say of a file what they say of nothing, or anything else.
  for (const missing of ["directory", "program", null] as const) {
    const { message, data } = told("/no/such", process.execPath, missing);
    assert.match(message, /^The working directory .* does not exist, or is a file\.$/);
    assert.equal(data?.["reason"], "cwd");
  }
});

test("a scripted command takes the shell tool that codex offers", () => {
  const step = exec("ls", { justification: "why" });
  assert.equal(shellStep(step, ["exec_command", "shell_command"]), step);
  assert.equal(shellStep(step, []), step);
  const other = shellStep(step, ["shell_command"]);
  assert.ok(other.type === "toolCall");
  assert.deepEqual([other.name, other.args], [
    "shell_command",
    { command: "ls", justification: "why" },
  ]);
  const older = shellStep(step, ["shell"]);
  assert.ok(older.type === "toolCall");
  assert.deepEqual([older.name, older.args], [
    "shell",
    { command: ["bash", "-lc", "ls"], justification: "why" },
  ]);
});

test("codexHomeIn() goes by the variables that codex goes by", () => {
  const rows: [platform: string, env: Record<string, string>, home: string | undefined][] = [
    ["linux", { HOME: "/home/me" }, "/home/me/.codex"],
    ["darwin", { HOME: "/Users/me/", USERPROFILE: "/x" }, "/Users/me/.codex"],
    ["linux", { HOME: "/home/me", CODEX_HOME: "/srv/codex" }, "/srv/codex"],
    ["linux", { HOME: "/home/me", CODEX_HOME: "" }, "/home/me/.codex"],
    ["linux", { USERPROFILE: "/home/me" }, undefined],
    ["linux", { HOME: "" }, undefined],
    ["win32", { USERPROFILE: "C:\\Users\\me" }, "C:\\Users\\me\\.codex"],
    // As Git's shell sets it: codex does not read it.
    ["win32", { HOME: "/c/Users/me" }, undefined],
    ["win32", { CODEX_HOME: "D:\\codex" }, "D:\\codex"],
  ];
  for (const [platform, env, home] of rows) {
    assert.equal(codexHomeIn(platform, (name) => env[name]), home, JSON.stringify([platform, env]));
  }
});
