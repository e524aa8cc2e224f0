// A real MCP server, made with the SDK whose folder the first argument names; over stdio, or over HTTP with the second
// argument "http": then it prints its port. What it is told, and what it sees, is what its tools answer with.
import { createServer } from "node:http";
import process from "node:process";
import { pathToFileURL } from "node:url";

const [sdk, mode = "stdio"] = process.argv.slice(2);
const load = (file) => import(pathToFileURL(`${sdk}/dist/esm/${file}`).href);
const { McpServer, ResourceTemplate } = await load("server/mcp.js");
const readOnlyHint = true;

function make(headers = {}) {
  const server = new McpServer({ name: "probe", version: "1.0.0" });
  const text = (value) => ({ content: [{ type: "text", text: String(value) }] });
  server.registerTool(
    "see",
    { description: "What it was given", annotations: { readOnlyHint } },
    () =>
      text(JSON.stringify({
        variable: process.env.MCP_PROBE ?? null,
        inherited: process.env.MCP_INHERITED ?? null,
        authorization: headers.authorization ?? null,
        own: headers["x-own"] ?? null,
        cwd: process.cwd(),
      })),
  );
  server.registerTool("write", { description: "Says that it writes" }, () => text("wrote"));
  server.registerResource(
    "note",
    new ResourceTemplate("note://{name}", { list: undefined }),
    {},
    (uri, { name }) => ({ contents: [{ uri: uri.href, text: `The note ${name}` }] }),
  );
  return server;
}

if (mode === "stdio") {
  const { StdioServerTransport } = await load("server/stdio.js");
  await make().connect(new StdioServerTransport());
} else {
  const { StreamableHTTPServerTransport } = await load("server/streamableHttp.js");
  const http = createServer(async (request, response) => {
    if (request.headers.authorization !== "Bearer let-me-in") {
      return response.writeHead(401).end();
    }
    const server = make(request.headers);
    const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined });
    response.on("close", () => transport.close());
    await server.connect(transport);
    await transport.handleRequest(request, response);
  });
  http.listen(0, "127.0.0.1", () => console.log(http.address().port));
}
