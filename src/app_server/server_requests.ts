/**
 * The server's questions in the hands of one reader.
 * @module
 */
import type { ApprovalRequest, ReaderRequest } from "../approvals/mod.ts";
import { RpcValidationError } from "../errors/mod.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../json.ts";
import type * as protocol from "../protocol/mod.ts";
import { validateServerRequestResult } from "../protocol/mod.ts";

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

  constructor(host: ReaderHost) {
    this.#host = host;
    this.#detach = host.attach((request) => {
      host.unread.push(request);
      this.#deliver();
    });
    if (host.ended.aborted) this.close();
    else host.ended.addEventListener("abort", this.#close);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<ServerRequest, undefined>> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      this.#deliver();
    });
  }

  return(): Promise<IteratorResult<ServerRequest, undefined>> {
    this.close();
    return Promise.resolve(DONE);
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.close();
    return Promise.resolve();
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
      const issue = validateServerRequestResult(from.method, result);
      if (issue !== null) {
        throw new RpcValidationError(from.method, "result", issue.path, issue.expectation);
      }
      return from.respond(completed(from.method, result));
    },
    reject: (error) => Promise.resolve(from.reject(error)),
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
  const given = Object.entries(result).filter(([, value]) => value !== undefined);
  return { ...absent, ...Object.fromEntries(given) };
}
