/** Requests that no browser makes, over real sockets: the answer is JSON, nothing is thrown, nothing of the inside is told. */
import assert from "node:assert/strict";
import { connect } from "node:net";
import { createBridge } from "../../src/web/bridge.ts";
import type { WebClient } from "../../src/web/client.ts";
import { serve } from "../contract/web_serve.ts";
import { test } from "../_harness.ts";

/** Never used: no request here gets as far. */
const never = () => Promise.reject(new Error("not in these tests"));
const client: WebClient = {
  runtime: { connection: "running" },
  approvals: { pending: () => [], answer: () => false },
  startSession: never,
  resumeSession: never,
  readThread: never,
  archiveThread: never,
};

function raw(port: number, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1", () => socket.write(text));
    let answer = "";
    socket.setEncoding("utf8");
    socket.on("data", (chunk: string) => answer += chunk);
    socket.on("close", () => resolve(answer));
    socket.on("error", reject);
  });
}

test("a malformed Host or address is 400 or answered, never a stack", async () => {
  const thrown: unknown[] = [];
  const bridge = createBridge({
    client,
    cwd: "/",
    isolation: "trusting",
    authorize: () => "ann",
    onError: (error) => thrown.push(error),
  });
  const rejected: unknown[] = [];
  const server = serve((request) =>
    bridge.fetch(request).catch((error) => {
      rejected.push(error);
      return new Response("rejected", { status: 599 });
    })
  );
  const port = Number(new URL(server.origin).port);
  try {
    const hosts = [
      "a b",
      "[",
      "a:99999",
      "%00",
      "xn--",
      "127.0.0.1:80:80",
      "",
      "é.com",
      "a/b",
      "user:pw@h",
      "?",
      "#",
      "\\",
    ];
    for (const host of hosts) {
      for (const path of ["/codex/health", "/codex/settings"]) {
        const answer = await raw(
          port,
          `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`,
        );
        const status = Number(answer.split(" ")[1] ?? 0);
        assert.ok(
          status === 200 || (status >= 400 && status < 500) || answer === "",
          `${host}: ${answer}`,
        );
        assert.ok(!/ at |\.ts:|TypeError/.test(answer), answer);
      }
    }
    await raw(port, "GET http://[ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    // The classic probe of a load balancer.
    const probe = await raw(port, "GET /codex/health HTTP/1.0\r\n\r\n");
    assert.match(probe, /^HTTP\/1\.[01] (200|400) /);
    assert.deepEqual([rejected, thrown], [[], []]);
  } finally {
    await bridge.close();
    await server.close();
  }
});

test("fetch() answers a request whose address is none with 400 as JSON", async () => {
  const bridge = createBridge({ client, cwd: "/", isolation: "trusting", authorize: () => "ann" });
  for (const url of ["", "/codex/health", "http://[", "http://a b/", "http://xn--/"]) {
    const request = { url, method: "GET", headers: new Headers(), body: null } as Request;
    const response = await bridge.fetch(request);
    assert.equal(response.status, 400);
    assert.equal((await response.json()).code, "badRequest");
    assert.equal(response.headers.get("x-content-type-options"), "nosniff");
  }
  await bridge.close();
});

test("health answers by any name, to HEAD too, and tells when the bridge ends", async () => {
  const bridge = createBridge({
    client,
    cwd: "/",
    isolation: "trusting",
    hosts: ["app.example"],
    authorize: () => null,
  });
  const health = (method: string) =>
    bridge.fetch(new Request("http://10.1.2.3/codex/health", { method }));
  assert.equal((await health("GET")).status, 200);
  const head = await health("HEAD");
  assert.deepEqual([head.status, await head.text()], [200, ""]);
  await bridge.drain(0);
  const draining = await health("GET");
  assert.deepEqual([draining.status, (await draining.json()).status], [503, "draining"]);
  await bridge.close();
  const closed = await health("GET");
  assert.deepEqual([closed.status, (await closed.json()).status], [503, "closed"]);
});
