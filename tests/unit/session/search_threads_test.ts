/** Looking for words in all threads. */
import assert from "node:assert/strict";
import type { JsonObject } from "../../../src/json.ts";
import type { RuntimeCore } from "../../../src/runtime/core.ts";
import { searchThreads } from "../../../src/session/history/search.ts";
import { test } from "../../_harness.ts";

test("a search ends with as many threads as were asked for, of the directory that was", async () => {
  const asked: JsonObject[] = [];
  const core = {
    server: { version: "0.169.0" },
    traffic: { bytesIn: 0 },
    call: (_method: string, params: JsonObject) => {
      asked.push(params);
      const hits = ["/a", "/b", "/a", "/a"].map((cwd, at) => ({
        thread: { id: `t${at}`, cwd, createdAt: 0, updatedAt: 0, preview: "" },
        snippet: "pears",
      }));
      return Promise.resolve({ data: hits, nextCursor: null });
    },
  } as unknown as RuntimeCore;
  const found = async (options: { cwd?: string; limit?: number }) => {
    const ids: string[] = [];
    const { signal } = new AbortController();
    for await (const hit of searchThreads(core, "pears", options, signal)) {
      ids.push(hit.thread.threadId);
    }
    return ids;
  };
  assert.deepEqual(await found({}), ["t0", "t1", "t2", "t3"]);
  assert.deepEqual(await found({ limit: 1 }), ["t0"]);
  assert.deepEqual(await found({ cwd: "/a", limit: 2 }), ["t0", "t2"]);
  assert.equal(asked[0]!["searchTerm"], "pears");
});
