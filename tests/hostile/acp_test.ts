/** An editor that breaks the Agent Client Protocol gets no more by it, and stops nobody: neither itself nor the agent. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { InvalidArgumentError } from "../../src/errors/mod.ts";
import type { JsonObject } from "../../src/json.ts";
import { serve } from "../../src/adapters/acp/mod.ts";
import { script } from "../../src/testing/mod.ts";
import { onFake } from "../contract/session_world.ts";
import { test } from "../_harness.ts";
import { type Served, serveHere } from "../real/_acp_world.ts";
import { inWorld, rejection, whenGone } from "../real/_session_world.ts";

/** The editor's end as lines, so that anything can be said. */
class Wire {
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #seen: JsonObject[] = [];
  readonly #waiting: Set<() => void> = new Set();
  #gone = false;
  #lastId = 0;

  constructor({ streams }: Served) {
    this.#writer = streams.writable.getWriter();
    void this.#read(streams.readable);
  }

  async #read(bytes: ReadableStream<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder();
    let left = "";
    for await (const chunk of bytes) {
      const lines = (left + decoder.decode(chunk, { stream: true })).split("\n");
      left = lines.pop()!;
      for (const line of lines) {
        const message = JSON.parse(line);
        assert.equal(message.jsonrpc, "2.0");
        this.#seen.push(message);
      }
      for (const look of this.#waiting) look();
    }
    this.#gone = true;
    for (const look of this.#waiting) look();
  }

  async say(text: string): Promise<void> {
    await this.#writer.write(new TextEncoder().encode(`${text}\n`));
  }

  send(message: object): Promise<void> {
    return this.say(JSON.stringify({ jsonrpc: "2.0", ...message }));
  }

  /** The first message that fits and was not taken yet. */
  async hear(fits: (message: JsonObject) => boolean): Promise<JsonObject> {
    const { promise, resolve, reject } = Promise.withResolvers<JsonObject>();
    const look = () => {
      const index = this.#seen.findIndex(fits);
      if (index >= 0) resolve(this.#seen.splice(index, 1)[0]!);
      else if (this.#gone) reject(new Error(`left: ${JSON.stringify(this.#seen)}`));
      else return;
      this.#waiting.delete(look);
    };
    this.#waiting.add(look);
    look();
    return await promise;
  }

  async call(method: string, params: unknown): Promise<JsonObject> {
    const id = ++this.#lastId;
    await this.send({ id, method, params });
    return await this.hear((message) => message["id"] === id && !("method" in message));
  }

  /** The code that a call is refused with. */
  async refused(method: string, params: unknown): Promise<unknown> {
    const { error, result } = await this.call(method, params);
    assert.equal(result, undefined, `${method} ${JSON.stringify(params)} was accepted`);
    return (error as JsonObject)["code"];
  }

  async nobody(text: string): Promise<unknown> {
    await this.say(text);
    const { error } = await this.hear((message) => message["id"] === null);
    return (error as JsonObject)["code"];
  }

  async end(): Promise<void> {
    await this.#writer.close();
  }
}

const added = (name: string) => `*** Begin Patch\n*** Add File: ${name}\n+one\n*** End Patch`;
const say = (text: string) => [{ type: "text", text }];

test(
  "an editor that breaks the protocol is refused, and goes on",
  () =>
    inWorld("0.169.0", async (world) => {
      const client = await world.connect({ approvalTimeoutMs: 60_000 });
      const { cwd } = world;
      const other = await client.startSession({ cwd });
      await other.ask("Somebody else's.");
      const here = serveHere(client, { allowPrivilegedEscalation: true });
      const wire = new Wire(here);

      // Before hello, and hello.
      assert.equal(await wire.refused("session/new", { cwd, mcpServers: [] }), -32600);
      assert.equal(await wire.refused("initialize", {}), -32602);
      const hello = await wire.call("initialize", { protocolVersion: 99, clientCapabilities: 7 });
      assert.equal((hello["result"] as JsonObject)["protocolVersion"], 1);
      assert.equal(await wire.refused("initialize", { protocolVersion: 1 }), -32600);

      // What is no message.
      assert.equal(await wire.nobody("Content-Length: 12"), -32700);
      assert.equal(await wire.nobody("[]"), -32600);
      assert.equal(await wire.nobody('{"jsonrpc":"2.0","id":{},"method":"x"}'), -32600);
      assert.equal(await wire.nobody(`{"a":"${"a".repeat(64 * 1024 * 1024)}"}`), -32600);
      await wire.send({
        id: 4711,
        result: { outcome: { outcome: "selected", optionId: "accept" } },
      });
      await wire.send({ method: "session/cancel", params: { sessionId: "nobody's" } });
      await wire.send({ method: "$/cancel_request", params: { requestId: {} } });
      await wire.send({ method: "no/such/thing" });
      assert.equal(await wire.refused("no/such/thing", {}), -32601);
      assert.equal(await wire.refused("toString", {}), -32601);

      // Where there is nothing to work.
      for (
        const params of [
          undefined,
          [],
          { mcpServers: [] },
          { cwd: "." },
          { cwd: 7 },
          { cwd: `${cwd}\0/x` },
          { cwd: join(cwd, "missing") },
          { cwd, mcpServers: {} },
          { cwd, mcpServers: [{ type: "sse", name: "a", url: "http://127.0.0.1:9", headers: [] }] },
          { cwd, mcpServers: [{ name: "a", command: "true", args: [{}], env: [] }] },
          { cwd, additionalDirectories: ["/"] },
        ]
      ) assert.equal(await wire.refused("session/new", params), -32602, JSON.stringify(params));

      // Sessions of others, and of nobody.
      const mcpServers: never[] = [];
      for (const sessionId of ["", "../x", "__proto__", other.threadId]) {
        const prompt = { sessionId, prompt: say("Mine?") };
        assert.ok(
          [-32602, -32002].includes(await wire.refused("session/prompt", prompt) as number),
        );
        assert.notEqual(
          await wire.refused("session/load", { sessionId, cwd, mcpServers }),
          undefined,
        );
      }

      const made = (await wire.call("session/new", { cwd, mcpServers }))["result"] as JsonObject;
      const { sessionId } = made;
      for (
        const prompt of [undefined, "text", [], [7], [{ type: "text" }], [{ type: "audio" }], [{
          type: "image",
          mimeType: "image/png",
          data: "not base64!",
        }], [{ type: "resource", resource: { uri: "file:///a.bin", blob: "AAAA" } }]]
      ) assert.equal(await wire.refused("session/prompt", { sessionId, prompt }), -32602);
      for (const modeId of ["full-access", "__proto__", 7]) {
        assert.equal(await wire.refused("session/set_mode", { sessionId, modeId }), -32602);
      }
      const config = { sessionId, configId: "model", value: "no-such-model" };
      assert.equal(await wire.refused("session/set_config_option", config), -32602);

      // Half of an emoji is no reason to stop.
      const odd =
        `{"jsonrpc":"2.0","id":"odd","method":"session/prompt","params":{"sessionId":"${sessionId}",` +
        '"prompt":[{"type":"text","text":"half \\ud83d"}]}}';
      await wire.say(odd);
      const answered = await wire.hear(({ id }) => id === "odd");
      assert.equal((answered["result"] as JsonObject)["stopReason"], "end_turn");

      // An id that is in use; a question that is answered with nonsense, an error, or by nobody.
      const ask = (name: string) => ({
        sessionId,
        prompt: say(world.prompt([script.applyPatch(added(name)), "No."])),
      });
      const asks = ({ method }: JsonObject) => method === "session/request_permission";
      for (
        const [index, answer] of [
          { result: { outcome: { outcome: "selected", optionId: "toString" } } },
          { result: null },
          { result: { outcome: "selected", optionId: "accept" } },
          { error: { code: -32603, message: "broken" } },
        ].entries()
      ) {
        const name = `nonsense-${index}.txt`;
        const done = wire.call("session/prompt", ask(name));
        const { id } = await wire.hear(asks);
        await wire.send({ id, ...answer });
        assert.equal(((await done)["result"] as JsonObject)["stopReason"], "end_turn");
        assert.equal(existsSync(join(cwd, name)), false, name);
      }
      await wire.send({ id: "twice", method: "session/prompt", params: ask("given-up.txt") });
      await wire.hear(asks);
      await wire.send({ id: "twice", method: "session/list", params: {} });
      const twice = await wire.hear((message) => message["id"] === null);
      assert.equal((twice["error"] as JsonObject)["code"], -32600);
      await wire.send({ method: "$/cancel_request", params: { requestId: "twice" } });
      await wire.hear(({ method }) => method === "$/cancel_request");
      const stopped = await wire.hear(({ id }) => id === "twice");
      assert.equal((stopped["result"] as JsonObject)["stopReason"], "cancelled");
      assert.equal(existsSync(join(cwd, "given-up.txt")), false);

      // The editor dies while it is asked, and while a command runs.
      await wire.send({ id: "last", method: "session/prompt", params: ask("dead.txt") });
      await wire.hear(asks);
      await wire.end();
      await here.served;
      assert.equal(existsSync(join(cwd, "dead.txt")), false);
      assert.equal((await other.ask("Still yours?")).assistantText, "You said: Still yours?");

      // An editor that reads nothing can't hold the agent.
      const deaf = serveHere(client);
      const writer = deaf.streams.writable.getWriter();
      const line = (message: object) => new TextEncoder().encode(`${JSON.stringify(message)}\n`);
      await writer.write(line({ id: 1, method: "initialize", params: { protocolVersion: 1 } }));
      await writer.write(line({ id: 2, method: "session/list", params: {} }));
      await writer.close();
      await deaf.served;

      // The program ends serving.
      const stop = new AbortController();
      const ended = serveHere(client, { signal: stop.signal });
      const last = new Wire(ended);
      await last.call("initialize", { protocolVersion: 1 });
      const { result } = await last.call("session/new", { cwd, mcpServers });
      const running = {
        sessionId: (result as JsonObject)["sessionId"],
        prompt: say(world.prompt([[script.exec("sleep 3174")]])),
      };
      await last.send({ id: "run", method: "session/prompt", params: running });
      await last.hear(({ params }) =>
        JSON.stringify(params ?? {}).includes('"tool_call","toolCallId"') ||
        JSON.stringify(params ?? {}).includes('"sessionUpdate":"tool_call"')
      );
      while (world.commands("sleep 3174").length === 0) {
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      const pids = world.commands("sleep 3174");
      stop.abort();
      await ended.served;
      for (const pid of pids) await whenGone(pid);
    }),
);

test("a prompt that waits for the end of another one is cancelled with it", () =>
  onFake({
    server: {
      onTurn: (turn) => turn.prompt === "one" ? undefined : turn.complete(),
      methods: {
        "account/read": () => ({ account: null, requiresOpenaiAuth: false }),
        "model/list": () => ({ data: [], nextCursor: null }),
      },
    },
  }, async ({ client, cwd, server }) => {
    const here = serveHere(client);
    const wire = new Wire(here);
    await wire.call("initialize", { protocolVersion: 1 });
    const nothing = { mcpServers: null, additionalDirectories: null };
    const { result } = await wire.call("session/new", { cwd, ...nothing });
    const sessionId = (result as JsonObject)["sessionId"];
    const ask = (id: string) =>
      wire.send({ id, method: "session/prompt", params: { sessionId, prompt: say(id) } });
    const cancel = () => wire.send({ method: "session/cancel", params: { sessionId } });
    await ask("one");
    await server().waitFor(({ method }) => method === "turn/start");
    await cancel();
    await ask("two");
    await cancel();
    for (const each of ["one", "two"]) {
      const { result } = await wire.hear(({ id }) => id === each);
      assert.equal((result as JsonObject)["stopReason"], "cancelled", each);
    }
    await ask("three");
    await wire.hear(({ id }) => id === "three");
    assert.deepEqual(server().turns.map(({ prompt }) => prompt), ["one", "three"]);
    await wire.end();
    await here.served;
  }));

test("what can't be served is told at once", async () => {
  const streams = { readable: new ReadableStream(), writable: new WritableStream() };
  const client = { startSession: () => {} } as never;
  for (
    const [who, where, profile] of [
      [{}, streams, {}],
      [client, {}, {}],
      [client, streams, { sandbx: "read-only" }],
      [client, streams, { approvals: () => ({ decision: "accept" }) }],
      [client, streams, { approvals: { rules: [], ask: () => ({ decision: "accept" }) } }],
    ]
  ) {
    const error = await rejection(serve(who as never, where as never, profile as never));
    assert.ok(error instanceof InvalidArgumentError, String(error));
  }
});
