/**
 * Random histories of a session on the real codex, behind a link of random slowness: prompts, aborts, steers, turns of
 * somebody else, interrupts, all at once. Whatever the order: every promise settles, every turn on the wire is told and
 * counted once, and the model hears nothing more after close(). `HISTORIES=500` for the long form.
 */
import assert from "node:assert/strict";
import "./_seed.ts";
import fc from "npm:fast-check@4.10.2";
import { plainSettings } from "../../src/json.ts";
import { codexTransport } from "../../src/launch/mod.ts";
import type { SessionEvent } from "../../src/session/events/session_event.ts";
import { script } from "../../src/testing/mod.ts";
import { CODEX_VERSIONS } from "../_codex.ts";
import { test } from "../_harness.ts";
import { inWorld, within, type World } from "../real/_session_world.ts";
import { slowLink } from "../_slow_link.ts";

const RUNS = Number(Deno.env.get("HISTORIES") ?? 20);

type Step =
  | { type: "ask"; slow: boolean; abortAfter: number | null; steer: boolean }
  | { type: "foreign"; slow: boolean }
  | { type: "interrupt" }
  | { type: "pause"; ms: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    type: fc.constant("ask" as const),
    slow: fc.boolean(),
    abortAfter: fc.option(fc.integer({ min: 0, max: 250 })),
    steer: fc.boolean(),
  }),
  fc.record({ type: fc.constant("foreign" as const), slow: fc.boolean() }),
  fc.record({ type: fc.constant("interrupt" as const) }),
  fc.record({ type: fc.constant("pause" as const), ms: fc.integer({ min: 1, max: 200 }) }),
);

/** What of the wire is looked at. */
interface Notification {
  method: string;
  params: { turn?: { id: string }; tokenUsage?: unknown };
}

const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

async function history(world: World, steps: Step[], delayMs: number): Promise<void> {
  const config = world.config();
  const open = codexTransport({
    codexPath: config.codexPath!,
    env: config.env!,
    configOverrides: plainSettings(config.configOverrides),
  });
  const link = slowLink(open, () => Math.random() * delayMs);
  const wire: Notification[] = [];
  const client = await world.connect({
    transport: { type: "custom", open: link },
    eventLog: {
      write(event) {
        if (event.kind === "notification") wire.push(event.message as unknown as Notification);
      },
    },
  });
  const session = await client.startSession({ cwd: world.cwd });
  const told: SessionEvent[] = [];
  const listening = (async () => {
    for await (const event of session.events()) told.push(event);
  })();
  const usage = script.usage({ inputTokens: 10, outputTokens: 3 });
  const answer = (slow: boolean) =>
    world.prompt(() =>
      slow ? [script.delay(150), script.say("x"), usage] : [script.say("x"), usage]
    );
  const promises: Promise<unknown>[] = [];
  const keep = (promise: Promise<unknown>) => {
    promise.catch(() => {});
    promises.push(promise);
  };
  for (const each of steps) {
    switch (each.type) {
      case "ask": {
        const stop = new AbortController();
        keep((async () => {
          const stream = await session.askStream(answer(each.slow), { signal: stop.signal });
          if (each.steer) await stream.steer("more").catch(() => {});
          return await stream.finish();
        })());
        if (each.abortAfter !== null) {
          keep(wait(each.abortAfter).then(() => stop.abort(new Error("enough"))));
        }
        break;
      }
      case "foreign":
        keep(client.runtime.request("turn/start", {
          threadId: session.threadId,
          input: [{ type: "text", text: answer(each.slow) }],
        }));
        break;
      case "interrupt":
        keep(session.interrupt());
        break;
      case "pause":
        await wait(each.ms);
    }
  }
  await within(40_000, "every promise", Promise.allSettled(promises));
  await within(20_000, "interrupt()", session.interrupt());
  await within(20_000, "close()", session.close());
  await listening;
  const heard = world.model.requests.length;
  await wait(60);
  assert.equal(world.model.requests.length, heard, "the model heard more after close()");
  await client.shutdown();
  const ids = (type: string) =>
    told.filter((event) => event.type === type).map((event) =>
      (event as { turnId: string }).turnId
    );
  const [started, ended] = [ids("turnStarted"), ids("turnCompleted")];
  assert.equal(new Set(started).size, started.length, "a turn was told twice");
  assert.equal(new Set(ended).size, ended.length, "an end was told twice");
  assert.deepEqual([...started].sort(), [...ended].sort());
  const onWire = wire.filter(({ method }) => method === "turn/completed")
    .map(({ params }) => params.turn!.id);
  // Codex 0.104 says of turns that they have started which never work: their end is told all the same.
  assert.deepEqual(onWire.filter((id) => !ended.includes(id)), []);
  const totals = wire.filter(({ method }) => method === "thread/tokenUsage/updated")
    .map(({ params }) =>
      (params.tokenUsage as { total: { totalTokens: number } }).total.totalTokens
    );
  assert.equal(session.usage.totalTokens, Math.max(0, ...totals));
}

for (const version of CODEX_VERSIONS) {
  test(
    `random histories of a session keep its promises [${version}]`,
    { timeoutMs: 60_000 + RUNS * 30_000 },
    () =>
      inWorld(version, async (world) => {
        await fc.assert(
          fc.asyncProperty(
            fc.array(step, { minLength: 1, maxLength: 8 }),
            fc.constantFrom(0, 5, 60),
            (steps, delayMs) => history(world, steps, delayMs),
          ),
          { numRuns: RUNS, endOnFailure: true },
        );
        assert.deepEqual(world.servers(), [], "a process is left");
      }),
  );
}
