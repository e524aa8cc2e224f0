/**
 * What a recorded server would say next. Pure: messages in, messages out.
 *
 * A client need not repeat the recording to the letter. Messages are matched by method, in order within each thread, so
 * threads may overtake each other, calls may be left out, and ids, paths and names may differ. What the server said comes
 * when everything it depended on has come: the calls before it in its thread, the answers to its questions, and for an
 * answer the call itself.
 * @module
 */
import {
  base64,
  isJsonObject,
  type JsonObject,
  type JsonValue,
  memberOf,
  stringOf,
} from "../../json.ts";
import { CassetteDivergenceError } from "./cassette_divergence_error.ts";
import {
  type CassetteClosed,
  type CassetteEntry,
  type CassetteMessage,
  inJson,
} from "./cassette_format.ts";

/**
 * What this library asks the server for by itself, where it can't look or is not told: it depends on the machine and on
 * what is fast, and changes nothing.
 */
const LOOK_UPS = [
  "config/read",
  "fs/readDirectory",
  "fuzzyFileSearch",
  "hooks/list",
  "thread/loaded/list",
  "windowsSandbox/readiness",
];

/** What the replayed server does next. */
export type TapeOutput = { readonly line: string } | { readonly closed: CassetteClosed };

/** Answers to calls that the recording does not hold, by method. */
export type CassetteAnswers = Readonly<Record<string, (params: JsonObject) => JsonValue>>;

// A client may tidy up after the recorded part, or look up what the recorded one did not, of a home without settings; these
// are the server's own words.
const UNRECORDED: CassetteAnswers = {
  "config/read": () => ({ config: {} }),
  "hooks/list": () => ({ data: [] }),
  "thread/archive": () => ({}),
  "thread/unsubscribe": () => ({ status: "unsubscribed" }),
};
/** Shorter texts are not replaced: they would be found everywhere. */
const MIN_REPLACED = 4;

/** One recorded connection, played to one client. */
export class Tape {
  readonly #slots: readonly Slot[];
  readonly #answers: CassetteAnswers;
  /** Recorded id of a call → the client's. */
  readonly #ids: Map<JsonValue, JsonValue> = new Map();
  /** The client's name of a thread → the recorded one. */
  readonly #threads: Map<string, string> = new Map();
  /** Recorded text → the client's, as they stand in JSON. */
  readonly #texts: Map<string, string> = new Map();
  #ended = false;

  /** Loads the messages of one connection. */
  constructor(
    entries: readonly CassetteEntry[],
    answers: CassetteAnswers,
  ) {
    this.#slots = slotsOf(entries);
    this.#answers = { ...UNRECORDED, ...answers };
  }

  /** What the server says before the client has said anything. */
  start(): TapeOutput[] {
    return this.#play();
  }

  /** What the server says to a message. Throws {@linkcode CassetteDivergenceError} when the recording can't tell. */
  take(message: JsonObject): TapeOutput[] {
    const { id, method } = message;
    if (typeof method !== "string") {
      this.#takeAnswer(message);
      return this.#play();
    }
    const params = isJsonObject(message["params"]) ? message["params"] : {};
    const slot = this.#find(id === undefined ? "notification" : "request", method, params);
    if (slot !== null) {
      this.#consume(slot, message, params);
      return this.#play();
    }
    if (id === undefined) return [];
    const answer = this.#answers[method];
    if (answer !== undefined) return [{ line: JSON.stringify({ id, result: answer(params) }) }];
    if (method === "fs/readFile") {
      return [{ line: JSON.stringify({ id, result: { dataBase64: base64(this.#patches()) } }) }];
    }
    if (!LOOK_UPS.includes(method)) throw this.#divergence(method, params);
    const error = { code: -32601, message: "The cassette does not hold this look-up." };
    return [{ line: JSON.stringify({ id, error }) }];
  }

  /** The calls that the client has not made, in order, with their lines. */
  unused(): { line: number; method: string }[] {
    return this.#slots
      .filter((slot) =>
        slot.kind === "request" && slot.fromClient && slot.state !== "done" &&
        !LOOK_UPS.includes(slot.method)
      )
      .map(({ line, method }) => ({ line, method }));
  }

  /**
   * The part of a thread's file that this library reads before it accepts a patch of codex up to 0.145, which tells only a part
   * of some: the recorded client has seen there that nothing else was in those that it accepted.
   */
  #patches(): Uint8Array {
    const lines = this.#slots.flatMap(({ needs, message }) => {
      const asked = needs !== null ? this.#slots[needs]! : null;
      if (asked?.method !== "item/fileChange/requestApproval") return [];
      if (!/^"accept/.test(answerOf(message))) return [];
      const call_id = stringOf(asked.message, "params", "itemId");
      const item = this.#slots.find(({ method, message }) =>
        method === "item/started" && stringOf(message, "params", "item", "id") === call_id
      );
      const changes = memberOf(item?.message ?? {}, "params", "item", "changes");
      const input = "*** Update File:\n".repeat(Array.isArray(changes) ? changes.length : 0);
      const payload = { type: "custom_tool_call", call_id, input };
      return [JSON.stringify({ type: "response_item", payload })];
    });
    return new TextEncoder().encode(lines.join("\n"));
  }

  /** The recorded name of the thread that the client means; empty for none. */
  #laneOf(params: JsonObject): string {
    const thread = threadIn(params) ?? "";
    return this.#threads.get(thread) ?? thread;
  }

  #find(kind: "request" | "notification", method: string, params: JsonObject): Slot | null {
    const thread = this.#laneOf(params);
    const fits = (slot: Slot) =>
      slot.fromClient && slot.kind === kind && slot.method === method && slot.state !== "done";
    for (const slot of this.#slots) {
      if (!slot.fromClient || slot.lane !== thread) continue;
      if (fits(slot)) return slot;
      // Nothing can be known of a client that goes on without an answer that the recorded one gave.
      if (slot.kind === "answer" && this.#isOwed(slot)) return null;
    }
    // A thread from before the recording, or one whose id was made stable, goes by another name here.
    const known = thread === "" || this.#slots.some((slot) => slot.lane === thread);
    if (known) return null;
    const adopted = new Set(this.#threads.values());
    const slot = this.#slots.find((slot) =>
      fits(slot) && slot.lane !== "" && !adopted.has(slot.lane)
    );
    if (slot === undefined) return null;
    this.#threads.set(thread, slot.lane);
    this.#replace(slot.lane, thread);
    return slot;
  }

  #consume(slot: Slot, message: JsonObject, params: JsonObject): void {
    slot.state = "done";
    if (slot.kind === "request") this.#ids.set(slot.message["id"] ?? null, message["id"] ?? null);
    for (const earlier of this.#slots) {
      if (earlier === slot) break;
      const passes = earlier.fromClient && earlier.lane === slot.lane && earlier.kind !== "answer";
      if (passes && earlier.state === "waiting") earlier.state = "passed";
    }
    const recorded = slot.message["params"];
    const [was, is] = [isJsonObject(recorded) ? recorded["cwd"] : null, params["cwd"]];
    if (typeof was === "string" && typeof is === "string") this.#replace(was, is);
  }

  #takeAnswer(message: JsonObject): void {
    const id = message["id"] ?? null;
    const slot = this.#slots.find((slot) =>
      slot.kind === "answer" && slot.message["id"] === id && this.#isOwed(slot)
    );
    // Where the recorded client gave no answer, none was waited for.
    if (slot === undefined) return;
    const [expected, received] = [answerOf(slot.message), answerOf(message)];
    if (expected !== received) {
      throw new CassetteDivergenceError(
        slot.line,
        `${expected} to ${slot.method}`,
        `${received} to ${slot.method}`,
      );
    }
    slot.state = "done";
  }

  /** Whether the server has asked and the client has not answered. */
  #isOwed(slot: Slot): boolean {
    return slot.state === "waiting" && slot.needs !== null &&
      this.#slots[slot.needs]!.state === "done";
  }

  #divergence(method: string, params: JsonObject): CassetteDivergenceError {
    const lane = this.#laneOf(params);
    const waiting = this.#slots.filter((slot) => slot.fromClient && slot.state === "waiting");
    const next = waiting.find((slot) => slot.lane === lane) ?? waiting[0];
    const end = (this.#slots.at(-1)?.line ?? 0) + 1;
    const expected = next === undefined
      ? null
      : next.kind === "answer"
      ? `${answerOf(next.message)} to ${next.method}`
      : next.method;
    return new CassetteDivergenceError(next?.line ?? end, expected, method);
  }

  #play(): TapeOutput[] {
    const out: TapeOutput[] = [];
    const blocked = this.#blocked();
    for (const slot of this.#slots) {
      if (this.#ended) break;
      if (slot.fromClient || slot.state === "done" || !this.#isReady(slot, blocked)) continue;
      slot.state = "done";
      if (slot.closed !== null) {
        this.#ended = true;
        out.push({ closed: slot.closed });
      } else out.push({ line: this.#line(slot) });
    }
    if (!this.#ended && this.#isCut()) {
      this.#ended = true;
      out.push({
        closed: { exit: null, stderrTail: "The cassette ends in the middle of a turn." },
      });
    }
    return out;
  }

  /** Whether nothing more will be said, although a turn has no end: who waits for that would wait for ever. */
  #isCut(): boolean {
    if (this.#slots.some(({ state }) => state === "waiting")) return false;
    const ended = new Set(
      this.#slots.map(({ method, message }) => method === "turn/completed" && turnIn(message)),
    );
    return this.#slots.some(({ kind, method, message }) =>
      kind === "response" && method === "turn/start" && isJsonObject(message["result"]) &&
      !ended.has(stringOf(message, "result", "turn", "id"))
    );
  }

  /** In each thread, the first message of the client that is still to come. */
  #blocked(): Map<string, number> {
    const blocked = new Map<string, number>();
    for (const slot of this.#slots) {
      if (slot.fromClient && slot.state === "waiting" && !blocked.has(slot.lane)) {
        blocked.set(slot.lane, slot.index);
      }
    }
    return blocked;
  }

  #isReady(slot: Slot, blocked: Map<string, number>): boolean {
    const done = (index: number | null) => index === null || this.#slots[index]!.state === "done";
    const past = (index: number | null) =>
      index === null || this.#slots[index]!.state !== "waiting";
    if (slot.closed !== null) {
      return this.#slots.every((other) => other.index >= slot.index || past(other.index));
    }
    // An answer, or a turn's start, needs its call and nothing else: the client may wait for it before going on.
    if (slot.needs !== null) return done(slot.needs);
    if (!done(slot.bornBy) || !past(slot.after)) return false;
    return (blocked.get(slot.lane) ?? Infinity) > slot.index;
  }

  #line(slot: Slot): string {
    const { message } = slot;
    const isAnswer = slot.kind === "response";
    let line = JSON.stringify(
      isAnswer
        ? { ...message, id: this.#ids.get(message["id"] ?? null) ?? message["id"] }
        : message,
    );
    for (const [was, is] of this.#texts) line = line.replaceAll(was, () => is);
    return line;
  }

  #replace(was: string, is: string): void {
    if (was !== is && was.length >= MIN_REPLACED) this.#texts.set(inJson(was), inJson(is));
  }
}

// What the messages of a recording depend on. Pure.

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
  /** For notifications that belong to no thread of the client: the client's message before it. */
  after: number | null;
  /** `done`: sent or received; `passed`: the client went on without it. */
  state: "waiting" | "done" | "passed";
}

/** Finds out what each message depends on. */
function slotsOf(entries: readonly CassetteEntry[]): Slot[] {
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
    const thread = stringOf(result, "thread", "id") || null;
    if (thread !== null && !births.has(thread) && !used.has(thread)) {
      births.set(thread, { call: slot.needs, response: slot.index });
    }
    const turn = stringOf(result, "turn", "id") || null;
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
  return stringOf(params, "threadId") || stringOf(params, "conversationId") ||
    stringOf(params, "thread", "id") || null;
}

function turnIn(message: JsonObject): string | null {
  return stringOf(message, "params", "turn", "id") || null;
}

/** What an answer to the server comes to, in one word and without its content. */
function answerOf(message: JsonObject): string {
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
