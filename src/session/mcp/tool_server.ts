/**
 * The tools of this process for threads that codex offers none to: `dynamicTools` are taken by `thread/start` alone (0.104 to
 * 0.169), so that here they are an MCP server on a loopback port.
 *
 * Codex gets the address and a token of each session's own in the message that opens the thread. Nothing is in its
 * environment or on its command line, where the agent's commands could read it.
 * @module
 */
import {
  hexOf,
  isJsonObject,
  type JsonObject,
  type JsonValue,
  memberOf,
  objectOf,
  parseObject,
  stringOf,
} from "../../json.ts";
import { serveLoopback } from "../../platform/fs.ts";
import type { HttpHead, HttpReply, HttpRequest, HttpServer } from "../../platform/mod.ts";
import { LIBRARY_VERSION } from "../../protocol/mod.ts";
import type { RuntimeCore } from "../../runtime/mod.ts";
import type { ThreadTurns } from "../turn/thread_turns.ts";

/** A tool as the model is told of it. */
export interface ToolSpec {
  /** Its name. */
  name: string;
  /** What it does. */
  description: string;
  /** JSON Schema of its arguments. */
  inputSchema: JsonObject;
}

/** A call, as codex makes it. */
export interface ServedCall {
  /** The tool. */
  tool: string;
  /** Its arguments. */
  arguments: JsonValue;
  /** The thread, the turn and the call, as far as this codex tells them; the turn since 0.117, the call since 0.150. */
  threadId: string | null;
  /** The turn. */
  turnId: string | null;
  /** The call. */
  callId: string | null;
}

/** Runs a call; settles with the answer to `item/tool/call`. Never rejects. */
export type ServedRun = (call: ServedCall, signal: AbortSignal) => Promise<JsonValue>;

/** The tools of one session, while codex may call them. */
export interface ServedTools {
  /** The setting that leads codex to them. */
  readonly settings: JsonObject;
  /** Says who runs the calls; until then they are answered as failed. */
  bind(run: ServedRun): void;
  /** Nobody may call any more. Settles when the server is gone, if this was the last. Idempotent. */
  end(): Promise<void>;
}

/** Larger than what any model writes. */
const MAX_BODY_BYTES = 16 << 20;
/** Turns have their own limit; codex's for a call would be 60 s or 120 s. */
const CALL_LIMIT_SECONDS = 7 * 24 * 3600;
const PATH = "/mcp";
/** Versions of MCP that say what is used here in the same way. */
const PROTOCOLS: readonly string[] = ["2025-06-18", "2025-03-26", "2024-11-05"];

interface Service {
  readonly token: string;
  readonly tools: readonly ToolSpec[];
  run: ServedRun | null;
  /** The calls that run, by the client that made them and its id for them. */
  readonly calls: Map<string, AbortController>;
}

/** The one server of each connection. */
const servers: WeakMap<RuntimeCore, ToolServer> = new WeakMap();

/** Serves tools to the codex of this connection. Rejects when no port can be listened on. */
export async function serveTools(
  core: RuntimeCore,
  tools: readonly ToolSpec[],
): Promise<ServedTools> {
  let server = servers.get(core);
  if (server === undefined) servers.set(core, server = new ToolServer());
  return await server.add(tools);
}

/** Settles when the connection's server is gone, if there is one. */
export async function toolServerGone(core: RuntimeCore): Promise<void> {
  await servers.get(core)?.close();
}

/** One loopback port for the sessions of a connection; open while there is one. */
export class ToolServer {
  readonly #services: Set<Service> = new Set();
  #server: Promise<HttpServer> | null = null;
  #closing: Promise<void> = Promise.resolve();

  /** Serves more tools, under a token of their own. */
  async add(tools: readonly ToolSpec[]): Promise<ServedTools> {
    const service: Service = { token: newToken(), tools, run: null, calls: new Map() };
    this.#services.add(service);
    try {
      this.#server ??= serveLoopback((request, reply) => this.#serve(request, reply), {
        refuse: (head, port) => this.#refusal(head, port),
        maxBodyBytes: MAX_BODY_BYTES,
        unref: true,
      });
      const { port } = await this.#server;
      return {
        settings: {
          url: `http://127.0.0.1:${port}${PATH}`,
          http_headers: { Authorization: `Bearer ${service.token}` },
          // The first turn must have them, or the session does not open.
          required: true,
          startup_timeout_sec: 60,
          tool_timeout_sec: CALL_LIMIT_SECONDS,
        },
        bind: (run) => {
          service.run = run;
        },
        end: () => this.#end(service),
      };
    } catch (error) {
      this.#server = null;
      this.#services.delete(service);
      throw error;
    }
  }

  /** Ends them all. */
  async close(): Promise<void> {
    await Promise.all([...this.#services].map((service) => this.#end(service)));
    await this.#closing;
  }

  #end(service: Service): Promise<void> {
    if (!this.#services.delete(service)) return this.#closing;
    for (const call of service.calls.values()) {
      call.abort(new DOMException("The session ended.", "AbortError"));
    }
    if (this.#services.size === 0 && this.#server !== null) {
      const server = this.#server;
      this.#server = null;
      this.#closing = Promise.all([
        this.#closing,
        server.then((it) => it.close(), () => {}),
      ]).then(() => {});
    }
    return this.#closing;
  }

  /**
   * Why a request goes no further, before a byte of its body is read. Pages of a browser can reach loopback ports, by names
   * of theirs too, but can't choose the host that they name, nor hide their origin; other programs have no token.
   */
  #refusal({ method, path, headers }: HttpHead, port: number): number | null {
    if (headers["host"] !== `127.0.0.1:${port}` || headers["origin"] !== undefined) return 403;
    if (this.#serviceOf(headers) === null) return 401;
    if (path !== PATH) return 404;
    if (method !== "POST") return 405;
    return /^application\/json\s*(?:;|$)/i.test(headers["content-type"] ?? "") ? null : 415;
  }

  #serviceOf(headers: HttpHead["headers"]): Service | null {
    const [scheme = "", given = ""] = (headers["authorization"] ?? "").split(" ");
    if (scheme.toLowerCase() !== "bearer") return null;
    let found: Service | null = null;
    for (const service of this.#services) if (isSame(service.token, given)) found = service;
    return found;
  }

  async #serve(request: HttpRequest, reply: HttpReply): Promise<void> {
    const answer = (status: number, body?: JsonValue, headers: Record<string, string> = {}) => {
      // Without it an idle connection would keep the script from ending.
      const close = { connection: "close", ...headers };
      if (body === undefined) return reply.send(status, close, "");
      reply.send(status, { "content-type": "application/json", ...close }, JSON.stringify(body));
    };
    // The session may have ended while the body came.
    const service = this.#serviceOf(request.headers);
    if (service === null) return answer(401);
    const message = parse(request.body);
    if (message === null) return answer(400, failure(null, -32700, "This is no JSON-RPC message."));
    const { id, method } = message;
    if (typeof method !== "string") return answer(202);
    const client = request.headers["mcp-session-id"] ?? "";
    if (typeof id !== "string" && typeof id !== "number") {
      if (method === "notifications/cancelled") cancel(service, client, message["params"]);
      return answer(202);
    }
    const params = objectOf(message, "params") ?? {};
    switch (method) {
      case "initialize":
        return answer(200, success(id, greeting(params)), { "mcp-session-id": newToken() });
      case "ping":
        return answer(200, success(id, {}));
      case "tools/list":
        return answer(200, success(id, { tools: service.tools.map(listed) }));
      case "tools/call":
        return answer(
          200,
          await this.#call(service, JSON.stringify([client, id]), id, params, request),
        );
      default:
        return answer(200, failure(id, -32601, `There is no method ${method.slice(0, 80)} here.`));
    }
  }

  async #call(
    service: Service,
    key: string,
    id: string | number,
    params: JsonObject,
    { gone }: HttpRequest,
  ): Promise<JsonObject> {
    const { name, arguments: args = {} } = params;
    if (typeof name !== "string") return failure(id, -32602, "The tool has no name.");
    if (service.run === null) return success(id, told("The session is not open yet.", true));
    const stop = new AbortController();
    service.calls.set(key, stop);
    try {
      const call = { tool: name, arguments: args, ...placeOf(params["_meta"]) };
      return success(id, resultOf(await service.run(call, AbortSignal.any([stop.signal, gone]))));
    } finally {
      if (service.calls.get(key) === stop) service.calls.delete(key);
    }
  }
}

/** Ends a call that nobody waits for any more. */
function cancel(service: Service, client: string, params: JsonValue | undefined): void {
  const id = memberOf(params, "requestId");
  const call = service.calls.get(JSON.stringify([client, id]));
  call?.abort(new DOMException("The call was cancelled.", "AbortError"));
}

function parse(body: string): JsonObject | null {
  const message = parseObject(body);
  return message?.["jsonrpc"] === "2.0" ? message : null;
}

function success(id: string | number, result: JsonObject): JsonObject {
  return { jsonrpc: "2.0", id, result };
}

function failure(id: string | number | null, code: number, message: string): JsonObject {
  return { jsonrpc: "2.0", id, error: { code, message } };
}

function greeting(params: JsonObject): JsonObject {
  const asked = params["protocolVersion"];
  return {
    protocolVersion: PROTOCOLS.find((version) => version === asked) ?? PROTOCOLS[0]!,
    capabilities: { tools: {} },
    serverInfo: { name: "codex-runtime", version: LIBRARY_VERSION },
  };
}

/**
 * A tool in MCP's words. Giving a session a tool is consent to its calls; whoever has a say in them is asked by this process,
 * as for tools that codex offers by itself. So codex is told that it has nothing to ask.
 */
function listed({ name, description, inputSchema }: ToolSpec): JsonObject {
  const annotations = { readOnlyHint: true, destructiveHint: false, openWorldHint: false };
  return { name, description, inputSchema, annotations };
}

/** Where a call comes from, as codex says in `_meta`. */
function placeOf(meta: JsonValue | undefined): Omit<ServedCall, "tool" | "arguments"> {
  const turn = "x-codex-turn-metadata";
  return {
    threadId: stringOf(meta, "threadId") || stringOf(meta, turn, "thread_id") || null,
    turnId: stringOf(meta, turn, "turn_id") || null,
    callId: stringOf(meta, "callId") || null,
  };
}

/**
 * Has a call of the thread `by` judged as `item/tool/call` is, and run; settles with the answer, at the latest when it is given
 * up.
 */
export function serveCall(
  host: { core: RuntimeCore; turns: ThreadTurns; toolsServer: string | null },
  call: ServedCall,
  signal: AbortSignal,
  by: string,
): Promise<JsonValue> {
  const { core, toolsServer } = host;
  const { threadId, active } = host.turns;
  const rpcId = `served-${crypto.randomUUID()}`;
  const params = {
    threadId: call.threadId ?? threadId,
    turnId: call.turnId ?? active?.turnId ?? "",
    callId: call.callId ?? rpcId,
    namespace: toolsServer,
    tool: call.tool,
    arguments: call.arguments,
  };
  return new Promise((resolve) => {
    const end = (result: JsonValue) => {
      signal.removeEventListener("abort", stop);
      resolve(result);
    };
    const fail = (text: string) =>
      end({ success: false, contentItems: [{ type: "inputText", text }] });
    const stop = () => {
      core.approvals.resolvedElsewhere(rpcId, null);
      fail("The call was given up.");
    };
    if (signal.aborted) return stop();
    signal.addEventListener("abort", stop, { once: true });
    core.approvals.handle({ rpcId, method: "item/tool/call", params, threadId: by }, {
      respond: end,
      reject: (_code, text) => fail(text),
    });
  });
}

/** The answer to `item/tool/call` as MCP has it. */
export function resultOf(response: JsonValue): JsonObject {
  const items = memberOf(response, "contentItems");
  if (!isJsonObject(response) || !Array.isArray(items)) {
    return told("The call was not answered.", true);
  }
  const content = items.filter(isJsonObject).map((item) => {
    const url = item["imageUrl"];
    if (item["type"] !== "inputImage" || typeof url !== "string") {
      // Codex can't read half of a surrogate pair.
      return { type: "text", text: String(item["text"] ?? "").toWellFormed() };
    }
    const [, mimeType, data] = /^data:([^;,]+);base64,(.*)$/s.exec(url) ?? [];
    return mimeType === undefined || data === undefined
      ? { type: "text", text: url.toWellFormed() }
      : { type: "image", mimeType, data };
  });
  // Codex 0.104 to 0.125 takes an answer without content for none.
  if (content.length === 0) content.push({ type: "text", text: "" });
  return { content, isError: response["success"] !== true };
}

function told(text: string, isError: boolean): JsonObject {
  return { content: [{ type: "text", text }], isError };
}

/** 256 bits that nobody can guess. */
function newToken(): string {
  return hexOf(crypto.getRandomValues(new Uint8Array(32)));
}

/** Takes the same time wherever two texts of one length differ. */
function isSame(a: string, b: string): boolean {
  if (a.length !== b.length) return false;
  let different = 0;
  for (let i = 0; i < a.length; i++) different |= a.charCodeAt(i) ^ b.charCodeAt(i);
  return different === 0;
}
