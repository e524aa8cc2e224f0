/** Turns of the real codex whose messages are lost, or whose server says nothing any more. */
import assert from "node:assert/strict";
import process from "node:process";
import {
  InvalidArgumentError,
  RequestTimeoutError,
  TurnFailedError,
  TurnInterruptedError,
  TurnTimeoutError,
} from "../../src/errors/mod.ts";
import { plainSettings } from "../../src/json.ts";
import { codexTransport } from "../../src/launch/mod.ts";
import { coreOf } from "../../src/runtime/mod.ts";
import type { Client } from "../../src/session/client/client.ts";
import type { SessionEvent } from "../../src/session/events/session_event.ts";
import type { Session } from "../../src/session/session.ts";
import { script } from "../../src/testing/mod.ts";
import { CODEX_VERSIONS, NEWEST_CODEX, SLOW_BETWEEN } from "../_codex.ts";
import { test } from "../_harness.ts";
import { type LinkMessage, lossyLink } from "../_lossy_link.ts";
import { halt, inWorld, rejection, type World } from "./_session_world.ts";

type Loses = (message: LinkMessage, direction: "in" | "out") => boolean;

/** A client behind a link that loses messages. */
async function behindLossyLink(
  world: World,
  loses: () => Loses | null,
  config = {},
): Promise<Client> {
  const { codexPath, env, configOverrides } = world.config();
  const open = codexTransport({
    codexPath: codexPath!,
    env: env!,
    configOverrides: plainSettings(configOverrides),
  });
  const link = lossyLink(open, (message, direction) => loses()?.(message, direction) ?? false);
  return await world.connect({ transport: { type: "custom", open: link }, ...config });
}

for (const version of [...CODEX_VERSIONS, ...SLOW_BETWEEN.slice(0, 1)]) {
  test(
    `a turn whose end or interrupt is lost ends all the same, and the session goes on [${version}]`,
    () =>
      inWorld(version, async (world) => {
        let loses: Loses | null = null;
        const client = await behindLossyLink(world, () => loses);
        const session = await client.startSession({ cwd: world.cwd });
        const hanging = () => world.prompt([[script.say("Half", { open: true }), script.hang()]]);

        // The end is lost: the server is asked, and the turn was interrupted.
        const first = await session.askStream(hanging());
        loses = ({ method }, direction) => direction === "in" && method === "turn/completed";
        await first.interrupt();
        assert.equal(coreOf(client.runtime).alive.turnRuns, false);
        loses = null;
        assert.ok(await rejection(first.finish()) instanceof TurnInterruptedError);
        assert.equal((await session.ask("one")).assistantText, "You said: one");

        // The interrupt is lost: another one is sent.
        const second = await session.askStream(hanging());
        let lost = 0;
        loses = ({ method }, direction) =>
          direction === "out" && method === "turn/interrupt" && lost++ === 0;
        await second.interrupt();
        loses = null;
        assert.equal(lost >= 1, true);
        assert.ok(await rejection(second.finish()) instanceof TurnInterruptedError);
        assert.equal((await session.ask("two")).assistantText, "You said: two");

        // The end of a turn that nobody stops: the time limit finds out that it is over.
        loses = ({ method }, direction) => direction === "in" && method === "turn/completed";
        const timed = await rejection(session.ask("three", { timeoutMs: 1_500 }));
        loses = null;
        assert.ok(timed instanceof TurnTimeoutError, `${timed}`);
        assert.equal((await session.ask("four")).assistantText, "You said: four");
      }),
  );

  test(
    `a prompt whose answer is lost fails, nothing of it goes on, and the session does [${version}]`,
    () =>
      inWorld(version, async (world) => {
        let loses: Loses | null = null;
        const client = await behindLossyLink(world, () => loses, { requestTimeoutMs: 2_000 });
        const session = await client.startSession({ cwd: world.cwd });
        await session.ask("one");
        const asked = new Set<unknown>();
        let begins: Loses = ({ id, method }, direction) => {
          if (direction === "out" && method === "turn/start") asked.add(id);
          return direction === "in" && method === undefined && asked.has(id);
        };
        loses = begins;
        const prompt = world.prompt(() => [script.delay(50), script.exec("true")]);
        const answered = await session.ask(prompt, { timeoutMs: 3_000 }).then(
          () => null,
          (error: unknown) => error,
        );
        loses = null;
        // Where the server repeats our mark, the turn is known without the answer, and runs into its time.
        assert.ok(
          answered instanceof TurnTimeoutError || answered instanceof RequestTimeoutError,
          `${answered}`,
        );
        assert.equal((await session.ask("two")).assistantText, "You said: two");
        const heard = world.model.requests.length;
        assert.equal((await session.ask("three")).assistantText, "You said: three");
        assert.equal(world.model.requests.length, heard + 1, "the lost prompt does not go on");

        // Nothing of the turn is heard at all.
        begins = ({ id, method, params }, direction) => {
          if (direction === "out" && method === "turn/start") asked.add(id);
          if (direction === "out") return false;
          return asked.has(id) || params?.["turnId"] !== undefined ||
            params?.["turn"] !== undefined;
        };
        loses = begins;
        const unheard = rejection(session.ask("lost", { timeoutMs: 30_000 }));
        assert.ok(await unheard instanceof RequestTimeoutError);
        loses = null;
        assert.equal((await session.ask("four")).assistantText, "You said: four");
      }),
  );

  test(
    `a review that can't begin fails at once, with the server's reason [${version}]`,
    () =>
      inWorld(version, async (world) => {
        const client = await world.connect();
        const session = await client.startSession({ cwd: world.cwd });
        const ends: string[] = [];
        // There is no repository to compare with.
        const error = await rejection(
          session.review({ type: "baseBranch", branch: "main" }, {
            onEvent: (event) => event.type === "turnCompleted" && ends.push(event.status),
          }),
        );
        assert.ok(error instanceof TurnFailedError, `${error}`);
        assert.match(error.message, /not a git repository/);
        assert.deepEqual(ends, ["failed"]);
        // 0.104 says that it has begun, and no more: nothing keeps the script running for it.
        assert.equal(coreOf(client.runtime).alive.turnRuns, false);
        assert.equal((await session.ask("on")).assistantText, "You said: on");
        await session.release();
      }),
  );
}

for (const version of [...CODEX_VERSIONS, ...SLOW_BETWEEN]) {
  test(
    `a turn whose end is lost ends before the next one on the thread begins [${version}]`,
    () =>
      inWorld(version, async (world) => {
        let lost: (() => void) | null = null;
        const client = await behindLossyLink(world, () => ({ method }, direction) => {
          if (lost === null || direction !== "in" || method !== "turn/completed") return false;
          lost();
          lost = null;
          return true;
        });
        const session = await client.startSession({ cwd: world.cwd });
        const told: string[] = [];
        const rests = Promise.withResolvers<void>();
        void (async () => {
          for await (const event of session.events() as AsyncIterable<SessionEvent>) {
            if (event.type === "turnStarted") told.push("started");
            if (event.type === "itemCompleted" && event.item.type === "agentMessage") {
              told.push(event.item.text);
            }
            if (event.type === "turnCompleted") told.push(event.status);
            if (told.length === 12) rests.resolve();
          }
        })();
        const input = (text: string) => [{ type: "text", text, text_elements: [] }];
        const raw = (text: string) =>
          client.runtime.request("turn/start", {
            threadId: session.threadId,
            input: input(text),
          } as never);
        const end = () => new Promise<void>((resolve) => lost = resolve);

        // A prompt's own, and one that nobody here asked for.
        const first = end();
        const asked = session.ask("one");
        await first;
        const second = end();
        await raw("two");
        const { assistantText, usage } = await asked;
        assert.equal(assistantText, "You said: one");
        assert.equal(usage?.totalTokens, 13);
        await second;
        await raw("three");
        assert.equal((await session.ask("four")).assistantText, "You said: four");
        await rests.promise;
        const each = (text: string) => ["started", `You said: ${text}`, "completed"];
        assert.deepEqual(told, ["one", "two", "three", "four"].flatMap(each));
        assert.equal(session.usage.totalTokens, 4 * 13);
      }),
  );

  test(`steering a turn that is none tells whether the server works on one, and adds nothing [${version}]`, () =>
    inWorld(version, async (world) => {
      const client = await world.connect();
      const session = await client.startSession({ cwd: world.cwd });
      const { threadId } = session;
      const steer = async () => {
        const params = {
          threadId,
          expectedTurnId: "none",
          input: [{ type: "text" as const, text: "", text_elements: [] }],
        };
        const error = await rejection(client.runtime.request("turn/steer", params));
        return /no active turn to steer/.test(`${error}`)
          ? "none"
          : /but found/.exec(`${error}`)?.[0];
      };
      assert.equal(await steer(), "none");
      const gate = Promise.withResolvers<void>();
      const command = world.prompt([[script.exec("sleep 1")], [script.gate(gate.promise), "done"]]);
      const running = await session.askStream(command);
      for (;;) {
        const event = await running.recv();
        if (event?.type === "itemStarted" && event.item.type === "commandExecution") break;
        assert.equal(await steer(), "but found", event?.type);
      }
      assert.equal(await steer(), "but found", "in a command");
      await running.interrupt();
      await running.finish().catch(() => {});
      assert.equal(await steer(), "none");
      gate.resolve();
      await session.ask("one");
      world.hold = true;
      for (
        const begin of [
          () => session.compact(),
          () => session.review({ type: "custom", instructions: "Look." }),
        ]
      ) {
        const heard = world.model.requests.length;
        const own = begin().catch(() => {});
        await world.model.waitForRequest(({ index }) => index >= heard, { timeoutMs: 30_000 });
        assert.equal(await steer(), "but found", begin.toString());
        await session.interrupt();
        await own;
        assert.equal(await steer(), "none");
      }
      world.hold = false;
      assert.equal((await session.ask("two")).assistantText, "You said: two");
      const { userTexts } = world.model.requests.at(-1)!;
      assert.ok(!userTexts.includes(""), "it was added to the thread");
    }));
}

test(
  "what a stopped codex has not confirmed is not told as done, and what it does later is",
  () =>
    inWorld(NEWEST_CODEX, async (world) => {
      const client = await world.connect({ unresponsiveAfterMs: Infinity });
      const session = await client.startSession({ cwd: world.cwd });
      const stream = await session.askStream(
        world.prompt([[script.say("Half", { open: true }), script.hang()]]),
      );
      for (let event = await stream.recv(); event?.type !== "assistantMessageDelta";) {
        event = await stream.recv();
      }
      await halt(client.runtime.pid!);
      const tries = [session.interrupt(), stream.interrupt()];
      for (const error of await Promise.all(tries.map(rejection))) {
        assert.ok(error instanceof RequestTimeoutError, `${error}`);
        assert.match(error.message, /may still be active/);
      }
      process.kill(client.runtime.pid!, "SIGCONT");
      await session.interrupt();
      assert.ok(await rejection(stream.finish()) instanceof TurnInterruptedError);
      assert.equal((await session.ask("on")).assistantText, "You said: on");

      const running = await session.askStream(world.prompt([[script.hang()]]));
      await halt(client.runtime.pid!);
      assert.ok(await rejection(session.release()) instanceof RequestTimeoutError);
      process.kill(client.runtime.pid!, "SIGCONT");
      await session.release();
      assert.ok(await rejection(running.finish()) instanceof TurnInterruptedError);
    }),
);

for (const version of CODEX_VERSIONS) {
  test(`a prompt from within what the session waits for is refused at once [${version}]`, () =>
    inWorld(version, async (world) => {
      const client = await world.connect();
      const refused: string[] = [];
      let later: Promise<{ assistantText: string }> | undefined;
      const ask = async (where: string) => {
        const error = await rejection(session.ask("and this?"));
        assert.ok(error instanceof InvalidArgumentError, `${where}: ${error}`);
        refused.push(where);
      };
      const session: Session = await client.startSession({
        cwd: world.cwd,
        approvalPolicy: "untrusted",
        approvals: async ({ type }) => {
          if (type === "command") await ask("handler");
          return { decision: "decline" };
        },
        hooks: {
          pre: [{
            name: "asks",
            phases: ["preRun", "preTurn", "preToolUse"],
            call: async ({ phase }) => {
              await ask(phase);
              return { type: "continue" };
            },
          }],
          post: [{
            name: "asks too",
            phases: ["postTurn"],
            call: async ({ phase }) => {
              await ask(phase);
              // What nobody waits for is asked like any other.
              later ??= new Promise((resolve) => setTimeout(resolve, 1))
                .then(() => session.ask("later"));
            },
          }],
        },
        tools: {
          asks: {
            description: "asks",
            inputSchema: { type: "object" },
            run: async () => {
              await ask("tool");
              return "refused";
            },
          },
        },
      });
      const prompt = world.prompt([
        [script.toolCall("asks", {})],
        [script.exec("touch x")],
        "Done.",
      ]);
      assert.equal((await session.ask(prompt)).assistantText, "Done.");
      for (const where of ["preRun", "preTurn", "tool", "preToolUse", "handler", "postTurn"]) {
        assert.ok(refused.includes(where), `${where} of ${refused}`);
      }
      assert.equal((await later!).assistantText, "You said: later");
    }));
}
