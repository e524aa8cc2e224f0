/**
 * The long form of the fault tests: `deno task soak [minutes]`, or `bun tests/faults/soak.ts [minutes]`; default 10.
 *
 * A million deltas to a reader that sleeps; the real codex killed at random moments while many sessions work on it;
 * thousands of sessions; damage to recordings until the time is over. Prints its figures, and fails when a promise is
 * left open, an event or an answer is lost, or memory grows.
 */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { ConnectionClosedError } from "../../src/errors/mod.ts";
import { Client } from "../../src/session/client/client.ts";
import { ScriptedModel } from "../../src/testing/mod.ts";
import { child, command } from "../bench/_child.ts";
import { codexPath, ROOT } from "../_codex.ts";
import { tempDir } from "../_temp.ts";
import { counting, type Figures, random } from "./faults_world.ts";
import { type Mutation, PLAYABLE, survive } from "./fuzz_world.ts";
import type { SessionFigures } from "./sessions_script.ts";

const MINUTE = 60_000;
const minutes = Number(process.argv[2] ?? 10);
const begun = performance.now();
const left = () => minutes * MINUTE - (performance.now() - begun);
const chance = random(Math.floor(Math.random() * 2 ** 31));
const pick = <T>(all: readonly T[]): T => all[Math.floor(chance() * all.length)]!;

async function millionDeltas(): Promise<void> {
  for (const reader of ["stalls", "slow"]) {
    const result = await child("_ours.ts", {
      variant: "slow",
      reader,
      plan: { count: 1_000_000 },
    });
    console.log(
      `1,000,000 deltas to a reader that ${reader === "slow" ? "is slow" : reader}: ` +
        `${result.characters} characters, identical: ${result.identical}, ` +
        `${result.events} deliveries, memory grew by ${result.grewMb.toFixed(0)} MB`,
    );
    assert.equal(result.identical, true);
    assert.ok(result.grewMb < 400);
  }
}

/** The real codex, killed again and again while sessions work on it. */
async function killed(figures: Figures, forMs: number): Promise<void> {
  await using directory = await tempDir();
  await using model = await ScriptedModel.start();
  const client = await Client.connect({
    ...model.clientConfig({ codexPath: await codexPath() }),
    restart: {
      type: "onCrash",
      baseDelayMs: 5,
      maxDelayMs: 50,
      maxRestarts: 50,
      resetAfterMs: 500,
    },
  });
  const until = performance.now() + forMs;
  let over = false;
  const killer = (async () => {
    while (!over) {
      await new Promise((resolve) => setTimeout(resolve, chance() * 1500));
      const { pid } = client.runtime;
      if (over || pid === null) continue;
      figures.faults++;
      process.kill(pid, "SIGKILL");
    }
  })();
  const worker = async (n: number) => {
    let session = await client.startSession({ cwd: directory.path });
    for (let i = 0; performance.now() < until; i++) {
      const prompt = `worker ${n}, round ${i}`;
      const outcome = await figures.watch(session.ask(prompt), 60_000);
      if (outcome instanceof ConnectionClosedError) continue;
      if (outcome instanceof Error) {
        // A thread whose only turn was killed may be gone for good; its session says so.
        session = await client.startSession({ cwd: directory.path });
        continue;
      }
      const { assistantText } = outcome as { assistantText: string };
      if (assistantText !== `You said: ${prompt}`) figures.lost++;
    }
    await figures.watch(session.close().catch(() => {}), 60_000);
  };
  // A worker whose first session could not be opened starts over.
  const insist = async (n: number) => {
    while (performance.now() < until) {
      try {
        return await worker(n);
      } catch (error) {
        if (!(error instanceof ConnectionClosedError)) throw error;
      }
    }
  };
  await Promise.all(Array.from({ length: 5 }, (_, n) => insist(n)));
  over = true;
  await killer;
  const { restarts, unmatched, malformed } = client.runtime.metrics();
  console.log(`restarts: ${restarts}; unmatched: ${unmatched}; malformed: ${malformed}`);
  await figures.watch(client.shutdown(), 30_000);
}

async function thousandsOfSessions(rounds: number): Promise<void> {
  const script = fileURLToPath(new URL("./sessions_script.ts", import.meta.url));
  const [program, ...flags] = command(script);
  if ("Deno" in globalThis) flags.splice(1, 0, "--v8-flags=--expose-gc");
  const output = await new Promise<string>((resolve, reject) => {
    execFile(program!, [...flags, String(rounds)], { cwd: ROOT }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(new Error(`${error.message}\n${stderr}`));
    });
  });
  const { sessions, wrong, heapMb, left: rest }: SessionFigures = JSON.parse(output);
  const half = heapMb.slice(heapMb.length >> 1);
  console.log(
    `${sessions} sessions: ${wrong} wrong answers; memory ${heapMb[0]!.toFixed(1)} MB at first, ` +
      `${Math.min(...half).toFixed(1)} to ${Math.max(...half).toFixed(1)} MB in the second half`,
  );
  assert.equal(wrong, 0);
  assert.deepEqual(rest, { routes: 0, approvals: 0, calls: 0 });
  assert.ok(Math.min(...half) - heapMb[0]! < 8, "memory grew");
}

function mutation(): Mutation {
  return {
    kind: pick(["flip", "insert", "delete", "repeat", "newline", "cut"]),
    at: chance(),
    byte: pick([10, 34, 44, 92, 123, 125, Math.floor(chance() * 256)]),
    length: 1 + Math.floor(chance() * 200),
  };
}

async function damage(figures: Figures, forMs: number): Promise<void> {
  const until = performance.now() + forMs;
  while (performance.now() < until) {
    const [dialect, scenario] = pick(PLAYABLE);
    const mutations = Array.from({ length: 1 + Math.floor(chance() * 12) }, mutation);
    await survive(dialect, scenario, mutations, 1 + Math.floor(chance() * 4096), figures);
  }
}

console.log(`soak: ${minutes} minutes, in ${join(ROOT, "tests", "faults")}`);
await millionDeltas();
await thousandsOfSessions(minutes < 2 ? 20 : 80);
await counting("codex killed at random", (figures) => killed(figures, Math.max(5_000, left() / 2)));
await counting("damaged recordings", (figures) => damage(figures, Math.max(5_000, left())));
console.log(`soak: passed after ${((performance.now() - begun) / MINUTE).toFixed(1)} minutes`);
process.exit(0);
