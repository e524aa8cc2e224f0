/**
 * The HTTP bridge's inside: routes, and who may take them.
 * @module
 */
import { roundNow } from "../../async.ts";
import { checkArgument, text } from "../../check/mod.ts";
import { WebError } from "../../errors/mod.ts";
import { keepNewest } from "../../json.ts";
import { runtimeName } from "../../platform/mod.ts";
import type { WebAdapter } from "../adapter.ts";
import { ChatRoutes } from "../chat/chat_routes.ts";
import { chatIdIn, sessionOfChat } from "../chat/check_chat.ts";
import { forward, FORWARD_HEADER, Forwarder, unreachable } from "../cluster/forward.ts";
import { LEASE_MS } from "../cluster/node.ts";
import { quietly } from "../../telemetry.ts";
import type { EventSubscription } from "../live/subscription.ts";
import type { BridgeOptions } from "../options.ts";
import type { CreateSessionRequest, CreateTurnRequest, SteerRequest } from "../types.ts";
import { type BodyLimits, readBytes, readJson, threadIdIn, withBody } from "./check_request.ts";
import {
  badRequest,
  changedElsewhere,
  errorResponse,
  httpFailure,
  notFound,
  sessionIdOf,
} from "./refusals.ts";
import {
  type AccessFacts,
  type AccessRules,
  checkAccess,
  corsHeaders,
  matchRoute,
  normalizeBasePath,
  preflightHeaders,
  type Route,
  type RouteMiss,
} from "./routes.ts";
import { eventStream, isEventStream, type Recheck, streamHeaders, whileAllowed } from "./sse.ts";

const MAX_BODY_BYTES = 1024 * 1024;
const BODY_MS = 30_000;
const HEARTBEAT_MS = 5_000;
const RETRY_MS = 1_000;
const REAUTHORIZE_MS = 60_000;
/** Answers that are kept for requests that come twice; most come again at once. */
const MAX_ANSWERS = 1_024;
/** Pages whose streams are known; those of others end when the system gives them up. */
const MAX_READERS = 8_192;
/** Longer than somebody else's login service should take to say yes. */
const AUTHORIZE_PATIENCE_MS = 30_000;

const COMMON_HEADERS = {
  "cache-control": "no-store",
  "x-content-type-options": "nosniff",
  "vary": "Origin",
};

/** Answers the requests of one bridge. */
export class Handler {
  readonly #adapter: WebAdapter;
  readonly #options: BridgeOptions;
  readonly #rules: AccessRules;
  readonly #basePath: string;
  readonly #forwarder: Forwarder | null;
  /** Nodes that can't be reached from here, and until when that is believed: whoever comes is told so at once. */
  readonly #silent: Map<string, number> = new Map();
  /** Streams of other nodes' sessions on their way through this one. */
  readonly #passing: Set<AbortController> = new Set();
  readonly #chat: ChatRoutes;
  /** Where each page that names itself by `?reader=` reads. */
  readonly #readers: Map<string, WeakRef<EventSubscription>> = new Map();
  /** What was asked with `?once=`, by who asked what under which name. */
  readonly #answers: Map<string, Promise<Response>> = new Map();

  constructor(adapter: WebAdapter, options: BridgeOptions) {
    this.#adapter = adapter;
    this.#options = options;
    this.#rules = { origins: options.origins ?? [], hosts: options.hosts ?? [] };
    const { cluster } = options;
    this.#forwarder = cluster === undefined ? null : new Forwarder(cluster.secret, cluster.url);
    this.#basePath = normalizeBasePath(options.basePath ?? "/codex");
    this.#chat = new ChatRoutes(adapter, options.heartbeatMs ?? HEARTBEAT_MS);
  }

  /** Never rejects. */
  async handle(request: Request): Promise<Response> {
    const headers: Record<string, string> = { ...COMMON_HEADERS };
    try {
      const facts = factsOf(request);
      Object.assign(headers, corsHeaders(facts, this.#rules));
      const response = await this.#answer(request, facts);
      // What compresses answers on their way, such as Express's `compression`, would hold events back.
      if (isEventStream(response)) headers["cache-control"] += ", no-transform";
      for (const [name, value] of Object.entries(headers)) response.headers.set(name, value);
      if (request.method !== "HEAD") return response;
      await response.body?.cancel();
      return new Response(null, { status: response.status, headers: response.headers });
    } catch (error) {
      const failure = httpFailure(error);
      if (failure.status >= 500 && !isExpected(error)) this.#report(error);
      const response = errorResponse(failure, headers);
      return request.method === "HEAD" ? new Response(null, response) : response;
    }
  }

  /** Ends the streams that come from other nodes: a server that is about to end waits for what it still tells. */
  endPassed(): void {
    for (const gone of this.#passing) gone.abort();
  }

  async #answer(request: Request, facts: AccessFacts): Promise<Response> {
    const { method, url, headers } = facts;
    const route = matchRoute(method, url.pathname, this.#basePath);
    // Who balances the load asks by address, and is told no more than whether to send people here.
    if (route.name === "health") return this.#health();
    const forwarded = headers.get(FORWARD_HEADER);
    if (forwarded !== null && this.#forwarder !== null) {
      return await this.#fromNode(forwarded, route, request, facts);
    }
    checkAccess(facts, this.#rules);
    if (method === "OPTIONS" && route.name === "otherMethod") {
      return new Response(null, { status: 204, headers: preflightHeaders(headers) });
    }
    const tenant = await this.#authorize(request);
    if (route.name === "none") throw notFound("route");
    if (route.name === "otherMethod") {
      const failure = { status: 405, code: "methodNotAllowed", message: "Use another method." };
      return errorResponse(failure, { allow: route.allow.join(", ") });
    }
    const again = this.#reauthorizer(request, tenant);
    if (this.#forwarder === null) return await this.#once({ tenant, route, request, url, again });
    const body = await readBytes(request, this.#limits);
    const sessionId = await this.#sessionOf(tenant, route, body);
    const owner = sessionId === null ? null : await this.#adapter.locate(tenant, sessionId);
    const call = { tenant, route, request: withBody(request, body), url, again };
    if (owner === null) return await this.#once(call);
    return await this.#toNode(owner, { ...call, sessionId: sessionId!, body });
  }

  /** A request that another node passed on: it knows whose it is. */
  async #fromNode(
    header: string,
    route: Route | RouteMiss,
    request: Request,
    { method, url }: AccessFacts,
  ): Promise<Response> {
    if (route.name === "none" || route.name === "otherMethod") throw notFound("route");
    const target = url.pathname + url.search;
    const { tenant, body } = await this.#forwarder!.verify(
      header,
      { method, target },
      () => readBytes(request, this.#limits),
    );
    const sessionId = await this.#sessionOf(tenant, route, body);
    // One hop: an owner that is none any more does not pass it on again.
    if (sessionId !== null && await this.#adapter.locate(tenant, sessionId) !== null) {
      throw changedElsewhere();
    }
    const allowed = () => Promise.resolve(true);
    const again = { everyMs: Infinity, patienceMs: 0, allowed, signal: signalOf(request) };
    return await this.#once({ tenant, route, request: withBody(request, body), url, again });
  }

  async #toNode(
    owner: string,
    { tenant, route, request, url, again, sessionId, body }: Call & {
      sessionId: string;
      body: Uint8Array;
    },
  ): Promise<Response> {
    const { heartbeatMs = HEARTBEAT_MS, cluster } = this.#options;
    const leaseMs = cluster?.leaseMs ?? LEASE_MS;
    for (const [node, until] of this.#silent) if (until < roundNow()) this.#silent.delete(node);
    if (this.#silent.has(owner)) throw unreachable();
    const passed = {
      method: request.method,
      target: url.pathname + url.search,
      tenant,
      body,
    };
    const gone = new AbortController();
    // Who follows a session's events comes back and loses nothing.
    const breaks = route.name !== "events";
    let ended = false;
    const response = await forward(
      owner,
      passed,
      request.headers,
      await this.#forwarder!.sign(passed, owner),
      {
        patienceMs: leaseMs / 2,
        silenceMs: Math.max(leaseMs, 2 * heartbeatMs),
        stillThere: async () => await this.#adapter.locate(tenant, sessionId) === owner,
        health: `${this.#basePath}/health`,
        onSilent: () => this.#silent.set(owner, roundNow() + leaseMs),
        gone,
        breaks,
        onEnd: () => {
          ended = true;
          this.#passing.delete(gone);
        },
      },
    );
    if (response.body === null || !isEventStream(response)) return response;
    if (!ended) this.#passing.add(gone);
    // It may have begun to end meanwhile.
    if (this.#adapter.state !== "open") gone.abort();
    return new Response(whileAllowed(response.body, again, breaks), response);
  }

  /** The session that a request is about; `null` when it is about none. */
  async #sessionOf(tenant: string, route: Route, body: Uint8Array): Promise<string | null> {
    if ("sessionId" in route) return route.sessionId;
    const chatId = "chatId" in route
      ? route.chatId
      : route.name === "chat" || route.name === "run"
      ? chatIdIn(route.name, body)
      : null;
    if (chatId !== null) {
      const sessionId = await sessionOfChat(tenant, chatId);
      // One that is about to begin is begun where it was asked for.
      return await this.#adapter.hasSession(tenant, sessionId) ? sessionId : null;
    }
    if (route.name !== "createSession" || body.length === 0) return null;
    const threadId = threadIdIn(body);
    return threadId === null ? null : await this.#adapter.sessionOfThread(tenant, threadId);
  }

  /** Asks `authorize` again, with what it was shown. */
  #reauthorizer(request: Request, tenant: string): Recheck {
    // A server may take back what belongs to the request once it is answered.
    const { url, method } = request;
    const headers = new Headers(request.headers);
    return {
      everyMs: this.#options.reauthorizeMs ?? REAUTHORIZE_MS,
      patienceMs: AUTHORIZE_PATIENCE_MS,
      signal: signalOf(request),
      allowed: async () => {
        const copy = new Request(url, { method: method === "HEAD" ? "HEAD" : "GET", headers });
        return await this.#options.authorize(copy) === tenant;
      },
    };
  }

  /** Does once what comes twice: browsers, and Deno, send a request again whose connection broke before its answer came. */
  async #once(call: Call): Promise<Response> {
    const { tenant, route, request: { method }, url } = call;
    const once = onceOf(url);
    const tells = route.name === "chat" || route.name === "run";
    if (once === null || method === "GET" || tells) return await this.#route(call);
    const place = JSON.stringify([tenant, method, url.pathname, once]);
    let answer = this.#answers.get(place);
    if (answer === undefined) {
      answer = this.#route(call);
      this.#answers.set(place, answer);
      keepNewest(this.#answers, MAX_ANSWERS);
      // What was refused may be tried again.
      answer.catch(() => this.#answers.delete(place));
    }
    return (await answer).clone();
  }

  async #route({ tenant, route, request, url, again }: Call): Promise<Response> {
    const adapter = this.#adapter;
    const body = () => readJson(request, this.#limits);
    switch (route.name) {
      case "health":
        return this.#health();
      case "settings":
        return Response.json(adapter.settings);
      case "listSessions":
        return Response.json({ sessions: await adapter.sessions(tenant) });
      case "createSession": {
        const once = onceOf(url);
        const asked = await body() as CreateSessionRequest;
        // It may come again at another node.
        const id = once === null
          ? undefined
          : await sessionIdOf(JSON.stringify(["once", tenant, once]));
        return Response.json(await adapter.createSession(tenant, asked, id), { status: 201 });
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
        return await this.#events(tenant, route.sessionId, request, url, again);
      case "chat":
      case "run":
      case "chatMessages":
      case "chatStream":
      case "chatStop":
      case "chatAnswer":
        return await this.#chat.answer(tenant, route, body, again);
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
    again: Recheck,
  ): Promise<Response> {
    // A browser that reconnects repeats the address and adds the header, which is newer.
    const after = request.headers.get("last-event-id") || url.searchParams.get("after") || null;
    if (after !== null && after.length > 100) throw badRequest("The cursor is too long.");
    const reader = url.searchParams.get("reader");
    const place = reader === null ? null : JSON.stringify([tenant, sessionId, reader]);
    // A network that is gone tells nobody for minutes: what its page has left would count all the while.
    if (place !== null) this.#readers.get(place)?.deref()?.close();
    const subscription = await this.#adapter.openEvents(tenant, sessionId, after);
    if (place !== null && place.length < 1_000) {
      this.#readers.set(place, new WeakRef(subscription));
      keepNewest(this.#readers, MAX_READERS);
    }
    const { heartbeatMs = HEARTBEAT_MS, retryMs = RETRY_MS } = this.#options;
    const stream = eventStream(subscription, { heartbeatMs, retryMs, again });
    return new Response(stream, { headers: streamHeaders() });
  }

  async #authorize(request: Request): Promise<string> {
    const tenant: unknown = await this.#options.authorize(request);
    if (typeof tenant === "string" && tenant !== "") return tenant;
    checkArgument("createBridge", "authorize(request)", tenant || undefined, text);
    throw new WebError(401, "unauthorized", "Sign in first.");
  }

  get #limits(): BodyLimits {
    const { maxBodyBytes = MAX_BODY_BYTES, bodyTimeoutMs = BODY_MS } = this.#options;
    return { maxBytes: maxBodyBytes, timeoutMs: bodyTimeoutMs };
  }

  #health(): Response {
    const connection = this.#options.client.runtime?.connection ?? "running";
    const { state } = this.#adapter;
    const status = state !== "open" ? state : connection === "closed" ? "unavailable" : "ok";
    return Response.json({ status, connection }, { status: status === "ok" ? 200 : 503 });
  }

  #report(error: unknown): void {
    // A listener that throws, or rejects, must not cost the caller the answer, nor end the script.
    quietly(() => (this.#options.onError ?? console.error)(error));
  }
}

interface Call {
  tenant: string;
  route: Route;
  request: Request;
  url: URL;
  again: Recheck;
}

/** What is known of a request. Throws `WebError` 400 for an address that is none, which some servers pass on. */
function factsOf(request: Request): AccessFacts {
  try {
    return { method: request.method, url: new URL(request.url), headers: request.headers };
  } catch (error) {
    throw new WebError(400, "badRequest", "The request's address or Host header is malformed.", {
      cause: error,
    });
  }
}

/** The name of a request that is done once, or `null`. */
function onceOf({ searchParams }: URL): string | null {
  const once = searchParams.get("once");
  if (once !== null && (once === "" || once.length > 100)) {
    throw badRequest("once must have 1 to 100 characters.");
  }
  return once;
}

/** What aborts when the reader leaves. Deno's server cancels every answer itself, and warns of who reads the signal. */
function signalOf(request: Request): AbortSignal | null {
  return runtimeName() === "deno" ? null : request.signal;
}

/** A bridge that is closing says so to everybody; that is no failure to report. */
function isExpected(error: unknown): boolean {
  return error instanceof WebError && ["closed", "draining", "sessionMoved"].includes(error.reason);
}

function accepted(body: unknown): Response {
  return Response.json(body, { status: 202 });
}
