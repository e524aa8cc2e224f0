/** A recorded conversation with damage in it, played to a client that is in the middle of it. */
import { Runtime } from "../../src/runtime/runtime.ts";
import { Client } from "../../src/session/client/client.ts";
import { PromptRunStream } from "../../src/session/prompt/prompt_run_stream.ts";
import { memoryPair } from "../../src/transport/memory.ts";
import { type Dialect, recorded, scenarios, transcript } from "../_transcripts.ts";
import { FakeServer } from "../_fake_server.ts";
import type { Figures } from "./faults_world.ts";

/** One damage to a stream of bytes; positions are parts of the whole, from 0 to 1. */
export interface Mutation {
  kind: "flip" | "insert" | "delete" | "repeat" | "newline" | "cut";
  at: number;
  byte: number;
  length: number;
}

/** Recordings that hold a turn. */
export const PLAYABLE: readonly [Dialect, string][] = (["0.169", "0.104"] as const)
  .flatMap((dialect) =>
    scenarios(dialect)
      .filter((name) => transcript(dialect, name).some(({ m }) => m.method === "turn/started"))
      .map((name): [Dialect, string] => [dialect, name])
  );

/** Everything the server said after the turn was asked for, under other names. */
export function turnBytes(
  dialect: Dialect,
  scenario: string,
  threadId: string,
  turnId: string,
): Uint8Array {
  const was = {
    thread: recorded(dialect, scenario, "turn/start").params.threadId,
    turn: recorded(dialect, scenario, "turn/started").params.turn.id,
  };
  const wire = transcript(dialect, scenario);
  const from = wire.findIndex(({ m }) => m.method === "turn/start");
  const lines = wire.slice(from).filter(({ dir, m }) => dir === "<" && m.method !== undefined)
    .map(({ m }) =>
      JSON.stringify(m).replaceAll(was.thread, threadId).replaceAll(was.turn, turnId)
    );
  return new TextEncoder().encode(lines.join("\n") + "\n");
}

/** Damages a copy. */
export function damaged(bytes: Uint8Array, mutations: readonly Mutation[]): Uint8Array {
  let all = [...bytes];
  for (const { kind, at, byte, length } of mutations) {
    const index = Math.floor(at * Math.max(0, all.length - 1));
    if (kind === "flip") all[index] = byte;
    else if (kind === "insert") all.splice(index, 0, byte);
    else if (kind === "delete") all.splice(index, length);
    else if (kind === "repeat") all.splice(index, 0, ...all.slice(index, index + length));
    else if (kind === "newline") all.splice(index, 0, 10);
    else all = all.slice(0, index);
  }
  return new Uint8Array(all);
}

/**
 * Runs a turn that gets the damaged bytes, in chunks of this size, and then the end of the connection. Everything must
 * settle.
 */
export async function survive(
  dialect: Dialect,
  scenario: string,
  mutations: readonly Mutation[],
  chunk: number,
  figures: Figures,
): Promise<void> {
  figures.faults += mutations.length;
  const { client: transport, server: end } = memoryPair();
  new FakeServer(end, {
    dialect,
    onTurn: (turn) => {
      const bytes = damaged(turnBytes(dialect, scenario, turn.threadId, turn.id), mutations);
      for (let at = 0; at < bytes.length; at += chunk) {
        end.sendBytes(bytes.subarray(at, at + chunk));
      }
      // What the client asks in return is answered before the end.
      setTimeout(() => end.close({ exit: { code: 1, signal: null } }), 0);
    },
  });
  const client = await Client.connect({
    transport: { type: "custom", open: () => Promise.resolve(transport) },
    approvals: () => ({ decision: "decline" }),
  });
  const events = (async () => {
    let count = 0;
    for await (const event of client.runtime.events({ after: 0 })) {
      // Looked at as a user would.
      if (JSON.stringify(event) !== undefined) count++;
    }
    return count;
  })();
  const session = await client.startSession({ cwd: "/" });
  const stream = await figures.watch(session.askStream("go", { timeoutMs: 5_000 }));
  if (stream instanceof PromptRunStream) {
    await figures.watch((async () => {
      for await (const event of stream) if (event.type === "turnCompleted") return;
    })());
    await figures.watch(stream.finish());
  }
  await figures.watch(session.ask("after"));
  await figures.watch(session.close());
  client.runtime.state();
  client.runtime.metrics();
  await figures.watch(client.shutdown());
  await figures.watch(events);
}

/**
 * Damages single lines of a stream and counts what arrives: every line that was not touched must. Returns the number of
 * lost ones.
 */
export async function countLost(
  lines: readonly string[],
  damage: ReadonlyMap<number, string>,
  chunk: number,
): Promise<number> {
  const { client: transport, server: end } = memoryPair();
  new FakeServer(end);
  const runtime = await Runtime.spawn({
    transport: { type: "custom", open: () => Promise.resolve(transport) },
  });
  const seen: string[] = [];
  const reading = (async () => {
    for await (const event of runtime.events({ after: 0 })) {
      if (event.kind === "notification" && event.direction === "inbound") {
        seen.push(JSON.stringify(event.message));
      }
    }
  })();
  const text = lines.map((line, i) => damage.get(i) ?? line).join("\n") + "\n";
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length; at += chunk) end.sendBytes(bytes.subarray(at, at + chunk));
  // Answered after everything before it was read.
  await runtime.request("model/list", {}).catch(() => {});
  await runtime.shutdown();
  await reading;
  const expected = lines.filter((_, i) => !damage.has(i));
  const left = new Map<string, number>();
  for (const each of seen) left.set(each, (left.get(each) ?? 0) + 1);
  let lost = 0;
  for (const line of expected) {
    const count = left.get(line) ?? 0;
    if (count === 0) lost++;
    else left.set(line, count - 1);
  }
  return lost;
}
