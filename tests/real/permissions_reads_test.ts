/** A script with scoped reads gets an agent with scoped reads: proved by what a model's commands can see. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { PolicyMismatchError } from "../../src/errors/mod.ts";
import { confirmPolicy } from "../../src/permissions/policy/compare_echo.ts";
import { effectivePolicy } from "../../src/permissions/policy/effective_policy.ts";
import type { EffectivePolicy } from "../../src/permissions/policy/policy.ts";
import type { PermissionProbe } from "../../src/permissions/probe.ts";
import {
  threadPolicyParams,
  turnPolicyParams,
} from "../../src/permissions/policy/profile_config.ts";
import type { ServerFiles } from "../../src/permissions/policy/profile_config.ts";
import { findServerFiles } from "../../src/permissions/policy/server_files.ts";
import { realPathOf } from "../../src/permissions/probe.ts";
import type { ApprovalPolicy, SandboxPolicy } from "../../src/permissions/types.ts";
import { script, ScriptedModel } from "../../src/testing/mod.ts";
import { codexPath, type CodexVersion } from "../_codex.ts";
import { test, type TestOptions } from "../_harness.ts";
import { tempDir } from "../_temp.ts";
import { makeUsed } from "../_used_home.ts";
import { probeOf } from "../unit/permissions/_world.ts";
import { type Message, RawCodex } from "./_raw_codex.ts";

const LIMIT: TestOptions = { timeoutMs: 90_000 };
// Where codex starts itself inside the sandbox, it has to be found.
const onLinux = process.platform === "linux";

interface World {
  codex: RawCodex;
  model: ScriptedModel;
  ws: string;
  secret: string;
  files: ServerFiles | null;
  [Symbol.asyncDispose](): Promise<void>;
}

async function launch(model: ScriptedModel, version: CodexVersion): Promise<RawCodex> {
  const path = await codexPath(version);
  const codex = new RawCodex({ ...model.clientConfig(), codexPath: path });
  await codex.initialize();
  return codex;
}

/** A directory with a workspace and a secret beside it, and a codex that talks to a scripted model. */
async function world(version: CodexVersion = "0.169.0"): Promise<World> {
  const dir = await tempDir("reads-");
  const ws = join(dir.path, "ws");
  const secret = join(dir.path, "secret");
  await Promise.all([mkdir(ws), mkdir(secret)]);
  await Promise.all([
    writeFile(join(ws, "inside.txt"), "INSIDE"),
    writeFile(join(secret, "outside.txt"), "OUTSIDE"),
    symlink(secret, join(ws, "way-out")),
  ]);
  const model = await ScriptedModel.start();
  await makeUsed(model.clientConfig().env.set["CODEX_HOME"]!, version);
  const codex = await launch(model, version);
  const files = onLinux && version !== "0.104.0"
    ? findServerFiles.read(
      await codex.request(findServerFiles.method, findServerFiles.params),
    )
    : null;
  const w: World = {
    codex,
    model,
    ws,
    secret,
    files,
    async [Symbol.asyncDispose]() {
      await w.codex.close();
      await model.close();
      await dir[Symbol.asyncDispose]();
    },
  };
  return w;
}

function policyFor(
  { ws }: World,
  sandbox: SandboxPolicy,
  probe: PermissionProbe,
  serverVersion = "0.169.0",
  approvalPolicy: ApprovalPolicy = "never",
): EffectivePolicy {
  return effectivePolicy({ cwd: ws, sandbox, approvalPolicy }, probe, {
    realPath: realPathOf,
    tmpdir: null,
    serverVersion,
  });
}

async function begin(
  { codex, files }: World,
  policy: EffectivePolicy,
  method = "thread/start",
  more: Message = {},
): Promise<{ threadId: string; confirmed: EffectivePolicy }> {
  const { profileId, ...params } = threadPolicyParams(policy, { files });
  const echo = await codex.request(method, { cwd: policy.cwd, ...params, ...more });
  const confirmed = confirmPolicy({ policy, profileId, realPath: realPathOf }, echo);
  return { threadId: echo.thread.id, confirmed };
}

/** What the model is told that each command printed. */
async function outputs(
  { codex, model }: World,
  threadId: string,
  commands: string[],
  params: Message = {},
): Promise<string[]> {
  const turns = [...commands.map((command) => [script.exec(command)]), "done"];
  await codex.turn(threadId, script.inPrompt(turns), params);
  const items: Message[] = (model.requests.at(-1)!.body as Message).input;
  return items.filter((item) => item.type === "function_call_output").slice(-commands.length)
    .map((item) => typeof item.output === "string" ? item.output : JSON.stringify(item.output));
}

test("a turn reads inside what the script may read and fails to read outside", LIMIT, async () => {
  await using w = await world();
  const policy = policyFor(w, { type: "readOnly" }, probeOf({ read: [w.ws] }));
  const { threadId, confirmed } = await begin(w, policy);
  assert.deepEqual([confirmed.confirmed, confirmed.readsEnforced], [true, true]);
  const [inside, outside, link, write, list] = await outputs(w, threadId, [
    "cat inside.txt",
    `cat ${w.secret}/outside.txt`,
    "cat way-out/outside.txt",
    "echo x > made.txt",
    `ls ${w.secret}`,
  ]);
  assert.match(inside!, /INSIDE/);
  for (const output of [outside!, link!, list!]) {
    assert.doesNotMatch(output, /OUTSIDE|^outside\.txt/m);
    assert.match(output, /No such file|denied|not permitted/);
  }
  assert.match(write!, /Read-only|denied|not permitted/);
  assert.equal(existsSync(join(w.ws, "made.txt")), false);
});

test(
  "without the scope the same turn reads outside, so the scope is what stops it",
  LIMIT,
  async () => {
    await using w = await world();
    const { threadId } = await begin(
      w,
      policyFor(w, { type: "readOnly" }, probeOf({ read: "all" })),
    );
    const [outside] = await outputs(w, threadId, [`cat ${w.secret}/outside.txt`]);
    assert.match(outside!, /OUTSIDE/);
  },
);

test(
  "a scoped workspace-write turn writes inside and neither writes nor reads outside",
  LIMIT,
  async () => {
    await using w = await world();
    const probe = probeOf({ read: [w.ws], write: [w.ws] });
    const { threadId } = await begin(w, policyFor(w, { type: "workspaceWrite" }, probe));
    const [made, outside, read] = await outputs(w, threadId, [
      "echo x > made.txt && echo MADE",
      `echo x > ${w.secret}/made.txt && echo MADE`,
      `cat ${w.secret}/outside.txt`,
    ]);
    assert.match(made!, /MADE/);
    assert.doesNotMatch(outside!, /^MADE/m);
    assert.doesNotMatch(read!, /OUTSIDE/);
    assert.equal(existsSync(join(w.ws, "made.txt")), true);
    assert.equal(existsSync(join(w.secret, "made.txt")), false);
  },
);

test("a fork and a cold resume stay scoped when the policy is sent again", LIMIT, async () => {
  await using w = await world();
  const policy = policyFor(w, { type: "readOnly" }, probeOf({ read: [w.ws] }));
  const { threadId } = await begin(w, policy);
  await outputs(w, threadId, ["true"]);
  const again = { threadId, excludeTurns: true };
  const fork = await begin(w, policy, "thread/fork", again);
  const [forked] = await outputs(w, fork.threadId, [`cat ${w.secret}/outside.txt`]);
  assert.doesNotMatch(forked!, /OUTSIDE/);

  // A thread has one writer, so the first server has to go.
  await w.codex.close();
  w.codex = await launch(w.model, "0.169.0");
  const resumed = await begin(w, policy, "thread/resume", again);
  const [cold] = await outputs(w, resumed.threadId, [`cat ${w.secret}/outside.txt`]);
  assert.doesNotMatch(cold!, /OUTSIDE/);
});

test(
  "confirmPolicy() finds out when the server dropped the profile for a sandbox",
  LIMIT,
  async () => {
    await using w = await world();
    const policy = policyFor(w, { type: "readOnly" }, probeOf({ read: [w.ws] }));
    const params = threadPolicyParams(policy);
    assert.deepEqual(turnPolicyParams(policy, { policy, params }), {});
    await assert.rejects(
      begin(w, policy, "thread/start", { sandbox: "read-only" }),
      (error) => {
        assert(error instanceof PolicyMismatchError, String(error));
        assert.deepEqual(error.mismatches.map((m) => m.field), ["permissions"]);
        return true;
      },
    );
  },
);

test("the server confirms each part of a workspace-write policy as sent", LIMIT, async (t) => {
  for (const version of ["0.169.0", "0.104.0"] as const) {
    await t.step(version, async () => {
      await using w = await world(version);
      const sandbox: SandboxPolicy = {
        type: "workspaceWrite",
        writableRoots: [w.secret],
        networkAccess: true,
        excludeSlashTmp: true,
        excludeTmpdirEnvVar: true,
      };
      const policy = policyFor(
        w,
        sandbox,
        probeOf({ read: "all", write: "all", net: "all" }),
        version,
      );
      const { confirmed } = await begin(w, policy);
      assert.equal(confirmed.confirmed, true);
      const narrow = policyFor(
        w,
        { type: "workspaceWrite", writableRoots: [] },
        probeOf({ read: "all", write: [w.ws] }),
        version,
      );
      await assert.rejects(
        begin(w, narrow, "thread/start", {
          config: { sandbox_workspace_write: { network_access: true, writable_roots: [w.secret] } },
        }),
        (error) => {
          assert(error instanceof PolicyMismatchError, String(error));
          assert.deepEqual(error.mismatches.map((m) => m.field).sort(), [
            "sandbox.excludeSlashTmp",
            "sandbox.excludeTmpdirEnvVar",
            "sandbox.networkAccess",
            "sandbox.writableRoots",
          ]);
          return true;
        },
      );
    });
  }
});

test("0.104 can't scope reads, and the policy says so", LIMIT, async () => {
  await using w = await world("0.104.0");
  const policy = policyFor(w, { type: "readOnly" }, probeOf({ read: [w.ws] }), "0.104.0");
  const { threadId, confirmed } = await begin(w, policy);
  assert.equal(confirmed.readsEnforced, false);
  const [outside] = await outputs(w, threadId, [`cat ${w.secret}/outside.txt`]);
  assert.match(outside!, /OUTSIDE/);
});

test(
  "an accepted command may run outside the sandbox, which is why acceptances are guarded",
  LIMIT,
  async (t) => {
    for (const version of ["0.169.0", "0.104.0"] as const) {
      await t.step(version, async () => {
        await using w = await world(version);
        w.codex.onRequest = () => ({ decision: "accept" });
        const policy = policyFor(
          w,
          { type: "readOnly" },
          probeOf({ read: "all" }),
          version,
          "untrusted",
        );
        const { threadId } = await begin(w, policy);
        // 0.169 begins inside the sandbox, and goes outside only when it notices in time that this was why it failed.
        const made = join(w.secret, "made.txt");
        for (let tries = 0; tries < 20 && !existsSync(made); tries++) {
          await outputs(w, threadId, [`echo x > ${made}`]);
        }
        assert.equal(existsSync(made), true);
      });
    }
  },
);
