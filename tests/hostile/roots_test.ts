/**
 * "A session never gets more than was asked": an agent that may write puts a link in the place of the directory that it works
 * in, or of one above it, and hopes that codex follows it. Linux.
 */
import assert from "node:assert/strict";
import { existsSync, lstatSync } from "node:fs";
import { mkdir, mkdtemp, readdir, rename, rm, symlink } from "node:fs/promises";
import { join } from "node:path";
import {
  PolicyError,
  PolicyMismatchError,
  type SandboxPolicy,
  type SessionConfig,
  testing,
} from "../../mod.ts";
import { platformName } from "../../src/platform/mod.ts";
import { supports } from "../../src/protocol/mod.ts";
import { codexes, NEWEST_CODEX, OLDEST_CODEX } from "../_codex.ts";
import { test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";
import { addFile, placeOf, warnings, world } from "../real/_safety_world.ts";

const { exec } = testing.script;
const linux = platformName() === "linux";

for (
  const version of linux ? codexes(NEWEST_CODEX, OLDEST_CODEX, "0.145.0", "0.125.0", "0.130.0") : []
) {
  /** Whether codex runs no command through such a link within the turn that made it. */
  const keepsRoots = supports(version, "keepsRoots");

  test(
    `no link in the place of a root leads the agent out, codex ${version}`,
    { timeoutMs: 180_000 },
    async (t) => {
      await using w = await world(version);
      await using outside = await tempDir("outside-");
      await using home = await tempDir("work-");
      const temporary = await mkdtemp("/tmp/codex-runtime-roots-");

      /** What the agent does to the directory `above` its workspace, and what it tries after that, in two turns. */
      async function attack(above: string, workspace: string, config: Partial<SessionConfig>) {
        await mkdir(workspace, { recursive: true });
        const session = await w.client.startSession({
          cwd: workspace,
          sandbox: "workspace-write",
          allowPrivilegedEscalation: true,
          ...config,
        });
        const place = placeOf(session, workspace);
        const target = (name: string) =>
          exec(`touch ${join(outside.path, name)}; touch ${name}; true`);
        await place.act(
          exec(
            `mv ${above} ${above}-old && mkdir ${above} && ln -s ${outside.path} ${workspace}; true`,
          ),
          target("a"),
          addFile("b"),
        );
        const told = warnings(place);
        // Not even where a root around it lets the agent write: what lies between is a root of its own.
        assert.ok(!existsSync(`${above}-old`));
        assert.ok(!lstatSync(workspace).isSymbolicLink());
        if (keepsRoots) {
          // Somebody else does it.
          await rename(above, `${above}-old`);
          await mkdir(above);
          await symlink(outside.path, workspace);
        }
        const next = await place.act(target("c"), addFile("d")).then(() => null, (error) => error);
        // Nor does a copy of the session work there.
        const copied = await session.fork().then((fork) => fork.close(), (error) => error);
        assert.equal(copied instanceof PolicyError, next !== null, String(copied));
        assert.deepEqual(await readdir(outside.path), []);
        await session.close();
        return { told, next };
      }

      try {
        await t.step("below a temporary directory", async () => {
          const above = join(temporary, "a");
          const workspace = join(above, "ws");
          const { told, next } = await attack(above, workspace, {});
          const left = told.filter((text) => /^\/tmp is not writable: the session/.test(text));
          assert.equal(left.length, keepsRoots ? 0 : 1);
          if (!keepsRoots) return assert.equal(next, null);
          assert.ok(next instanceof PolicyError, String(next));
          assert.match(next.message, /ws leads elsewhere than when the session began/);
        });

        await t.step("below another root", async () => {
          const root = join(home.path, "root");
          const above = join(root, "a");
          const sandbox: SandboxPolicy = { type: "workspaceWrite", writableRoots: [root] };
          const attacked = attack(above, join(above, "ws"), { sandbox });
          if (!keepsRoots) {
            return await assert.rejects(
              attacked,
              (error) => error instanceof PolicyError && /ws lies in .*root:/.test(error.message),
            );
          }
          assert.match(String((await attacked).next), /leads elsewhere/);
        });

        await t.step(
          "a root below the cwd, itself a link that the agent points elsewhere",
          async () => {
            const cwd = join(home.path, "linked");
            const data = join(home.path, "data");
            const link = join(cwd, "out");
            await Promise.all([mkdir(data), mkdir(cwd)]);
            await symlink(data, link);
            const session = await w.client.startSession({
              cwd,
              sandbox: { type: "workspaceWrite", writableRoots: [link] },
              allowPrivilegedEscalation: true,
            });
            const place = placeOf(session, cwd);
            await place.act(exec(`rm out; ln -s ${outside.path} out`), exec("touch out/a"));
            await place.act(
              exec(`touch out/b; touch ${join(outside.path, "c")}; touch ${join(data, "d")}`),
            );
            assert.deepEqual(await readdir(outside.path), []);
            assert.deepEqual(await readdir(data), ["d"]);
          },
        );
      } finally {
        await rm(temporary, { recursive: true, force: true });
      }
    },
  );
}

for (const version of codexes(NEWEST_CODEX, OLDEST_CODEX, "0.150.0", "0.145.0", "0.136.0")) {
  test(`a turn's own sandbox replaces the session's roots, codex ${version}`, async () => {
    await using w = await world(version);
    await using root = await tempDir("root-");
    const { session } = await w.session({
      approvalPolicy: "never",
      additionalDirectories: [root.path],
    });
    const act = (name: string) =>
      testing.script.inPrompt([
        exec(`touch ${join(root.path, name)}`),
        addFile(join(root.path, `${name}-patch`)),
        "done",
      ]);
    const wide = ["wide", "wide-patch"];
    await session.ask(act("wide"));
    for (const one of [session, await session.fork()]) {
      const none: SandboxPolicy = { type: "workspaceWrite", writableRoots: [] };
      for (const sandbox of ["workspace-write", none, "read-only"] as const) {
        await one.ask(act("narrow"), { sandbox }).catch((error) => {
          // A thread of these keeps the roots with which it started.
          assert.ok(/^0\.1[34]/.test(version) && error instanceof PolicyMismatchError, error);
        });
      }
      assert.deepEqual((await readdir(root.path)).sort(), wide);
      await Promise.all(wide.map((name) => rm(join(root.path, name))));
      await one.ask(act("wide"));
      assert.deepEqual((await readdir(root.path)).sort(), wide);
    }
  });
}
