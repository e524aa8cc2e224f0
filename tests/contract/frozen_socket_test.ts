/** A script ends after `shutdown()`, also where the server that it was attached to is silent. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { connect, createServer, type Server, type Socket } from "node:net";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import process from "node:process";
import { createServer as createSecure } from "node:tls";
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
    const upgraded = (socket: Socket) => {
      sockets.push(socket);
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
    } finally {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    }
  });
}

for (const scheme of ["ws", "wss"]) {
  test(`a script that gives up on a ${scheme}:// server whose host says nothing ends`, async () => {
    if (!onDeno) return; // Only there is there a way to take no connections.
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0, tcpBacklog: 1 });
    const { port } = listener.addr;
    const waiting = Array.from({ length: 4 }, () => connect(port, "127.0.0.1"));
    for (const each of waiting) each.on("error", () => {});
    const script = fileURLToPath(new URL("./_give_up_script.ts", import.meta.url));
    const args = ["run", "-A", "--no-check", script, `${scheme}://127.0.0.1:${port}`];
    const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
    const late = setTimeout(() => child.kill("SIGKILL"), 20_000);
    try {
      let said = "";
      child.stdout.on("data", (text) => said += text);
      const code = await new Promise((resolve) => child.once("close", resolve));
      assert.match(said, /did not answer within 300 ms/);
      assert.equal(code, 0);
    } finally {
      clearTimeout(late);
      for (const each of waiting) each.destroy();
    }
  });
}
