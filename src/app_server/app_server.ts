/**
 * The whole app-server protocol, typed and checked.
 * @module
 */
import type { ReaderRequest } from "../approvals/mod.ts";
import { checkArgument, checkOptions, name, required } from "../check/mod.ts";
import type { JsonValue } from "../json.ts";
import { methodInfo } from "../protocol/mod.ts";
import type * as protocol from "../protocol/mod.ts";
import {
  type ClientConfig,
  coreOf,
  guardCall,
  type RequestOptions,
  type Runtime,
  RUNTIME_CONFIG,
  type RuntimeCore,
} from "../runtime/mod.ts";
import { Client } from "../session/mod.ts";
import { checkAnswer, checkCall, checkNotification } from "./check_call.ts";
import { readServerRequests, type ServerRequests } from "./server_requests.ts";

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
  readonly #unread: ReaderRequest[] = [];

  private constructor(client: Client, config: ClientConfig) {
    this.client = client;
    this.runtime = client.runtime;
    this.#core = coreOf(client.runtime);
    this.#experimentalApi = config.experimentalApi ?? false;
  }

  /** Starts codex, or attaches to one. Rejects like `Client.connect`. */
  static async connect(config: ClientConfig & { signal?: AbortSignal } = {}): Promise<AppServer> {
    checkOptions("AppServer.connect", config, RUNTIME_CONFIG);
    return new AppServer(await Client.connect(config), config);
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
    const refusal = checkCall(method, params, this.#experimentalApi);
    if (refusal !== null) throw refusal;
    const result = await this.runtime.request(method, asJson(params), options);
    const problem = checkAnswer(method, result);
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
    const refusal = checkNotification(method, params, this.#experimentalApi);
    if (refusal !== null) throw refusal;
    // What this library does not know may do anything that this script may do.
    if (methodInfo(method) === undefined) {
      guardCall(this.#core, method, params, { allowPrivilegedEscalation: true });
    }
    await this.runtime.notify(method, params);
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
    });
  }

  /** Ends codex if it is ours, and settles everything that waits. Idempotent. */
  async shutdown(): Promise<void> {
    await this.client.shutdown();
  }

  /** Like {@linkcode shutdown}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.shutdown();
  }
}

/** Checked before: interfaces lack the index signature that JSON objects have. */
function asJson(params: unknown): JsonValue | undefined {
  return params as JsonValue | undefined;
}
