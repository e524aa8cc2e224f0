/**
 * Many people's browsers on one codex: {@linkcode createBridge} over HTTP, {@linkcode WebAdapter} without.
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
 *   store: new web.KvSessionStore(await Deno.openKv()),
 * });
 * const server = Deno.serve(bridge.fetch); // Bun.serve({ fetch: bridge.fetch }), Hono: bridge.fetch(c.req.raw)
 * // …
 * await bridge.close();
 * await server.shutdown();
 * await client.shutdown();
 * ```
 *
 * Routes, below `basePath` (default `/codex`); requests and answers are JSON:
 *
 * | route | request | answer |
 * | ----- | ------- | ------ |
 * | `GET /health` | no tenant needed | `{ status, connection }`; 503 when codex is gone |
 * | `GET /settings` | | {@linkcode WebSettings} |
 * | `GET /sessions` | | `{ sessions: WebSession[] }` |
 * | `POST /sessions` | {@linkcode CreateSessionRequest} | 201 {@linkcode WebSession} |
 * | `GET /sessions/{id}` | | {@linkcode WebSnapshot} |
 * | `POST /sessions/{id}/resume` | | {@linkcode WebSession} |
 * | `DELETE /sessions/{id}`, `POST /sessions/{id}/close` | | {@linkcode ClosedWebSession} |
 * | `POST /sessions/{id}/turns` | {@linkcode CreateTurnRequest} | 202 {@linkcode WebTurnRef} |
 * | `POST /sessions/{id}/turns/{turnId}/steer` | {@linkcode SteerRequest} | 202 {@linkcode WebTurnRef} |
 * | `POST /sessions/{id}/turns/{turnId}/interrupt` | | 202 {@linkcode WebTurnRef}, when it has stopped |
 * | `GET /sessions/{id}/events` | `Last-Event-ID`, or `?after=` | server-sent events: {@linkcode WebSessionEvent} |
 * | `GET /sessions/{id}/approvals` | | `{ approvals: WebApproval[] }` |
 * | `POST /sessions/{id}/approvals/{approvalId}` | an answer: `{ decision }` or the question's own | `{ approvalId }` |
 *
 * Failures are `{ code, message }`: 400 what may not be asked for, 401 no tenant, 403 a foreign origin or a POST that is
 * neither `application/json` nor marked by `x-requested-with`, 404 not there or another tenant's, 409 does not fit the
 * moment, 413 too large, 429 too many, 5xx codex or this server.
 *
 * To show a session: read its snapshot, then follow the events after its `cursor`; every event has an `id:` to come back
 * with. A `lagged` event says that the cursor is gone, such as after a restart: read the snapshot again. An idle stream
 * has a heartbeat every 5 s.
 *
 * A tenant can't reach beyond the bridge's `profile`, `models`, `efforts` and `cwd`: unknown fields are refused. Questions
 * wait for people until the client's `approvalTimeoutMs` (default 30 s) is over, and are declined then. What would lead out
 * of the tenant's directory is declined at once; with `isolation: "trusting"` an accepted command may run outside the
 * sandbox.
 * @module
 */
export { type SubscribeOptions, WebAdapter } from "./adapter.ts";
export { type Bridge, createBridge } from "./bridge.ts";
export type { WebClient, WebThread, WebTurnStream } from "./client.ts";
export { KvSessionStore, type KvSessionStoreOptions } from "./store/kv_session_store.ts";
export type { BridgeOptions, WebAdapterOptions } from "./options.ts";
export {
  MemorySessionStore,
  type SessionStore,
  type StoredSession,
} from "./store/session_store.ts";
export { EventSubscription } from "./live/subscription.ts";
export type * from "./types.ts";
