/** What nobody asked for on a session's thread, goals and agents' turns, is told to its tenant and counts, on the real codex. */
import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { Client } from "../../src/session/client/client.ts";
import { type ModelRequest, type ModelTurn, script, ScriptedModel } from "../../src/testing/mod.ts";
import { WebAdapter } from "../../src/web/adapter.ts";
import type { WebAdapterOptions } from "../../src/web/options.ts";
import type { WebSessionEvent } from "../../src/web/types.ts";
import { codexes, codexPath, type CodexVersion } from "../_codex.ts";
import { test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";
import { makeUsed } from "../_used_home.ts";

async function withAdapter(
  version: CodexVersion,
  play: (request: ModelRequest) => ModelTurn,
  options: Partial<WebAdapterOptions>,
  act: (adapter: WebAdapter) => Promise<void>,
): Promise<void> {
  await using directory = await tempDir("foreign-");
  const home = join(directory.path, "home");
  const of = (tenant: string) => join(directory.path, tenant);
  await Promise.all([makeUsed(home, version), mkdir(of("ann")), mkdir(of("bob"))]);
  const model = await ScriptedModel.start(play);
  const client = await Client.connect(
    model.clientConfig({ codexPath: await codexPath(version), home }),
  );
  const adapter = new WebAdapter({ client, cwd: of, ...options });
  try {
    await act(adapter);
  } finally {
    await adapter.close();
    await client.shutdown();
    await model.close();
  }
}

for (const version of codexes("0.169.0", "0.145.0")) {
  test(
    `a goal's turns are told, shown, counted and stopped like those that were asked for [${version}]`,
    () =>
      withAdapter(
        version,
        (request) => {
          const goal = JSON.stringify(request.body).includes("codex_internal_context");
          if (goal && request.text !== "another") {
            return [script.say("At work", { open: true }), script.hang()];
          }
          if (request.text === "go on" && request.toolOutputs.length === 0) {
            return [script.toolCall("create_goal", { objective: "Reach it" })];
          }
          return `You said: ${request.text}`;
        },
        { maxTurns: 1, profile: { goals: true } },
        async (adapter) => {
          const [{ sessionId }, other] = await Promise.all([
            adapter.createSession("ann"),
            adapter.createSession("bob"),
          ]);
          const { turnId: asked } = await adapter.createTurn("ann", sessionId, { text: "go on" });
          const events = adapter.subscribeEvents("ann", sessionId);
          const told: WebSessionEvent[] = [];
          const until = async (fits: (event: WebSessionEvent) => boolean) => {
            for (;;) {
              const { value, done } = await events.next();
              assert.ok(!done, "the events end too early");
              told.push(value.event);
              if (fits(value.event)) {
                return value.event;
              }
            }
          };
          const begun = await until((event) =>
            event.type === "assistantMessageDelta" && event.turnId !== asked
          );
          const foreign = (begun as { turnId: string }).turnId;
          assert.ok(told.some(({ type }) => type === "goalUpdated"));
          const { turns, goal, runningTurnId } = await adapter.readSession("ann", sessionId);
          assert.deepEqual(
            turns.map(({ turnId, status }) => [turnId, status]),
            [[asked, "completed"], [foreign, "inProgress"]],
          );
          assert.deepEqual([runningTurnId, goal?.["objective"]], [foreign, "Reach it"]);
          // It takes the one turn that may run here.
          await assert.rejects(
            adapter.createTurn("bob", other.sessionId, { text: "me too" }),
            { reason: "tooManyTurns" },
          );
          await assert.rejects(
            adapter.createTurn("ann", sessionId, { text: "another" }),
            { reason: "turnRunning" },
          );
          await adapter.interruptTurn("ann", sessionId, foreign);
          const end = await until((event) =>
            event.type === "turnCompleted" && event.turnId === foreign
          );
          assert.equal((end as { status: string }).status, "interrupted");
          const starts = told.filter(({ type }) => type === "turnStarted");
          assert.equal(starts.length, 2);
          // Its goal does not go on, nor after the next prompt.
          const paused = await adapter.readSession("ann", sessionId);
          assert.equal(paused.goal?.["status"], "paused");
          const next = await adapter.createTurn("ann", sessionId, { text: "another" });
          await until((event) => event.type === "turnCompleted" && event.turnId === next.turnId);
          await events.return?.();
          assert.equal((await adapter.closeSession("ann", sessionId)).archived, true);
        },
      ),
  );
}
