/** A real app server that listens for WebSockets, and a wire to it that can be cut. */
import { writeFile } from "node:fs/promises";
import { connect, createServer, type Socket } from "node:net";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import type { ScriptedModel } from "../../src/testing/mod.ts";
import { type CodexProcessOptions, codexTransport } from "../../src/launch/mod.ts";
import type { Transport } from "../../src/transport/transport.ts";
import { codexPath, type CodexVersion, NEWEST_CODEX } from "../_codex.ts";
import { makeUsed } from "../_used_home.ts";

/** The capability token that the server wants. */
export const TOKEN = "a-capability-token";

/** A listening server that uses the model. */
export interface ListeningServer {
  url: string;
  /** Ends it. */
  close(): Promise<void>;
}

/** Starts a real app server that listens on a free port. */
export async function startListening(
  options: Pick<CodexProcessOptions, "env" | "configOverrides">,
  args: string[] = [],
  program?: string,
): Promise<{ url: string; host: Transport }> {
  const url = Promise.withResolvers<string>();
  let text = "";
  const host = await codexTransport({
    codexPath: program ?? await codexPath(),
    ...options,
    args: ["app-server", "--listen", "ws://127.0.0.1:0", ...args],
    onStderr(piece) {
      text += piece;
      const found = /listening on: (ws:\/\/\S+)/.exec(text)?.[1];
      if (found !== undefined) url.resolve(found);
    },
  })({});
  host.start({
    bytes() {},
    text() {},
    closed: (info) => url.reject(new Error(`the server ended: ${info.stderrTail}`)),
  });
  return { url: await url.promise, host };
}

/** Starts a real app server that wants {@linkcode TOKEN}, or nothing when `open`; `dir` holds the token's file. */
export async function listen(
  model: ScriptedModel,
  dir: string,
  { open = false, version }: { open?: boolean; version?: CodexVersion } = {},
): Promise<ListeningServer> {
  const file = join(dir, "token");
  await writeFile(file, `${TOKEN}\n`);
  const { env, configOverrides } = model.clientConfig();
  const wanted = open ? [] : ["--ws-auth", "capability-token", "--ws-token-file", file];
  const program = await codexPath(version);
  await makeUsed(env.set["CODEX_HOME"]!, version ?? NEWEST_CODEX);
  const { url, host } = await startListening({ env, configOverrides }, wanted, program);
  return { url, close: async () => void await host.close({ graceMs: 300 }) };
}

/** A wire that can be cut. */
export interface Wire {
  url: string;
  /** Drops every connection, without a word. */
  cut(): void;
  /** From now on what the server says on open connections is lost, and what it is told is not. */
  mute(): void;
  /** From now on open connections carry nothing, and stay open: half-open, as after a lost route. */
  freeze(): void;
  /** Where new connections lead; `null` drops them at once. */
  target: string | null;
  /** Connections that led somewhere, so far. */
  readonly connections: number;
  close(): Promise<void>;
}

/** Passes connections on to the server. */
export async function wireTo(url: string): Promise<Wire> {
  let target: string | null = url;
  const open = new Set<Socket>();
  const servers = new Set<Socket>();
  let connections = 0;
  const server = createServer((near) => {
    if (target === null) return void near.destroy();
    connections++;
    const { hostname, port } = new URL(target);
    const far = connect(Number(port), hostname);
    servers.add(far);
    for (const [socket, other] of [[near, far], [far, near]] as const) {
      open.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => {
        open.delete(socket);
        other.destroy();
      });
      socket.pipe(other);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const cut = () => {
    for (const socket of open) socket.destroy();
  };
  return {
    url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}`,
    cut,
    mute() {
      for (const socket of servers) socket.unpipe().resume();
    },
    freeze() {
      for (const socket of open) socket.unpipe().pause();
    },
    get target() {
      return target;
    },
    set target(next) {
      target = next;
    },
    get connections() {
      return connections;
    },
    async close() {
      cut();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
