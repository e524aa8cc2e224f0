/** What is found out about the real codex. */
import assert from "node:assert/strict";
import { diagnose } from "../../src/runtime/namespace.ts";
import { ScriptedModel } from "../../src/testing/mod.ts";
import { CODEX_VERSIONS, codexPath, NEWEST_CODEX } from "../_codex.ts";
import { test } from "../_harness.ts";

for (const version of CODEX_VERSIONS) {
  test(`diagnose() knows codex ${version}`, async () => {
    await using model = await ScriptedModel.start([]);
    const path = await codexPath(version);
    const config = model.clientConfig({ codexPath: path });
    const { ok, problems, codex, login, drift } = await diagnose({
      ...config,
      experimentalApi: true,
    });
    assert.deepEqual(problems, []);
    assert.equal(ok, true);
    assert.equal(codex.version, version);
    assert.equal(codex.path, path);
    assert.deepEqual(login, { type: null, plan: null, required: false });
    if (version === NEWEST_CODEX) {
      // Left over from the first protocol: the server has them, its own schema does not tell.
      const leftOver = ["getAuthStatus", "getConversationSummary", "gitDiffToRemote"];
      assert.deepEqual(drift, { missing: [], unknown: leftOver });
    } else {
      assert.ok(drift!.missing.includes("thread/delete"));
      assert.ok(drift!.unknown.includes("newConversation"));
      assert.ok(!drift!.missing.includes("thread/start"));
    }
  });
}
