/**
 * One turn of a session as a stream of server-sent events in the words of another protocol, from where its reader comes in to
 * its end.
 * @module
 */
import {
  messageOf,
  TurnParts,
  type UIChunk,
  UIChunks,
  type UIMessageData,
} from "../../adapters/ai_sdk/mod.ts";
import { AgUiEvents } from "../../adapters/ag_ui/mod.ts";
import { type JsonObject, objectsOf } from "../../json.ts";
import type { TurnEvent } from "../../session/mod.ts";
import type { ThreadItem } from "../../thread_item.ts";
import type { EventSubscription } from "../live/subscription.ts";
import type { WebSessionEvent, WebSnapshot, WebTurn } from "../types.ts";
import { IMAGE_ALONE } from "./check_chat.ts";

/** Tells the parts of a turn. */
interface Teller {
  start(): object[];
  take(part: ReturnType<TurnParts["take"]>[number]): object[];
}

/** What is told. */
export interface ToldTurnParts {
  /** Codex's thread. */
  threadId: string;
  /** The turn. */
  turnId: string;
  /** How it is told. */
  teller: Teller;
  /** What happens in the session from here on. */
  subscription: EventSubscription;
  /** The turn so far and its questions, for a reader who comes later; `null` for one who began it. */
  seed: { turn: WebTurn; approvals: WebSnapshot["approvals"] } | null;
  /** What follows the last block. */
  end: string;
  /** Milliseconds between heartbeats. */
  heartbeatMs: number;
  /** Called when the reader goes before the end, or is cut off. */
  onLeave: () => void;
}

/** How the AI SDK is told. */
export function chatTeller(sessionId: string, threadId: string, turnId: string): Teller {
  return new UIChunks(turnId, { sessionId, threadId, turnId });
}

/** How AG-UI is told. */
export function runTeller(chatId: string, runId: string, isOld: boolean): Teller {
  return new AgUiEvents(chatId, runId, isOld);
}

/** Characters written at once, when many events wait. */
const BATCH = 64 * 1024;

/** A turn as a stream at the reader's pace. A reader who was too slow for the log is cut off, and can come back. */
export function toldTurn(parts: ToldTurnParts): ReadableStream<Uint8Array> {
  const { threadId, turnId, teller, subscription, seed, heartbeatMs } = parts;
  const reader = new TurnParts(threadId, turnId);
  const encoder = new TextEncoder();
  const block = (told: object) => `data: ${JSON.stringify(told)}\n\n`;
  let text = teller.start().map(block).join("");
  const tell = (all: ReturnType<TurnParts["take"]>) => {
    for (const part of all) for (const told of teller.take(part)) text += block(told);
  };
  if (seed !== null) tell(seeded(reader, seed.turn, seed.approvals, threadId));
  let isOver = false;
  return new ReadableStream<Uint8Array>({
    async pull(controller): Promise<void> {
      while (!isOver && text.length < BATCH) {
        const event = subscription.take()?.event ?? null;
        if (event === null) {
          if (text !== "") break;
          if (subscription.ended) {
            // The log has ended; the reader's place is given back all the same.
            subscription.close();
            throw new Error("The session was released.");
          }
          if (!await subscription.wait(heartbeatMs)) text += ": heartbeat\n\n";
          continue;
        }
        if (event.type === "lagged") {
          subscription.close();
          parts.onLeave();
          throw new Error("The reader was too slow. Come back to go on.");
        }
        if (!isOf(event, turnId)) continue;
        tell(reader.take(event as TurnEvent));
        isOver = event.type === "turnCompleted" && event.threadId === threadId;
      }
      if (isOver) {
        tell(reader.end());
        subscription.close();
      }
      controller.enqueue(encoder.encode(isOver ? text + parts.end : text));
      text = "";
      if (isOver) controller.close();
    },
    cancel(): void {
      subscription.close();
      if (!isOver) parts.onLeave();
    },
  }, { highWaterMark: 0 });
}

/** Whether an event is told: those of the turn, and the questions that its agent's agents ask meanwhile. */
function isOf(event: WebSessionEvent, turnId: string): boolean {
  if (event.type === "approvalRequested" || event.type === "approvalResolved") return true;
  return "turnId" in event && event.turnId === turnId;
}

function seeded(
  reader: TurnParts,
  turn: WebTurn,
  approvals: WebSnapshot["approvals"],
  threadId: string,
): ReturnType<TurnParts["take"]> {
  const { turnId } = turn;
  return [
    ...turn.items.flatMap((item) => reader.seed(item)),
    ...(turn.usage === null
      ? []
      : reader.take({ type: "tokenUsage", threadId, turnId, usage: turn.usage })),
    ...approvals.flatMap(({ request }) =>
      reader.take({ type: "approvalRequested", threadId, turnId, request })
    ),
  ];
}

/** The messages of a conversation; of the turn that runs, what was asked. */
export function chatMessages(snapshot: WebSnapshot): UIMessageData[] {
  const { sessionId, threadId, runningTurnId } = snapshot;
  return snapshot.turns.flatMap((turn) => {
    const { turnId, status, error } = turn;
    const reader = new TurnParts(threadId, turnId);
    const teller = new UIChunks(turnId, { sessionId, threadId, turnId });
    const parts = seeded(reader, turn, [], threadId);
    const said = parts.find((part) => part.type === "said");
    const asked: UIMessageData[] = said === undefined ? [] : [{
      id: `${turnId}-user`,
      role: "user",
      parts: askedParts(said.text, turn.items.find(({ id }) => id === said.itemId)),
    }];
    if (turnId === runningTurnId) return asked;
    const known = ["completed", "interrupted"].includes(status) ? status : "failed";
    const event = {
      type: "turnCompleted",
      threadId,
      turnId,
      status: known as "completed",
      error,
    } as const;
    const all = [...parts, ...reader.take(event), ...reader.end()];
    const chunks: UIChunk[] = [...teller.start(), ...all.flatMap((part) => teller.take(part))];
    const answer = messageOf(chunks);
    return answer.parts.length > 1 ? [...asked, answer] : asked;
  });
}

/** What a person wrote, and the images that were sent along. */
function askedParts(text: string, item: ThreadItem | undefined): JsonObject[] {
  const images = objectsOf(item as unknown as JsonObject, "content").flatMap(({ url }) => {
    // One that was too large to be kept was cut.
    const mediaType = /^data:(image\/[^;,]+)[^…]*$/.exec(String(url))?.[1];
    return mediaType === undefined ? [] : [{ type: "file", mediaType, url: String(url) }];
  });
  return text === IMAGE_ALONE && images.length > 0 ? images : [{ type: "text", text }, ...images];
}
