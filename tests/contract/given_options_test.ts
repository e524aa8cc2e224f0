/** What callers give is what it was when they called: what becomes of their objects later was not checked. */
import assert from "node:assert/strict";
import {
  acp,
  aiSdk,
  AppServer,
  artifact,
  automation,
  BudgetExceededError,
  Client,
  KvThreadStore,
  quickRun,
  quickRunWithProfile,
  runtime,
  TurnTimeoutError,
  web,
  Workflow,
} from "../../mod.ts";
import { EMPTY_REVISION } from "../../src/artifact/edits.ts";
import { copied } from "../../src/check/mod.ts";
import type { ClientConfig } from "../../src/runtime/config.ts";
import { FakeServer, fakeTransport, type FakeTurn, type Message } from "../_fake_server.ts";
import { test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";
import { FakeKv } from "./artifact_fake_kv.ts";
import { onFake, quickReview, rejection } from "./session_world.ts";

test("copied() keeps lists and data as they are, and hands on what can be called or was made by a class", () => {
  let reads = 0;
  const tool = { run: () => {}, names: ["a"] };
  const signal = new AbortController().signal;
  const given = {
    list: [{ deep: [1] }],
    record: Object.assign(Object.create(null), { __proto__: "text" }),
    named: JSON.parse('{ "__proto__": { "x": 1 } }'),
    tools: { tool },
    accessor: {
      get now() {
        return reads++;
      },
    },
    action: {
      get now() {
        return () => {};
      },
    },
    signal,
    onStderr: () => {},
  };
  const copy = copied(given);
  assert.deepEqual({ ...copy, accessor: {} }, { ...given, accessor: {} });
  // What a getter says is read once.
  assert.deepEqual([copy.accessor.now, copy.accessor.now, reads], [0, 0, 1]);
  assert.notEqual(copy.list[0], given.list[0]);
  assert.equal(Object.getPrototypeOf(copy.record), null);
  assert.deepEqual(Object.keys(copy.named), ["__proto__"]);
  assert.ok(copy.tools !== given.tools && copy.tools.tool === tool);
  assert.ok(copy.action === given.action && copy.signal === signal);
  given.list[0]!.deep.push(2);
  assert.deepEqual(copy.list, [{ deep: [1] }]);
  const round: { self?: unknown } = {};
  round.self = round;
  const copyOfRound = copied(round);
  assert.ok(copyOfRound !== round && copyOfRound.self === copyOfRound);
  assert.equal(copied(undefined), undefined);
});

test("copied() hands on data that is more than what its keys show", () => {
  const validate = () => ({ value: 1 });
  const schema = { type: "object" };
  // A JSON Schema that some libraries make is a Standard Schema as well.
  Object.defineProperty(schema, "~standard", { value: { version: 1, vendor: "x", validate } });
  const kind = Symbol("kind");
  const { output, marked } = copied({ output: schema, marked: { [kind]: "object" } });
  assert.equal((output as unknown as Message)["~standard"].validate, validate);
  assert.equal(marked[kind], "object");
});

test("options that are hidden from loops hold, whoever they are given to", async () => {
  const hidden = <T extends object>(options: T, more: Message) => {
    for (const [name, value] of Object.entries(more)) {
      Object.defineProperty(options, name, { value });
    }
    return options;
  };
  await onFake({}, async ({ client, session, cwd, server }) => {
    const call = () => ({ type: "block" as const, reason: "no" });
    const hooks = { hooks: { pre: [{ name: "guard", phases: ["preTurn"], call }] } };
    const guarded = await client.startSession(hidden({ cwd }, hooks));
    const asks = [
      () => guarded.ask("x"),
      () => session.ask("x", hidden({}, hooks)),
      () => client.run(cwd, "x", hidden({}, hooks)),
    ];
    for (const ask of asks) {
      assert.equal((await rejection(ask()) as Error).name, "HookBlockedError");
    }
    const wrong = client.startSession(hidden({ cwd }, { limits: { tokens: -4 } }));
    assert.match(String(await rejection(wrong)), /`limits\.tokens` must be/);
    assert.ok(!server().received.some(({ method }) => method === "turn/start"));
  });
});

test("a server that was prewarmed is found by data of any prototype", async () => {
  let servers = 0;
  const open = fakeTransport((end) => void (new FakeServer(end), servers++));
  const set = Object.assign(Object.create(null), { A: "1" });
  const config: ClientConfig = { transport: { type: "custom", open }, env: { set } };
  await Client.prewarm(config);
  await (await Client.connect(config)).shutdown();
  assert.equal(servers, 1);
});

test("what is asked is what was given, whatever becomes of it in line", async () => {
  await onFake({}, async ({ session, server }) => {
    const ok = { type: "boolean" };
    const outputSchema = {
      type: "object",
      properties: { ok },
      required: ["ok"],
      additionalProperties: false,
    };
    const mention = { type: "mention" as const, name: "given", path: "app://given" };
    const asks = [
      session.ask("first"),
      session.ask({ text: "second", attachments: [mention] }, { outputSchema }),
      session.askStream({ text: "third", attachments: [mention] }, { outputSchema }),
    ];
    mention.path = "app://changed";
    ok.type = "string";
    await Promise.allSettled(asks);
    const turns = server().received.filter(({ method }) => method === "turn/start");
    for (const { params } of turns.slice(1)) {
      assert.match(JSON.stringify(params.input), /app:\/\/given/);
      assert.match(JSON.stringify(params.outputSchema), /boolean/);
    }
    assert.equal(turns.length, 3);
  });
});

test("a configuration that is changed after the call is the one that was given", async () => {
  await using directory = await tempDir("given-");
  const cwd = directory.path;
  /** What the server is told first when `connect` is called and the configuration is changed after that. */
  const introduced = async (
    connect: (client: ClientConfig) => Promise<{ shutdown(): Promise<unknown> }>,
  ): Promise<Message> => {
    let server: FakeServer | undefined;
    const open = fakeTransport((end) => void (server = new FakeServer(end)));
    const client: ClientConfig = {
      transport: { type: "custom", open },
      clientInfo: { name: "given", version: "1" },
    };
    const connecting = connect(client);
    client.clientInfo!.name = "changed";
    delete client.transport;
    await (await connecting).shutdown();
    return server!.received.find(({ method }) => method === "initialize")!.params;
  };
  const doors: Record<string, Parameters<typeof introduced>[0]> = {
    "Client.connect": (client) => Client.connect(client),
    "Runtime.spawn": (client) => runtime.Runtime.spawn(client),
    "AppServer.connect": (client) => AppServer.connect(client),
    "Workflow.connect": (client) => Workflow.connect({ cwd, client }),
  };
  for (const [name, connect] of Object.entries(doors)) {
    assert.equal((await introduced(connect)).clientInfo.name, "given", name);
  }
});

test("a session's settings that are changed while it is opened are those that were given", async () => {
  await onFake({}, async ({ client, cwd, server }) => {
    const config = { cwd, model: "", config: { model_reasoning_summary: "" } };
    const calls = {
      "thread/start": () => client.startSession(config),
      "thread/fork": () => client.forkSession("t", config),
      "thread/resume": () => client.resumeSession("t", config),
    };
    for (const [opening, call] of Object.entries(calls)) {
      config.model = "given";
      config.config.model_reasoning_summary = "concise";
      const opened = call();
      config.model = "changed";
      config.config.model_reasoning_summary = "detailed";
      await opened;
      const { params } = server().received.findLast(({ method }) => method === opening)!;
      assert.equal(params.model, "given", opening);
      assert.doesNotMatch(JSON.stringify(params), /detailed/, opening);
    }
  });
});

test("what a session is asked beside prompts is what was given, whatever becomes of it in line", async () => {
  const methods = {
    "thread/inject_items": () => ({}),
    "thread/settings/update": () => ({}),
    "thread/turns/list": () => ({ data: [], nextCursor: null }),
    "review/start": quickReview,
  };
  await onFake({ server: { methods } }, async ({ session, server }) => {
    const sent = (method: string) => server().received.find((each) => each.method === method);
    const items: Message[] = [{ type: "message", role: "user" }];
    const injecting = session.inject(items);
    items[0]!.role = "system";
    await injecting;
    assert.equal(sent("thread/inject_items")!.params.items[0].role, "user");

    const heard = new Set<string>();
    const target = { type: "custom" as const, instructions: "given" };
    const options = { onEvent: () => void heard.add("given") };
    const reviewing = session.review(target, options);
    target.instructions = "changed";
    options.onEvent = () => void heard.add("changed");
    await reviewing;
    assert.deepEqual([sent("review/start")!.params.target.instructions, ...heard], [
      "given",
      "given",
    ]);

    const back = { before: "t", files: false };
    const rewinding = rejection(session.rewind(back));
    back.files = true;
    assert.match(String(await rewinding), /`before` must be/);
  });
});

test("a run of its own is what was checked, whatever becomes of its objects meanwhile", async () => {
  await using directory = await tempDir("given-");
  const cwd = directory.path;
  let server: FakeServer | undefined;
  const profile = { model: "given" };
  const client: ClientConfig = {};
  const open = fakeTransport((end) => {
    server = new FakeServer(end);
    // Codex starts: what was given has been looked at.
    profile.model = "changed";
  });
  client.transport = { type: "custom", open };
  const { assistantText } = await quickRunWithProfile(cwd, "x", profile, { client });
  assert.equal(assistantText, "ok");
  const { params } = server!.received.find(({ method }) => method === "thread/start")!;
  assert.equal(params.model, "given");
  assert.equal((await quickRun(cwd, "x", { client })).assistantText, "ok");
});

/** Options that count how often each of them is read: what a getter says the second time was not checked. */
function counting<T extends object>(options: T, reads: Map<string, number>): T {
  const counted = {};
  for (const [name, value] of Object.entries(options)) {
    Object.defineProperty(counted, name, {
      enumerable: true,
      get: () => {
        reads.set(name, (reads.get(name) ?? 0) + 1);
        return value;
      },
    });
  }
  return counted as T;
}

test("a prefix that is changed after the call is the one that was given", async () => {
  const rows: Record<string, (kv: FakeKv, prefix: string[]) => () => Promise<unknown>> = {
    KvArtifactStore: (kv, prefix) => {
      const store = new artifact.KvArtifactStore(kv, { prefix });
      return () => store.save("a", { text: "x", expectedRevision: EMPTY_REVISION });
    },
    KvThreadStore: (kv, prefix) => {
      const store = new KvThreadStore(kv, { prefix });
      return () => store.append("t", ["{}"], 0);
    },
    KvSessionStore: (kv, prefix) => {
      const store = new web.KvSessionStore(kv, { prefix });
      const at = new Date(0);
      return () =>
        store.put({
          ...{ sessionId: "s", tenant: "ann", threadId: "t", title: null, used: false },
          ...{ createdAt: at, usedAt: at, model: null, effort: null, revision: 1 },
        });
    },
    KvSessionOwners: (kv, prefix) => {
      const owners = new web.KvSessionOwners(kv, { prefix });
      return () => owners.claim("s", "http://a", 9_000);
    },
  };
  for (const [name, make] of Object.entries(rows)) {
    const kv = new FakeKv();
    const prefix = ["given"];
    const write = make(kv, prefix);
    prefix[0] = "changed";
    await write();
    const roots = new Set([...kv.entries.values()].map(({ key }) => key[0]));
    assert.deepEqual([...roots], ["given"], name);
  }
});

test("what is checked is what is used: every option is read once", async () => {
  const mcpServers = { docs: { url: "http://127.0.0.1:9/mcp" } };
  const methods = {
    "config/read": () => ({ config: {} }),
    "mcpServer/tool/call": () => ({ content: [] }),
  };
  const world = { server: { methods }, session: { mcpServers } };
  await onFake(world, async ({ client, session, cwd }) => {
    const transport = () => ({
      type: "custom" as const,
      open: fakeTransport((end) => void new FakeServer(end)),
    });
    const doors: Record<string, (reads: Map<string, number>) => Promise<unknown>> = {
      ask: (reads) => {
        const limits = counting({ tokens: 1_000 }, reads);
        return session.ask(
          counting({ text: "x" }, reads),
          counting({ limits, timeoutMs: 9_000 }, reads),
        );
      },
      askStream: async (reads) =>
        await (await session.askStream("x", counting({ timeoutMs: 9_000 }, reads))).finish(),
      askWithProfile: (reads) =>
        session.askWithProfile(
          "x",
          counting({ model: "m" }, reads),
          counting({ timeoutMs: 9 }, reads),
        ).catch(() => {}),
      startSession: (reads) => {
        const sandbox = counting({ type: "workspaceWrite" as const, writableRoots: [] }, reads);
        return client.startSession(
          counting({ cwd, sandbox, allowPrivilegedEscalation: true }, reads),
        );
      },
      resumeSession: (reads) => client.resumeSession("t", counting({ model: "m", cwd }, reads)),
      forkSession: (reads) => client.forkSession("t", counting({ model: "m", cwd }, reads)),
      fork: (reads) => session.fork(counting({ model: "m" }, reads)),
      update: (reads) => session.update(counting({ model: "m" }, reads)),
      events: async (reads) => {
        const filter = counting({ after: 0, threadId: "t", turnId: "u" }, reads);
        await client.runtime.events(filter)[Symbol.asyncIterator]().return!();
      },
      "mcp.call": (reads) => session.mcp.call("docs", "search", counting({ text: "x" }, reads)),
      run: (reads) => client.run(cwd, "x", counting({ model: "m" }, reads)),
      quickRunWithProfile: (reads) => {
        const own = counting({ transport: transport(), requestTimeoutMs: 9_000 }, reads);
        const profile = counting({ model: "m", timeoutMs: 9_000 }, reads);
        return quickRunWithProfile(cwd, "x", profile, counting({ client: own }, reads));
      },
      "Client.connect": async (reads) => {
        const config = { transport: transport(), requestTimeoutMs: 9_000 };
        await (await Client.connect(counting(config, reads))).shutdown();
      },
      "Workflow.connect": async (reads) => {
        const own = counting({ transport: transport() }, reads);
        const workflow = await Workflow.connect(counting({ cwd, model: "m", client: own }, reads));
        await workflow.run("x", counting({ timeoutMs: 9_000 }, reads));
        await workflow.shutdown();
      },
      WebAdapter: async (reads) => {
        const profile = counting({ timeoutMs: 9_000 }, reads);
        await new web.WebAdapter(counting({ client, cwd, profile }, reads)).close();
      },
      ArtifactSessionManager: async (reads) => {
        const store = new artifact.MemoryArtifactStore();
        const options = counting({ cwd, timeoutMs: 9_000, store }, reads);
        const documents = new artifact.ArtifactSessionManager(client, options);
        const task = { type: "passthrough" as const, artifactId: "a", userGoal: "x" };
        await documents.runTask(counting(task, reads));
        await documents.close();
      },
      codexModel: async (reads) => {
        await aiSdk.codexModel(client, counting({ cwd, model: "m" }, reads)).close();
      },
      "automation.spawn": async (reads) => {
        const spec = counting({ prompt: "x", every: 9_000, maxRuns: 1 }, reads);
        await automation.spawn(session, spec).wait();
      },
    };
    for (const [name, call] of Object.entries(doors)) {
      const reads = new Map<string, number>();
      await call(reads);
      assert.ok(reads.size > 0, name);
      for (const [option, times] of reads) assert.equal(times, 1, `${name}: ${option}`);
    }
  });
});

test("options that are accessors of a class take effect as others do", async () => {
  class Options {
    get timeoutMs(): number {
      return 1;
    }
  }
  await onFake({ server: { onTurn: () => {} } }, async ({ session }) => {
    assert.ok(await rejection(session.ask("x", new Options())) instanceof TurnTimeoutError);
  });
});

test("an adapter's profile that is changed after the call is the one that was given", async () => {
  await onFake({}, async ({ client, cwd, server }) => {
    const started = () => server().received.findLast(({ method }) => method === "thread/start")!;
    const config = { model_reasoning_summary: "given" };
    await using model = aiSdk.codexModel(client, { cwd, config });
    config.model_reasoning_summary = "changed";
    const text = { type: "text" as const, text: "x" };
    await model.doGenerate({ prompt: [{ role: "user", content: [text] }] });
    assert.match(JSON.stringify(started().params), /"given"/);

    const profile = { model: "given" };
    const [asks, answers] = [new TransformStream(), new TransformStream()];
    const serving = acp.serve(
      client,
      { readable: asks.readable, writable: answers.writable },
      profile,
    );
    profile.model = "changed";
    const [said, heard] = [asks.writable.getWriter(), answers.readable.getReader()];
    const calls = [
      { id: 1, method: "initialize", params: { protocolVersion: 1 } },
      { id: 2, method: "session/new", params: { cwd, mcpServers: [] } },
    ];
    for (const call of calls) {
      const line = `${JSON.stringify({ jsonrpc: "2.0", ...call })}\n`;
      void said.write(new TextEncoder().encode(line));
      while (!new TextDecoder().decode((await heard.read()).value).includes(`"id":${call.id}`));
    }
    assert.equal(started().params.model, "given");
    await said.close();
    heard.releaseLock();
    void answers.readable.cancel();
    await serving;
  });
});

test("limits that are accessors of a class hold", async () => {
  class Limits {
    get toolCalls(): number {
      return 0;
    }
  }
  const limits = new Limits();
  const onTurn = (turn: FakeTurn) => void turn.command("true");
  await onFake(
    { server: { onTurn }, session: { limits } },
    async ({ session, client, cwd }) => {
      assert.deepEqual(session.profile.limits, { toolCalls: 0 });
      const once = automation.spawn(session, { prompt: "x", every: 1, maxRuns: 1, limits });
      const asked = [
        session.ask("x"),
        session.ask("x", { limits }),
        client.run(cwd, "x", { limits }),
      ].map(rejection);
      for (const error of await Promise.all(asked)) assert.ok(error instanceof BudgetExceededError);
      assert.ok((await once.wait()).lastError instanceof BudgetExceededError);
    },
  );
});
