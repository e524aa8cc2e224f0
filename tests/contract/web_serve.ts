/** A real HTTP server for a fetch handler, on Deno and on Bun. */
import { connect } from "node:net";

/** Where it listens, and how it ends. */
export interface Served {
  origin: string;
  close(): Promise<void>;
}

/** Serves a handler on a free loopback port. */
export function serve(handler: (request: Request) => Promise<Response> | Response): Served {
  // deno-lint-ignore no-explicit-any
  const host = globalThis as any;
  const at = { hostname: "127.0.0.1", port: 0 };
  if (host.Bun !== undefined) {
    const bun = host.Bun.serve({ ...at, fetch: handler });
    return { origin: `http://127.0.0.1:${bun.port}`, close: () => bun.stop(true) };
  }
  const deno = host.Deno.serve({ ...at, onListen: () => {} }, handler);
  return { origin: `http://127.0.0.1:${deno.addr.port}`, close: () => deno.shutdown() };
}

/** Sends these very bytes; gives all that comes until the server closes, or what fits `enough`. */
export function raw(port: number, text: string, enough?: RegExp): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1", () => socket.write(text));
    let answer = "";
    socket.setEncoding("utf8");
    socket.on("data", (chunk: string) => {
      answer += chunk;
      if (enough?.test(answer)) socket.destroy();
    });
    socket.on("close", () => resolve(answer));
    socket.on("error", reject);
  });
}
