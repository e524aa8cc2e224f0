/** What the model wrote, where codex tells only a part of a patch. */
import assert from "node:assert/strict";
import { appendFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  concealed,
  openCalls,
  sectionsOf,
  type ThreadFiles,
} from "../../../src/runtime/diagnose/written_patch.ts";
import type { JsonObject } from "../../../src/json.ts";
import { test } from "../../_harness.ts";
import { tempDir } from "../../_temp.ts";

const line = (payload: JsonObject) => `${JSON.stringify({ type: "response_item", payload })}\n`;
const call = (input: string, call_id = "c") => ({ type: "custom_tool_call", call_id, input });
const answer = { type: "custom_tool_call_output", call_id: "c", output: "done" };
const ONE = "*** Begin Patch\n*** Add File: a\n+*** Add File: b\n*** End Patch";
const TWO = "*** Begin Patch\n*** Add File: a\n+x\n*** Delete File: a\n*** End Patch";

test("sectionsOf() counts whatever codex may take for a change of a file", () => {
  const odd =
    "*** Begin Patch\r\n \t*** Update File: a\r\n@@\n\u0085*** Delete File: b\n*** End Patch";
  const script = `cd x && apply_patch <<'EOF'\n${TWO}\nEOF`;
  const cases: [JsonObject, number][] = [
    [call(ONE), 1],
    [call(TWO), 2],
    [call(odd), 2],
    [{ type: "function_call", arguments: JSON.stringify({ cmd: script }) }, 2],
    [{ type: "function_call", arguments: JSON.stringify({ command: ["apply_patch", ONE] }) }, 1],
    [{ type: "local_shell_call", action: { command: ["bash", "-lc", script] } }, 2],
    [{ type: "function_call", arguments: `{"input":` }, 0],
  ];
  for (const [item, count] of cases) assert.equal(sectionsOf(item), count, JSON.stringify(item));
});

test("sectionsOf() takes a time that grows with the text only", () => {
  const began = performance.now();
  for (const part of ["\n", " \n", "*** ", " ", "***  \n", "\u2028"]) {
    sectionsOf(call(part.repeat(200_000)));
  }
  assert.ok(performance.now() - began < 5_000);
});

test("openCalls() finds the calls of an id since its last answer", () => {
  const before = line(call(TWO)) + line(answer);
  assert.deepEqual(openCalls(before, "c"), []);
  assert.deepEqual(openCalls(before + line(call(TWO, "d")) + line(call(ONE)), "c"), [call(ONE)]);
  assert.equal(openCalls(before + line(call(ONE)) + line(call(TWO)), "c").length, 2);
  assert.deepEqual(openCalls(`"call_id"}}\n${line(call(ONE)).slice(0, 40)}`, "c"), []);
});

test("what nobody can read is not accepted, and what is being written is waited for", async () => {
  await using dir = await tempDir("patch-");
  const file = join(dir.path, "rollout.jsonl");
  const patch = { threadId: "t", callId: "c", told: 1 };
  const files = (own: Partial<ThreadFiles> = {}): ThreadFiles => ({
    path: file,
    local: true,
    call: () => Promise.reject(new Error("no such method")),
    signal: new AbortController().signal,
    ...own,
  });
  assert.match((await concealed(patch, files({ path: null })))!, /could not be read/);
  const asked = concealed(patch, files());
  await writeFile(file, line(call(TWO)) + line(answer));
  await appendFile(file, line(call(ONE)));
  assert.equal(await asked, null);
  assert.match((await concealed({ ...patch, told: 2 }, files()))!, /more changes/);

  // Where the script may not read it, the server does.
  const dataBase64 = btoa(line(call(TWO)));
  const server = files({
    path: null,
    local: false,
    call: (method) =>
      Promise.resolve(method === "thread/read" ? { thread: { path: "/r" } } : { dataBase64 }),
  });
  assert.match((await concealed(patch, server))!, /more changes/);
  assert.equal(await concealed({ ...patch, told: 2 }, server), null);

  // So does 0.104, which reads no files.
  const old = files({
    local: false,
    call: (method) =>
      method === "command/exec"
        ? Promise.resolve({ exitCode: 0, stdout: line(call(TWO)), stderr: "" })
        : Promise.reject(new Error("no such method")),
  });
  assert.match((await concealed(patch, old))!, /more changes/);

  const given = new AbortController();
  given.abort();
  await writeFile(file, line(answer));
  assert.match((await concealed(patch, files({ signal: given.signal })))!, /could not be read/);
});
