/** Codex's own queue of prompts (0.169): what it begins behind a session's back is the session's, and stops with it. */
import assert from "node:assert/strict";
import process from "node:process";
import { BudgetExceededError, ConnectionClosedError } from "../../src/errors/mod.ts";
import type { Client } from "../../src/session/client/client.ts";
import type { SessionEvent } from "../../src/session/events/session_event.ts";
import type { Session } from "../../src/session/session.ts";
import { script } from "../../src/testing/mod.ts";
import { test } from "../_harness.ts";
import { inWorld, rejection, SOON_MS, within, type World } from "../real/_session_world.ts";

const CALL_TOKENS = 13;
const USAGE = script.usage({ inputTokens: 10, outputTokens: 3 });

async function until(what: string, look: () => boolean): Promise<void> {
  const deadline = performance.now() + 30_000;
  while (!look()) {
    if (performance.now() > deadline) throw new Error(`${what} did not happen`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** A prompt that is answered with this. */
const says = (world: World, words: string) => world.prompt(() => [script.say(words), USAGE], words);

async function add(client: Client, { threadId }: Session, text: string): Promise<void> {
  await client.runtime.request("thread/queue/add", {
    threadId,
    clientUserMessageId: crypto.randomUUID(),
    input: [{ type: "text", text }],
  });
}

async function queued(client: Client, { threadId }: Session): Promise<number> {
  const list = await client.runtime.request("thread/queue/list", { threadId });
  return (list as { data: unknown[] }).data.length;
}

/** The ends of the session's turns, and what it was warned of, as it tells them. */
function listen(session: Session): { starts: string[]; ends: string[]; warnings: string[] } {
  const told = { starts: [] as string[], ends: [] as string[], warnings: [] as string[] };
  void (async () => {
    for await (const event of session.events() as AsyncIterable<SessionEvent>) {
      if (event.type === "turnStarted") told.starts.push(event.turnId);
      if (event.type === "turnCompleted") told.ends.push(event.status);
      if (event.type === "warning") told.warnings.push(event.message);
    }
  })();
  return told;
}

/** A prompt that holds its turn open, until what it is behind is in the queue. */
function held(world: World): { prompt: string; open: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  const prompt = world.prompt(() => [script.gate(promise), script.say("held"), USAGE]);
  return { prompt, open: () => resolve() };
}

test(
  "prompts of the queue are turns of the session: told, counted, waited for, and left alone by an interrupt",
  () =>
    inWorld("0.169.0", async (world) => {
      const client = await world.connect();
      const session = await client.startSession({ cwd: world.cwd });
      const told = listen(session);
      const first = held(world);
      const asked = session.ask(first.prompt);
      const heard = world.model.requests.length;
      await world.model.waitForRequest(({ index }) => index >= heard, { timeoutMs: SOON_MS });
      await add(client, session, says(world, "queued 1"));
      await add(client, session, says(world, "queued 2"));
      const next = session.ask(says(world, "next"));
      first.open();
      assert.equal((await within(SOON_MS, "the prompt", asked)).assistantText, "held");
      const { assistantText } = await within(SOON_MS, "the next prompt", next);
      assert.equal(assistantText, "next");
      // Whatever joined which turn: each is said to the model, and its turn is told.
      const heardOf = (words: string) =>
        world.model.requests.some(({ userTexts }) =>
          userTexts.some((text) => text.startsWith(words))
        );
      await until("the end of the queue", () => heardOf("queued 1") && heardOf("queued 2"));
      const rests = () => told.starts.length > 1 && told.ends.length === told.starts.length;
      await until("the ends", rests);
      assert.ok(told.ends.every((status) => status === "completed"), told.ends.join());

      // A prompt that is interrupted, or given up, begins none of them; the next one that is answered does.
      for (const how of ["interrupt", "abort"]) {
        const stop = new AbortController();
        const hangs = rejection(
          session.ask(world.prompt([[script.hang()]]), { signal: stop.signal }),
        );
        const before = world.model.requests.length;
        await world.model.waitForRequest(({ index }) => index >= before, { timeoutMs: SOON_MS });
        await add(client, session, says(world, `after the ${how}`));
        if (how === "abort") stop.abort(new Error("enough"));
        else await within(SOON_MS, "interrupt()", session.interrupt());
        await within(SOON_MS, "the prompt", hangs);
      }
      assert.equal(await queued(client, session), 2);
      const [before, used] = [world.model.requests.length, session.usage.totalTokens];
      await session.ask(says(world, "on"));
      await until("the rest of the queue", () => world.model.requests.length === before + 3);
      await until("the ends", rests);
      assert.equal(await queued(client, session), 0);
      assert.equal(session.usage.totalTokens - used, 3 * CALL_TOKENS);
      assert.deepEqual(client.usage, session.usage);

      // One that needs more than a turn may is stopped, and those behind it do not begin.
      await session.close();
      const bounded = await client.startSession({ cwd: world.cwd, limits: { modelCalls: 2 } });
      const toldNow = listen(bounded);
      const behind = held(world);
      const last = bounded.ask(behind.prompt);
      await until("the prompt", () => toldNow.starts.length === 1);
      await add(client, bounded, world.prompt(() => [script.exec("true"), USAGE]));
      await add(client, bounded, says(world, "never"));
      behind.open();
      await within(SOON_MS, "the prompt", last);
      await until("the end of the queue's", () => toldNow.ends.length === 2);
      assert.deepEqual(toldNow.ends, ["completed", "interrupted"]);
      assert.ok(toldNow.warnings.some((each) => /session's limits/.test(each)));
      assert.equal(await queued(client, bounded), 1);
      const loops = rejection(bounded.ask(world.prompt(() => [script.exec("true"), USAGE])));
      assert.ok(await within(SOON_MS, "the limit", loops) instanceof BudgetExceededError);
      assert.equal(await queued(client, bounded), 1);
      await bounded.close();
    }),
);

test(
  "a session that ends as the queue begins leaves no turn of it at work, nor does a codex that dies",
  { timeoutMs: 180_000 },
  () =>
    inWorld("0.169.0", async (world) => {
      const client = await world.connect({
        restart: { type: "onCrash", baseDelayMs: 10, maxDelayMs: 50 },
      });
      let commands = 18_000;
      /** A session with a prompt that holds, and a long command in the queue behind it. */
      const behind = async () => {
        const session = await client.startSession({ cwd: world.cwd });
        const command = `sleep ${++commands}`;
        const first = held(world);
        const ended = Promise.withResolvers<void>();
        const before = world.model.requests.length;
        const asked = session.ask(first.prompt, {
          onEvent: ({ type }) => type === "turnCompleted" && ended.resolve(),
        });
        await world.model.waitForRequest(({ index }) => index >= before, { timeoutMs: SOON_MS });
        await add(client, session, world.prompt(() => [script.exec(command), USAGE]));
        first.open();
        return { session, command, asked, ended: ended.promise };
      };
      for (const end of ["release", "close"] as const) {
        // At the very end of the prompt, when it has settled, and when the queue's is at work.
        for (const moment of ["ended", "settled", "works"]) {
          const { session, command, asked, ended } = await behind();
          await (moment === "ended" ? ended : asked);
          if (moment === "works") {
            await until("the command", () => world.commands(command).length > 0);
          }
          await within(SOON_MS, `${end}() when it ${moment}`, session[end]());
          await until("the end of the command", () => world.commands(command).length === 0);
          // Whoever takes it up again begins nothing either.
          if (end === "release") {
            const again = await client.resumeSession(session.threadId, { cwd: world.cwd });
            await again.close();
          }
          const other = await client.startSession({ cwd: world.cwd });
          // By the time that this is answered, what was on its way to the model has come.
          await other.ask(says(world, "other"));
          const heard = world.model.requests.length;
          await other.ask(says(world, "other"));
          await other.close();
          assert.equal(world.model.requests.length, heard + 1, "the model hears more");
          assert.deepEqual(world.commands(command), []);
        }
      }
      const { session, command, asked } = await behind();
      const told = listen(session);
      await asked;
      await until("the command", () => world.commands(command).length > 0);
      await add(client, session, says(world, "behind"));
      process.kill(client.runtime.pid!, "SIGKILL");
      await until("its end", () => told.ends.includes("connectionClosed"));
      const next = session.ask(says(world, "on")).catch((error) => {
        // The connection may end in the middle of what is sent.
        assert.ok(error instanceof ConnectionClosedError, `${error}`);
        return session.ask(says(world, "on"));
      });
      assert.equal((await within(SOON_MS, "the next prompt", next)).assistantText, "on");
      await until("the end of the command", () => world.commands(command).length === 0);
      await within(SOON_MS, "close()", session.close());
    }),
);
