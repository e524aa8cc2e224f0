/** Who is told what a listener of one call did wrong. */
import assert from "node:assert/strict";
import { test } from "../_harness.ts";
import { onFake, quickReview } from "./session_world.ts";

const SECRET = "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789";

function fails(event: { type: string }): void {
  if (event.type === "turnStarted") throw new Error(`no ${SECRET}`);
}

test("an onEvent that throws is told to all who listen to the session, without secrets", async () => {
  await onFake({ server: { methods: { "review/start": quickReview } } }, async ({ session }) => {
    const calls = {
      ask: () => session.ask("x", { onEvent: fails }),
      later: () =>
        session.ask("x", { onEvent: (event) => Promise.resolve().then(() => fails(event)) }),
      stream: async () => {
        const stream = await session.askStream("x", { onEvent: fails });
        let told = 0;
        for await (const event of stream) if (event.type === "warning") told++;
        assert.equal(told, 1);
      },
      review: () => session.review({ type: "uncommitted" }, { onEvent: fails }),
    };
    for (const [name, call] of Object.entries(calls)) {
      const warnings: string[] = [];
      const events = session.events();
      const listened = (async () => {
        for await (const event of events) {
          if (event.type === "warning") warnings.push(event.message);
        }
      })();
      await call();
      // All that is queued is read in microtasks.
      await new Promise((resolve) => setTimeout(resolve));
      await events.return!();
      await listened;
      assert.equal(warnings.length, 1, name);
      assert.match(warnings[0]!, /^onEvent threw: no /);
      assert.ok(!warnings[0]!.includes(SECRET), name);
    }
  });
});
