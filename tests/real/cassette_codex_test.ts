/** Cassettes of the real codex: recorded with it, played back without it. */
import assert from "node:assert/strict";
import { Client, quickRun } from "../../mod.ts";
import { Cassette, script, ScriptedModel } from "../../src/testing/mod.ts";
import type { ClientConfig } from "../../src/runtime/config.ts";
import { CODEX_VERSIONS, codexes, codexPath } from "../_codex.ts";
import { test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";

const { say, exec, applyPatch } = script;

for (const version of CODEX_VERSIONS) {
  test(`cassette: a prompt to codex ${version} plays back without it`, async () => {
    await using dir = await tempDir();
    const recorder = await (async () => {
      await using model = await ScriptedModel.start([say("Hello.")]);
      const config = model.clientConfig({ codexPath: await codexPath(version) });
      const recorder = Cassette.record(config, { replace: { [dir.path]: "/project" } });
      const result = await quickRun(dir.path, "Say hello", { client: recorder.clientConfig() });
      assert.equal(result.assistantText, "Hello.");
      return recorder;
    })();
    const text = recorder.toString();
    assert.ok(!text.includes(dir.path));

    await using elsewhere = await tempDir();
    const replay = Cassette.load(text).replay();
    const result = await quickRun(elsewhere.path, "Another prompt", {
      client: replay.clientConfig(),
    });
    assert.equal(result.assistantText, "Hello.");
    replay.assertComplete();
  });

  test(`cassette: approvals and two sessions at once with codex ${version} play back`, async () => {
    await using dir = await tempDir();
    const asked: string[] = [];
    const talk = async (config: ClientConfig, cwd: string) => {
      await using client = await Client.connect({
        ...config,
        approvals: (request) => {
          asked.push(request.type);
          return { decision: "accept" };
        },
      });
      const run = async (prompt: string) => {
        const session = await client.startSession({
          cwd,
          approvalPolicy: "untrusted",
          sandbox: "read-only",
        });
        const result = await session.ask(prompt);
        await session.close();
        return result.assistantText;
      };
      return (await Promise.all([run("one"), run("two")])).sort();
    };
    const recorder = await (async () => {
      await using model = await ScriptedModel.start((request) =>
        request.toolOutputs.length === 0
          ? exec(`python3 -c "print(1)"`)
          : say(`done ${request.text}`)
      );
      const config = model.clientConfig({ codexPath: await codexPath(version) });
      const recorder = Cassette.record(config);
      assert.deepEqual(await talk(recorder.clientConfig(), dir.path), ["done one", "done two"]);
      return recorder;
    })();
    assert.deepEqual(asked.splice(0), ["command", "command"]);

    const replay = Cassette.load(recorder.toString()).replay();
    assert.deepEqual(await talk(replay.clientConfig(), dir.path), ["done one", "done two"]);
    assert.deepEqual(asked, ["command", "command"]);
    replay.assertComplete();
  });
}

for (const version of codexes(...CODEX_VERSIONS, "0.145.0")) {
  test(`cassette: a patch that was accepted with codex ${version} is accepted in the replay`, async () => {
    await using dir = await tempDir();
    const talk = async (config: ClientConfig) => {
      await using client = await Client.connect({
        ...config,
        approvals: () => ({ decision: "accept" }),
      });
      await using session = await client.startSession({
        cwd: dir.path,
        approvalPolicy: "untrusted",
        sandbox: "workspace-write",
        allowPrivilegedEscalation: true,
      });
      const { items } = await session.ask("one");
      return items.flatMap((item) => item.type === "fileChange" ? [item.status] : []);
    };
    const patch = "*** Begin Patch\n*** Add File: a\n+1\n*** Add File: b\n+1\n*** End Patch";
    const recorder = await (async () => {
      await using model = await ScriptedModel.start([applyPatch(patch), say("done")]);
      const config = model.clientConfig({ codexPath: await codexPath(version) });
      const recorder = Cassette.record(config);
      assert.deepEqual(await talk(recorder.clientConfig()), ["completed"]);
      return recorder;
    })();
    const replay = Cassette.load(recorder.toString()).replay();
    assert.deepEqual(await talk(replay.clientConfig()), ["completed"]);
    replay.assertComplete();
  });
}
