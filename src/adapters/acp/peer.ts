/**
 * One JSON-RPC connection over two byte streams, with a client on the other side that may do anything.
 * @module
 */
import { abortable, within } from "../../async.ts";
import {
  decode,
  describeOversize,
  encode,
  LineFramer,
  type OutboundMessage,
  type RpcRequest,
} from "../../rpc/mod.ts";
import { defined, fitsJson, type JsonObject, type JsonValue, MAX_JSON_DEPTH } from "../../json.ts";
import { type ByteStreams, Fault, FAULTS, type SessionNotification } from "./wire.ts";

/** Who answers the client. */
export interface PeerHandlers {
  /** Answers a call; what it throws becomes the error. */
  request(method: string, params: JsonObject, call: Call): Promise<JsonValue | object>;
  /** Hears a notification. */
  notification(method: string, params: JsonObject): void;
  /** Turns what was thrown into a refusal. */
  fault(error: unknown): Fault;
}

/** A call of the client. */
export interface Call {
  /** Aborted when the client gives it up, or is gone. */
  signal: AbortSignal;
  /** Does something once the answer has been said. */
  after(act: () => void): void;
}

/** Largest line taken. Prompts carry images. */
const MAX_LINE_BYTES = 64 * 1024 * 1024;
/** Calls of the client at once. */
const MAX_REQUESTS = 256;
/** Messages that may wait to be written before no more is read. */
const MAX_QUEUED = 1_000;
/** Characters that may wait behind what the client has not taken yet; one that lets more wait does not read any more. */
const MAX_WAITING = 256 * 1024 * 1024;
/** What a message's `params` or `result` may be nested. */
const MAX_LEVELS = MAX_JSON_DEPTH - 1;
/** How long a client that is going may take to read what is left, in milliseconds. */
const LAST_WORDS_MS = 2_000;

type Message =
  | OutboundMessage
  | { method: "session/update"; params: SessionNotification }
  | { id: string | number | null; error: OutboundMessage["error"] };

/** One connection. */
export class Peer {
  readonly #streams: ByteStreams;
  readonly #handlers: PeerHandlers;
  readonly #over = new AbortController();
  /** Calls of the client that have no answer yet. */
  readonly #open: Map<string | number, AbortController> = new Map();
  /** Calls of ours that have no answer yet. */
  readonly #calls: Map<string | number, PromiseWithResolvers<JsonValue>> = new Map();
  #lastCall = 0;
  readonly #outbox: Outbox;
  readonly #answering: Set<Promise<void>> = new Set();

  /** Begins; {@linkcode run} reads. */
  constructor(streams: ByteStreams, handlers: PeerHandlers) {
    this.#streams = streams;
    this.#handlers = handlers;
    this.#outbox = new Outbox(streams.writable, (error) => this.#end(error));
  }

  /** Aborted when the client is gone. */
  get closed(): AbortSignal {
    return this.#over.signal;
  }

  /** Reads until the client is gone or `signal` aborts. Calls of the client that are open then are given up. */
  async run(signal: AbortSignal | undefined): Promise<void> {
    const reader = this.#streams.readable.getReader();
    const framer = new LineFramer(MAX_LINE_BYTES, {
      line: (text, start, end) => this.#line(text.slice(start, end)),
      tooLong: (bytes, head) => {
        const message = `A message of ${bytes} bytes is larger than ${MAX_LINE_BYTES}.`;
        const begin = head.replace(/^\s*\{\s*"jsonrpc"\s*:[^,]*,/, "{");
        const { rpcId, method } = describeOversize(bytes, begin, "");
        const id = method === null || this.#open.has(rpcId!) ? null : rpcId;
        this.#refuse(id, new Fault(FAULTS.invalidRequest, message));
      },
    });
    const gone = signal === undefined ? this.closed : AbortSignal.any([signal, this.closed]);
    // A reader that is being cancelled ends the pending read as if the stream had ended.
    const stop = () => void reader.cancel(gone.reason).catch(() => {});
    gone.addEventListener("abort", stop, { once: true });
    if (gone.aborted) stop();
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        framer.push(value);
        if (this.#outbox.queued > MAX_QUEUED) await abortable(this.#outbox.drained(), gone);
      }
    } catch {
      // A stream that breaks has ended.
    } finally {
      gone.removeEventListener("abort", stop);
      this.#end(new Error("The client is gone."));
      reader.releaseLock();
    }
  }

  /** Waits for the answers to open calls, and until they are written; `run` must have ended. */
  async finish(): Promise<void> {
    await Promise.all(this.#answering);
    await this.#outbox.close();
  }

  /**
   * Asks the client. Rejects when it refuses, is gone, or `signal` aborts: then the client is told that nobody waits. A
   * question that no message can hold whole is not put.
   */
  call(method: string, params: object, signal: AbortSignal): Promise<JsonValue> {
    if (!fitsJson(params, MAX_LEVELS)) {
      return Promise.reject(new Error("The question is nested too deep for a message."));
    }
    if (this.closed.aborted || signal.aborted) return Promise.reject(new Error("Nobody waits."));
    const id = ++this.#lastCall;
    const pending = Promise.withResolvers<JsonValue>();
    this.#calls.set(id, pending);
    const giveUp = () => {
      if (!this.#calls.delete(id)) return;
      this.#send({ method: "$/cancel_request", params: { requestId: id } });
      pending.reject(new Error("Nobody waits."));
    };
    signal.addEventListener("abort", giveUp, { once: true });
    this.#send({ id, method, params: params as JsonObject });
    return pending.promise.finally(() => signal.removeEventListener("abort", giveUp));
  }

  /** Tells what happens in a session. */
  update(notification: SessionNotification): void {
    this.#outbox.update(notification);
  }

  #line(line: string): void {
    const message = decode(line);
    switch (message.kind) {
      case "malformed": {
        const code = message.reason === "not JSON" ? FAULTS.parse : FAULTS.invalidRequest;
        return this.#refuse(null, new Fault(code, `No message: ${message.reason}.`));
      }
      case "response": {
        const call = this.#calls.get(message.id);
        this.#calls.delete(message.id);
        if (message.error === null) call?.resolve(message.result);
        else call?.reject(new Fault(message.error.code, message.error.message));
        return;
      }
      case "notification":
        if (message.method !== "$/cancel_request") {
          return this.#handlers.notification(message.method, message.params);
        }
        return this.#cancel(message.params["requestId"]);
      case "request":
        return this.#request(message);
    }
  }

  #cancel(requestId: JsonValue | undefined): void {
    if (typeof requestId !== "string" && typeof requestId !== "number") return;
    this.#open.get(requestId)?.abort(new Fault(FAULTS.cancelled, "The request was cancelled."));
  }

  #request({ id, method, params }: RpcRequest): void {
    if (this.#open.has(id)) {
      // An answer with this id would be taken for that of the first call.
      const message = "The id belongs to a request that has no answer yet.";
      return this.#refuse(null, new Fault(FAULTS.invalidRequest, message));
    }
    if (this.#open.size >= MAX_REQUESTS) {
      const message = `More than ${MAX_REQUESTS} requests have no answer yet.`;
      return this.#refuse(id, new Fault(FAULTS.invalidRequest, message));
    }
    const stop = new AbortController();
    this.#open.set(id, stop);
    const answer = this.#answer(id, method, params, stop.signal).finally(() => {
      this.#open.delete(id);
      this.#answering.delete(answer);
    });
    this.#answering.add(answer);
  }

  async #answer(
    id: string | number,
    method: string,
    params: JsonObject,
    signal: AbortSignal,
  ): Promise<void> {
    const later: (() => void)[] = [];
    const call = { signal, after: (act: () => void) => void later.push(act) };
    try {
      const result = await this.#handlers.request(method, params, call);
      this.#send({ id, result: result as JsonValue });
      for (const act of later) act();
    } catch (error) {
      const given = signal.aborted && error !== signal.reason && signal.reason instanceof Fault;
      this.#refuse(id, this.#handlers.fault(given ? signal.reason : error));
    }
  }

  #refuse(id: string | number | null, { code, message, data }: Fault): void {
    const error = { code, message, ...defined({ data }) };
    this.#send({ id, error });
  }

  #send(message: Message): void {
    this.#outbox.send(message);
  }

  #end(error: unknown): void {
    if (this.closed.aborted) return;
    this.#over.abort(error);
    for (const call of this.#calls.values()) call.reject(error);
    this.#calls.clear();
    for (const stop of this.#open.values()) stop.abort(error);
  }
}

/** What waits to be written. What follows each other in one message is joined for a client that reads slowly. */
class Outbox {
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #failed: (error: unknown) => void;
  readonly #encoder = new TextEncoder();
  #messages: Message[] = [];
  #busy: Promise<void> | null = null;
  /** Characters that wait behind what is being written. */
  #waiting = 0;
  #writing = false;
  #broken = false;

  /** `failed` hears that the client does not listen any more. */
  constructor(writable: WritableStream<Uint8Array>, failed: (error: unknown) => void) {
    this.#failed = failed;
    this.#writer = writable.getWriter();
    this.#writer.closed.catch((error) => this.#fail(error));
  }

  /** Messages that wait. */
  get queued(): number {
    return this.#messages.length;
  }

  send(message: Message): void {
    if (this.#broken) return;
    this.#wait(message);
    this.#messages.push(message);
    // In a microtask: what is said in one tick is written together.
    this.#busy ??= Promise.resolve().then(() => this.#flush());
  }

  update(notification: SessionNotification): void {
    const last = this.#messages.at(-1);
    if (last !== undefined && isUpdate(last) && joins(last.params, notification)) {
      return this.#wait(notification);
    }
    this.send({ method: "session/update", params: notification });
  }

  /** Settles when everything has been written, or nobody listens. */
  async drained(): Promise<void> {
    await this.#busy;
  }

  /** Writes what is left, and ends the stream; a client that does not read is left alone. */
  async close(): Promise<void> {
    const closed = this.drained().then(() => this.#writer.close()).then(() => true, () => true);
    if (!await within(closed, LAST_WORDS_MS, false)) {
      this.#fail(null);
      this.#writer.abort().catch(() => {});
    }
    this.#writer.releaseLock();
  }

  #wait(message: object): void {
    if (!this.#writing) return;
    this.#waiting += weightOf(message);
    if (this.#waiting > MAX_WAITING) this.#fail(new Error("The client does not read."));
  }

  async #flush(): Promise<void> {
    while (this.#messages.length > 0 && !this.#broken) {
      this.#waiting = 0;
      const text = this.#messages.splice(0).map(line).join("");
      this.#writing = true;
      try {
        await this.#writer.write(this.#encoder.encode(text));
      } catch (error) {
        this.#fail(error);
      }
      this.#writing = false;
    }
    this.#busy = null;
  }

  #fail(error: unknown): void {
    if (this.#broken) return;
    this.#broken = true;
    this.#messages = [];
    this.#failed(error);
  }
}

/** Characters of a message, about. */
function weightOf(value: unknown): number {
  if (typeof value === "string") return value.length + 2;
  if (typeof value !== "object" || value === null) return 5;
  let weight = 2;
  for (const [name, each] of Object.entries(value)) weight += name.length + 4 + weightOf(each);
  return weight;
}

function line(message: Message): string {
  return `{"jsonrpc":"2.0",${encoded(message as OutboundMessage).slice(1)}\n`;
}

/** What codex tells may be nested as deep as a message can be, and is told inside of one. */
function encoded(message: OutboundMessage): string {
  try {
    return encode(message);
  } catch {
    const parts = Object.entries(message).map(([name, part]) => [name, cut(part, MAX_LEVELS)]);
    return encode(Object.fromEntries(parts));
  }
}

/** The same with what is nested deeper left out. */
function cut(value: JsonValue | undefined, levels: number): JsonValue | undefined {
  if (typeof value === "number") return Number.isFinite(value) ? value : null;
  if (typeof value !== "object" || value === null) return value;
  if (levels === 0) return "…";
  if (Array.isArray(value)) return value.map((each) => cut(each, levels - 1)!);
  return Object.fromEntries(
    Object.entries(value).map(([name, each]) => [name, cut(each, levels - 1)]),
  );
}

function isUpdate(
  message: Message,
): message is { method: "session/update"; params: SessionNotification } {
  return "method" in message && message.method === "session/update";
}

/** Adds an update to one that has not been written yet, where the two say no more than one would. */
function joins(before: SessionNotification, { sessionId, update }: SessionNotification): boolean {
  const [a, b] = [before.update, update];
  if (before.sessionId !== sessionId || a.sessionUpdate !== b.sessionUpdate) return false;
  if ("messageId" in a && "messageId" in b) {
    if (a.messageId !== b.messageId) return false;
    if (a.content.type !== "text" || b.content.type !== "text") return false;
    a.content = { type: "text", text: a.content.text + b.content.text };
    return true;
  }
  if (a.sessionUpdate !== "tool_call_update" || b.sessionUpdate !== "tool_call_update") {
    return false;
  }
  if (a.toolCallId !== b.toolCallId || !hasOnly(a, "content") || !hasOnly(b, "content")) {
    return false;
  }
  a.content = b.content!;
  return true;
}

function hasOnly(update: object, field: string): boolean {
  return Object.keys(update).every((key) =>
    key === "sessionUpdate" || key === "toolCallId" || key === field
  ) && field in update;
}
