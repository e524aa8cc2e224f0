import assert from "node:assert/strict";
import { ConnectionClosedError, MessageTooLargeError } from "../../../src/errors/mod.ts";
import { isJsonObject, type JsonValue } from "../../../src/json.ts";
import {
  Connection,
  type ConnectionHandler,
  type ConnectionOptions,
} from "../../../src/rpc/connection.ts";
import { type MemoryEnd, type MemoryOptions, memoryPair } from "../../../src/transport/memory.ts";
import { test } from "../../_harness.ts";

interface World {
  connection: Connection;
  server: MemoryEnd;
  /** What the handler heard, in order. */
  heard: [string, ...unknown[]][];
  /** What the server received. */
  received: JsonValue[];
}

function connect(
  options: Partial<ConnectionOptions> = {},
  memory: MemoryOptions = {},
  take: (method: string) => void = () => {},
): World {
  const { client, server } = memoryPair(memory);
  const heard: World["heard"] = [];
  const received: JsonValue[] = [];
  server.onLine((line) => void received.push(JSON.parse(line)));
  const handler: ConnectionHandler = {
    arrived: () => {},
    deltas: (batch) => {
      for (let index = 0; index < batch.length; index++) {
        heard.push(["delta", batch.head(index).itemId, batch.text(index)]);
      }
    },
    notification: ({ method }) => {
      take(method);
      heard.push(["notification", method]);
    },
    request: ({ id, method }) => {
      take(method);
      heard.push(["request", id, method]);
    },
    response: ({ id }, method) => {
      take(method!);
      heard.push(["response", id, method]);
    },
    malformed: (reason) => void heard.push(["malformed", reason]),
    oversize: (message) => void heard.push(["oversize", message]),
    sent: (kind) => void heard.push(["sent", kind]),
    closed: (error) => void heard.push(["closed", error]),
  };
  const connection = new Connection(client, handler, {
    maxMessageBytes: 1 << 20,
    maxInFlight: 128,
    requestTimeoutMs: 5_000,
    ...options,
  });
  return { connection, server, heard, received };
}

test("what the server says after an answer is heard after the caller's onResult", async () => {
  const { connection, server, heard } = connect();
  const call = connection.call("thread/start", {}, {
    onResult: () => void heard.push(["onResult"]),
  });
  server.sendBytes(new TextEncoder().encode('{"id":1,"result":{}}\n{"method":"thread/started"}\n'));
  await call;
  assert.deepEqual(heard.map(([what]) => what), ["sent", "response", "onResult", "notification"]);
  await connection.close("done", 0);
});

test("deltas are cut out of their lines once the item is known", async () => {
  const { connection, server, heard } = connect();
  const line = (delta: string) =>
    JSON.stringify({
      method: "item/agentMessage/delta",
      params: { threadId: "T", turnId: "U", itemId: "I", delta },
    });
  const call = connection.call("x", {});
  for (const delta of ["one", "two", "three"]) server.send(line(delta));
  server.send('{"id":1,"result":null}');
  await call;
  assert.deepEqual(heard.slice(1, 4), [
    ["notification", "item/agentMessage/delta"],
    ["delta", "I", "two"],
    ["delta", "I", "three"],
  ]);
  await connection.close("done", 0);
});

test("deltas that come together are told together, but for damaged ones", async () => {
  const { connection, server, heard } = connect();
  const line = (delta: string, itemId = "I") =>
    `{"method":"item/agentMessage/delta","params":{"threadId":"T","turnId":"U",` +
    `"itemId":"${itemId}","delta":"${delta}"}}\n`;
  const call = connection.call("x", {});
  const send = (...lines: string[]) => server.sendBytes(new TextEncoder().encode(lines.join("")));
  send(line("known"), line("known too", "J"));
  send(line("a"), line("b\\n"), line("c", "J"), line("d"), "\n", line("e"), line("é"));
  send(line("before"), line("\\q"), line("after"));
  send('{"id":1,"result":null}\n');
  await call;
  const method = "item/agentMessage/delta";
  assert.deepEqual(heard.slice(1, -1), [
    ["notification", method],
    ["notification", method],
    ...["a", "b\n"].map((text) => ["delta", "I", text]),
    ["delta", "J", "c"],
    ...["d", "e", "é"].map((text) => ["delta", "I", text]),
    ["delta", "I", "before"],
    ["malformed", "not JSON"],
    ["delta", "I", "after"],
  ]);
  await connection.close("done", 0);
});

test("malformed lines are told and do not stop the connection", async () => {
  const { connection, server, heard } = connect();
  const call = connection.call("x", {});
  server.send("garbage");
  server.send("[]");
  server.send('{"id":1,"result":7}');
  assert.equal(await call, 7);
  assert.deepEqual(heard.filter(([what]) => what === "malformed").length, 2);
  await connection.close("done", 0);
});

test("what a server says in place of messages is told short and without secrets, until it has answered", async () => {
  const secret = "hunter2-hunter2-hunter2";
  const { connection, server } = connect();
  const noise = async (pattern: RegExp) => {
    while (!pattern.test(connection.noise)) await new Promise((resolve) => setTimeout(resolve));
    assert.ok(!connection.noise.includes(secret) && connection.noise.length < 500);
    return connection.noise;
  };
  assert.equal(connection.noise, "");
  // Of a line that has not ended, too.
  server.sendBytes(new TextEncoder().encode(`OPENAI_API_KEY=${secret}`));
  assert.match(await noise(/begins with/), /OPENAI_API_KEY=\[redacted\]/);
  server.sendBytes(new TextEncoder().encode(` \x1b[31mis wrong\x1b[0m ${"x".repeat(5000)}\n`));
  assert.match(await noise(/^1 line of its output was no message/), /=\[redacted\] is wrong x+"$/);
  server.send(`token: ${secret}`);
  assert.match(await noise(/^2 lines of its output were/), /it begins with "OPENAI_API_KEY/);
  const call = connection.call("x", {});
  server.send('{"id":1,"result":7}');
  await call;
  assert.equal(connection.noise, "");
  await connection.close("done", 0);
});

test("what a launcher says before the first message, on the same line, costs nothing", async () => {
  for (const said of ["npm warn ", 'a {"log" and {"b": ', "[12:00] "]) {
    const { connection, server, heard } = connect();
    const call = connection.call("x", {});
    server.send(`${said}{"id":1,"result":7}`);
    assert.equal(await call, 7, said);
    assert.deepEqual(heard.map(([what]) => what), ["sent", "response"], said);
    await connection.close("done", 0);
  }
});

test("what is too long for a message and begins like none is told as the server's noise", async () => {
  const { connection, server } = connect({ maxMessageBytes: 1000 });
  server.sendBytes(new TextEncoder().encode(`usage: codex ${"x".repeat(2000)}\n`));
  server.sendBytes(new TextEncoder().encode(`{"method":"x","params":"${"x".repeat(2000)}"}\n`));
  while (connection.noise === "") await new Promise((resolve) => setTimeout(resolve));
  assert.match(connection.noise, /^1 line of its output was no message.*"usage: codex x/s);
  await connection.close("done", 0);
});

test("a delta is told when it has come, though nothing follows it", async () => {
  const { connection, server, heard } = connect();
  const params = { threadId: "T", turnId: "U", itemId: "I", delta: "one" };
  const line = `${JSON.stringify({ method: "item/agentMessage/delta", params })}\n`;
  for (let told = 1; told <= 3; told++) {
    server.sendBytes(new TextEncoder().encode(line));
    while (heard.length < told) await new Promise((resolve) => setTimeout(resolve));
  }
  assert.deepEqual(heard.map(([what]) => what), ["notification", "delta", "delta"]);
  await connection.close("done", 0);
});

test("an answer beyond the limit rejects its call with MessageTooLargeError", async () => {
  for (const bytes of [true, false]) {
    const { connection, server, heard } = connect({ maxMessageBytes: 1000 });
    const big = connection.call("thread/read", {});
    const small = connection.call("thread/list", {});
    const answer = JSON.stringify({ id: 1, result: { text: "é".repeat(2000) } });
    if (bytes) server.sendBytes(new TextEncoder().encode(answer + "\n"));
    else server.send(answer);
    server.send('{"id":2,"result":"fine"}');
    await assert.rejects(big, (error) => {
      assert.ok(error instanceof MessageTooLargeError);
      assert.equal(error.limit, 1000);
      assert.ok(error.bytes > 4000);
      assert.match(error.message, /thread\/read/);
      return true;
    });
    assert.equal(await small, "fine");
    assert.equal(heard.filter(([what]) => what === "oversize").length, 1);
    await connection.close("done", 0);
  }
});

test("a question beyond the limit is answered, and not taken for the answer to a call of its number", async () => {
  for (const begin of ['{"method":"item/tool/call","id":1', '{"id":1,"method":"item/tool/call"']) {
    const { connection, server, received } = connect({ maxMessageBytes: 1000 });
    const call = connection.call("thread/read", {});
    server.send(`${begin},"params":{"threadId":"T","arguments":"${"x".repeat(2000)}"}}`);
    server.send('{"id":1,"result":"fine"}');
    assert.equal(await call, "fine");
    await connection.notify("all was written");
    const answers = received.filter((message) => isJsonObject(message) && message["error"]);
    assert.deepEqual(answers, [{ id: 1, error: { code: -32602, message: "not taken" } }]);
    await connection.close("done", 0);
  }
});

test("a question that can't be taken is dropped where the connection has ended, though its transport goes on", async () => {
  const { client, server } = memoryPair();
  const end = client.close.bind(client);
  client.close = () => Promise.resolve({ gone: false, how: "unknown", exit: null, durationMs: 0 });
  const heard: string[] = [];
  const connection = new Connection(
    client,
    {
      arrived: () => {},
      deltas: () => {},
      notification: () => {},
      request: () => {
        throw new Error("not taken");
      },
      response: () => {},
      malformed: (reason) => void heard.push(reason),
      oversize: ({ method }) => void heard.push(`oversize ${method}`),
      sent: (kind) => void heard.push(`sent ${kind}`),
      closed: () => void heard.push("closed"),
    },
    { maxMessageBytes: 1000, maxInFlight: 1, requestTimeoutMs: 5_000 },
  );
  await connection.close("done", 0);
  // One chunk: what is thrown for one line would cost the others.
  const long = `{"method":"m","id":1,"params":{"a":"${"x".repeat(2000)}"}}`;
  const lines = [long, '{"method":"m","id":2,"params":{}}', "{"];
  server.sendBytes(new TextEncoder().encode(lines.map((line) => `${line}\n`).join("")));
  await Promise.resolve();
  assert.deepEqual(heard.slice(0, 3), ["closed", "oversize m", "not taken: not taken"]);
  assert.equal(heard.length, 4);
  await end();
});

test("a message that the transport can't carry is refused before it is sent", async () => {
  const { connection, received } = connect({}, { maxOutboundBytes: 100 });
  await assert.rejects(connection.call("x", { text: "é".repeat(60) }), MessageTooLargeError);
  assert.equal(connection.pendingCalls, 0);
  assert.deepEqual(received, []);
  await connection.close("done", 0);
});

test("the end of the server settles every call at once, with exit status and stderr", async () => {
  const { connection, server, heard } = connect();
  const all = [connection.call("a", {}), connection.call("b", {})];
  server.close({ exit: { code: null, signal: "SIGKILL" }, stderrTail: "boom\n" });
  for (const call of all) {
    await assert.rejects(call, (error) => {
      assert.ok(error instanceof ConnectionClosedError);
      assert.deepEqual(error.exit, { code: null, signal: "SIGKILL" });
      assert.equal(error.stderrTail, "boom\n");
      assert.ok(error.retryable);
      return true;
    });
  }
  await connection.ended;
  await assert.rejects(connection.call("c", {}), ConnectionClosedError);
  await assert.rejects(connection.notify("d"), ConnectionClosedError);
  // Who answers must hear that nothing was granted.
  assert.throws(() => connection.respond(0, {}), ConnectionClosedError);
  assert.throws(() => connection.reject(0, { code: 1, message: "" }), ConnectionClosedError);
  assert.equal(heard.filter(([what]) => what === "closed").length, 1);
});

test("a connection that ends within a line tells of the cut", async () => {
  const { connection, server, heard } = connect();
  server.sendBytes(new TextEncoder().encode('{"method":"x"}\n{"method":"cu'));
  server.close();
  await connection.ended;
  assert.deepEqual(heard.map(([what]) => what), ["notification", "malformed", "closed"]);
});

test("close() rejects what waits with an error that is not to be tried again", async () => {
  const { connection } = connect();
  const call = connection.call("a", {});
  const report = await connection.close("The client was shut down.", 0);
  assert.ok(report.gone);
  await assert.rejects(call, (error) => {
    assert.ok(error instanceof ConnectionClosedError);
    assert.equal(error.retryable, false);
    assert.match(error.message, /shut down/);
    return true;
  });
});

test("an answer that can't be carried becomes a refusal, so that the server is answered", async () => {
  const { connection, server, received } = connect();
  server.send('{"method":"ask","id":0,"params":{}}');
  await connection.notify("sync");
  assert.throws(() => connection.respond(0, { big: 1n } as unknown as JsonValue));
  await connection.notify("sync");
  await Promise.resolve();
  assert.ok(received.some((m) => JSON.stringify(m).startsWith('{"id":0,"error"')));
  await connection.close("done", 0);
});

test("a message that can't be taken costs no other line of its chunk, and whoever asks is told", async () => {
  const { connection, server, heard, received } = connect({}, {}, (what) => {
    if (what.startsWith("odd")) throw new TypeError("Cannot convert object to primitive value");
  });
  const calls = [connection.call("odd/list", {}), connection.call("model/list", {})];
  const lines = [
    '{"method":"odd"}',
    '{"id":7,"method":"odd/ask"}',
    '{"id":1,"result":{}}',
    '{"id":2,"result":{}}',
    '{"method":"after"}',
    "",
  ];
  server.sendBytes(new TextEncoder().encode(lines.join("\n")));
  assert.deepEqual(await Promise.all(calls), [{}, {}]);
  const odd = ["malformed", "not taken: Cannot convert object to primitive value"];
  assert.deepEqual(heard.filter(([what]) => what !== "sent"), [
    ...[odd, odd, odd],
    ["response", 2, "model/list"],
    ["notification", "after"],
  ]);
  await connection.notify("sync");
  const refusal = { code: -32602, message: "not taken" };
  assert.deepEqual(received.at(-2), { id: 7, error: refusal });
  await connection.close("done", 0);
});
