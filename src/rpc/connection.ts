/**
 * One conversation over one transport: calls out, answers and notifications in.
 * @module
 */
import { soon } from "../async.ts";
import { ConnectionClosedError, messageOf, MessageTooLargeError } from "../errors/mod.ts";
import { defined, type JsonValue, present } from "../json.ts";
import { redactText, withoutColours } from "../redact.ts";
import type { TraceContext } from "../telemetry.ts";
import type { Transport, TransportClosed, TransportCloseReport } from "../transport/mod.ts";
import {
  decode,
  describeOversize,
  encode,
  type OutboundMessage,
  type OversizeMessage,
  type RpcErrorObject,
  type RpcId,
  type RpcMessage,
  type RpcNotification,
  type RpcRequest,
  type RpcResponse,
} from "./codec.ts";
import { DeltaReader, Deltas } from "./delta_reader.ts";
import { LineFramer, utf8Length } from "./framing.ts";
import { type CallOptions, PendingCalls } from "./pending_calls.ts";

/** Receives what the server says. No method may throw; each runs before the next line is read. */
export interface ConnectionHandler {
  /** Bytes came, at this time on the clock of `performance.now()`; what is told until the next call was in them. */
  arrived(at: number): void;
  /** The next texts of some items. */
  deltas(batch: Deltas): void;
  /** A notification; `size` is the line's length. */
  notification(message: RpcNotification, size: number): void;
  /** A question. */
  request(message: RpcRequest, size: number): void;
  /** An answer, before its caller gets it; `method` is the call's, `undefined` when no call waits for it. */
  response(message: RpcResponse, method: string | undefined, size: number): void;
  /** A line that is no message. */
  malformed(reason: string, size: number): void;
  /** A message beyond the limit, which was skipped. */
  oversize(message: OversizeMessage): void;
  /** A message goes out, at this time on the clock of `performance.now()`. */
  sent(
    kind: "request" | "notification" | "response",
    size: number,
    message: OutboundMessage,
    at: number,
  ): void;
  /** The connection ended; called once, before the pending calls reject. */
  closed(error: ConnectionClosedError): void;
}

/** Limits of a connection. */
export interface ConnectionOptions {
  /** Largest line accepted, in bytes. */
  maxMessageBytes: number;
  /** Calls in flight at once. */
  maxInFlight: number;
  /** Milliseconds until a call rejects, unless it says otherwise. */
  requestTimeoutMs: number;
  /** The trace of who calls now; `null`: none is told. Default `null`. */
  trace?: (() => TraceContext | undefined) | null;
}

const encoder = new TextEncoder();
const NOISE_CHARACTERS = 80;
const NO_OPTIONS: CallOptions = Object.freeze({});

/** One conversation over one transport. */
export class Connection {
  readonly transport: Transport;
  readonly #handler: ConnectionHandler;
  readonly #options: ConnectionOptions;
  readonly #framer: LineFramer;
  readonly #reader = new DeltaReader();
  /** Deltas that have been read and not been told yet. */
  #batch: Deltas | null = null;
  readonly #calls: PendingCalls;
  readonly #writer: CoalescingWriter;
  #arrivedAt = 0;
  /** Whether the server has answered; before that, a launcher's own words may be mixed in. */
  #heard = false;
  /** Lines before the first answer that were no messages, and how the first of them begins. */
  #noise = { lines: 0, first: "" };
  #closedWith: ConnectionClosedError | null = null;
  #closing: string | null = null;
  #lost: string | null = null;
  readonly #ended = Promise.withResolvers<void>();
  /** Bytes read so far. */
  bytesIn = 0;
  /** Bytes written so far; characters for text that is all ASCII. */
  bytesOut = 0;

  /** Begins the conversation. */
  constructor(transport: Transport, handler: ConnectionHandler, options: ConnectionOptions) {
    this.transport = transport;
    this.#handler = handler;
    this.#options = options;
    this.#framer = new LineFramer(options.maxMessageBytes, {
      line: (text, start, end) => this.#line(text, start, end),
      undecoded: (bytes, start, end) => this.#tookDelta(bytes, start, end, true),
      tooLong: (bytes, head, tail) => this.#tooLong(bytes, head, tail),
    });
    this.#writer = new CoalescingWriter(async (text) => {
      try {
        await transport.write(text);
      } catch (error) {
        this.drop(`The transport could not write: ${messageOf(error)}`);
      }
    });
    this.#calls = new PendingCalls(
      (id, method, params, trace, now) =>
        this.#send(
          "request",
          trace === undefined ? { id, method, params } : { id, method, params, trace },
          now,
        ),
      options.maxInFlight,
    );
    transport.start({
      bytes: (chunk) => {
        this.#arrived(chunk.length);
        this.#framer.push(chunk);
        this.#endBatch();
      },
      text: (message) => this.#text(message),
      closed: (info) => this.#closed(info),
    });
  }

  /** Calls that wait for an answer. */
  get pendingCalls(): number {
    return this.#calls.size;
  }

  /** Characters that wait to be written. */
  get queuedCharacters(): number {
    return this.#writer.queued;
  }

  /** Why the connection ended, or `null` while it lives. */
  get closedWith(): ConnectionClosedError | null {
    return this.#closedWith;
  }

  /** When the last bytes came, on the clock of `performance.now()`; 0 when none have. */
  get heardAt(): number {
    return this.#arrivedAt;
  }

  /** What came in place of a message so far, shortened and without secrets; empty once the server has answered. */
  get noise(): string {
    if (this.#heard) return "";
    const { lines, first } = this.#noise;
    const begin = first || this.#framer.pendingText(NOISE_CHARACTERS);
    // deno-lint-ignore no-control-regex
    const text = redactText(withoutColours(begin).replace(/[\x00-\x1f\ufeff]/g, "")).trim();
    const were = lines === 1 ? "line of its output was" : "lines of its output were";
    const begins = text.slice(0, NOISE_CHARACTERS);
    return text === "" ? "" : `${lines} ${were} no message; it begins with "${begins}"`;
  }

  /** Ends a conversation whose other side does not answer any more, without waiting for it. */
  drop(reason: string): void {
    if (this.#closedWith !== null) return;
    this.#lost ??= reason;
    this.transport.kill();
  }

  /** Settles when the connection has ended. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  /** Told how long each answered call took, in milliseconds. */
  set onLatency(listener: (ms: number) => void) {
    this.#calls.onLatency = listener;
  }

  /** Told when calls begin to be awaited, and when the last of them has settled. */
  set onAwaited(listener: (some: boolean) => void) {
    this.#calls.onAwaited = listener;
  }

  /** Sends a call and waits for its answer. `awaited`: see {@linkcode onAwaited}. */
  call(
    method: string,
    params: JsonValue | undefined,
    options: CallOptions = NO_OPTIONS,
    awaited = false,
  ): Promise<JsonValue> {
    const { trace, requestTimeoutMs } = this.#options;
    return this.#calls.call(
      method,
      params,
      options.timeoutMs ?? requestTimeoutMs,
      options,
      options.trace ?? trace?.(),
      awaited,
    );
  }

  /** Sends a notification; settles when the transport has taken it. */
  notify(method: string, params?: JsonValue): Promise<void> {
    if (this.#closedWith !== null) return Promise.reject(this.#closedWith);
    try {
      this.#send("notification", { method, params });
    } catch (error) {
      return Promise.reject(error);
    }
    return this.#writer.drained();
  }

  /** Answers a question of the server. Throws when the connection has ended: then nothing was granted. */
  respond(id: RpcId, result: JsonValue): void {
    if (this.#closedWith !== null) throw this.#closedWith;
    try {
      this.#send("response", { id, result });
    } catch (error) {
      // The server waits for an answer in any case: one that cannot be carried becomes a refusal.
      this.reject(id, { code: -32603, message: "the answer could not be sent" });
      throw error;
    }
  }

  /** Refuses a question of the server. Throws when the connection has ended. */
  reject(id: RpcId, error: RpcErrorObject): void {
    if (this.#closedWith !== null) throw this.#closedWith;
    this.#send("response", { id, error });
  }

  /** Ends the conversation and, where it is ours, the process; `reason` goes into the errors of pending calls. */
  async close(reason: string, graceMs: number): Promise<TransportCloseReport> {
    this.#closing ??= reason;
    this.#calls.close(new ConnectionClosedError(this.#closing, { retryable: false }));
    const { transport } = this;
    const report = await transport.close({ graceMs });
    // A transport that could not be ended must not keep its callers waiting.
    if (this.#closedWith === null) this.#closed({ ...report, stderrTail: transport.stderrTail() });
    return report;
  }

  #send(
    kind: "request" | "notification" | "response",
    message: OutboundMessage,
    now: number = performance.now(),
  ): void {
    const text = encode(message);
    const limit = this.transport.maxOutboundBytes;
    if (limit !== null && text.length * 3 > limit) {
      const bytes = encoder.encode(text).length;
      const { method = "an answer" } = message;
      if (bytes > limit) throw new MessageTooLargeError(`The message for ${method}`, bytes, limit);
    }
    this.bytesOut += text.length + 1;
    this.#handler.sent(kind, text.length, message, now);
    this.#writer.send(text);
  }

  #arrived(bytes: number): void {
    this.bytesIn += bytes;
    // The clock is not asked for every message in them.
    this.#arrivedAt = performance.now();
    this.#handler.arrived(this.#arrivedAt);
  }

  #text(message: string): void {
    this.#arrived(message.length);
    const limit = this.#options.maxMessageBytes;
    if (message.length * 3 > limit) {
      const bytes = utf8Length(message);
      if (bytes > limit) return this.#tooLong(bytes, message.slice(0, 4096), message.slice(-2048));
    }
    if (message.trim() !== "") this.#line(message, 0, message.length);
    this.#endBatch();
  }

  #line(block: string, start: number, end: number): void {
    if (this.#tookDelta(block, start, end, false)) return;
    this.#endBatch();
    const line = block.slice(start, end);
    const message = this.#heard ? decode(line) : this.#firstWords(line);
    try {
      this.#message(message, line);
    } catch (error) {
      // What can't be taken costs neither the other lines of its chunk nor the script.
      this.#handler.malformed(`not taken: ${messageOf(error)}`, line.length);
      if (message.kind === "request") this.#notTaken(message.id);
    }
  }

  #message(message: RpcMessage, line: string): void {
    switch (message.kind) {
      case "notification":
        if (message.params["delta"] !== undefined) {
          this.#reader.learn(line, message.method, message.params);
        }
        return this.#handler.notification(message, line.length);
      case "response":
        try {
          this.#handler.response(message, this.#calls.methodOf(message.id), line.length);
        } finally {
          this.#calls.settle(message, this.#arrivedAt);
        }
        return;
      case "request":
        return this.#handler.request(message, line.length);
      case "malformed":
        return this.#handler.malformed(message.reason, line.length);
    }
  }

  /** A launcher may write something without a newline before codex says its first message on the same line. */
  #firstWords(line: string): RpcMessage {
    let message = decode(line);
    for (let at = line.indexOf('{"', 1), tries = 0; at > 0 && tries < 8; tries++) {
      if (message.kind !== "malformed") break;
      message = decode(line.slice(at));
      at = line.indexOf('{"', at + 1);
    }
    if (message.kind === "malformed") {
      this.#noise.lines++;
      this.#noise.first ||= line.slice(0, NOISE_CHARACTERS);
    } else if (message.kind === "response") {
      this.#heard = true;
    }
    return message;
  }

  /** In a flood hundreds of deltas follow each other: they are handed on together. */
  #tookDelta(block: string, start: number, end: number, undecoded: boolean): boolean {
    const textEnd = this.#reader.read(block, start, end);
    if (textEnd < 0) return false;
    const { head } = this.#reader;
    if (this.#batch?.extend(head, block, start, textEnd, end) === true) return true;
    this.#endBatch();
    this.#batch = new Deltas(block, start, head, [textEnd, end], undecoded);
    return true;
  }

  #endBatch(): void {
    const batch = this.#batch;
    if (batch === null) return;
    this.#batch = null;
    this.#handler.deltas(batch);
  }

  #tooLong(bytes: number, head: string, tail: string): void {
    this.#endBatch();
    if (!this.#heard && !head.trimStart().startsWith("{")) {
      this.#noise.lines++;
      this.#noise.first ||= head.slice(0, NOISE_CHARACTERS);
    }
    const message = describeOversize(bytes, head, tail);
    this.#handler.oversize(message);
    const { rpcId } = message;
    if (rpcId === null) return;
    if (message.method !== null) return this.#notTaken(rpcId);
    const method = this.#calls.methodOf(rpcId) ?? "a call";
    this.#calls.rejectId(
      rpcId,
      new MessageTooLargeError(`The answer to ${method}`, bytes, this.#options.maxMessageBytes),
    );
  }

  /** The server waits for an answer to what nobody here has read. */
  #notTaken(id: RpcId): void {
    // A transport that could not be ended may go on.
    if (this.#closedWith === null) this.reject(id, { code: -32602, message: "not taken" });
  }

  #closed(info: TransportClosed): void {
    if (this.#closedWith !== null) return;
    const noise = this.noise;
    const cut = this.#framer.end();
    const ended = this.#heard
      ? "codex ended while the connection was open."
      : "What was started as codex ended before it had answered.";
    const message = this.#closing ?? this.#lost ??
      (this.transport.kind === "websocket" ? "The connection to codex ended." : ended);
    const error = new ConnectionClosedError(noise === "" ? message : `${message} ${noise}.`, {
      retryable: this.#closing === null,
      ...present({ exit: info.exit }),
      stderrTail: info.stderrTail,
      ...defined({ cause: info.error }),
      ...(cut === 0 ? {} : { data: { unfinishedLineBytes: cut } }),
    });
    this.#closedWith = error;
    if (cut > 0) this.#handler.malformed("the connection ended within a line", cut);
    this.#handler.closed(error);
    this.#calls.close(error);
    this.#ended.resolve();
  }
}

/** Joins the messages of one tick, and those that come while a write is under way, into one write. */
export class CoalescingWriter {
  readonly #write: (text: string) => Promise<void>;
  #messages: string[] = [];
  /** Characters of the messages, with their newlines. */
  #waiting = 0;
  /** Characters that are being written. */
  #writing = 0;
  #busy = false;
  #idle: (() => void)[] = [];

  /** Creates a writer over a sink that takes newline-terminated text. */
  constructor(write: (text: string) => Promise<void>) {
    this.#write = write;
  }

  /** Characters that have not been taken yet. */
  get queued(): number {
    return this.#writing + this.#waiting;
  }

  /** Queues one message. */
  send(message: string): void {
    this.#messages.push(message);
    this.#waiting += message.length + 1;
    if (this.#busy) return;
    this.#busy = true;
    // A microtask: the messages of this tick share a write, and a single one is not delayed by a timer.
    soon(() => this.#flush());
  }

  /** Settles when everything that was sent has been taken. */
  drained(): Promise<void> {
    return this.#busy ? new Promise((resolve) => this.#idle.push(resolve)) : Promise.resolve();
  }

  async #flush(): Promise<void> {
    while (this.#messages.length > 0) {
      this.#messages.push("");
      const text = this.#messages.join("\n");
      this.#messages = [];
      this.#writing = this.#waiting;
      this.#waiting = 0;
      await this.#write(text);
    }
    this.#writing = 0;
    this.#busy = false;
    const idle = this.#idle;
    this.#idle = [];
    for (const resolve of idle) resolve();
  }
}
