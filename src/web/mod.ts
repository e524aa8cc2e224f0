/**
 * Many people's browsers on one codex: {@linkcode createBridge} over HTTP, {@linkcode WebAdapter} without; {@linkcode connect} is its client.
 *
 * @module
 */
import { callback, checkArgument, having, required, takeOptions, text } from "../check/mod.ts";
import { WebAdapter } from "./adapter.ts";
import type { Handler } from "./http/handler.ts";
import type { BridgeOptions, WebAdapterOptions } from "./options.ts";
import { BRIDGE_OPTIONS, WEB_ADAPTER_OPTIONS } from "./options_shape.ts";

export * from "./adapter.ts";
export type * from "./client.ts";
export * from "./connect.ts";
export type * from "./connect_types.ts";
export type * from "./options.ts";
export * from "./cluster/session_owners.ts";
export * from "./live/subscription.ts";
export * from "./store/session_store.ts";
export type * from "./types.ts";

/** A bridge that can be mounted in any server of fetch handlers. */
export interface Bridge extends AsyncDisposable {
  /** Answers a request. Never rejects, but for what is no `Request`. Needs no `this`. */
  readonly fetch: (request: Request) => Promise<Response>;
  /** What the bridge stands on. */
  readonly adapter: WebAdapter;
  /**
   * For the end of a server that others go on without: health says 503 `draining`, no new sessions and turns, the running
   * ones have `ms` milliseconds (default: the cluster's `drainMs`, 30,000) and are stopped then; streams end, and browsers
   * come back elsewhere. End codex after it, then {@linkcode Bridge.close}, which gives the sessions to the other nodes.
   */
  drain(ms?: number): Promise<void>;
  /** Ends every stream, stops every turn and releases every session; they can be resumed. Idempotent. */
  close(): Promise<void>;
}

/**
 * Creates a bridge: many people's browsers on one codex. Throws `InvalidArgumentError` when `authorize` or another option is
 * missing or can't be meant, and `PolicyError` when it can't keep the tenants apart.
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
  const given = takeOptions("createBridge", options, BRIDGE_OPTIONS);
  const adapter = new WebAdapter(optionsOf(given));
  let handler: Handler | undefined;
  /** Loaded with the first request. */
  let loading: Promise<Handler> | undefined;
  const load = () =>
    loading ??= import("./http/handler.ts").then(({ Handler }) =>
      handler = new Handler(adapter, given)
    );
  const close = () => {
    handler?.endPassed();
    return adapter.close();
  };
  return {
    fetch: async (request) => {
      checkArgument("bridge.fetch", "request", request, REQUEST);
      return await (handler ?? await load()).handle(request);
    },
    adapter,
    drain: (ms) => {
      const drained = adapter.drain(ms);
      handler?.endPassed();
      return drained;
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

const REQUEST = required(having("a Request", {
  method: required(text),
  url: required(text),
  headers: required(having("Headers", { get: required(callback) })),
}));

/** The adapter's part of the options. */
function optionsOf(options: BridgeOptions): WebAdapterOptions {
  return Object.fromEntries(
    Object.entries(options).filter(([name]) => Object.hasOwn(WEB_ADAPTER_OPTIONS.options, name)),
  ) as unknown as WebAdapterOptions;
}
