/** Many browsers at once, which drop and return at random. */
import assert from "node:assert/strict";
import { SseClient } from "../contract/web_sse_client.ts";
import { serve } from "../contract/web_serve.ts";
import { inWorld } from "../contract/web_world.ts";
import { test } from "../_harness.ts";
import { random } from "./faults_world.ts";

const SESSIONS = 20;
const CLIENTS_PER_SESSION = 5;
const TURNS = 2;
const DELTAS = 400;

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function words(prompt: string): string[] {
  return Array.from({ length: DELTAS }, (_, i) => `${prompt}:${i} `);
}

interface Seen {
  text: string;
  turns: number;
  drops: number;
  lastSeq: number;
}

test(
  "100 clients over 20 sessions drop and return at random, and each ends with the exact text once",
  () =>
    inWorld({
      server: {
        onTurn: async (turn) => {
          const chance = random(turn.prompt.length * 7919 + DELTAS);
          const deltas = words(turn.prompt);
          turn.say("", { id: turn.id, open: true });
          for (const delta of deltas) {
            turn.delta(turn.id, delta);
            if (chance() < 0.1) await pause(chance() * 20);
          }
          turn.complete();
        },
      },
      bridge: { maxSessionsPerTenant: SESSIONS, maxStreamsPerTenant: 200 },
    }, async (world) => {
      const server = serve(world.bridge.fetch);
      const url = (path: string) => `${server.origin}/codex${path}`;
      const headers = { "x-tenant": "ann", "content-type": "application/json" };
      const ids = await Promise.all(Array.from({ length: SESSIONS }, () => world.session("ann")));

      const visit = async (sessionId: string, seed: number): Promise<Seen> => {
        const chance = random(seed);
        const seen: Seen = { text: "", turns: 0, drops: 0, lastSeq: 0 };
        let lastId = "";
        while (seen.turns < TURNS) {
          const response = await fetch(url(`/sessions/${sessionId}/events`), {
            headers: { "x-tenant": "ann", ...(lastId === "" ? {} : { "last-event-id": lastId }) },
          });
          assert.equal(response.status, 200);
          const client = new SseClient(response, lastId);
          const patience = 1 + Math.floor(chance() * 60);
          for (let i = 0; i < patience && seen.turns < TURNS; i++) {
            const block = await client.next();
            assert.ok(block !== null, "the stream ended early");
            assert.notEqual(block.name, "lagged");
            const seq = Number(block.id.split("-").at(-1));
            assert.ok(seq > seen.lastSeq, `event ${seq} after ${seen.lastSeq}`);
            seen.lastSeq = seq;
            lastId = block.id;
            if (block.data.type === "assistantMessageDelta") seen.text += block.data.delta;
            if (block.data.type === "turnCompleted") seen.turns++;
            if (chance() < 0.01) await pause(chance() * 30);
          }
          await client.drop();
          seen.drops++;
          if (chance() < 0.5) await pause(chance() * 40);
        }
        return seen;
      };

      const drive = async (sessionId: string, name: string): Promise<void> => {
        const watcher = await world.follow("ann", sessionId);
        for (let turn = 0; turn < TURNS; turn++) {
          const response = await fetch(url(`/sessions/${sessionId}/turns`), {
            method: "POST",
            headers,
            body: JSON.stringify({ text: `${name}.${turn}` }),
          });
          assert.equal(response.status, 202, await response.text());
          await watcher.untilTurnEnds();
        }
        await watcher.drop();
      };

      try {
        const visits = ids.flatMap((id, session) =>
          Array.from({ length: CLIENTS_PER_SESSION }, async (_, client) => ({
            session,
            seen: await visit(id, session * 100 + client),
          }))
        );
        const drives = ids.map((id, session) => drive(id, `s${session}`));
        const results = await Promise.all(visits);
        await Promise.all(drives);
        for (const { session, seen } of results) {
          const expected = Array.from({ length: TURNS }, (_, turn) => words(`s${session}.${turn}`))
            .flat().join("");
          assert.equal(seen.text, expected);
        }
        const drops = results.reduce((sum, { seen }) => sum + seen.drops, 0);
        assert.ok(drops > 300, `only ${drops} drops`);
      } finally {
        await server.close();
      }
    }),
);

test("a client that never reads costs the others nothing, and is told what it missed", () =>
  inWorld({
    server: {
      onTurn: async (turn) => {
        for (let i = 0; i < 3_000; i++) {
          turn.say(`${i} `);
          if (i % 100 === 0) await pause(1);
        }
        turn.complete();
      },
    },
    bridge: { maxLogEvents: 500 },
  }, async (world) => {
    const id = await world.session("ann");
    const sleeper = await world.follow("ann", id);
    const reader = await world.follow("ann", id);
    await world.call("ann", `POST /sessions/${id}/turns`, { text: "go" });
    await reader.untilTurnEnds();
    // The sleeper's stream holds a batch from before; then comes the gap, said aloud, then what is kept.
    const late = await sleeper.until(({ data }) => data.type === "turnCompleted");
    assert.ok(late.some(({ name }) => name === "lagged"));
    const { body } = await world.call("ann", `GET /sessions/${id}`);
    assert.equal(body.cursor, sleeper.lastId);
    const texts = body.turns[0].items.filter((item: { type: string }) =>
      item.type === "agentMessage"
    );
    assert.equal(texts.length, 3_000, "the snapshot has all of it");
    await Promise.all([sleeper.drop(), reader.drop()]);
  }));
