/** Tools of this process, called by the client of the MCP SDK. */
import assert from "node:assert/strict";
import { Client } from "npm:@modelcontextprotocol/sdk@1.32.2/client/index.js";
import { StreamableHTTPClientTransport } from "npm:@modelcontextprotocol/sdk@1.32.2/client/streamableHttp.js";
import { ToolServer } from "../../src/session/mcp/tool_server.ts";
import { test } from "../_harness.ts";

test("the SDK's own client lists tools, calls them and gives up a call", async () => {
  const server = new ToolServer();
  const inputSchema = { type: "object", properties: { a: { type: "number" } } };
  const tools = await server.add([{ name: "add", description: "Adds", inputSchema }]);
  const begun = Promise.withResolvers<AbortSignal>();
  tools.bind(({ arguments: args }, signal) => {
    const { a } = args as { a: number };
    const answer = { success: true, contentItems: [{ type: "inputText", text: `${a + 1}` }] };
    if (a !== 0) return Promise.resolve(answer);
    begun.resolve(signal);
    return new Promise((resolve) => signal.addEventListener("abort", () => resolve(answer)));
  });
  const client = new Client({ name: "test", version: "1.0.0" });
  const headers = tools.settings["http_headers"] as Record<string, string>;
  const transport = new StreamableHTTPClientTransport(new URL(String(tools.settings["url"])), {
    requestInit: { headers },
  });
  await client.connect(transport as Parameters<typeof client.connect>[0]);
  const { tools: listed } = await client.listTools();
  assert.deepEqual(listed.map(({ name }: { name: string }) => name), ["add"]);
  const result = await client.callTool({ name: "add", arguments: { a: 2 } });
  assert.deepEqual(result.content, [{ type: "text", text: "3" }]);
  const stop = new AbortController();
  const given = client.callTool({ name: "add", arguments: { a: 0 } }, undefined, {
    signal: stop.signal,
  });
  const signal = await begun.promise;
  const ended = new Promise((resolve) => signal.addEventListener("abort", resolve));
  stop.abort();
  await assert.rejects(given);
  await ended;
  await client.close();
  await tools.end();
});
