/** Bridges on several nodes: one owner, every request works everywhere, and no node is needed. */
import assert from "node:assert/strict";
import { type ModelRequest, script } from "../../src/testing/mod.ts";
import { findRedis } from "../_redis.ts";
import { test } from "../_harness.ts";
import { inCluster, LEASE_MS, type Node } from "./web_cluster_world.ts";

const LIMIT = { timeoutMs: 120_000 };
const redis = await findRedis();
const WORDS = Array.from({ length: 200 }, (_, i) => `word${i} `);

/** Long answers, a command to approve, or an echo. */
const play = (request: ModelRequest) => {
  if (/story/.test(request.text)) return script.say(WORDS, { delayMs: 20 });
  if (/command/.test(request.text) && request.toolOutputs.length === 0) {
    return script.exec("touch made.txt");
  }
  return `After ${request.userTexts.length}: ${request.text}`;
};

if (redis !== null) {
  test(
    "cluster: every request works at every node, and a session has one owner",
    LIMIT,
    () =>
      inCluster(redis, play, 3, async (world) => {
        const [a, b, c] = world.nodes as [Node, Node, Node];
        const { body: { sessionId } } = await world.call("POST /sessions", {}, a);
        const path = `/sessions/${sessionId}`;
        const page = world.follow(sessionId);
        // Before its first turn two nodes would each have started a thread for it.
        const turns = await Promise.all(
          [b, c].map((node) => world.call(`POST ${path}/turns`, { text: "run the command" }, node)),
        );
        assert.deepEqual(turns.map(({ status }) => status).sort(), [202, 409]);
        const { event: { request } } = await page.until(({ type }) => type === "approvalRequested");
        for (const node of world.nodes) {
          const { body } = await world.call(`GET ${path}/approvals`, undefined, node);
          assert.deepEqual(body.approvals.map((each: typeof body) => each.request.id), [
            request.id,
          ]);
        }
        const answer = { decision: "accept" };
        assert.equal(
          (await world.call(`POST ${path}/approvals/${request.id}`, answer, c)).status,
          200,
        );
        await page.until(({ type }) => type === "turnCompleted");

        const { body: { turnId } } = await world.call(`POST ${path}/turns`, { text: "story" }, a);
        await page.until(({ type, turnId: of }) =>
          type === "assistantMessageDelta" && of === turnId
        );
        const steered = await world.call(`POST ${path}/turns/${turnId}/steer`, { text: "more" }, b);
        assert.equal(steered.status, 202);
        assert.equal(
          (await world.call(`POST ${path}/turns/${turnId}/interrupt`, {}, c)).status,
          202,
        );
        await page.until((event) => event.type === "turnCompleted" && event.turnId === turnId);
        const seen = await Promise.all(
          world.nodes.map((node) => world.call(`GET ${path}`, undefined, node)),
        );
        for (const { body } of seen) assert.deepEqual(body, seen[0]!.body);
        assert.deepEqual([page.holes(), page.lagged], [[], 0]);

        // A header that no node made gets nobody in.
        const forged = await fetch(`${a.url}/codex${path}`, {
          headers: {
            "x-codex-forwarded": `${btoa(JSON.stringify({ tenant: "ann", at: Date.now() }))}.AAAA`,
          },
        });
        assert.equal(forged.status, 401);
        await forged.body?.cancel();
        assert.equal((await world.call(`DELETE ${path}`, undefined, b)).status, 200);
        assert.equal((await world.call(`GET ${path}`, undefined, c)).status, 404);
        await page.close();
      }),
  );

  for (const how of ["SIGKILL", "SIGSTOP"] as const) {
    test(
      `cluster: an owner that gets ${how} in mid turn is replaced, and an attached page loses nothing`,
      LIMIT,
      () =>
        inCluster(redis, play, 3, async (world) => {
          const [owner] = world.nodes as [Node];
          const { body: { sessionId } } = await world.call("POST /sessions", {}, owner);
          const path = `/sessions/${sessionId}`;
          await world.call(`POST ${path}/turns`, { text: "hello" }, owner);
          const page = world.follow(sessionId);
          await page.until(({ type }) => type === "turnCompleted");
          const { body: { turnId } } = await world.call(
            `POST ${path}/turns`,
            { text: "story" },
            owner,
          );
          await page.until(({ delta }) => delta?.includes("word20 "));
          const began = performance.now();
          if (how === "SIGKILL") await world.endNode(owner);
          else {
            owner.signal("SIGSTOP");
            // The balancer finds out.
            world.nodes = world.nodes.filter((node) => node !== owner);
          }
          const ended = await page.until((event) =>
            event.type === "turnCompleted" && event.turnId === turnId
          );
          const took = performance.now() - began;
          assert.equal(ended.event.status, "interrupted");
          const next = await world.call(`POST ${path}/turns`, { text: "and now?" });
          assert.equal(next.status, 202);
          const { turnId: after } = next.body;
          await page.until((event) => event.type === "turnCompleted" && event.turnId === after);
          const { body } = await world.call(`GET ${path}`);
          const last = body.turns.at(-1).items.at(-1).text;
          assert.match(last, /^After [2-9]: and now\?$/, "the conversation is remembered");
          assert.deepEqual([page.holes(), page.lagged], [[], 0]);
          if (how === "SIGSTOP") {
            world.nodes.push(owner);
            owner.signal("SIGCONT");
            // It wakes up, and sends people to the new owner.
            const woken = await world.call(`GET ${path}`, undefined, owner);
            assert.deepEqual(
              woken.body.turns.map((turn: typeof body) => turn.turnId),
              body.turns.map((turn: typeof body) => turn.turnId),
            );
          }
          console.log(
            `cluster ${how}: ${
              Math.round(took)
            } ms until the turn's end was told (lease ${LEASE_MS} ms), ` +
              `${page.told.length} events, 0 lost, slowest call ${Math.round(world.slowest)} ms`,
          );
          await page.close();
        }),
    );
  }

  test(
    "cluster: a rolling deploy with drain loses nothing and leaves no request unanswered",
    LIMIT,
    () =>
      inCluster(redis, play, 2, async (world) => {
        const [owner] = world.nodes as [Node];
        const { body: { sessionId } } = await world.call("POST /sessions", {}, owner);
        const path = `/sessions/${sessionId}`;
        await world.call(`POST ${path}/turns`, { text: "hello" }, owner);
        const page = world.follow(sessionId);
        await page.until(({ type }) => type === "turnCompleted");
        for (let round = 0; round < 2; round++) {
          const [old] = world.nodes as [Node];
          await world.addNode();
          assert.equal(await world.endNode(old, "SIGTERM"), 0);
          const { status, body } = await world.call(`POST ${path}/turns`, {
            text: `round ${round}`,
          });
          assert.equal(status, 202);
          await page.until(({ type, turnId }) =>
            type === "turnCompleted" && turnId === body.turnId
          );
        }
        assert.deepEqual([page.holes(), page.lagged], [[], 0]);
        console.log(`cluster deploy: slowest call ${Math.round(world.slowest)} ms, 0 events lost`);
        await page.close();
      }),
  );

  test(
    "cluster: Redis stopped and started again costs time, and nothing else",
    LIMIT,
    () =>
      inCluster(redis, play, 2, async (world) => {
        const { body: { sessionId } } = await world.call("POST /sessions", {});
        const path = `/sessions/${sessionId}`;
        await world.call(`POST ${path}/turns`, { text: "hello" });
        const page = world.follow(sessionId);
        await page.until(({ type }) => type === "turnCompleted");
        await world.redis.stop();
        await new Promise((resolve) => setTimeout(resolve, 2 * LEASE_MS));
        await world.redis.start();
        const { status, body } = await world.call(`POST ${path}/turns`, { text: "again" });
        assert.equal(status, 202);
        await page.until(({ type, turnId }) => type === "turnCompleted" && turnId === body.turnId);
        assert.deepEqual([page.holes(), page.lagged], [[], 0]);
        await page.close();
      }),
  );
}
