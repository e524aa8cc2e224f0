/**
 * What telemetry costs: `deno run -A tests/bench/telemetry.ts`, or with Bun. Prompts of 200 deltas and 4 commands on a server
 * in this process, with telemetry off, with `"auto"` where no API is registered, and with a tracer and a meter that keep
 * everything. The modes take turns; what counts is the median of the paired ratios.
 */
import process from "node:process";
import type { ClientConfig } from "../../mod.ts";
import { onFake } from "../contract/session_world.ts";
import { MemoryOtel } from "../_otel.ts";

const quick = process.argv.includes("--quick");
const [ROUNDS, PROMPTS] = quick ? [4, 10] : [40, 40];

/** Milliseconds a prompt. */
async function measure(client: ClientConfig): Promise<number> {
  let ms = 0;
  await onFake({
    client,
    server: {
      onTurn: async (turn) => {
        for (let index = 0; index < 4; index++) await turn.command("true", "");
        turn.say("x".repeat(200), { deltas: Array.from("x".repeat(200)) });
        turn.usage();
        turn.complete();
      },
    },
  }, async ({ session }) => {
    await session.ask("warm");
    const begun = performance.now();
    for (let index = 0; index < PROMPTS; index++) await session.ask("x");
    ms = (performance.now() - begun) / PROMPTS;
  });
  return ms;
}

const { tracer, meter } = new MemoryOtel();
const modes: Record<string, ClientConfig> = {
  "auto, none registered": { telemetry: "auto" },
  "off, again": { telemetry: "off" },
  "spans and metrics kept": { telemetry: { tracer, meter } },
};
const ratios: Record<string, number[]> = {};
const offs: number[] = [];
for (let round = 0; round < ROUNDS; round++) {
  for (const [name, config] of Object.entries(modes)) {
    // Who goes first has the colder machine.
    const first = round % 2 === 0;
    const before = first ? await measure({ telemetry: "off" }) : 0;
    const mode = await measure(config);
    const off = first ? before : await measure({ telemetry: "off" });
    offs.push(off);
    (ratios[name] ??= []).push(mode / off);
  }
}
const median = (values: number[]) => values.sort((a, b) => a - b)[values.length >> 1]!;
console.log(`telemetry off: ${median(offs).toFixed(2)} ms a prompt`);
for (const [name, values] of Object.entries(ratios)) {
  console.log(`${name}: ${median(values).toFixed(3)} × off`);
}
process.exit(0);
