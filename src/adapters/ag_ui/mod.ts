/**
 * What the bridge tells clients that speak AG-UI: a turn as its events.
 * @module
 */
import { type JsonObject, jsonOf } from "../../json.ts";
import type { TurnPart } from "../turn_parts.ts";
import type { AgUiEvent } from "./types.ts";

export { TurnParts } from "../turn_parts.ts";

/** Tells the parts of a turn as the events of a run. */
export class AgUiEvents {
  readonly #run: { threadId: string; runId: string };
  readonly #isOld: boolean;
  #usage: JsonObject[] = [];

  /** Names the run as its client does. `isOld`: a client from before 1.0, which refuses the outcome `cancelled`. */
  constructor(threadId: string, runId: string, isOld = false) {
    this.#run = { threadId, runId };
    this.#isOld = isOld;
  }

  /** Begins the run. */
  start(): AgUiEvent[] {
    return [{ type: "RUN_STARTED", ...this.#run, protocolVersion: "1.0" }];
  }

  /** What a part adds. */
  take(part: TurnPart): AgUiEvent[] {
    switch (part.type) {
      case "textStart":
        return [{ type: "TEXT_MESSAGE_START", messageId: part.id, role: "assistant" }];
      case "textDelta":
        return [{ type: "TEXT_MESSAGE_CONTENT", messageId: part.id, delta: part.delta }];
      case "textEnd":
        return [{ type: "TEXT_MESSAGE_END", messageId: part.id }];
      case "reasoningStart":
        return [
          { type: "REASONING_START", messageId: part.id },
          { type: "REASONING_MESSAGE_START", messageId: part.id, role: "reasoning" },
        ];
      case "reasoningDelta":
        return [{ type: "REASONING_MESSAGE_CONTENT", messageId: part.id, delta: part.delta }];
      case "reasoningEnd":
        return [
          { type: "REASONING_MESSAGE_END", messageId: part.id },
          { type: "REASONING_END", messageId: part.id },
        ];
      case "toolStart": {
        const { id: toolCallId, name, input } = part.use;
        return [
          { type: "TOOL_CALL_START", toolCallId, toolCallName: name },
          { type: "TOOL_CALL_ARGS", toolCallId, delta: JSON.stringify(input) },
          { type: "TOOL_CALL_END", toolCallId },
        ];
      }
      case "toolEnd": {
        const { use: { id: toolCallId }, output, outcome } = part;
        const content = JSON.stringify(outcome === "ok" ? output : { outcome, ...output });
        const messageId = `${toolCallId}-result`;
        return [{ type: "TOOL_CALL_RESULT", messageId, toolCallId, content, role: "tool" }];
      }
      case "question": {
        const { request, use } = part;
        const question = jsonOf(request);
        const value = { approvalId: request.id, toolCallId: use.id, question };
        return [{ type: "CUSTOM", name: "codex.question", value }];
      }
      case "answer": {
        const { approved, id, use } = part;
        const value = { approvalId: id, toolCallId: use.id, approved };
        return [{ type: "CUSTOM", name: "codex.answer", value }];
      }
      case "plan": {
        const content = { steps: jsonOf(part.plan) };
        const messageId = `${this.#run.runId}-plan`;
        return [{
          type: "ACTIVITY_SNAPSHOT",
          messageId,
          activityType: "PLAN",
          content,
          replace: true,
        }];
      }
      case "notice": {
        const { message, retrying } = part;
        return [{ type: "CUSTOM", name: "codex.warning", value: { message, retrying } }];
      }
      case "usage": {
        const { inputTokens, outputTokens, totalTokens, ...more } = part.usage;
        const { cachedInputTokens, reasoningOutputTokens: reasoningTokens } = more;
        const total = { inputTokens, outputTokens, totalTokens };
        this.#usage = [{ provider: "codex", ...total, cachedInputTokens, reasoningTokens }];
        return [];
      }
      case "end":
        return [this.#end(part)];
      default:
        return [];
    }
  }

  #end({ status, error }: TurnPart & { type: "end" }): AgUiEvent {
    const usage = this.#usage;
    const stopped = status === "interrupted";
    if (status === "completed" || stopped && !this.#isOld) {
      const type = stopped ? "cancelled" : "success";
      return { type: "RUN_FINISHED", ...this.#run, outcome: { type }, usage };
    }
    const message = error?.message ??
      `The turn ${stopped ? "was stopped" : "ended without a word"}.`;
    return { type: "RUN_ERROR", message, code: error?.kind ?? status };
  }
}
