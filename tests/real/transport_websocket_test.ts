import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { join } from "node:path";
import { ConnectionClosedError } from "../../src/errors/mod.ts";
import type { Transport, TransportClosed } from "../../src/transport/transport.ts";
import { webSocketTransport } from "../../src/transport/websocket.ts";
import { test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";
import { startListening, TOKEN } from "./websocket_world.ts";

function serve(home: string, args?: string[]): ReturnType<typeof startListening> {
  return startListening({ env: { set: { CODEX_HOME: home } } }, args);
}

interface Heard {
  messages: string[];
  /** The message that matches, now or later. */
  until(pattern: RegExp): Promise<string>;
  closed: Promise<TransportClosed>;
}

function listen(transport: Transport): Heard {
  const messages: string[] = [];
  let check: () => void = () => {};
  const closed = new Promise<TransportClosed>((resolve) =>
    transport.start({
      bytes: () => assert.fail("a websocket has no bytes"),
      text(message) {
        messages.push(message);
        check();
      },
      closed: resolve,
    })
  );
  return {
    messages,
    closed,
    until: (pattern) =>
      new Promise((resolve) => {
        check = () => {
          const found = messages.find((message) => pattern.test(message));
          if (found !== undefined) resolve(found);
        };
        check();
      }),
  };
}

const initialize = (name: string) =>
  JSON.stringify({ id: 1, method: "initialize", params: { clientInfo: { name, version: "1" } } });

test("webSocketTransport() talks to a real app server with its capability token", async () => {
  await using home = await tempDir();
  const file = join(home.path, "token");
  await writeFile(file, `${TOKEN}\n`);
  const { url, host } = await serve(home.path, [
    "--ws-auth",
    "capability-token",
    "--ws-token-file",
    file,
  ]);
  try {
    const open = (token?: string) =>
      webSocketTransport({ url, ...(token === undefined ? {} : { token }) })({});
    const [a, b] = await Promise.all([open(TOKEN), open(TOKEN)]);
    assert.equal(a.pid, null);
    assert.equal(a.maxOutboundBytes, 16 * 1024 * 1024);
    const [heardA, heardB] = [listen(a), listen(b)];
    // Two messages in one write must arrive as two frames, or the server ignores both.
    await a.write(
      `${
        initialize("a")
      }\n{"method":"initialized"}\n{"id":"two","method":"model/list","params":{}}\n`,
    );
    assert.match(await heardA.until(/"id":1\b/), /"userAgent":"a\/0\.169/);
    await b.write(`${initialize("b")}\n`);
    // The server names itself after its first client, and the one that asks in parentheses.
    assert.match(await heardB.until(/"id":1\b/), /"userAgent":"a\/0\.169.*\(b; 1\)/);
    await heardA.until(/"id":"two"/);

    const closing = a.close();
    assert.equal(a.close(), closing);
    const { durationMs, ...report } = await closing;
    assert.deepEqual(report, { gone: true, how: "detached", exit: null });
    assert.ok(durationMs < 25_000);
    assert.deepEqual(await heardA.closed, { exit: null, stderrTail: "" });
    await a.write("{}\n");

    for (const [token, what] of [[undefined, "missing"], ["wrong", "wrong"]] as const) {
      await assert.rejects(open(token), (error) => {
        assert.ok(error instanceof ConnectionClosedError, what);
        assert.equal(error.retryable, false);
        assert.match(error.message, /refused the connection: HTTP 401.*`token`/);
        assert.equal(error.data?.["httpStatus"], 401);
        assert.ok(!error.message.includes("wrong"), "the token must not be told");
        return true;
      });
    }

    // The server goes while b is connected.
    host.kill();
    const info = await heardB.closed;
    assert.equal(info.exit, null);
    assert.ok(info.error instanceof ConnectionClosedError);
    assert.equal((await b.close()).how, "detached");
  } finally {
    await host.close();
  }
});

test("webSocketTransport() without a token talks to a server without authentication", async () => {
  await using home = await tempDir();
  const { url, host } = await serve(home.path);
  try {
    const transport = await webSocketTransport({ url })({});
    const heard = listen(transport);
    await transport.write(`${initialize("open")}\n`);
    await heard.until(/"userAgent":"open\//);
    // Large, but within the limit: the answer shows that it arrived whole.
    const text = "x".repeat(8 << 20);
    await transport.write(
      `{"method":"initialized"}\n` +
        `${JSON.stringify({ id: 2, method: "thread/read", params: { threadId: text } })}\n`,
    );
    await heard.until(/"id":2\b/);
    transport.kill();
    await heard.closed;
  } finally {
    // Its own end of stdin does not stop a listening server; which signal does depends on how busy the machine is.
    const { how } = await host.close({ graceMs: 300 });
    assert.match(how, /^sig(term|kill)$/);
  }
});

/** A TCP server that does what the handler does with each connection. */
async function tcp(
  handler: (socket: Socket) => void,
): Promise<{ url: string; close(): Promise<void> }> {
  const sockets = new Set<Socket>();
  const server: Server = createServer();
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    handler(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

test("webSocketTransport() rejects within its time when nothing answers", async () => {
  const server = await tcp(() => {});
  try {
    await assert.rejects(
      webSocketTransport({ url: server.url, connectTimeoutMs: 50 })({}),
      (error) =>
        error instanceof ConnectionClosedError && /did not answer within 50 ms/.test(error.message),
    );
  } finally {
    await server.close();
  }
});

test("webSocketTransport() rejects with the reason of its signal while it connects", async () => {
  const controller = new AbortController();
  const reason = new Error("changed my mind");
  const server = await tcp(() => controller.abort(reason));
  try {
    await assert.rejects(
      webSocketTransport({ url: server.url, token: TOKEN })({ signal: controller.signal }),
      reason,
    );
  } finally {
    await server.close();
  }
});

test("webSocketTransport() rejects for a port where nobody listens and for urls of other kinds", async () => {
  const server = await tcp(() => {});
  await server.close();
  await assert.rejects(webSocketTransport({ url: server.url })({}), (error) => {
    assert.ok(error instanceof ConnectionClosedError);
    assert.match(error.message, /can't be reached/);
    assert.equal(error.retryable, true);
    return true;
  });
  for (const url of ["http://127.0.0.1:1", "not a url", ""]) {
    await assert.rejects(
      webSocketTransport({ url })({}),
      (error) => error instanceof ConnectionClosedError && /must start with ws/.test(error.message),
    );
  }
});
