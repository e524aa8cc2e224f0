/** Ask, then check: what the server says of a thread is compared with what was asked, whenever it says it. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { readdir, symlink } from "node:fs/promises";
import { join } from "node:path";
import { AppServer, PolicyMismatchError, testing } from "../../mod.ts";
import type { JsonObject } from "../../src/json.ts";
import { codexes, codexPath } from "../_codex.ts";
import { test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";
import { latch, warnings, world } from "../real/_safety_world.ts";

const { exec, inPrompt } = testing.script;
const CONSENT = { allowPrivilegedEscalation: true, dangerouslyAllowUnattendedFullAccess: true };

for (const version of codexes("0.169.0", "0.150.0", "0.104.0")) {
  test(
    `a sandbox is confirmed by the server's word and by nothing else, codex ${version}`,
    async () => {
      await using w = await world(version);
      const readOnly = await w.session({ sandbox: "read-only" });
      assert.equal(readOnly.session.policy.confirmed, true);
      const place = await w.session({ sandbox: "workspace-write", approvalPolicy: "never" });
      // From 0.150 on the thread starts read-only, and only its first turn brings what it may write.
      assert.equal(place.session.policy.confirmed, version === "0.104.0");
      await place.act(exec("touch made"));
      assert.equal(place.has("made"), true);
      assert.equal(place.session.policy.confirmed, true);
      assert.equal(place.session.policy.sandbox.type, "workspaceWrite");
      // A turn of its own sandbox says nothing of the session's.
      await place.session.ask(inPrompt(["done"]), { sandbox: "read-only" });
      assert.equal(place.session.policy.sandbox.type, "workspaceWrite");
      await place.act(exec("touch again"));
      assert.equal(place.has("again"), true);
    },
  );
}

test(
  "a thread that may do more than asked in the middle of a turn ends the turn and the session",
  async (t) => {
    await using w = await world("0.169.0");
    await using outside = await tempDir("outside-");
    const wider: [name: string, settings: JsonObject][] = [
      ["a sandbox", { sandboxPolicy: { type: "dangerFullAccess" } }],
      ["a profile", { permissions: ":danger-full-access" }],
      ["nobody asked", { approvalPolicy: "never" }],
      ["another reviewer", { approvalsReviewer: "auto_review" }],
    ];
    for (const [name, settings] of wider) {
      await t.step(name, async () => {
        const go = latch();
        const inTurn = latch();
        const place = await w.session({
          sandbox: "read-only",
          approvals: async () => {
            inTurn.resolve();
            await go.promise;
            return { decision: "decline" };
          },
        });
        const { threadId } = place.session;
        const target = join(outside.path, name.replaceAll(" ", "-"));
        const asked = place.session.ask(
          inPrompt([exec("touch first"), exec(`touch ${target}`), "done"]),
        );
        asked.catch(() => {});
        await inTurn.promise;
        const params = { threadId, ...settings };
        await w.client.runtime.request("thread/settings/update", params as never, CONSENT);
        await assert.rejects(asked, PolicyMismatchError);
        go.resolve();
        await assert.rejects(place.session.ask("more"), PolicyMismatchError);
        assert.equal(existsSync(target), false);
      });
    }
    await t.step("between turns it is a warning, and the next turn says it all again", async () => {
      const place = await w.session({
        sandbox: "read-only",
        approvals: () => ({ decision: "decline" }),
      });
      const { threadId } = place.session;
      const params = { threadId, sandboxPolicy: { type: "dangerFullAccess" } };
      await w.client.runtime.request("thread/settings/update", params as never, CONSENT);
      const target = join(outside.path, "later");
      await place.act(exec(`touch ${target}`));
      assert.equal(existsSync(target), false);
      assert.match(warnings(place).join(), /Something else changed the thread's settings/);
      assert.equal(place.session.policy.confirmed, true);
    });
  },
);

for (const version of codexes("0.169.0", "0.145.0")) {
  test(
    `roots that another client gave a thread are no place to write for a session, codex ${version}`,
    async () => {
      await using outside = await tempDir("outside-");
      await using w = await world(version);
      await using app = await AppServer.connect({
        ...w.model.clientConfig({ codexPath: await codexPath(version) }),
        experimentalApi: true,
      });
      const { cwd, session } = await w.session({ sandbox: "read-only" });
      await session.close();
      const start = {
        cwd,
        sandbox: "workspace-write",
        approvalPolicy: "never",
        runtimeWorkspaceRoots: [cwd, outside.path],
        config: { projects: { [cwd]: { trust_level: "untrusted" } } },
      };
      const result = await app.requestUnchecked("thread/start", start, CONSENT) as {
        thread: { id: string };
      };
      const threadId = result.thread.id;
      const write = (name: string) => inPrompt([exec(`touch ${join(outside.path, name)}`), "done"]);
      const ended = app.runtime.events({ threadId, methods: ["turn/completed"] });
      const input = [{ type: "text", text: write("theirs") }];
      await app.requestUnchecked("turn/start", { threadId, input }, CONSENT);
      for await (const _ of ended) break;
      // They may, as they were asked to: the roots are real.
      assert.equal(existsSync(join(outside.path, "theirs")), true);
      await app.shutdown();

      const { client } = w;
      // 0.145 forgets them.
      const kept = version === "0.169.0";
      const writes = { sandbox: "workspace-write", allowPrivilegedEscalation: true } as const;
      const may = { cwd, ...writes };
      const opened = client.resumeSession(threadId, may);
      if (kept) {
        await assert.rejects(opened, (error) => {
          assert.ok(error instanceof PolicyMismatchError);
          assert.deepEqual(error.mismatches.map(({ field }) => field), ["runtimeWorkspaceRoots"]);
          return true;
        });
      } else {
        const held = await opened;
        await held.ask(write("resumed"));
        await held.release();
      }
      const forked = await client.forkSession(threadId, may);
      await forked.ask(write("forked"));
      const reads = await client.resumeSession(threadId, { cwd });
      await reads.ask(write("reads"));
      const wider = reads.ask(write("turn"), writes);
      if (kept) await assert.rejects(wider, PolicyMismatchError);
      else await wider;
      assert.deepEqual(await readdir(outside.path), ["theirs"]);
      // A cwd by a link is no other root.
      const link = join(outside.path, "link");
      await symlink(cwd, link);
      const linked = await client.startSession({ cwd: link, ...writes });
      await linked.ask(inPrompt([exec("touch linked"), "done"]));
      assert.equal(existsSync(join(cwd, "linked")), true);
    },
  );
}
