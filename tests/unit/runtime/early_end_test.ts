/** A server that ends in the moment in which the start is over, and one that does not end with the client. */
import assert from "node:assert/strict";
import { ConnectionClosedError, IncompatibleVersionError } from "../../../src/errors/mod.ts";
import type { RestartPolicy } from "../../../src/runtime/config.ts";
import { Runtime } from "../../../src/runtime/runtime.ts";
import { type MemoryEnd, memoryPair } from "../../../src/transport/memory.ts";
import { NEWEST_CODEX } from "../../_codex.ts";
import { test } from "../../_harness.ts";

/** The first server ends `hops` microtasks after it was told `initialized`; those that follow stay. */
function start(hops: number, restart: RestartPolicy): Promise<Runtime> {
  let servers = 0;
  const take = async (server: MemoryEnd, number: number, line: string) => {
    const { id, method } = JSON.parse(line);
    const result = method === "initialize" ? { userAgent: `t/${NEWEST_CODEX} (x)` } : {};
    if (id !== undefined) server.send(JSON.stringify({ id, result }));
    if (method !== "initialized" || number > 1) return;
    for (let hop = 0; hop < hops; hop++) await undefined;
    server.close({ exit: { code: 3, signal: null } });
  };
  const open = () => {
    const { client, server } = memoryPair();
    const number = ++servers;
    server.onLine((line) => void take(server, number, line));
    return Promise.resolve(client);
  };
  const clientInfo = { name: "t", version: "1" };
  return Runtime.spawn({ transport: { type: "custom", open }, clientInfo, restart });
}

const isExit = (error: unknown) => error instanceof ConnectionClosedError && error.exit?.code === 3;

test("a server that ends while the start ends is never taken for a running one", async () => {
  for (let hops = 0; hops < 24; hops++) {
    const told = await start(hops, { type: "never" }).catch((error: unknown) => error);
    if (!(told instanceof Runtime)) {
      assert.ok(isExit(told));
      continue;
    }
    // Ends when the connection is closed for good.
    for await (const event of told.events({ after: 0 })) void event;
    assert.equal(told.connection, "closed");
    await assert.rejects(told.request("thread/loaded/list", {}), isExit);
    await told.shutdown();
  }
});

test("a server that ends while the start ends is followed by another one", async () => {
  for (let hops = 0; hops < 24; hops++) {
    const restart: RestartPolicy = { type: "onCrash", baseDelayMs: 0 };
    const told = await start(hops, restart).catch((error: unknown) => error);
    if (!(told instanceof Runtime)) {
      assert.ok(isExit(told));
      continue;
    }
    for await (const { kind, message } of told.events({ after: 0 })) {
      const { state, generation } = message as { state?: string; generation?: number };
      if (kind === "connection" && state === "running" && generation === 2) break;
    }
    await told.request("thread/loaded/list", {});
    await told.shutdown();
  }
});

/** Lets long timers fire at once, while `work` runs; gives their milliseconds as well. */
async function hurried<T>(work: () => Promise<T>): Promise<[result: T, long: number[]]> {
  const { setTimeout } = globalThis;
  const long: number[] = [];
  const hurry = (callback: () => void, ms = 0) => {
    if (ms >= 10_000) long.push(ms);
    return setTimeout(callback, ms < 10_000 ? ms : 0);
  };
  globalThis.setTimeout = hurry as typeof setTimeout;
  try {
    return [await work(), long];
  } finally {
    globalThis.setTimeout = setTimeout;
  }
}

/** Answers whatever it is asked. */
function answering(server: MemoryEnd): void {
  server.onLine((line) => {
    const { id } = JSON.parse(line);
    const result = { userAgent: `t/${NEWEST_CODEX} (x)` };
    if (id !== undefined) server.send(JSON.stringify({ id, result }));
  });
}

test("a transport that heeds neither its signal nor its close does not hold shutdown()", async () => {
  const never = new Promise<never>(() => {});
  const ends: MemoryEnd[] = [];
  /** Opens nothing more after its first, which does not end. */
  let reopens = Promise.withResolvers<void>();
  const open = () => {
    if (ends.length > 0) {
      reopens.resolve();
      return never;
    }
    const { client, server } = memoryPair();
    ends.push(server);
    answering(server);
    client.close = () => never;
    return Promise.resolve(client);
  };
  for (const restarts of [false, true]) {
    ends.length = 0;
    reopens = Promise.withResolvers();
    const runtime = await Runtime.spawn({
      transport: { type: "custom", open },
      clientInfo: { name: "t", version: "1" },
      restart: { type: "onCrash", baseDelayMs: 0 },
      closeGraceMs: 700,
    });
    if (restarts) {
      ends[0]!.close({ exit: { code: 3, signal: null } });
      await reopens.promise;
    }
    const [{ gone, how }, long] = await hurried(() => runtime.shutdown());
    assert.deepEqual([gone, how], [false, "unknown"]);
    // The library's own end within three graces, and some.
    assert.deepEqual(long, [4 * 700 + 10_000]);
    assert.equal(runtime.connection, "closed");
  }
});

test("a transport whose close() rejects costs neither the report nor the sinks' end", async () => {
  const { client, server } = memoryPair();
  answering(server);
  client.close = () => Promise.reject(new Error("it can't be closed"));
  let ended = 0;
  const runtime = await Runtime.spawn({
    transport: { type: "custom", open: () => Promise.resolve(client) },
    clientInfo: { name: "t", version: "1" },
    eventLog: { write: () => {}, close: () => Promise.resolve(void ended++) },
  });
  const { gone, how } = await runtime.shutdown();
  assert.deepEqual([gone, how, ended], [false, "unknown", 1]);
});

test("a transport that is opened too late for who gave up holds nobody, and is closed", async () => {
  const { client } = memoryPair();
  const opening = Promise.withResolvers<typeof client>();
  const closed = Promise.withResolvers<void>();
  client.close = () => {
    closed.resolve();
    return Promise.reject(new Error("it can't be closed"));
  };
  const { signal, abort } = given();
  const spawning = Runtime.spawn({
    transport: {
      type: "custom",
      open: () => {
        queueMicrotask(abort);
        return opening.promise;
      },
    },
    signal,
  });
  await assert.rejects(spawning, (error) => error === signal.reason);
  opening.resolve(client);
  await closed.promise;
});

test("a transport whose close() rejects does not hide why the start has failed", async () => {
  const { client, server } = memoryPair();
  server.onLine((line) => {
    server.send(JSON.stringify({ id: JSON.parse(line).id, result: { userAgent: "t/0.1.0 (x)" } }));
  });
  client.close = () => Promise.reject(new Error("it can't be closed"));
  const transport = { type: "custom", open: () => Promise.resolve(client) } as const;
  await assert.rejects(
    Runtime.spawn({ transport, clientInfo: { name: "t", version: "1" } }),
    IncompatibleVersionError,
  );
});

test("a transport that can't write ends the connection, and not the script", async () => {
  for (const write of [() => Promise.reject(new Error("full")), () => fail()]) {
    const { client } = memoryPair();
    client.write = write;
    const transport = { type: "custom", open: () => Promise.resolve(client) } as const;
    await assert.rejects(Runtime.spawn({ transport }), (error) => {
      return error instanceof ConnectionClosedError && /could not write: full/.test(error.message);
    });
  }
});

function given(): { signal: AbortSignal; abort: () => void } {
  const controller = new AbortController();
  return { signal: controller.signal, abort: () => controller.abort(new Error("given up")) };
}

function fail(): never {
  throw new Error("full");
}
