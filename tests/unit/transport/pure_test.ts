import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, rmSync, symlinkSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { type JsonValue, splitMessages } from "../../../src/json.ts";
import { drain } from "../../../src/platform/child_process.ts";
import { pathRules } from "../../../src/platform/paths.ts";
import { canRead, canReadEnv, fileUrlToPath, readerBelow } from "../../../src/platform/runtime.ts";
import { below, membersOf, parseStat } from "../../../src/platform/process_tree.ts";
import { StderrTail } from "../../../src/transport/stdio.ts";
import { windowsShellArgs } from "../../../src/platform/windows.ts";
import { explainRefusal } from "../../../src/transport/frames.ts";
import { configFlags, toToml } from "../../../src/launch/settings.ts";
import { loaderVariables } from "../../../src/platform/deno_process.ts";
import {
  judgeRecord,
  type PidRecord,
  reapLeftovers,
  rememberProcess,
} from "../../../src/launch/pid_file.ts";
import { SpawnError } from "../../../src/errors/mod.ts";
import { connectMethod, mayBeProxied } from "../../../src/transport/websocket.ts";
import { test } from "../../_harness.ts";
import { tempDir } from "../../_temp.ts";

test("toToml() writes each JSON value as TOML", () => {
  const table: [JsonValue, string][] = [
    ["plain", '"plain"'],
    ['a "b" \\ \n \u0001 \x7f é', '"a \\"b\\" \\\\ \\n \\u0001 \\u007f é"'],
    ["\ud800", '"\ufffd"'],
    [1, "1"],
    [-0.5, "-0.5"],
    [true, "true"],
    [["a", 1, null, [false]], '["a", 1, [false]]'],
    [{ a: 1, "b c": { "d.e": "x" }, n: null }, '{ a = 1, "b c" = { "d.e" = "x" } }'],
    [{}, "{}"],
  ];
  for (const [value, toml] of table) assert.equal(toToml(value), toml);
});

test("configFlags() writes one -c flag a setting and leaves out null", () => {
  assert.deepEqual(configFlags({ model: "m", "model_providers.x.retries": 0, none: null }), [
    "-c",
    'model="m"',
    "-c",
    "model_providers.x.retries=0",
  ]);
  assert.deepEqual(configFlags(), []);
});

test("splitMessages() takes joined messages apart", () => {
  assert.deepEqual(splitMessages("a\nb\n"), ["a", "b"]);
  assert.deepEqual(splitMessages("a"), ["a"]);
  assert.deepEqual(splitMessages("\n\n"), []);
  assert.deepEqual(splitMessages(""), []);
});

test("pathRules() follows the rules of each system", () => {
  const posix = pathRules("linux");
  const windows = pathRules("win32");
  assert.equal(posix.join("/", "a", "b"), "/a/b");
  assert.equal(windows.join("C:\\", "a", "b"), "C:\\a\\b");
  const directories: [typeof posix, string, string][] = [
    [posix, "/a/b", "/a"],
    [posix, "/a/b/", "/a"],
    [posix, "/a", "/"],
    [posix, "/", "/"],
    [posix, "a", "."],
    [windows, "C:\\a\\b", "C:\\a"],
    [windows, "C:/a/b", "C:\\a"],
    [windows, "C:\\a", "C:\\"],
    [windows, "C:\\", "C:\\"],
    [windows, "\\\\host\\share\\a", "\\\\host\\share\\"],
    [windows, "\\\\host\\share\\", "\\\\host\\share\\"],
  ];
  for (const [rules, path, directory] of directories) assert.equal(rules.dirname(path), directory);
  assert.equal(posix.basename("/a/b\\c"), "b\\c");
  assert.equal(windows.basename("C:\\a/b"), "b");
  assert.deepEqual(["codex", "./codex", "/x"].map(posix.isPath), [false, true, true]);
  assert.deepEqual(["codex", ".\\codex", "C:codex"].map(windows.isPath), [false, true, true]);
  assert.deepEqual(["/x", "x"].map(posix.isAbsolute), [true, false]);
  assert.deepEqual(["C:\\x", "\\\\h\\s", "x"].map(windows.isAbsolute), [true, true, false]);
});

test("fileUrlToPath() gives the path of file: URLs only", () => {
  assert.equal(fileUrlToPath("file:///a%20b/c.ts", "linux"), "/a b/c.ts");
  assert.equal(fileUrlToPath("file:///C:/a/c.ts", "win32"), "C:\\a\\c.ts");
  assert.equal(fileUrlToPath("https://x/a.ts", "linux"), null);
});

test("windowsShellArgs() quotes for the program and twice for cmd.exe", () => {
  assert.deepEqual(windowsShellArgs("C:\\my tools\\codex.cmd", ["app-server", 'a="b&c"']), [
    "/d",
    "/s",
    "/c",
    '"C:\\my^ tools\\codex.cmd ^^^"app-server^^^" ^^^"a=\\^^^"b^^^&c\\^^^"^^^""',
  ]);
});

test("StderrTail keeps the last 16 KiB across split code points", () => {
  const tail = new StderrTail();
  const bytes = new TextEncoder().encode("é😀");
  for (const byte of bytes) tail.push(new Uint8Array([byte]));
  assert.equal(tail.toString(), "é😀");
  tail.push(new TextEncoder().encode("x".repeat(20_000)));
  assert.equal(tail.toString(), "x".repeat(16_384));
  tail.push(new TextEncoder().encode("\n" + "😀".repeat(8191) + "y"));
  tail.push(new TextEncoder().encode("z"));
  assert.equal(tail.toString().length, 16_384);
  tail.push(new TextEncoder().encode("!"));
  assert.ok(tail.toString().isWellFormed());
});

test("parseStat() reads names with spaces and parentheses", () => {
  const fields = "S 7 9 9 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 12345 100";
  assert.deepEqual(parseStat(`42 (a ) (b) c) ${fields}`), {
    pid: 42,
    parent: 7,
    session: 9,
    startTime: "12345",
  });
  for (const ended of ["Z", "X"]) {
    assert.equal(parseStat(`42 (a) ${ended}${fields.slice(1)}`), null);
  }
  assert.equal(parseStat(""), null);
  assert.equal(parseStat("42 (x) S"), null);
});

test("below() finds all descendants, whatever their order, and no others", () => {
  const all = [[5, 4], [4, 2], [2, 1], [3, 1], [9, 8]].map(([pid, parent]) => ({
    pid: pid!,
    parent: parent!,
    session: null,
    startTime: "0",
  }));
  assert.deepEqual(below(2, all).map((entry) => entry.pid).sort(), [4, 5]);
  assert.deepEqual(below(5, all), []);
});

test("membersOf() finds what a process led, alive or not, and nothing of one that has got its number since", () => {
  const entry = (pid: number, session: number | null, startTime: string) => ({
    pid,
    parent: 1,
    session,
    startTime,
  });
  const leader = entry(20, 20, "900");
  const members = [entry(21, 20, "900"), entry(22, 20, "1000")];
  const others = [entry(7, 7, "1"), entry(23, 23, "1000"), entry(24, null, "1000")];
  const pids = (all: Parameters<typeof membersOf>[1]) => membersOf(leader, all).map((e) => e.pid);
  assert.deepEqual(pids([...others, ...members]), [21, 22]);
  assert.deepEqual(pids([leader, ...others, ...members]), [21, 22]);
  // "1000" is later than "900", and "80" is not.
  assert.deepEqual(pids([...members, entry(25, 20, "80")]), [21, 22]);
  assert.deepEqual(pids([entry(20, 20, "950"), ...members]), []);
  assert.deepEqual(pids([entry(20, 3, "950"), ...members]), []);
});

test("judgeRecord() reaps only what is certainly ours and has no owner", () => {
  const record: PidRecord = { pid: 10, identity: "b/1", ownerPid: 20, ownerIdentity: "b/2" };
  const world = (entries: Record<number, string>) => (pid: number) => entries[pid] ?? null;
  const table: [Partial<PidRecord>, Record<number, string>, string][] = [
    [{}, { 10: "b/1" }, "reap"],
    [{}, { 10: "b/1", 20: "b/9" }, "reap"],
    [{}, { 10: "b/1", 20: "b/2" }, "keep"],
    [{ ownerIdentity: null }, { 10: "b/1" }, "keep"],
    [{}, { 10: "b/7" }, "forget"],
    [{}, { 10: "c/1" }, "forget"],
    [{}, {}, "forget"],
    [{ identity: null }, { 10: "b/1" }, "forget"],
  ];
  for (const [change, entries, verdict] of table) {
    assert.equal(judgeRecord({ ...record, ...change }, world(entries)), verdict);
  }
});

if (process.platform !== "win32") {
  test("a pid file that is a link or a pipe is refused, where it begins and where it is written", async () => {
    await using dir = await tempDir();
    const [path, outside] = [join(dir.path, "codex.pid"), join(dir.path, "bashrc")];
    await writeFile(outside, "mine");
    const refuses = (work: () => unknown) =>
      assert.throws(
        work,
        (error) => error instanceof SpawnError && /link or no file/.test(error.message),
      );
    for (
      const replace of [() => symlinkSync(outside, path), () => execFileSync("mkfifo", [path])]
    ) {
      replace();
      refuses(() => reapLeftovers(path));
      refuses(() => rememberProcess(path, process.pid));
      rmSync(path);
      const forget = rememberProcess(path, process.pid);
      rmSync(path);
      replace();
      forget();
      rmSync(path, { force: true });
    }
    assert.equal(readFileSync(outside, "utf8"), "mine");
  });
}

test("connectMethod() passes headers only where the runtime can send them", () => {
  const table = [
    ["deno", true, "frames"],
    ["bun", true, "frames"],
    ["node", true, "frames"],
    ["workerd", true, "fetch"],
    ["workerd", false, "fetch"],
    ["browser", false, "constructor"],
    ["browser", true, "impossible"],
  ] as const;
  for (const [runtime, headers, how] of table) {
    assert.equal(connectMethod(runtime, headers), how);
  }
});

test("mayBeProxied() says where a runtime's own WebSocket would not go straight to its server", () => {
  const proxy = { HTTPS_PROXY: "http://p:1" };
  const table: [string, "deno" | "bun" | "node", Record<string, string> | null, boolean][] = [
    ["wss://app.example", "deno", proxy, true],
    ["ws://app.example", "deno", proxy, false],
    ["ws://app.example", "deno", { all_proxy: "http://p:1" }, true],
    ["wss://app.example", "deno", {}, false],
    ["wss://app.example", "deno", null, true],
    ["ws://127.0.0.1:4500", "deno", null, false],
    ["ws://localhost:4500", "deno", { http_proxy: "http://p:1" }, false],
    ["ws://[::1]:4500", "deno", null, false],
    ["wss://app.example", "bun", proxy, false],
    ["wss://app.example", "node", proxy, false],
    ["wss://app.example", "node", { ...proxy, NODE_USE_ENV_PROXY: "1" }, true],
  ];
  for (const [url, runtime, env, proxied] of table) {
    const read = env === null ? null : (name: string) => env[name];
    assert.equal(mayBeProxied(new URL(url), runtime, read), proxied, `${url} ${runtime}`);
  }
});

test("explainRefusal() says what to do", () => {
  assert.match(
    explainRefusal({ status: 401, text: "missing token\n" }),
    /401 \(missing token\).*`token`/,
  );
  assert.match(explainRefusal({ status: 403, text: "" }), /Origin/);
  assert.match(explainRefusal({ status: 404, text: "" }), /Is this the url/);
  assert.equal(explainRefusal({ status: 503, text: "busy" }), "HTTP 503 (busy).");
});

test("loaderVariables() reads which variables Deno refused to pass on", () => {
  const refused = (message: string, name = "NotCapable") =>
    loaderVariables(Object.assign(new Error(message), { name }));
  assert.deepEqual(
    refused(
      "Requires --allow-run permissions to spawn subprocess with DYLD_FOO, LD_LIBRARY_PATH environment " +
        "variables. Alternatively, spawn with these environment variables unset.",
    ),
    ["DYLD_FOO", "LD_LIBRARY_PATH"],
  );
  assert.deepEqual(
    refused(
      "Requires --allow-run permissions to spawn subprocess with LD_PRELOAD environment variable.",
    ),
    ["LD_PRELOAD"],
  );
  assert.deepEqual(refused('Requires run access to "ls", run again with the --allow-run flag'), []);
  assert.deepEqual(refused("with LD_PRELOAD environment variable", "Error"), []);
});

test("drain() waits while chunks come, and no longer than the limit", async () => {
  const run = async (chunks: number, options: { ends?: boolean; limitMs?: number } = {}) => {
    let asked = 0;
    const pipe = {
      get count() {
        return Math.min(asked++, chunks);
      },
      get done() {
        return options.ends === true && asked > chunks;
      },
      ended: new Promise<void>(() => {}),
    };
    const started = performance.now();
    await drain([pipe], options.limitMs ?? 5000);
    return { asked, ms: performance.now() - started };
  };
  // The first look, one for each chunk, and three that find nothing new.
  assert.equal((await run(0)).asked, 4);
  assert.equal((await run(5)).asked, 9);
  assert.equal((await run(5, { ends: true })).asked, 6);
  assert.ok((await run(Infinity, { limitMs: 40 })).ms < 2000);
});

test("readerBelow() reads below its directory, and tells nothing of what is not there", async () => {
  await using dir = await tempDir("reader-");
  const [there, missing] = [join(dir.path, "there"), join(dir.path, "missing")];
  await writeFile(there, "text");
  const read = readerBelow(dir.path);
  assert.deepEqual([read(there), read(missing), read(dir.path)], ["text", null, null]);
});

const GRANTED = fileURLToPath(import.meta.url);

test("readerBelow() reads no more than what is granted of its directory", {
  permissions: { read: [GRANTED] },
}, () => {
  const read = readerBelow(join(GRANTED, ".."));
  assert.equal(read(join(GRANTED, "..", "memory_test.ts")), null);
  assert.match(read(GRANTED) ?? "", /^import assert/);
});

/** What Deno is asked for by `act`: it keeps each answer for as long as it runs. */
function asked(act: () => void): string[] {
  const { querySync } = Deno.permissions;
  const all: string[] = [];
  Deno.permissions.querySync = (descriptor) => {
    all.push(Object.values(descriptor).join(" "));
    return querySync.call(Deno.permissions, descriptor);
  };
  try {
    act();
  } finally {
    Deno.permissions.querySync = querySync;
  }
  return [...new Set(all)];
}

test("canRead() and canReadEnv() ask once for all where all is granted", {
  permissions: { read: true, env: true },
}, () => {
  const questions = asked(() => {
    for (const name of ["a", "b", "c"]) assert.ok(canRead(`/${name}`) && canReadEnv(name));
    assert.equal(canRead(""), false);
  });
  assert.deepEqual(questions, ["read", "env"]);
});

test("canRead() and canReadEnv() ask for one where only some are granted", {
  permissions: { read: [GRANTED], env: ["HOME"] },
}, () => {
  assert.deepEqual([canRead(GRANTED), canRead("/elsewhere")], [true, false]);
  assert.deepEqual([canReadEnv("HOME"), canReadEnv("PATH")], [true, false]);
});
