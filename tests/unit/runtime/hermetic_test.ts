/** Whose a private home is, when it may be removed, and what is told of what a user's home holds. */
import assert from "node:assert/strict";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  Homes,
  inHome,
  judgeOwner,
  macOwner,
  type Owner,
  readOwner,
  storeIn,
  thisOwner,
  userPlace,
} from "../../../src/runtime/hermetic/home.ts";
import { settingsIn } from "../../../src/runtime/hermetic/left_out.ts";
import { onDeno, test } from "../../_harness.ts";
import { tempDir } from "../../_temp.ts";

const here: Owner = { pid: 10, start: "100", boot: "b1", space: "pid:[1]", machine: "m1" };
const running = new Map<number, string>([[10, "100"], [20, "200"]]);
const startOf = (pid: number): string | null => running.get(pid) ?? null;

const owners: [what: string, owner: Partial<Owner>, here: Partial<Owner>, gone: boolean][] = [
  ["is there", { pid: 20, start: "200" }, {}, false],
  ["is this one", {}, {}, false],
  ["is not there", { pid: 30, start: "200" }, {}, true],
  ["left its pid to another", { pid: 20, start: "150" }, {}, true],
  ["is of an earlier boot of this machine", { pid: 20, start: "200", boot: "b0" }, {}, true],
  ["is of another machine", { pid: 30, boot: "b0", machine: "m2" }, {}, false],
  [
    "is of a machine without an id",
    { pid: 30, boot: "b0", machine: null },
    { machine: null },
    false,
  ],
  ["is in another container", { pid: 30, space: "pid:[2]" }, {}, false],
  ["told no start", { pid: 30, start: null }, {}, false],
  ["told no boot", { pid: 30, boot: null }, {}, false],
  ["told no namespace", { pid: 30, space: null }, {}, false],
  ["told no namespace before this boot", { pid: 20, boot: "b0", space: null }, {}, false],
  ["can't be looked at from here", { pid: 30 }, { start: null }, false],
  ["can't be looked at any more", { pid: 30 }, { pid: 40, start: "400" }, false],
];
/** On macOS: no namespaces, a start that `ps` tells in seconds, ids of the boot and of the machine from its own tools. */
const mac = { start: "Sat Nov 28 08:00:00 2026", space: "" };
const MAC = { ...mac, pid: 50, boot: "B1", machine: "M1" };
owners.push(
  ["is on this Mac", { ...MAC, pid: 60 }, MAC, false],
  ["was on this Mac", { ...MAC, pid: 70 }, MAC, true],
  ["left its pid on this Mac", { ...MAC, pid: 60, start: "Sat Nov 28 07:00:00 2026" }, MAC, true],
  ["is of an earlier boot of this Mac", { ...MAC, pid: 60, boot: "B0" }, MAC, true],
  ["is on another Mac with this disk", { ...MAC, pid: 70, boot: "B2", machine: "M2" }, MAC, false],
  ["is on Linux, with a Mac's disk", { pid: 70 }, MAC, false],
  ["is on a Mac, with Linux' disk", { ...MAC, pid: 70 }, {}, false],
  ["is on a Mac that told no boot", { ...MAC, pid: 70, boot: null }, MAC, false],
  ["is on a Mac that tells no boot", { ...MAC, pid: 70 }, { ...MAC, boot: null }, false],
  ["is of a Mac that told no machine", { ...MAC, boot: "B0", machine: null }, MAC, false],
);
running.set(50, mac.start).set(60, mac.start);

test("a Mac's boot and machine are read from what its tools print", () => {
  const [boot, machine] = [
    "0A1B2C3D-0000-4000-8000-00000000ABCD",
    "11112222-3333-4444-5555-666677778888",
  ];
  const ioreg = `+-o J314sAP  <class IOPlatformExpertDevice, id 0x100000200>\n    {\n` +
    `      "IOPlatformSerialNumber" = "X"\n      "IOPlatformUUID" = "${machine}"\n    }\n`;
  assert.deepEqual(macOwner(`${boot}\n`, ioreg), { boot, machine });
  for (const none of [null, "", "sysctl: unknown oid", `x${boot}`]) {
    assert.deepEqual(macOwner(none, none), { boot: null, machine: null });
  }
});

for (const [what, owner, there, gone] of owners) {
  test(`a home is ${gone ? "" : "not "}removed whose owner ${what}`, () => {
    const verdict = judgeOwner({ ...here, ...owner }, { ...here, ...there }, startOf);
    assert.equal(verdict, gone ? "gone" : "perhapsAlive");
  });
}

test("this process is known by its start, and a record of it is read back", async () => {
  const own = await thisOwner();
  assert.equal(judgeOwner(own, own, () => own.start), "perhapsAlive");
  assert.deepEqual(readOwner(JSON.stringify({ ...own, locked: true })), {
    owner: own,
    locked: true,
  });
  for (const text of ["", "{", "null", "[]", '"x"', "{}", '{"pid":"1"}']) {
    assert.equal(readOwner(text), null);
  }
});

test("homes are made apart, kept while they are held, and removed with their records", async () => {
  await using directory = await tempDir();
  const base = join(directory.path, "homes");
  const homes = await Homes.open(base);
  const [one, two] = [await homes.make(), await homes.make()];
  const other = await Homes.open(base);
  assert.equal(await other.sweep(), 0);
  assert.equal((await readdir(base)).length, 4);
  await homes.remove(one);
  await homes.remove(one);
  assert.equal((await readdir(base)).length, 2);
  // What was not written here is left alone.
  await writeFile(join(base, "notes.json"), "{}");
  const id = "11111111-1111-4111-8111-111111111111";
  await mkdir(join(base, id));
  assert.equal(await other.sweep(), 0);
  await writeFile(join(base, `${id}.json`), "half a rec");
  assert.equal(await other.sweep(), 0);
  await homes.remove(two);
  assert.deepEqual((await readdir(base)).sort(), [id, `${id}.json`, "notes.json"]);
});

test("on Deno a record that nobody holds is an abandoned one, whatever the script may look at", {
  denoOnly: "Bun and Node know no such locks",
}, async () => {
  if (!onDeno) return;
  await using directory = await tempDir();
  const homes = await Homes.open(directory.path);
  const left = await homes.make();
  left.release();
  assert.equal(await (await Homes.open(directory.path)).sweep(), 1);
  assert.deepEqual(await readdir(directory.path), []);
});

test("names of settings are told, values never", () => {
  const toml = `model = "x" # y
a.b = 1
text = """
[secret]
sk = "in a text"
"""
[mcp_servers.docs]
command = "run"
env = { TOKEN = "t" }
[[hooks.Stop]]
  [projects."/a b"]
`;
  assert.deepEqual(settingsIn(toml), [
    "model",
    "a.b",
    "text",
    "mcp_servers.docs",
    "hooks.Stop",
    'projects."/a b"',
  ]);
  assert.deepEqual(settingsIn(""), []);
});

test("a config.toml says where logins are kept", () => {
  assert.equal(storeIn('x = 1\n cli_auth_credentials_store = "keyring"\n'), "keyring");
  assert.equal(storeIn("cli_auth_credentials_store='auto'"), "auto");
  for (const none of [null, "", '# cli_auth_credentials_store = "keyring"']) {
    assert.equal(storeIn(none), null);
  }
});

test("no flags are asked for where there is no home, as in a service of systemd", () => {
  assert.throws(() => userPlace({ env: { inherit: [] } }), {
    code: "spawn",
    message: /needs a home of codex's: set CODEX_HOME or (?:HOME|USERPROFILE)\.$/,
  });
});

test("codex lives in its home, its commands in the user's, and what the script set stays", () => {
  const user = { codexHome: "/u/.codex", home: "/u" };
  const config = {
    env: { inherit: "minimal" as const, set: { A: "1", CODEX_HOME: "/x" } },
    configOverrides: { model: "m" },
  };
  assert.deepEqual(inHome(config, user, "/h/codex", "/h/home"), {
    env: {
      inherit: "minimal",
      set: { A: "1", HOME: "/h/home", CODEX_HOME: "/h/codex", CODEX_SQLITE_HOME: "/h/codex" },
    },
    configOverrides: {
      cli_auth_credentials_store: "file",
      mcp_oauth_credentials_store: "file",
      // The login's account may be connected to the user's mail.
      "features.apps": false,
      "features.plugins": false,
      "shell_environment_policy.set.HOME": "/u",
      model: "m",
    },
  });
  const chosen = { configOverrides: { "features.apps": true } };
  assert.equal(
    inHome(chosen, user, "/h/codex", "/h/home").configOverrides?.["features.apps"],
    true,
  );
});

test("a record that a full disk cuts is not left", async () => {
  await using directory = await tempDir("hermetic-");
  const homes = await Homes.open(directory.path);
  const full = {
    length: 1,
    subarray: () => {
      throw new Error("No space left on device");
    },
  };
  const { encode } = TextEncoder.prototype;
  TextEncoder.prototype.encode = () => full as never;
  try {
    await assert.rejects(homes.make(), { code: "spawn" });
  } finally {
    TextEncoder.prototype.encode = encode;
  }
  assert.deepEqual(await readdir(directory.path), []);
});
