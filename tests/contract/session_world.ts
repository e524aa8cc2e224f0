/** Clients on a fake server. */
import type { ClientConfig } from "../../src/runtime/config.ts";
import { Client } from "../../src/session/client/client.ts";
import type { SessionConfig } from "../../src/session/profile.ts";
import type { Session } from "../../src/session/session.ts";
import {
  type Dialect,
  DIALECTS,
  FakeServer,
  type FakeServerOptions,
  fakeTransport,
  FakeTurn,
  type Message,
} from "../_fake_server.ts";
import { test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";

/** What a test of a session on the fake has. */
export interface FakeWorld {
  client: Client;
  session: Session;
  /** The server; the newest one, where it was started again. */
  server: () => FakeServer;
  cwd: string;
}

/** How a test begins. */
export interface FakeWorldOptions {
  server?: FakeServerOptions;
  client?: ClientConfig;
  session?: Partial<SessionConfig>;
}

/** Runs a test with a session on the fake. */
export async function onFake(
  options: FakeWorldOptions,
  act: (world: FakeWorld) => Promise<void>,
): Promise<void> {
  await using directory = await tempDir("fake-");
  let server: FakeServer | undefined;
  const open = fakeTransport((end) => void (server = new FakeServer(end, options.server)));
  const client = await Client.connect({
    transport: { type: "custom", open },
    ...options.client,
  });
  try {
    const cwd = directory.path;
    const session = await client.startSession({ cwd, ...options.session });
    await act({ client, session, server: () => server!, cwd });
  } finally {
    await client.shutdown();
  }
}

/** One test for each dialect. */
export function dialects(name: string, act: (dialect: Dialect) => Promise<void>): void {
  for (const dialect of DIALECTS) test(`${name} [${dialect}]`, () => act(dialect));
}

/** Starts a turn by hand, for tests that answer `turn/start` themselves; returns its answer. */
export function startTurn(
  server: FakeServer,
  params: Message,
): { turn: FakeTurn; answer: Message } {
  const thread = server.threads.get(params.threadId)!;
  const turn = new FakeTurn(server, thread, server.id(), params);
  thread.turn = turn;
  server.turns.push(turn);
  return { turn, answer: { turn: { id: turn.id, items: [], status: "inProgress", error: null } } };
}

/** Turns of which the server names the ids, and the test tells the rest. */
export function heldTurns(): {
  answer: (params: Message, server: FakeServer) => Message;
  turns: FakeTurn[];
} {
  const turns: FakeTurn[] = [];
  const answer = (params: Message, server: FakeServer): Message => {
    const { turn, answer } = startTurn(server, params);
    turns.push(turn);
    return answer;
  };
  return { answer, turns };
}

/** Answers `review/start` with a turn that finds nothing. */
export function quickReview(params: Message, server: FakeServer): Message {
  const { turn, answer } = startTurn(server, { ...params, input: [] });
  setTimeout(() => {
    turn.started();
    turn.say("nothing found");
    turn.complete();
  });
  return { ...answer, reviewThreadId: params.threadId };
}

/** What a promise rejects with; fails when it does not. */
export async function rejection(promise: Promise<unknown>): Promise<unknown> {
  const nothing = Symbol();
  const error = await promise.then(() => nothing, (reason: unknown) => reason);
  if (error === nothing) throw new Error("expected a rejection");
  return error;
}
