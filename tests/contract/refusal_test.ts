/** What answers an upgrade without being an app server, and goes on for ever; and what errors tell of an address. */
import assert from "node:assert/strict";
import { createServer, type Socket } from "node:net";
import type { AddressInfo } from "node:net";
import { inspect } from "node:util";
import { ConnectionClosedError } from "../../src/errors/mod.ts";
import { Runtime } from "../../src/runtime/runtime.ts";
import { acceptFor } from "../../src/transport/frames.ts";
import type { TransportClosed } from "../../src/transport/transport.ts";
import { upgradeByFetch, webSocketTransport } from "../../src/transport/websocket.ts";
import { test } from "../_harness.ts";

/** Answers each request with a stream that does not end; `port` is where. */
async function streaming(first: string, work: (port: number) => Promise<void>): Promise<void> {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on("error", () => {});
    socket.once("data", () => {
      socket.write(`HTTP/1.1 503 Busy\r\nContent-Type: text/event-stream\r\n\r\n${first}`);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    await work((server.address() as AddressInfo).port);
  } finally {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  }
}

test("an upgrade that is refused ends although the answer does not, and says why", async () => {
  await streaming(": slow\n\n", async (port) => {
    await assert.rejects(
      webSocketTransport({ url: `ws://127.0.0.1:${port}` })({}),
      (error) =>
        error instanceof ConnectionClosedError && error.retryable &&
        /refused the connection: HTTP 503 \(: slow\)/.test(error.message),
    );
  });
});

test("whoever answers otherwise than a WebSocket server does is refused at once", async () => {
  const answers: [answer: string, told: RegExp][] = [
    ["", /does not answer as an app server does \(it does not answer as a WebSocket server does\)/],
    ["HTTP/1.1 101 Yes\r\n\r\n", /refused the connection: HTTP 101/],
    [
      "HTTP/1.1 200 Yes\r\nSec-WebSocket-Accept: ACCEPT\r\n\r\n",
      /refused the connection: HTTP 200/,
    ],
    [`HTTP/1.1 101 Yes\r\nX: ${"x".repeat(20_000)}`, /does not answer as an app server does/],
    [`HTTP/1.1 503 No\r\n\r\n${"x".repeat(300)}`, /HTTP 503 \(x{200}\)/],
  ];
  for (const [answer, told] of answers) {
    const answering = async (socket: Socket, key: string) => {
      if (answer === "") socket.end();
      else socket.write(answer.replace("ACCEPT", await acceptFor(key)));
    };
    await asked(answering, (url) =>
      assert.rejects(
        webSocketTransport({ url, connectTimeoutMs: 5_000 })({}),
        (error) => error instanceof ConnectionClosedError && told.test(error.message),
        answer.slice(0, 80),
      ));
  }
});

test("the name and the password of an address are told to who answers there, but for a token", async () => {
  const heard: string[] = [];
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", (head) => {
      heard.push(/^authorization: (.*)\r$/im.exec(head.toString("latin1"))?.[1] ?? "");
      socket.end("HTTP/1.1 401 No\r\n\r\n");
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `ws://ann:p%C3%A9@127.0.0.1:${(server.address() as AddressInfo).port}/`;
  try {
    await assert.rejects(webSocketTransport({ url })({}), ConnectionClosedError);
    await assert.rejects(webSocketTransport({ url, token: "t\n" })({}), ConnectionClosedError);
    const nameless = url.replace("ann:p%C3%A9@", "");
    await assert.rejects(webSocketTransport({ url: nameless })({}), ConnectionClosedError);
    const bad = url.replace("p%C3%A9", "%zz");
    await assert.rejects(webSocketTransport({ url: bad })({}), ConnectionClosedError);
    await assert.rejects(
      webSocketTransport({ url, token: "t\r\nX: y" })({}),
      /Authorization has a character that no header may have/,
    );
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
  assert.deepEqual(heard, [`Basic ${btoa("ann:p\xc3\xa9")}`, "Bearer t", ""]);
});

test("a connection that the server ends tells the server's reason, or that it spoke no WebSocket", async () => {
  const frames = [
    [[0x88, 7, 0x03, 0xf0, ...new TextEncoder().encode("spent")], /\(spent, code 1008\)/],
    [[0x88, 2, 0x03, 0xe8], /\(no reason, code 1000\)/],
    [[0xc1, 0], /\(a frame with reserved bits, code 1002\)/],
  ] as const;
  for (const [frame, told] of frames) {
    await upgrading((socket) => void socket.write(Uint8Array.from(frame)), async (url) => {
      const transport = await webSocketTransport({ url })({});
      const ended = await new Promise<TransportClosed>((closed) =>
        transport.start({ bytes() {}, text() {}, closed })
      );
      assert.match((ended.error as Error).message, told);
    });
  }
});

test("of a flood of pings some are answered, and no answers pile up", async () => {
  const answers = Promise.withResolvers<number>();
  const flood = (socket: Socket) => {
    let bytes = 0;
    socket.on("data", (chunk) => bytes += chunk.length);
    socket.once("close", () => answers.resolve((bytes - CLOSE_BYTES) / PONG_BYTES));
    socket.write(new Uint8Array(2000).map((_, at) => at % 2 === 0 ? 0x89 : 0));
    socket.write(Uint8Array.of(0x81, 2, 0x7b, 0x7d));
  };
  await upgrading(flood, async (url) => {
    const transport = await webSocketTransport({ url })({});
    await new Promise<void>((heard) =>
      transport.start({ bytes() {}, text: () => heard(), closed() {} })
    );
    await transport.close({ graceMs: 100 });
    const count = await answers.promise;
    assert.ok(count >= 1 && count < 500, `${count} answers`);
  });
});

test("pings that come one after the other are answered, however many there are", async () => {
  const answers = Promise.withResolvers<number>();
  let count = 0;
  const ask = (socket: Socket) => void socket.write(Uint8Array.of(0x89, 0));
  const asking = (socket: Socket) => {
    socket.on("data", () => ++count < 40 ? ask(socket) : answers.resolve(count));
    ask(socket);
  };
  await upgrading(asking, async (url) => {
    const transport = await webSocketTransport({ url })({});
    const late = setTimeout(() => answers.resolve(count), 5_000);
    assert.equal(await answers.promise, 40);
    clearTimeout(late);
    transport.kill();
  });
});

test("nothing is said after the word that the connection ends", async () => {
  const said = Promise.withResolvers<number>();
  const heard = (socket: Socket) => {
    let bytes = 0;
    socket.on("data", (chunk) => {
      bytes += chunk.length;
      if (bytes === CLOSE_BYTES) socket.write(Uint8Array.of(0x88, 2, 0x03, 0xe8));
    });
    socket.once("close", () => said.resolve(bytes));
  };
  await upgrading(heard, async (url) => {
    const transport = await webSocketTransport({ url })({});
    transport.start({ bytes() {}, text() {}, closed() {} });
    const closed = transport.close({ graceMs: 5_000 });
    await transport.write("{}\n");
    await closed;
    assert.equal(await said.promise, CLOSE_BYTES);
  });
});

test("a write waits until the server has read most of it", async () => {
  let read = 0;
  const reading = (socket: Socket) => void socket.on("data", (chunk) => read += chunk.length);
  await upgrading(reading, async (url) => {
    const transport = await webSocketTransport({ url })({});
    const message = `"${"x".repeat(12 << 20)}"\n`;
    await transport.write(message + message);
    assert.ok(read > message.length, `${read} bytes were read`);
    transport.kill();
  });
});

/** Of the client: masked, the one with a code. */
const PONG_BYTES = 6;
const CLOSE_BYTES = 8;

/** A server that upgrades each connection, and then does something with it. */
async function upgrading(
  then: (socket: Socket) => void,
  work: (url: string) => Promise<void>,
): Promise<void> {
  await asked(async (socket, key) => {
    socket.write(`HTTP/1.1 101 Yes\r\nSec-WebSocket-Accept: ${await acceptFor(key)}\r\n\r\n`);
    then(socket);
  }, work);
}

/** A server that does something with each connection that asks to be upgraded. */
async function asked(
  then: (socket: Socket, key: string) => void,
  work: (url: string) => Promise<void>,
): Promise<void> {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on("error", () => {});
    socket.once("data", (head) => {
      then(socket, /sec-websocket-key: (\S+)/i.exec(head.toString("latin1"))![1]!);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    await work(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`);
  } finally {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  }
}

test("an upgrade by fetch ends although the refusal does not", async () => {
  await streaming(": slow\n\n", async (port) => {
    await assert.rejects(
      upgradeByFetch(new URL(`ws://127.0.0.1:${port}`), {}, 500),
      (error) => error instanceof ConnectionClosedError && /HTTP 503|within/.test(error.message),
    );
  });
});

test("the error for an address tells neither its path nor its query, however the runtime spells it", async () => {
  const url = "ws://ann:pa55word@127.0.0.1:1/p4th?token=tok3n";
  await assert.rejects(
    Runtime.spawn({ transport: { type: "websocket", url } }),
    (error) =>
      error instanceof ConnectionClosedError &&
      !/pa55word|p4th|tok3n/.test(inspect(error, { depth: 5 })),
  );
});

test("an attempt whose time is over at the moment of its connection leaves none", async () => {
  const open = new Set<Socket>();
  let left = Promise.withResolvers<void>();
  const server = createServer((socket) => {
    open.add(socket);
    socket.on("error", () => {});
    socket.resume().once("close", () => {
      open.delete(socket);
      left.resolve();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}`;
  for (let i = 0; i < 300; i++) {
    const refused = assert.rejects(webSocketTransport({ url, connectTimeoutMs: 1 })({}));
    // The timer and the connection are both due when this is over.
    for (const end = performance.now() + 1 + (i % 5) * 0.3; performance.now() < end;);
    await refused;
  }
  while (open.size > 0) {
    await left.promise;
    left = Promise.withResolvers();
  }
  await new Promise((resolve) => server.close(resolve));
});
