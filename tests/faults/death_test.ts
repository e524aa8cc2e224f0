/** The server dies at every step of a turn's life. */
import assert from "node:assert/strict";
import { ConnectionClosedError } from "../../src/errors/mod.ts";
import { Client } from "../../src/session/client/client.ts";
import { Session } from "../../src/session/session.ts";
import {
  DIALECTS,
  FakeServer,
  type FakeServerOptions,
  fakeTransport,
  type FakeTurn,
  NO_ANSWER,
} from "../_fake_server.ts";
import { test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";
import { counting } from "./faults_world.ts";

type Server = () => FakeServer;
type Step = (server: Server) => FakeServerOptions;

const KILLED = { code: null, signal: "SIGKILL" } as const;
const die = (server: Server) => server().crash(KILLED, "");
const dieAt = (method: string): Step => (server) => ({
  methods: {
    [method]: () => {
      die(server);
      return NO_ANSWER;
    },
  },
});
const dieIn =
  (act: (turn: FakeTurn, server: Server) => void | Promise<void>): Step => (server) => ({
    onTurn: (turn) => act(turn, server),
  });

/** Where it dies, and what the caller then has of the answer. */
const STEPS: Record<string, { step: Step; partial?: string; starts?: boolean; ends?: boolean }> = {
  "before it says hello": { step: dieAt("initialize"), starts: false },
  "when a thread is started": { step: dieAt("thread/start"), starts: false },
  "when a turn is started": { step: dieAt("turn/start") },
  "after the turn began": { step: dieIn((_turn, server) => die(server)) },
  "before the first text": {
    step: dieIn((turn, server) => {
      turn.say("", { deltas: [], open: true });
      die(server);
    }),
  },
  "within the text": {
    step: dieIn((turn, server) => {
      turn.say("", { deltas: ["half ", "an ", "answer"], open: true });
      die(server);
    }),
    partial: "half an answer",
  },
  "between two messages": {
    step: dieIn((turn, server) => {
      turn.say("first");
      turn.say("", { deltas: ["second"], open: true });
      die(server);
    }),
    partial: "second",
  },
  "while a command runs": {
    step: dieIn(async (turn, server) => {
      turn.say("I look.");
      await turn.command("ls", "a.txt");
      die(server);
    }),
    partial: "I look.",
  },
  "while it waits for a decision": {
    step: dieIn((turn, server) => {
      turn.command("rm -rf /", "", { ask: true });
      queueMicrotask(() => die(server));
    }),
  },
  "after the answer, before the end": {
    step: dieIn((turn, server) => {
      turn.say("the answer");
      turn.usage();
      die(server);
    }),
    partial: "the answer",
  },
  "right after the end": {
    step: dieIn((turn, server) => {
      turn.say("the answer");
      turn.complete();
      die(server);
    }),
    ends: true,
  },
  "when the thread is archived": { step: dieAt("thread/archive"), ends: true },
  "when the turn is interrupted": {
    step: (server) => ({
      ...dieAt("turn/interrupt")(server),
      onTurn: (turn) => turn.say("", { deltas: ["half"], open: true }),
    }),
    partial: "half",
  },
};

for (const dialect of DIALECTS) {
  test(`everything settles at once, wherever the server dies [${dialect}]`, async () => {
    await using directory = await tempDir();
    await counting(`death [${dialect}]`, async (figures) => {
      for (
        const [name, { step, partial = "", starts = true, ends = false }] of Object.entries(STEPS)
      ) {
        figures.faults++;
        let server!: FakeServer;
        const options = { dialect, ...step(() => server) };
        if (ends) options.onTurn ??= (turn) => (turn.say("the answer"), turn.complete());
        const client = await figures.watch(Client.connect({
          transport: {
            type: "custom",
            open: fakeTransport((end) => void (server = new FakeServer(end, options))),
          },
          // Left open on purpose where the server dies meanwhile.
          approvals: () => new Promise(() => {}),
        }));
        if (!(client instanceof Client)) {
          assert.equal(starts, false, name);
          continue;
        }
        const session = await figures.watch(client.startSession({ cwd: directory.path }));
        if (session instanceof Session) {
          const all = await Promise.all([
            figures.watch(session.ask("one")),
            figures.watch(session.ask("two")),
            ...(name.includes("interrupted")
              ? [server.waitForMethod("turn/start").then(() => figures.watch(session.interrupt()))]
              : []),
          ]);
          const first = all[0] as ConnectionClosedError & { assistantText?: string };
          if (ends) assert.equal(first.assistantText, "the answer", name);
          else {
            assert.ok(first instanceof ConnectionClosedError, `${name}: ${first}`);
            assert.equal(first.retryable, true, name);
            assert.deepEqual(first.exit, KILLED, name);
            assert.equal(first.partial?.assistantText, partial, name);
          }
          await figures.watch(session.close());
        } else {
          assert.equal(starts, false, name);
          assert.ok(session instanceof ConnectionClosedError, name);
        }
        assert.deepEqual(client.approvals.pending(), [], name);
        await figures.watch(client.shutdown());
        assert.equal(client.runtime.connection, "closed", name);
      }
    });
  });
}

for (const restart of ["never", "onCrash"] as const) {
  test(`whoever asks when no codex follows is told that another try is of no use: ${restart}`, async () => {
    await using directory = await tempDir();
    await counting(`asked too late: ${restart}`, async (figures) => {
      const servers: FakeServer[] = [];
      const hangs = { methods: { initialize: () => NO_ANSWER } };
      const client = await Client.connect({
        transport: {
          type: "custom",
          open: fakeTransport((end) => {
            const options = servers.length === 0 ? { onTurn: () => {} } : hangs;
            servers.push(new FakeServer(end, options));
          }),
        },
        restart: restart === "never"
          ? { type: restart }
          : { type: restart, baseDelayMs: 1, maxRestarts: 1 },
        requestTimeoutMs: 300,
      });
      const session = await client.startSession({ cwd: directory.path });
      const waiting = [session.ask("one", { timeoutMs: 60_000 }), session.ask("two")];
      await servers[0]!.waitForMethod("turn/start");
      figures.faults++;
      servers[0]!.crash(KILLED);
      for (const each of waiting) {
        const error = await figures.watch(each) as ConnectionClosedError;
        assert.ok(error instanceof ConnectionClosedError && error.retryable, String(error));
      }
      for (const late of [session.ask("three"), session.compact(), client.models()]) {
        const error = await figures.watch<unknown>(late) as ConnectionClosedError;
        assert.ok(error instanceof ConnectionClosedError && !error.retryable, String(error));
        if (restart === "onCrash") assert.match(error.message, /No answer to initialize/);
      }
      await client.shutdown();
    });
  });
}

test("a codex that comes back with a wider sandbox is not used", async () => {
  await using directory = await tempDir();
  await counting("wider after a restart", async (figures) => {
    const servers: FakeServer[] = [];
    const open = fakeTransport((end) => {
      const first = servers.length === 0;
      servers.push(
        new FakeServer(end, {
          methods: first ? {} : {
            // Answers as if it had been asked for everything.
            "thread/resume": (params) => ({
              thread: { id: params.threadId, turns: [] },
              cwd: params.cwd,
              approvalPolicy: "never",
              sandbox: { type: "dangerFullAccess" },
            }),
          },
        }),
      );
    });
    const client = await Client.connect({
      transport: { type: "custom", open },
      restart: { type: "onCrash", baseDelayMs: 1 },
    });
    const session = await client.startSession({ cwd: directory.path });
    await session.ask("hello");
    figures.faults++;
    servers[0]!.crash(KILLED);
    const error = await figures.watch(session.ask("again")) as Error;
    assert.equal(error.name, "PolicyMismatchError", String(error));
    assert.equal(servers[1]!.turns.length, 0, "no turn ran");
    await client.shutdown();
  });
});
