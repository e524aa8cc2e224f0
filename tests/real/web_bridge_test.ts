/** The bridge over HTTP on the real codex. */
import assert from "node:assert/strict";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import type { WebError } from "../../src/errors/mod.ts";
import type { JsonValue } from "../../src/json.ts";
import { Client } from "../../src/session/client/client.ts";
import {
  type ModelRequest,
  type ModelStep,
  type ModelTurn,
  script,
  ScriptedModel,
} from "../../src/testing/mod.ts";
import { type Bridge, createBridge } from "../../src/web/mod.ts";
import { connect } from "../../src/web/connect.ts";
import type { BridgeAnswer } from "../../src/web/connect_types.ts";
import type { BridgeOptions } from "../../src/web/options.ts";
import { MemorySessionStore } from "../../src/web/store/session_store.ts";
import { CODEX_VERSIONS, codexPath, type CodexVersion, NEWEST_CODEX } from "../_codex.ts";
import { SseClient, textOf } from "../contract/web_sse_client.ts";
import { serve, type Served } from "../contract/web_serve.ts";
import { onDeno, test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";
import { makeUsed } from "../_used_home.ts";

const PROBE = fileURLToPath(new URL("../tools/_mcp_probe.mjs", import.meta.url));
/** With what codex asks for more than consent. */
const FLAGS: Record<string, JsonValue> = {
  "features.default_mode_request_user_input": true,
  "features.request_permissions_tool": true,
  "mcp_servers.probe.command": process.execPath,
  "mcp_servers.probe.args": [...(onDeno ? ["run", "--quiet", "--no-lock"] : ["run"]), PROBE],
  "mcp_servers.probe.env": { DENO_NO_UPDATE_CHECK: "1" },
};
/** What the model does for a prompt, and says what it got. */
const QUESTIONS: Record<string, ModelStep> = {
  color: script.toolCall("request_user_input", {
    questions: [{
      id: "color",
      header: "Color",
      question: "Which color?",
      options: [{ label: "Red", description: "r" }, { label: "Blue", description: "b" }],
    }],
  }),
  form: script.toolCall("ask", {}, { namespace: "mcp__probe" }),
  permissions: script.toolCall("request_permissions", {
    reason: "need net",
    permissions: { network: { enabled: true } },
  }),
};

interface Stage {
  cwd: string;
  model: ScriptedModel;
  origin: string;
  /** Ends bridge, server and codex, and starts them anew on the same store. */
  restart(): Promise<void>;
  call(
    tenant: string,
    route: string,
    body?: unknown,
    // deno-lint-ignore no-explicit-any
  ): Promise<{ status: number; body: any }>;
  follow(tenant: string, sessionId: string, lastId?: string): Promise<SseClient>;
}

async function onStage(
  version: CodexVersion,
  play: (request: ModelRequest) => ModelTurn,
  options: Partial<BridgeOptions>,
  act: (stage: Stage) => Promise<void>,
  configOverrides: Record<string, JsonValue> = {},
): Promise<void> {
  const directory = await tempDir("web-");
  const home = join(directory.path, "home");
  const cwd = join(directory.path, "work");
  await Promise.all([makeUsed(home, version), mkdir(cwd)]);
  const model = await ScriptedModel.start(play);
  const config = model.clientConfig({ codexPath: await codexPath(version), home, configOverrides });
  const store = new MemorySessionStore();
  let client: Client;
  let bridge: Bridge;
  let server: Served;
  const up = async (): Promise<void> => {
    client = await Client.connect({ ...config, approvalTimeoutMs: 30_000 });
    bridge = createBridge({
      client,
      cwd,
      store,
      authorize: (request) => request.headers.get("x-tenant"),
      heartbeatMs: 500,
      // What 0.104 can't promise.
      ...(version === "0.104.0" ? { isolation: "trusting" } : {}),
      ...options,
    });
    server = serve(bridge.fetch);
  };
  const down = async (): Promise<void> => {
    await bridge.close();
    await server.close();
    await client.shutdown();
  };
  await up();
  try {
    await act({
      cwd,
      model,
      get origin() {
        return server.origin;
      },
      restart: async () => {
        await down();
        await up();
      },
      call: async (tenant, route, body) => {
        const [method, path] = route.split(" ") as [string, string];
        const response = await fetch(`${server.origin}/codex${path}`, {
          method,
          headers: { "x-tenant": tenant, "content-type": "application/json" },
          ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        });
        return { status: response.status, body: await response.json() };
      },
      follow: async (tenant, sessionId, lastId = "") => {
        const headers: Record<string, string> = lastId === "" ? {} : { "last-event-id": lastId };
        const response = await fetch(`${server.origin}/codex/sessions/${sessionId}/events`, {
          headers: { "x-tenant": tenant, ...headers },
        });
        assert.equal(response.status, 200);
        return new SseClient(response, lastId);
      },
    });
  } finally {
    await down();
    await model.close();
    await directory[Symbol.asyncDispose]();
  }
}

for (const version of CODEX_VERSIONS) {
  test(
    `codex ${version}: accepted commands run, declined ones do not, and a session survives a restart`,
    () =>
      onStage(
        version,
        (request) => {
          const [, name] = /touch (\w+)/.exec(request.text) ?? [];
          if (name === undefined) return `You said: ${request.text}`;
          return request.toolOutputs.length === 0
            ? script.exec(`echo made > ${name}.txt`)
            : script.say(["That ", "was ", name, "."]);
        },
        {
          profile: {
            approvalPolicy: "untrusted",
            sandbox: "workspace-write",
            allowPrivilegedEscalation: true,
          },
        },
        async (stage) => {
          const { body: { sessionId, threadId } } = await stage.call("ann", "POST /sessions", {});
          const path = `/sessions/${sessionId}`;
          let events = await stage.follow("ann", sessionId);
          for (const [name, decision] of [["yes", "accept"], ["no", "decline"]]) {
            const turn = await stage.call("ann", `POST ${path}/turns`, { text: `touch ${name}` });
            assert.equal(turn.status, 202);
            const asked = await events.until(({ data }) => data.type === "approvalRequested");
            const { request } = asked.at(-1)!.data;
            assert.match(request.script, new RegExp(`echo made > ${name}.txt`));
            const foreign = await stage.call("bob", `POST ${path}/approvals/${request.id}`, {
              decision: "accept",
            });
            assert.equal(foreign.status, 404);
            // The browser goes away and comes back while the question waits.
            await events.drop();
            events = await stage.follow("ann", sessionId, events.lastId);
            const answer = await stage.call("ann", `POST ${path}/approvals/${request.id}`, {
              decision,
            });
            assert.equal(answer.status, 200);
            assert.equal(textOf(await events.untilTurnEnds()), `That was ${name}.`);
            const made = await readFile(join(stage.cwd, `${name}.txt`), "utf8").catch(() => null);
            assert.equal(made, decision === "accept" ? "made\n" : null);
          }
          const { lastId } = events;
          const before = (await stage.call("ann", `GET ${path}`)).body;
          assert.deepEqual(before.turns.map(({ status }: { status: string }) => status), [
            "completed",
            "completed",
          ]);

          await stage.restart();
          assert.equal(await events.next(), null);
          assert.equal((await stage.call("bob", `GET ${path}`)).status, 404);
          const { body: list } = await stage.call("ann", "GET /sessions");
          assert.deepEqual(list.sessions.map(({ title }: { title: string }) => title), [
            "touch yes",
          ]);
          const after = (await stage.call("ann", `GET ${path}`)).body;
          const said = (snapshot: typeof after) =>
            // deno-lint-ignore no-explicit-any
            snapshot.turns.flatMap(({ items }: any) => items).filter((item: any) =>
              item.type === "agentMessage"
              // deno-lint-ignore no-explicit-any
            ).map((item: any) => item.text);
          assert.deepEqual(said(after), ["That was yes.", "That was no."]);
          assert.deepEqual(said(before), said(after));
          if (version === "0.169.0") {
            assert.deepEqual(
              after.turns.map(({ turnId }: { turnId: string }) => turnId),
              before.turns.map(({ turnId }: { turnId: string }) => turnId),
            );
          }

          // The old cursor is known to be gone; the thread is the same and remembers.
          events = await stage.follow("ann", sessionId, lastId);
          assert.equal((await events.next())!.name, "lagged");
          await stage.call("ann", `POST ${path}/turns`, { text: "still there?" });
          assert.equal(textOf(await events.untilTurnEnds()), "You said: still there?");
          const asked = stage.model.requests.at(-1)!;
          assert.ok(JSON.stringify(asked.body["input"]).includes("That was yes."));
          const closed = await stage.call("ann", `DELETE ${path}`);
          assert.deepEqual(closed.body, { threadId, archived: true });
          await events.drop();
        },
      ),
  );
}

test(
  "a tenant can't make the real codex write outside the bridge's sandbox",
  () =>
    onStage(
      NEWEST_CODEX,
      (request) => request.toolOutputs.length === 0 ? script.exec("touch owned.txt") : "tried",
      {},
      async (stage) => {
        const { body: { sessionId } } = await stage.call("ann", "POST /sessions", {});
        const path = `/sessions/${sessionId}/turns`;
        const wide = { sandboxPolicy: { type: "dangerFullAccess" }, approvalPolicy: "never" };
        const refused = await stage.call("ann", `POST ${path}`, { text: "go", ...wide });
        assert.deepEqual([refused.status, refused.body.code], [400, "unknownField"]);
        const events = await stage.follow("ann", sessionId);
        await stage.call("ann", `POST ${path}`, { text: "go" });
        await events.untilTurnEnds();
        const [output] = stage.model.requests.at(-1)!.toolOutputs;
        assert.match(output!.text, /Read-only file system|Permission denied/);
        await assert.rejects(readFile(join(stage.cwd, "owned.txt")));
        await events.drop();
      },
    ),
);

test(
  "a page's client answers what is no plain consent; an idle stream outlives a server's patience meanwhile",
  () =>
    onStage(
      NEWEST_CODEX,
      (request) => {
        const ask = QUESTIONS[request.text];
        if (ask === undefined) return "late";
        const [output] = request.toolOutputs;
        return output === undefined ? ask : output.text;
      },
      {
        // Enforced, what is wider than the workspace is declined unasked.
        isolation: "trusting",
        profile: {
          approvalPolicy: "on-request",
          sandbox: "workspace-write",
          allowPrivilegedEscalation: true,
        },
      },
      async (stage) => {
        const { body: { sessionId } } = await stage.call("bob", "POST /sessions", {});
        const idle = await stage.follow("bob", sessionId);
        const since = Date.now();
        const pending = idle.next();

        const page = connect(`${stage.origin}/codex`, { headers: { "x-tenant": "ann" } });
        const session = await page.createSession();
        const events = session.events();
        await events.next();
        /** What the model was told after an answer. */
        const told = async (text: string, type: string, ...answers: BridgeAnswer[]) => {
          await session.ask(text);
          let [said, asked] = ["", ""];
          for (;;) {
            const { value: event } = await events.next();
            assert.ok(event !== undefined);
            if (event.type === "assistantMessageDelta") said += event.delta;
            if (event.type === "turnCompleted") {
              assert.equal(event.status, "completed");
              break;
            }
            if (event.type !== "approvalRequested") continue;
            asked = event.request.type;
            const [waiting] = await session.approvals();
            assert.equal(waiting!.request.id, event.request.id);
            // All but the last don't fit, and the question goes on waiting.
            for (const wrong of answers.slice(0, -1)) {
              await assert.rejects(
                session.answer(event.request.id, wrong),
                (error: WebError) => error.status === 400 && error.reason === "invalidAnswer",
              );
            }
            await session.answer(event.request.id, answers.at(-1)!);
          }
          assert.equal(asked, type);
          assert.deepEqual(await session.approvals(), []);
          return said;
        };
        const net = { network: { enabled: true } };
        assert.match(
          await told("color", "userInput", { answers: { size: "L" } }, {
            answers: { color: "Blue" },
          }),
          /"color":\{"answers":\["Blue"\]\}/,
        );
        assert.match(await told("color", "userInput", { decision: "decline" }), /"answers":\{\}/);
        assert.match(
          await told("form", "elicitation", { decision: "accept" }, {
            action: "accept",
            content: { name: 1 },
          }, { action: "accept", content: { name: "Ann" } }),
          /elicited:.*accept.*Ann/,
        );
        assert.match(
          await told("permissions", "permissions", {
            permissions: { fileSystem: { write: ["/"] } },
          }, { permissions: net }),
          /"enabled":true/,
        );
        const refused = await told("permissions", "permissions", { permissions: {} });
        assert.ok(!/"enabled":true/.test(refused), refused);
        await events.return();
        await session.close();

        // Bun ends a connection that is idle for 10 s.
        await new Promise((resolve) => setTimeout(resolve, since + 12_000 - Date.now()));
        assert.ok(idle.comments >= 15, `${idle.comments} heartbeats`);
        await stage.call("bob", `POST /sessions/${sessionId}/turns`, { text: "now" });
        assert.ok(await pending !== null);
        assert.equal(textOf(await idle.untilTurnEnds()), "late");
        await idle.drop();
      },
      FLAGS,
    ),
);
