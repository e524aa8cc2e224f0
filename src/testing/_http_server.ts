/**
 * A loopback HTTP server on Deno, Bun and Node: the one place of this room that asks where it runs.
 * @module
 */

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
}

/** A body that is written piece by piece. */
export interface HttpStream {
  /** Resolves when the client took enough for more to be written, or is gone. */
  write(text: string): Promise<void>;
  /** Ends the body properly. */
  end(): void;
  /** Drops the connection in the middle of the body. */
  cut(): void;
}

/** A running server. */
export interface HttpServer {
  readonly port: number;
  /** Drops every connection and stops listening. */
  close(): Promise<void>;
}

type Handler = (request: HttpRequest, reply: HttpReply) => Promise<void>;

// deno-lint-ignore no-explicit-any
const host = globalThis as any;

/** Serves `handler` on a free port of 127.0.0.1. The handler must not reject. */
export function serveLoopback(handler: Handler): Promise<HttpServer> {
  return host.Deno?.serve === undefined ? serveOnNode(handler) : serveOnDeno(handler);
}

/** A `node:` module, on every runtime that has them; not imported, so that `mod.ts` loads anywhere. */
// deno-lint-ignore no-explicit-any
export function builtin(name: string): any {
  const module = host.process?.getBuiltinModule?.(`node:${name}`);
  if (module === undefined) {
    throw new TypeError(
      `node:${name} is not available here: ScriptedModel needs Deno, Bun or Node`,
    );
  }
  return module;
}

const encoder = new TextEncoder();
const HIGH_WATER_BYTES = 1 << 20;

// deno-lint-ignore require-await
async function serveOnDeno(handler: Handler): Promise<HttpServer> {
  const stop = new AbortController();
  const answer = async (request: Request): Promise<Response> => {
    const gone = new AbortController();
    const url = new URL(request.url);
    let settle: (response: Response) => void = () => {};
    const response = new Promise<Response>((resolve) => settle = resolve);
    const body = await request.text().catch(() => "");
    let complete = false;
    const leave = () => {
      if (!complete) gone.abort();
    };
    request.signal.addEventListener("abort", leave, { once: true });
    const reply: HttpReply = {
      send(status, headers, text) {
        complete = true;
        // 204 and its like must not carry a body.
        settle(new Response(text === "" ? null : text, { status, headers }));
      },
      open(status, headers) {
        let controller!: ReadableStreamDefaultController<Uint8Array>;
        let drained = Promise.withResolvers<void>();
        const stream = new ReadableStream<Uint8Array>({
          start: (c) => void (controller = c),
          pull: () => drained.resolve(),
          cancel: () => {
            leave();
            drained.resolve();
          },
        }, { highWaterMark: HIGH_WATER_BYTES, size: (chunk) => chunk?.byteLength ?? 0 });
        settle(new Response(stream, { status, headers }));
        const finish = (act: () => void) => {
          if (complete || gone.signal.aborted) return;
          complete = true;
          act();
        };
        return {
          async write(text) {
            if (complete || gone.signal.aborted) return;
            controller.enqueue(encoder.encode(text));
            if ((controller.desiredSize ?? 1) > 0) return;
            drained = Promise.withResolvers<void>();
            await drained.promise;
          },
          end: () => finish(() => controller.close()),
          cut: () => finish(() => controller.error(new Error("connection cut by the script"))),
        };
      },
    };
    void handler({
      method: request.method,
      path: url.pathname + url.search,
      headers: Object.fromEntries(request.headers),
      body,
      gone: gone.signal,
    }, reply);
    return await response;
  };
  const server = host.Deno.serve(
    {
      hostname: "127.0.0.1",
      port: 0,
      signal: stop.signal,
      onListen: () => {},
      // A cut body arrives here too; the default handler would print it.
      onError: () => new Response(null, { status: 500 }),
    },
    answer,
  );
  return {
    port: server.addr.port,
    async close() {
      stop.abort();
      await server.finished;
    },
  };
}

async function serveOnNode(handler: Handler): Promise<HttpServer> {
  // deno-lint-ignore no-explicit-any
  const server = builtin("http").createServer((request: any, response: any) => {
    const gone = new AbortController();
    const chunks: Uint8Array[] = [];
    let complete = false;
    response.on("close", () => {
      if (!complete) gone.abort();
    });
    // A client that goes away in the middle of its request is no error of the server.
    request.on("error", () => {});
    response.on("error", () => {});
    request.on("data", (chunk: Uint8Array) => chunks.push(chunk));
    request.on("end", () => {
      const reply: HttpReply = {
        send(status, headers, text) {
          complete = true;
          response.writeHead(status, headers);
          response.end(text);
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
            cut() {
              complete = true;
              response.destroy();
            },
          };
        },
      };
      void handler({
        method: request.method,
        path: request.url,
        headers: Object.fromEntries(
          Object.entries(request.headers).map((
            [k, v],
          ) => [k, Array.isArray(v) ? v.join(", ") : String(v)]),
        ),
        body: builtin("buffer").Buffer.concat(chunks).toString("utf8"),
        gone: gone.signal,
      }, reply);
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      server.off("error", reject);
      resolve();
    });
  });
  return {
    port: server.address().port,
    close() {
      return new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      });
    },
  };
}
