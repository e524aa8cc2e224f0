/** The caller's trace goes through the real codex to the model, and nothing of what was said goes with it. */
import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { AsyncLocalStorage } from "node:async_hooks";
import { join } from "node:path";
import { collector } from "../../examples/_otlp_collector.ts";
import { script } from "../../src/testing/mod.ts";
import { CODEX_VERSIONS } from "../_codex.ts";
import { test } from "../_harness.ts";
import type { OtelContext, OtelSpan } from "../../src/telemetry.ts";
import { MemoryOtel, type MemorySpan, registered, withSpan } from "../_otel.ts";
import { tempDir } from "../_temp.ts";
import { inWorld, rejection } from "./_session_world.ts";

const NO_CONTEXT: OtelContext = {
  getValue: () => undefined,
  setValue: (_key, span) => withSpan(span as OtelSpan),
  deleteValue: () => NO_CONTEXT,
};

for (const version of CODEX_VERSIONS) {
  const isOld = version === "0.104.0";
  test(`one trace from the turn's span to the model's request [${version}]`, () =>
    inWorld(version, async (world) => {
      await using otlp = await collector();
      await using home = await tempDir("otel-home-");
      await mkdir(join(home.path, "codex"));
      // The user lets codex export, and not what prompts say.
      await writeFile(
        join(home.path, "codex", "config.toml"),
        `[otel]\nlog_user_prompt = false\n` +
          `exporter = { "otlp-http" = { endpoint = "${otlp.url}/v1/logs", protocol = "json" } }\n` +
          `trace_exporter = { "otlp-http" = { endpoint = "${otlp.url}/v1/traces", protocol = "json" } }\n`,
      );
      const otel = new MemoryOtel();
      const { tracer, meter } = otel;
      const client = await world.connect(
        { telemetry: { tracer, meter, captureContent: true } },
        { home: join(home.path, "codex") },
      );
      const session = await client.startSession({ cwd: world.cwd });
      const play = [[script.reason("Hm"), script.exec("echo hi")], script.say("Done.")];
      const { usage } = await session.ask(world.prompt(play, "diary-4711"));
      const stop = new AbortController();
      const half = world.prompt([[script.say("Half", { open: true }), script.hang()]]);
      const onEvent = ({ type }: { type: string }) => {
        if (type === "assistantMessageDelta") stop.abort(new Error("enough"));
      };
      await rejection(session.ask(half, { signal: stop.signal, onEvent }));
      assert.deepEqual(otel.open.map(({ name }) => name), []);
      const [agent, aborted] = otel.spans.filter(({ name }) => name === "invoke_agent codex");
      const children = (parent: unknown) =>
        otel.spans.filter((span) => span.parent === parent).map(({ name }) => name).sort();
      const chat = "chat scripted-model";
      assert.deepEqual(children(agent), [chat, chat, "execute_tool shell"]);
      assert.deepEqual(children(aborted), [chat]);
      assert.equal(aborted!.attributes["error.type"], "Error");
      assert.equal(agent!.attributes["gen_ai.usage.input_tokens"], usage!.inputTokens);
      assert.equal(agent!.attributes["gen_ai.agent.version"], version);
      assert.match(String(agent!.attributes["gen_ai.input.messages"]), /diary-4711/);
      const { requests } = world.model;
      await client.shutdown();

      const ours = [agent!, aborted!].map((span) => span.spanContext().traceId);
      const told = requests.map(({ headers }) => headers["traceparent"]?.split("-")[1]);
      const server = otlp.spans.filter(({ traceId }) => traceId === ours[0]);
      if (isOld) {
        // It has a trace of its own for each turn.
        assert.ok(told.every((id) => id !== undefined && !ours.includes(id)));
        assert.equal(server.length, 0);
      } else {
        assert.deepEqual(told, [ours[0], ours[0], ours[1]]);
        assert.ok(server.length > 50, `${server.length} spans joined`);
        const start = server.find(({ name }) => name === "turn/start");
        assert.equal(start?.parentSpanId, agent!.spanContext().spanId);
        // What codex exports says no more because we trace.
        assert.doesNotMatch(otlp.bodies.join(), /diary-4711/);
      }
    }));
}

for (const version of CODEX_VERSIONS) {
  test(`what codex does by itself is below the trace of who asked for it [${version}]`, () =>
    inWorld(version, async (world) => {
      const otel = new MemoryOtel();
      const caller = new AsyncLocalStorage<OtelContext>();
      const api = {
        trace: { getTracer: () => otel.tracer },
        metrics: { getMeter: () => otel.meter },
        context: {
          active: () => caller.getStore() ?? NO_CONTEXT,
          with: <T>(context: OtelContext, act: () => T) => caller.run(context, act),
        },
      };
      const below = async <T>(name: string, act: () => Promise<T>): Promise<T> => {
        const span = otel.tracer.startSpan(name);
        return await caller.run(withSpan(span), act).finally(() => span.end());
      };
      await registered(api, async () => {
        // Nothing belongs to the trace in which the connection was made.
        const within: string[] = [];
        const trace = (name: string) => {
          const context = caller.getStore() ?? NO_CONTEXT;
          const span = otel.tracer.startSpan(name, {}, context) as MemorySpan;
          within.push(`${span.parent?.parent?.name} > ${span.parent?.name} > ${name}`);
          span.end();
        };
        const approvals = () => {
          trace("a person is asked");
          return { decision: "decline" as const };
        };
        const client = await below("connect", () => world.connect({ approvals }));
        const session = await below("open", () =>
          client.startSession({
            cwd: world.cwd,
            approvalPolicy: "on-request",
            allowPrivilegedEscalation: true,
            tools: {
              look: {
                description: "Looks.",
                inputSchema: { type: "object" },
                run: () => {
                  trace("a tool looks");
                  return "seen";
                },
              },
            },
          }));
        const patch = "*** Begin Patch\n*** Add File: a.txt\n+a\n*** End Patch";
        await below("ask", () =>
          session.ask(
            world.prompt([script.toolCall("look", {}), script.applyPatch(patch), "Done."]),
          ));
        // What runs for the turn is traced below it, not below whoever connected.
        assert.deepEqual(within, [
          "ask > invoke_agent codex > a tool looks",
          "ask > invoke_agent codex > a person is asked",
        ]);
        await below("compact", () => session.compact());
        await below("review", () => session.review({ type: "custom", instructions: "Look." }));
        await below("sample", () => session.sample("A title"));
        let goals = 0;
        if (version !== "0.104.0") {
          const play = world.prompt((_, round) =>
            round === 1 ? script.toolCall("update_goal", { status: "complete" }) : "Step."
          );
          const goal = await below("goal", () => session.startGoal(play));
          goals = (await goal.finish()).turns.length;
        }
        await session.close();
        assert.deepEqual(otel.open.map(({ name }) => name), []);
        const agents = otel.tree().filter((path) => path.endsWith("> invoke_agent codex"));
        const asked = ["ask", "compact", "review", "sample"];
        assert.deepEqual(
          agents,
          [...asked, ...Array<string>(goals).fill("goal")].map((name) =>
            `${name} > invoke_agent codex`
          ),
        );
        assert.equal(version === "0.104.0", goals === 0);
        const all = client.usage.inputTokens;
        assert.equal(otel.sum("gen_ai.client.inference.usage.input_tokens"), all);
      });
    }));
}

test("an agent that the agent starts has spans below it, and its tokens count once", () =>
  inWorld("0.169.0", async (world) => {
    const otel = new MemoryOtel();
    const { tracer, meter } = otel;
    const client = await world.connect({ telemetry: { tracer, meter } });
    const session = await client.startSession({
      cwd: world.cwd,
      config: { "features.multi_agent": true },
    });
    const namespace = "multi_agent_v1";
    const child = world.prompt([script.exec("true"), "I am done."], "child");
    const parent = world.prompt(({ toolOutputs: [spawned] }, round) => {
      if (round === 0) return [script.toolCall("spawn_agent", { message: child }, { namespace })];
      if (round > 1) return "It is done.";
      const wait = { targets: [JSON.parse(spawned!.text).agent_id], timeout_ms: 20_000 };
      return [script.toolCall("wait_agent", wait, { namespace })];
    });
    await session.ask(parent);
    assert.ok(client.usage.subAgents.totalTokens > 0);
    await session.close();
    const tree = otel.tree();
    assert.deepEqual(otel.open.map(({ name }) => name), []);
    const below = "invoke_agent codex > invoke_agent codex";
    assert.ok(tree.includes(below), tree.join("\n"));
    assert.ok(tree.includes(`${below} > execute_tool shell`), tree.join("\n"));
    assert.equal(tree.filter((path) => path === `${below} > chat`).length, 2, tree.join("\n"));
    assert.ok(otel.spans.every(({ ends }) => ends === 1));
    assert.equal(otel.sum("gen_ai.client.inference.usage.input_tokens"), client.usage.inputTokens);
  }));
