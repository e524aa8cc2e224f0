/** A session owns its thread: whatever begins on it is told, counted, limited, stopped, and waited for. */
import assert from "node:assert/strict";
import { plainSettings } from "../../src/json.ts";
import { codexTransport } from "../../src/launch/mod.ts";
import type { Client } from "../../src/session/client/client.ts";
import { InvalidArgumentError, TurnInterruptedError } from "../../src/errors/mod.ts";
import type { SessionEvent } from "../../src/session/events/session_event.ts";
import type { Session } from "../../src/session/session.ts";
import { script } from "../../src/testing/mod.ts";
import {
  CODEX_VERSIONS,
  codexes,
  type CodexVersion,
  NEWEST_CODEX,
  SLOW_BETWEEN,
} from "../_codex.ts";
import { test } from "../_harness.ts";
import { slowLink } from "../_slow_link.ts";
import { inWorld, rejection, SOON_MS, within, type World } from "./_session_world.ts";

// Versions between the newest and the oldest that answer a prompt on a busy thread in a way of their own.
const VERSIONS: readonly CodexVersion[] = codexes("0.169.0", "0.104.0", "0.145.0", "0.125.0");

function versions(
  name: string,
  act: (world: World, version: CodexVersion) => Promise<void>,
  timeoutMs = 40_000,
  on: readonly CodexVersion[] = VERSIONS,
): void {
  for (const version of on) {
    test(`${name} [${version}]`, { timeoutMs }, () => inWorld(version, (w) => act(w, version)));
  }
}

/** Keeps what a session tells. */
function listen(session: Session, options = {}): SessionEvent[] {
  const events: SessionEvent[] = [];
  const stream = session.events(options);
  void (async () => {
    for await (const event of stream) events.push(event);
  })();
  return events;
}

/** Starts a turn behind the session's back, as another client or codex itself does. */
async function foreignTurn(client: Client, session: Session, text: string): Promise<string> {
  const answer = await client.runtime.request("turn/start", {
    threadId: session.threadId,
    input: [{ type: "text", text }],
  }) as { turn: { id: string } };
  return answer.turn.id;
}

async function until(what: string, look: () => boolean): Promise<void> {
  const deadline = performance.now() + SOON_MS;
  while (!look()) {
    if (performance.now() > deadline) throw new Error(`${what} did not happen`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

const ends = (events: SessionEvent[]): string[] =>
  events.filter((event) => event.type === "turnCompleted").map((event) =>
    `${(event as { status: string }).status}`
  );

versions(
  "a turn that something else began is told, counted, waited for and stopped",
  async (world) => {
    const client = await world.connect();
    const session = await client.startSession({ cwd: world.cwd });
    const events = listen(session);
    const usage = script.usage({ inputTokens: 10, outputTokens: 3 });
    // Told and counted; the prompt that comes meanwhile waits for it, and gets its own answer.
    const slow = world.prompt([[script.delay(400), script.say("foreign"), usage]]);
    await foreignTurn(client, session, slow);
    await until("the foreign turn", () => events.some(({ type }) => type === "turnStarted"));
    const result = await within(
      15_000,
      "the prompt",
      session.ask(world.prompt([[script.say("mine"), usage]])),
    );
    assert.equal(result.assistantText, "mine");
    assert.equal(result.items.filter(({ type }) => type === "agentMessage").length, 1);
    assert.equal(result.usage!.totalTokens, 13);
    assert.equal(session.usage.totalTokens, 26);
    assert.equal(client.usage.totalTokens, 26);
    assert.deepEqual(ends(events), ["completed", "completed"]);
    // Stopped by interrupt(), with its command.
    const busy = world.prompt([[script.exec("sleep 341")], "never"]);
    await foreignTurn(client, session, busy);
    await until("the command", () => world.commands("sleep 341").length > 0);
    await within(SOON_MS, "interrupt()", session.interrupt());
    await until("the end of the command", () => world.commands("sleep 341").length === 0);
    await until("its end", () => ends(events).length === 3);
    assert.equal(ends(events)[2], "interrupted");
    // The session goes on.
    assert.equal((await session.ask(world.prompt(["after"]))).assistantText, "after");
    // Stopped by release(), after which the model hears nothing more.
    await foreignTurn(client, session, world.prompt([[script.exec("sleep 342")], "never"]));
    await until("the command", () => world.commands("sleep 342").length > 0);
    await within(SOON_MS, "release()", session.release());
    await until("the end of the command", () => world.commands("sleep 342").length === 0);
    assert.ok(await world.isQuiet(), "the model hears more");
    // Free for others at once.
    const other = await world.connect();
    const resumed = await within(
      SOON_MS,
      "the other process",
      (async () => {
        for (;;) {
          try {
            return await other.resumeSession(session.threadId, { cwd: world.cwd });
          } catch {
            await new Promise((resolve) => setTimeout(resolve, 50));
          }
        }
      })(),
    );
    // What somebody archived meanwhile is closed.
    await resumed.ask(world.prompt(["there"]));
    await other.archiveThread(resumed.threadId);
    await resumed.close();
  },
);

versions("a turn that something else began has the session's time", async (world) => {
  const client = await world.connect();
  const session = await client.startSession({ cwd: world.cwd, timeoutMs: 1_000 });
  const events = listen(session);
  await foreignTurn(client, session, world.prompt([[script.exec("sleep 343")], "never"]));
  await until("its end", () => ends(events).length === 1);
  assert.deepEqual(ends(events), ["timedOut"]);
  await until("the end of the command", () => world.commands("sleep 343").length === 0);
});

versions("no turn that nobody asked for: goals are not offered", async (world) => {
  const client = await world.connect();
  const session = await client.startSession({ cwd: world.cwd });
  await session.ask(world.prompt(["x"]));
  const offered = JSON.stringify(world.model.requests.at(-1));
  assert.ok(!offered.includes("create_goal"), "create_goal is offered");
});

versions("a prompt in a tool of its own session is refused at once", async (world) => {
  const client = await world.connect();
  let inner: unknown;
  const session: Session = await client.startSession({
    cwd: world.cwd,
    tools: {
      look: {
        description: "Looks.",
        inputSchema: { type: "object" },
        run: async () => {
          inner = await rejection(session.ask("inside"));
          return "seen";
        },
      },
    },
  });
  const result = await session.ask(world.prompt([[script.toolCall("look", {})], "done"]));
  assert.equal(result.assistantText, "done");
  assert.ok(inner instanceof InvalidArgumentError, `${inner}`);
});

versions(
  "a slow link changes nothing",
  async (world) => {
    const config = world.config();
    const delay = () => 150 + Math.random() * 250;
    const open = codexTransport({
      codexPath: config.codexPath!,
      env: config.env!,
      configOverrides: plainSettings(config.configOverrides),
    });
    const client = await world.connect({
      transport: { type: "custom", open: slowLink(open, delay) },
    });
    const session = await client.startSession({ cwd: world.cwd });
    const events = listen(session);
    // Turns of somebody else begin and end around the prompt's own request.
    const foreign = Array.from(
      { length: 2 },
      (_, i) => foreignTurn(client, session, world.prompt([`foreign ${i}`, `foreign ${i}`])),
    );
    const mine = await within(20_000, "the prompt", session.ask(world.prompt(["mine", "mine"])));
    assert.equal(mine.assistantText, "mine");
    await Promise.all(foreign);
    const stream = await session.askStream(
      world.prompt([[script.say("Half", { open: true }), script.hang()]]),
    );
    await stream.interrupt();
    assert.ok(await rejection(stream.finish()) instanceof TurnInterruptedError);
    assert.equal((await session.ask(world.prompt(["again"]))).assistantText, "again");
    // Steered, adopted, and released with a command that runs.
    const gate = Promise.withResolvers<void>();
    const steered = await session.askStream(
      world.prompt([[script.gate(gate.promise), script.say("first")]]),
    );
    await within(20_000, "steer()", steered.steer("and that"));
    gate.resolve();
    assert.match((await steered.finish()).assistantText, /and that/);
    const next = session.nextTurn();
    await foreignTurn(client, session, world.prompt([[script.exec("sleep 344")], "never"]));
    const adopted = await within(20_000, "nextTurn()", next);
    await until("the command", () => world.commands("sleep 344").length > 0);
    await within(25_000, "release()", session.release());
    assert.ok(await rejection(adopted.finish()) instanceof TurnInterruptedError);
    await until("the end of the command", () => world.commands("sleep 344").length === 0);
    const resumed = await client.resumeSession(session.threadId, { cwd: world.cwd });
    assert.equal((await resumed.ask(world.prompt(["there"]))).assistantText, "there");
    const told = events.filter(({ type }) => type === "turnStarted").map((event) =>
      (event as { turnId: string }).turnId
    );
    assert.equal(new Set(told).size, told.length, "each turn is told once");
    assert.equal(ends(events).length, told.length);
  },
  90_000,
  [...CODEX_VERSIONS, ...SLOW_BETWEEN],
);

test(
  "agents of the agent are told, counted and stopped with the session",
  () =>
    inWorld(NEWEST_CODEX, async (world) => {
      const client = await world.connect();
      const session = await client.startSession({
        cwd: world.cwd,
        config: { "features.multi_agent": true },
      });
      const events = listen(session, { subAgents: true });
      const plain = listen(session);
      const tokens = script.usage({ inputTokens: 10, outputTokens: 3 });
      const namespace = "multi_agent_v1";
      const message = world.prompt(() => [script.exec("sleep 351"), tokens], "child");
      const prompt = world.prompt((request) => {
        const [spawned] = request.toolOutputs.slice(-2);
        if (spawned === undefined) {
          return [script.toolCall("spawn_agent", { message }, { namespace }), tokens];
        }
        const wait = { targets: [JSON.parse(spawned.text).agent_id], timeout_ms: 20_000 };
        return [script.toolCall("wait_agent", wait, { namespace }), tokens];
      });
      const stream = await session.askStream(prompt);
      await until("the agent's command", () => world.commands("sleep 351").length > 0);
      await within(SOON_MS, "interrupt()", stream.interrupt());
      await until("the end of the command", () => world.commands("sleep 351").length === 0);
      assert.ok(await rejection(stream.finish()) instanceof TurnInterruptedError);
      const told = events.filter((event) => event.type === "subAgent");
      assert.ok(
        told.some((event) => event.type === "subAgent" && event.event.type === "turnStarted"),
      );
      assert.ok(
        told.some((event) => event.type === "subAgent" && event.event.type === "turnCompleted"),
      );
      assert.equal(plain.filter((event) => event.type === "subAgent").length, 0);
      const { totalTokens, subAgents } = session.usage;
      assert.ok(subAgents.totalTokens > 0, JSON.stringify(session.usage));
      assert.equal(totalTokens % 13, 0);
      assert.deepEqual(client.usage, session.usage);
      await session.close();
    }),
);
