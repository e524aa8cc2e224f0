/** What leaves for an editor, whatever codex said. */
import assert from "node:assert/strict";
import { Peer } from "../../../src/adapters/acp/peer.ts";
import { Fault, type SessionNotification } from "../../../src/adapters/acp/wire.ts";
import type { JsonObject, JsonValue } from "../../../src/json.ts";
import { test } from "../../_harness.ts";

/** An object in an object, so many levels deep. */
function nested(levels: number): JsonObject {
  let value: JsonObject = { end: "here" };
  for (let level = 1; level < levels; level++) value = { in: value };
  return value;
}

test("what is nested too deep for a message is cut there, and holds nothing else up", async () => {
  const toAgent = new TransformStream<Uint8Array, Uint8Array>();
  const toClient = new TransformStream<Uint8Array, Uint8Array>();
  const peer = new Peer({ readable: toAgent.readable, writable: toClient.writable }, {
    request: () => Promise.resolve(nested(200)),
    notification: () => {},
    fault: () => new Fault(-32603, "no"),
  });
  const running = peer.run(undefined);
  const update = (rawInput: JsonValue): SessionNotification => ({
    sessionId: "s",
    update: { sessionUpdate: "tool_call", toolCallId: "t", title: "t", rawInput } as never,
  });
  peer.update(update(nested(120)));
  peer.update(update(nested(126)));
  peer.update(update([1, Infinity, "last"]));
  // A question is put whole or not at all.
  const never = new AbortController().signal;
  await assert.rejects(peer.call("ask", nested(127), never), /nested/);
  const lines = toClient.readable.getReader();
  const decoder = new TextDecoder();
  let text = "";
  const next = async (): Promise<JsonObject> => {
    while (!text.includes("\n")) text += decoder.decode((await lines.read()).value);
    const at = text.indexOf("\n");
    const line = text.slice(0, at);
    text = text.slice(at + 1);
    return JSON.parse(line);
  };
  // deno-lint-ignore no-explicit-any
  const input = async () => (await next() as any).params.update.rawInput;
  assert.deepEqual(await input(), nested(120));
  const cut = JSON.stringify(await input());
  assert.match(cut, /^(\{"in":)+"…"\}+$/);
  assert.deepEqual(await input(), [1, null, "last"]);
  const writer = toAgent.writable.getWriter();
  await writer.write(new TextEncoder().encode('{"jsonrpc":"2.0","id":7,"method":"x"}\n'));
  const { id, result } = await next();
  assert.equal(id, 7);
  assert.match(JSON.stringify(result), /^(\{"in":)+"…"\}+$/);
  await writer.close();
  await running;
  await peer.finish();
});

test("whoever calls with a message that is too large is told, and goes on", async () => {
  const toAgent = new TransformStream<Uint8Array, Uint8Array>();
  const toClient = new TransformStream<Uint8Array, Uint8Array>();
  const peer = new Peer({ readable: toAgent.readable, writable: toClient.writable }, {
    request: () => Promise.resolve({}),
    notification: () => {},
    fault: () => new Fault(-32603, "no"),
  });
  const running = peer.run(undefined);
  const writer = toAgent.writable.getWriter();
  const lines = toClient.readable.getReader();
  const answer = async () => JSON.parse(new TextDecoder().decode((await lines.read()).value));
  const write = (text: string) => writer.write(new TextEncoder().encode(text));
  const megabyte = new Uint8Array(1 << 20).fill(65);
  const begins = [
    [7, '{"jsonrpc":"2.0","id":7,"method":"m",'],
    // An answer, whose name is one of the agent's.
    [null, '{"jsonrpc":"2.0","id":3,'],
  ] as const;
  for (const [id, begin] of begins) {
    await write(`${begin}"params":{"data":"`);
    for (let sent = 0; sent < 64; sent++) await writer.write(megabyte);
    await write('"}}\n');
    const told = await answer();
    assert.deepEqual([told.id, told.error.code], [id, -32600]);
  }
  await write('{"jsonrpc":"2.0","id":8,"method":"m"}\n');
  assert.deepEqual(await answer(), { jsonrpc: "2.0", id: 8, result: {} });
  await writer.close();
  await running;
  await peer.finish();
});

test("a client that reads nothing does not let what waits for it grow for ever", async () => {
  const written: Uint8Array[] = [];
  const stalled = new WritableStream<Uint8Array>({
    write: (chunk) => {
      written.push(chunk);
      return new Promise(() => {});
    },
  });
  const { readable } = new TransformStream<Uint8Array, Uint8Array>();
  const peer = new Peer({ readable, writable: stalled }, {
    request: () => Promise.resolve({}),
    notification: () => {},
    fault: () => new Fault(-32603, "no"),
  });
  const running = peer.run(undefined);
  const text = "x".repeat(1 << 20);
  const tell = (n: number) =>
    peer.update({
      sessionId: "s",
      update: {
        sessionUpdate: "agent_message_chunk",
        content: { type: "text", text },
        messageId: `${n >> 1}`,
      },
    });
  // What is said at once is written at once, however much it is.
  for (let n = 0; n < 3; n++) tell(n);
  while (written.length === 0) await Promise.resolve();
  let count = 0;
  while (!peer.closed.aborted && count < 1_000) tell(count++);
  assert.ok(count > 200 && count < 300, `${count} MiB`);
  await running;
  assert.equal(written.length, 1);
});

test("a client that reads late is told all, however much it is together", async () => {
  let [begun, taken] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const late = new WritableStream<Uint8Array>({
    write: () => {
      begun.resolve();
      return taken.promise;
    },
  });
  const { readable } = new TransformStream<Uint8Array, Uint8Array>();
  const peer = new Peer({ readable, writable: late }, {
    request: () => Promise.resolve({}),
    notification: () => {},
    fault: () => new Fault(-32603, "no"),
  });
  const over = new AbortController();
  const running = peer.run(over.signal);
  const content = { type: "text", text: "x".repeat(100 << 20) } as const;
  for (const messageId of ["1", "2", "3", "4"]) {
    const update = { sessionUpdate: "agent_message_chunk", content, messageId } as const;
    peer.update({ sessionId: "s", update });
    // What was said before is taken while this waits.
    taken.resolve();
    await begun.promise;
    [begun, taken] = [Promise.withResolvers(), Promise.withResolvers()];
  }
  assert.equal(peer.closed.aborted, false);
  taken.resolve();
  over.abort();
  await running;
  await peer.finish();
});
