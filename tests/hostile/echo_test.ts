/** Ask, then check: what the server says of a thread is compared with what was asked, whenever it says it. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { PolicyMismatchError, testing } from "../../mod.ts";
import type { JsonObject } from "../../src/json.ts";
import { test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";
import { warnings, world } from "../real/_safety_world.ts";

const { exec, gate, inPrompt } = testing.script;
const LIMIT = { timeoutMs: 120_000 };
const CONSENT = { allowPrivilegedEscalation: true, dangerouslyAllowUnattendedFullAccess: true };

for (const version of ["0.169.0", "0.150.0", "0.104.0"] as const) {
  test(
    `a sandbox is confirmed by the server's word and by nothing else, codex ${version}`,
    LIMIT,
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
  LIMIT,
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
        const place = await w.session({ sandbox: "read-only" });
        const { threadId } = place.session;
        const go = Promise.withResolvers<void>();
        const target = join(outside.path, name.replaceAll(" ", "-"));
        const asked = place.session.ask(
          inPrompt([[gate(go.promise), exec("true")], exec(`touch ${target}`), "done"]),
        );
        asked.catch(() => {});
        await w.model.nextRequest();
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
