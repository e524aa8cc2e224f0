/** Whose hooks are asked about which thread: what the real codex shows too rarely to be tested with it. */
import assert from "node:assert/strict";
import { appendFile, mkdir } from "node:fs/promises";
import { join } from "node:path";
import {
  Client,
  type ClientConfig,
  type plugin,
  type Session,
  type SessionConfig,
} from "../../mod.ts";
import { DIALECTS, FakeServer, fakeTransport, type Message, recorded } from "../_fake_server.ts";
import { test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";

const COMMAND = "item/commandExecution/requestApproval";
const DECLINED = { decision: "decline" };
const ACCEPTED = { decision: "accept" };
const ACCEPT = () => ({ decision: "accept" }) as const;

interface Stage {
  client: Client;
  server: FakeServer;
  open(config?: Partial<SessionConfig>): Promise<Session>;
  /** Asks about a command of a thread; resolves with the answer's result. */
  ask(threadId: string, turnId?: string): Promise<Message>;
  /** Tells of an item of a thread. */
  item(threadId: string, item: Message, method?: string): void;
}

async function onFake(config: ClientConfig, act: (stage: Stage) => Promise<void>): Promise<void> {
  for (const dialect of DIALECTS) {
    await using dir = await tempDir("hooks-");
    const cwd = join(dir.path, "w");
    await mkdir(cwd);
    let server: FakeServer | undefined;
    const open = fakeTransport((end) => server = new FakeServer(end, { dialect }));
    const client = await Client.connect({ ...config, transport: { type: "custom", open } });
    const question = recorded(dialect, "command-accept", COMMAND).params;
    try {
      await act({
        client,
        server: server!,
        open: (own = {}) => client.startSession({ cwd, ...own }),
        async ask(threadId, turnId = "someone-elses-turn") {
          const answer = await server!.ask(COMMAND, { ...question, threadId, turnId });
          return answer.result;
        },
        item(threadId, item, method = "item/completed") {
          server!.notify(method, { threadId, turnId: "t", item });
        },
      });
    } finally {
      await client.shutdown();
    }
  }
}

/** Tool hooks that note the threads they are asked about. */
function noting(seen: (string | undefined)[], verdict: plugin.HookAction): plugin.Hooks {
  return {
    pre: [{
      name: "note",
      phases: ["preToolUse"],
      call({ threadId }) {
        seen.push(threadId);
        return verdict;
      },
    }],
  };
}

const spawned = (id: string): Message => ({
  type: "collabAgentToolCall",
  id: `spawn-${id}`,
  tool: "spawnAgent",
  status: "completed",
  receiverThreadIds: [id],
});

test("a question that comes before a session's first turn passes its hooks or is declined", async () => {
  await onFake({ approvals: ACCEPT }, async ({ open, ask }) => {
    const seen: (string | undefined)[] = [];
    const hooked = await open({ hooks: noting(seen, { type: "block", reason: "no" }) });
    assert.deepEqual(await ask(hooked.threadId), DECLINED);
    const plain = await open();
    assert.deepEqual(await ask(plain.threadId), ACCEPTED);
  });
});

test("a session that ended has no say any more, and neither have its agents' threads", async () => {
  const client: (string | undefined)[] = [];
  await onFake(
    { approvals: ACCEPT, hooks: noting(client, { type: "continue" }) },
    async ({ open, ask, item }) => {
      const seen: (string | undefined)[] = [];
      const hooks: plugin.Hooks = {
        pre: [{
          name: "own",
          phases: ["preToolUse"],
          call({ threadId }) {
            seen.push(threadId);
            return { type: "block", reason: "no" };
          },
        }],
      };
      const session = await open({ hooks });
      await session.ask("x");
      item(session.threadId, spawned("kid"));
      assert.deepEqual(await ask("kid"), DECLINED);
      assert.deepEqual(seen, ["kid"]);
      await session.close();
      client.length = 0;
      assert.deepEqual(await ask("kid"), ACCEPTED);
      assert.deepEqual(await ask(session.threadId), ACCEPTED);
      assert.deepEqual(seen, ["kid"]);
      // The client's own hooks are asked wherever no session is.
      assert.deepEqual(client, ["kid", session.threadId]);
    },
  );
});

test("what hooks do after a prompt has ended does not change its result", async () => {
  await onFake({}, async ({ open, ask }) => {
    const session = await open({ hooks: noting([], { type: "block", reason: "no" }) });
    const { hooks } = await session.ask("x");
    assert.deepEqual(await ask(session.threadId), DECLINED);
    assert.deepEqual(hooks, { issues: [], ran: [] });
  });
});

test("threads are taken in however deep they are started, but not those of another session", async () => {
  await onFake({ approvals: ACCEPT }, async ({ open, ask, item }) => {
    const seen: (string | undefined)[] = [];
    const session = await open({ hooks: noting(seen, { type: "block", reason: "no" }) });
    const other = await open();
    await session.ask("x");
    item(session.threadId, spawned("kid"));
    item("kid", spawned("grandkid"));
    item(session.threadId, {
      type: "subAgentActivity",
      id: "activity",
      kind: "started",
      agentPath: "a",
      agentThreadId: "walker",
    });
    // An agent can name any thread, such as one to send a message to.
    item(session.threadId, spawned(other.threadId));
    for (const id of ["kid", "grandkid", "walker"]) assert.deepEqual(await ask(id), DECLINED, id);
    assert.deepEqual(await ask(other.threadId), ACCEPTED);
    assert.deepEqual(await ask("stranger"), ACCEPTED);
    assert.deepEqual(seen, ["kid", "grandkid", "walker"]);
  });
});

test("post-hooks hear of each tool use once, whatever tool it is", async () => {
  await onFake({}, async ({ open, item }) => {
    const heard: string[] = [];
    const session = await open({
      hooks: {
        post: [{
          name: "hear",
          phases: ["postToolUse"],
          call: ({ toolKind, toolName, status }) =>
            void heard.push(`${toolKind} ${toolName} ${status}`),
        }],
      },
    });
    await session.ask("x");
    const items: Message[] = [
      {
        type: "commandExecution",
        id: "1",
        command: "/bin/bash -lc 'git status'",
        cwd: "/w",
        status: "completed",
        exitCode: 0,
      },
      {
        type: "fileChange",
        id: "2",
        changes: [{ path: "/w/a", kind: { type: "add" }, diff: "x\n" }],
        status: "declined",
      },
      {
        type: "mcpToolCall",
        id: "3",
        server: "probe",
        tool: "ask",
        status: "failed",
        arguments: {},
      },
      { type: "dynamicToolCall", id: "4", tool: "lookup", status: "completed", arguments: {} },
      { type: "agentMessage", id: "5", text: "hello" },
      { type: "somethingNew", id: "6" },
    ];
    for (const one of [...items, ...items]) item(session.threadId, one);
    await session.ask("x");
    assert.deepEqual(heard, [
      "command git ok",
      "fileChange apply_patch error",
      "mcpTool probe/ask error",
      "dynamicTool lookup ok",
    ]);
  });
});

test("rules hold for an agent's thread as for its session's, and who fails at it is told", async () => {
  const PATCH = "item/fileChange/requestApproval";
  await onFake({}, async ({ open, ask, item, server }) => {
    const ruled = await open({
      approvalPolicy: "untrusted",
      approvals: {
        rules: [{ effect: "allow", kind: ["command", "fileChange"] }],
        default: "decline",
      },
    });
    item(ruled.threadId, spawned("ruled"));
    // What is accepted may leave the sandbox, and lies outside of the workspace.
    assert.deepEqual(await ask("ruled"), DECLINED);
    // 0.104 tells the last of several changes of one file: what the model wrote stands in the thread's file.
    const file = join(ruled.cwd, "..", "rollout.jsonl");
    server.notify("thread/started", { thread: { id: "ruled", path: file } });
    const patch = async (path: string, more = "") => {
      const changes = [{ path, kind: { type: "add" }, diff: "x" }];
      const input = `*** Begin Patch\n${more}*** Add File: ${path}\n+x\n*** End Patch`;
      const payload = { type: "custom_tool_call", name: "apply_patch", call_id: path, input };
      await appendFile(file, `${JSON.stringify({ type: "response_item", payload })}\n`);
      item(
        "ruled",
        { type: "fileChange", id: path, changes, status: "inProgress" },
        "item/started",
      );
      const params = { threadId: "ruled", turnId: "t", itemId: path };
      return (await server.ask(PATCH, params)).result;
    };
    assert.deepEqual(await patch("/elsewhere/x"), DECLINED);
    assert.deepEqual(await patch(join(ruled.cwd, "x")), ACCEPTED);
    if (server.dialect === "0.104") {
      const more = `*** Add File: ${join(ruled.cwd, "y")}\n+bad\n`;
      assert.deepEqual(await patch(join(ruled.cwd, "y"), more), DECLINED);
    }

    const broken = await open({
      approvalPolicy: "untrusted",
      approvals: () => {
        throw new Error("the screen is gone");
      },
    });
    item(broken.threadId, spawned("broken"));
    const events = broken.events()[Symbol.asyncIterator]();
    assert.deepEqual(await ask("broken"), DECLINED);
    for (;;) {
      const { value, done } = await events.next();
      assert.equal(done, false);
      if (value.type === "warning" && /the screen is gone/.test(value.message)) break;
    }
    await events.return?.();
  });
});

test("the hooks of client and session are looked at when the session opens, and not at each prompt", async () => {
  let looks = 0;
  const hook = (name: string): plugin.PreHook => ({
    get name() {
      looks++;
      return name;
    },
    phases: ["preSessionStart"],
    call: () => ({ type: "continue" }),
  });
  await onFake({ hooks: { pre: [hook("client")] } }, async ({ open, server }) => {
    const session = await open({ hooks: { pre: [hook("session")] } });
    assert.notEqual(looks, 0);
    looks = 0;
    const sent = () => server.received.filter(({ method }) => method === "turn/start").length;
    await session.ask("hello");
    assert.equal(looks, 0);
    // With hooks of its own all are looked at: names must differ among them.
    for (const name of ["client", "session"]) {
      await assert.rejects(session.ask("hello", { hooks: { pre: [hook(name)] } }), /Two pre-hooks/);
    }
    assert.equal(sent(), 1);
    await session.ask("hello", { hooks: { pre: [hook("own")] } });
    assert.equal(sent(), 2);
  });
});
