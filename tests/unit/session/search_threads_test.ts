/** Looking for words in all threads. */
import assert from "node:assert/strict";
import { mkdir, symlink } from "node:fs/promises";
import { join, relative, resolve } from "node:path";
import process from "node:process";
import type { JsonObject } from "../../../src/json.ts";
import type { RuntimeCore } from "../../../src/runtime/core.ts";
import { listThreads } from "../../../src/session/history/pages.ts";
import { searchThreads } from "../../../src/session/history/search.ts";
import { test } from "../../_harness.ts";
import { tempDir } from "../../_temp.ts";

test("a relative directory is one of this script's, and a link to one is that one", async () => {
  await using directory = await tempDir("threads");
  const [real, link] = [join(directory.path, "real"), join(directory.path, "link")];
  await mkdir(real);
  await symlink(real, link, "junction");
  const asked: unknown[] = [];
  const core = (version: string, config?: JsonObject) =>
    ({
      server: { version },
      config,
      traffic: { bytesIn: 0 },
      call: (method: string, { cwd }: JsonObject) => {
        if (method === "thread/list") asked.push(cwd);
        const thread = { id: "t", cwd: real, createdAt: 0, updatedAt: 0, preview: "" };
        return Promise.resolve({ data: [{ ...thread, thread }], nextCursor: null });
      },
    }) as unknown as RuntimeCore;
  const { signal } = new AbortController();
  const found = async (cwd: string) => {
    const hits = [];
    for await (const hit of searchThreads(core("0.169.0"), "pears", { cwd }, signal)) {
      hits.push(hit);
    }
    return hits.length;
  };
  const here = relative(process.cwd(), real);
  assert.deepEqual(await Promise.all([real, here, `./${here}`, link, "."].map(found)), [
    1,
    1,
    1,
    1,
    0,
  ]);
  const remote = { transport: { type: "websocket", url: "ws://127.0.0.1:1" } };
  for (const config of [{}, remote]) {
    for await (const _ of listThreads(core("0.169.0", config), { cwd: here })) break;
  }
  assert.deepEqual([resolve(String(asked[0])), asked[1]], [real, here]);
  assert.notEqual(asked[0], here);
});

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

/** Threads as codex pages them: told by the millisecond, with a cursor that is cut to the second but where they are sorted by changes. */
function pagingCore(hits: { id: string; at: number }[], named: boolean) {
  let calls = 0;
  type Params = { cursor: string | null; limit: number; sortKey?: string };
  const call = (method: string, params: Params) => {
    assert.ok(++calls < 60, "the pages end");
    const [time, before = ""] = (params.cursor ?? "9999-01-01T00:00:00Z").split("|");
    const from = Date.parse(time!);
    const rest = hits.filter(({ id, at }) => at < from || (at === from && id < before));
    const page = rest.slice(0, params.limit);
    const last = page.at(-1);
    // Codex writes no zeros at the end of a fraction, nor an empty one.
    const whole = last && new Date(last.at).toISOString().replace(/\.?0+Z$/, "Z");
    const second = params.sortKey === "updated_at" ? whole : whole?.replace(/\.\d+/, "");
    return Promise.resolve({
      data: page.map(({ id }) => method === "thread/list" ? { id } : { thread: { id } }),
      nextCursor: rest.length > params.limit ? `${second}${named ? `|${last!.id}` : ""}` : null,
    });
  };
  return {
    server: { version: "0.169.0" },
    traffic: { bytesIn: 0 },
    call,
  } as unknown as RuntimeCore;
}

for (const named of [true, false]) {
  test(`no thread of the second in which a page ends is lost${named ? ", nor by ids" : ""}`, async () => {
    // Newest first: some of one second, and more of another than a page has.
    const times = [5_900, 5_800, 5_700, 5_600, 5_000, ...Array(40).fill(3_500), 1_000, 500];
    const hits = times.map((at, i) => ({ id: `t${99 - i}`, at }));
    const ids = hits.map(({ id }) => id);
    const found: string[] = [];
    const { signal } = new AbortController();
    for await (const hit of searchThreads(pagingCore(hits, named), "pears", {}, signal)) {
      found.push(hit.thread.threadId);
    }
    assert.deepEqual(found, ids);
    for (const sortKey of ["created_at", "updated_at"] as const) {
      for (const pageSize of [1, 2, 3, 50]) {
        const listed: string[] = [];
        for await (const thread of listThreads(pagingCore(hits, named), { pageSize, sortKey })) {
          listed.push(thread.threadId);
        }
        assert.deepEqual(listed, ids, `pages of ${pageSize} by ${sortKey}`);
      }
    }
  });
}

test("a second of more threads than a page can have ends, and is whole where cursors name threads", async () => {
  const times = [5_000, ...Array(250).fill(3_000), 1_000];
  const hits = times.map((at, i) => ({ id: `t${500 - i}`, at }));
  for (const named of [true, false]) {
    const listed: string[] = [];
    for (const sortKey of ["created_at", "updated_at"] as const) {
      for await (const thread of listThreads(pagingCore(hits, named), { sortKey })) {
        listed.push(thread.threadId);
      }
    }
    const ids = new Set(listed);
    assert.equal(listed.length, 2 * ids.size, "each of them once");
    assert.equal(ids.size, named ? hits.length : 102);
    let found = 0;
    const { signal } = new AbortController();
    for await (const _ of searchThreads(pagingCore(hits, named), "x", {}, signal)) found++;
    assert.equal(found, named ? hits.length : 52);
  }
});

test("a search ends where codex gives one cursor for ever, or one that is no time", async () => {
  for (const nextCursor of ["1970-01-01T00:00:05Z", "five"]) {
    let calls = 0;
    const core = {
      server: { version: "0.169.0" },
      traffic: { bytesIn: 0 },
      call: () => {
        assert.ok(++calls < 50, "the search ends");
        return Promise.resolve({ data: [{ thread: { id: "t" } }], nextCursor });
      },
    } as unknown as RuntimeCore;
    const list = {
      call: () => Promise.resolve({ data: [{ id: "t" }], nextCursor }),
    } as unknown as RuntimeCore;
    let found = 0;
    for await (const _ of searchThreads(core, "x", {}, new AbortController().signal)) found++;
    assert.equal(found, 1);
    let listed = 0;
    for await (const _ of listThreads(list, {})) listed++;
    assert.equal(listed, 1);
  }
});
