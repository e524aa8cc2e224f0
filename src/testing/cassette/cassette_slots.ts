/**
 * What the messages of a recording depend on. Pure.
 * @module
 */
import { isJsonObject, type JsonObject } from "../../json.ts";
import type { CassetteClosed, CassetteMessage } from "./cassette_format.ts";

/** One recorded message and what must have happened before it. */
export interface Slot {
  /** Its place in the connection, from 0. */
  readonly index: number;
  /** Its line in the cassette, from 1. */
  readonly line: number;
  /** Whether the client sent it. */
  readonly fromClient: boolean;
  /** What it is: `response` answers a call, `answer` a question of the server. */
  readonly kind: "request" | "notification" | "response" | "answer" | "closed";
  /** Its method; the request's method for a response or an answer. */
  readonly method: string;
  /** The thread it belongs to; empty when to none. */
  readonly lane: string;
  /** The message. */
  readonly message: JsonObject;
  /** How the connection ended, when this is its end. */
  readonly closed: CassetteClosed | null;
  /** The one message that it follows from: a response's call, an answer's question, the call that began a turn. */
  needs: number | null;
  /** What made its thread known: the response with the thread, or the call for it. */
  bornBy: number | null;
  /** For news that belong to no thread of the client: the client's message before it. */
  after: number | null;
  /** `done`: sent or received; `passed`: the client went on without it. */
  state: "waiting" | "done" | "passed";
}

/** Finds out what each message depends on. */
export function slotsOf(
  entries: readonly { message: CassetteMessage; line: number }[],
): Slot[] {
  const slots: Slot[] = [];
  const calls = new Map<unknown, Slot>();
  const questions = new Map<unknown, Slot>();
  for (const { message: entry, line } of entries) {
    const slot = slotOf(entry, line, slots.length, calls, questions);
    slots.push(slot);
    if (slot.kind === "request") {
      (slot.fromClient ? calls : questions).set(slot.message["id"], slot);
    }
  }
  connect(slots);
  return slots;
}

function slotOf(
  entry: CassetteMessage,
  line: number,
  index: number,
  calls: ReadonlyMap<unknown, Slot>,
  questions: ReadonlyMap<unknown, Slot>,
): Slot {
  const fromClient = entry.dir === ">";
  const message = entry.m ?? {};
  const { id, method } = message;
  const base = {
    index,
    line,
    fromClient,
    message,
    closed: entry.closed ?? null,
    needs: null,
    bornBy: null,
    after: null,
    state: "waiting" as const,
  };
  if (entry.closed !== undefined) return { ...base, kind: "closed", method: "", lane: "" };
  if (typeof method === "string") {
    const params = message["params"];
    const lane = isJsonObject(params) ? threadIn(params) ?? "" : "";
    return { ...base, kind: id === undefined ? "notification" : "request", method, lane };
  }
  const asked = (fromClient ? questions : calls).get(id);
  return {
    ...base,
    kind: fromClient ? "answer" : "response",
    method: asked?.method ?? "",
    lane: asked?.lane ?? "",
    needs: asked?.index ?? null,
  };
}

/** Second pass: births of threads, beginnings of turns, and what belongs to no thread of the client. */
function connect(slots: Slot[]): void {
  const births = new Map<string, { call: number; response: number }>();
  const turns = new Map<string, number>();
  const used = new Set<string>();
  for (const slot of slots) {
    if (slot.fromClient && slot.lane !== "") used.add(slot.lane);
    if (slot.kind !== "response" || slot.needs === null) continue;
    const result = slot.message["result"];
    if (!isJsonObject(result)) continue;
    const thread = idIn(result, "thread");
    if (thread !== null && !births.has(thread) && !used.has(thread)) {
      births.set(thread, { call: slot.needs, response: slot.index });
    }
    const turn = idIn(result, "turn");
    if (turn !== null && !turns.has(turn)) turns.set(turn, slot.needs);
  }
  let lastOfClient: number | null = null;
  const seen = new Set<string>();
  for (const slot of slots) {
    if (slot.fromClient) {
      lastOfClient = slot.index;
      seen.add(slot.lane);
      continue;
    }
    if (slot.kind === "response" || slot.kind === "closed") continue;
    const birth = births.get(slot.lane);
    if (birth !== undefined) {
      slot.bornBy = slot.index > birth.response ? birth.response : birth.call;
    } else if (slot.lane === "" || !seen.has(slot.lane)) slot.after = lastOfClient;
    const begun = slot.method === "turn/started"
      ? turns.get(turnIn(slot.message) ?? "")
      : undefined;
    if (begun !== undefined) slot.needs = begun;
    else if (slot.method === "thread/started" && birth !== undefined) slot.needs = slot.bornBy;
  }
}

/** The thread that parameters name. */
export function threadIn(params: JsonObject): string | null {
  const { threadId, conversationId } = params;
  if (typeof threadId === "string" && threadId !== "") return threadId;
  if (typeof conversationId === "string" && conversationId !== "") return conversationId;
  return idIn(params, "thread");
}

function turnIn(message: JsonObject): string | null {
  const params = message["params"];
  return isJsonObject(params) ? idIn(params, "turn") : null;
}

function idIn(object: JsonObject, key: string): string | null {
  const inner = object[key];
  const id = isJsonObject(inner) ? inner["id"] : undefined;
  return typeof id === "string" && id !== "" ? id : null;
}

/** What an answer to the server comes to, in one word and without its content. */
export function answerOf(message: JsonObject): string {
  const result = message["result"];
  if (message["error"] !== undefined) return "a refusal";
  if (!isJsonObject(result)) return "an answer";
  const { decision, action, success } = result;
  if (typeof decision === "string") return `"${decision}"`;
  if (isJsonObject(decision)) return `"${Object.keys(decision)[0] ?? ""}"`;
  if (typeof action === "string") return `"${action}"`;
  if (typeof success === "boolean") return success ? "a success" : "a failure";
  return "an answer";
}
