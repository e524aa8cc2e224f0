/**
 * The HTTP bridge: one function from a request to an answer.
 * @module
 */
import { WebError } from "../errors/mod.ts";
import { badRequest, notFound } from "./http/refusals.ts";
import {
  type AccessFacts,
  type AccessRules,
  checkAccess,
  corsHeaders,
  preflightHeaders,
} from "./http/access.ts";
import { WebAdapter } from "./adapter.ts";
import { readJson } from "./http/body.ts";
import { errorResponse, httpFailure } from "./http/http_error.ts";
import type { BridgeOptions } from "./options.ts";
import { matchRoute, normalizeBasePath, type Route } from "./http/routes.ts";
import { eventStream } from "./http/sse.ts";
import type { CreateSessionRequest, CreateTurnRequest, SteerRequest } from "./types.ts";

/** A bridge that can be mounted in any server of fetch handlers. */
export interface Bridge extends AsyncDisposable {
  /** Answers a request. Never rejects. Needs no `this`. */
  readonly fetch: (request: Request) => Promise<Response>;
  /** What the bridge stands on. */
  readonly adapter: WebAdapter;
  /** Ends every stream, stops every turn and lets go of every session; they can be taken up again. Idempotent. */
  close(): Promise<void>;
}

const MAX_BODY_BYTES = 1024 * 1024;
const HEARTBEAT_MS = 5_000;
const RETRY_MS = 1_000;

const COMMON_HEADERS = {
  "cache-control": "no-store",
  "x-content-type-options": "nosniff",
  "vary": "Origin",
};

/**
 * Creates a bridge: many people's browsers on one codex. Throws `WebError` when `authorize` is missing.
 *
 * ```ts ignore
 * import { Client, web } from "@codex/runtime";
 *
 * const client = await Client.connect({ approvalTimeoutMs: 300_000 });
 * const bridge = web.createBridge({
 *   client,
 *   authorize: (request) => tenantOfCookie(request.headers.get("cookie")),
 *   cwd: (tenant) => `/srv/workspaces/${tenant}`,
 *   profile: { approvalPolicy: "untrusted" },
 * });
 * Deno.serve(bridge.fetch); // or Bun.serve({ fetch: bridge.fetch }), or app.all("/codex/*", (c) => bridge.fetch(c.req.raw))
 * ```
 */
export function createBridge(options: BridgeOptions): Bridge {
  if (typeof options.authorize !== "function") {
    throw new WebError(500, "noAuthorize", "createBridge needs authorize: who may use the bridge?");
  }
  const adapter = new WebAdapter(options);
  const handler = new Handler(adapter, options);
  const close = () => adapter.close();
  return {
    fetch: (request) => handler.handle(request),
    adapter,
    close,
    [Symbol.asyncDispose]: close,
  };
}

class Handler {
  readonly #adapter: WebAdapter;
  readonly #options: BridgeOptions;
  readonly #rules: AccessRules;
  readonly #basePath: string;

  constructor(adapter: WebAdapter, options: BridgeOptions) {
    this.#adapter = adapter;
    this.#options = options;
    this.#rules = { origins: options.origins ?? [], hosts: options.hosts ?? [] };
    this.#basePath = normalizeBasePath(options.basePath ?? "/codex");
  }

  async handle(request: Request): Promise<Response> {
    const facts: AccessFacts = {
      method: request.method,
      url: new URL(request.url),
      headers: request.headers,
    };
    const headers = { ...COMMON_HEADERS, ...corsHeaders(facts, this.#rules) };
    try {
      const response = await this.#answer(request, facts);
      for (const [name, value] of Object.entries(headers)) response.headers.set(name, value);
      return response;
    } catch (error) {
      const failure = httpFailure(error);
      if (failure.status >= 500) this.#report(error);
      return errorResponse(failure, headers);
    }
  }

  async #answer(request: Request, facts: AccessFacts): Promise<Response> {
    const { method, url, headers } = facts;
    const route = matchRoute(method, url.pathname, this.#basePath);
    checkAccess(facts, this.#rules);
    if (method === "OPTIONS" && route.name === "otherMethod") {
      return new Response(null, { status: 204, headers: preflightHeaders(headers) });
    }
    if (route.name === "health") return this.#health();
    const tenant = await this.#authorize(request);
    if (route.name === "none") throw notFound("route");
    if (route.name === "otherMethod") {
      const failure = { status: 405, code: "methodNotAllowed", message: "Use another method." };
      return errorResponse(failure, { allow: route.allow.join(", ") });
    }
    return await this.#route(tenant, route, request, url);
  }

  async #route(tenant: string, route: Route, request: Request, url: URL): Promise<Response> {
    const adapter = this.#adapter;
    const body = () => readJson(request, this.#options.maxBodyBytes ?? MAX_BODY_BYTES);
    switch (route.name) {
      case "health":
        return this.#health();
      case "settings":
        return Response.json(adapter.settings);
      case "listSessions":
        return Response.json({ sessions: await adapter.sessions(tenant) });
      case "createSession": {
        const session = await adapter.createSession(tenant, await body() as CreateSessionRequest);
        return Response.json(session, { status: 201 });
      }
      case "readSession":
        return Response.json(await adapter.readSession(tenant, route.sessionId));
      case "closeSession":
        return Response.json(await adapter.closeSession(tenant, route.sessionId));
      case "resumeSession":
        return Response.json(await adapter.resumeSession(tenant, route.sessionId));
      case "createTurn": {
        const turn = await body() as CreateTurnRequest;
        return accepted(await adapter.createTurn(tenant, route.sessionId, turn));
      }
      case "steer": {
        const input = await body() as SteerRequest;
        return accepted(await adapter.steerTurn(tenant, route.sessionId, route.turnId, input));
      }
      case "interrupt":
        return accepted(await adapter.interruptTurn(tenant, route.sessionId, route.turnId));
      case "events":
        return await this.#events(tenant, route.sessionId, request, url);
      case "listApprovals":
        return Response.json({ approvals: await adapter.approvals(tenant, route.sessionId) });
      case "answer":
        await adapter.postApproval(tenant, route.sessionId, route.approvalId, await body());
        return Response.json({ approvalId: route.approvalId });
    }
  }

  async #events(
    tenant: string,
    sessionId: string,
    request: Request,
    url: URL,
  ): Promise<Response> {
    // A browser that reconnects repeats the address and adds the header, which is newer.
    const after = request.headers.get("last-event-id") || url.searchParams.get("after");
    if (after !== null && after.length > 100) throw badRequest("The cursor is too long.");
    const subscription = await this.#adapter.openEvents(tenant, sessionId, after);
    const { heartbeatMs = HEARTBEAT_MS, retryMs = RETRY_MS } = this.#options;
    return new Response(eventStream(subscription, { heartbeatMs, retryMs }), {
      headers: {
        "content-type": "text/event-stream; charset=utf-8",
        // Proxies that collect answers would hold the events back.
        "x-accel-buffering": "no",
      },
    });
  }

  async #authorize(request: Request): Promise<string> {
    const tenant: unknown = await this.#options.authorize(request);
    if (typeof tenant === "string" && tenant !== "") return tenant;
    throw new WebError(401, "unauthorized", "Sign in first.");
  }

  #health(): Response {
    const connection = this.#options.client.runtime?.connection ?? "running";
    const ok = connection !== "closed";
    return Response.json({ status: ok ? "ok" : "unavailable", connection }, {
      status: ok ? 200 : 503,
    });
  }

  #report(error: unknown): void {
    try {
      this.#options.onError?.(error);
    } catch {
      // A listener that throws must not cost the caller the answer.
    }
  }
}

function accepted(body: unknown): Response {
  return Response.json(body, { status: 202 });
}
