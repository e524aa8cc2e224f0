/** A server that talks nonsense: slowly, twice, in pieces, about things nobody asked, too much, or not at all. */
import assert from "node:assert/strict";
import { MessageTooLargeError, RequestTimeoutError, RpcError } from "../../src/errors/mod.ts";
import type { RuntimeConfig } from "../../src/runtime/config.ts";
import { Runtime } from "../../src/runtime/runtime.ts";
import { Client } from "../../src/session/client/client.ts";
import type { Session } from "../../src/session/session.ts";
import { type MemoryEnd, memoryPair } from "../../src/transport/memory.ts";
import { FakeServer, fakeTransport, type Message, recorded } from "../_fake_server.ts";
import { test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";
import { counting, type Figures, random } from "./faults_world.ts";

const HELLO = { userAgent: "codex-runtime/0.169.0 (test)" };
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

/** A runtime whose server is this function; it sees every message but the hello. */
async function onServer(
  config: RuntimeConfig,
  serve: (message: Message, end: MemoryEnd) => void,
  act: (runtime: Runtime, end: MemoryEnd) => Promise<void>,
): Promise<void> {
  const { client, server } = memoryPair();
  server.onLine((line) => {
    const message = JSON.parse(line);
    if (message.method === "initialize") {
      return server.send(JSON.stringify({ id: message.id, result: HELLO }));
    }
    if (message.method !== "initialized") serve(message, server);
  });
  const open = () => Promise.resolve(client);
  const runtime = await Runtime.spawn({ ...config, transport: { type: "custom", open } });
  try {
    await act(runtime, server);
  } finally {
    await runtime.shutdown();
  }
}

const answer = ({ id }: Message, result: unknown = {}): string => JSON.stringify({ id, result });
const ask = (runtime: Runtime, n = 0) => runtime.request("model/list", { n });

test("10,000 lines of garbage are counted, and every answer between them arrives", async () => {
  await counting("garbage", async (figures) => {
    const noise = [
      "garbage",
      "{",
      "[]",
      "null",
      '{"id":true}',
      '{"id":{}, "method":"x"}',
      '"text"',
      '{"id":5}',
      "\u0000\u0001",
      '{"method":7}',
    ];
    await onServer({}, (message, end) => {
      const lines = noise.map((line) => `${line}\n`).join("") + answer(message) + "\n";
      end.sendBytes(bytes(lines));
    }, async (runtime) => {
      for (let i = 0; i < 1000; i++) await figures.watch(ask(runtime));
      figures.faults = 10_000;
      assert.equal(runtime.metrics().malformed, 10_000);
      assert.equal(figures.settled.get("ok"), 1000);
    });
  });
});

test("1,000 requests at once, answered twice, in no order and among unknown ids, each settle once", async () => {
  await counting("answers in no order", async (figures) => {
    const chance = random(7);
    const waiting: Message[] = [];
    await onServer({ maxInFlight: 128 }, (message, end) => {
      waiting.push(message);
      // Whatever waits is answered out of order, some of it twice, with strangers in between.
      queueMicrotask(() => {
        while (waiting.length > 0) {
          const [next] = waiting.splice(Math.floor(chance() * waiting.length), 1);
          end.send(answer(next, { n: next.params.n }));
          if (chance() < 0.3) end.send(answer(next, { n: -1 })), figures.faults++;
          if (chance() < 0.3) end.send(answer({ id: 1e6 + chance() })), figures.faults++;
          if (chance() < 0.2) end.send(answer({ id: "text" })), figures.faults++;
        }
      });
    }, async (runtime) => {
      const all = Array.from({ length: 1000 }, (_, n) => figures.watch(ask(runtime, n)));
      const results = await Promise.all(all) as { n: number }[];
      assert.deepEqual(results.map(({ n }) => n), Array.from({ length: 1000 }, (_, n) => n));
      assert.equal(runtime.metrics().unmatched, figures.faults);
    });
  });
});

test("lines in pieces of any size, with split characters, arrive whole", async () => {
  await counting("pieces", async (figures) => {
    const chance = random(11);
    const text = "naïve 漢字 😀 \u2028 \ufeff end";
    await onServer({}, (message, end) => {
      const line = bytes(answer(message, { text }) + "\n");
      for (let at = 0; at < line.length;) {
        const size = 1 + Math.floor(chance() * 5);
        end.sendBytes(line.subarray(at, at + size));
        at += size;
        figures.faults++;
      }
    }, async (runtime) => {
      for (let i = 0; i < 200; i++) {
        assert.deepEqual(await figures.watch(ask(runtime)), { text });
      }
    });
  });
});

test("a message of 50 MB arrives whole, and one beyond the limit fails its caller only", async () => {
  await counting("large messages", async (figures) => {
    const large = "0123456789".repeat(5_000_000);
    await onServer({ maxMessageBytes: 60_000_000 }, (message, end) => {
      const text = message.params.n === 2
        ? large + large
        : message.params.n === 1
        ? large
        : "small";
      const line = bytes(answer(message, { text }) + "\n");
      for (let at = 0; at < line.length; at += 65_536) {
        end.sendBytes(line.subarray(at, at + 65_536));
      }
    }, async (runtime) => {
      figures.faults = 2;
      const [whole, beyond, small] = await Promise.all([
        figures.watch(ask(runtime, 1), 60_000),
        figures.watch(ask(runtime, 2), 60_000),
        figures.watch(ask(runtime, 3), 60_000),
      ]) as Message[];
      assert.equal(whole.text.length, 50_000_000);
      assert.ok(beyond instanceof MessageTooLargeError);
      assert.deepEqual(small, { text: "small" });
    });
  });
});

test("a server that says nothing, or refuses, fails its callers in time and nobody else", async () => {
  await counting("silence", async (figures) => {
    await onServer({ requestTimeoutMs: 150 }, (message, end) => {
      if (message.params.n % 3 === 0) return;
      if (message.params.n % 3 === 1) return end.send(answer(message));
      end.send(JSON.stringify({ error: { code: -32000, message: "no" }, id: message.id }));
    }, async (runtime) => {
      const results = await Promise.all(
        Array.from({ length: 90 }, (_, n) => figures.watch(ask(runtime, n))),
      );
      figures.faults = 60;
      assert.equal(results.filter((each) => each instanceof RequestTimeoutError).length, 30);
      assert.equal(results.filter((each) => each instanceof RpcError).length, 30);
      assert.equal(runtime.metrics().pendingCalls, 0);
    });
  });
});

test("a server that dies within a line settles everything and says how much was lost", async () => {
  await counting("death within a line", async (figures) => {
    await onServer({}, (message, end) => {
      if (message.params.n < 20) return;
      const line = answer(message, { text: "x".repeat(5000) });
      end.sendBytes(bytes(line.slice(0, 3000)));
      end.close({ exit: { code: null, signal: "SIGSEGV" } });
    }, async (runtime) => {
      figures.faults = 1;
      const results = await Promise.all(
        Array.from({ length: 21 }, (_, n) => figures.watch(ask(runtime, n))),
      ) as Message[];
      for (const error of results) {
        assert.equal(error.code, "connectionClosed");
        assert.equal(error.exit.signal, "SIGSEGV");
        assert.equal(error.data.unfinishedLineBytes, 3000);
      }
      assert.equal(runtime.metrics().malformed, 1);
    });
  });
});

/** Runs a turn on a fake that does something odd in it; the answer must come all the same. */
async function oddTurn(
  figures: Figures,
  odd: (server: FakeServer, threadId: string, turnId: string) => void,
): Promise<void> {
  await using directory = await tempDir();
  let server!: FakeServer;
  const open = fakeTransport((end) => {
    server = new FakeServer(end, {
      onTurn: (turn) => {
        const deltas = ["one ", "two ", "three"];
        odd(server, turn.threadId, turn.id);
        turn.say("", { id: "msg_1", deltas: [], open: true });
        for (const delta of deltas) {
          turn.delta("msg_1", delta);
          odd(server, turn.threadId, turn.id);
          figures.faults++;
        }
        turn.say("one two three", { id: "msg_1", deltas: [] });
        odd(server, turn.threadId, turn.id);
        turn.complete();
        odd(server, turn.threadId, turn.id);
      },
    });
  });
  const client = await Client.connect({ transport: { type: "custom", open } });
  const session = await client.startSession({ cwd: directory.path }) as Session;
  for (let i = 0; i < 3; i++) {
    const stream = await session.askStream("go");
    let text = "";
    for await (const event of stream) {
      if (event.type === "assistantMessageDelta") text += event.delta;
    }
    const result = await figures.watch(stream.finish()) as Message;
    assert.equal(result.assistantText, "one two three", String(result));
    if (text !== "one two three") figures.lost++;
  }
  await client.shutdown();
}

test("a turn among strangers, doubles and nonsense gives exactly its text", async () => {
  await counting("odd company", async (figures) => {
    const delta = recorded("0.169", "basic", "item/agentMessage/delta");
    const completed = recorded("0.169", "basic", "turn/completed");
    const about = (message: Message, ids: Message) => ({
      ...message,
      params: { ...message.params, ...ids },
    });
    await oddTurn(figures, (server, threadId, turnId) => {
      // Another thread, another turn, an unknown method, and shapes from the future.
      server.send(about(delta, { threadId: "stranger", turnId, delta: "no" }));
      server.send(about(delta, { threadId, turnId: "earlier", delta: "no" }));
      server.send(about(completed, { threadId, turn: { id: "earlier", status: "failed" } }));
      server.notify("future/news", { threadId, turnId, nested: { a: [1] } });
      server.notify("item/completed", { threadId, turnId, item: "not an object" });
      server.notify("item/started", { threadId, turnId });
      server.notify("thread/tokenUsage/updated", { threadId, turnId, tokenUsage: 7 });
      server.sendLine('{"method":"item/agentMessage/delta","params":null}');
      server.sendLine(`{"method":"turn/completed","params":{"threadId":"${threadId}","turn":null}}`
        .replace("turn/completed", "turn/unknown"));
      server.send({ id: 999_999, result: {} });
    });
  });
});

test("a server that asks nonsense gets a refusal for each question", async () => {
  await using directory = await tempDir();
  await counting("nonsense questions", async (figures) => {
    let server!: FakeServer;
    const open = fakeTransport((end) => void (server = new FakeServer(end)));
    const client = await Client.connect({ transport: { type: "custom", open } });
    await client.startSession({ cwd: directory.path });
    const questions: [string, Message][] = [
      ["unknown/question", {}],
      ["item/commandExecution/requestApproval", null],
      ["item/commandExecution/requestApproval", { threadId: 7 }],
      ["item/fileChange/requestApproval", { threadId: "nobody", turnId: "x", itemId: "y" }],
      ["item/tool/call", { tool: "gone" }],
      ["item/tool/requestUserInput", []],
      ["mcpServer/elicitation/request", { mode: "odd" }],
      ["execCommandApproval", { conversationId: "x" }],
      ["", {}],
    ];
    for (const [method, params] of questions) {
      figures.faults++;
      const reply = await figures.watch(server.ask(method, params)) as Message;
      assert.ok(reply.error !== undefined || reply.result !== undefined, method);
      assert.doesNotMatch(JSON.stringify(reply), /"(accept|approved|acceptForSession)"/, method);
    }
    await client.shutdown();
  });
});
