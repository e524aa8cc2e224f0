/** A model behind the Messages API, as the Claude Agent SDK asks it: it plays what a test says, over a loopback port. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { text as readText } from "node:stream/consumers";

/** What it says: words, or a tool to be used. */
export type Said = string | { tool: string; input: Record<string, unknown> };

/** A model that listens. */
export interface MessagesModel extends AsyncDisposable {
  url: string;
}

interface Message {
  content: string | { type: string; content?: string | { text: string }[] }[];
}

/** Starts it. `say` is given what the tools of the conversation have said so far. */
export async function messagesModel(say: (results: string[]) => Said): Promise<MessagesModel> {
  let said = 0;
  const server = createServer(async (request, response) => {
    if (!/^\/v1\/messages(?:\?|$)/.test(request.url!)) {
      response.writeHead(404).end();
      return;
    }
    const { messages, model } = JSON.parse(await readText(request));
    response.writeHead(200, { "content-type": "text/event-stream" });
    for (const event of events(`${++said}`, model, say(results(messages)))) {
      response.write(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
    }
    response.end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function results(messages: Message[]): string[] {
  return messages.flatMap(({ content }) => typeof content === "string" ? [] : content)
    .filter(({ type }) => type === "tool_result")
    .map(({ content = "" }) =>
      typeof content === "string" ? content : content.map(({ text }) => text).join("\n")
    );
}

function events(id: string, model: string, said: Said): { type: string }[] {
  const words = typeof said === "string";
  const block = words
    ? { type: "text", text: "" }
    : { type: "tool_use", id: `toolu_${id}`, name: said.tool, input: {} };
  const delta = words
    ? { type: "text_delta", text: said }
    : { type: "input_json_delta", partial_json: JSON.stringify(said.input) };
  const usage = { input_tokens: 1, output_tokens: 1 };
  const message = {
    id: `msg_${id}`,
    type: "message",
    role: "assistant",
    model,
    content: [],
    usage,
  };
  const ended = { stop_reason: words ? "end_turn" : "tool_use", stop_sequence: null };
  return [
    { type: "message_start", message: { ...message, stop_reason: null, stop_sequence: null } },
    { type: "content_block_start", index: 0, content_block: block },
    { type: "content_block_delta", index: 0, delta },
    { type: "content_block_stop", index: 0 },
    { type: "message_delta", delta: ended, usage: { output_tokens: 1 } },
    { type: "message_stop" },
  ] as { type: string }[];
}
