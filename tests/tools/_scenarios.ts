/** What is recorded: each scenario drives the real codex through one conversation. */
import { type ModelTurn, script } from "../../src/testing/mod.ts";
import type { CodexVersion } from "../_codex.ts";
import type { Message, RawCodex, TurnLog } from "../real/_raw_codex.ts";

/** What a scenario works with. */
export interface Take {
  codex: RawCodex;
  version: CodexVersion;
  cwd: string;
  /** Starts a thread in {@linkcode cwd}. */
  thread(params?: Message): Promise<string>;
  /** Runs one turn whose prompt names the scenario. */
  turn(threadId: string, params?: Message): Promise<TurnLog>;
  /** Starts such a turn and resolves with its id. */
  start(threadId: string, params?: Message): Promise<string>;
}

/** One conversation. */
export interface Scenario {
  /** What the model plays; a list, or made anew from the recording's own gates. */
  model: () => ModelTurn[];
  /** The answer to every question of the server. */
  answer?: unknown;
  /** More `-c` flags. */
  config?: Record<string, unknown>;
  /** Versions that it is recorded on. Default: all. */
  only?: CodexVersion;
  /** The client's part. */
  play(take: Take): Promise<void>;
}

const UNATTENDED = { approvalPolicy: "never", sandbox: "read-only" };
const ASKING = { approvalPolicy: "untrusted", sandbox: "workspace-write" };
const PATCH = "*** Begin Patch\n*** Add File: new.txt\n+hi\n*** End Patch";
const COMMAND = `python3 -c "print(2)"`;
const SCHEMA = {
  type: "object",
  properties: { ok: { type: "boolean" } },
  required: ["ok"],
  additionalProperties: false,
};
const TICKET_TOOL = {
  name: "lookup_ticket",
  description: "Fetch a ticket",
  inputSchema: {
    type: "object",
    properties: { id: { type: "string" } },
    required: ["id"],
    additionalProperties: false,
  },
};
const QUESTION = {
  id: "color",
  header: "Color",
  question: "Which color?",
  options: [{ label: "Red", description: "r" }, { label: "Blue", description: "b" }],
};

/** A scenario of one turn in one thread. */
function oneTurn(
  model: ModelTurn[],
  thread: Message = UNATTENDED,
  rest: Partial<Scenario> & { turn?: Message } = {},
): Scenario {
  const { turn, ...scenario } = rest;
  return {
    model: () => model,
    play: async (take) => void await take.turn(await take.thread(thread), turn),
    ...scenario,
  };
}

const done = script.say("done");
const words = (text: string) => script.say(text.split(/(?= )/));

/** Scenarios by the name of their transcript. */
export const SCENARIOS: Record<string, Scenario> = {
  "basic": oneTurn([[script.reason("Planning"), words("Hello from the model")]]),
  "command-never": oneTurn(
    [script.exec("sleep 0.4; echo one; echo two >&2; exit 3"), done],
    { approvalPolicy: "never", sandbox: "danger-full-access" },
  ),
  "command-accept": oneTurn([script.exec(COMMAND), done], ASKING, {
    answer: { decision: "accept" },
  }),
  "command-decline": oneTurn([script.exec(COMMAND), done], ASKING, {
    answer: { decision: "decline" },
  }),
  "command-cancel": oneTurn([script.exec(COMMAND), done], ASKING, {
    answer: { decision: "cancel" },
  }),
  "patch-accept": oneTurn([script.applyPatch(PATCH), done], ASKING, {
    answer: { decision: "accept" },
  }),
  "patch-decline": oneTurn([script.applyPatch(PATCH), done], ASKING, {
    answer: { decision: "decline" },
  }),
  "fail-401": oneTurn(
    [script.httpError(401, {
      error: { message: "Incorrect API key provided", code: "invalid_api_key" },
    })],
    UNATTENDED,
    {
      play: async (take) => {
        await take.turn(await take.thread(UNATTENDED));
        // Who is logged in is asked for the message of the error.
        await take.codex.request("account/read", {});
      },
    },
  ),
  "fail-429": oneTurn([
    script.httpError(429, { error: { message: "Slow down", code: "rate_limit_exceeded" } }),
  ]),
  "fail-context": oneTurn([script.failed("context_length_exceeded", "too long")]),
  "retry-then-ok": oneTurn(
    [[words("first try"), script.cut()], words("second try")],
    UNATTENDED,
    { config: { "model_providers.scripted.stream_max_retries": 2 } },
  ),
  "dynamic-tool": {
    model: () => [script.toolCall("lookup_ticket", { id: "T-1" }), done],
    answer: { contentItems: [{ type: "inputText", text: "ticket T-1: open" }], success: true },
    async play({ version, thread, turn }) {
      // 0.104 knows no kinds of tools, and takes one of any kind.
      const tool = version === "0.104.0" ? TICKET_TOOL : { type: "function", ...TICKET_TOOL };
      await turn(await thread({ ...UNATTENDED, dynamicTools: [tool] }));
    },
  },
  "user-input": oneTurn(
    [script.toolCall("request_user_input", { questions: [QUESTION] }), done],
    UNATTENDED,
    {
      answer: { answers: { color: { answers: ["Blue"] } } },
      turn: {
        collaborationMode: {
          mode: "plan",
          settings: {
            model: "scripted-model",
            reasoning_effort: null,
            developer_instructions: "plan",
          },
        },
      },
    },
  ),
  "output-schema": oneTurn([script.say('{"ok":true}')], UNATTENDED, {
    turn: { outputSchema: SCHEMA },
  }),
  "mcp-elicitation": {
    model: () => [script.toolCall("ask", {}, { namespace: "mcp__probe" }), done],
    only: "0.169.0",
    config: {
      "mcp_servers.probe.command": "node",
      "mcp_servers.probe.args": [new URL("_mcp_probe.mjs", import.meta.url).pathname],
    },
    answer: { action: "accept", content: { name: "Ann" }, _meta: null },
    async play({ codex, thread, turn }) {
      const id = await thread({ approvalPolicy: "on-request", sandbox: "read-only" });
      await codex.waitFor((m) =>
        m.method === "mcpServer/startupStatus/updated" && m.params.status === "ready"
      );
      await turn(id);
    },
  },
  "interrupt": {
    model: () => [[script.say("half a sentence", { open: true }), script.hang()]],
    async play({ codex, thread, start }) {
      const threadId = await thread(UNATTENDED);
      const turnId = await start(threadId);
      await codex.waitFor((m) => m.method === "item/agentMessage/delta");
      await codex.request("turn/interrupt", { threadId, turnId });
      await codex.turnEnd(turnId);
    },
  },
  "steer": {
    model: () => [[script.say("part one"), script.delay(400)], script.say("after the steer")],
    async play({ codex, thread, start }) {
      const threadId = await thread(UNATTENDED);
      const turnId = await start(threadId);
      await codex.waitFor((m) =>
        m.method === "item/completed" && m.params.item.type === "agentMessage"
      );
      const input = [{ type: "text", text: "also do this" }];
      await codex.request("turn/steer", { threadId, expectedTurnId: turnId, input });
      await codex.turnEnd(turnId);
    },
  },
  "threads": {
    model: () => [script.say("first"), script.say("second"), script.say("third")],
    async play({ codex, thread, turn, cwd }) {
      const threadId = await thread(UNATTENDED);
      await turn(threadId);
      const said = (method: string, id = threadId) =>
        codex.waitFor((m) =>
          m.method === method && (m.params.threadId ?? m.params.thread.id) === id
        );
      await codex.request("thread/name/set", { threadId, name: "a name" });
      await said("thread/name/updated");
      await codex.request("thread/read", { threadId, includeTurns: true });
      await codex.request("thread/list", { cwd, limit: 10 });
      await codex.request("thread/loaded/list", {});
      const settings = { cwd, ...UNATTENDED, excludeTurns: true };
      const { thread: fork } = await codex.request("thread/fork", { threadId, ...settings });
      await said("thread/started", fork.id);
      await turn(fork.id);
      await codex.request("thread/archive", { threadId });
      await said("thread/archived");
      await codex.request("thread/list", { cwd, archived: true });
      await codex.request("thread/unarchive", { threadId });
      await said("thread/unarchived");
      await codex.request("thread/resume", { threadId, ...settings });
      await turn(threadId);
    },
  },
  "account": {
    model: () => [],
    async play({ codex }) {
      await codex.request("model/list", {});
      await codex.request("account/read", {});
      await codex.request("account/rateLimits/read", undefined).catch(() => {});
      await codex.request("account/login/start", { type: "apiKey", apiKey: "sk-recorded" });
      await codex.waitFor((m) => m.method === "account/updated");
      await codex.request("account/read", {});
    },
  },
  "errors": {
    model: () => [],
    async play({ codex, thread }) {
      const refused = (method: string, params: unknown) =>
        codex.request(method, params).then(() => {
          throw new Error(`${method} was not refused`);
        }, () => {});
      await refused("turn/start", {
        threadId: "01a20000-0000-7000-8000-000000000000",
        input: [{ type: "text", text: "x" }],
      });
      await refused("thread/resume", { threadId: "01a20000-0000-7000-8000-000000000000" });
      const threadId = await thread(UNATTENDED);
      await refused("turn/steer", {
        threadId,
        expectedTurnId: "x",
        input: [{ type: "text", text: "x" }],
      });
    },
  },
};
