/**
 * Opens and closes sessions in rounds of 250, in a process of its own whose garbage can be collected on demand.
 * Argument: the number of rounds. Prints its figures as JSON.
 */
import process from "node:process";
import { coreOf } from "../../src/runtime/core_of.ts";
import { Client } from "../../src/session/client/client.ts";
import { FakeServer, fakeTransport } from "../_fake_server.ts";

/** What the script prints. */
export interface SessionFigures {
  /** Sessions opened and closed. */
  sessions: number;
  /** Answers that were not the right ones. */
  wrong: number;
  /** Megabytes in use after each round. */
  heapMb: number[];
  /** What is left behind. */
  left: { routes: number; approvals: number; calls: number };
}

// deno-lint-ignore no-explicit-any
const host = globalThis as any;

function heapMb(): number {
  host.gc?.();
  host.Bun?.gc(true);
  return process.memoryUsage().heapUsed / 2 ** 20;
}

let server!: FakeServer;
const open = fakeTransport((end) => void (server = new FakeServer(end)));
const client = await Client.connect({ transport: { type: "custom", open } });
let wrong = 0;

/** Asks, leaves a stream in the middle, or does nothing, and closes or releases. */
async function one(n: number): Promise<void> {
  const session = await client.startSession({ cwd: process.cwd() });
  if (n % 3 === 0) {
    for await (const event of await session.askStream("go")) {
      if (event.type === "turnStarted") break;
    }
  } else if (n % 3 === 1) {
    if ((await session.ask("go")).assistantText !== "ok") wrong++;
  }
  await (n % 2 === 0 ? session.close() : session.release());
}

const memory: number[] = [];
const rounds = Number(process.argv[2] ?? 5);
for (let round = 0; round < rounds; round++) {
  for (let i = 0; i < 5; i++) await Promise.all(Array.from({ length: 50 }, (_, n) => one(n)));
  // The fake remembers everything; that is not what is measured.
  server.received.length = 0;
  server.turns.length = 0;
  server.threads.clear();
  memory.push(heapMb());
}
const core = coreOf(client.runtime);
const figures: SessionFigures = {
  sessions: rounds * 250,
  wrong,
  heapMb: memory,
  left: {
    routes: core.routes.all().length,
    approvals: client.approvals.pending().length,
    calls: core.traffic?.pendingCalls ?? 0,
  },
};
await client.shutdown();
console.log(JSON.stringify(figures));
