/**
 * Codex for the AI SDK (npm `ai` 7).
 * @module
 */
import { checkArgument } from "../../check/mod.ts";
import { readableOf } from "../../session/prompt/web_streams.ts";
import { ToldTurn, turnStreamKind } from "../read_turn.ts";
import type { TurnStream } from "../turn_stream.ts";
import type { UIChunk } from "./ui_chunk.ts";

export * from "./codex_model.ts";
export * from "./model_call_error.ts";
export type * from "../turn_stream.ts";
export type * from "./model_client.ts";
export type * from "./model_types.ts";
export type * from "./ui_chunk.ts";

// Declared here, since documentation follows a namespace to declarations and not to names that it re-exports.

/**
 * A running prompt as the AI SDK's UI message stream, for `createUIMessageStreamResponse` and `useChat`. It holds texts,
 * reasoning, dynamic tools with their questions, and the plan (`data-plan`); output of running commands
 * (`data-command-output`) and warnings (`data-notice`) are transient. A question is answered with
 * `client.approvals.answer(approvalId, { decision })`. Cancelling the stream stops the turn; a turn that fails ends with an
 * `error` chunk. The bridge of {@linkcode web} has a route of its own for it, which a page can come back to.
 *
 * ```ts ignore
 * import { createUIMessageStreamResponse } from "ai";
 *
 * const stream = await session.askStream(text);
 * return createUIMessageStreamResponse({ stream: aiSdk.toUIMessageStream(stream) });
 * ```
 */
export function toUIMessageStream(stream: TurnStream): ReadableStream<UIChunk> {
  checkArgument("aiSdk.toUIMessageStream", "stream", stream, turnStreamKind);
  const { threadId, turnId } = stream;
  return readableOf(
    new ToldTurn(stream, async () => {
      const { TurnParts, UIChunks } = await import("./mod.ts");
      const teller = new UIChunks(turnId, { threadId, turnId });
      return { parts: new TurnParts(threadId, turnId), teller };
    }),
  );
}
