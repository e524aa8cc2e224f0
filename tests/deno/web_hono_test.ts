/** The bridge inside Hono, beside an application's own routes. */
import assert from "node:assert/strict";
import { Hono } from "npm:hono@4.13.19";
import { SseClient, textOf } from "../contract/web_sse_client.ts";
import { serve } from "../contract/web_serve.ts";
import { inWorld } from "../contract/web_world.ts";
import { test } from "../_harness.ts";

test(
  "the bridge mounts in Hono unchanged",
  { denoOnly: "npm:hono" },
  () =>
    inWorld({}, async (world) => {
      const app = new Hono();
      app.get("/", (c) => c.text("the application"));
      app.all("/codex/*", (c) => world.bridge.fetch(c.req.raw));
      const server = serve(app.fetch);
      const headers = { "x-tenant": "ann", "content-type": "application/json" };
      const at = (path: string) => server.origin + path;
      try {
        assert.equal(await (await fetch(at("/"))).text(), "the application");
        assert.equal((await (await fetch(at("/codex/health"))).json()).status, "ok");
        const created = await fetch(at("/codex/sessions"), { method: "POST", headers, body: "{}" });
        assert.equal(created.status, 201);
        const { sessionId } = await created.json();
        const path = `/codex/sessions/${sessionId}`;
        const events = new SseClient(await fetch(at(`${path}/events`), { headers }));
        const turn = await fetch(at(`${path}/turns`), {
          method: "POST",
          headers,
          body: JSON.stringify({ text: "hi" }),
        });
        assert.equal(turn.status, 202);
        await turn.body?.cancel();
        assert.equal(textOf(await events.untilTurnEnds()), "ok");
        await events.drop();
        const none = await fetch(at("/codex/sessions"));
        assert.deepEqual([none.status, (await none.json()).code], [401, "unauthorized"]);
      } finally {
        await server.close();
      }
    }),
);
