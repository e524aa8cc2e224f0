/**
 * Codex for clients of AG-UI.
 * @module
 */
import { checkArgument, checkOptions, shape, text } from "../../check/mod.ts";
import { ToldTurn, turnStreamKind } from "../read_turn.ts";
import type { TurnStream } from "../turn_stream.ts";
import type { AgUiEvent, AgUiOptions } from "./types.ts";

export type * from "../turn_stream.ts";
export type * from "./types.ts";

const OPTIONS = shape<AgUiOptions>({ threadId: text, runId: text });

// Declared here, since documentation follows a namespace to declarations and not to names that it re-exports.

/**
 * A running prompt as AG-UI 1.0 events: texts, reasoning, tools and their results; the plan is an activity `PLAN`; questions,
 * their answers and warnings are `CUSTOM` events `codex.question`, `codex.answer` and `codex.warning`. A question is answered
 * with `client.approvals.answer(approvalId, { decision })`. Leaving the loop early stops the turn. A turn that was stopped ends
 * with the outcome `cancelled`, which clients from before 1.0, such as CopilotKit's of 2026, refuse. The bridge of
 * {@linkcode web} has a route for all of them.
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
  checkArgument("agUi.toEvents", "stream", stream, turnStreamKind);
  checkOptions("agUi.toEvents", options, OPTIONS);
  const { threadId = stream.threadId, runId = stream.turnId } = options;
  return new ToldTurn(stream, async () => {
    const { AgUiEvents, TurnParts } = await import("./mod.ts");
    const parts = new TurnParts(stream.threadId, stream.turnId);
    return { parts, teller: new AgUiEvents(threadId, runId) };
  });
}
