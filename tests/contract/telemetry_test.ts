/** What OpenTelemetry is told of turns, and that it can't disturb them. */
import assert from "node:assert/strict";
import type { OtelContext, OtelSpan, OtelTracer } from "../../src/telemetry.ts";
import { InvalidArgumentError, type TurnFailedError } from "../../src/errors/mod.ts";
import type { FakeServer, FakeTurn, Message } from "../_fake_server.ts";
import { test } from "../_harness.ts";
import { MemoryOtel, registered, withSpan } from "../_otel.ts";
import { dialects, type FakeWorld, onFake, rejection, startTurn } from "./session_world.ts";

function traceOf(message: Message): string | undefined {
  return message.trace?.traceparent;
}

dialects("a turn is a span with its tools and model calls in it", async (dialect) => {
  const otel = new MemoryOtel();
  await onFake({
    server: {
      dialect,
      onTurn: async (turn) => {
        await turn.command("cat secret.txt", "the output", {});
        turn.usage({ inputTokens: 100, outputTokens: 10, totalTokens: 110 });
        turn.say("The answer.");
        turn.usage({ inputTokens: 120, outputTokens: 20, totalTokens: 140 });
        turn.complete();
      },
    },
    client: { telemetry: { tracer: otel.tracer, meter: otel.meter } },
  }, async ({ session, server }) => {
    const { usage } = await session.ask("The prompt.");
    assert.deepEqual(otel.open, []);
    const model = String(otel.spans[0]!.attributes["gen_ai.request.model"]);
    assert.deepEqual(otel.tree().sort(), [
      "invoke_agent codex",
      `invoke_agent codex > chat ${model}`,
      `invoke_agent codex > chat ${model}`,
      "invoke_agent codex > execute_tool shell",
    ]);
    const agent = otel.spans[0]!;
    assert.equal(agent.attributes["gen_ai.operation.name"], "invoke_agent");
    assert.equal(agent.attributes["gen_ai.conversation.id"], session.threadId);
    assert.equal(agent.attributes["gen_ai.usage.input_tokens"], usage!.inputTokens);
    assert.equal(agent.status.code, 0);
    const chats = otel.spans.filter(({ name }) => name.startsWith("chat"));
    assert.deepEqual(
      chats.map(({ attributes }) => attributes["gen_ai.usage.output_tokens"]).reduce((a, b) =>
        Number(a) + Number(b)
      ),
      usage!.outputTokens,
    );
    assert.ok(otel.spans.every((span) => span.ends === 1 && span.endTime! >= span.startTime));
    // Nothing of what was said.
    assert.doesNotMatch(
      JSON.stringify([otel.spans, otel.points]),
      /secret|output\b.*the output|answer|prompt\./,
    );
    assert.equal(otel.sum("gen_ai.client.inference.usage.input_tokens"), usage!.inputTokens);
    assert.equal(otel.sum("gen_ai.client.inference.usage.output_tokens"), usage!.outputTokens);
    assert.equal(otel.sum("gen_ai.invoke_agent.inference_calls"), 2);
    assert.equal(otel.sum("gen_ai.invoke_agent.tool_calls"), 1);
    // Codex is told of the turn's span.
    const start = server().received.find(({ method }) => method === "turn/start");
    assert.equal(
      traceOf(start),
      `00-${agent.spanContext().traceId}-${agent.spanContext().spanId}-01`,
    );
  });
});

test("the caller's span is told with every request, and is the parent of the turn's", async () => {
  const otel = new MemoryOtel();
  const root = otel.tracer.startSpan("caller");
  const api = {
    trace: { getTracer: () => otel.tracer },
    metrics: { getMeter: () => otel.meter },
    context: { active: () => withSpan(root) },
  };
  await registered(api, () =>
    onFake({}, async ({ client, session, server }) => {
      await session.ask("x");
      await client.models().catch(() => {});
      const requests = server().received.filter(({ id, method }) => id !== undefined && method);
      const { traceId, spanId } = root.spanContext();
      const others = requests.filter(({ method }) => method !== "turn/start");
      assert.ok(others.length > 1);
      for (const each of others) {
        assert.equal(traceOf(each), `00-${traceId}-${spanId}-01`, each.method);
      }
      assert.match(
        traceOf(requests.find(({ method }) => method === "turn/start"))!,
        new RegExp(traceId),
      );
      assert.equal(otel.tree()[1], "caller > invoke_agent codex");
    }));
});

test("a turn that somebody else began belongs to no trace of ours", async () => {
  const otel = new MemoryOtel();
  const root = otel.tracer.startSpan("whoever connected");
  const tracer: OtelTracer = {
    // As an SDK does it.
    startSpan: (name, options, context = withSpan(root)) =>
      otel.tracer.startSpan(name, options, context),
  };
  await onFake({ client: { telemetry: { tracer } } }, async ({ session, server }) => {
    await session.ask("first");
    const next = session.nextTurn();
    const { turn } = startTurn(server(), { threadId: session.threadId, input: [] });
    turn.started();
    const stream = await next;
    turn.say("Hello.");
    turn.usage();
    turn.complete();
    await stream.finish();
    assert.deepEqual(otel.open.map(({ name }) => name), ["whoever connected"]);
    const agents = otel.spans.filter(({ name }) => name === "invoke_agent codex");
    assert.deepEqual(agents.map(({ parent }) => parent), [null, null]);
    assert.equal(agents[1]!.attributes["codex.turn.id"], turn.id);
  });
});

test("nothing is told without an API, with telemetry off, and of a span that names no trace", async () => {
  const otel = new MemoryOtel();
  const quiet = async (client: object) => {
    await onFake({ client }, async ({ session, server }) => {
      await session.ask("x");
      assert.ok(server().received.every((message) => !("trace" in message)));
    });
  };
  await quiet({});
  const api = {
    trace: { getTracer: () => otel.tracer },
    context: { active: () => withSpan(otel.tracer.startSpan("caller")) },
  };
  await registered(api, () => quiet({ telemetry: "off" }));
  assert.deepEqual(otel.tree(), []);
  const invalid: OtelSpan = {
    spanContext: () => ({ traceId: "0".repeat(32), spanId: "0".repeat(16), traceFlags: 0 }),
    setAttributes: () => {},
    setStatus: () => {},
    end: () => {},
  };
  const noop = { trace: { getTracer: () => ({ startSpan: () => invalid }) } };
  await registered(noop, () => quiet({}));
});

test("an API that is registered after the client has connected is taken", async () => {
  const otel = new MemoryOtel();
  await onFake({}, async ({ session }) => {
    await session.ask("before");
    await registered({ trace: { getTracer: () => otel.tracer } }, async () => {
      await session.ask("x");
    });
    assert.equal(otel.tree()[0], "invoke_agent codex");
  });
});

test("prompts, answers and tools are told where it is asked for, without secrets", async () => {
  const otel = new MemoryOtel();
  const secret = `sk-proj-${"a1B2".repeat(12)}`;
  await onFake({
    server: {
      onTurn: async (turn) => {
        await turn.command(`curl -H 'Authorization: Bearer ${secret}'`, `got ${secret}`, {});
        turn.say(`Your key is ${secret}.`);
        turn.complete();
      },
    },
    client: { telemetry: { tracer: otel.tracer, captureContent: true } },
  }, async ({ session }) => {
    await session.ask(`Use ${secret} ${"x".repeat(50_000)}`);
    const [agent] = otel.spans;
    const tool = otel.spans.find(({ name }) => name === "execute_tool shell")!;
    assert.match(String(agent!.attributes["gen_ai.input.messages"]), /Use /);
    assert.match(String(agent!.attributes["gen_ai.output.messages"]), /Your key is /);
    assert.match(String(tool.attributes["gen_ai.tool.call.arguments"]), /curl/);
    assert.match(String(tool.attributes["gen_ai.tool.call.result"]), /got /);
    for (const { attributes } of otel.spans) {
      for (const [name, value] of Object.entries(attributes)) {
        assert.ok(!String(value).includes(secret), name);
        assert.ok(String(value).length <= 32_768, name);
      }
    }
  });
});

test("failures have their kind, and no message unless content is asked for", async () => {
  const otel = new MemoryOtel();
  await onFake({
    server: {
      onTurn: (turn) => {
        turn.fail("The prompt was: my diary", "usageLimitExceeded");
      },
    },
    client: { telemetry: { tracer: otel.tracer, meter: otel.meter } },
  }, async ({ session }) => {
    const error = await rejection(session.ask("x")) as TurnFailedError;
    const [agent, chat] = otel.spans;
    assert.equal(agent!.attributes["error.type"], error.kind);
    assert.deepEqual(agent!.status, { code: 2 });
    assert.match(chat!.name, /^chat/);
    assert.equal(chat!.attributes["error.type"], error.kind);
    assert.doesNotMatch(JSON.stringify(otel.spans), /diary/);
    assert.ok(
      otel.points.some(({ name, attributes }) =>
        name === "gen_ai.invoke_agent.duration" && attributes["error.type"] === error.kind
      ),
    );
  });
});

const THROWS: Record<string, OtelTracer> = {
  "that throws": {
    startSpan() {
      throw new Error("no");
    },
  },
  "whose spans throw": {
    startSpan: () =>
      new Proxy({}, {
        get() {
          throw new Error("no");
        },
      }) as OtelSpan,
  },
  "that rejects": {
    startSpan: () => Promise.reject(new Error("no")) as unknown as OtelSpan,
  },
  "that gives nothing": { startSpan: () => undefined as unknown as OtelSpan },
};

for (const [name, tracer] of Object.entries(THROWS)) {
  test(`a tracer ${name} disturbs nothing`, async () => {
    const meter = {
      createHistogram: () => {
        throw new Error("no");
      },
      createCounter: () => {
        throw new Error("no");
      },
    };
    await onFake({ client: { telemetry: { tracer, meter } } }, async ({ session }) => {
      assert.equal((await session.ask("x")).assistantText, "ok");
      const stop = new AbortController();
      stop.abort(new Error("mine"));
      assert.equal(
        (await rejection(session.ask("x", { signal: stop.signal })) as Error).message,
        "mine",
      );
    });
  });
}

for (
  const [name, broken] of Object.entries({
    throws: () => {
      throw new Error("no");
    },
    "does nothing": () => {},
    "does it twice": (_context: OtelContext, act: () => void) => [act(), act()],
    "throws after it": (_context: OtelContext, act: () => void) => {
      act();
      throw new Error("no");
    },
  })
) {
  test(`a way to run something in a context that ${name} runs it once`, async () => {
    const otel = new MemoryOtel();
    const root = otel.tracer.startSpan("caller");
    const api = {
      trace: { getTracer: () => otel.tracer },
      context: { active: () => withSpan(root), with: broken },
    };
    let asked = 0;
    await registered(api, () =>
      onFake({
        server: {
          onTurn: async (turn) => {
            const decision = await turn.command("true", "", { ask: true });
            turn.say(String(decision));
            turn.complete();
          },
        },
        client: { approvals: () => (asked++, { decision: "accept" as const }) },
      }, async ({ session }) => {
        assert.equal((await session.ask("x")).assistantText, "accept");
        assert.equal(asked, 1);
      }));
  });
}

test("an API whose every part throws disturbs nothing", async () => {
  const api = new Proxy({}, {
    get() {
      throw new Error("no");
    },
  });
  await registered(api, () =>
    onFake({}, async ({ session }) => {
      assert.equal((await session.ask("x")).assistantText, "ok");
    }));
});

test("huge names and thousands of uses of tools leave no span open", async () => {
  const otel = new MemoryOtel();
  const huge = "n".repeat(1 << 20);
  let server = (): FakeServer => assert.fail();
  await onFake({
    server: {
      onTurn: async (turn) => {
        for (let index = 0; index < 2000; index++) {
          // A model makes the ids, and they recur.
          await turn.command(`echo ${index}`, "", { id: `call_${index % 7}` });
        }
        server().notify("item/started", {
          threadId: turn.threadId,
          turnId: turn.id,
          item: { type: huge, id: huge },
        });
        turn.complete();
      },
    },
    client: { telemetry: { tracer: otel.tracer, meter: otel.meter } },
  }, async (world) => {
    server = world.server;
    await rejection(world.session.ask("x"));
    assert.deepEqual(otel.open, []);
    const tools = otel.spans.filter(({ name }) => name.startsWith("execute_tool"));
    assert.equal(tools.length, 2001);
    assert.ok(otel.spans.every(({ name, ends }) => name.length < 200 && ends === 1));
    const names = JSON.stringify(otel.spans.map(({ attributes }) => attributes)).length;
    assert.ok(names < 2_000_000, `${names}`);
    assert.equal(tools.at(-1)!.attributes["error.type"], "unfinished");
  });
});

/** Acts in the middle of an answer that never comes to its end by itself. */
async function halfAnswered(
  { tracer, meter }: MemoryOtel,
  act: (world: FakeWorld, stop: AbortController, asked: Promise<unknown>) => Promise<void>,
): Promise<void> {
  const begun = Promise.withResolvers<void>();
  const onTurn = (turn: FakeTurn) => {
    turn.say("Half", { open: true });
    begun.resolve();
  };
  const options = { server: { onTurn }, client: { telemetry: { tracer, meter } } };
  await onFake(options, async (world) => {
    const stop = new AbortController();
    const asked = world.session.ask("x", { signal: stop.signal });
    await begun.promise;
    await act(world, stop, asked);
  });
}

test("aborts, closes and a dead server leave no span open", async () => {
  const ends: Record<
    string,
    (world: FakeWorld, stop: AbortController) => unknown
  > = {
    abort: (_, stop) => stop.abort(new Error("mine")),
    close: ({ session }) => session.close(),
    shutdown: ({ client }) => client.shutdown(),
    crash: ({ server }) => server().crash(),
  };
  for (const [name, end] of Object.entries(ends)) {
    const otel = new MemoryOtel();
    await halfAnswered(otel, async (world, stop, asking) => {
      const asked = rejection(asking);
      const ended = end(world, stop);
      const error = await asked;
      assert.deepEqual(otel.open.map((span) => span.name), [], name);
      assert.ok(String(otel.spans[0]!.attributes["error.type"]).length > 3, `${name}: ${error}`);
      assert.equal(otel.spans[0]!.status.code, 2, name);
      await ended;
    });
  }
});

test("a reason for which a turn is given up is an error, whatever it is, and told to nobody", async () => {
  for (const reason of ["given up for patient Doe", null, { toString: () => "Doe" }, 4711]) {
    const otel = new MemoryOtel();
    await halfAnswered(otel, async (_, stop, asked) => {
      stop.abort(reason);
      assert.equal(await rejection(asked), reason);
    });
    const [agent] = otel.spans;
    assert.equal(agent!.attributes["error.type"], "interrupted", String(reason));
    assert.equal(agent!.status.code, 2, String(reason));
    assert.doesNotMatch(JSON.stringify([otel.spans, otel.points]), /Doe/);
    const { attributes } = otel.points.find(({ name }) => name.endsWith("invoke_agent.duration"))!;
    assert.equal(attributes["error.type"], "interrupted");
  }
});

test("what telemetry may be is told", async () => {
  for (const telemetry of ["on", {}, { tracer: {} }, { exporter: 1 }, { captureContent: "yes" }]) {
    const connected = onFake(
      { client: { telemetry: telemetry as never } },
      () => Promise.resolve(),
    );
    if (JSON.stringify(telemetry) === "{}") await connected;
    else {assert.ok(
        await rejection(connected) instanceof InvalidArgumentError,
        JSON.stringify(telemetry),
      );}
  }
});
