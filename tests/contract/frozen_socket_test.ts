/** A script ends after `shutdown()`, also where the server that it was attached to is silent. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { connect, createServer, type Server, type Socket } from "node:net";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import process from "node:process";
import { createServer as createSecure, type TLSSocket } from "node:tls";
import { fileURLToPath } from "node:url";
import { acceptFor } from "../../src/transport/frames.ts";
import { selfSigned } from "../_certificate.ts";
import { onDeno, test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";

for (const scheme of ["ws", "wss"]) {
  test(`a script that was attached by ${scheme}:// ends, though the server is silent by then`, async () => {
    await using dir = await tempDir("frozen-");
    const certificate = selfSigned();
    const trusted = join(dir.path, "ca.pem");
    await writeFile(trusted, certificate.cert);
    const sockets: Socket[] = [];
    const agreed: unknown[] = [];
    const upgraded = (socket: Socket) => {
      sockets.push(socket);
      agreed.push((socket as TLSSocket).alpnProtocol);
      socket.on("error", () => {});
      socket.once("data", async (head) => {
        const key = /sec-websocket-key: (\S+)/i.exec(head.toString("latin1"))![1]!;
        socket.write(
          "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
            `Sec-WebSocket-Accept: ${await acceptFor(key)}\r\n\r\n`,
        );
      });
    };
    const server: Server = scheme === "ws"
      ? createServer(upgraded)
      : createSecure({ ...certificate, ALPNProtocols: ["http/1.1"] }, upgraded);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const url = `${scheme}://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const script = fileURLToPath(new URL("./_frozen_script.ts", import.meta.url));
    const args = [...(onDeno ? ["run", "-A", "--no-check"] : []), script, url];
    const env = { ...process.env, DENO_CERT: trusted, NODE_EXTRA_CA_CERTS: trusted };
    try {
      const child = spawn(process.execPath, args, { env, stdio: ["ignore", "pipe", "inherit"] });
      let said = "";
      child.stdout.on("data", (text) => said += text);
      const code = await new Promise((resolve) => child.once("close", resolve));
      assert.deepEqual([said.trim(), code], ["closed", 0]);
      assert.deepEqual(agreed, [scheme === "ws" ? undefined : "http/1.1"]);
    } finally {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    }
  });
}

for (const scheme of ["ws", "wss"]) {
  test(`a script that gives up on a ${scheme}:// server that takes the connection and is silent ends`, async () => {
    const sockets: Socket[] = [];
    const server = createServer((socket) => void sockets.push(socket.on("error", () => {})));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    try {
      const url = `${scheme}://127.0.0.1:${(server.address() as AddressInfo).port}`;
      assert.match(await givesUp(url), /did not answer within 300 ms/);
    } finally {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    }
  });

  test(`a script that gives up on a ${scheme}:// server whose host says nothing ends`, async () => {
    if (!onDeno) return; // Only there is there a way to take no connections.
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0, tcpBacklog: 1 });
    const { port } = listener.addr;
    const waiting = Array.from({ length: 4 }, () => connect(port, "127.0.0.1"));
    for (const each of waiting) each.on("error", () => {});
    try {
      assert.match(await givesUp(`${scheme}://127.0.0.1:${port}`), /did not answer within 300 ms/);
    } finally {
      for (const each of waiting) each.destroy();
    }
  });
}

test("a script on Deno goes through the proxy of its environment to a server that it is attached to", async () => {
  if (!onDeno) return; // Bun's and Node's WebSocket goes through none unasked.
  let said = "";
  const proxy = createServer((socket) => {
    socket.on("error", () => {});
    socket.on("data", async (chunk) => {
      const text = chunk.toString("latin1");
      said += /^[A-Z]+ \S+/.exec(text)?.[0] ?? "";
      const key = /sec-websocket-key: (\S+)/i.exec(text)?.[1];
      if (text.includes("p4th")) return void socket.end("HTTP/1.1 401 No\r\n\r\n");
      if (key === undefined) return void socket.destroy();
      socket.write(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
          `Sec-WebSocket-Accept: ${await acceptFor(key)}\r\n\r\n`,
      );
    });
  });
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  const script = fileURLToPath(new URL("./_frozen_script.ts", import.meta.url));
  const args = ["run", "-A", "--no-check", script, "ws://app.invalid:4500"];
  const env = {
    ...process.env,
    HTTP_PROXY: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
  };
  try {
    const child = spawn(process.execPath, args, { env, stdio: ["ignore", "ignore", "ignore"] });
    await new Promise((resolve) => child.once("close", resolve));
    assert.equal(said, "GET http://app.invalid:4500/");
    const told = await givesUp("ws://app.invalid:4500/p4th?token=tok3n", env);
    assert.match(told, /ws:\/\/app\.invalid:4500 refused the connection: HTTP 401/);
    const port1 = { ...env, HTTP_PROXY: "http://127.0.0.1:1" };
    const unreached = await givesUp("ws://app.invalid:4500/p4th?token=tok3n", port1);
    assert.match(unreached, /ws:\/\/app\.invalid:4500 can't be reached/);
    assert.doesNotMatch(told + unreached, /p4th|tok3n/);
  } finally {
    await new Promise((resolve) => proxy.close(resolve));
  }
});

/** Runs a script that gives up on a server, until it ends; what it said. */
async function givesUp(url: string, env = process.env): Promise<string> {
  const script = fileURLToPath(new URL("./_give_up_script.ts", import.meta.url));
  const args = [...(onDeno ? ["run", "-A", "--no-check"] : []), script, url];
  const child = spawn(process.execPath, args, { env, stdio: ["ignore", "pipe", "inherit"] });
  const late = setTimeout(() => child.kill("SIGKILL"), 20_000);
  let said = "";
  child.stdout.on("data", (text) => said += text);
  const code = await new Promise((resolve) => child.once("close", resolve));
  clearTimeout(late);
  assert.equal(code, 0);
  return said;
}
