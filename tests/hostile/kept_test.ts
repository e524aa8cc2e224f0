/** "For the session" ends with it: what a person accepted there answers no question of the next session on the thread. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { testing } from "../../mod.ts";
import { codexes, NEWEST_CODEX, OLDEST_CODEX } from "../_codex.ts";
import { test } from "../_harness.ts";
import { addFile, placeOf, words, world } from "../real/_safety_world.ts";

const { applyPatch, exec } = testing.script;

for (const version of codexes(NEWEST_CODEX, OLDEST_CODEX, "0.125.0", "0.145.0")) {
  test(
    `what was accepted for a session is asked anew by the next, codex ${version}`,
    async () => {
      await using w = await world(version);
      const first = await w.session({ approvals: () => ({ decision: "acceptForSession" }) });
      await first.act(addFile("a"), exec("touch made"));
      assert.deepEqual(words(first), ["acceptForSession handler", "acceptForSession handler"]);
      // In the session itself nobody is asked again, of the file by this library and of the command by codex.
      await first.act(change("x", "y"), exec("touch made"));
      const known = first.audits().map(({ type, reason }) => [type, reason]);
      assert.deepEqual(known, [["fileChange", "accepted for the session"]]);
      await first.session.release();

      const asked: string[] = [];
      const next = await w.client.resumeSession(first.session.threadId, {
        cwd: first.cwd,
        approvalPolicy: "untrusted",
        sandbox: "workspace-write",
        allowPrivilegedEscalation: true,
        approvals: (request) => {
          asked.push(request.type);
          return { decision: "decline" };
        },
      });
      const second = placeOf(next, first.cwd);
      await second.act(change("y", "z"), exec("touch made"));
      assert.deepEqual(asked, ["fileChange", "command"]);
      assert.deepEqual(words(second), ["decline handler", "decline handler"]);
      assert.equal(await readFile(join(first.cwd, "a"), "utf8"), "y\n");
    },
  );
}

function change(from: string, to: string): testing.ModelStep {
  return applyPatch(`*** Begin Patch\n*** Update File: a\n@@\n-${from}\n+${to}\n*** End Patch`);
}
