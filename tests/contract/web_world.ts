/** A bridge on a client on the fake server, and browsers that call it. */
import process from "node:process";
import type { ClientConfig } from "../../src/runtime/config.ts";
import { Client } from "../../src/session/client/client.ts";
import { type Bridge, createBridge } from "../../src/web/mod.ts";
import type { BridgeOptions } from "../../src/web/options.ts";
import { FakeServer, type FakeServerOptions, fakeTransport } from "../_fake_server.ts";
import { SseClient } from "./web_sse_client.ts";

/** Where the bridge lives. */
export const ORIGIN = "http://localhost";

/** What a call got. */
export interface Answer {
  status: number;
  // deno-lint-ignore no-explicit-any
  body: any;
  headers: Headers;
}

/** What may vary. */
export interface WorldOptions {
  server?: FakeServerOptions;
  client?: ClientConfig;
  bridge?: Partial<BridgeOptions>;
}

/** Everything a test touches. */
export class World {
  readonly client: Client;
  readonly servers: FakeServer[];
  readonly #options: Partial<BridgeOptions>;
  bridge: Bridge;

  constructor(client: Client, servers: FakeServer[], options: Partial<BridgeOptions>) {
    this.client = client;
    this.servers = servers;
    this.#options = options;
    this.bridge = this.#mount();
  }

  get server(): FakeServer {
    return this.servers.at(-1)!;
  }

  /** Another bridge on the same client. */
  remount(): void {
    this.bridge = this.#mount();
  }

  /** Calls the bridge as a tenant; `""` is nobody. */
  async call(tenant: string, route: string, body?: unknown): Promise<Answer> {
    const response = await this.raw(tenant, route, body);
    const text = await response.text();
    return {
      status: response.status,
      body: text === "" ? null : JSON.parse(text),
      headers: response.headers,
    };
  }

  /** Calls the bridge and leaves the answer's body to the caller. `route` is a method and a path. */
  raw(
    tenant: string,
    route: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<Response> {
    const [method, path] = route.split(" ") as [string, string];
    return this.bridge.fetch(
      new Request(`${ORIGIN}/codex${path}`, {
        method,
        headers: {
          ...(method === "POST" ? { "content-type": "application/json" } : {}),
          ...(tenant === "" ? {} : { "x-tenant": tenant }),
          ...headers,
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      }),
    );
  }

  /** Follows a session's events. */
  async follow(tenant: string, sessionId: string, lastId = ""): Promise<SseClient> {
    const headers: Record<string, string> = lastId === "" ? {} : { "last-event-id": lastId };
    const route = `GET /sessions/${sessionId}/events`;
    const response = await this.raw(tenant, route, undefined, headers);
    if (response.status !== 200) throw new Error(`${response.status} ${await response.text()}`);
    return new SseClient(response, lastId);
  }

  /** A fresh session's id. */
  async session(tenant: string): Promise<string> {
    const { status, body } = await this.call(tenant, "POST /sessions", {});
    if (status !== 201) throw new Error(`${status} ${body.code}`);
    return body.sessionId;
  }

  #mount(): Bridge {
    return createBridge({
      client: this.client,
      authorize: (request) => request.headers.get("x-tenant"),
      cwd: process.cwd(),
      onError: () => {},
      isolation: "trusting",
      ...this.#options,
    });
  }
}

/** Sets up a world, lets the test act, and takes everything down. */
export async function inWorld(
  options: WorldOptions,
  act: (world: World) => Promise<void>,
): Promise<void> {
  const servers: FakeServer[] = [];
  const client = await Client.connect({
    transport: {
      type: "custom",
      open: fakeTransport((end) => servers.push(new FakeServer(end, options.server))),
    },
    ...options.client,
  });
  const world = new World(client, servers, options.bridge ?? {});
  try {
    await act(world);
  } finally {
    await world.bridge.close();
    await client.shutdown();
  }
}
