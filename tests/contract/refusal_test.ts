/** What answers an upgrade without being an app server, and goes on for ever; and what errors tell of an address. */
import assert from "node:assert/strict";
import { createServer, type Socket } from "node:net";
import type { AddressInfo } from "node:net";
import { inspect } from "node:util";
import { ConnectionClosedError } from "../../src/errors/mod.ts";
import { Runtime } from "../../src/runtime/runtime.ts";
import { upgradeByFetch } from "../../src/transport/websocket.ts";
import { askForRefusal } from "../../src/transport/ws_refusal.ts";
import { onDeno, test } from "../_harness.ts";

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

test("asking why an upgrade was refused ends although the answer does not", async () => {
  // Deno's own WebSocket tells the status.
  if (onDeno) return;
  const ask = (port: number, timeoutMs: number) =>
    askForRefusal(`http://127.0.0.1:${port}/`, {}, timeoutMs);
  await streaming(": slow\n\n", async (port) => {
    const found = await ask(port, 500);
    // Where the machine is busy nothing has come by then.
    if (found !== null) assert.deepEqual(found, { status: 503, text: ": slow\n\n" });
  });
  await streaming("x".repeat(300), async (port) => {
    assert.deepEqual(await ask(port, 100_000), { status: 503, text: "x".repeat(200) });
  });
});

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
