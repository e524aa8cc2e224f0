/** A page: follows a turn through the bridge, and plays a recorded conversation with the client itself. */
import { Client, CodexError, testing } from "@codex/runtime";

async function call<Answer>(path: string, body?: unknown): Promise<Answer> {
  const response = await fetch(path, {
    method: body === undefined ? "GET" : "POST",
    ...(body === undefined ? {} : {
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    }),
  });
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  return await response.json();
}

/** Runs one turn through the bridge, allows what the agent asks for, and returns what was seen. */
async function throughBridge(): Promise<string[]> {
  const { sessionId } = await call<{ sessionId: string }>("/codex/sessions", {});
  const path = `/codex/sessions/${sessionId}`;
  const seen: string[] = [];
  const events = new EventSource(`${path}/events`);
  const over = new Promise<void>((resolve, reject) => {
    events.onmessage = async ({ data }) => {
      const event = JSON.parse(data);
      if (event.type === "assistantMessageDelta") seen.push(event.delta);
      if (event.type === "approvalRequested") {
        seen.push(event.request.type);
        await call(`${path}/approvals/${event.request.id}`, { decision: "accept" }).catch(reject);
      }
      if (event.type === "itemCompleted" && event.item.type === "commandExecution") {
        seen.push(`${event.item.exitCode}: ${event.item.aggregatedOutput}`);
      }
      if (event.type === "turnCompleted") resolve();
    };
  });
  await call(`${path}/turns`, { text: "Say hello" });
  await over;
  events.close();
  return seen;
}

/** The whole client, in a page, on a conversation that was recorded elsewhere. */
async function fromCassette(): Promise<string> {
  const { text, cwd } = await call<{ text: string; cwd: string }>("/cassette");
  const replay = testing.Cassette.load(text).replay();
  const client = await Client.connect(replay.clientConfig());
  const { assistantText } = await client.run(cwd, "Say hello");
  await client.shutdown();
  replay.assertComplete();
  return assistantText;
}

/** Pages can't start processes, and say so. */
async function withoutServer(): Promise<string> {
  try {
    await Client.connect();
    return "connected";
  } catch (error) {
    return error instanceof CodexError ? error.code : String(error);
  }
}

let result: unknown;
try {
  result = {
    bridge: await throughBridge(),
    cassette: await fromCassette(),
    withoutServer: await withoutServer(),
  };
} catch (error) {
  result = String(error);
}
await fetch("/done", { method: "POST", body: JSON.stringify(result) });
