/**
 * A turn as the events of AG-UI.
 * @module
 */
import type { JsonObject, JsonValue } from "../../json.ts";
import { ToldTurn, type TurnStream } from "../read_turn.ts";
import type { TurnPart } from "../turn_parts.ts";

/** An event of AG-UI 1.0, in its own words. Switch on `type`. */
export type AgUiEvent =
  | { type: "RUN_STARTED"; threadId: string; runId: string }
  | { type: "TEXT_MESSAGE_START"; messageId: string; role: "assistant" }
  | { type: "TEXT_MESSAGE_CONTENT"; messageId: string; delta: string }
  | { type: "TEXT_MESSAGE_END"; messageId: string }
  | { type: "REASONING_START"; messageId: string }
  | { type: "REASONING_MESSAGE_START"; messageId: string; role: "reasoning" }
  | { type: "REASONING_MESSAGE_CONTENT"; messageId: string; delta: string }
  | { type: "REASONING_MESSAGE_END"; messageId: string }
  | { type: "REASONING_END"; messageId: string }
  | { type: "TOOL_CALL_START"; toolCallId: string; toolCallName: string }
  | { type: "TOOL_CALL_ARGS"; toolCallId: string; delta: string }
  | { type: "TOOL_CALL_END"; toolCallId: string }
  | {
    type: "TOOL_CALL_RESULT";
    messageId: string;
    toolCallId: string;
    content: string;
    role: "tool";
  }
  | {
    type: "ACTIVITY_SNAPSHOT";
    messageId: string;
    activityType: string;
    content: JsonObject;
    replace: true;
  }
  | { type: "CUSTOM"; name: string; value: JsonValue }
  | {
    type: "RUN_FINISHED";
    threadId: string;
    runId: string;
    outcome: { type: "success" | "cancelled" };
    usage: JsonObject[];
  }
  | { type: "RUN_ERROR"; message: string; code: string };

/** How {@linkcode toEvents} names the run. */
export interface AgUiOptions {
  /** The client's name of the conversation. Default: codex's thread. */
  threadId?: string;
  /** The client's name of the run. Default: codex's turn. */
  runId?: string;
}

/**
 * A running prompt as AG-UI 1.0 events, as CopilotKit and other clients read them: texts, reasoning, tools and their results; the
 * plan is an activity `PLAN`; questions, their answers and warnings are `CUSTOM` events `codex.question`, `codex.answer` and
 * `codex.warning`. A question is answered with `client.approvals.answer(approvalId, { decision })`. Leaving the loop early stops
 * the turn. The bridge of {@linkcode web} has a route for clients.
 *
 * ```ts ignore
 * const stream = await session.askStream(text);
 * for await (const event of agUi.toEvents(stream)) send(`data: ${JSON.stringify(event)}\n\n`);
 * ```
 */
export function toEvents(
  stream: TurnStream,
  options: AgUiOptions = {},
): AsyncIterableIterator<AgUiEvent> {
  const { threadId = stream.threadId, runId = stream.turnId } = options;
  return new ToldTurn(stream, new AgUiEvents(threadId, runId));
}

/** Tells the parts of a turn as the events of a run. */
export class AgUiEvents {
  readonly #run: { threadId: string; runId: string };
  #usage: JsonObject[] = [];

  /** Names the run as its client does. */
  constructor(threadId: string, runId: string) {
    this.#run = { threadId, runId };
  }

  /** Begins the run. */
  start(): AgUiEvent[] {
    return [{ type: "RUN_STARTED", ...this.#run }];
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
        const question = JSON.parse(JSON.stringify(request));
        const value = { approvalId: request.id, toolCallId: use.id, question };
        return [{ type: "CUSTOM", name: "codex.question", value }];
      }
      case "answer": {
        const { approved, audit, use } = part;
        const value = { approvalId: audit.id, toolCallId: use.id, approved };
        return [{ type: "CUSTOM", name: "codex.answer", value }];
      }
      case "plan": {
        const content = { steps: JSON.parse(JSON.stringify(part.plan)) };
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
    if (status === "completed" || status === "interrupted") {
      const type = status === "completed" ? "success" : "cancelled";
      return { type: "RUN_FINISHED", ...this.#run, outcome: { type }, usage };
    }
    const message = error?.message ?? "The turn ended without a word.";
    return { type: "RUN_ERROR", message, code: error?.kind ?? status };
  }
}
