/**
 * A connection whose server is the test itself.
 * @module
 */
import {
  callback,
  checkArgument,
  checkArguments,
  checkOptions,
  flag,
  jsonObject,
  name,
  required,
  type Shape,
  shape,
  signal,
} from "../check/mod.ts";
import { ConnectionClosedError, messageOf, type ProcessExit, RpcError } from "../errors/mod.ts";
import { defined, isJsonObject, type JsonObject, type JsonValue } from "../json.ts";
import type { RpcMessage } from "../rpc/mod.ts";
import type { CustomTransportConfig } from "../runtime/mod.ts";
import type { MemoryEnd } from "../transport/mod.ts";

type Decode = (line: string) => RpcMessage;

/** Takes the server's end of a connection that a client has opened. */
type Accept = (end: MemoryEnd, decode: Decode) => void;

/** Options of {@linkcode memoryTransport}. */
export interface MemoryTransportOptions {
  /** The codex version that the server says it is. Default `"0.169.0"`. */
  version?: string;
  /** Whether `initialize` is answered for you. Default `true`. */
  handshake?: boolean;
}

const MEMORY_OPTIONS: Shape = shape<MemoryTransportOptions>({
  version: name,
  handshake: flag,
});

/** Both ends of a connection. */
export interface MemoryTransport {
  /** The client's end: the `transport` of a client's configuration. */
  readonly transport: CustomTransportConfig;
  /** The server's end. */
  readonly server: MemoryServer;
}

/**
 * Makes a connection with no codex in it: the test reads what the client sends, and says what a server would say.
 *
 * ```ts ignore
 * const { transport, server } = testing.memoryTransport();
 * const app = await AppServer.connect({ transport });
 * const listing = app.request("thread/loaded/list", {});
 * const request = await server.nextRequest("thread/loaded/list");
 * request.respond({ data: ["thread-1"], nextCursor: null });
 * console.log((await listing).data);
 * await app.shutdown();
 * ```
 */
export function memoryTransport(options: MemoryTransportOptions = {}): MemoryTransport {
  checkOptions("memoryTransport", options, MEMORY_OPTIONS);
  const accept: Accept[] = [];
  const server = new MemoryServer(options, accept);
  return {
    server,
    transport: {
      type: "custom",
      open: async ({ signal }) => {
        signal?.throwIfAborted();
        const { decode, memoryPair } = await import("./connection.ts");
        signal?.throwIfAborted();
        const { client, server: end } = memoryPair();
        accept[0]!(end, decode);
        return client;
      },
    },
  };
}

/** A call of the client that waits for its answer. */
export interface MemoryRequest {
  /** The id of the call. */
  readonly id: number | string;
  /** What is called. */
  readonly method: string;
  /** Its parameters; an empty object when there are none. */
  readonly params: JsonObject;
  /** Answers it. */
  respond(result: JsonValue): void;
  /** Refuses it with a JSON-RPC error. */
  reject(code: number, message: string, data?: JsonValue): void;
}

/** A notification from the client. */
export interface MemoryNotification {
  /** What happened. */
  readonly method: string;
  /** Its parameters; an empty object when there are none. */
  readonly params: JsonObject;
}

/** Limits of a wait for a message. */
export interface MemoryWaitOptions {
  /** Rejects the wait with its reason. */
  signal?: AbortSignal;
}

function checkWait(where: string, method: unknown, options: unknown): void {
  checkArgument(where, "method", method, name);
  checkOptions(where, options, shape<MemoryWaitOptions>({ signal }));
}

function checkMessage(where: string, method: unknown, params: unknown): void {
  checkArguments(where, { method: [method, required(name)], params: [params, jsonObject] });
}

/** Answers one method; what it throws refuses the call. */
export type MemoryHandler = (
  params: JsonObject,
  request: MemoryRequest,
) => JsonValue | Promise<JsonValue>;

interface Waiter<T> {
  readonly fits: (message: T) => boolean;
  readonly resolve: (message: T) => void;
  readonly reject: (reason: unknown) => void;
}

/** Messages that wait for a reader, and readers that wait for a message. */
class Inbox<T extends { method: string }> {
  #messages: T[] = [];
  #waiters: Waiter<T>[] = [];

  put(message: T): void {
    const at = this.#waiters.findIndex((waiter) => waiter.fits(message));
    if (at < 0) this.#messages.push(message);
    else this.#waiters.splice(at, 1)[0]!.resolve(message);
  }

  next(method: string | undefined, signal: AbortSignal | undefined): Promise<T> {
    const fits = (message: T) => method === undefined || message.method === method;
    if (signal?.aborted) return Promise.reject(signal.reason);
    const at = this.#messages.findIndex(fits);
    if (at >= 0) return Promise.resolve(this.#messages.splice(at, 1)[0]!);
    return new Promise((resolve, reject) => {
      const abort = () => {
        this.#waiters = this.#waiters.filter((other) => other !== waiter);
        reject(signal!.reason);
      };
      const settle = () => signal?.removeEventListener("abort", abort);
      const waiter: Waiter<T> = {
        fits,
        resolve: (message) => (settle(), resolve(message)),
        reject: (reason) => (settle(), reject(reason)),
      };
      this.#waiters.push(waiter);
      signal?.addEventListener("abort", abort);
    });
  }

  fail(reason: unknown): void {
    for (const waiter of this.#waiters.splice(0)) waiter.reject(reason);
  }
}

/**
 * The server's end of a {@linkcode memoryTransport}. It stays when the client connects again.
 *
 * ```ts ignore
 * const { transport, server } = testing.memoryTransport();
 * const client = await Client.connect({ transport });
 * console.log(server.received.map(({ method }) => method));
 * ```
 */
export class MemoryServer {
  /** Every message of the client, oldest first. */
  readonly received: JsonObject[] = [];
  readonly #options: MemoryTransportOptions;
  readonly #requests: Inbox<MemoryRequest> = new Inbox();
  readonly #notifications: Inbox<MemoryNotification> = new Inbox();
  readonly #handlers: Map<string, MemoryHandler> = new Map();
  readonly #asked: Map<number | string, {
    method: string;
    resolve: (result: JsonValue) => void;
    reject: (reason: unknown) => void;
  }> = new Map();
  #end: MemoryEnd | null = null;
  #nextId = 0;
  #connections = 0;

  /** Made by {@linkcode memoryTransport}. */
  constructor(options: MemoryTransportOptions, accept: Accept[]) {
    this.#options = options;
    accept.push((end, decode) => this.#attach(end, decode));
  }

  /** How often a client has connected. */
  get connections(): number {
    return this.#connections;
  }

  /** The next call that nobody has taken yet; with a method, the next call of it. Rejects when the connection ends. */
  async nextRequest(method?: string, options: MemoryWaitOptions = {}): Promise<MemoryRequest> {
    checkWait("nextRequest", method, options);
    return await this.#requests.next(method, options.signal);
  }

  /** The next notification from the client; with a method, the next of it. Rejects when the connection ends. */
  async nextNotification(
    method?: string,
    options: MemoryWaitOptions = {},
  ): Promise<MemoryNotification> {
    checkWait("nextNotification", method, options);
    return await this.#notifications.next(method, options.signal);
  }

  /** Answers every call of a method from now on, instead of {@linkcode nextRequest}. */
  handle(method: string, handler: MemoryHandler): this {
    checkArguments("handle", {
      method: [method, required(name)],
      handler: [handler, required(callback)],
    });
    this.#handlers.set(method, handler);
    return this;
  }

  /** Tells the client something. */
  notify(method: string, params: JsonObject = {}): void {
    checkMessage("notify", method, params);
    this.send({ method, params });
  }

  /**
   * Asks the client, as the server does for approvals. Rejects with `RpcError` when the client refuses. Before it accepts, it
   * calls `thread/loaded/list`, which is answered for you while there is no answer to this.
   */
  request(method: string, params: JsonObject = {}): Promise<JsonValue> {
    checkMessage("request", method, params);
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#asked.set(id, { method, resolve, reject });
      try {
        this.send({ method, id, params });
      } catch (error) {
        this.#asked.delete(id);
        reject(error);
      }
    });
  }

  /** Sends any message; a string is sent as it is, whether or not it is JSON. */
  send(message: JsonValue): void {
    if (this.#end === null) throw new ConnectionClosedError("No client is connected.");
    this.#end.send(typeof message === "string" ? message : JSON.stringify(message));
  }

  /** Ends the connection as a process that exits does. Default: code 0, nothing on stderr. */
  close(exit: ProcessExit = { code: 0, signal: null }, stderrTail = ""): void {
    this.#end?.close({ exit, stderrTail });
  }

  #attach(end: MemoryEnd, decode: Decode): void {
    this.#end = end;
    this.#connections++;
    end.onLine((line) => this.#take(end, decode(line)));
    void end.closed.then(() => this.#detach(end));
  }

  #detach(end: MemoryEnd): void {
    if (this.#end !== end) return;
    this.#end = null;
    const error = new ConnectionClosedError("The client ended the connection.");
    this.#requests.fail(error);
    this.#notifications.fail(error);
    for (const asked of this.#asked.values()) asked.reject(error);
    this.#asked.clear();
  }

  #take(end: MemoryEnd, message: RpcMessage): void {
    if (message.kind === "malformed") return;
    this.received.push(message.raw);
    switch (message.kind) {
      case "notification":
        return this.#notifications.put({ method: message.method, params: message.params });
      case "response":
        return this.#answered(message);
      case "request":
        return this.#asks(end, message);
    }
  }

  #answered(message: Extract<RpcMessage, { kind: "response" }>): void {
    const asked = this.#asked.get(message.id);
    if (asked === undefined) return;
    this.#asked.delete(message.id);
    if (message.error === null) return asked.resolve(message.result);
    const { code, message: text, data } = message.error;
    asked.reject(new RpcError(asked.method, code, text, data));
  }

  #asks(end: MemoryEnd, message: Extract<RpcMessage, { kind: "request" }>): void {
    const { id, method, params } = message;
    const request: MemoryRequest = {
      id,
      method,
      params,
      respond: (result) => end.send(JSON.stringify({ id, result })),
      reject: (code, text, data) =>
        end.send(JSON.stringify({
          error: { code, message: text, ...defined({ data }) },
          id,
        })),
    };
    const handler = this.#handlers.get(method);
    if (handler !== undefined) return void this.#run(handler, request);
    if (method === "initialize" && this.#options.handshake !== false) {
      return request.respond(this.#introduction(params));
    }
    // The client's own: it looks for what else was asked before it accepts something.
    if (method === "thread/loaded/list" && this.#asked.size > 0) {
      return request.respond({ data: [], nextCursor: null });
    }
    // And what holds over a session's settings, where that is to ask.
    if (method === "hooks/list") return request.respond({ data: [] });
    if (method === "config/read") return request.respond({ config: {} });
    this.#requests.put(request);
  }

  async #run(handler: MemoryHandler, request: MemoryRequest): Promise<void> {
    try {
      request.respond(await handler(request.params, request));
    } catch (error) {
      if (error instanceof RpcError) request.reject(error.rpcCode, error.rpcMessage, error.rpcData);
      else request.reject(-32603, messageOf(error));
    }
  }

  #introduction(params: JsonObject): JsonObject {
    const info = params["clientInfo"];
    const { name, version } = isJsonObject(info) ? info : {};
    return {
      userAgent: `${name}/${
        this.#options.version ?? "0.169.0"
      } (memory) unknown (${name}; ${version})`,
      codexHome: "/memory",
      platformFamily: "unix",
      platformOs: "linux",
    };
  }
}
