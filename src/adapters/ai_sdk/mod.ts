/**
 * A turn as a message of the AI SDK's user interfaces: as a stream of chunks, and whole.
 * @module
 */
import { type JsonObject, jsonOf, type JsonValue, present } from "../../json.ts";
import type { ToolUse, TurnPart } from "../turn_parts.ts";
import type { ModelMetadata } from "./model_types.ts";
import type { UIChunk } from "./ui_chunk.ts";

export type { UIChunk } from "./ui_chunk.ts";
export { TurnParts } from "../turn_parts.ts";

/** Tells the parts of a turn as chunks of one message. */
export class UIChunks {
  readonly #messageId: string;
  readonly #ids: JsonObject;
  /** Uses of tools that somebody declined. */
  readonly #denied: Set<string> = new Set();
  #usage: JsonValue = null;

  /** `ids` goes into the message's metadata, as `codex`. */
  constructor(messageId: string, ids: JsonObject) {
    this.#messageId = messageId;
    this.#ids = ids;
  }

  /** Begins the message. */
  start(): UIChunk[] {
    const messageId = this.#messageId;
    return [{ type: "start", messageId, messageMetadata: this.#metadata() }, {
      type: "start-step",
    }];
  }

  /** What a part adds. */
  take(part: TurnPart): UIChunk[] {
    switch (part.type) {
      case "textStart": {
        const phase = part.commentary ? { phase: "commentary" } : {};
        return [{ type: "text-start", id: part.id, providerMetadata: about(part.itemId, phase) }];
      }
      case "textDelta":
        return [{ type: "text-delta", id: part.id, delta: part.delta }];
      case "textEnd":
        return [{ type: "text-end", id: part.id }];
      case "reasoningStart":
        return [{ type: "reasoning-start", id: part.id, providerMetadata: about(part.itemId) }];
      case "reasoningDelta":
        return [{ type: "reasoning-delta", id: part.id, delta: part.delta }];
      case "reasoningEnd":
        return [{ type: "reasoning-end", id: part.id }];
      case "toolStart": {
        const { id, name, input, itemId } = part.use;
        return [{
          type: "tool-input-available",
          toolCallId: id,
          toolName: name,
          input,
          providerExecuted: true,
          dynamic: true,
          providerMetadata: about(itemId),
        }];
      }
      case "toolDelta": {
        const data = { toolCallId: part.use.id, delta: part.delta };
        return [{ type: "data-command-output", data, transient: true }];
      }
      case "question": {
        const { id, ...rest } = part.request;
        const reason = "reason" in rest && typeof rest.reason === "string" ? rest.reason : null;
        return [{
          type: "tool-approval-request",
          approvalId: id,
          toolCallId: part.use.id,
          ...present({ reason }),
        }];
      }
      case "answer": {
        const { id: approvalId, use, approved, reason } = part;
        if (!approved) this.#denied.add(use.id);
        return [{
          type: "tool-approval-response",
          approvalId,
          approved,
          ...present({ reason }),
        }];
      }
      case "toolEnd": {
        const { use: { id }, outcome } = part;
        if (outcome !== "declined" || this.#denied.has(id)) return [toolEnd(part)];
        // The SDK's messages want to know who denied it, also of what was asked before somebody came to read.
        return [
          { type: "tool-approval-request", approvalId: id, toolCallId: id },
          { type: "tool-approval-response", approvalId: id, approved: false },
          toolEnd(part),
        ];
      }
      case "said":
        return part.begins ? [] : [{
          type: "steering-message",
          id: part.itemId,
          parts: [{ type: "text", text: part.text }],
        }];
      case "plan":
        return [{ type: "data-plan", id: "plan", data: jsonOf(part.plan) }];
      case "notice": {
        const { message, retrying } = part;
        return [{ type: "data-notice", data: { message, retrying }, transient: true }];
      }
      case "usage":
        this.#usage = jsonOf(part.usage);
        return [];
      case "end":
        return this.#end(part);
    }
  }

  #end({ status, error }: TurnPart & { type: "end" }): UIChunk[] {
    const messageMetadata = this.#metadata();
    if (status === "completed" || status === "interrupted") {
      const finishReason = status === "completed" ? "stop" : "interrupted";
      return [{ type: "finish-step" }, { type: "finish", finishReason, messageMetadata }];
    }
    const errorText = error?.message ?? "The turn ended without a word.";
    return [
      { type: "finish-step" },
      { type: "finish", finishReason: "error", messageMetadata },
      { type: "error", errorText },
    ];
  }

  #metadata(): JsonObject {
    return { codex: { ...this.#ids, ...present({ usage: this.#usage }) } };
  }
}

function about(itemId: string, more: JsonObject = {}): ModelMetadata {
  return { codex: { itemId, ...more } };
}

function toolEnd(
  { use, output, outcome }: { use: ToolUse; output: JsonObject; outcome: string },
): UIChunk {
  const [toolCallId, kind] = [use.id, { providerExecuted: true, dynamic: true } as const];
  if (outcome === "ok") return { type: "tool-output-available", toolCallId, output, ...kind };
  if (outcome === "declined") return { type: "tool-output-denied", toolCallId };
  return { type: "tool-output-error", toolCallId, errorText: JSON.stringify(output), ...kind };
}

/** A message of a conversation, as `useChat` begins with it. */
export interface UIMessageData {
  /** The turn's id; the user's has `-user` behind it. */
  id: string;
  /** Whose. */
  role: "user" | "assistant";
  /** `codex`: ids and tokens. */
  metadata?: JsonObject;
  /** Its parts. */
  parts: JsonObject[];
}

/** The message that chunks add up to. */
export function messageOf(chunks: readonly UIChunk[]): UIMessageData {
  const message: UIMessageData = { id: "", role: "assistant", parts: [] };
  const open = new Map<string, JsonObject>();
  const add = (key: string, part: JsonObject) => {
    open.set(key, part);
    message.parts.push(part);
  };
  for (const chunk of chunks) {
    switch (chunk.type) {
      case "start":
        message.id = chunk.messageId;
        message.metadata = chunk.messageMetadata;
        break;
      case "finish":
        message.metadata = chunk.messageMetadata;
        break;
      case "start-step":
        message.parts.push({ type: "step-start" });
        break;
      case "text-start":
      case "reasoning-start": {
        const type = chunk.type === "text-start" ? "text" : "reasoning";
        add(chunk.id, { type, text: "", state: "done", providerMetadata: chunk.providerMetadata });
        break;
      }
      case "text-delta":
      case "reasoning-delta": {
        const part = open.get(chunk.id)!;
        part["text"] = `${part["text"]}${chunk.delta}`;
        break;
      }
      case "tool-input-available": {
        const { toolCallId, toolName, input, providerMetadata } = chunk;
        add(toolCallId, {
          type: "dynamic-tool",
          toolCallId,
          toolName,
          input,
          state: "input-available",
          providerExecuted: true,
          callProviderMetadata: providerMetadata,
        });
        break;
      }
      case "tool-output-available":
        Object.assign(open.get(chunk.toolCallId)!, {
          state: "output-available",
          output: chunk.output,
        });
        break;
      case "tool-output-error":
        Object.assign(open.get(chunk.toolCallId)!, {
          state: "output-error",
          errorText: chunk.errorText,
        });
        break;
      case "tool-output-denied":
        Object.assign(open.get(chunk.toolCallId)!, {
          state: "output-denied",
          approval: { id: chunk.toolCallId, approved: false },
        });
        break;
      case "steering-message":
        message.parts.push({ type: chunk.type, id: chunk.id, parts: chunk.parts });
        break;
      case "data-plan":
        message.parts.push({ type: chunk.type, id: chunk.id, data: chunk.data });
    }
  }
  return message;
}
