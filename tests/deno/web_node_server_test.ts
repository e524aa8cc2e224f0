/** The bridge on Node's own server, behind Hono's adapter: requests that no browser makes get JSON and no stack. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { install, nodePath, ROOT } from "../_codex.ts";
import { raw } from "../contract/web_serve.ts";
import { test } from "../_harness.ts";

const HOSTS = ["a b", "[", "a:99999", "%00", "xn--", "127.0.0.1:80:80", "", "a/b", "u:p@h", "evil"];

/** Node runs the library's TypeScript as it is. */
function program(adapter: string): string {
  return `
    import { serve } from ${JSON.stringify(adapter)};
    import { web } from ${JSON.stringify(pathToFileURL(join(ROOT, "mod.ts")).href)};
    const never = () => Promise.reject(new Error("not in this test"));
    const bridge = web.createBridge({
      client: {
        approvals: { pending: () => [], answer: () => false },
        startSession: never, resumeSession: never, readThread: never, archiveThread: never,
      },
      cwd: "/",
      isolation: "trusting",
      authorize: () => "ann",
      onError: (error) => console.log("told", error),
    });
    const fetch = (request) => bridge.fetch(request).catch((error) => {
      console.log("rejected", error);
      return new Response("rejected", { status: 599 });
    });
    serve({ fetch, hostname: "127.0.0.1", port: 0 }, ({ port }) => console.log("port", port));
  `;
}

test(
  "on Node a malformed Host is 4xx as JSON, and a foreign one is refused",
  { timeoutMs: 120_000, denoOnly: "starts Node" },
  async () => {
    const folder = await install("hono-node-server", "@hono/node-server", "2.1.9");
    const adapter = join(folder, "node_modules", "@hono", "node-server", "dist", "index.mjs");
    const child = new Deno.Command(await nodePath(), {
      args: ["--input-type=module", "-e", program(pathToFileURL(adapter).href)],
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    let told = "";
    let ready: (port: number) => void = () => {};
    const port = new Promise<number>((resolve) => ready = resolve);
    const reading = (async () => {
      for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
        told += text;
        const found = /^port (\d+)$/m.exec(told);
        if (found !== null) ready(Number(found[1]));
      }
      ready(0);
    })();
    const errors = new Response(child.stderr).text();
    try {
      const at = await port;
      assert.ok(at > 0, await Promise.race([errors, ""]));
      for (const host of HOSTS) {
        for (const path of ["/codex/health", "/codex/settings"]) {
          const answer = await raw(
            at,
            `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`,
          );
          const status = Number(answer.split(" ")[1] ?? 0);
          // No name at all is no foreign one: the adapter takes it for localhost.
          const open = path.endsWith("health") || host === "";
          const wanted = open ? status < 500 : status >= 400 && status < 500;
          assert.ok(wanted, `${JSON.stringify(host)} ${path}: ${answer}`);
          assert.ok(!/\n\s+at |\.ts:|TypeError/.test(answer), answer);
        }
      }
      // The classic probe of a load balancer.
      assert.match(
        await raw(at, "GET /codex/health HTTP/1.0\r\n\r\n"),
        /^HTTP\/1\.[01] (200|400) /,
      );
      assert.match(
        await raw(
          at,
          `GET /codex/settings HTTP/1.1\r\nHost: 127.0.0.1:${at}\r\nConnection: close\r\n\r\n`,
        ),
        /^HTTP\/1\.1 200 /,
      );
    } finally {
      child.kill("SIGKILL");
      await child.status;
      await reading;
    }
    assert.deepEqual([/rejected|told/.test(told), (await errors).includes("TypeError")], [
      false,
      false,
    ]);
  },
);
