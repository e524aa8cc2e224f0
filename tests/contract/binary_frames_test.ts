/** Proxies that pass the server's text on in binary frames: each runtime tells those in its own way. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { createServer, type Server, type Socket } from "node:net";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import type { TransportConfig } from "../../src/runtime/config.ts";
import { Runtime } from "../../src/runtime/runtime.ts";
import { acceptFor } from "../../src/transport/frames.ts";
import { NEWEST_CODEX } from "../_codex.ts";
import { test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";

const ANSWER = JSON.stringify({
  id: 1,
  result: { userAgent: `t/${NEWEST_CODEX} (é😀)` },
});

/** A server that upgrades any connection, and answers the first message with binary frames; the answer is cut in a character. */
async function answerInBinary(socket: Socket): Promise<void> {
  socket.on("error", () => {});
  let head = "";
  await new Promise<void>((resolve) => {
    const read = (chunk: Uint8Array): void => {
      head += Buffer.from(chunk).toString("latin1");
      if (!head.includes("\r\n\r\n")) return;
      socket.off("data", read);
      resolve();
    };
    socket.on("data", read);
  });
  const asked = new Promise((resolve) => socket.once("data", resolve));
  const key = /sec-websocket-key: (\S+)/i.exec(head)![1]!;
  socket.write(
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
      `Sec-WebSocket-Accept: ${await acceptFor(key)}\r\n\r\n`,
  );
  await asked;
  const bytes = Buffer.from(ANSWER);
  const cut = bytes.indexOf("é") + 1;
  const frame = (first: number, part: Buffer) =>
    Buffer.concat([Buffer.from([first, part.length]), part]);
  socket.write(frame(0x02, bytes.subarray(0, cut)));
  socket.write(frame(0x80, bytes.subarray(cut)));
}

async function connects(
  listen: (server: Server) => void,
  transport: (server: Server) => TransportConfig,
): Promise<void> {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    void answerInBinary(socket);
  });
  try {
    await new Promise<void>((resolve) => {
      server.once("listening", resolve);
      listen(server);
    });
    const runtime = await Runtime.spawn({
      transport: transport(server),
      clientInfo: { name: "t", version: "1" },
    });
    assert.equal(runtime.server.userAgent, `t/${NEWEST_CODEX} (é😀)`);
    assert.equal(runtime.metrics().malformed, 0);
    await runtime.shutdown();
  } finally {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  }
}

test("a message in binary frames is read, by ws://", () =>
  connects(
    (server) => void server.listen(0, "127.0.0.1"),
    (server) => ({
      type: "websocket",
      url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}`,
    }),
  ));

test("a message in binary frames is read, by a socket of the file system", async () => {
  await using dir = await tempDir("frames-");
  const path = join(dir.path, "s");
  await connects((server) => void server.listen(path), () => ({ type: "unix", path }));
});
