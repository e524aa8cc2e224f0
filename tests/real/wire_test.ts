/** What this side writes is read by the real codex, whatever callers and models put into it. */
import assert from "node:assert/strict";
import { RpcValidationError } from "../../src/errors/mod.ts";
import type { JsonValue } from "../../src/json.ts";
import { script } from "../../src/testing/mod.ts";
import { test } from "../_harness.ts";
import { inWorld, rejection, SOON_MS, within } from "./_session_world.ts";

const HALF = "half \ud83c";

for (const version of ["0.169.0", "0.104.0"] as const) {
  test(`codex ${version} answers every line that is sent`, async (t) => {
    await inWorld(version, async (world) => {
      const client = await world.connect({ requestTimeoutMs: SOON_MS });
      await t.step(
        "half an emoji costs neither prompt, instructions, tool result nor session",
        async () => {
          const session = await client.startSession({
            cwd: world.cwd,
            developerInstructions: HALF,
            config: { "shell_environment_policy.set.HALF": HALF },
            tools: {
              half: { description: HALF, inputSchema: { type: "object" }, run: () => HALF },
            },
          });
          const prompt = world.prompt([[script.toolCall("half", {})], "done"], HALF);
          const asked = await within(SOON_MS, "the prompt", session.ask(prompt));
          assert.equal(asked.assistantText, "done");
          const seen = JSON.stringify(world.model.requests);
          assert.ok(seen.includes("half \ufffd"), "the model reads the replacement");
          const stream = await session.askStream(
            world.prompt([[script.delay(500), "late"], "later"]),
          );
          await stream.steer(HALF);
          await stream.finish();
          await session.close();
        },
      );
      await t.step(
        "the deepest line that is sent is answered, a deeper one is refused here",
        async () => {
          await client.runtime.request("model/list", { x: nested(125) });
          const error = await rejection(client.runtime.request("model/list", { x: nested(126) }));
          assert.ok(error instanceof RpcValidationError);
          assert.match(error.message, /more than 127 levels/);
          await assert.rejects(client.runtime.notify("x", [1n] as never), RpcValidationError);
          await client.models();
        },
      );
    });
  });
}

function nested(levels: number): JsonValue {
  let value: JsonValue = 1;
  for (let level = 0; level < levels; level++) value = level % 2 === 0 ? [value] : { a: value };
  return value;
}
