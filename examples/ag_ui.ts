/**
 * An agent for clients that speak AG-UI, such as CopilotKit: one route that streams a turn as their events, and their own
 * client that reads it. `web.createBridge` has such a route with tenants, approvals and limits; this is what is in it.
 *
 *     deno run --allow-run=codex --allow-read=. --allow-net=127.0.0.1 --allow-env examples/ag_ui.ts --live
 */
import { HttpAgent } from "npm:@ag-ui/client@1.0.0";
import { createServer } from "node:http";
import { agUi, Client, type Session, testing } from "../mod.ts";
import { setup } from "./_setup.ts";

const { script } = testing;
await using env = await setup([
  [script.reason("I look."), script.exec("echo hello")],
  script.say(["It says ", "hello."]),
  "You are welcome.",
]);
await using client = await Client.connect(env.client);

/** A session for each thread of the page's. */
const sessions = new Map<string, Promise<Session>>();

const server = createServer(async (request, response) => {
  let body = "";
  for await (const chunk of request) body += chunk;
  const { threadId, runId, messages } = JSON.parse(body);
  const session = sessions.get(threadId) ?? client.startSession({ cwd: env.cwd });
  sessions.set(threadId, session);
  const stream = await (await session).askStream(String(messages.at(-1).content));
  response.setHeader("content-type", "text/event-stream");
  // The page knows the run by the names that it gave.
  for await (const event of agUi.toEvents(stream, { threadId, runId })) {
    response.write(`data: ${JSON.stringify(event)}\n\n`);
  }
  response.end();
});
await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
const address = server.address();
if (address === null || typeof address === "string") throw new Error("it has no port");

const agent = new HttpAgent({ url: `http://127.0.0.1:${address.port}`, threadId: "page-1" });
for (const content of ["Say hello by a command.", "Thanks."]) {
  agent.addMessage({ id: crypto.randomUUID(), role: "user", content });
  await agent.runAgent();
}
for (const message of agent.messages) {
  if (message.role === "tool") console.log(`tool: ${message.content}`);
  else if (message.content) console.log(`${message.role}: ${message.content}`);
}
server.close();
server.closeAllConnections();
