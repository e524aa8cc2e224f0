/** Agents that the agent starts end with what they work for, however that ends, and are told and counted. */
import assert from "node:assert/strict";
import process from "node:process";
import { TurnInterruptedError, TurnTimeoutError } from "../../src/errors/mod.ts";
import { plainSettings } from "../../src/json.ts";
import { codexTransport } from "../../src/launch/mod.ts";
import type { Client } from "../../src/session/client/client.ts";
import type { SessionEvent } from "../../src/session/events/session_event.ts";
import type { Session } from "../../src/session/session.ts";
import { script } from "../../src/testing/mod.ts";
import { SLOW_BETWEEN } from "../_codex.ts";
import { test } from "../_harness.ts";
import { slowLink } from "../_slow_link.ts";
import { inWorld, rejection, SOON_MS, within, type World } from "./_session_world.ts";

const CALL = 13;
const AGENTS = { config: { "features.multi_agent": true } };
let commands = 5100;

/** A prompt whose agent starts another one, which runs a long command; the first one waits for it, or does not. */
function spawning(world: World, waits = true): { prompt: string; command: string } {
  const command = `sleep ${++commands}`;
  const message = world.prompt((_, round) => round === 0 ? [script.exec(command)] : "x", "child");
  const prompt = world.prompt(({ toolOutputs, tools }, round) => {
    // 0.125 offers them without a namespace.
    const namespace = tools.includes("spawn_agent") ? {} : { namespace: "multi_agent_v1" };
    if (round === 0) return [script.toolCall("spawn_agent", { message }, namespace)];
    if (!waits) return "started";
    const id = /"agent_id":"([^"]+)"/.exec(toolOutputs.at(-1)?.text ?? "")?.[1];
    const wait = { targets: [id!], timeout_ms: 60_000 };
    return id === undefined ? "done" : [script.toolCall("wait_agent", wait, namespace)];
  });
  return { prompt, command };
}

async function until(what: string, look: () => boolean): Promise<void> {
  const deadline = performance.now() + 30_000;
  while (!look()) {
    if (performance.now() > deadline) throw new Error(`${what} did not happen`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** The ends of the agents' turns, as the session tells them. */
function listen(session: Session): { starts: string[]; ends: string[] } {
  const told = { starts: [] as string[], ends: [] as string[] };
  void (async () => {
    for await (const event of session.events({ subAgents: true }) as AsyncIterable<SessionEvent>) {
      if (event.type !== "subAgent") continue;
      if (event.event.type === "turnStarted") told.starts.push(event.event.turnId);
      if (event.event.type === "turnCompleted") told.ends.push(event.event.status);
    }
  })();
  return told;
}

async function assertGone(world: World, command: string): Promise<void> {
  await until(`the end of ${command}`, () => world.commands(command).length === 0);
  assert.ok(await world.isQuiet(), "the model hears more");
}

async function slow(world: World, delayMs: () => number): Promise<Client> {
  const { codexPath, env, configOverrides } = world.config();
  const open = codexTransport({
    codexPath: codexPath!,
    env: env!,
    configOverrides: plainSettings(configOverrides),
  });
  return await world.connect({ transport: { type: "custom", open: slowLink(open, delayMs) } });
}

for (const version of ["0.169.0", ...SLOW_BETWEEN]) {
  test(
    `agents of the agent end with an abort, a time-out, an interrupt and a release [${version}]`,
    () =>
      inWorld(version, async (world) => {
        const client = await world.connect();
        const session = await client.startSession({ cwd: world.cwd, ...AGENTS });
        const told = listen(session);

        const aborted = spawning(world);
        const stop = new AbortController();
        const reason = new Error("enough");
        const asked = rejection(session.ask(aborted.prompt, { signal: stop.signal }));
        await until("the command", () => world.commands(aborted.command).length > 0);
        stop.abort(reason);
        assert.equal(await within(SOON_MS, "the abort", asked), reason);
        await assertGone(world, aborted.command);
        await until("its end", () => told.ends.length === 1);

        const late = spawning(world);
        const error = await rejection(session.ask(late.prompt, { timeoutMs: 6_000 }));
        assert.ok(error instanceof TurnTimeoutError, `${error}`);
        await assertGone(world, late.command);

        // One that its parent does not wait for goes on, is counted, and stops with whatever is interrupted.
        const before = session.usage.subAgents.totalTokens;
        const left = spawning(world, false);
        const { assistantText } = await session.ask(left.prompt);
        assert.equal(assistantText, "started");
        await until("the command", () => world.commands(left.command).length > 0);
        await within(15_000, "interrupt()", session.interrupt());
        await assertGone(world, left.command);
        const { subAgents, totalTokens } = session.usage;
        assert.equal(subAgents.totalTokens - before, CALL);
        assert.ok(totalTokens > subAgents.totalTokens);
        assert.deepEqual(client.usage, session.usage);

        // The next prompt is answered, and its agent works: what was stopped before stops nothing now.
        const next = spawning(world);
        const stream = await session.askStream(next.prompt);
        await until("the command", () => world.commands(next.command).length > 0);
        await within(15_000, "release()", session.release());
        assert.ok(await rejection(stream.finish()) instanceof TurnInterruptedError);
        await assertGone(world, next.command);
        assert.equal(told.ends.length, told.starts.length);
        assert.ok(told.ends.every((status) => status === "interrupted"), told.ends.join());
      }),
  );
}

test(
  "an agent that is being started when its prompt is given up does not go on",
  () =>
    inWorld("0.169.0", async (world) => {
      const client = await slow(world, () => 150);
      const session = await client.startSession({ cwd: world.cwd, ...AGENTS });
      const told = listen(session);
      // Given up from the moment when the model was told of the agent, in steps over the time of the link.
      for (const ms of [0, 100, 200, 300]) {
        const { prompt, command } = spawning(world);
        const stop = new AbortController();
        const asked = rejection(session.ask(prompt, { signal: stop.signal }));
        const before = world.model.requests.length;
        await until("the agent", () =>
          world.model.requests.slice(before).some(({ text }) => text.startsWith("child")));
        await new Promise((resolve) =>
          setTimeout(resolve, ms)
        );
        stop.abort(new Error("enough"));
        await asked;
        await until("the interrupt", () => told.ends.length === told.starts.length);
        // Free for the next one, and nothing of this one is left.
        assert.match((await session.ask("next")).assistantText, /next/);
        await assertGone(world, command);
      }
    }),
);

test(
  "the turn of an agent has an end when codex dies",
  () =>
    inWorld("0.169.0", async (world) => {
      const client = await world.connect();
      const session = await client.startSession({ cwd: world.cwd, ...AGENTS });
      const told = listen(session);
      const { prompt, command } = spawning(world);
      const asked = rejection(session.ask(prompt));
      await until("the command", () => world.commands(command).length > 0);
      await until("its beginning", () => told.starts.length === 1);
      process.kill(client.runtime.pid!, "SIGKILL");
      await asked;
      await until("its end", () => told.ends.length === 1);
      assert.deepEqual(told.ends, ["connectionClosed"]);
    }),
);
