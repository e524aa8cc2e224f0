/** What a codex that is only attached to works on while the connection to it is down: nothing of it outlives whoever asked. */
import assert from "node:assert/strict";
import { dirname } from "node:path";
import { ConnectionClosedError } from "../../src/errors/mod.ts";
import { Client } from "../../src/session/client/client.ts";
import type { Session } from "../../src/session/session.ts";
import { type ModelRequest, script } from "../../src/testing/mod.ts";
import { codexes } from "../_codex.ts";
import { test } from "../_harness.ts";
import { inWorld, rejection, SOON_MS, within, type World } from "../real/_session_world.ts";
import { listen, type Wire, wireTo } from "../real/websocket_world.ts";

const restart = { type: "onCrash", baseDelayMs: 10, maxDelayMs: 50, maxRestarts: 1000 } as const;

interface Attached {
  world: World;
  client: Client;
  /** The connection, and back to where it led. */
  wire: Wire;
  back: () => void;
  /** Of the next request of this name that is sent, the server's answer does not arrive, nor what it says after that. */
  muteAt: (method: string) => void;
}

async function attached(version: string, act: (at: Attached) => Promise<void>): Promise<void> {
  await inWorld(version, async (world) => {
    const server = await listen(world.model, dirname(world.cwd), { open: true, version });
    const wire = await wireTo(server.url);
    let muted = "";
    const client = await Client.connect({
      transport: { type: "websocket", url: wire.url },
      restart,
      eventLog: {
        write: ({ direction, method }) => {
          if (direction === "outbound" && method === muted) wire.mute();
        },
      },
    });
    const back = () => wire.target = server.url;
    try {
      await act({ world, client, wire, back, muteAt: (method) => muted = method });
    } finally {
      await client.shutdown();
      await wire.close();
      await server.close();
    }
  });
}

async function until(what: string, look: () => boolean): Promise<void> {
  const deadline = performance.now() + SOON_MS;
  while (!look()) {
    if (performance.now() > deadline) throw new Error(`${what} did not happen`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

const ASKS: Record<
  string,
  [method: string, ask: (session: Session, prompt: string) => Promise<unknown>]
> = {
  "a prompt": ["turn/start", (session, prompt) => session.ask(prompt)],
  "a review": [
    "review/start",
    (session, instructions) => session.review({ type: "custom", instructions }),
  ],
};

for (const version of codexes("0.169.0", "0.104.0")) {
  for (const [what, [method, ask]] of Object.entries(ASKS)) {
    test(
      `${what} whose answer is lost with the connection has failed, and does not go on [${version}]`,
      { timeoutMs: 90_000 },
      () =>
        attached(version, async ({ world, client, wire, muteAt }) => {
          const session = await client.startSession({ cwd: world.cwd });
          const prompt = world.prompt((_, round) =>
            round === 0 ? [script.exec("sleep 642")] : [script.hang()]
          );
          const runs = () => world.commands("sleep 642").length > 0;
          muteAt(method);
          const asked = rejection(ask(session, prompt));
          await until("the command", runs);
          muteAt("");
          wire.cut();
          assert.ok(await within(SOON_MS, "the loss", asked) instanceof ConnectionClosedError);
          await until("the end of the command", () => !runs());
          assert.equal((await session.ask("next")).assistantText, "You said: next");
        }),
    );
  }

  for (const when of ["works", "is started"] as const) {
    test(
      `an agent that ${when} while the connection is down ends with its session [${version}]`,
      { timeoutMs: 90_000 },
      () =>
        attached(version, async ({ world, client, wire, back }) => {
          const session = await client.startSession({
            cwd: world.cwd,
            config: { "features.multi_agent": true },
          });
          await session.ask("hello");
          const message = world.prompt((_, round) =>
            round === 0 ? [script.exec("sleep 641")] : "x"
          );
          const [asked, cut] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
          const spawns = ({ tools, toolOutputs }: ModelRequest, round: number) => {
            const namespace = tools.includes("spawn_agent") ? {} : { namespace: "multi_agent_v1" };
            asked.resolve();
            const start = script.toolCall("spawn_agent", { message }, namespace);
            if (round === 0) return when === "works" ? [start] : [script.gate(cut.promise), start];
            const id = /"agent_id":"([^"]+)"/.exec(toolOutputs.at(-1)?.text ?? "")?.[1] ?? "";
            const wait = { targets: [id], timeout_ms: 60_000 };
            return [script.toolCall("wait_agent", wait, namespace)];
          };
          const working = session.ask(world.prompt(spawns));
          working.catch(() => {});
          const runs = () => world.commands("sleep 641").length > 0;
          if (when === "works") await until("the agent's command", runs);
          else await asked.promise;
          wire.target = null;
          wire.cut();
          cut.resolve();
          await until("the agent's command", runs);
          back();
          await until("the connection", () => client.runtime.connection === "running");
          // What an old server goes on with can't be known.
          if (version === "0.104.0") {
            assert.ok(await rejection(working) instanceof ConnectionClosedError);
          }
          await within(SOON_MS, "close()", session.close());
          await within(SOON_MS, "the end", rejection(working));
          await until("the end of the agent's command", () => !runs());
        }),
    );
  }
}

for (const version of codexes("0.169.0", "0.145.0")) {
  test(
    `a tool runs once for a call, whenever the connection is lost, and its turn goes on with what it gives [${version}]`,
    { timeoutMs: 90_000 },
    () =>
      attached(version, async ({ world, client, wire }) => {
        const runs: { signal: AbortSignal; end: (text: string) => void }[] = [];
        const heard: string[] = [];
        const hook = (name: string, phase: "preToolUse" | "postToolUse") => ({
          name,
          phases: [phase],
          call: () => {
            heard.push(name);
            return { type: "continue" } as const;
          },
        });
        const session = await client.startSession({
          cwd: world.cwd,
          tools: {
            charge: {
              description: "Charges the customer.",
              inputSchema: { type: "object" },
              run: (_args, { signal }) => {
                const { promise, resolve: end } = Promise.withResolvers<string>();
                runs.push({ signal, end });
                return promise;
              },
            },
          },
          hooks: { pre: [hook("before", "preToolUse")], post: [hook("after", "postToolUse")] },
        });
        await session.ask("hello");
        const asked = session.ask(world.prompt(({ toolOutputs }) => {
          // The model gives both calls one id.
          if (toolOutputs.length < 2) return [script.toolCall("charge", {}, { callId: "again" })];
          return toolOutputs.map(({ text }) => text).join();
        }));
        const settled = asked.then(({ assistantText }) => assistantText, (error) => error);
        await until("the tool", () => runs.length === 1);
        for (let connections = 2; connections <= 3; connections++) {
          wire.cut();
          const isBack = () => client.runtime.connection === "running";
          await until("the connection", () => wire.connections === connections && isBack());
        }
        if (version === "0.145.0") {
          // What such a server goes on with can't be known: the turn is stopped, and its tool.
          assert.ok(await within(SOON_MS, "the loss", settled) instanceof ConnectionClosedError);
          await until("the end of the tool", () => runs[0]!.signal.aborted);
          return assert.equal(runs.length, 1);
        }
        assert.equal(runs[0]!.signal.aborted, false);
        runs[0]!.end("one");
        await until("the other call", () => runs.length === 2);
        // Its answer is written, and does not arrive.
        wire.freeze();
        const sent = client.runtime.metrics().messagesOut;
        runs[1]!.end("two");
        await until("the answer", () => client.runtime.metrics().messagesOut > sent);
        wire.cut();
        assert.equal(await within(SOON_MS, "the end", settled), "one,two");
        assert.deepEqual(heard, ["before", "after", "before", "after"]);
        assert.equal(runs.length, 2);
      }),
  );
}
