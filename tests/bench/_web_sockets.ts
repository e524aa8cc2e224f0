/**
 * Memory of idle event streams over real sockets: a server in a process of its own, and whoever connects in this one.
 *
 * `bridge` is a bridge; `bare` is the least that can be had: one stream that says hello and waits.
 */
import { fileURLToPath } from "node:url";
import process from "node:process";
import { Client } from "../../src/session/client/client.ts";
import { ScriptedModel } from "../../src/testing/mod.ts";
import { createBridge } from "../../src/web/mod.ts";
import { codexPath } from "../_codex.ts";
import { tempDir } from "../_temp.ts";

/** Bytes of a process. */
export interface Memory {
  rss: number;
  heap: number;
}

/** Bytes that each session and each client takes. */
export interface IdleCost {
  session: Memory;
  client: Memory;
}

const WARM = 100;

/** Starts a server, opens sessions, then streams, and asks for its memory in between. */
export async function idleCost(
  kind: "bridge" | "bare",
  sessions: number,
  clients: number,
): Promise<IdleCost> {
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "-A", "--no-check", "--v8-flags=--expose-gc"],
      ...[fileURLToPath(import.meta.url), kind],
    ],
    stdout: "piped",
  }).spawn();
  const told = child.stdout.getReader();
  const conns: Deno.Conn[] = [];
  try {
    const port = Number(new TextDecoder().decode((await told.read()).value));
    const at = `http://127.0.0.1:${port}`;
    const memory = async (): Promise<Memory> => await (await fetch(`${at}/memory`)).json();
    const ids: string[] = [];
    const addSessions = async (count: number) => {
      const asked = { method: "POST", headers: { "content-type": "application/json" }, body: "{}" };
      for (let i = 0; i < count; i++) {
        ids.push((await (await fetch(`${at}/codex/sessions`, asked)).json()).sessionId);
      }
    };
    const addClients = async (count: number) => {
      for (let i = 0; i < count; i++) {
        const conn = await Deno.connect({ hostname: "127.0.0.1", port });
        conns.push(conn);
        const path = `/codex/sessions/${ids[i % ids.length]}/events`;
        const head = `GET ${path} HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\n\r\n`;
        await conn.write(new TextEncoder().encode(head));
        await conn.read(new Uint8Array(4_096));
      }
    };
    // What is loaded and compiled once is no part of it.
    await addSessions(WARM);
    await addClients(WARM);
    const none = await memory();
    await addSessions(sessions);
    const some = await memory();
    await addClients(clients);
    const all = await memory();
    const each = (from: Memory, to: Memory, count: number): Memory => ({
      rss: Math.round((to.rss - from.rss) / count),
      heap: Math.round((to.heap - from.heap) / count),
    });
    return { session: each(none, some, sessions), client: each(some, all, clients) };
  } finally {
    for (const conn of conns) conn.close();
    child.kill("SIGKILL");
    await told.cancel();
    await child.status;
  }
}

async function memory(): Promise<Memory> {
  const { gc } = globalThis as unknown as { gc: (how: object) => void };
  for (let i = 0; i < 5; i++) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    gc({ type: "major", flavor: "last-resort" });
  }
  const { rss, heapUsed } = process.memoryUsage();
  return { rss, heap: heapUsed };
}

/** A bridge on the real codex, whose memory is its own. */
async function bridge(): Promise<(request: Request) => Promise<Response>> {
  const directory = await tempDir("bench-");
  const model = await ScriptedModel.start(() => "Hello");
  const config = model.clientConfig({ codexPath: await codexPath(), home: directory.path });
  const client = await Client.connect(config);
  return createBridge({
    client,
    authorize: () => "ann",
    cwd: directory.path,
    isolation: "trusting",
    maxSessionsPerTenant: 1e6,
    maxStreamsPerTenant: 1e6,
  }).fetch;
}

function bare(request: Request): Response {
  if (request.method === "POST") return Response.json({ sessionId: "none" });
  const stream = new ReadableStream<Uint8Array>({
    start: (controller) => controller.enqueue(new TextEncoder().encode("retry: 1000\n\n")),
  });
  return new Response(stream, { headers: { "content-type": "text/event-stream" } });
}

if (import.meta.main) {
  const answer = Deno.args[0] === "bare" ? bare : await bridge();
  const onListen = ({ port }: { port: number }) => console.log(port);
  Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen },
    async (request) =>
      request.url.endsWith("/memory") ? Response.json(await memory()) : await answer(request),
  );
}
