/** The tools of this process as an MCP server: what it answers, and whom it sends away. */
import assert from "node:assert/strict";
import { request as httpRequest } from "node:http";
import { connect } from "node:net";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { JsonObject, JsonValue } from "../../../src/json.ts";
import { InvalidArgumentError, PermissionDeniedError } from "../../../src/errors/mod.ts";
import type { RuntimeCore } from "../../../src/runtime/mod.ts";
import { resolveProfile } from "../../../src/session/policy/thread_params.ts";
import { serveMissingTools, toolsInMeta } from "../../../src/session/mcp/offered_tools.ts";
import {
  resultOf,
  type ServedCall,
  type ServedTools,
  ToolServer,
  type ToolSpec,
} from "../../../src/session/mcp/tool_server.ts";
import { test } from "../../_harness.ts";
import { tempDir } from "../../_temp.ts";

const ADD: ToolSpec = { name: "add", description: "Adds", inputSchema: { type: "object" } };
const TEXT = (text: string): JsonObject => ({
  success: true,
  contentItems: [{ type: "inputText", text }],
});

interface Answer {
  status: number;
  headers: Record<string, unknown>;
  body: string;
}

/** A request as any program can make it, with whatever headers. */
function send(
  tools: ServedTools,
  headers: Record<string, string> = {},
  body: string | Uint8Array = "",
  method = "POST",
  path = "/mcp",
): Promise<Answer> {
  const { port } = new URL(String(tools.settings["url"]));
  return new Promise((resolve, reject) => {
    const sent = httpRequest({
      host: "127.0.0.1",
      port,
      path,
      method,
      agent: false,
      headers: { "content-type": "application/json", ...headers },
    }, (answer) => {
      let body = "";
      answer.setEncoding("utf8");
      answer.on("data", (text) => body += text);
      answer.on("error", reject);
      answer.on("end", () => {
        resolve({ status: answer.statusCode!, headers: answer.headers, body });
      });
      answer.on("close", () => reject(new Error("the answer was cut")));
    });
    sent.on("error", reject);
    sent.end(body);
  });
}

function keyOf(tools: ServedTools): Record<string, string> {
  const { Authorization } = tools.settings["http_headers"] as Record<string, string>;
  return { authorization: Authorization! };
}

async function call(
  tools: ServedTools,
  method: string,
  params: JsonObject = {},
  key: Record<string, string> = keyOf(tools),
): Promise<JsonObject> {
  const { status, body } = await send(
    tools,
    key,
    JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }),
  );
  assert.equal(status, 200, body);
  return JSON.parse(body);
}

const add = (args: JsonValue = {}, meta: JsonObject = {}): JsonObject => ({
  name: "add",
  arguments: args,
  _meta: meta,
});

test("tools are listed and called, with where the call comes from", async () => {
  const server = new ToolServer();
  const tools = await server.add([ADD, { ...ADD, name: "odd" }]);
  const calls: ServedCall[] = [];
  tools.bind((each) => {
    calls.push(each);
    return Promise.resolve(TEXT("3"));
  });
  const hello = await call(tools, "initialize", { protocolVersion: "2025-03-26" });
  assert.equal((hello["result"] as JsonObject)["protocolVersion"], "2025-03-26");
  const newer = await call(tools, "initialize", { protocolVersion: "2099-01-01" });
  assert.equal((newer["result"] as JsonObject)["protocolVersion"], "2025-06-18");
  const { tools: listed } = (await call(tools, "tools/list"))["result"] as { tools: JsonObject[] };
  assert.deepEqual(listed.map(({ name }) => name), ["add", "odd"]);
  assert.deepEqual(listed[1]!["inputSchema"], ADD.inputSchema);
  const result = await call(
    tools,
    "tools/call",
    add({ a: 1 }, {
      callId: "c",
      threadId: "t",
      "x-codex-turn-metadata": { turn_id: "u", thread_id: "other" },
    }),
  );
  assert.deepEqual(result["result"], { content: [{ type: "text", text: "3" }], isError: false });
  const nothing = { turn_id: "", thread_id: "other" };
  const _meta = { threadId: 5, callId: "", "x-codex-turn-metadata": nothing };
  await call(tools, "tools/call", { name: "add", _meta });
  assert.deepEqual(calls, [
    { tool: "add", arguments: { a: 1 }, threadId: "t", turnId: "u", callId: "c" },
    { tool: "add", arguments: {}, threadId: "other", turnId: null, callId: null },
  ]);
  assert.deepEqual((await call(tools, "ping"))["result"], {});
  assert.match(JSON.stringify(await call(tools, "resources/list")), /-32601/);
  assert.match(JSON.stringify(await call(tools, "tools/call", { name: 5 })), /-32602/);
  await tools.end();
});

test("whoever has no token, or comes from a page, is sent away, whatever he asks for", async () => {
  const server = new ToolServer();
  const [tools, others] = [await server.add([ADD]), await server.add([ADD])];
  for (const each of [tools, others]) each.bind(() => Promise.reject(new Error("called")));
  const key = keyOf(tools);
  const { host, port } = new URL(String(tools.settings["url"]));
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/call", params: add() });
  const cases: [string, Record<string, string>, number, string?, string?][] = [
    ["no token", {}, 401],
    ["an empty token", { authorization: "Bearer " }, 401],
    ["a wrong token", { authorization: `Bearer ${"0".repeat(64)}` }, 401],
    ["half a token", { authorization: key["authorization"]!.slice(0, -1) }, 401],
    ["another scheme", { authorization: key["authorization"]!.replace("Bearer", "Basic") }, 401],
    ["a token in the path only", {}, 401, "POST", `/mcp?token=${key["authorization"]!.slice(7)}`],
    ["a page of this machine", { ...key, origin: `http://${host}` }, 403],
    ["a sandboxed page", { ...key, origin: "null" }, 403],
    ["a rebound name", { ...key, host: `evil.example:${port}` }, 403],
    ["the machine's name", { ...key, host: `localhost:${port}` }, 403],
    ["another port", { ...key, host: "127.0.0.1:1" }, 403],
    ["a form", { ...key, "content-type": "text/plain" }, 415],
    ["a stream", key, 405, "GET"],
    ["an end", key, 405, "DELETE"],
    ["a preflight", { origin: "http://evil.example" }, 403, "OPTIONS"],
    ["another path", key, 404, "POST", "/"],
  ];
  for (const [what, headers, status, method, path] of cases) {
    const answer = await send(tools, headers, method === "GET" ? "" : body, method, path);
    assert.equal(answer.status, status, what);
    assert.equal(answer.body, "", what);
    assert.equal(answer.headers["access-control-allow-origin"], undefined, what);
  }
  await Promise.all([tools.end(), others.end()]);
});

test("a token is for its own session, and for as long as that lasts", async () => {
  const server = new ToolServer();
  const [one, two] = [await server.add([ADD]), await server.add([ADD])];
  one.bind(() => Promise.resolve(TEXT("one")));
  two.bind(() => Promise.resolve(TEXT("two")));
  assert.match(JSON.stringify(await call(one, "tools/call", add())), /"one"/);
  assert.match(JSON.stringify(await call(one, "tools/call", add(), keyOf(two))), /"two"/);
  await one.end();
  const late = await send(two, keyOf(one), "{}");
  assert.equal(late.status, 401);
  assert.match(JSON.stringify(await call(two, "tools/call", add())), /"two"/);
  await two.end();
  await assert.rejects(send(two, keyOf(two), "{}"));
  // Another one comes: on another port, or at least with another token.
  const three = await server.add([ADD]);
  assert.notEqual(keyOf(three)["authorization"], keyOf(two)["authorization"]);
  assert.match(JSON.stringify(await call(three, "tools/call", add())), /not open yet/);
  await server.close();
});

test("what is too large, or is no message, is answered and forgotten", async () => {
  const server = new ToolServer();
  const tools = await server.add([ADD]);
  const key = keyOf(tools);
  const large = new Uint8Array((16 << 20) + 1).fill(32);
  const refused = await send(tools, key, large).then(({ status }) => status, () => "cut");
  assert.ok(refused === 413 || refused === "cut", String(refused));
  // Without a token nothing of it is even read.
  const unread = await send(tools, {}, large).then(({ status }) => status, () => "cut");
  assert.ok(unread === 401 || unread === "cut", String(unread));
  for (
    const text of ["", "{", "[]", "5", '"x"', "{}", '[{"jsonrpc":"2.0","id":1,"method":"ping"}]']
  ) {
    assert.equal((await send(tools, key, text)).status, 400, text);
  }
  const silent = [
    '{"jsonrpc":"2.0","method":"notifications/initialized"}',
    '{"jsonrpc":"2.0","id":1}',
  ];
  for (const text of silent) {
    const answer = await send(tools, key, text);
    assert.deepEqual([answer.status, answer.body], [202, ""], text);
  }
  // What is told of a name is no longer than names are.
  const unknown = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "x".repeat(10_000) });
  assert.match((await send(tools, key, unknown)).body, /no method x{80} here/);
  // One that says nothing at all keeps nobody from closing.
  const socket = connect(Number(new URL(String(tools.settings["url"])).port), "127.0.0.1");
  await once(socket, "connect");
  const closed = once(socket, "close");
  socket.on("error", () => {});
  await server.close();
  socket.destroy();
  await closed;
});

test("a call ends with its session, its client, or a word of that client", async () => {
  const server = new ToolServer();
  const tools = await server.add([ADD]);
  const key = keyOf(tools);
  const begun: { signal: AbortSignal; ended: Promise<unknown> }[] = [];
  const waiting: (() => void)[] = [];
  tools.bind((_call, signal) => {
    const ended = new Promise((resolve) =>
      signal.addEventListener("abort", () => resolve(signal.reason))
    );
    begun.push({ signal, ended });
    waiting.shift()!();
    return ended.then(() => TEXT("given up"));
  });
  const start = async (client: string): Promise<{ answer: Promise<Answer | null> }> => {
    const heard = new Promise<void>((resolve) => waiting.push(resolve));
    const body = JSON.stringify({ jsonrpc: "2.0", id: 7, method: "tools/call", params: add() });
    const answer = send(tools, { ...key, "mcp-session-id": client }, body).catch(() => null);
    await heard;
    return { answer };
  };
  const cancel = (client: string, requestId: JsonValue) =>
    send(
      tools,
      { ...key, "mcp-session-id": client },
      JSON.stringify({ jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId } }),
    );
  // Two clients have the same session, such as an agent and its agent, and count their calls alike.
  const [first, second] = [await start("a"), await start("b")];
  await cancel("b", 8);
  await cancel("c", 7);
  assert.ok(begun.every(({ signal }) => !signal.aborted));
  await cancel("b", 7);
  assert.match((await second.answer)!.body, /given up/);
  assert.deepEqual(begun.map(({ signal }) => signal.aborted), [false, true]);
  await tools.end();
  await first.answer;
  assert.ok(begun.every(({ signal }) => signal.aborted));
});

test("an answer to item/tool/call is said in MCP's words", () => {
  const cases: [JsonValue, JsonValue][] = [
    [TEXT("a\ud800"), { content: [{ type: "text", text: "a\ufffd" }], isError: false }],
    // An answer without content is none to codex 0.104 to 0.125.
    [{ success: false, contentItems: [] }, {
      content: [{ type: "text", text: "" }],
      isError: true,
    }],
    [{
      success: true,
      contentItems: [{ type: "inputImage", imageUrl: "data:image/png;base64,AAAA" }, {
        type: "inputImage",
        imageUrl: "https://x/y.png",
      }],
    }, {
      content: [{ type: "image", mimeType: "image/png", data: "AAAA" }, {
        type: "text",
        text: "https://x/y.png",
      }],
      isError: false,
    }],
    [null, { content: [{ type: "text", text: "The call was not answered." }], isError: true }],
  ];
  for (const [response, result] of cases) assert.deepEqual(resultOf(response), result);
});

test("what a thread was begun with is read from the first line of its file", () => {
  const inputSchema = { type: "object" };
  const line = (payload: JsonValue, type = "session_meta") => JSON.stringify({ type, payload });
  const tool = { type: "function", name: "add", description: "Adds", inputSchema, more: 1 };
  assert.deepEqual(toolsInMeta(line({ dynamic_tools: [tool, { name: "x" }, 5] })), [
    { name: "add", description: "Adds", inputSchema },
  ]);
  const none = [
    "",
    "{",
    "[]",
    line(null),
    line({}),
    line({ dynamic_tools: "x" }),
    line({ dynamic_tools: [tool] }, "x"),
  ];
  for (const text of none) assert.deepEqual(toolsInMeta(text), []);
});

test("a codex that can't come here, or may come by way of a proxy, is served nothing, and is told why", async () => {
  const tools = { add: { description: "Adds", inputSchema: {}, run: () => 1 } };
  const cases = [
    [{ type: "websocket", url: "ws://127.0.0.1:9" }, /on another machine/],
    [{ type: "command", command: ["ssh", "host"] }, /on another machine/],
    [{ type: "unix", path: "/s" }, /may come by way of a proxy/],
    [{ type: "daemon" }, /may come by way of a proxy/],
    [{ type: "custom", open: () => Promise.reject() }, /may come by way of a proxy/],
  ] as const;
  for (const [transport, why] of cases) {
    const core = {
      config: { transport },
      call: () => Promise.reject(new Error("no such thread")),
    } as unknown as RuntimeCore;
    const served = serveMissingTools(core, "T", "/w", resolveProfile({ tools }));
    await assert.rejects(served, (error) => {
      assert.ok(error instanceof InvalidArgumentError, String(error));
      assert.match(error.message, why);
      assert.match(
        error.message,
        /add: tools that .*let this process start the codex/,
      );
      return error.data?.["reason"] === "toolsOutOfReach";
    });
    assert.equal(await serveMissingTools(core, "T", "/w", resolveProfile({})), null);
  }
});

test("a codex whose environment could not be looked into when it was started is served nothing", async () => {
  await using dir = await tempDir("dotenv-");
  const profile = resolveProfile({
    tools: { add: { description: "Adds", inputSchema: {}, run: () => 1 } },
  });
  const asked: string[] = [];
  const core = {
    config: {},
    direct: false,
    server: { version: "0.169.0", codexHome: dir.path },
    call: () => Promise.reject(new Error("no such thread")),
    callNow: (method: string) => {
      asked.push(method);
      return Promise.resolve({});
    },
  };
  const serve = (changes: object = {}) =>
    serveMissingTools({ ...core, ...changes } as unknown as RuntimeCore, "T", "/w", profile);
  // That this script may look now changes nothing about a codex that runs already.
  await assert.rejects(serve(), (error) => {
    assert.ok(error instanceof PermissionDeniedError, String(error));
    assert.deepEqual(error.missing, ["--allow-env=NO_PROXY,no_proxy"]);
    return true;
  });
  await assert.rejects(
    serve({ server: { version: "0.104.0" }, config: { env: { inherit: [] } } }),
    {
      missing: ["--allow-env=NO_PROXY,no_proxy", "--allow-read=CODEX_HOME/.env"],
    },
  );
  const served = await serve({ direct: true });
  // Its own file goes before its environment, at each start.
  await writeFile(join(dir.path, ".env"), "NO_PROXY=other.example\n");
  await assert.rejects(served!.check(), /add: .*NO_PROXY in .*\.env/);
  await served!.end();
  await assert.rejects(serve({ direct: true }), InvalidArgumentError);
});
