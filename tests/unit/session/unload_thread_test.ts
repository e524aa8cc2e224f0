import assert from "node:assert/strict";
import { RequestTimeoutError, RpcError, UnsupportedError } from "../../../src/errors/mod.ts";
import type { RuntimeCore } from "../../../src/runtime/mod.ts";
import { unloadThread } from "../../../src/session/mcp/offered_tools.ts";
import { test } from "../../_harness.ts";

const LIST = "thread/loaded/list";
const UNLOADED = [LIST, "thread/archive", "thread/unarchive"];

// version, attached, loaded, needed, agents, what is asked of codex, or none of it can be
const ROWS: [string, boolean, boolean, boolean, boolean, string[] | "refused"][] = [
  ["0.144.0", false, true, false, false, UNLOADED],
  ["0.144.0", false, true, true, true, UNLOADED],
  ["0.144.0", false, false, true, true, [LIST]],
  ["0.145.0", false, true, true, false, []],
  ["0.145.0", false, true, false, true, UNLOADED],
  // Others are at work there: what they have loaded stays.
  ["0.144.0", true, true, false, false, [LIST]],
  ["0.144.0", true, true, false, true, [LIST]],
  ["0.144.0", true, true, true, false, "refused"],
  ["0.144.0", true, false, true, false, [LIST]],
  // What is asked for takes effect all the same.
  ["0.145.0", true, true, true, true, [LIST]],
  ["0.145.0", true, true, true, false, []],
];

test("unloadThread() makes codex forget a thread where its settings or agents call for it", async (t) => {
  for (const [version, attached, loaded, needed, agents, expected] of ROWS) {
    const what = { version, attached, loaded, needed, agents };
    await t.step(JSON.stringify(what), async () => {
      const calls: string[] = [];
      const core = {
        server: { version },
        config: attached ? { transport: { type: "unix", path: "/a" } } : {},
        callNow: () => Promise.resolve({}),
        call: (method: string) => {
          calls.push(method);
          return Promise.resolve(method === LIST ? { data: loaded ? ["other", "t"] : [] } : {});
        },
      } as unknown as RuntimeCore;
      const unloading = unloadThread(core, "t", undefined, needed, agents);
      if (expected === "refused") await assert.rejects(unloading, UnsupportedError);
      else {
        await unloading;
        assert.deepEqual(calls, expected);
      }
    });
  }
});

test("unloadThread() asks again for a thread that codex is just releasing", async () => {
  const missing = [
    "thread/archive failed: failed to archive session: thread 01a2278a-9dbf-77d3-8c33-c02d8097624c not found",
    "thread 01a2278a-9dbf-77d3-8c33-c02d8097624c already has an active writer",
  ];
  const calls: string[] = [];
  const core = {
    server: { version: "0.169.0" },
    config: {},
    callNow: () => Promise.resolve({}),
    call: (method: string) => {
      calls.push(method);
      const words = method === "thread/archive" ? missing.shift() : undefined;
      return words === undefined
        ? Promise.resolve({ data: ["t"] })
        : Promise.reject(new RpcError(method, -32603, words, null));
    },
  } as unknown as RuntimeCore;
  await unloadThread(core, "t", undefined, false, true);
  const [list, archive, unarchive] = UNLOADED;
  assert.deepEqual(calls, [list, archive, archive, archive, unarchive]);
});

test("unloadThread() waits for a codex that closes a released thread by itself", async () => {
  for (
    const [version, asked] of [["0.105.0", UNLOADED], ["0.106.0", [LIST, LIST, LIST]], [
      "0.120.0",
      [LIST, LIST, LIST],
    ], ["0.121.0", UNLOADED]] as const
  ) {
    const calls: string[] = [];
    const core = {
      server: { version },
      config: {},
      callNow: () => Promise.resolve({}),
      call: (method: string) => {
        calls.push(method);
        return Promise.resolve({ data: calls.length < 3 ? ["t"] : [] });
      },
    } as unknown as RuntimeCore;
    await unloadThread(core, "t", undefined, false, false);
    assert.deepEqual(calls, asked, version);
  }
});

test("unloadThread() leaves no thread out of the history, though it is given up or gets no answer", async () => {
  const late = new RequestTimeoutError("thread/archive", 1);
  // What codex refuses it has not done.
  const refused = new RpcError("thread/archive", -32603, "no", null);
  for (const error of [null, late, refused]) {
    const controller = new AbortController();
    const reason = new Error("given up");
    const calls: string[] = [];
    const core = {
      server: { version: "0.169.0" },
      config: {},
      callNow: () => Promise.resolve({}),
      call: async (method: string, _: unknown, { signal }: { signal?: AbortSignal } = {}) => {
        calls.push(method);
        if (method === LIST) return { data: ["t"] };
        if (method === "thread/archive") controller.abort(reason);
        signal?.throwIfAborted();
        if (method === "thread/archive" && error !== null) throw error;
        return await Promise.resolve({});
      },
    } as unknown as RuntimeCore;
    await assert.rejects(
      unloadThread(core, "t", controller.signal, false, true),
      (thrown) => thrown === (error ?? reason),
    );
    assert.deepEqual(calls, error === refused ? UNLOADED.slice(0, 2) : UNLOADED);
  }
});
