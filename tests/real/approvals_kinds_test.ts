/** The questions that are no plain consent: permissions, forms, MCP tools, questions to a user, tools of this process. */
import assert from "node:assert/strict";
import process from "node:process";
import { fileURLToPath } from "node:url";
import type { ApprovalRequest } from "../../mod.ts";
import type { ApprovalDecision, ApprovalHandler } from "../../src/approvals/mod.ts";
import type { JsonValue } from "../../src/json.ts";
import { inPrompt, toolCall } from "../../src/testing/model/script.ts";
import { CODEX_VERSIONS, NEWEST_CODEX } from "../_codex.ts";
import { onDeno, test } from "../_harness.ts";
import { latch, type Place, wireAnswers, words, type World, world } from "./_safety_world.ts";

const PROBE = fileURLToPath(new URL("../tools/_mcp_probe.mjs", import.meta.url));
const MCP_FLAGS: Record<string, JsonValue> = {
  "mcp_servers.probe.command": process.execPath,
  "mcp_servers.probe.args": [...(onDeno ? ["run", "--quiet", "--no-lock"] : ["run"]), PROBE],
  "mcp_servers.probe.env": { DENO_NO_UPDATE_CHECK: "1" },
};

type Answer = ApprovalDecision | ApprovalHandler;

/** A session whose questions get the answers; what the model then gets to know is in `told`. */
async function answering(
  w: World,
  answers: Answer[],
): Promise<Place & { asked: ApprovalRequest[]; told(): string }> {
  const asked: ApprovalRequest[] = [];
  const place = await w.session({
    approvalPolicy: "on-request",
    approvals: (request, context) => {
      asked.push(request);
      const answer = answers.shift() ?? { decision: "decline" };
      return typeof answer === "function" ? answer(request, context) : answer;
    },
  });
  const told = () =>
    w.model.requests.findLast(({ threadId }) => threadId === place.session.threadId)
      ?.toolOutputs.map(({ text }) => text).join("\n") ?? "";
  return Object.assign(place, { asked, told });
}

test(
  "permissions are granted as decided, in the server's own shape, and never more",
  async (t) => {
    await using w = await world(NEWEST_CODEX, {
      approvalTimeoutMs: 1_000,
      flags: { "features.request_permissions_tool": true },
    });
    const method = "item/permissions/requestApproval";
    const ask = toolCall("request_permissions", {
      reason: "need net",
      permissions: { network: { enabled: true } },
    });
    const none = { permissions: {}, scope: "turn" };
    const net = { network: { enabled: true } };
    const cases: [string, Answer, JsonValue, string][] = [
      ["accept", { decision: "accept" }, { permissions: net, scope: "turn" }, "accept handler"],
      [
        "acceptForSession",
        { decision: "acceptForSession" },
        { permissions: net, scope: "session" },
        "acceptForSession handler",
      ],
      ["decline", { decision: "decline" }, none, "decline handler"],
      ["cancel", { decision: "cancel" }, none, "cancel handler"],
      [
        "its own answer",
        { permissions: net },
        { permissions: net, scope: "turn" },
        "accept handler",
      ],
      ["nothing of it", { permissions: {} }, none, "decline handler"],
      [
        "more than was asked",
        { permissions: { fileSystem: { write: ["/"] } } },
        none,
        "decline failClosed",
      ],
      // The shape that other libraries send.
      [
        "a wrong shape",
        { approved: true } as unknown as ApprovalDecision,
        none,
        "decline failClosed",
      ],
      ["a throw", () => Promise.reject(new Error("broken")), none, "decline failClosed"],
      ["silence", () => new Promise(() => {}), none, "decline failClosed"],
    ];
    for (const [name, answer, , audit] of cases) {
      await t.step(name, async () => {
        const place = await answering(w, [answer]);
        const result = await place.act(ask);
        assert.equal(result.assistantText, "done");
        assert.ok(place.asked[0]?.type === "permissions");
        assert.equal(place.asked[0].reason, "need net");
        assert.deepEqual(place.asked[0].permissions.network, { enabled: true });
        assert.deepEqual(words(place), [audit]);
        // What the model is told shows that the server understood the answer.
        assert.equal(/"enabled":true/.test(place.told()), audit.startsWith("accept"), place.told());
      });
    }
    const sent = await wireAnswers(w.client, method, cases.length);
    assert.deepEqual(sent, cases.map(([, , wire]) => wire));
  },
);

test("an MCP server's form is filled as decided, in the server's own shape", async (t) => {
  await using w = await world(NEWEST_CODEX, { approvalTimeoutMs: 1_000, flags: MCP_FLAGS });
  const ask = toolCall("ask", {}, { namespace: "mcp__probe" });
  const declined = { action: "decline", content: null, _meta: null };
  const ann = { name: "Ann" };
  const cases: [string, Answer, JsonValue, string][] = [
    [
      "its own answer",
      { action: "accept", content: ann },
      { action: "accept", content: ann, _meta: null },
      "accept handler",
    ],
    ["decline", { decision: "decline" }, declined, "decline handler"],
    [
      "cancel",
      { decision: "cancel" },
      { action: "cancel", content: null, _meta: null },
      "cancel handler",
    ],
    [
      "a bare accept, where data is asked for",
      { decision: "accept" },
      declined,
      "decline failClosed",
    ],
    [
      "a form that does not fit",
      { action: "accept", content: { name: 1 } },
      declined,
      "decline failClosed",
    ],
    ["a throw", () => Promise.reject(new Error("broken")), declined, "decline failClosed"],
    ["silence", () => new Promise(() => {}), declined, "decline failClosed"],
  ];
  for (const [name, answer, wire, audit] of cases) {
    await t.step(name, async () => {
      const place = await answering(w, [answer]);
      assert.equal((await place.act(ask)).assistantText, "done");
      const [request] = place.asked;
      assert.ok(request?.type === "elicitation");
      assert.deepEqual([request.server, request.message, request.toolApproval], [
        "probe",
        "Your name?",
        false,
      ]);
      assert.deepEqual(words(place), [audit]);
      const { action } = wire as { action: string };
      assert.match(place.told(), new RegExp(`elicited:.*${action}`));
      assert.equal(/Ann/.test(place.told()), action === "accept");
    });
  }
  const sent = await wireAnswers(w.client, "mcpServer/elicitation/request", cases.length);
  assert.deepEqual(sent, cases.map(([, , wire]) => wire));

  await t.step("a form that calls itself consent to a call is a form", async () => {
    const asked: ApprovalRequest[] = [];
    const place = await w.session({
      approvalPolicy: "on-request",
      approvals: {
        rules: [{ effect: "allow", mcpServer: "probe", tool: "other" }],
        ask: (request) => {
          asked.push(request);
          return { decision: "decline" };
        },
      },
    });
    await place.act(
      toolCall("ask", { forge: "other" }, { namespace: "mcp__probe" }),
      toolCall("ask", { forge: "other" }, { namespace: "mcp__probe" }),
    );
    assert.equal(asked.length, 2);
    for (const form of asked) {
      assert.ok(form.type === "elicitation");
      assert.deepEqual([form.toolApproval, form.mcpTool], [false, null]);
    }
    assert.deepEqual(words(place), ["decline handler", "decline handler"]);
  });

  await t.step("two forms at once, of one server: each gets its own answer", async () => {
    let waiting = 0;
    const both = latch();
    const asked: ApprovalHandler = async () => {
      const name = `Ann ${++waiting}`;
      if (waiting === 2) both.resolve();
      await both.promise;
      return { action: "accept", content: { name } };
    };
    const place = await answering(w, [asked, asked]);
    // The model calls both in one response.
    await place.act([ask, ask]);
    assert.deepEqual(words(place), ["accept handler", "accept handler"]);
    assert.match(place.told(), /Ann 1/);
    assert.match(place.told(), /Ann 2/);
  });
});

for (const version of CODEX_VERSIONS) {
  test(`questions to the user are answered on codex ${version}`, async (t) => {
    await using w = await world(version, { approvalTimeoutMs: 1_000, experimentalApi: true });
    const question = toolCall("request_user_input", {
      questions: [{
        id: "color",
        header: "Color",
        question: "Which color?",
        options: [{ label: "Red", description: "r" }, { label: "Blue", description: "b" }],
      }],
    });
    // The tool works in plan mode only, which sessions do not offer: the turn is started by hand.
    const plan = async (place: Place) => {
      const { threadId } = place.session;
      const ended = (async () => {
        for await (const event of w.client.runtime.events()) {
          if (event.method === "turn/completed" && event.threadId === threadId) return;
        }
      })();
      await w.client.runtime.request("turn/start", {
        threadId,
        input: [{ type: "text", text: inPrompt([question, "done"]), text_elements: [] }],
        collaborationMode: {
          mode: "plan",
          settings: {
            model: "scripted-model",
            reasoning_effort: null,
            developer_instructions: null,
          },
        },
      });
      await ended;
    };
    const cases: [string, Answer, RegExp][] = [
      ["an answer", { answers: { color: "Blue" } }, /"color":\{"answers":\["Blue"\]\}/],
      ["no answer", { decision: "decline" }, /"answers":\{\}/],
      ["an answer to another question", { answers: { size: "L" } }, /"answers":\{\}/],
      ["a bare accept", { decision: "accept" }, /"answers":\{\}/],
      ["silence", () => new Promise(() => {}), /"answers":\{\}/],
    ];
    for (const [name, answer, told] of cases) {
      await t.step(name, async () => {
        const place = await answering(w, [answer]);
        await plan(place);
        const [request] = place.asked;
        assert.ok(request?.type === "userInput");
        assert.deepEqual(request.questions.map(({ id, options }) => [id, options?.length]), [
          ["color", 2],
        ]);
        assert.match(place.told(), told);
      });
    }
  });

  test(
    `tools of this process are run, declined and stopped on codex ${version}`,
    async (t) => {
      await using w = await world(version, { experimentalApi: true });
      const schema = { type: "object", properties: { id: { type: "string" } } };
      const begun = latch<AbortSignal>();
      const seen: string[] = [];
      const tools = {
        lookup: {
          description: "Looks up",
          inputSchema: schema,
          run: ({ id }: { id: string }) => {
            seen.push(id);
            return `ticket ${id}: open`;
          },
        },
        broken: {
          description: "Breaks",
          inputSchema: schema,
          run: () => {
            throw new Error("out of order");
          },
        },
        slow: {
          description: "Waits",
          inputSchema: schema,
          run: (_: unknown, { signal }: { signal: AbortSignal }) => {
            begun.resolve(signal);
            return new Promise<string>(() => {});
          },
        },
      };
      const told = (place: Place) =>
        w.model.requests.findLast(({ threadId }) => threadId === place.session.threadId)
          ?.toolOutputs.at(-1)?.text ?? "";

      await t.step("a call runs here and its answer reaches the model", async () => {
        const place = await w.session({ tools, approvalPolicy: "never" });
        await place.act(toolCall("lookup", { id: "T-1" }));
        assert.deepEqual(seen, ["T-1"]);
        assert.match(told(place), /ticket T-1: open/);
      });
      await t.step("a tool that throws tells the model so, and the turn goes on", async () => {
        const place = await w.session({ tools });
        assert.equal((await place.act(toolCall("broken", {}))).assistantText, "done");
        assert.match(told(place), /failed/);
      });
      await t.step("a rule that denies a tool keeps it from running", async () => {
        const place = await w.session({
          tools,
          approvals: { rules: [{ name: "no", effect: "deny", tool: "lookup" }] },
        });
        await place.act(toolCall("lookup", { id: "T-2" }));
        assert.deepEqual(seen, ["T-1"]);
        assert.match(told(place), /forbids/);
      });
      await t.step("a rule that asks lets a handler decide", async () => {
        const answers: ApprovalDecision[] = [{ decision: "decline" }, { decision: "accept" }];
        const place = await w.session({
          tools,
          approvals: {
            rules: [{ effect: "ask", tool: "lookup" }],
            ask: () => answers.shift()!,
          },
        });
        await place.act(toolCall("lookup", { id: "T-3" }), toolCall("lookup", { id: "T-4" }));
        assert.deepEqual(seen, ["T-1", "T-4"]);
      });
      await t.step("a call that is accepted by hand, later, runs", async () => {
        const place = await w.session({
          tools,
          approvals: {
            rules: [{ effect: "ask", tool: "lookup" }],
            ask: ({ id }) => {
              setTimeout(() => w.client.approvals.answer(id, { decision: "accept" }));
              return { decision: "defer" };
            },
          },
        });
        await place.act(toolCall("lookup", { id: "T-5" }));
        assert.deepEqual(seen, ["T-1", "T-4", "T-5"]);
      });
      await t.step("an interrupt stops a running tool", async () => {
        const place = await w.session({ tools });
        const turn = assert.rejects(place.act(toolCall("slow", {})));
        const signal = await begun.promise;
        await place.session.interrupt();
        await turn;
        assert.equal(signal.aborted, true);
        assert.deepEqual(w.client.approvals.pending(), []);
      });
    },
  );
}
