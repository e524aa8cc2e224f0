/** What is found out about the rules in codex's home, when only codex can look there; and of those in a repository. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { ConnectionClosedError, RpcError } from "../../../src/errors/mod.ts";
import type { JsonObject, JsonValue } from "../../../src/json.ts";
import type { RuntimeCore } from "../../../src/runtime/core.ts";
import { inForce, rulesIn } from "../../../src/runtime/diagnose/asked_files.ts";
import { readRulesFiles } from "../../../src/runtime/diagnose/evidence.ts";
import { filesOf } from "../../../src/session/policy/policy_facts.ts";
import { test } from "../../_harness.ts";
import { tempDir } from "../../_temp.ts";

/** A codex on another machine, with these files in its home. */
function far(files: Record<string, string>, more: { home?: string; layers?: JsonValue } = {}) {
  const asked: unknown[] = [];
  const answers: Record<string, (params: JsonObject) => JsonValue> = {
    "config/read": () => ({ layers: more.layers ?? null }),
    "fs/readDirectory": ({ path }) => {
      const inside = Object.keys(files).filter((file) => file.startsWith(`${path}/`));
      if (inside.length === 0) throw new Error("No such file or directory (os error 2)");
      return { entries: inside.map((file) => ({ fileName: file.split("/").at(-1)! })) };
    },
    "fs/readFile": ({ path }) => ({ dataBase64: btoa(files[path as string]!) }),
  };
  return {
    asked,
    config: { transport: { type: "websocket", url: "wss://far.example" } },
    server: { codexHome: more.home ?? null },
    callNow: (method: string, params: JsonObject) => {
      if (method === "fs/readDirectory") asked.push(params["path"]);
      return Promise.resolve().then(() => answers[method]!(params));
    },
  } as unknown as RuntimeCore & { asked: unknown[] };
}

if (process.platform !== "win32") {
  test("rules of a repository that have no end are not read", async () => {
    await using folder = await tempDir("rules-");
    const at = (name: string) => join(folder.path, `${name}.rules`);
    execFileSync("mkfifo", [at("pipe")]);
    for (const device of ["zero", "full"]) symlinkSync(`/dev/${device}`, at(device));
    // A regular file of no size, of which 256 GiB can be read.
    const system = process.platform === "linux" ? ["pagemap"] : [];
    for (const name of system) symlinkSync(`/proc/self/${name}`, at(name));
    writeFileSync(at("large"), "");
    truncateSync(at("large"), 2 ** 25);
    writeFileSync(at("rules"), 'prefix_rule(pattern = ["rm"])');
    const found = await rulesIn(() => assert.fail("nothing is asked"), folder.path, true);
    const allows = Object.fromEntries(found.map((each) => [each.path, each.allows]));
    const unread = ["a file that could not be read"];
    assert.deepEqual(allows, {
      [at("rules")]: ['["rm"]'],
      ...Object.fromEntries(
        ["pipe", "zero", "full", "large", ...system].map((name) => [at(name), unread]),
      ),
    });
  });
}

test("of rules that are too large together those that are beyond count as not read", async () => {
  await using folder = await tempDir("rules-");
  const line = 'prefix_rule(pattern = ["rm"], decision = "forbidden")\n';
  const text = line.repeat(Math.ceil(2 ** 20 / line.length));
  const names = ["a", "b", "c"].map((name) => join(folder.path, `${name}.rules`));
  for (const name of names) writeFileSync(name, text);
  const found = await rulesIn(() => assert.fail("nothing is asked"), folder.path, true);
  assert.deepEqual(found.map(({ allows }) => allows), [
    ["a file that could not be read"],
    ["a file that could not be read"],
  ]);
});

test("a rule ends where the next one begins: it is not taken for one that forbids", async () => {
  const rules = `prefix_rule(pattern = ["rm"])
prefix_rule(pattern = ["ls"], decision = "forbidden")
prefix_rule(pattern = ["cp"], decision = "allow")`;
  const files = { "/far/rules/a.rules": rules, "/far/rules/notes.txt": "prefix_rule()" };
  assert.deepEqual(await readRulesFiles(far(files, { home: "/far" }), null), [
    { path: "/far/rules/a.rules", allows: [`["rm"]`, `["cp"]`] },
  ]);
});

test("what is not plainly a rule that asks or forbids may allow, however it is written", async () => {
  const allowsOf = async (rules: string) =>
    (await readRulesFiles(far({ "/far/rules/a.rules": rules }, { home: "/far" }), null))
      .flatMap(({ allows }) => allows);
  const touch = `prefix_rule(pattern = ["touch"]`;
  const asks = `prefix_rule(pattern = ["ls"], decision = "prompt")`;
  const unread = "a rule that could not be read";
  for (
    const [rules, allows] of [
      [`${touch}) # decision = "forbidden"`, [`["touch"]`]],
      [`${touch}, # decision = "forbidden",\n)`, [`["touch"]`]],
      [`${touch}, justification = "x, decision='prompt',")`, [`["touch"]`]],
      [`${touch}, justification = """\\"""" + str(f('decision = "prompt"')) + ",")`, [unread]],
      [`${touch}, decision = "forbidden" if False else "allow")`, [`["touch"]`]],
      [`${touch}, decision = "forbidden"and"allow")`, [`["touch"]`]],
      [`${touch}, no_decision = "forbidden")`, [`["touch"]`]],
      [`prefix_rule(pattern = ["${"a".repeat(400)}"])`, [unread]],
      [`${touch}, match = [m for m in [lambda a, decision = "prompt", b = 1: a] if 0])`, [
        `["touch"]`,
      ]],
      [`${asks}\np = prefix_rule\np(pattern = ["touch"])`, [unread]],
      [`${asks}\n[f(pattern = ["touch"]) for f in [prefix_rule]]`, [unread]],
      [`${asks} # \rprefix_rule(pattern = ["touch"])`, [unread]],
      [
        `# ask\n${asks}\r\n\nnetwork_rule(host = "a", decision = 'deny', justification = "(no)") #`,
        [],
      ],
      [
        `prefix_rule(\n  pattern = ["a", ["b", "c"]], # decision = "allow"\n  decision = "forbidden",\n)`,
        [],
      ],
      [`# prefix_rule(pattern = ["rm"])`, []],
      [`${asks}\nhost_executable(name = "ls", paths = ["/bin/ls"])`, []],
      [`${asks}\nhost_executable(name = "ls", paths = [f(x) for f in y])`, [unread]],
      [`host_executable(name = x, paths = [])`, [unread]],
      [`prefix_rule(pattern = ["curl", "-H", "Authorization: Bearer hunter2-hunter2-hunter2"])`, [
        `["curl", "-H", "Authorization: [redacted]"]`,
      ]],
    ] as const
  ) assert.deepEqual(await allowsOf(rules), allows, rules);
  for (const flood of [`\\"`, `"""\n`, `'\n`, "rule(", "a", "a ", "rule ", "host=["]) {
    const begun = performance.now();
    await allowsOf(`${flood.repeat(100_000)}\\`);
    await allowsOf(`rule(${flood.repeat(100_000)})`);
    // In minutes, if each character were read again from each of the others.
    assert.ok(performance.now() - begun < 20_000, flood);
  }
});

test("the home of an old codex is that of its user's configuration, and of no other layer", async () => {
  const layer = (type: string, file: string) => ({ name: { type, file } });
  const files = {
    "/far/rules/a.rules": `prefix_rule(pattern = ["rm"])`,
    "/etc/codex/rules/b.rules": `prefix_rule(pattern = ["cp"])`,
  };
  const layers = [layer("system", "/etc/codex/config.toml"), layer("user", "/far/config.toml")];
  assert.deepEqual(await readRulesFiles(far(files, { layers }), null), [
    { path: "/far/rules/a.rules", allows: [`["rm"]`] },
  ]);
});

test("a home that nobody knows is told, with no patterns", async () => {
  assert.deepEqual(await readRulesFiles(far({}), null), [
    { path: "the rules in codex's home, which is not known", allows: [] },
  ]);
});

test("rules are looked for in the home, and in each folder above the directory", async () => {
  const asked = async (cwd: string | null) => {
    const core = far({}, { home: "/far" });
    await readRulesFiles(core, cwd);
    return core.asked.sort();
  };
  assert.deepEqual(await asked(null), ["/far/rules"]);
  assert.deepEqual(await asked("/a/b"), [
    ...["/.codex/rules", "/a/.codex/rules", "/a/b/.codex/rules", "/far/rules"],
  ]);
});

test("rules count where codex reads them, however it spells the folder", async () => {
  const [read, off, none] = [[false], [true], []];
  // the folder of the file, what codex names and whether that is off, another machine, whether it counts
  const rows: [string, string, boolean[], boolean, boolean][] = [
    ["/r", "/r/.codex", read, false, true],
    ["/r", "/r/.codex", off, false, false],
    ["/r", "/r/sub/.codex", read, false, false],
    ["/r", "/r/sub/.codex", read, true, true],
    ["/r", "/R/.codex", off, false, true],
    ["/r", "", none, false, false],
    ["C:\\r", "C:\\r\\.codex", read, false, true],
    ["C:\\r", "C:\\r\\.codex", off, false, false],
    ["C:\\r", "c:\\R\\.codex", off, true, false],
    ["C:\\r", "\\\\?\\C:\\r\\.codex", off, false, false],
    // The home of a user whose codex has another.
    ["C:\\Users\\me", "C:\\Users\\me\\r\\.codex", read, false, false],
    ["C:\\Users\\me", "C:\\USERS~1\\me\\.codex", off, false, true],
    ["D:\\r", "\\\\host\\d\\r\\.codex", off, false, true],
  ];
  for (const [folder, dotCodexFolder, told, remote, counts] of rows) {
    const layers = told.map((isOff) => ({
      name: { type: "project", dotCodexFolder },
      disabledReason: isOff ? "not trusted" : null,
    }));
    const call = () => Promise.resolve({ layers: [{ name: { type: "user" } }, ...layers] });
    const file = { path: `${folder}/.codex/rules/a.rules`, allows: [] };
    const found = await inForce({ call, cwd: folder }, remote, [file]);
    assert.deepEqual(found, counts ? [file] : [], JSON.stringify([folder, dotCodexFolder, told]));
  }
});

test("a lost connection tells nothing of rules: it is told as what it is", async () => {
  const files = {
    "/far/rules/a.rules": `prefix_rule(pattern = ["rm"])`,
    "/a/.codex/rules/b.rules": "x",
  };
  const lost = new ConnectionClosedError("lost", { retryable: true });
  for (
    const [method, home] of [
      ["config/read", undefined],
      ["config/read", "/far"],
      ["fs/readDirectory", "/far"],
      ["fs/readFile", "/far"],
      ["command/exec", "/far"],
    ] as const
  ) {
    const core = far(files, home === undefined ? {} : { home });
    const { callNow } = core;
    core.callNow = (asked, params) => {
      if (asked === method) return Promise.reject(lost);
      return method === "command/exec"
        ? Promise.reject(new Error("unknown variant"))
        : callNow(asked, params);
    };
    await assert.rejects(readRulesFiles(core, "/a"), (error) => error === lost, method);
  }
});

test("a codex that lists nothing for a client runs a program that does", async () => {
  const listing = (answer: JsonValue, refusal = "unknown variant") => {
    const core = far({}, { home: "/far" });
    core.callNow = (method, params) => {
      if (method !== "command/exec") return Promise.reject(new RpcError(method, -32600, refusal));
      // In no sandbox, which may not start or hide the home, and from a directory that is there.
      const { cwd, sandboxPolicy } = params as JsonObject;
      assert.deepEqual([cwd, sandboxPolicy], ["/", { type: "dangerFullAccess" }]);
      return Promise.resolve(answer);
    };
    return readRulesFiles(core, null);
  };
  const unread = [{ path: "/far/rules/a.rules", allows: ["a file that could not be read"] }];
  assert.deepEqual(await listing({ exitCode: 0, stdout: ".\n..\na.rules\nb.txt\n" }), unread);
  assert.deepEqual(await listing({ exitCode: 0, stdout: "" }), []);
  const untold = [{ path: "/far/rules", allows: [] }];
  for (const failed of [{ exitCode: 1, stdout: "" }, {}]) {
    assert.deepEqual(await listing(failed), untold);
  }
  // One that knows how to list says why it does not; a cassette holds no program.
  assert.deepEqual(await listing({ exitCode: 0, stdout: "" }, "permission denied"), untold);
});

test("of a repository on another machine the rules count that codex may know by another path", async () => {
  const files = { "/a/.codex/rules/x.rules": "prefix_rule()" };
  const pathsIn = async (dotCodexFolder: string, disabledReason: string | null) => {
    const layers = [{ name: { type: "project", dotCodexFolder }, disabledReason }];
    return (await readRulesFiles(far(files, { home: "/far", layers }), "/a")).map(({ path }) =>
      path
    );
  };
  assert.deepEqual(await pathsIn("/private/a/.codex", null), ["/a/.codex/rules/x.rules"]);
  assert.deepEqual(await pathsIn("/a/.codex", null), ["/a/.codex/rules/x.rules"]);
  assert.deepEqual(await pathsIn("/a/.codex", "not trusted"), []);
});

test("where the server's files lie is asked again after the connection was lost", async () => {
  const answers = [
    () => Promise.reject(new ConnectionClosedError("lost", { retryable: true })),
    () => Promise.resolve({ exitCode: 0, stdout: "codex /opt/codex\nroot /usr\n" }),
  ];
  const core = { callNow: () => answers.shift()!() } as unknown as RuntimeCore;
  await assert.rejects(filesOf(core), ConnectionClosedError);
  assert.equal((await filesOf(core))?.executable, "/opt/codex");
  const refusing = {
    callNow: () => Promise.reject(new RpcError("command/exec", -32601, "no")),
  } as unknown as RuntimeCore;
  assert.equal(await filesOf(refusing), null);
});
