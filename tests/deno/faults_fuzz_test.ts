/** Recorded conversations with random damage: no crash, no unhandled rejection, every promise settles. */
import fc from "npm:fast-check@4.10.2";
import { counting } from "../faults/faults_world.ts";
import { countLost, type Mutation, PLAYABLE, survive } from "../faults/fuzz_world.ts";
import { tries } from "../_codex.ts";
import { test } from "../_harness.ts";
import { transcript } from "../_transcripts.ts";

const mutation: fc.Arbitrary<Mutation> = fc.record({
  kind: fc.constantFrom("flip", "insert", "delete", "repeat", "newline", "cut"),
  at: fc.double({ min: 0, max: 1, noNaN: true }),
  byte: fc.oneof(fc.integer({ min: 0, max: 255 }), fc.constantFrom(10, 34, 44, 92, 123, 125)),
  length: fc.integer({ min: 1, max: 200 }),
});

const chunk = fc.oneof(fc.integer({ min: 1, max: 64 }), fc.constantFrom(4096, 65_536));

test("a turn survives any damage to what the server says", async () => {
  await counting("fuzzed turns", async (figures) => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...PLAYABLE),
        fc.array(mutation, { minLength: 1, maxLength: 12 }),
        chunk,
        ([dialect, scenario], mutations, size) =>
          survive(dialect, scenario, mutations, size, figures),
      ),
      { numRuns: tries(300, 120) },
    );
  });
});

test("damage to one line loses no other line", async () => {
  const lines = PLAYABLE.flatMap(([dialect, scenario]) =>
    transcript(dialect, scenario).filter(({ dir, m }) =>
      dir === "<" && m.method !== undefined && m.id === undefined
    ).map(({ m }) => JSON.stringify(m))
  );
  await counting("fuzzed lines", async (figures) => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: lines.length - 60 }),
        fc.array(fc.tuple(fc.integer({ min: 0, max: 49 }), fc.string({ maxLength: 80 })), {
          minLength: 1,
          maxLength: 10,
        }),
        chunk,
        async (from, broken, size) => {
          const part = lines.slice(from, from + 50);
          const damage = new Map(broken.map(([n, text]): [number, string] => {
            const line = part[n]!;
            const cut = Math.floor(line.length / 2);
            // Never a newline of its own, so that it stays one line.
            return [n, (line.slice(0, cut) + text + line.slice(cut + 3)).replaceAll("\n", " ")];
          }));
          figures.faults += damage.size;
          figures.lost += await countLost(part, damage, size);
        },
      ),
      { numRuns: tries(200, 100) },
    );
  });
});
