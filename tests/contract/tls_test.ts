/** TLS trouble has a name: a certificate that nobody knows, TLS on one side only, and a url that can't be one. */
import assert from "node:assert/strict";
import { createServer as createPlain, type Server } from "node:net";
import { createServer as createSecure } from "node:https";
import { ConnectionClosedError } from "../../src/errors/mod.ts";
import { Client } from "../../src/session/namespace.ts";
import { selfSigned } from "../_certificate.ts";
import { onDeno, test } from "../_harness.ts";

async function listening(server: Server): Promise<{ at: string } & AsyncDisposable> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  return {
    at: `127.0.0.1:${port}`,
    [Symbol.asyncDispose]: () => new Promise((resolve) => server.close(() => resolve())),
  };
}

/** A server with a certificate of its own; on Deno its own kind, as node:https there agrees on no protocol with it. */
async function secure(): Promise<{ at: string } & AsyncDisposable> {
  const certificate = selfSigned();
  if (!onDeno) return await listening(createSecure(certificate, (_, answer) => answer.end()));
  const options = { ...certificate, hostname: "127.0.0.1", port: 0, onListen: () => {} };
  const server = Deno.serve(options, () => new Response());
  return {
    at: `127.0.0.1:${server.addr.port}`,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

/** The error of an attempt to attach. */
async function refused(url: string): Promise<ConnectionClosedError> {
  try {
    const client = await Client.connect({ transport: { type: "websocket", url, token: "t0ken" } });
    await client.shutdown();
  } catch (error) {
    assert.ok(error instanceof ConnectionClosedError, String(error));
    assert.doesNotMatch(error.message + String(error.cause), /t0ken/);
    return error;
  }
  assert.fail("connected");
}

test("a certificate that nobody vouches for is told as that, with what to set", async () => {
  await using server = await secure();
  const error = await refused(`wss://${server.at}`);
  assert.match(error.message, /No TLS connection .* certificate is not trusted \(.+\)/);
  assert.match(error.message, /DENO_CERT on Deno, NODE_EXTRA_CA_CERTS on Node and Bun/);
  assert.deepEqual([error.retryable, error.data?.["reason"]], [false, "tls"]);
  // The runtime's own words are kept.
  assert.notEqual((error.cause as Error).message, "");
});

test("wss:// to a port that does not speak TLS says so", async () => {
  const plain = createPlain((socket) => {
    socket.on("error", () => {});
    socket.once("data", () => socket.end("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"));
  });
  await using server = await listening(plain);
  const error = await refused(`wss://${server.at}`);
  assert.match(error.message, /does not speak TLS as it should .*Is it ws:\/\/ that is wanted\?/);
  assert.deepEqual([error.retryable, error.data?.["reason"]], [false, "tls"]);
});

test("ws:// to a port that speaks TLS asks whether wss:// is meant", async () => {
  await using server = await secure();
  const error = await refused(`ws://${server.at}`);
  assert.match(error.message, /does not answer as an app server does .*is it not wss:\/\/ there\?/);
});

test("a url with a fragment or of another scheme is refused before anything is opened", async () => {
  for (
    const url of ["ws://127.0.0.1:1/#x", "ws://127.0.0.1:1/#", "https://127.0.0.1:1", "nonsense"]
  ) {
    const error = await refused(url);
    assert.match(error.message, /must start with ws:\/\/ or wss:\/\/ and have no fragment/);
    assert.equal(error.retryable, false);
  }
});
