/**
 * MCP servers of one session: this one over HTTP, made with the MCP SDK, with a token that only the server gets to see. The
 * agent calls its tool, and so does the script. A program instead of an address is `{ command, args, env }`.
 *
 *     deno run --allow-run=codex --allow-read=. --allow-net=127.0.0.1 examples/mcp.ts --live
 */
import { McpServer } from "npm:@modelcontextprotocol/sdk@1.32.2/server/mcp.js";
import { WebStandardStreamableHTTPServerTransport } from "npm:@modelcontextprotocol/sdk@1.32.2/server/webStandardStreamableHttp.js";
import { Client, testing } from "../mod.ts";
import { setup } from "./_setup.ts";

const { script } = testing;
await using env = await setup([
  [script.toolCall("forecast", {}, { namespace: "mcp__weather" })],
  "Take an umbrella.",
]);

const bearerToken = crypto.randomUUID();
const http = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, async (request) => {
  if (request.headers.get("authorization") !== `Bearer ${bearerToken}`) {
    return new Response(null, { status: 401 });
  }
  const server = new McpServer({ name: "weather", version: "1.0.0" });
  const annotations = { readOnlyHint: true };
  server.registerTool("forecast", { description: "Today's weather", annotations }, () => ({
    content: [{ type: "text", text: "Rain" }],
  }));
  const transport = new WebStandardStreamableHTTPServerTransport();
  await server.connect(transport);
  return await transport.handleRequest(request);
});
const { port } = http.addr;

const client = await Client.connect(env.client);
const session = await client.startSession({
  cwd: env.cwd,
  mcpServers: {
    weather: { url: `http://127.0.0.1:${port}/mcp`, bearerToken, required: true },
  },
});
for (const { name, tools } of await session.mcp.status()) {
  console.log(`${name}: ${tools.map((each) => each.name).join(", ")}`);
}
console.log((await session.ask("Do I need an umbrella?")).assistantText);
const { content } = await session.mcp.call("weather", "forecast");
console.log(content[0]?.["text"]);
await session.close();
await client.shutdown();
await http.shutdown();
