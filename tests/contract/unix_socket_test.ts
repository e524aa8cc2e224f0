/** Servers behind a socket that take the connection and then say nothing, or leave. */
import assert from "node:assert/strict";
import type { Buffer } from "node:buffer";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { ConnectionClosedError } from "../../src/errors/mod.ts";
import { connectBytes } from "../../src/platform/byte_socket.ts";
import { Runtime } from "../../src/runtime/runtime.ts";
import { acceptFor } from "../../src/transport/frames.ts";
import { unixTransport } from "../../src/transport/unix.ts";
import { test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";

/** Serves a socket while `work` is done; `gone` settles when its first client has left. */
async function served(
  onClient: (socket: Socket) => void,
  work: (path: string, gone: Promise<void>) => Promise<void>,
): Promise<void> {
  await using dir = await tempDir();
  const path = join(dir.path, "s");
  const gone = Promise.withResolvers<void>();
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on("error", () => {});
    socket.once("close", () => gone.resolve());
    socket.resume();
    onClient(socket);
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  try {
    await work(path, gone.promise);
  } finally {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  }
}

test("an abort ends the wait for a server that takes the connection and is silent", async () => {
  const abort = new AbortController();
  const reason = new Error("enough");
  await served((socket) => socket.once("data", () => abort.abort(reason)), async (path, gone) => {
    await assert.rejects(
      Runtime.spawn({ transport: { type: "unix", path }, signal: abort.signal }),
      (error) => error === reason,
    );
    await gone;
  });
});

test("a server that takes the connection and is silent is waited for only so long", async () => {
  await served(() => {}, async (path, gone) => {
    await assert.rejects(
      unixTransport(path, "", 20)({}),
      (error) =>
        error instanceof ConnectionClosedError && /did not answer within 20 ms/.test(error.message),
    );
    await gone;
  });
});

test("a server that leaves right after the upgrade is noticed at once", async () => {
  const leave = async (socket: Socket, head: Buffer) => {
    const key = /sec-websocket-key: (\S+)/i.exec(head.toString("latin1"))![1]!;
    socket.end(
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
        `Sec-WebSocket-Accept: ${await acceptFor(key)}\r\n\r\n`,
    );
  };
  await served(
    (socket) => socket.once("data", (head) => void leave(socket, head)),
    async (path) => {
      await assert.rejects(
        Runtime.spawn({ transport: { type: "unix", path } }),
        (error) => error instanceof ConnectionClosedError && /closed|ended/.test(error.message),
      );
    },
  );
});

test("a small piece of a message that is not whole yet holds no large buffer", async () => {
  await served((socket) => socket.write("x"), async (path, gone) => {
    const piece = Promise.withResolvers<Uint8Array>();
    const sink = { bytes: piece.resolve, closed: () => {} };
    const socket = await connectBytes({ path }, sink, new AbortController().signal);
    const held = (await piece.promise).buffer.byteLength;
    socket.close();
    await gone;
    assert.ok(held < 1024, `${held} bytes`);
  });
});
