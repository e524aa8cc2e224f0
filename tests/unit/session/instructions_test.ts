/** Instructions that are told a thread that goes on: not again what its file says. */
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { JsonObject } from "../../../src/json.ts";
import type { RuntimeConfig } from "../../../src/runtime/config.ts";
import type { RuntimeCore } from "../../../src/runtime/core.ts";
import { tellInstructions } from "../../../src/session/thread/instructions.ts";
import { test } from "../../_harness.ts";
import { tempDir } from "../../_temp.ts";

test("a thread is told instructions that neither its file nor this process knows of", async () => {
  await using dir = await tempDir("instructions-");
  const path = join(dir.path, "rollout.jsonl");
  const old = 'Be "brief".\n\u00e9';
  const message = {
    type: "message",
    role: "developer",
    content: [{ type: "input_text", text: old }],
  };
  // The settings of a turn name what its model was never told.
  const turn = { type: "turn_context", payload: { developer_instructions: "Be long." } };
  const lines = [{ type: "response_item", payload: message }, turn];
  await writeFile(path, lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
  const told: string[] = [];
  const core = (version: string, config: RuntimeConfig = {}) =>
    ({
      server: { version },
      config,
      call: (method: string, params: JsonObject) => {
        if (method === "thread/read") return Promise.resolve({ thread: { path } });
        assert.equal(method, "thread/inject_items");
        told.push(JSON.stringify(params));
        return Promise.resolve({});
      },
    }) as unknown as RuntimeCore;
  const now = core("0.169.0");
  await tellInstructions(now, "t1", "t1", old);
  await tellInstructions(now, null, "t2", "Be long.");
  await tellInstructions(now, "t2", "t2", "Be long.");
  assert.deepEqual(told, []);
  await tellInstructions(now, "t1", "t3", "Be long.");
  assert.equal(told.length, 1);
  assert.match(told[0]!, /"threadId":"t3".*"developer".*"Be long\."/);
  await tellInstructions(now, "t3", "t3", "Be long.");
  assert.equal(told.length, 1);
  // What was told last counts, and not that the file has it as well.
  await tellInstructions(now, "t3", "t3", old);
  assert.equal(told.length, 2);
  // What was told after its beginning may be gone from a thread that was taken back, and is not in a copy of its first turns.
  await tellInstructions(now, "t3", "t3", old, true);
  await tellInstructions(now, "t3", "t6", old, true);
  assert.equal(told.length, 4);
  await tellInstructions(now, "t1", "t1", old, true);
  await tellInstructions(now, "t2", "t7", "Be long.", true);
  assert.equal(told.length, 4);
  await writeFile(path, `{"payload":{"type":"task_complete"}}\n${JSON.stringify(message)}\n`);
  await tellInstructions(now, "t8", "t9", old, true);
  assert.equal(told.length, 5);
  // The file that another machine names is not this one's.
  const remote = core("0.169.0", { transport: { type: "websocket", url: "wss://a" } });
  await tellInstructions(remote, "t5", "t5", old);
  assert.equal(told.length, 6);
  // Codex that can't be told, or tells by itself.
  await tellInstructions(core("0.116.0"), "t4", "t4", "Be odd.");
  assert.equal(told.length, 6);
});
