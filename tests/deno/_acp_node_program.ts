/** An editor with the SDK of the Agent Client Protocol, and the agent that it talks to, for runtimes without `await using`. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { Client, testing } from "../../mod.ts";
import { Editor, serveHere } from "../real/_acp_world.ts";

const { script, ScriptedModel } = testing;
const cwd = await mkdtemp(join(homedir(), ".cache", "acp-node-"));
const model = await ScriptedModel.start();

async function open(): Promise<{ editor: Editor; client: Client; served: Promise<void> }> {
  const client = await Client.connect(model.clientConfig());
  const { streams, served } = serveHere(client, { allowPrivilegedEscalation: true });
  const editor = await Editor.open(streams);
  await editor.initialize();
  return { editor, client, served };
}

const first = await open();
const { sessionId } = await first.editor.start(cwd);
const ask = (turns: Parameters<typeof script.inPrompt>[0]) =>
  first.editor.ask(sessionId, script.inPrompt(turns));
const done = await ask([script.exec("echo hello"), "It says hello."]);
assert.equal(done.stopReason, "end_turn");
assert.equal(first.editor.text("agent_message_chunk"), "It says hello.");
const patch = "*** Begin Patch\n*** Add File: no.txt\n+one\n*** End Patch";
await ask([script.applyPatch(patch), "No."]);
assert.equal(first.editor.asked.length, 1);
assert.ok(!existsSync(join(cwd, "no.txt")));
const running = ask([[script.say("Half", { open: true }), script.hang()]]);
await first.editor.until(() => first.editor.text("agent_message_chunk").includes("Half"));
await first.editor.agent.notify("session/cancel", { sessionId });
assert.equal((await running).stopReason, "cancelled");
await first.editor[Symbol.asyncDispose]();
await first.served;
await first.client.shutdown();

// Another agent goes on with what the first one left.
const second = await open();
await second.editor.agent.request("session/load", { sessionId, cwd, mcpServers: [] });
assert.match(second.editor.text("agent_message_chunk"), /It says hello\./);
assert.equal((await second.editor.ask(sessionId, "Still there?")).stopReason, "end_turn");
await second.editor[Symbol.asyncDispose]();
await second.served;
await second.client.shutdown();
await model.close();
await rm(cwd, { recursive: true });
console.log("an editor conversed, stopped, declined and came back");
process.exit(0);
