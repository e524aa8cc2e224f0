/**
 * The whole app-server protocol, typed and checked: calls, notifications, and the server requests of one reader.
 * @module
 */
import type * as protocol from "./protocol/mod.ts";
import type { ApprovalRequest, ReaderRequest } from "./approvals/mod.ts";
import {
  checkArgument,
  having,
  kind,
  name,
  readable,
  refuseNew,
  required,
  takeOptions,
  text,
} from "./check/mod.ts";
import { defined, isJsonObject, type JsonObject, type JsonValue } from "./json.ts";
import type * as checks from "./protocol/check_call.ts";
import { RUNTIME_CONFIG } from "./runtime/config_shape.ts";
import { coreOf } from "./runtime/core_of.ts";
import type { ClientConfig, RequestOptions, Runtime, RuntimeCore } from "./runtime/mod.ts";
import { Client } from "./session/namespace.ts";

/**
 * Everything the server can be asked, by the wire's own names: parameters and results are inferred from the method and
 * checked both ways.
 *
 * ```ts ignore
 * const app = await AppServer.connect();
 * const { thread } = await app.request("thread/start", { cwd: "/srv/app", sandbox: "read-only" });
 * await app.request("turn/start", { threadId: thread.id, input: [{ type: "text", text: "Hi" }] });
 * for await (const event of app.runtime.events({ threadId: thread.id, after: 0 })) {
 *   if (event.method === "turn/completed") break;
 * }
 * await app.shutdown();
 * ```
 */
export class AppServer implements AsyncDisposable {
  /** Sessions on the same connection. */
  readonly client: Client;
  /** The connection: events, state and metrics. */
  readonly runtime: Runtime;
  readonly #core: RuntimeCore;
  readonly #experimentalApi: boolean;
  /** Loaded with the first connection: who has only sessions checks no calls. */
  readonly #check: typeof checks;
  readonly #unread: ReaderRequest[] = [];

  /** Like {@linkcode shutdown}. */
  // Set by the constructor: as a method, a key that is computed would keep the class in every bundle.
  declare readonly [Symbol.asyncDispose]: () => Promise<void>;

  private constructor(client: Client, config: ClientConfig, check: typeof checks) {
    if (check === undefined) refuseNew("AppServer.connect");
    this.client = client;
    this.#check = check;
    this.runtime = client.runtime;
    this.#core = coreOf(client.runtime);
    this.#experimentalApi = config.experimentalApi ?? false;
    this[Symbol.asyncDispose] = () => this.shutdown();
  }

  /** Starts codex, or attaches to one. Rejects like `Client.connect`. */
  static async connect(config: ClientConfig & { signal?: AbortSignal } = {}): Promise<AppServer> {
    const given = takeOptions("AppServer.connect", config, RUNTIME_CONFIG);
    const check = await import("./protocol/check_call.ts");
    return new AppServer(await Client.connect(given), given, check);
  }

  /**
   * Calls a method of the server.
   *
   * Rejects before anything is sent with `RpcValidationError` (unknown method, parameters that do not fit, experimental
   * methods or fields without `experimentalApi: true`), `PolicyError` (consent is missing) or `PermissionDeniedError` (this
   * script may not do it itself); later with `RpcError` (the server refuses), `RpcValidationError` (the result lacks what
   * its type promises), `RequestTimeoutError`, `ConnectionClosedError` or the signal's reason. Unknown fields and enum
   * values from the server pass.
   */
  async request<M extends protocol.ClientMethod>(
    method: M,
    params: protocol.Params<M>,
    options: RequestOptions = {},
  ): Promise<protocol.Result<M>> {
    checkArgument("request", "method", method, required(name));
    const refusal = this.#check.checkCall(method, params, this.#experimentalApi);
    if (refusal !== null) throw refusal;
    const result = await this.runtime.request(method, asJson(params), options);
    const problem = this.#check.checkAnswer(method, result);
    if (problem !== null) throw problem;
    return result as unknown as protocol.Result<M>;
  }

  /**
   * Calls any method with any parameters and returns what the server says. Nothing is checked but what this script may do:
   * rejects like {@linkcode request}, without `RpcValidationError`.
   */
  requestUnchecked(
    method: string,
    params?: JsonValue,
    options: RequestOptions = {},
  ): Promise<JsonValue> {
    return this.runtime.request(method, params, options);
  }

  /**
   * Tells the server something that wants no answer; settles when it is sent. Notifications of newer servers pass. Rejects
   * with `RpcValidationError` for methods that are known to be something else, and for parameters that do not fit.
   */
  async notify(method: string, params?: JsonValue): Promise<void> {
    checkArgument("notify", "method", method, required(name));
    const refusal = this.#check.checkNotification(method, params, this.#experimentalApi);
    if (refusal !== null) throw refusal;
    // What this library does not know may do anything that this script may do.
    if (this.#check.isKnown(method)) return await this.runtime.notify(method, params);
    const consent = { allowPrivilegedEscalation: true };
    const { guardCall } = await import("./runtime/guard_call.ts");
    await guardCall(
      this.#core,
      method,
      params,
      consent,
      (core, ...notification) => core.notify(notification[0], notification[1]),
    );
  }

  /**
   * The server's questions, from now on, to be answered by hand: no handler or rule of the configuration accepts them
   * meanwhile. Hooks and `deny` rules still come first, and tools of sessions answer for themselves. One reader at a time:
   * throws a `CodexError` with code `serverRequestsTaken` while another one is there. Leaving the loop lets the next one in.
   * What is not answered within `approvalTimeoutMs` gets the answer that grants nothing.
   */
  serverRequests(): ServerRequests {
    const core = this.#core;
    return readServerRequests({
      attach: (reader) => core.approvals.attachReader(reader),
      unread: this.#unread,
      ended: core.ended,
      hold: () => core.alive.hold(),
    });
  }

  /** Ends codex if it is ours, and settles everything that waits. Idempotent. */
  async shutdown(): Promise<void> {
    await this.client.shutdown();
  }
}

/** Checked before: interfaces lack the index signature that JSON objects have. */
function asJson(params: unknown): JsonValue | undefined {
  return params as JsonValue | undefined;
}

// The server's questions in the hands of one reader.

/** Parameters of a server request: typed when its method is known at compile time. */
export type ServerRequestParams<M extends string> = M extends protocol.ServerRequestMethod
  ? protocol.ServerRequestParams<M>
  : JsonObject;

/** Answer to a server request: typed when its method is known at compile time. */
export type ServerRequestResult<M extends string> = M extends protocol.ServerRequestMethod
  ? protocol.ServerRequestResult<M>
  : JsonValue;

/**
 * A question of the server that waits for one answer. What is not answered within `approvalTimeoutMs` gets the answer that
 * grants nothing.
 *
 * ```ts ignore
 * for await (const request of app.serverRequests()) {
 *   if (request.is("item/commandExecution/requestApproval")) {
 *     const decision = isFine(request.params.command) ? "accept" : "decline";
 *     await request.respond({ decision });
 *   } else await request.reject({ message: "not supported here" });
 * }
 * ```
 */
export interface ServerRequest<M extends string = string> {
  /** Opaque id, the same as in the audit. */
  readonly id: string;
  /** The server's method, such as `"item/commandExecution/requestApproval"`. */
  readonly method: M;
  /** The server's parameters, as they came. */
  readonly params: ServerRequestParams<M>;
  /** The question as data that is the same for every codex version. */
  readonly request: ApprovalRequest;
  /** Aborted when the answer is no longer wanted: time is up, the turn ended, another client answered. */
  readonly signal: AbortSignal;
  /** Whether this is a request of that method; then `params` and `respond` have its types. */
  is<N extends protocol.ServerRequestMethod>(method: N): this is ServerRequest<N>;
  /**
   * Answers. Resolves with `false` when it was answered before, or when it is too late. Rejects with `RpcValidationError`,
   * sends nothing and leaves the request open when the result does not have the shape that the method wants.
   */
  respond(result: ServerRequestResult<M>): Promise<boolean>;
  /** Refuses with a JSON-RPC error. Resolves with `false` when it was answered before, or when it is too late. */
  reject(error: ServerRequestError): Promise<boolean>;
}

/** A JSON-RPC error for the server. */
export interface ServerRequestError {
  /** The JSON-RPC error code. Default -32000. */
  code?: number;
  /** What went wrong; the model may get to see it. */
  message: string;
}

/** The server's questions as they come, for one reader at a time; leaving the loop lets the next reader in. */
export interface ServerRequests extends AsyncIterableIterator<ServerRequest>, AsyncDisposable {
  /** The next question; done when the connection is closed for good or the reader left. */
  next(): Promise<IteratorResult<ServerRequest, undefined>>;
  /** Like {@linkcode ServerRequests.close}; called when a loop is left. */
  return(): Promise<IteratorResult<ServerRequest, undefined>>;
  /** Lets the next reader in. Questions that nobody has seen yet wait for it, within their time. Idempotent. */
  close(): void;
}

/** What a reader needs of its app server. */
export interface ReaderHost {
  /** Takes every question from now on, until the returned function is called. Throws while another reader is there. */
  attach(reader: (request: ReaderRequest) => void): () => void;
  /** Questions that no reader has seen yet, oldest first; shared by all readers that follow each other. */
  readonly unread: ReaderRequest[];
  /** Aborted when the connection is closed for good. */
  readonly ended: AbortSignal;
  /** Keeps the script running while a reader waits. */
  hold(): () => void;
}

/** Becomes the reader. Throws `CodexError` with code `serverRequestsTaken` while another one is there. */
export function readServerRequests(host: ReaderHost): ServerRequests {
  return new Reader(host);
}

type Waiting = (result: IteratorResult<ServerRequest, undefined>) => void;
const DONE: IteratorReturnResult<undefined> = { done: true, value: undefined };

class Reader implements ServerRequests {
  readonly #host: ReaderHost;
  readonly #detach: () => void;
  readonly #waiting: Waiting[] = [];
  readonly #close = (): void => this.close();
  #closed = false;
  // Set by the constructor: as a method, a key that is computed would keep the class in every bundle.
  declare readonly [Symbol.asyncIterator]: () => this;
  declare readonly [Symbol.asyncDispose]: () => Promise<void>;

  constructor(host: ReaderHost) {
    this[Symbol.asyncIterator] = () => this;
    this[Symbol.asyncDispose] = async () => void await this.return();
    this.#host = host;
    this.#detach = host.attach((request) => {
      host.unread.push(request);
      this.#deliver();
    });
    if (host.ended.aborted) this.close();
    else host.ended.addEventListener("abort", this.#close);
  }

  next(): Promise<IteratorResult<ServerRequest, undefined>> {
    const release = this.#host.hold();
    return new Promise((resolve) => {
      this.#waiting.push((result) => {
        release();
        resolve(result);
      });
      this.#deliver();
    });
  }

  return(): Promise<IteratorResult<ServerRequest, undefined>> {
    this.close();
    return Promise.resolve(DONE);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#detach();
    this.#host.ended.removeEventListener("abort", this.#close);
    this.#deliver();
  }

  #deliver(): void {
    const { unread } = this.#host;
    while (this.#waiting.length > 0) {
      if (this.#closed) {
        this.#waiting.shift()!(DONE);
        continue;
      }
      const next = unread.shift();
      if (next === undefined) return;
      // What was settled while it waited is no question any more.
      if (!next.signal.aborted) this.#waiting.shift()!({ done: false, value: serverRequest(next) });
    }
  }
}

const REJECTION = required(having("an error: { message, code? }", {
  message: required(text),
  code: kind("a whole number", ["number"], Number.isInteger),
}));

function serverRequest(from: ReaderRequest): ServerRequest {
  const request: ServerRequest = {
    id: from.id,
    method: from.method,
    params: isJsonObject(from.params) ? from.params : {},
    request: from.request,
    signal: from.signal,
    is<N extends protocol.ServerRequestMethod>(method: N): boolean {
      return from.method === (method as string);
    },
    // deno-lint-ignore require-await -- so that what it throws rejects
    respond: async (result: JsonValue) => {
      return readable("respond", "result", () => from.respond(completed(from.method, result)));
    },
    // deno-lint-ignore require-await -- so that what it throws rejects
    reject: async (error) => {
      checkArgument("reject", "error", error, REJECTION);
      return from.reject(error);
    },
  } as ServerRequest;
  return request;
}

/** What the server takes for absent fields; old servers want to be told. */
const ABSENT: Readonly<Record<string, JsonObject>> = {
  "item/permissions/requestApproval": { scope: "turn" },
  "mcpServer/elicitation/request": { content: null, _meta: null },
  "account/chatgptAuthTokens/refresh": { chatgptPlanType: null },
};

function completed(method: string, result: JsonValue): JsonValue {
  const absent = Object.hasOwn(ABSENT, method) ? ABSENT[method] : undefined;
  if (absent === undefined || !isJsonObject(result)) return result;
  return { ...absent, ...defined(result) };
}
