/** What was accepted, by whomever, is still no more than this script may do itself: in a test with few permissions. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import type { TurnEvent } from "../../mod.ts";
import { applyPatch, exec, inPrompt, toolCall } from "../../src/testing/model/script.ts";
import { test } from "../_harness.ts";
import { addFile, type Place, world } from "../real/_safety_world.ts";

const CACHE = process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache");
/** Everything but writing outside the tests' own directories, and native libraries. */
const FEW = {
  read: true,
  write: [join(CACHE, "codex-runtime-tests"), join(homedir(), ".cache", "codex-runtime-testing")],
  net: ["127.0.0.1"],
  run: true,
  env: true,
  sys: true,
  ffi: false,
};
const OPTIONS = { timeoutMs: 60_000, permissions: FEW };
const OUTSIDE = join(CACHE, "codex-runtime-outside");

function warnings(place: Place): string[] {
  return place.events.flatMap((event: TurnEvent) =>
    event.type === "warning" ? [event.message] : []
  );
}

for (const version of ["0.169.0", "0.104.0"] as const) {
  test(
    `what is accepted needs this script's own permissions, codex ${version}`,
    OPTIONS,
    async (t) => {
      await using w = await world(version);
      const accept = [
        ["a handler", () => ({ decision: "accept" }) as const, null],
        ["a rule", { rules: [{ name: "all", effect: "allow", outsideSandbox: true }] }, "all"],
      ] as const;
      for (const [who, approvals, rule] of accept) {
        await t.step(`${who} accepts a command, which must not leave the sandbox`, async () => {
          const place = await w.session({
            sandbox: "read-only",
            approvals: typeof approvals === "function"
              ? approvals
              : { rules: [...approvals.rules] },
          });
          const held = version === "0.169.0";
          assert.equal(place.session.policy.acceptedCommands, held ? "sandboxed" : "mayLeave");
          const tries = Array.from({ length: held ? 8 : 1 }, () => exec("touch no"));
          const result = await place.act(...tries);
          assert.equal(place.has("no"), false);
          assert.equal(result.assistantText, "done");
          const [audit] = place.audits();
          assert.deepEqual(
            [audit?.decision, audit?.decidedBy, audit?.rule],
            held
              ? ["accept", rule === null ? "handler" : "rule", rule]
              : ["decline", "library", rule],
          );
          if (held) return;
          assert.match(audit!.reason!, /--allow-write --allow-net --allow-ffi/);
          assert.match(warnings(place).join("\n"), /declined by this library: .*--allow-write/);
        });
      }
      await t.step("a change of files that it may write itself is accepted", async () => {
        const place = await w.session({
          sandbox: "read-only",
          approvals: () => ({ decision: "accept" }),
        });
        await place.act(addFile("yes"));
        assert.equal(place.has("yes"), true);
        assert.deepEqual(place.audits().map((one) => one.decidedBy), ["handler"]);
      });
      await t.step("a change of files that it may not write is declined", async () => {
        const place = await w.session({
          sandbox: "read-only",
          approvals: () => ({ decision: "acceptForSession" }),
        });
        await place.act(addFile(join(OUTSIDE, "no")));
        assert.equal(existsSync(join(OUTSIDE, "no")), false);
        const [audit] = place.audits();
        assert.equal(audit?.decidedBy, "library");
        assert.match(audit!.reason!, new RegExp(`--allow-write=${OUTSIDE}/no`));
      });
      await t.step("nor is it under the id of one that it may", async () => {
        const place = await w.session({
          sandbox: "read-only",
          approvals: () => ({ decision: "accept" }),
        });
        const add = (file: string) =>
          applyPatch(`*** Begin Patch\n*** Add File: ${file}\n+x\n*** End Patch`, {
            callId: "call_again",
          });
        const twin = (n: number) => join(OUTSIDE, `twin${n}`);
        await place.act(add("in1"), add(twin(1)));
        assert.deepEqual([place.has("in1"), existsSync(twin(1))], [true, false]);
        const last = place.audits().at(-1)!;
        assert.deepEqual([last.decision, last.decidedBy], ["decline", "library"]);
        for (const files of [["in2", twin(2)], [twin(3), "in3"]]) {
          place.events = [];
          await place.session.ask(inPrompt([files.map(add), "done"]), {
            timeoutMs: 60_000,
            onEvent: (event) => place.events.push(event),
          });
          assert.equal(files.some((file) => file.startsWith(OUTSIDE) && existsSync(file)), false);
          // Of two at once, 0.104 does one after the other, and the others none.
          assert.ok(place.audits().some(({ decision }) => decision === "decline"));
        }
      });
    },
  );
}

test("permissions are granted to the agent as far as this script has them", OPTIONS, async () => {
  await using w = await world("0.169.0", { flags: { "features.request_permissions_tool": true } });
  const place = await w.session({
    sandbox: "read-only",
    approvalPolicy: "on-request",
    approvals: () => ({ decision: "accept" }),
  });
  const permissions = { network: { enabled: true } };
  await place.act(toolCall("request_permissions", { reason: "net", permissions }));
  const [audit] = place.audits();
  assert.deepEqual([audit?.decision, audit?.decidedBy], ["decline", "library"]);
  assert.match(audit!.reason!, /--allow-net/);
  const inside = { file_system: { write: [place.cwd] } };
  await place.act(toolCall("request_permissions", { reason: "files", permissions: inside }));
  assert.deepEqual(place.audits().map((one) => `${one.decision} ${one.decidedBy}`), [
    "accept handler",
  ]);
});
