/**
 * Random histories of a session on the real codex, behind a link of random slowness: prompts, goals, compactions, reviews,
 * aborts, steers, limits, agents, turns of somebody else, interrupts, a codex that is killed, hooks and handlers that throw or hang, all at once.
 * Whatever the order: every promise settles, every turn on the wire is told and counted once, the model hears nothing
 * more after close(), and no process is left. `deno task histories` for the long form.
 */
import assert from "node:assert/strict";
import "./_seed.ts";
import fc from "npm:fast-check@4.10.2";
import { CODEX_VERSIONS, tries } from "../_codex.ts";
import { test } from "../_harness.ts";
import { inWorld } from "../real/_session_world.ts";
import { anyHistory, Player } from "./histories_world.ts";

const RUNS = Number(Deno.env.get("HISTORIES") ?? tries(20, 12));
const VERSIONS = Deno.env.get("HISTORIES_CODEX")?.split(",") ?? CODEX_VERSIONS;

for (const version of VERSIONS) {
  test(
    `random histories of a session keep its promises [${version}]`,
    { timeoutMs: 60_000 + RUNS * 30_000 },
    () =>
      inWorld(version, async (world) => {
        const player = new Player(world);
        let played = 0;
        await fc.assert(
          fc.asyncProperty(anyHistory, async (history) => {
            await player.play(history);
            // Whoever waits for hundreds of them wants to see that they go on.
            if (++played % 25 === 0) console.log(`${version}: ${played} of ${RUNS}`);
          }),
          { numRuns: RUNS, endOnFailure: true },
        );
        await player.end();
        assert.deepEqual(world.running(), [], "a process is left");
      }),
  );
}
