/** Tools of this process on threads that were not begun with them: copies and resumed ones, warm and cold. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdir, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { join } from "node:path";
import process from "node:process";
import {
  type Client,
  type Hooks,
  InvalidArgumentError,
  type Session,
  tool,
  type ToolContext,
  type TurnEvent,
} from "../../mod.ts";
import type { ModelRequest, ModelTurn } from "../../src/testing/mod.ts";
import { toolCall } from "../../src/testing/model/script.ts";
import { compareVersions } from "../../src/protocol/dialect.ts";
import { CODEX_BETWEEN, CODEX_VERSIONS, SLOW_BETWEEN } from "../_codex.ts";
import { test } from "../_harness.ts";
import { callMcp } from "./_mcp_world.ts";
import { inWorld, rejection, type World } from "./_session_world.ts";

const BETWEEN = SLOW_BETWEEN.length > 0 ? CODEX_BETWEEN : [];
const VERSIONS = [...CODEX_VERSIONS, ...BETWEEN];

const inputSchema = {
  type: "object",
  properties: { a: { type: "number" }, b: { type: "number" } },
  required: ["a", "b"],
} as const;

/** Tools that say what they were called with. */
function makeTools(seen: ToolContext[]) {
  const noted = <T>(context: ToolContext, value: T): T => {
    seen.push(context);
    return value;
  };
  return {
    add: tool({ description: "Adds", inputSchema, run: ({ a, b }, c) => noted(c, `sum ${a + b}`) }),
    sub: tool({
      description: "Subtracts",
      inputSchema,
      run: ({ a, b }, c) => noted(c, `rest ${a - b}`),
    }),
  };
}

/** Asks the model to call a tool, and gives back what it was offered and what it got to know. */
async function called(
  world: World,
  session: Session,
  call: ModelTurn,
  onEvent?: (event: TurnEvent) => void,
): Promise<{ text: string; offered: string[]; turnId: string }> {
  let offered: string[] = [];
  const prompt = world.prompt((request: ModelRequest, round) => {
    offered = [...request.tools];
    return round === 0 ? call : request.toolOutputs.at(-1)!.text;
  });
  const { assistantText, turnId } = await session.ask(prompt, onEvent ? { onEvent } : {});
  return { text: assistantText, offered, turnId };
}

for (const version of VERSIONS) {
  test(`tools work on copies and on resumed threads, warm and cold, ${version}`, () =>
    inWorld(version, async (world) => {
      const { cwd } = world;
      const seen: ToolContext[] = [];
      const tools = makeTools(seen);
      const args = { a: 7, b: 2 };
      const native = (name: string) => toolCall(name, args);
      const served = (name: string) => callMcp(version, "session_tools", name, args);
      const isServed = (offered: string[]) => offered.some((each) => /session_tools/.test(each));
      const client = await world.connect({ restart: { type: "onCrash" } });

      const session = await client.startSession({ cwd, tools: { add: tools.add } });
      const { threadId } = session;
      const begun = await called(world, session, native("add"));
      assert.match(begun.text, /sum 9/);
      assert.ok(!isServed(begun.offered));

      // A copy has the thread's own tools by itself; what is new to it is served.
      const same = await session.fork();
      const again = await called(world, same, native("add"));
      assert.match(again.text, /sum 9/);
      assert.ok(!isServed(again.offered));
      await same.close();
      const copy = await session.fork({ tools });
      const both = await called(world, copy, served("sub"));
      assert.match(both.text, /rest 5/);
      assert.ok(isServed(both.offered));
      assert.match((await called(world, copy, native("add"))).text, /sum 9/);
      // Arguments that do not fit go back to the model.
      const unfit = await called(world, copy, callMcp(version, "session_tools", "sub", { a: "x" }));
      assert.match(unfit.text, /do not fit the tool's input schema/);
      await copy.close();

      // Warm, with hooks and rules that have their say.
      await session.release();
      const told: string[] = [];
      const hooks: Hooks = {
        pre: [{
          name: "pre",
          phases: ["preToolUse"],
          call: ({ toolKind, toolName, toolInput }) => {
            told.push(`before ${toolKind} ${toolName}`);
            return JSON.stringify(toolInput).includes("13")
              ? { type: "block", reason: "no thirteen" }
              : { type: "continue" };
          },
        }],
        post: [{
          name: "post",
          phases: ["postToolUse"],
          call: ({ toolKind, toolName }) => void told.push(`after ${toolKind} ${toolName}`),
        }],
      };
      const warm = await client.resumeSession(threadId, {
        cwd,
        tools: { sub: tools.sub },
        hooks,
        approvalPolicy: "untrusted",
        approvals: { rules: [{ effect: "deny", tool: "forbidden" }], default: "decline" },
      });
      seen.length = 0;
      const events: TurnEvent[] = [];
      const first = await called(world, warm, served("sub"), (event) => void events.push(event));
      assert.match(first.text, /rest 5/);
      assert.equal(seen.length, 1);
      assert.equal(seen[0]!.threadId, threadId);
      assert.equal(seen[0]!.turnId, first.turnId);
      const item = events.find((event) =>
        event.type === "itemCompleted" && event.item.type === "mcpToolCall"
      );
      assert.ok(item?.type === "itemCompleted");
      if (compareVersions(version, "0.150.0") >= 0) assert.equal(seen[0]!.callId, item.item.id);
      assert.notEqual(seen[0]!.callId, "");
      assert.deepEqual(told, ["before dynamicTool sub", "after dynamicTool sub"]);
      const blocked = await called(
        world,
        warm,
        callMcp(version, "session_tools", "sub", { a: 13, b: 0 }),
      );
      assert.match(blocked.text, /no thirteen/);
      assert.equal(seen.length, 1);

      // The old tool is offered still, and nobody here has it.
      const old = await called(world, warm, native("add"));
      assert.match(old.text, /no tool named add|no such tool/);

      // Codex ends and is started again.
      process.kill(client.runtime.pid!, "SIGKILL");
      await restarted(client);
      assert.match((await called(world, warm, served("sub"))).text, /rest 5/);
      await warm.release();
      await client.shutdown();

      // Cold: what its file names is not served, what was changed is.
      const next = await world.connect();
      const cold = await next.resumeSession(threadId, { cwd, tools: { add: tools.add } });
      const known = await called(world, cold, native("add"));
      assert.match(known.text, /sum 9/);
      assert.ok(!isServed(known.offered));
      await cold.release();
      const changed = { ...tools.add, description: "Adds two numbers" };
      const renewed = await next.forkSession(threadId, { cwd, tools: { add: changed } });
      const latest = await called(world, renewed, served("add"));
      assert.match(latest.text, /sum 9/);
      await renewed.close();
    }));
}

for (const version of CODEX_VERSIONS) {
  test(`a proxy in the environment hears nothing of served tools, ${version}`, () =>
    inWorld(version, async (world) => {
      const heard: string[] = [];
      const proxy = createServer((request, answer) => {
        heard.push(`${request.url}`);
        answer.writeHead(502).end();
      });
      proxy.listen(0, "127.0.0.1");
      await once(proxy, "listening");
      const url = `http://127.0.0.1:${(proxy.address() as { port: number }).port}`;
      const names = ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];
      // A user's server has the name that would be ours: the two don't mix.
      const home = join(world.cwd, "..", "home");
      await mkdir(home);
      const own = '[mcp_servers.session_tools]\ncommand = "/bin/false"\nenabled = false\n';
      await writeFile(join(home, "config.toml"), own);
      const client = await world.connect({ restart: { type: "onCrash" } }, {
        home,
        env: {
          ...Object.fromEntries(names.map((name) => [name, url])),
          // As somebody has it who knows nothing of ports of this process.
          NO_PROXY: "other.example",
        },
      });
      const session = await client.startSession({ cwd: world.cwd });
      await session.ask("Hello");
      const copy = await session.fork({ tools: { add: makeTools([]).add } });
      const args = { a: 7, b: 2 };
      const answer = await called(world, copy, callMcp(version, "session_tools_2", "add", args));
      assert.match(answer.text, /sum 9/);
      // Codex puts what is in this file over its environment: it would go to the proxy when it is started the next time.
      await writeFile(join(home, ".env"), "NO_PROXY=other.example\n");
      const led = await rejection(session.fork({ tools: { add: makeTools([]).add } }));
      assert.ok(led instanceof InvalidArgumentError, String(led));
      assert.match(led.message, /NO_PROXY in .*\.env/);
      process.kill(client.runtime.pid!, "SIGKILL");
      await restarted(client);
      assert.ok(await rejection(copy.ask("Hello")) instanceof InvalidArgumentError);
      assert.deepEqual(heard, []);
      const events: string[] = [];
      const listening = (async () => {
        for await (const event of client.runtime.events({ after: 0 })) {
          events.push(JSON.stringify(event));
        }
      })();
      await client.shutdown();
      await listening;
      assert.match(
        events.join("\n"),
        /thread\/fork.*session_tools_2.*"Authorization":"\[redacted\]"/,
      );
      assert.doesNotMatch(events.join("\n"), /Bearer [0-9a-f]/);
      proxy.close();
    }));
}

async function restarted(client: Client): Promise<void> {
  for await (const event of client.runtime.events({ after: 0 })) {
    const message = event.message as { state?: string; generation?: number };
    if (event.kind === "connection" && message.state === "running" && message.generation === 2) {
      return;
    }
  }
}
