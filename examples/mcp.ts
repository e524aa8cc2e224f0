/**
 * MCP servers of one session: this one over HTTP, made with the MCP SDK, with a token that only the server gets to see. The
 * agent calls its tool, and so does the script. A program instead of an address is `{ command, args, env }`.
 *
 *     deno run --allow-run=codex --allow-read=. --allow-net=127.0.0.1 examples/mcp.ts --live
 *
 * On Bun and Node the package is `@modelcontextprotocol/sdk`, without `npm:` and the version.
 */
import { createServer } from "node:http";
import { McpServer } from "npm:@modelcontextprotocol/sdk@1.32.2/server/mcp.js";
import { StreamableHTTPServerTransport } from "npm:@modelcontextprotocol/sdk@1.32.2/server/streamableHttp.js";
import { Client, testing } from "../mod.ts";
import { setup } from "./_setup.ts";

const { script } = testing;
await using env = await setup([
  [script.toolCall("forecast", {}, { namespace: "mcp__weather" })],
  "Take an umbrella.",
]);

const bearerToken = crypto.randomUUID();
const http = createServer(async (request, response) => {
  if (request.headers.authorization !== `Bearer ${bearerToken}`) {
    response.writeHead(401).end();
    return;
  }
  const server = new McpServer({ name: "weather", version: "1.0.0" });
  const annotations = { readOnlyHint: true };
  server.registerTool("forecast", { description: "Today's weather", annotations }, () => ({
    content: [{ type: "text", text: "Rain" }],
  }));
  const transport = new StreamableHTTPServerTransport();
  await server.connect(transport);
  await transport.handleRequest(request, response);
});
await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
const address = http.address();
if (address === null || typeof address === "string") throw new Error("it does not listen");

const client = await Client.connect(env.client);
const session = await client.startSession({
  cwd: env.cwd,
  mcpServers: {
    weather: { url: `http://127.0.0.1:${address.port}/mcp`, bearerToken, required: true },
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
http.close();
http.closeAllConnections();
