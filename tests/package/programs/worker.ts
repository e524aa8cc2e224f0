/** An edge worker: no processes, no files, no Node; a codex that listens elsewhere. */
import { Client, type ClientConfig, CodexError } from "@codex/runtime";

interface Job {
  url: string;
  token: string;
  cwd: string;
}

async function codeOf(attempt: Promise<unknown>): Promise<string> {
  try {
    await attempt;
    return "none";
  } catch (error) {
    return error instanceof CodexError ? `${error.code}: ${error.message}` : String(error);
  }
}

export default {
  async fetch(request: Request): Promise<Response> {
    const { url, token, cwd } = await request.json() as Job;
    const config: ClientConfig = {
      transport: { type: "websocket", url, token },
      approvals: {
        rules: [{ effect: "allow", kind: "command", command: ["echo"], outsideSandbox: true }],
      },
    };
    const client = await Client.connect(config);
    const session = await client.startSession({ cwd, approvalPolicy: "untrusted" });
    const stream = await session.askStream("Say hello");
    const seen: string[] = [];
    for await (const event of stream) {
      if (event.type === "assistantMessageDelta") seen.push(event.delta);
      if (event.type === "itemCompleted" && event.item.type === "commandExecution") {
        seen.push(`${event.item.exitCode}: ${event.item.aggregatedOutput}`);
      }
    }
    const { assistantText } = await stream.finish();
    const { version } = client.server;
    await session.close();
    await client.shutdown();
    return Response.json({
      version,
      seen,
      assistantText,
      withoutServer: await codeOf(Client.connect()),
      wrongToken: await codeOf(
        Client.connect({ transport: { type: "websocket", url, token: "wrong" } }),
      ),
    });
  },
};
