/**
 * A loopback HTTP server. Loaded only where one is wanted; its `node:` module is not imported, so that `mod.ts` loads
 * anywhere.
 *
 * `node:http` on Deno, Bun and Node alike: unlike `Deno.serve` it tells, without a warning on stderr, that a client
 * left before it was answered, and it can drop a connection in the middle of a body.
 * @module
 */
import { CodexError, PermissionDeniedError } from "../errors/mod.ts";
import { canConnect, sharedBuiltin } from "./runtime.ts";

/** One request, read to its end. */
export interface HttpRequest {
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  /** Header values by lower-case name. */
  readonly headers: Record<string, string>;
  readonly body: string;
  /** Aborts when the client goes away before the answer is complete. */
  readonly gone: AbortSignal;
}

/** How a request is answered: once, whole or as a stream. */
export interface HttpReply {
  send(status: number, headers: Record<string, string>, body: string): void;
  open(status: number, headers: Record<string, string>): HttpStream;
  /** Drops the connection without an answer. */
  drop(): void;
}

/** A body that is written piece by piece. */
export interface HttpStream {
  /** Resolves when the client took enough for more to be written, or is gone. */
  write(text: string): Promise<void>;
  /** Ends the body properly. */
  end(): void;
  /** Drops the connection in the middle of the body, after what was written has left. */
  cut(): Promise<void>;
}

/** A running server. */
export interface HttpServer {
  readonly port: number;
  /** Drops every connection and stops listening. */
  close(): Promise<void>;
}

type Handler = (request: HttpRequest, reply: HttpReply) => Promise<void>;

/** What is known of a request before its body is read. */
export type HttpHead = Pick<HttpRequest, "method" | "path" | "headers">;

/** How a server treats what comes. */
export interface HttpServerOptions {
  /** The status with which a request is sent away before its body is read, or `null`. Default: none is. */
  refuse?: (head: HttpHead, port: number) => number | null;
  /** The longest body in bytes; a longer one is answered with 413. Default: any. */
  maxBodyBytes?: number;
  /** Whether the script may end although the server listens. Default `false`. */
  unref?: boolean;
}

/** A moment for the operating system to take what was written. */
function linger(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 10));
}

/** Serves `handler` on a free port of 127.0.0.1. The handler must not reject. */
export async function serveLoopback(
  handler: Handler,
  options: HttpServerOptions = {},
): Promise<HttpServer> {
  const { refuse = () => null, maxBodyBytes = Infinity } = options;
  /** Responses that are being cut; their timers must not outlive the server. */
  const lingers: Set<Promise<void>> = new Set();
  // deno-lint-ignore no-explicit-any
  const [http, buffer] = [sharedBuiltin<any>("http"), sharedBuiltin<any>("buffer")];
  if (http === null || buffer === null) {
    throw new CodexError("unsupported", "A loopback server needs Deno, Bun or Node.");
  }
  // Deno throws where nobody can catch it.
  if (!canConnect("127.0.0.1:0")) {
    throw new PermissionDeniedError("A loopback server", ["--allow-net=127.0.0.1"]);
  }
  // deno-lint-ignore no-explicit-any
  const server = http.createServer((request: any, response: any) => {
    const head: HttpHead = {
      method: request.method,
      path: request.url,
      headers: Object.fromEntries(
        Object.entries(request.headers).map(([name, value]) => [
          name,
          Array.isArray(value) ? value.join(", ") : String(value),
        ]),
      ),
    };
    /** Sends a request away, with whatever is still to come of it. */
    const turnAway = (status: number) => {
      complete = true;
      response.writeHead(status, { connection: "close" });
      response.end(() => request.destroy());
    };
    let bytes = 0;
    const gone = new AbortController();
    const chunks: Uint8Array[] = [];
    let complete = false;
    response.on("close", () => {
      if (!complete) gone.abort();
    });
    // A client that goes away in the middle of its request is no error of the server.
    request.on("error", () => {});
    response.on("error", () => {});
    const refused = refuse(head, server.address()?.port);
    if (refused !== null) return turnAway(refused);
    request.on("data", (chunk: Uint8Array) => {
      if (complete) return;
      bytes += chunk.length;
      if (bytes <= maxBodyBytes) return void chunks.push(chunk);
      chunks.length = 0;
      turnAway(413);
    });
    request.on("end", () => {
      if (complete) return;
      const reply: HttpReply = {
        send(status, headers, text) {
          complete = true;
          response.writeHead(status, headers);
          response.end(text);
        },
        drop() {
          complete = true;
          response.destroy();
        },
        open(status, headers) {
          response.writeHead(status, headers);
          response.flushHeaders?.();
          return {
            async write(text) {
              if (complete || gone.signal.aborted || response.write(text)) return;
              await new Promise<void>((resolve) => {
                response.once("drain", resolve);
                gone.signal.addEventListener("abort", () => resolve(), { once: true });
              });
            },
            end() {
              complete = true;
              response.end();
            },
            async cut() {
              if (!complete && !gone.signal.aborted) {
                await new Promise<void>((resolve) => {
                  response.write(": the end\n\n", () => resolve());
                  gone.signal.addEventListener("abort", () => resolve(), { once: true });
                });
                // Bun calls back before the bytes are with the kernel.
                if (!gone.signal.aborted) {
                  const lingering = linger();
                  lingers.add(lingering);
                  await lingering;
                  lingers.delete(lingering);
                }
              }
              complete = true;
              response.destroy();
            },
          };
        },
      };
      void handler({
        ...head,
        body: buffer.Buffer.concat(chunks).toString("utf8"),
        gone: gone.signal,
      }, reply);
    });
  });
  // A timer for each idle connection would outlive the test that made it.
  server.keepAliveTimeout = 0;
  server.headersTimeout = 0;
  server.requestTimeout = 0;
  const sockets: Set<Promise<void>> = new Set();
  // deno-lint-ignore no-explicit-any
  server.on("connection", (socket: any) => {
    const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
    sockets.add(closed);
    closed.then(() => sockets.delete(closed));
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      server.off("error", reject);
      resolve();
    });
  });
  if (options.unref === true) server.unref();
  return {
    port: server.address().port,
    async close() {
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      });
      await Promise.all([...sockets, ...lingers]);
    },
  };
}
