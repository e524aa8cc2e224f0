import assert from "node:assert/strict";
import { type MemoryEnd, memoryPair } from "../../../src/transport/memory.ts";
import type { Transport, TransportClosed } from "../../../src/transport/transport.ts";
import { test } from "../../_harness.ts";

function listen(client: Transport): { log: string[]; closed: Promise<TransportClosed> } {
  const log: string[] = [];
  const closed = new Promise<TransportClosed>((resolve) =>
    client.start({
      text: (message) => log.push(message),
      bytes: (chunk) => log.push(`bytes:${new TextDecoder().decode(chunk)}`),
      closed: (info) => {
        log.push("closed");
        resolve(info);
      },
    })
  );
  return { log, closed };
}

async function next(server: MemoryEnd): Promise<string | undefined> {
  const { value, done } = await server.lines.next();
  return done ? undefined : value;
}

test("memoryPair() carries messages both ways, in order, none before start() lost", async () => {
  const { client, server } = memoryPair();
  server.send("early");
  server.sendBytes(new TextEncoder().encode("{}\n"));
  const { log, closed } = listen(client);
  await client.write("a\nb\n");
  await client.write("c\n");
  assert.deepEqual([await next(server), await next(server), await next(server)], ["a", "b", "c"]);
  server.send("late");
  server.close();
  assert.deepEqual(await closed, { exit: { code: 0, signal: null }, stderrTail: "" });
  assert.deepEqual(log, ["early", "bytes:{}\n", "late", "closed"]);
  assert.equal(await next(server), undefined);
});

test("memoryPair() never delivers within the call that sends", async () => {
  const { client, server } = memoryPair();
  const { log } = listen(client);
  const seen: string[] = [];
  server.onLine((line) => seen.push(line));
  server.send("x");
  client.write("y\n");
  assert.deepEqual([...log, ...seen], []);
  await Promise.resolve();
  assert.deepEqual([...log, ...seen], ["x", "y"]);
});

test("memoryPair() onLine() gets what came before it, and what an answer triggers", async () => {
  const { client, server } = memoryPair();
  const { log, closed } = listen(client);
  await client.write("1\n2\n");
  server.onLine((line) => server.send(`echo ${line}`));
  await client.write("3\n");
  await client.close();
  await closed;
  assert.deepEqual(log.at(-1), "closed");
});

test("memoryPair() close() ends the server's lines, reports, and is the same promise twice", async () => {
  const { client, server } = memoryPair();
  const { log, closed } = listen(client);
  const waiting = next(server);
  const report = client.close();
  assert.equal(client.close(), report);
  assert.deepEqual(await report, {
    gone: true,
    how: "eof",
    exit: { code: 0, signal: null },
    durationMs: 0,
  });
  assert.equal(await waiting, undefined);
  await server.closed;
  await closed;
  server.send("too late");
  await client.write("too late\n");
  await Promise.resolve();
  assert.deepEqual(log, ["closed"]);
});

test("memoryPair() shows a crash with its exit and stderr", async () => {
  const { client, server } = memoryPair({ maxOutboundBytes: 10, pid: 7 });
  assert.equal(client.maxOutboundBytes, 10);
  assert.equal(client.pid, 7);
  server.close({ exit: { code: null, signal: "SIGKILL" }, stderrTail: "oops" });
  const { closed } = listen(client);
  assert.deepEqual(await closed, {
    exit: { code: null, signal: "SIGKILL" },
    stderrTail: "oops",
  });
  assert.equal(client.stderrTail(), "oops");
  assert.equal((await client.close()).how, "alreadyExited");
});
