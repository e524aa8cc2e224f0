/** The quick form of `deno task sweep`: what has to work with every codex, on five that differ. */
import assert from "node:assert/strict";
import { CODEX_BETWEEN, CODEX_VERSIONS, codexes } from "../_codex.ts";
import { sweep } from "../sweep/scenarios.ts";
import { test } from "../_harness.ts";

for (const version of codexes(...CODEX_VERSIONS, ...CODEX_BETWEEN).toSorted()) {
  test(`codex ${version} does what users do with it`, async () => {
    const { outcomes, manners } = await sweep(version);
    assert.deepEqual(outcomes.filter(({ problem }) => problem !== null), []);
    const minor = Number(version.split(".")[1]);
    // What no session asked for is in its policy, and it is this one directory or nothing.
    const own = manners.ownRoots.map((path) => path.split("/").at(-1));
    assert.deepEqual(own, minor >= 108 && minor < 136 ? ["memories"] : []);
  });
}
