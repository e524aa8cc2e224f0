/** One server, several clients, one thread: whoever asks gets an answer, and whoever lets go leaves the thread to the others. */
import assert from "node:assert/strict";
import { dirname } from "node:path";
import {
  ConnectionClosedError,
  SessionClosedError,
  ThreadInUseError,
  TurnInterruptedError,
} from "../../src/errors/mod.ts";
import { Client } from "../../src/session/client/client.ts";
import type { SessionEvent } from "../../src/session/events/session_event.ts";
import type { Session } from "../../src/session/session.ts";
import { script } from "../../src/testing/mod.ts";
import { codexes } from "../_codex.ts";
import { test } from "../_harness.ts";
import { inWorld, rejection, SOON_MS, within, type World } from "./_session_world.ts";
import { listen, wireTo } from "./websocket_world.ts";

const tokens = script.usage({ inputTokens: 10, outputTokens: 3 });

async function onServer(
  version: string,
  act: (world: World, connect: () => Promise<Client>, end: () => Promise<void>) => Promise<void>,
): Promise<void> {
  await inWorld(version, async (world) => {
    const server = await listen(world.model, dirname(world.cwd), { open: true, version });
    const clients: Client[] = [];
    try {
      await act(world, async () => {
        const client = await Client.connect({ transport: { type: "websocket", url: server.url } });
        clients.push(client);
        return client;
      }, () => server.close());
    } finally {
      await Promise.all(clients.map((client) => client.shutdown()));
      await server.close();
    }
  });
}

function hear(session: Session): SessionEvent[] {
  const events: SessionEvent[] = [];
  void (async () => {
    for await (const event of session.events()) events.push(event);
  })();
  return events;
}

async function until(what: string, look: () => boolean): Promise<void> {
  const deadline = performance.now() + 30_000;
  while (!look()) {
    if (performance.now() > deadline) throw new Error(`${what} did not happen`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

const turns = (events: SessionEvent[], type: "turnStarted" | "turnCompleted") =>
  events.filter((event) => event.type === type).map((event) =>
    (event as { turnId: string }).turnId
  );

for (const version of codexes("0.169.0", "0.145.0")) {
  test(
    `two clients share a thread: turns are told, counted, waited for, stopped, and left [${version}]`,
    () =>
      onServer(version, async (world, connect, end) => {
        const [first, second] = [await connect(), await connect()];
        const mine = await first.startSession({ cwd: world.cwd });
        await mine.ask(world.prompt([[script.say("hello"), tokens]]));
        const theirs = await second.resumeSession(mine.threadId, { cwd: world.cwd });
        const heard = hear(mine);
        const overheard = hear(theirs);
        const [usedByMe, usedByThem] = [mine.usage.totalTokens, theirs.usage.totalTokens];

        // Theirs is told and counted here, mine waits for it, and each gets its own answer.
        const gate = Promise.withResolvers<void>();
        const next = mine.nextTurn();
        const slow = theirs.ask(
          world.prompt([[script.gate(gate.promise), script.say("theirs"), tokens]]),
        );
        const foreign = await within(15_000, "nextTurn()", next);
        const waiting = mine.ask(world.prompt([[script.say("mine"), tokens]]));
        // One that waits for it can be given up, and theirs goes on.
        const stop = new AbortController();
        const reason = new Error("enough");
        const givenUp = rejection(mine.ask("never", { signal: stop.signal }));
        stop.abort(reason);
        assert.equal(await within(SOON_MS, "the abort", givenUp), reason);
        gate.resolve();
        assert.equal((await slow).assistantText, "theirs");
        assert.equal((await foreign.finish()).assistantText, "theirs");
        assert.equal((await within(15_000, "mine", waiting)).assistantText, "mine");
        await until("the end of mine", () => turns(overheard, "turnCompleted").length === 2);
        assert.deepEqual(turns(heard, "turnStarted"), turns(overheard, "turnStarted"));
        assert.equal(mine.usage.totalTokens - usedByMe, 26);
        assert.equal(theirs.usage.totalTokens - usedByThem, 26);

        // At once: both settle, and every turn is told once, here and there.
        for (let i = 0; i < 4; i++) {
          const both = [mine, theirs].map((session) => session.ask(world.prompt(() => "both")));
          for (const { assistantText } of await within(20_000, "both", Promise.all(both))) {
            assert.equal(assistantText, "both");
          }
        }
        for (const events of [heard, overheard]) {
          await until("all ends", () => {
            const [starts, ends] = [turns(events, "turnStarted"), turns(events, "turnCompleted")];
            return starts.length === ends.length;
          });
          const starts = turns(events, "turnStarted");
          assert.equal(new Set(starts).size, starts.length);
        }

        // What one interrupts the other is told as interrupted, and goes on.
        const hangs = world.prompt([[script.say("Half", { open: true }), script.hang()], "x"]);
        const stream = await mine.askStream(hangs);
        await until("its beginning", () =>
          turns(overheard, "turnStarted").length > turns(overheard, "turnCompleted").length);
        await within(15_000, "interrupt()", theirs.interrupt());
        assert.ok(await rejection(stream.finish()) instanceof TurnInterruptedError);
        assert.equal((await mine.ask(world.prompt(["on"]))).assistantText, "on");

        // Another process is told who has the thread.
        const { threadId } = mine;
        const elsewhere = await world.connect({}, {});
        if (version === "0.169.0") {
          const inUse = await rejection(elsewhere.resumeSession(threadId, { cwd: world.cwd }));
          assert.ok(inUse instanceof ThreadInUseError, `${inUse}`);
          assert.ok(inUse.retryable);
          assert.match(inUse.message, /shut that client down|release/);
        }

        // A session that was let go of is the other clients' at once.
        await theirs.release();
        assert.ok(await rejection(theirs.ask("x")) instanceof SessionClosedError);
        await mine.release();
        const third = await connect();
        const began = performance.now();
        const resumed = await third.resumeSession(threadId, { cwd: world.cwd });
        assert.ok(performance.now() - began < SOON_MS, "nothing is waited for");
        assert.equal((await resumed.ask(world.prompt(["third"]))).assistantText, "third");
        await resumed.release();

        // What frees it for another process: the end of the one that had it.
        await end();
        const free = await within(
          SOON_MS,
          "the other process",
          (async () => {
            for (;;) {
              try {
                return await elsewhere.resumeSession(threadId, { cwd: world.cwd });
              } catch (error) {
                if (!(error instanceof ThreadInUseError)) {
                  throw error;
                }
                await new Promise((resolve) =>
                  setTimeout(resolve, 50)
                );
              }
            }
          })(),
        );
        assert.equal((await free.ask(world.prompt(["free"]))).assistantText, "free");
        await free.close();
      }),
  );
}

for (const version of codexes("0.169.0", "0.145.0", "0.104.0")) {
  test(
    `whoever joins in the middle of a review can end it [${version}]`,
    {
      timeoutMs: 60_000,
    },
    () =>
      onServer(version, async (world, connect) => {
        const [first, second] = [await connect(), await connect()];
        const session = await first.startSession({ cwd: world.cwd });
        await session.ask("hello");
        const begun = Promise.withResolvers<void>();
        const instructions = world.prompt((_, round) => {
          if (round === 1) begun.resolve();
          return [script.delay(20), script.exec("true")];
        });
        const review = rejection(session.review({ type: "custom", instructions }));
        await within(SOON_MS, "the review", begun.promise);
        const joined = await second.resumeSession(session.threadId, { cwd: world.cwd });
        const events = hear(joined);
        // It is heard of by its next command.
        await until("the review", () => turns(events, "turnStarted").length > 0);
        await within(SOON_MS, "interrupt()", joined.interrupt());
        assert.ok(
          await within(SOON_MS, "the review's end", review) instanceof TurnInterruptedError,
        );
        assert.equal((await joined.ask("next")).assistantText, "You said: next");
      }),
  );
}

for (const version of codexes("0.169.0", "0.145.0")) {
  test(`a goal on a thread that another client has open without goals is refused, and begins when it is left [${version}]`, () =>
    onServer(version, async (world, connect) => {
      const [first, second] = [await connect(), await connect()];
      const theirs = await first.startSession({ cwd: world.cwd });
      await theirs.ask(world.prompt([[script.say("hello"), tokens]]));
      const mine = await second.resumeSession(theirs.threadId, { cwd: world.cwd });
      assert(await rejection(mine.startGoal("x")) instanceof ThreadInUseError);
      // Both are as they were.
      assert.equal((await theirs.ask(world.prompt(() => "theirs"))).assistantText, "theirs");
      assert.equal((await mine.ask(world.prompt(() => "mine"))).assistantText, "mine");
      await theirs.release();
      const goal = await mine.startGoal(world.prompt(() => "at work"), {
        limits: { modelCalls: 1 },
      });
      assert.equal((await goal.finish()).status, "budgetLimited");
    }));
}

test("a goal whose connection is lost as it begins goes on or is told as lost, and the session goes on", () =>
  inWorld("0.169.0", async (world) => {
    const server = await listen(world.model, dirname(world.cwd), {
      open: true,
      version: "0.169.0",
    });
    const wire = await wireTo(server.url);
    let cuts = false;
    const client = await Client.connect({
      transport: { type: "websocket", url: wire.url },
      restart: { type: "onCrash", baseDelayMs: 10 },
      // Before the turn is told.
      eventLog: {
        write: ({ method, kind }) => {
          if (method !== "thread/goal/set" || kind !== "response" || !cuts) return;
          cuts = false;
          wire.cut();
        },
      },
    });
    try {
      for (const _ of [1, 2, 3]) {
        const session = await client.startSession({ cwd: world.cwd });
        const works = world.prompt((_, round) =>
          round === 1 ? [script.toolCall("update_goal", { status: "complete" })] : "at work"
        );
        cuts = true;
        const goal = await session.startGoal(works);
        const ended = goal.finish().then(({ status }) => status, (error: unknown) => error);
        const how = await within(SOON_MS, "the goal", ended);
        assert.ok(how === "complete" || how instanceof ConnectionClosedError, `${how}`);
        assert.equal((await session.ask("next")).assistantText, "You said: next");
        await session.close();
      }
    } finally {
      await client.shutdown();
      await wire.close();
      await server.close();
    }
  }));
