/** The files of a remote server are not this machine's: no link of this one is followed for it. */
import assert from "node:assert/strict";
import { mkdir, realpath, symlink } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import type { RuntimeConfig } from "../../../src/runtime/config.ts";
import { brokerHost } from "../../../src/runtime/broker_host.ts";
import type { RuntimeCore } from "../../../src/runtime/mod.ts";
import { confirmDecided, type DecidedPolicy } from "../../../src/session/policy/confirm_policy.ts";
import { policyFacts } from "../../../src/session/policy/policy_facts.ts";
import { test } from "../../_harness.ts";
import { tempDir } from "../../_temp.ts";

const REMOTE: RuntimeConfig["transport"][] = [
  { type: "websocket", url: "ws://build.example:4500" },
  { type: "command", command: ["ssh", "build.example", "codex", "app-server"] },
];

function coreWith(transport: RuntimeConfig["transport"]): RuntimeCore {
  const server = { version: "0.169.0", platformOs: "linux", platformFamily: "unix" };
  return { config: transport === undefined ? {} : { transport }, server } as unknown as RuntimeCore;
}

test("links of this machine lead no path of a remote server elsewhere", async () => {
  await using dir = await tempDir();
  const at = (name: string) => join(dir.path, name);
  await mkdir(at("real"));
  await symlink(at("real"), at("link"));
  const real = await realpath(at("real"));
  const seen = () => {
    throw new Error("not asked");
  };

  assert.equal(policyFacts(coreWith(undefined)).realPath(at("link")), real);
  assert.equal((await brokerHost({}, seen)).realPath?.(at("link")), real);
  for (const transport of REMOTE) {
    assert.equal(policyFacts(coreWith(transport)).realPath(at("link")), at("link"));
    const { realPath } = await brokerHost({ transport } as RuntimeConfig, seen);
    assert.equal(realPath, undefined);
  }
});

test("a remote server that works elsewhere than asked is not excused by a link of this machine", async () => {
  await using dir = await tempDir();
  const at = (name: string) => join(dir.path, name);
  await mkdir(at("real"));
  await symlink(at("real"), at("link"));
  const cwd = await realpath(at("real"));
  const sandbox = { type: "readOnly" };
  const decided = {
    effective: { cwd, sandbox, approvalPolicy: "never", readRoots: "all", narrowed: [] },
    thread: { sandbox: "read-only", profileId: null },
    turn: { sandboxPolicy: sandbox },
  } as unknown as DecidedPolicy;
  const echo = { cwd: at("link"), sandbox, approvalPolicy: "never" };
  assert.equal(confirmDecided(coreWith(undefined), decided, echo).cwd, cwd);
  for (const transport of REMOTE) {
    assert.throws(() => confirmDecided(coreWith(transport), decided, echo), /cwd/);
  }
});

test("the directory for temporary files is the one that codex itself has", () => {
  const own = process.env["TMPDIR"] ?? null;
  const posix = { version: "0.169.0", platformOs: "linux", platformFamily: "unix" };
  const windows = { version: "0.169.0", platformOs: "windows", platformFamily: "windows" };
  const factsOf = (env: RuntimeConfig["env"], server: object = posix) => {
    const { tmpdir, moreTmpdirs } = policyFacts(
      { config: { env }, server } as unknown as RuntimeCore,
    );
    return [tmpdir, ...moreTmpdirs ?? []];
  };
  assert.deepEqual(factsOf(undefined), [own]);
  assert.deepEqual(factsOf({ inherit: "minimal" }), [own]);
  assert.deepEqual(factsOf({ inherit: ["PATH"] }), [null]);
  assert.deepEqual(factsOf({ set: { TMPDIR: "/given" } }), ["/given"]);
  const set = { TEMP: "C:\\one", TMP: "C:\\two" };
  assert.deepEqual(factsOf({ inherit: [], set }, windows), Object.values(set));
  assert.deepEqual(factsOf({ inherit: [] }, windows), [null]);
});
