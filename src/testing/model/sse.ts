/**
 * Model steps as the server-sent events of the Responses API: pure, but for fresh ids.
 * @module
 */
import type { JsonObject } from "../../json.ts";
import type { ModelStep, Usage } from "./script.ts";

/** Makes ids that are unique in one model. */
export type NextId = (prefix: string) => string;

/** One event, encoded. */
export function encodeEvent(data: JsonObject): string {
  return `event: ${String(data["type"])}\ndata: ${JSON.stringify(data)}\n\n`;
}

/** The deltas that a message is streamed in. */
export function deltasOf(text: string | string[], chunkSize?: number): string[] {
  if (Array.isArray(text)) return text;
  if (chunkSize === undefined) return text === "" ? [] : [text];
  const deltas: string[] = [];
  const characters = Array.from(text);
  for (let at = 0; at < characters.length; at += chunkSize) {
    deltas.push(characters.slice(at, at + chunkSize).join(""));
  }
  return deltas;
}

/** The opening event of a message. */
export function messageAdded(id: string, index: number, phase?: string): JsonObject {
  return {
    type: "response.output_item.added",
    output_index: index,
    item: { ...message(id, phase), status: "in_progress", content: [] },
  };
}

/** One piece of a message. */
export function messageDelta(id: string, index: number, delta: string): JsonObject {
  return {
    type: "response.output_text.delta",
    item_id: id,
    output_index: index,
    content_index: 0,
    delta,
  };
}

/** The closing event of a message, with its whole text. */
export function messageDone(id: string, index: number, text: string, phase?: string): JsonObject {
  return {
    type: "response.output_item.done",
    output_index: index,
    item: {
      ...message(id, phase),
      status: "completed",
      content: [{ type: "output_text", text, annotations: [] }],
    },
  };
}

function message(id: string, phase?: string): JsonObject {
  return { type: "message", id, role: "assistant", ...(phase === undefined ? {} : { phase }) };
}

/** The events of a reasoning item. */
export function reasoningEvents(
  step: Extract<ModelStep, { type: "reasoning" }>,
  index: number,
  nextId: NextId,
): JsonObject[] {
  const id = nextId("rs");
  const at = { item_id: id, output_index: index };
  const part = { type: "summary_text", text: step.text };
  const content = step.content === undefined
    ? []
    : [{ type: "reasoning_text", text: step.content }];
  const item = { type: "reasoning", id, encrypted_content: null };
  return [
    {
      type: "response.output_item.added",
      output_index: index,
      item: { ...item, summary: [], content: [] },
    },
    {
      type: "response.reasoning_summary_part.added",
      ...at,
      summary_index: 0,
      part: { ...part, text: "" },
    },
    { type: "response.reasoning_summary_text.delta", ...at, summary_index: 0, delta: step.text },
    { type: "response.reasoning_summary_text.done", ...at, summary_index: 0, text: step.text },
    ...content.map((c) => ({
      type: "response.reasoning_text.delta",
      ...at,
      content_index: 0,
      delta: c.text,
    })),
    {
      type: "response.output_item.done",
      output_index: index,
      item: { ...item, summary: [part], content },
    },
  ];
}

/** The event of a function or freeform call. */
export function callEvent(
  step: Extract<ModelStep, { type: "toolCall" | "customToolCall" }>,
  index: number,
  nextId: NextId,
): JsonObject {
  const call_id = step.callId ?? nextId("call");
  const item: JsonObject = step.type === "customToolCall"
    ? {
      type: "custom_tool_call",
      id: nextId("ctc"),
      call_id,
      name: step.name,
      input: step.input,
      status: "completed",
    }
    : {
      type: "function_call",
      id: nextId("fc"),
      call_id,
      name: step.name,
      arguments: typeof step.args === "string" ? step.args : JSON.stringify(step.args),
      ...(step.namespace === undefined ? {} : { namespace: step.namespace }),
      status: "completed",
    };
  return { type: "response.output_item.done", output_index: index, item };
}

/** The first event of a response. */
export function created(id: string): JsonObject {
  return { type: "response.created", response: { id, object: "response", status: "in_progress" } };
}

/** The last event of a good response. */
export function completed(id: string, usage: Usage): JsonObject {
  const input = usage.inputTokens ?? 10;
  const output = usage.outputTokens ?? 3;
  return {
    type: "response.completed",
    response: {
      id,
      object: "response",
      status: "completed",
      usage: {
        input_tokens: input,
        input_tokens_details: { cached_tokens: usage.cachedInputTokens ?? 0 },
        output_tokens: output,
        output_tokens_details: { reasoning_tokens: usage.reasoningTokens ?? 0 },
        total_tokens: usage.totalTokens ?? input + output,
      },
    },
  };
}

/** The last event of a failed response. */
export function failedEvent(id: string, code: string, message: string): JsonObject {
  return {
    type: "response.failed",
    response: { id, object: "response", status: "failed", error: { code, message } },
  };
}

/** The last event of an incomplete response. */
export function incompleteEvent(id: string, reason: string): JsonObject {
  return {
    type: "response.incomplete",
    response: { id, object: "response", status: "incomplete", incomplete_details: { reason } },
  };
}
