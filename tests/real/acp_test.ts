/** An editor on codex by the Agent Client Protocol: the real client of its SDK, the real codex. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { script } from "../../src/testing/mod.ts";
import { CODEX_VERSIONS, type CodexVersion } from "../_codex.ts";
import { test } from "../_harness.ts";
import { choose, Editor, serveHere } from "./_acp_world.ts";
import { inWorld, rejection, whenGone, type World } from "./_session_world.ts";

const PNG =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
const ESCALATED = { sandbox_permissions: "require_escalated", justification: "please" };

const added = (name: string) => `*** Begin Patch\n*** Add File: ${name}\n+one\n+two\n*** End Patch`;

function versions(
  name: string,
  act: (world: World, version: CodexVersion) => Promise<void>,
): void {
  for (const version of CODEX_VERSIONS) {
    const run = () => inWorld(version, (world) => act(world, version));
    test(`${name} [${version}]`, { timeoutMs: 120_000 }, run);
  }
}

versions("an editor converses, chooses, stops, and comes back", async (world, version) => {
  const client = await world.connect({ approvalTimeoutMs: 60_000 }, {
    configOverrides: { model_reasoning_effort: "low" },
  });
  const { streams, served } = serveHere(client, { allowPrivilegedEscalation: true });
  const editor = await Editor.open(streams);
  const { cwd } = world;

  // Hello.
  const hello = await editor.initialize();
  assert.equal(hello.protocolVersion, 1);
  assert.equal(hello.agentCapabilities?.loadSession, true);
  assert.equal(hello.agentCapabilities?.promptCapabilities?.image, true);
  const { sessionId, modes, configOptions } = await editor.start(cwd);
  assert.equal(modes?.currentModeId, "ask");
  assert.deepEqual(modes?.availableModes.map(({ id }) => id), [
    "read-only",
    "plan",
    "ask",
    "workspace-write",
  ]);
  assert.deepEqual(configOptions?.map(({ id }) => id), ["mode", "model", "effort"]);
  assert.equal(configOptions.at(-1)!.currentValue, "low");
  await editor.until(() => editor.told("available_commands_update").length > 0);

  // Thought, command, plan, message.
  const looked = await editor.ask(
    sessionId,
    world.prompt([
      [script.reason("I look first."), script.exec("echo hello")],
      ...(version === "0.104.0"
        ? [script.toolCall("update_plan", { plan: [{ step: "look", status: "in_progress" }] })]
        : []),
      script.say(["All ", "**done**."]),
    ]),
  );
  assert.equal(looked.stopReason, "end_turn");
  // Before it a warning: an old codex would let some programs leave its sandbox unasked.
  const thought = editor.text("agent_thought_chunk");
  assert.match(
    thought,
    version === "0.104.0" ? /"untrusted".*I look first\.$/s : /^I look first\.$/,
  );
  assert.equal(editor.text("agent_message_chunk"), "All **done**.");
  assert.equal(editor.text("user_message_chunk"), "");
  const [call] = editor.told("tool_call");
  assert.equal(call?.title, "echo hello");
  const ended = editor.told("tool_call_update").at(-1);
  assert.equal(ended?.toolCallId, call?.toolCallId);
  assert.equal(ended?.status, "completed");
  assert.deepEqual(ended?.rawOutput, { exitCode: 0, output: "hello\n" });
  assert.ok(editor.told("usage_update").at(-1)!.size > 0);
  if (version === "0.104.0") {
    assert.deepEqual(editor.told("plan").at(-1)?.entries, [
      { content: "look", priority: "medium", status: "in_progress" },
    ]);
  }
  assert.equal(editor.asked.length, 0);

  // What is asked for is declined, and does not happen.
  editor.updates.length = 0;
  const declined = world.prompt([script.applyPatch(added("declined.txt")), "No."]);
  assert.equal((await editor.ask(sessionId, declined)).stopReason, "end_turn");
  assert.equal(existsSync(join(cwd, "declined.txt")), false);
  const [asked] = editor.asked;
  assert.deepEqual(asked?.options.map(({ kind }) => kind), [
    "allow_once",
    "allow_always",
    "reject_once",
  ]);
  assert.deepEqual(asked?.toolCall.content, [
    { type: "diff", path: join(cwd, "declined.txt"), newText: "one\ntwo\n" },
  ]);
  assert.equal(asked?.toolCall.toolCallId, editor.told("tool_call")[0]?.toolCallId);
  assert.equal(editor.told("tool_call_update").at(-1)?.status, "failed");

  // What was not offered is declined too.
  editor.answer = () => ({ outcome: { outcome: "selected", optionId: "yes" } });
  await editor.ask(sessionId, world.prompt([script.applyPatch(added("odd.txt")), "No."]));
  assert.equal(existsSync(join(cwd, "odd.txt")), false);

  // What is accepted happens.
  editor.answer = choose("allow_once");
  const escalated = script.exec(
    "echo 1 > ../acp-$$ && echo outside",
    // It may not even ask to under "untrusted".
    version === "0.104.0" ? {} : ESCALATED,
  );
  await editor.ask(
    sessionId,
    world.prompt([escalated, script.applyPatch(added("yes.txt")), "Yes."]),
  );
  assert.equal(existsSync(join(cwd, "yes.txt")), true);
  const command = editor.asked.find(({ toolCall }) => toolCall.kind === "execute");
  assert.match(command?.toolCall.title ?? "", /&& echo outside$/);
  if (version !== "0.104.0") {
    assert.match(JSON.stringify(command?.toolCall.content), /please/);
  }

  // In the workspace nobody is asked, but by an old codex; an edit is told by its hunks.
  editor.asked.length = editor.updates.length = 0;
  await editor.agent.request("session/set_mode", { sessionId, modeId: "workspace-write" });
  const edit = "*** Begin Patch\n*** Update File: yes.txt\n@@\n one\n-two\n+three\n*** End Patch";
  await editor.ask(sessionId, world.prompt([script.applyPatch(edit), "Edited."]));
  assert.equal(editor.asked.length, version === "0.104.0" ? 1 : 0);
  editor.asked.length = 0;
  assert.deepEqual(editor.told("tool_call_update").at(-1)?.content, [{
    type: "diff",
    path: join(cwd, "yes.txt"),
    oldText: "one\ntwo\n",
    newText: "one\nthree\n",
  }]);

  // Read only: not even asked.
  const { configOptions: now } = await editor.agent.request("session/set_config_option", {
    sessionId,
    configId: "mode",
    value: "read-only",
  });
  assert.equal(now.find(({ id }) => id === "mode")?.currentValue, "read-only");
  assert.equal(editor.told("current_mode_update").at(-1)?.currentModeId, "read-only");
  await editor.ask(sessionId, world.prompt([script.applyPatch(added("never.txt")), "No."]));
  assert.equal(editor.asked.length, 0);
  assert.equal(existsSync(join(cwd, "never.txt")), false);

  // Model, effort, images and files.
  const model = configOptions!.find(({ id }) => id === "model")!;
  assert.ok(model.type === "select");
  const chosen = (model.options as { value: string }[]).at(-1)!.value;
  await editor.agent.request("session/set_config_option", {
    sessionId,
    configId: "model",
    value: chosen,
  });
  await editor.agent.request("session/set_config_option", {
    sessionId,
    configId: "effort",
    value: "high",
  });
  editor.updates.length = 0;
  await editor.ask(sessionId, [
    { type: "text", text: "See " },
    { type: "resource_link", uri: `file://${cwd}/yes.txt`, name: "yes.txt" },
    { type: "text", text: " and " },
    { type: "resource", resource: { uri: "file:///x/a.ts", text: "const a = `1`;" } },
    { type: "image", mimeType: "image/png", data: PNG },
  ]);
  const request = world.model.requests.at(-1)!;
  assert.equal(request.model, chosen);
  assert.match(JSON.stringify(request.body), /data:image\/png;base64,iVBOR/);
  assert.match(JSON.stringify(request.body["reasoning"]), /high/);
  assert.ok(
    request.text.includes(
      `See [@yes.txt](file://${cwd}/yes.txt) and [@a.ts](file:///x/a.ts)\n` +
        "```\nconst a = `1`;\n```",
    ),
    request.text,
  );

  // Stopped: a running command is gone, and so is a question.
  editor.updates.length = editor.asked.length = 0;
  const running = editor.ask(sessionId, world.prompt([[script.exec("sleep 3171")]]));
  await editor.until(() => editor.told("tool_call").length > 0);
  await poll(() => world.commands("sleep 3171").length > 0);
  const pids = world.commands("sleep 3171");
  await editor.agent.notify("session/cancel", { sessionId });
  assert.equal((await running).stopReason, "cancelled");
  assert.equal(editor.told("tool_call_update").at(-1)?.status, "failed");
  for (const pid of pids) await whenGone(pid);
  await editor.agent.request("session/set_mode", { sessionId, modeId: "ask" });
  const withdrawn = Promise.withResolvers<void>();
  editor.answer = (_, signal) => {
    signal.addEventListener("abort", () => withdrawn.resolve());
    return new Promise(() => {});
  };
  const waiting = editor.ask(sessionId, world.prompt([script.applyPatch(added("open.txt"))]));
  await editor.until(() => editor.asked.length > 0);
  const second = await rejection(editor.ask(sessionId, "Meanwhile?")) as { code: number };
  assert.equal(second.code, -32600);
  await editor.agent.notify("session/cancel", { sessionId });
  const anew = editor.ask(sessionId, "Again.");
  assert.equal((await waiting).stopReason, "cancelled");
  await withdrawn.promise;
  assert.equal((await anew).stopReason, "end_turn");
  assert.equal(existsSync(join(cwd, "open.txt")), false);

  // Stopped at whatever moment: each prompt ends once, as cancelled, and the next one is answered.
  for (const moments of version === "0.104.0" ? [] : [0, 1, 3, 8, 20, 60]) {
    const given = editor.ask(sessionId, world.prompt([[script.hang()]]));
    await new Promise((resolve) => setTimeout(resolve, moments));
    await editor.agent.notify("session/cancel", { sessionId });
    assert.equal((await given).stopReason, "cancelled", `after ${moments} ms`);
  }
  assert.equal((await editor.ask(sessionId, "After that.")).stopReason, "end_turn");

  // Several sessions at once, one of which is stopped: each has its own answer, whatever is in the prompt.
  if (version !== "0.104.0") {
    const large = Buffer.concat([Buffer.from(PNG, "base64"), Buffer.alloc(8 << 20, 7)]);
    const image = { type: "image" as const, mimeType: "image/png", data: large.toString("base64") };
    const ids = await Promise.all(
      Array.from({ length: 8 }, async () => (await editor.start(cwd)).sessionId),
    );
    editor.updates.length = 0;
    const answers = ids.map((each, n) =>
      n === 0
        ? editor.ask(each, world.prompt([[script.hang()]]))
        : editor.ask(each, [{ type: "text", text: `This is ${n}.` }, ...(n === 1 ? [image] : [])])
    );
    await Promise.all(answers.slice(1));
    await editor.agent.notify("session/cancel", { sessionId: ids[0]! });
    const stops = (await Promise.all(answers)).map(({ stopReason }) => stopReason);
    assert.deepEqual(stops, ["cancelled", ...Array(7).fill("end_turn")]);
    const said = ids.map((each) =>
      editor.updates.map(({ sessionId, update }) =>
        sessionId === each && update.sessionUpdate === "agent_message_chunk" &&
          update.content.type === "text"
          ? update.content.text
          : ""
      ).join("").trimEnd()
    );
    assert.deepEqual(said, ids.map((_, n) => n === 0 ? "" : `You said: This is ${n}.`));
    const seen = world.model.requests.find(({ text }) => text.includes("This is 1."))!;
    assert.match(JSON.stringify(seen.body), /data:image\/png;base64,/);
  }

  // The editor is closed in the middle of a turn: the agent lets everything go.
  editor.answer = choose("allow_once");
  const cut = editor.ask(sessionId, world.prompt([[script.exec("sleep 3172")]]));
  cut.catch(() => {});
  await poll(() => world.commands("sleep 3172").length > 0);
  const left = world.commands("sleep 3172");
  await editor[Symbol.asyncDispose]();
  await served;
  for (const pid of left) await whenGone(pid);
  await client.shutdown();

  // Another agent, another day: the session is listed, loaded as it was, and goes on.
  const later = await world.connect();
  const there = serveHere(later);
  await using back = await Editor.open(there.streams);
  await back.initialize();
  const { sessions } = await back.agent.request("session/list", { cwd });
  const listed = sessions.find((each) => each.sessionId === sessionId);
  assert.equal(listed?.cwd, cwd);
  assert.match(listed?.title ?? "", /^Do it\./);
  const loaded = await back.agent.request("session/load", { sessionId, cwd, mcpServers: [] });
  assert.equal(loaded.modes?.currentModeId, "ask");
  assert.match(back.text("user_message_chunk"), /^Do it\. \[play-1\]/);
  assert.match(back.text("agent_message_chunk"), /^All \*\*done\*\*\./);
  assert.ok(back.told("user_message_chunk").some(({ content }) => content.type === "image"));
  // Codex 0.104 keeps messages only.
  const patched = back.told("tool_call").find(({ title }) => title === "Edit yes.txt");
  assert.equal(patched?.status, version === "0.104.0" ? undefined : "completed");
  assert.equal(back.asked.length, 0);
  back.updates.length = 0;
  await back.ask(sessionId, "And now?");
  assert.match(back.text("agent_message_chunk"), /You said: And now\?/);
  // The model that is shown is the one that answers: 0.104 forgets which one was chosen.
  const shown = loaded.configOptions?.find(({ id }) => id === "model");
  assert.equal(shown?.currentValue, world.model.requests.at(-1)!.model);
  const { sessionId: copy } = await back.agent.request<{ sessionId: string }>("session/fork", {
    sessionId,
    cwd,
    mcpServers: [],
  });
  assert.notEqual(copy, sessionId);
  await back.agent.request("session/close", { sessionId });
  const closed = await rejection(back.ask(sessionId, "Still there?")) as { code: number };
  assert.equal(closed.code, -32002);
  await back.agent.request("session/resume", { sessionId, cwd });
  assert.equal((await back.ask(sessionId, "Once more.")).stopReason, "end_turn");
  await back[Symbol.asyncDispose]();
  await there.served;
});

/** Waits for what only looking can tell. */
async function poll(look: () => boolean): Promise<void> {
  while (!look()) await new Promise((resolve) => setTimeout(resolve, 20));
}
