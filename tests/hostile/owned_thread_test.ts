/** A session owns its thread: whatever is done to it behind its back or in the middle of its turns, every call settles and nothing goes on. */
import assert from "node:assert/strict";
import process from "node:process";
import {
  CodexError,
  ConnectionClosedError,
  SessionClosedError,
  TurnTimeoutError,
} from "../../src/errors/mod.ts";
import { plainSettings } from "../../src/json.ts";
import { codexTransport } from "../../src/launch/mod.ts";
import type { StandardSchemaV1 } from "../../src/session/output/standard_schema.ts";
import type { Session } from "../../src/session/session.ts";
import type { TurnEvent } from "../../src/session/turn/turn_event.ts";
import { script } from "../../src/testing/mod.ts";
import type { TransportFactory } from "../../src/transport/transport.ts";
import { codexes } from "../_codex.ts";
import { test } from "../_harness.ts";
import { type LinkMessage, lossyLink } from "../_lossy_link.ts";
import { inWorld, rejection, SOON_MS, within, type World } from "../real/_session_world.ts";

const LIMIT_MS = 40_000;
let seconds = 6100;

/** A prompt that is at work until it is stopped, with its command: whenever it ends, it is run again. */
function busy(world: World): { prompt: string; command: string } {
  const command = `sleep ${++seconds}`;
  return { prompt: world.prompt(() => [script.exec(command)]), command };
}

async function until(what: string, look: () => boolean): Promise<void> {
  const deadline = performance.now() + LIMIT_MS;
  while (!look()) {
    if (performance.now() > deadline) throw new Error(`${what} did not happen`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Nothing of the command is left, and the model hears nothing more. */
async function assertGone(world: World, command: string): Promise<void> {
  await until(`the end of ${command}`, () => world.commands(command).length === 0);
  assert.ok(await world.isQuiet(), "the model hears more");
  assert.deepEqual(world.commands(command), []);
}

/** How a promise settles: a value, or an error of ours. */
async function settled(what: string, promise: Promise<unknown>): Promise<unknown> {
  const outcome = await within(LIMIT_MS, what, promise.then(() => null, (error) => error));
  assert.ok(outcome === null || outcome instanceof CodexError, `${what}: ${outcome}`);
  return outcome;
}

/** What tells of turns. */
const TELLS = /^(?:turn|item|thread\/(?:compacted|status|tokenUsage))\b/;

/** The world's codex behind a link that loses what is named. */
function lossy(world: World, loses: (message: LinkMessage) => boolean): TransportFactory {
  const { codexPath, env, configOverrides } = world.config();
  const settings = { codexPath: codexPath!, env: env! };
  const open = codexTransport({ ...settings, configOverrides: plainSettings(configOverrides) });
  return lossyLink(open, loses);
}

for (const version of codexes("0.169.0", "0.145.0", "0.104.0")) {
  test(
    `a thread that somebody archives or deletes in the middle of a turn leaves nothing at work [${version}]`,
    { timeoutMs: 240_000 },
    () =>
      inWorld(version, async (world) => {
        const client = await world.connect();
        for (const method of ["thread/archive", "thread/delete"]) {
          if (method === "thread/delete" && version === "0.104.0") continue;
          const session = await client.startSession({ cwd: world.cwd, timeoutMs: 8_000 });
          await session.ask(world.prompt(["hello"]));
          const { prompt, command } = busy(world);
          const asked = settled("the prompt", session.ask(prompt));
          await until("the command", () => world.commands(command).length > 0);
          await client.runtime.request(method as "thread/archive", { threadId: session.threadId });
          assert.ok(await asked !== null, "the prompt was answered");
          await assertGone(world, command);
          await settled("the next prompt", session.ask("next"));
          if (method === "thread/archive") {
            // Brought back, the session goes on with it; and so when somebody had the server say no more of it.
            await client.unarchiveThread(session.threadId);
            assert.equal((await session.ask("back")).assistantText, "You said: back");
            if (version !== "0.104.0") {
              const { threadId } = session;
              await client.runtime.request("thread/unsubscribe", { threadId });
              assert.equal((await session.ask("still")).assistantText, "You said: still");
            }
          }
          await within(LIMIT_MS, "close()", session.close());
          await within(LIMIT_MS, "close() again", session.close());
          // Nobody else was touched.
          const other = await client.startSession({ cwd: world.cwd });
          assert.equal((await other.ask("you?")).assistantText, "You said: you?");
          await other.close();
        }
      }),
  );

  test(
    `a compaction is told as one, whatever somebody else begins at the same time [${version}]`,
    { timeoutMs: 240_000 },
    () =>
      inWorld(version, async (world) => {
        const client = await world.connect();
        const session = await client.startSession({ cwd: world.cwd });
        await session.ask(world.prompt(["hello"]));
        const { threadId } = session;
        const told: TurnEvent[] = [];
        void (async () => {
          for await (const event of session.events()) told.push(event as TurnEvent);
        })();
        const compactions = () =>
          told.filter((each) =>
            each.type === "itemCompleted" && String(each.item.type) === "contextCompaction"
          ).length;
        const begin = () => {
          const text = world.prompt([[script.delay(100), "foreign"]]);
          return client.runtime.request("turn/start", {
            threadId,
            input: [{ type: "text", text }],
          });
        };
        // What was promised before has its end first, and who waits for any turn does not get the compaction.
        const next = session.nextTurn();
        const promised = begin();
        await within(LIMIT_MS, "compact()", session.compact());
        assert.equal(compactions(), 1);
        await promised;
        const foreign = await within(LIMIT_MS, "nextTurn()", next);
        assert.equal((await foreign.finish()).assistantText, "foreign");
        // One that comes between may be ended by it, which is not the compaction's end.
        const later = session.nextTurn();
        const compacting = session.compact();
        const late = begin().catch(() => {});
        await within(LIMIT_MS, "compact()", compacting);
        assert.equal(compactions(), 2);
        await late;
        assert.equal((await session.ask(world.prompt(["on"]))).assistantText, "on");
        await within(LIMIT_MS, "close()", session.close());
        await later.catch(() => {});
      }),
  );

  test(
    `what is asked of a session in the middle of a turn waits, or works beside it [${version}]`,
    { timeoutMs: 240_000 },
    () =>
      inWorld(version, async (world) => {
        const client = await world.connect();
        const session = await client.startSession({ cwd: world.cwd });
        await session.ask(world.prompt(["hello"]));
        const gate = Promise.withResolvers<void>();
        const asked = session.ask(world.prompt([[script.gate(gate.promise), "done"]]));
        const forked = session.fork();
        const updated = session.update({ model: "another-model" });
        const renamed = session.rename("In the middle");
        const beside = client.forkSession(session.threadId, { cwd: world.cwd });
        await within(LIMIT_MS, "rename()", renamed);
        const copy = await within(LIMIT_MS, "forkSession()", beside);
        assert.equal((await copy.ask(world.prompt(["copy"]))).assistantText, "copy");
        gate.resolve();
        assert.equal((await within(LIMIT_MS, "the prompt", asked)).assistantText, "done");
        const fork = await within(LIMIT_MS, "fork()", forked);
        await within(LIMIT_MS, "update()", updated);
        assert.equal((await fork.ask(world.prompt(["fork"]))).assistantText, "fork");
        await session.ask(world.prompt(["after"]));
        assert.equal(world.model.requests.at(-1)!.model, "another-model");

        // A question beside the conversation that is given up while it is asked.
        const [stop, reason] = [new AbortController(), new Error("enough")];
        const hangs = world.prompt(() => [script.say("Half", { open: true }), script.hang()]);
        const before = world.model.requests.length;
        const sampled = rejection(session.sample(hangs, { signal: stop.signal }));
        await world.model.waitForRequest(({ index }) => index >= before, { timeoutMs: LIMIT_MS });
        stop.abort(reason);
        assert.equal(await within(SOON_MS, "the abort", sampled), reason);
        assert.equal((await session.ask(world.prompt(["on"]))).assistantText, "on");
        assert.equal(world.model.requests.length, before + 2, "the question goes on");
        const late = await rejection(session.sample(hangs, { timeoutMs: 300 }));
        assert.ok(late instanceof CodexError, `${late}`);
        assert.equal((await session.ask(world.prompt(["and on"]))).assistantText, "and on");

        // Ends that meet: each settles, and each once.
        const ends = [
          session.close(),
          session.close(),
          session[Symbol.asyncDispose](),
          fork.release(),
          fork.close(),
          fork[Symbol.asyncDispose](),
        ];
        await within(LIMIT_MS, "the ends", Promise.all(ends));
        assert.ok(await rejection(session.ask("x")) instanceof SessionClosedError);
        assert.ok(await rejection(fork.update({ effort: "low" })) instanceof SessionClosedError);
      }),
  );

  test(
    `a session that is closed, released or aborted as it begins leaves nothing behind [${version}]`,
    { timeoutMs: 240_000 },
    () =>
      inWorld(version, async (world) => {
        const client = await world.connect();
        for (const end of ["close", "release"] as const) {
          const { prompt, command } = busy(world);
          const session = await client.startSession({ cwd: world.cwd });
          // Before anything of it was sent.
          const asked = session.ask(prompt);
          const streamed = session.askStream("second");
          const ended = session[end]();
          assert.ok(await settled("the prompt", asked) !== null);
          assert.ok(await settled("the stream", streamed) instanceof SessionClosedError);
          await within(LIMIT_MS, end, ended);
          await assertGone(world, command);
        }
        const stop = new AbortController();
        const reason = new Error("enough");
        const opening = rejection(client.startSession({ cwd: world.cwd, signal: stop.signal }));
        stop.abort(reason);
        assert.equal(await within(LIMIT_MS, "the abort", opening), reason);
        // A foreign turn is stopped that was promised, or only asked for, and of which nothing was heard yet.
        const session: Session = await client.startSession({ cwd: world.cwd });
        await session.ask(world.prompt(["hello"]));
        const { threadId } = session;
        let resumed = session;
        for (const answered of [true, false]) {
          const { prompt, command } = busy(world);
          const input = [{ type: "text" as const, text: prompt }];
          const started = client.runtime.request("turn/start", { threadId, input } as never);
          if (answered) await started;
          await within(LIMIT_MS, "release()", resumed.release());
          await started;
          await assertGone(world, command);
          resumed = await client.resumeSession(threadId, { cwd: world.cwd });
        }
        assert.equal((await resumed.ask(world.prompt(["there"]))).assistantText, "there");
        const shut = settled("shutdown()", client.shutdown());
        await settled("a prompt meanwhile", resumed.ask("never"));
        await settled("close() meanwhile", resumed.close());
        await shut;
        await settled("dispose afterwards", resumed[Symbol.asyncDispose]());
      }),
  );
}

test(
  "an MCP server that ends as it starts is a warning within the turn",
  () =>
    inWorld("0.169.0", async (world) => {
      const client = await world.connect();
      const session = await client.startSession({
        cwd: world.cwd,
        allowPrivilegedEscalation: true,
        mcpServers: { late: { command: "/bin/sh", args: ["-c", "sleep 1"] } },
      });
      const warned = Promise.withResolvers<void>();
      const events: TurnEvent[] = [];
      const onEvent = (event: TurnEvent) => {
        events.push(event);
        if (event.type === "warning" && /The MCP server late did not start/.test(event.message)) {
          warned.resolve();
        }
      };
      const prompt = world.prompt([[script.gate(warned.promise), "done"]]);
      const asked = session.ask(prompt, { onEvent });
      await within(LIMIT_MS, "the warning", warned.promise);
      assert.equal((await asked).assistantText, "done");
      assert.ok(!events.slice(0, -1).some(({ type }) => type === "turnCompleted"));
      await session.close();
    }),
);

for (const version of codexes("0.169.0", "0.104.0")) {
  test(
    `a compaction ends with a codex that dies before it begins, and the next one goes on [${version}]`,
    () =>
      inWorld(version, async (world) => {
        let [loses, dies] = [false, false];
        const link = lossy(world, ({ method = "" }) => {
          if (method === "thread/compact/start") loses = true;
          if (method === "initialize") loses = false;
          return loses && TELLS.test(method);
        });
        const client = await world.connect({
          transport: { type: "custom", open: link },
          restart: { type: "onCrash", baseDelayMs: 10, maxDelayMs: 50 },
          eventLog: {
            write: ({ kind, method }) => {
              if (kind !== "response" || method !== "thread/compact/start") return;
              process.kill(client.runtime.pid!, "SIGKILL");
              dies = true;
            },
          },
        });
        const session = await client.startSession({ cwd: world.cwd });
        await session.ask(world.prompt(["hello"]));
        const compacting = rejection(session.compact());
        const next = session.ask(world.prompt(["on"]));
        const error = await within(SOON_MS, "compact()", compacting);
        assert.ok(dies);
        assert.ok(error instanceof ConnectionClosedError, `${error}`);
        assert.equal((await within(SOON_MS, "the next prompt", next)).assistantText, "on");
        await within(SOON_MS, "interrupt()", session.interrupt());
        await within(SOON_MS, "close()", session.close());
      }),
  );

  test(
    `a compaction that is never told of, and a schema that never answers, hold nobody up [${version}]`,
    { timeoutMs: 240_000 },
    () =>
      inWorld(version, async (world) => {
        let loses = false;
        const link = lossy(world, ({ method = "" }) => loses && TELLS.test(method));
        const client = await world.connect({ transport: { type: "custom", open: link } });
        const session = await client.startSession({ cwd: world.cwd, timeoutMs: 1_000 });
        await session.ask(world.prompt(["hello"]), { timeoutMs: SOON_MS });
        loses = true;
        const error = await within(SOON_MS, "compact()", rejection(session.compact()));
        assert.ok(error instanceof TurnTimeoutError, `${error}`);
        loses = false;
        await within(SOON_MS, "interrupt()", session.interrupt());

        // Whoever gives the answer up is told at once, and the next prompt has the thread.
        const outputSchema = {
          type: "object",
          properties: { n: { type: "number" } },
          required: ["n"],
          additionalProperties: false,
        };
        let asked = Promise.withResolvers<void>();
        const output = {
          "~standard": {
            version: 1,
            vendor: "none",
            validate: () => {
              asked.resolve();
              return new Promise<never>(() => {});
            },
            jsonSchema: { input: () => outputSchema, output: () => outputSchema },
          },
        } as StandardSchemaV1<unknown, unknown>;
        for (const how of ["abort", "interrupt", "close"]) {
          asked = Promise.withResolvers();
          const stop = new AbortController();
          const prompt = world.prompt(['{"n":1}']);
          const { signal } = stop;
          const options = { signal, output, timeoutMs: SOON_MS };
          const hangs = rejection(session.ask(prompt, options));
          await within(SOON_MS, "the schema", asked.promise);
          const reason = new Error("enough");
          if (how === "abort") stop.abort(reason);
          else if (how === "interrupt") await within(SOON_MS, how, session.interrupt());
          else await within(SOON_MS, how, session.close());
          const why = await within(SOON_MS, `the prompt after ${how}`, hangs);
          assert.ok(how === "abort" ? why === reason : why instanceof CodexError, `${why}`);
          if (how === "close") continue;
          const next = session.ask(world.prompt(["on"]), { timeoutMs: SOON_MS });
          assert.equal((await within(SOON_MS, "the next prompt", next)).assistantText, "on");
        }
      }),
  );
}
