/** What the agent's own agents ask is the session's to answer, and what they do is no turn of it. */
import assert from "node:assert/strict";
import { access, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { Client } from "../../src/session/client/client.ts";
import { script, ScriptedModel } from "../../src/testing/mod.ts";
import { WebAdapter } from "../../src/web/adapter.ts";
import { codexPath } from "../_codex.ts";
import { test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";

test("a question of a sub-agent is listed and can be answered, and leaves no turn behind", {
  timeoutMs: 60_000,
}, async () => {
  await using directory = await tempDir("sub-");
  const home = join(directory.path, "home");
  const cwd = join(directory.path, "work");
  await Promise.all([mkdir(home), mkdir(cwd)]);
  const namespace = "multi_agent_v1";
  let round = 0;
  const model = await ScriptedModel.start((request) => {
    const { text, toolOutputs } = request;
    if (text === "child") return toolOutputs.length === 0 ? script.exec("touch made.txt") : "Made.";
    // Codex tells the agent of its agent's end by a message of its own.
    round++;
    if (round === 1) {
      return script.toolCall("spawn_agent", { message: "child" }, { namespace });
    }
    if (round === 2) {
      const [, agent] = /"agent_id":\s*"([^"]+)"/.exec(toolOutputs[0]!.text) ?? [];
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
  const adapter = new WebAdapter({
    client,
    cwd: () => cwd,
    profile: {
      approvalPolicy: "untrusted",
      sandbox: "workspace-write",
      allowPrivilegedEscalation: true,
    },
  });
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
  } finally {
    await adapter.close();
    await client.shutdown();
    await model.close();
  }
});
