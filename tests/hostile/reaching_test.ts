/** Tools of codex's own that act past the sandbox of the session that has them. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { Client, testing } from "../../mod.ts";
import { PolicyError } from "../../src/errors/mod.ts";
import { CODEX_VERSIONS, NEWEST_CODEX, SLOW_BETWEEN } from "../_codex.ts";
import { test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";
import { world } from "../real/_safety_world.ts";
import { listen } from "../real/websocket_world.ts";

const { customToolCall, exec, toolCall } = testing.script;
const FREE = {
  approvalPolicy: "never",
  sandbox: "danger-full-access",
  dangerouslyAllowUnattendedFullAccess: true,
} as const;
const READ_ONLY = { approvalPolicy: "never", sandbox: "read-only" } as const;

/**
 * Every tool that codex 0.104 to 0.169 offers a model, by default or with a feature on, but for those that act past the sandbox of
 * the session; those of a group with its name.
 */
const KNOWN: ReadonlySet<string> = new Set(
  [
    // What they do stays in the session's sandbox, and is asked about as the approval policy says.
    "apply_patch exec_command write_stdin shell shell_command local_shell",
    // Code, in which the other tools are called; `js_repl` can also write by itself, in the sandbox.
    "exec js_repl js_repl_reset",
    // Questions, which come here.
    "request_permissions request_user_input request_plugin_install",
    // MCP servers that the user or the session has set up; calls are asked about, reading their resources is not.
    "list_mcp_resources list_mcp_resource_templates read_mcp_resource",
    // Read what codex itself was given: skills; past a sandbox that limits reading, before 0.145 any picture.
    "view_image skills.installations skills.list skills.read",
    // The session's own thread, agents and goal; `multi_env_copy_file`: its environments, of which a session has one.
    "tool_search search_tool_bm25 update_plan new_context get_context_remaining multi_env_copy_file",
    "clock.curr_time clock.sleep send_message_to_user_async wait_for_environment",
    "create_goal get_goal update_goal",
    "collaboration.spawn_agent collaboration.send_message collaboration.followup_task",
    "collaboration.wait_agent collaboration.interrupt_agent collaboration.list_agents",
    // The model's provider does it; a picture that it makes is kept in codex's home.
    "web_search image_generation",
  ].join(" ").split(" "),
);

for (const version of [...CODEX_VERSIONS, ...SLOW_BETWEEN]) {
  test(`an agent speaks to no thread of another session, codex ${version}`, async () => {
    await using outside = await tempDir("outside-");
    const mark = join(outside.path, "mark");
    const rows = join(outside.path, "rows.csv");
    await writeFile(rows, "a\n1\n");
    let other = "";
    // The tools of one kind are called by their names, those of later codex by those of their group as well.
    const calls = ["", "multi_agent_v1", "collaboration"].flatMap((namespace) => {
      const call = (name: string, args: Parameters<typeof toolCall>[1]) =>
        toolCall(name, args, namespace === "" ? {} : { namespace });
      return [
        () => call("resume_agent", { id: other }),
        () => call("send_input", { id: other, target: other, message: "intruder" }),
        () => call("send_message", { target: other, message: "intruder" }),
        () => call("followup_task", { target: other, message: "intruder" }),
        () => call("close_agent", { id: other, target: other }),
      ];
    });
    await using w = await world(version, {
      script({ text, toolOutputs }) {
        if (text.includes("intruder")) {
          return toolOutputs.length > 0 ? "done" : exec(`touch ${mark}`);
        }
        if (text === "code") {
          const all = customToolCall("exec", "text(Object.keys(tools).join())");
          return toolOutputs.length > 0 ? "done" : all;
        }
        if (text === "attack") return calls[toolOutputs.length]?.() ?? "done";
        if (text !== "rows" || toolOutputs.length > 0) return "ready";
        const args = { csv_path: rows, instruction: "x", output_csv_path: mark };
        return toolCall("spawn_agents_on_csv", args);
      },
    });
    // Whatever the user has switched on, under each of its names.
    const home = w.model.clientConfig().env.set["CODEX_HOME"]!;
    const features = ["multi_agent", "collab", "enable_fanout", "sqlite", "artifact"];
    await writeFile(
      join(home, "config.toml"),
      `[features]\n${features.map((name) => `${name} = true\n`).join("")}`,
    );
    const wide = await w.session(FREE);
    await wide.session.ask("hello");
    other = wide.session.threadId;
    const heard: string[] = [];
    const events = (async () => {
      for await (const event of wide.session.events()) heard.push(event.type);
    })();
    const narrow = await w.session(READ_ONLY);
    await narrow.session.ask("attack");
    await narrow.session.ask("rows");
    // A thread that was begun by a raw call without consent gets no further than a session.
    const { runtime } = w.client;
    const raw = await runtime.request("thread/start", {
      cwd: narrow.cwd,
      sandbox: "read-only",
      approvalPolicy: "untrusted",
    }) as { thread: { id: string } };
    const told = runtime.events({ threadId: raw.thread.id, after: 0 });
    await runtime.request("turn/start", {
      threadId: raw.thread.id,
      input: [{ type: "text", text: "attack" }],
    });
    for await (const { method } of told) if (method === "turn/completed") break;
    // Models of another kind are offered patches as a tool.
    const model = version === "0.104.0" ? "gpt-5-codex-scripted" : "gpt-5.5-scripted";
    const another = await w.session({ ...READ_ONLY, model });
    await another.session.ask("hello");
    // One that has the older tools for agents by codex's own catalog, and calls tools in code (0.145 to 0.169).
    const luna = await w.session({ ...READ_ONLY, model: "gpt-5.6-luna" });
    await luna.session.ask("code");
    const [named] = w.model.requests.at(-1)!.toolOutputs;
    assert.doesNotMatch(named!.text, /send_input/);
    if (version === NEWEST_CODEX) assert.match(named!.text, /exec_command/);
    assert.equal((await wide.session.ask("are you there?")).assistantText, "ready");
    const prompts = w.model.requests.flatMap(({ userTexts }) => userTexts);
    assert.equal(prompts.filter((text) => text.includes("intruder")).length, 0);
    assert.equal(existsSync(mark), false);
    // Nothing that gets past the sandbox is offered, and nothing that is not known.
    const tools = [...new Set(w.model.requests.flatMap((request) => request.tools))];
    assert.ok(tools.includes("exec_command") && tools.includes("apply_patch"), tools.join(" "));
    assert.deepEqual(tools.filter((tool) => !KNOWN.has(tool)), []);
    await wide.session.close();
    await events;
    assert.equal(heard.filter((type) => type === "turnStarted").length, 1);
    // What is written in codex's home starts programs outside the sandbox with the next thread.
    await assert.rejects(
      w.client.startSession({
        cwd: dirname(home),
        sandbox: "workspace-write",
        allowPrivilegedEscalation: true,
      }),
      (error) => error instanceof PolicyError && error.data?.["reason"] === "ownHome",
    );
    // What writes files without a sandbox needs the word of the caller.
    await assert.rejects(
      w.client.startSession({ cwd: narrow.cwd, config: { "features.enable_fanout": true } }),
      PolicyError,
    );
  });
}

for (const version of CODEX_VERSIONS) {
  test(
    `nor on a server that has such tools switched on itself, codex ${version}`,
    async () => {
      await using dir = await tempDir("attached-");
      await using model = await testing.ScriptedModel.start(() => "done");
      const { env } = model.clientConfig();
      await writeFile(
        join(env.set["CODEX_HOME"]!, "config.toml"),
        "[features]\nmulti_agent = true\ncollab = true\n",
      );
      const server = await listen(model, dir.path, { open: true, version });
      const client = await Client.connect({ transport: { type: "websocket", url: server.url } });
      try {
        const reaching = () => model.requests.at(-1)!.tools.some((tool) => /send_input/.test(tool));
        const session = await client.startSession({ cwd: dir.path });
        await session.ask("hello");
        assert.equal(reaching(), false);
        await session.release();
        const again = await client.resumeSession(session.threadId, { cwd: dir.path });
        await again.ask("hello");
        assert.equal(reaching(), false);
        const forked = await client.forkSession(session.threadId, { cwd: dir.path });
        await forked.ask("hello");
        assert.equal(reaching(), false);
        // A raw thread has what that server says.
        const { runtime } = client;
        const raw = await runtime.request("thread/start", {
          cwd: dir.path,
          sandbox: "read-only",
          approvalPolicy: "untrusted",
        }) as { thread: { id: string } };
        const told = runtime.events({ threadId: raw.thread.id, after: 0 });
        const input = [{ type: "text", text: "hello" }];
        await runtime.request("turn/start", { threadId: raw.thread.id, input });
        for await (const { method } of told) if (method === "turn/completed") break;
        assert.equal(reaching(), true);
        if (version !== NEWEST_CODEX) return;
        // Codex keeps with a thread which of these tools it was begun with (0.137 to 0.169); its sessions have none.
        await runtime.request("thread/unsubscribe", { threadId: raw.thread.id });
        const taken = await client.resumeSession(raw.thread.id, { cwd: dir.path });
        await taken.ask("hello");
        assert.equal(reaching(), false);
        const copied = await client.forkSession(raw.thread.id, { cwd: dir.path });
        await copied.ask("hello");
        assert.equal(reaching(), false);
      } finally {
        await client.shutdown();
        await server.close();
      }
    },
  );
}
