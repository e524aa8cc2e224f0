/**
 * The bridge's routes for clients of the AI SDK and of AG-UI.
 * @module
 */
import { WebError } from "../../errors/mod.ts";
import { keepNewest } from "../../json.ts";
import type { WebAdapter } from "../adapter.ts";
import { checkTurn } from "../http/check_request.ts";
import { conflict, notFound } from "../http/refusals.ts";
import type { Route } from "../http/routes.ts";
import { type Recheck, streamHeaders, whileAllowed } from "../http/sse.ts";
import { type ChatRequest, checkChat, checkRun, sessionOfChat } from "./check_chat.ts";
import { chatMessages, chatTeller, runTeller, toldTurn } from "./told_turn.ts";

/** Routes of conversations that their client names. */
export type ChatRoute = Extract<
  Route,
  { name: "chat" | "run" | "chatMessages" | "chatStream" | "chatStop" | "chatAnswer" }
>;

/** What `DefaultChatTransport` knows the stream by. */
const UI_MESSAGE_STREAM = { "x-vercel-ai-ui-message-stream": "v1" };
const DONE = "data: [DONE]\n\n";
/** Conversations whose last message is known. */
const MAX_ASKED = 4_096;

/** Answers them. */
export class ChatRoutes {
  readonly #adapter: WebAdapter;
  readonly #heartbeatMs: number;
  /** Turns that are on their way to begin, by who asks and the session. */
  readonly #beginning: Map<string, Promise<unknown>> = new Map();
  /** The message that each of them began with last, or begins with. */
  readonly #asked: Map<string, string> = new Map();

  /** On this adapter. */
  constructor(adapter: WebAdapter, heartbeatMs: number) {
    this.#adapter = adapter;
    this.#heartbeatMs = heartbeatMs;
  }

  /** Answers one. */
  async answer(
    tenant: string,
    route: ChatRoute,
    body: () => Promise<unknown>,
    again: Recheck,
  ): Promise<Response> {
    const adapter = this.#adapter;
    if (!("chatId" in route)) {
      const check = route.name === "chat" ? checkChat : checkRun;
      return await this.#ask(tenant, check(await body()), again);
    }
    const sessionId = await sessionOfChat(tenant, route.chatId);
    // A page that comes back while its question is on its way.
    await this.#beginning.get(placeOf(tenant, sessionId));
    const isKnown = await adapter.hasSession(tenant, sessionId);
    switch (route.name) {
      case "chatMessages": {
        const messages = isKnown ? chatMessages(await adapter.readSession(tenant, sessionId)) : [];
        return Response.json({ sessionId: isKnown ? sessionId : null, messages });
      }
      case "chatStream":
        return isKnown ? await this.#resume(tenant, sessionId, again) : nothing();
      case "chatAnswer":
        if (!isKnown) throw notFound("question");
        await adapter.postApproval(tenant, sessionId, route.approvalId, await body());
        return Response.json({ approvalId: route.approvalId });
      case "chatStop": {
        if (!isKnown) throw notFound("session");
        const { runningTurnId } = await adapter.readSession(tenant, sessionId);
        if (runningTurnId === null) throw conflict("turnNotRunning", "No turn is running.");
        const stopped = await adapter.interruptTurn(tenant, sessionId, runningTurnId);
        return Response.json(stopped, { status: 202 });
      }
    }
  }

  /** Starts a turn and tells it. */
  async #ask(tenant: string, request: ChatRequest, again: Recheck): Promise<Response> {
    const adapter = this.#adapter;
    const sessionId = await sessionOfChat(tenant, request.chatId);
    const place = placeOf(tenant, sessionId);
    const before = this.#beginning.get(place);
    const { chatId, runId, messageId, isOld } = request;
    const last = this.#asked.get(place) ?? null;
    const isSame = messageId !== null && messageId === last;
    if (before === undefined) this.#remember(place, messageId);
    const begun = this.#begin(tenant, sessionId, request).catch(async (error) => {
      if (before === undefined) this.#remember(place, last);
      const isAlone = before === undefined && this.#beginning.get(place) === all;
      if (isAlone && sessionId !== chatId) await this.#forget(tenant, sessionId);
      throw error;
    });
    // Asked twice, one of them is refused at once, and the other is still on its way.
    const all: Promise<void> = Promise.allSettled([before, begun]).then(() => {
      if (this.#beginning.get(place) === all) this.#beginning.delete(place);
    });
    this.#beginning.set(place, all);
    const told = await begun.catch(async (error) => {
      const isRunning = error instanceof WebError && error.reason === "turnRunning";
      if (!isSame || !isRunning) throw error;
      await before;
      // A browser sends its message again when the connection broke: it is told what runs.
      const resumed = await this.#resume(tenant, sessionId, again);
      if (resumed.body === null) throw error;
      return resumed;
    });
    if (told instanceof Response) return told;
    const { subscription, threadId, turnId } = told;
    const isRun = runId !== null;
    const stream = toldTurn({
      threadId,
      turnId,
      subscription,
      teller: isRun ? runTeller(chatId, runId, isOld) : chatTeller(sessionId, threadId, turnId),
      seed: null,
      end: isRun ? "" : DONE,
      heartbeatMs: this.#heartbeatMs,
      // AG-UI has no way to come back: who leaves has stopped the run.
      onLeave: () => {
        if (isRun) adapter.interruptTurn(tenant, sessionId, turnId).catch(() => {});
      },
    });
    return response(stream, again, isRun ? {} : UI_MESSAGE_STREAM);
  }

  #remember(place: string, messageId: string | null): void {
    this.#asked.delete(place);
    if (messageId !== null) this.#asked.set(place, messageId);
    keepNewest(this.#asked, MAX_ASKED);
  }

  async #begin(tenant: string, sessionId: string, { chatId, turn }: ChatRequest) {
    const adapter = this.#adapter;
    const { timeoutMs, ...policy } = adapter.settings;
    // What is refused begins no session, which would count.
    checkTurn(turn, { ...policy, maxTimeoutMs: timeoutMs ?? Infinity });
    if (sessionId !== chatId) await adapter.createSession(tenant, {}, sessionId);
    const subscription = await adapter.openEvents(tenant, sessionId);
    try {
      const { turnId } = await adapter.createTurn(tenant, sessionId, turn);
      // Codex may have begun the thread anew.
      const { threadId } = await adapter.readSession(tenant, sessionId);
      return { subscription, threadId, turnId };
    } catch (error) {
      subscription.close();
      throw error;
    }
  }

  /** A chat that was refused its first turn, such as for want of room, leaves no session, which would count. */
  async #forget(tenant: string, sessionId: string): Promise<void> {
    try {
      const { title, runningTurnId } = await this.#adapter.readSession(tenant, sessionId);
      if ((title ?? runningTurnId) === null) await this.#adapter.closeSession(tenant, sessionId);
    } catch {
      // There is none, or it is somebody else's.
    }
  }

  /** Tells the running turn from its beginning. */
  async #resume(tenant: string, sessionId: string, again: Recheck): Promise<Response> {
    const snapshot = await this.#adapter.readSession(tenant, sessionId);
    const { runningTurnId: turnId, threadId, turns, cursor, approvals } = snapshot;
    if (turnId === null) return nothing();
    const turn = turns.find((each) => each.turnId === turnId) ??
      { turnId, status: "inProgress", items: [], diff: null, usage: null, error: null };
    const stream = toldTurn({
      threadId,
      turnId,
      subscription: await this.#adapter.openEvents(tenant, sessionId, cursor),
      teller: chatTeller(sessionId, threadId, turnId),
      seed: { turn, approvals },
      end: DONE,
      heartbeatMs: this.#heartbeatMs,
      onLeave: () => {},
    });
    return response(stream, again, UI_MESSAGE_STREAM);
  }
}

/** Who names the session of somebody else begins nothing in it. */
function placeOf(tenant: string, sessionId: string): string {
  return JSON.stringify([tenant, sessionId]);
}

function nothing(): Response {
  return new Response(null, { status: 204 });
}

function response(
  stream: ReadableStream<Uint8Array>,
  again: Recheck,
  headers: Record<string, string>,
): Response {
  return new Response(whileAllowed(stream, again, true), { headers: streamHeaders(headers) });
}
