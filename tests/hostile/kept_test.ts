/** "For the session" ends with it: what a person accepted there answers no question of the next session on the thread. */
import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { PolicyError, testing } from "../../mod.ts";
import { codexes, NEWEST_CODEX, OLDEST_CODEX } from "../_codex.ts";
import { test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";
import { addFile, placeOf, words, world } from "../real/_safety_world.ts";

const { applyPatch, exec, inPrompt, toolCall } = testing.script;

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

for (const version of codexes("0.125.0", "0.130.0")) {
  test(
    `what a session was granted for itself is not what the next one has, codex ${version}`,
    async () => {
      const flags = { "features.request_permissions_tool": true };
      await using w = await world(version, { flags });
      await using outside = await tempDir("outside-");
      const first = await w.session({
        approvalPolicy: "on-request",
        approvals: () => ({ decision: "acceptForSession" }),
      });
      const ask = toolCall("request_permissions", {
        reason: "to write there",
        permissions: { file_system: { write: [outside.path] } },
      });
      const touch = (name: string) => exec(`touch ${join(outside.path, name)}`);
      await first.act(ask, touch("granted"));
      assert.deepEqual(await readdir(outside.path), ["granted"]);
      await first.session.release();

      const next = await w.client.resumeSession(first.session.threadId, {
        cwd: first.cwd,
        approvalPolicy: "never",
        sandbox: "workspace-write",
        allowPrivilegedEscalation: true,
      });
      const second = placeOf(next, first.cwd);
      await second.act(exec("touch inside"), touch("kept"));
      assert.ok(second.has("inside"));
      assert.deepEqual(await readdir(outside.path), ["granted"]);
    },
  );
}

for (const version of codexes(NEWEST_CODEX, OLDEST_CODEX, "0.145.0")) {
  test(
    `a turn with less of a sandbox has nothing of what was accepted for the session, codex ${version}`,
    async () => {
      await using w = await world(version, {
        flags: { "features.request_permissions_tool": true },
      });
      await using outside = await tempDir("outside-");
      const place = await w.session({
        approvalPolicy: "on-request",
        approvals: () => ({ decision: "acceptForSession" }),
      });
      const touch = (name: string) => exec(`touch ${join(outside.path, name)}`);
      const grant = toolCall("request_permissions", {
        reason: "to write there",
        permissions: { file_system: { write: [outside.path] } },
      });
      // Codex 0.104 can ask for no permissions; what is accepted there leaves the sandbox.
      const ask = version === OLDEST_CODEX ? exec(`touch ${join(outside.path, "granted")}`) : grant;
      await place.act(ask, touch("granted"));
      assert.deepEqual(await readdir(outside.path), ["granted"]);

      const less = (steps: testing.ModelTurn[], sandbox: "read-only" | "workspace-write") =>
        place.session.ask(inPrompt([...steps, "done"]), { sandbox });
      await assert.rejects(less([touch("later")], "read-only"), (error) => {
        assert.ok(error instanceof PolicyError);
        assert.match(error.message, /readOnly.*accepted for the session/);
        return true;
      });
      assert.deepEqual(await readdir(outside.path), ["granted"]);
      // In a turn that may do as much, it holds.
      await less([ask, touch("again")], "workspace-write");
      assert.equal((await readdir(outside.path)).includes("again"), true);
    },
  );
}

for (const version of codexes(NEWEST_CODEX, OLDEST_CODEX)) {
  test(`a file is accepted for the session in the sandbox of the turn, codex ${version}`, async () => {
    await using w = await world(version);
    const asked: string[] = [];
    const place = await w.session({
      approvals: (request) => {
        asked.push(request.type);
        return { decision: asked.length === 1 ? "acceptForSession" : "decline" };
      },
    });
    await place.act(addFile("a"));
    await place.act(change("x", "y"));
    assert.equal(asked.length, 1);
    await place.session.ask(inPrompt([change("y", "z"), "done"]), { sandbox: "read-only" });
    assert.equal(asked.length, 2);
    assert.equal(await readFile(join(place.cwd, "a"), "utf8"), "y\n");
  });
}

function change(from: string, to: string): testing.ModelStep {
  return applyPatch(`*** Begin Patch\n*** Update File: a\n@@\n-${from}\n+${to}\n*** End Patch`);
}
