/**
 * Whatever a caller gives to a public function: what comes back is a `CodexError` or the reason of the caller's own
 * signal, and a call that was refused has sent nothing.
 */
import assert from "node:assert/strict";
import "./_seed.ts";
import fc from "npm:fast-check@4.10.2";
import { anything } from "./_anything.ts";
import { CodexError } from "../../src/errors/mod.ts";
import { doors, refusalOf } from "../contract/doors_world.ts";
import { type FakeWorld, onFake } from "../contract/session_world.ts";
import { test } from "../_harness.ts";

/** Calls, and fails when what comes back is of nobody's making. */
async function holds(world: FakeWorld, what: string, reason: unknown, call: () => unknown) {
  const sent = world.server().received.length;
  const error = await refusalOf(call);
  assert.ok(
    error === reason || error instanceof CodexError,
    `${what} → ${error === undefined ? "nothing was wrong with it" : show(error)}`,
  );
  assert.equal(world.server().received.length, sent, `${what} was refused and sent something`);
}

/** What they give asks nothing before it is read. */
const READ_LATER = new Set(["threads", "searchThreads", "findInThread", "turns", "items"]);

function show(error: unknown): string {
  return error instanceof Error ? `${error.stack}` : typeof error;
}

test("no options make a public function throw anything but a CodexError, or send anything", () =>
  onFake({}, async (world) => {
    const all = doors(world);
    await fc.assert(
      fc.asyncProperty(
        fc.nat(all.length - 1),
        fc.array(fc.tuple(fc.nat(60), anything), { maxLength: 3 }),
        anything,
        async (index, picks, whole) => {
          const { name, shape, base, call } = all[index]!;
          const reason = new Error("given up");
          const names = Object.keys(shape?.options ?? {});
          const given: Record<string, unknown> = { ...base };
          for (const [pick, make] of picks) {
            given[names.length === 0 ? "zzz" : names[pick % names.length]!] = make();
          }
          // What is right after all must not begin anything; threads are asked for when they are read.
          if (names.includes("signal") && !READ_LATER.has(name)) {
            given["signal"] = AbortSignal.abort(reason);
          } else given["zzz"] = 1;
          await holds(
            world,
            `${name} with ${Object.keys(given)}`,
            reason,
            () => call(given as never),
          );
          // An object without options asks for the defaults.
          const value = whole();
          if (typeof value === "object" && value !== null || value === undefined) return;
          await holds(world, `${name}(${typeof value})`, reason, () => call(value as never));
        },
      ),
      { numRuns: 2_000 },
    );
  }));

test("no argument makes a public function throw anything but a CodexError, or send anything", () =>
  onFake({}, async (world) => {
    const { client, session, cwd } = world;
    const reason = new Error("given up");
    const options = { signal: AbortSignal.abort(reason) };
    const calls: [string, (value: never) => unknown][] = [
      ["ask", (value) => session.ask(value, options)],
      [
        "ask with an attachment",
        (value) => session.ask({ text: "x", attachments: [value] }, options),
      ],
      ["askStream", (value) => session.askStream(value, options)],
      ["askWait", (value) => session.askWait(value, options)],
      ["sample", (value) => session.sample(value, options)],
      ["resumeSession", (value) => client.resumeSession(value, { cwd, ...options })],
      ["forkSession", (value) => client.forkSession(value, { cwd, ...options })],
      ["startSession in", (value) => client.startSession({ cwd: value, ...options })],
      ["run in", (value) => client.run(value, "x", options)],
      ["run", (value) => client.run(cwd, value, options)],
      ["readThread", (value) => client.readThread(value, options)],
      ["archiveThread", (value) => client.archiveThread(value, options)],
      ["unarchiveThread", (value) => client.unarchiveThread(value, options)],
    ];
    await fc.assert(
      fc.asyncProperty(fc.nat(calls.length - 1), anything, async (index, make) => {
        const [name, call] = calls[index]!;
        const value = make();
        await holds(world, `${name} ${typeof value}`, reason, () => call(value as never));
      }),
      { numRuns: 800 },
    );
  }));
