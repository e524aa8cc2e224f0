/** The package in a page: bundled, run by Chromium, talking to the real codex through the bridge. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { Client, testing, web } from "../../mod.ts";
import { codexPath } from "../_codex.ts";
import { CHROMIUM_FLAGS, chromiumPath } from "../deno/web_chromium.ts";
import { test } from "../_harness.ts";
import { bundle } from "./_bundle.ts";
import { machine } from "./_machine.ts";

const { script } = testing;
const HTML = '<!doctype html><script type="module" src="/browser.js"></script>';

/** Opens a page; the browser ends when it is disposed. */
function open(chromium: string, url: string, profile: string): AsyncDisposable {
  const args = [...CHROMIUM_FLAGS, `--user-data-dir=${profile}`, url];
  const child = spawn(chromium, args, { stdio: "ignore" });
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  return {
    [Symbol.asyncDispose]: () => {
      child.kill("SIGTERM");
      return ended;
    },
  };
}

test("the bundle runs in Chromium, through the bridge and on a cassette", {
  timeoutMs: 180_000,
}, async () => {
  const chromium = await chromiumPath();
  const answer = script.say(["Hel", "lo."]);
  await using user = await machine([[answer], [script.exec("echo from the shell")], [answer]]);
  const cwd = await user.directory("project");
  const config = user.model.clientConfig({ codexPath: await codexPath() });
  const recorder = testing.Cassette.record(config);
  const recorded = await Client.connect(recorder.clientConfig());
  await recorded.run(cwd, "Say hello");
  await recorded.shutdown();

  const client = await Client.connect({ ...config, approvalTimeoutMs: 60_000 });
  const bridge = web.createBridge({
    client,
    authorize: () => "page",
    cwd,
    profile: { approvalPolicy: "untrusted" },
  });
  const path = await bundle("browser", user.workspace);
  const done = Promise.withResolvers<string>();
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    async (request) => {
      const { pathname } = new URL(request.url);
      if (pathname.startsWith("/codex/")) return await bridge.fetch(request);
      switch (pathname) {
        case "/":
          return new Response(HTML, { headers: { "content-type": "text/html" } });
        case "/browser.js":
          return new Response(await Deno.readTextFile(path), {
            headers: { "content-type": "text/javascript" },
          });
        case "/cassette":
          return Response.json({ text: recorder.toString(), cwd });
        case "/done":
          done.resolve(await request.text());
          return new Response("thanks");
        default:
          return new Response("not found", { status: 404 });
      }
    },
  );
  try {
    const profile = await user.directory("chromium");
    await using _browser = open(chromium, `http://127.0.0.1:${server.addr.port}/`, profile);
    assert.deepEqual(JSON.parse(await done.promise), {
      bridge: ["command", "0: from the shell\n", "Hel", "lo."],
      cassette: "Hello.",
      withoutServer: "spawn",
    });
  } finally {
    await bridge.close();
    await client.shutdown();
    await server.shutdown();
  }
});
