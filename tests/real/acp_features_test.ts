/** What an editor may have beyond a conversation: plans and forms, MCP servers, reviews, terminals, on the real codex. */
import assert from "node:assert/strict";
import { script } from "../../src/testing/mod.ts";
import { CODEX_VERSIONS } from "../_codex.ts";
import { test } from "../_harness.ts";
import { Editor, serveHere } from "./_acp_world.ts";
import { callMcp, httpServer } from "./_mcp_world.ts";
import { inWorld, rejection } from "./_session_world.ts";

const QUESTION = {
  questions: [{
    id: "where",
    header: "Where",
    question: "Which file?",
    options: [{ label: "a.ts", description: "the first" }, {
      label: "b.ts",
      description: "the other",
    }],
  }],
};

for (const version of CODEX_VERSIONS) {
  test(
    `plans, forms, MCP servers, reviews and terminals [${version}]`,
    () =>
      inWorld(version, async (world) => {
        await using http = await httpServer();
        const client = await world.connect({ approvalTimeoutMs: 60_000 });
        const { streams, served } = serveHere(client);
        const editor = await Editor.open(streams);
        const hello = await editor.initialize({
          _meta: { terminal_output: true },
          session: { notices: {}, compaction: {} },
          elicitation: { form: {} },
        });
        assert.equal(hello.agentCapabilities?.mcpCapabilities?.http, true);
        const { cwd } = world;
        const server = (name: string, token: string) => ({
          type: "http",
          name,
          url: http.url,
          headers: [{ name: "Authorization", value: `Bearer ${token}` }],
        });
        const { sessionId } = await editor.agent.request<{ sessionId: string }>("session/new", {
          cwd,
          mcpServers: [server("the docs", "let-nobody-in"), server("the.docs", "let-me-in")],
        });

        // The editor's MCP servers work, also where codex's signs make their names alike; a program needs the consent of whoever serves.
        await editor.ask(
          sessionId,
          world.prompt([[callMcp(version, "the_docs_2", "see")], "Seen."]),
        );
        const call = editor.told("tool_call").find(({ title }) => title === "the_docs_2: see");
        assert.ok(call, JSON.stringify(editor.updates));
        const result = editor.told("tool_call_update").find((each) =>
          each.toolCallId === call.toolCallId && each.status === "completed"
        );
        assert.match(JSON.stringify(result?.content), /let-me-in/);
        const program = { name: "git", command: "true", args: [], env: [] };
        const refused = await rejection(
          editor.agent.request("session/new", { cwd, mcpServers: [program] }),
        ) as Error;
        assert.match(refused.message, /allowPrivilegedEscalation/);

        // A command in a terminal of the editor's.
        editor.updates.length = 0;
        await editor.ask(sessionId, world.prompt([[script.exec("echo shown && false")], "Ran."]));
        const shell = editor.told("tool_call")[0]!;
        assert.deepEqual(shell.content, [{ type: "terminal", terminalId: shell.toolCallId }]);
        const metas = editor.told("tool_call_update").map(({ _meta }) => JSON.stringify(_meta));
        assert.equal(metas.join("").split("shown").length, 2, "the output is told once");
        assert.match(metas.at(-1)!, /"exit_code":1/);

        // Commands. Codex 0.104 has them only where the last prompt ran in the session's own mode.
        editor.updates.length = 0;
        assert.equal((await editor.ask(sessionId, "/compact")).stopReason, "end_turn");
        assert.equal(editor.told("compaction_update").at(-1)?.status, "completed");
        // On 0.104 there is one.
        assert.equal(editor.text("agent_thought_chunk"), "", "a notice is told as one");
        assert.match(editor.text("agent_message_chunk"), /summed up/);
        editor.updates.length = 0;
        await editor.ask(sessionId, `/review ${world.prompt(["No mistakes."], "Look well.")}`);
        assert.match(editor.text("agent_message_chunk"), /No mistakes\./);
        assert.equal(
          editor.text("agent_message_chunk").split("No mistakes.").length,
          2,
          "told once",
        );
        const bare = await rejection(editor.ask(sessionId, "/review-commit")) as { code: number };
        assert.equal(bare.code, -32602);

        // A plan, with a question that the editor's user answers in a form.
        editor.updates.length = 0;
        editor.fill = () => ({ action: "accept", content: { where: "b.ts" } });
        await editor.agent.request("session/set_mode", { sessionId, modeId: "plan" });
        await editor.ask(
          sessionId,
          world.prompt([
            [script.toolCall("request_user_input", QUESTION)],
            "<proposed_plan>\n1. Write b.ts\n</proposed_plan>",
          ]),
        );
        assert.equal(editor.forms.length, 1);
        assert.match(JSON.stringify(editor.forms[0]), /"const":"b\.ts"|a\.ts: the first; b\.ts/);
        assert.match(JSON.stringify(world.model.requests.at(-1)!.body["input"]), /b\.ts/);
        assert.match(editor.text("agent_message_chunk"), /1\. Write b\.ts/);
        assert.equal(editor.text("agent_message_chunk").split("Write b.ts").length, 2, "told once");

        // Why a turn failed, and why one was stopped.
        const failed = await rejection(
          editor.ask(sessionId, world.prompt([script.failed("invalid_prompt", "no such thing")])),
        ) as Error & { data?: { code?: string } };
        assert.match(failed.message, /no such thing/);
        await editor[Symbol.asyncDispose]();
        await served;
      }),
  );
}

test("a thread that is larger than a message of codex's can be loaded", () =>
  inWorld("0.169.0", async (world) => {
    const { cwd } = world;
    const client = await world.connect();
    const session = await client.startSession({ cwd, ephemeral: false });
    for (let n = 1; n <= 3; n++) await session.ask(`Part ${n}. ${"x".repeat(60_000)}`);
    await session.release();
    const { streams } = serveHere(await world.connect({ maxMessageBytes: 200_000 }));
    await using editor = await Editor.open(streams);
    await editor.initialize();
    const { threadId: sessionId } = session;
    await editor.agent.request("session/load", { sessionId, cwd, mcpServers: [] });
    const told = editor.text("user_message_chunk");
    assert.deepEqual(told.match(/Part \d\./g), ["Part 1.", "Part 2.", "Part 3."]);
  }));
