/** What the agent's own agents ask is the session's to answer, and what they do is no turn of it. */
import assert from "node:assert/strict";
import { access, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { Client } from "../../src/session/client/client.ts";
import { script, ScriptedModel } from "../../src/testing/mod.ts";
import { WebAdapter } from "../../src/web/adapter.ts";
import type { WebAdapterOptions } from "../../src/web/options.ts";
import { MemorySessionStore } from "../../src/web/store/session_store.ts";
import { codexPath, NEWEST_CODEX } from "../_codex.ts";
import { test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";
import { makeUsed } from "../_used_home.ts";

test(
  "a sub-agent's question is listed and answered, it leaves no turn behind, and why one failed is not told",
  async () => {
    await using directory = await tempDir("sub-");
    const home = join(directory.path, "home");
    const cwd = join(directory.path, "work");
    await Promise.all([makeUsed(home, NEWEST_CODEX), mkdir(cwd)]);
    const namespace = "multi_agent_v1";
    let round = 0;
    const model = await ScriptedModel.start((request) => {
      const { text, toolOutputs } = request;
      if (text === "child") {
        return toolOutputs.length === 0 ? script.exec("touch made.txt") : "Made.";
      }
      if (text === "lost") {
        return script.httpError(401, {
          error: { message: "Incorrect API key provided: sk-INSIDE" },
        });
      }
      if (/let one fail/.test(text) && round > 2) round = 0;
      // Codex tells the agent of its agent's end by a message of its own.
      round++;
      if (round === 1) {
        const message = /let one fail/.test(text) ? "lost" : "child";
        return script.toolCall("spawn_agent", { message }, { namespace });
      }
      if (round === 2) {
        const [, agent] = /"agent_id":\s*"([^"]+)"/.exec(toolOutputs.at(-1)!.text) ?? [];
        return script.toolCall("wait_agent", { targets: [agent ?? ""], timeout_ms: 20_000 }, {
          namespace,
        });
      }
      return "All done.";
    });
    const client = await Client.connect({
      ...model.clientConfig({ codexPath: await codexPath(), home }),
      approvalTimeoutMs: 20_000,
    });
    const options: WebAdapterOptions = {
      client,
      cwd: () => cwd,
      store: new MemorySessionStore(),
      profile: {
        approvalPolicy: "untrusted",
        sandbox: "workspace-write",
        allowPrivilegedEscalation: true,
        config: { "features.multi_agent": true },
      },
    };
    const adapter = new WebAdapter(options);
    try {
      const { sessionId, threadId } = await adapter.createSession("ann");
      await adapter.createTurn("ann", sessionId, { text: "let a child make it" });
      let asked = 0;
      for await (const { event } of adapter.subscribeEvents("ann", sessionId)) {
        if (event.type === "approvalRequested") {
          assert.notEqual(event.request.threadId, threadId);
          asked++;
          const listed = await adapter.approvals("ann", sessionId);
          assert.deepEqual(listed.map(({ request }) => request.id), [event.request.id]);
          await adapter.postApproval("ann", sessionId, event.request.id, { decision: "accept" });
        }
        if (event.type === "turnCompleted") break;
      }
      assert.equal(asked, 1, "a question is told once");
      await access(join(cwd, "made.txt"));
      const { turns, runningTurnId, agents } = await adapter.readSession("ann", sessionId);
      assert.deepEqual([turns.map(({ status }) => status), runningTurnId], [["completed"], null]);
      // What the agent's agent did is shown, as its own.
      assert.equal(agents.length, 1);
      assert.notEqual(agents[0]!.threadId, threadId);
      assert.deepEqual(agents[0]!.turns.map(({ status }) => status), ["completed"]);
      const kinds = agents[0]!.turns[0]!.items.map(({ type }) => type);
      assert.ok(kinds.includes("commandExecution") && kinds.includes("agentMessage"), `${kinds}`);

      // Why an agent failed is said in the provider's words, with its address: not to tenants, now and later.
      const { cursor } = await adapter.readSession("ann", sessionId);
      await adapter.createTurn("ann", sessionId, { text: "let one fail" });
      const told: string[] = [];
      for await (const { event } of adapter.subscribeEvents("ann", sessionId, { after: cursor })) {
        told.push(JSON.stringify(event));
        if (event.type === "turnCompleted") break;
      }
      assert.ok(told.some((text) => text.includes(`"status":"errored"`)), "its end was told");
      told.push(JSON.stringify(await adapter.readSession("ann", sessionId)));
      await adapter.close();
      const later = new WebAdapter(options);
      told.push(JSON.stringify(await later.readSession("ann", sessionId)));
      await later.close();
      assert.ok(told.at(-1)!.includes("let one fail"));
      for (const text of told) assert.ok(!/INSIDE|\/v1\/responses/.test(text), text);
    } finally {
      await adapter.close();
      await client.shutdown();
      await model.close();
    }
  },
);
