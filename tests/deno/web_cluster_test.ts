/** Bridges on several nodes: one owner, every request works everywhere, and no node is needed. */
import assert from "node:assert/strict";
import { bunPath, tries } from "../_codex.ts";
import { limited } from "../_limit.ts";
import { findRedis } from "../_redis.ts";
import { test } from "../_harness.ts";
import { play, tryFaults } from "./web_cluster_faults.ts";
import { WebError } from "../../src/errors/mod.ts";
import { connect } from "../../src/web/connect.ts";
import type { BridgeEvent, BridgeSession } from "../../src/web/connect_types.ts";
import {
  type ClusterWorld,
  inCluster,
  LEASE_MS,
  type Node,
  nodeExample,
} from "./web_cluster_world.ts";

/**
 * The client sends nothing twice by itself that may have begun; this page knows that a turn can't begin twice. Reading is
 * tried by the client until a node answers: then is the time to ask again. 409 is a try whose answer got lost, and which has
 * begun its turn after that.
 */
async function patiently<T>(session: BridgeSession, call: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await call();
    } catch (error) {
      const again = error instanceof WebError && (error.retryable || error.status === 409);
      if (!again) throw error;
      await session.read();
    }
  }
}

const redis = await findRedis();
if (redis !== null) {
  test(
    "cluster: a session that nobody uses is closed, wherever it is",
    () =>
      inCluster(redis, play, 2, async (world) => {
        const [a, b] = world.nodes as [Node, Node];
        const path = async (node: Node) =>
          `/sessions/${(await world.call("POST /sessions", {}, node)).body.sessionId}`;
        const [old, used] = [await path(a), await path(b)];
        const page = world.follow(used.split("/").at(-1)!);
        while ((await world.call("GET /sessions", undefined, b)).body.sessions.length > 1) {
          // Nobody is told of a session that ran out: only asking again shows it.
          await new Promise((resolve) => setTimeout(resolve, 100));
        }
        assert.equal((await world.call(`GET ${old}`, undefined, b)).status, 404);
        assert.equal((await world.call(`GET ${used}`, undefined, a)).status, 200);
        await page.close();
      }, { SESSION_TTL_MS: "3000" }),
  );

  test(
    "cluster: bridges on Bun, Deno and Node pass sessions on to each other, and a page's client comes along",
    () =>
      inCluster(redis, play, 1, async (world) => {
        const bun = await world.addNode({ RUNTIME: await bunPath() });
        const [deno] = world.nodes as [Node];
        const client = connect(`${world.url}/codex`, {
          headers: { authorization: "Bearer ann.key-of-ann" },
          silenceMs: LEASE_MS,
        });
        const { body: { sessionId } } = await world.call("POST /sessions", {}, bun);
        const session = client.session(sessionId);
        const told: BridgeEvent[] = [];
        let wake = Promise.withResolvers<void>();
        const closed = (async () => {
          for await (const event of session.events()) {
            told.push(event);
            wake.resolve();
            wake = Promise.withResolvers();
          }
        })();
        const page = world.follow(sessionId);
        const path = `/sessions/${sessionId}`;
        const ended = (turnId: string) =>
          page.until((event) => event.type === "turnCompleted" && event.turnId === turnId);
        const { turnId } = (await world.call(`POST ${path}/turns`, { text: "story" }, deno)).body;
        await page.until(({ delta }) => delta?.includes("word9 "));
        assert.equal(await world.ownerOf(sessionId), bun);
        await world.endNode(bun);
        assert.equal((await ended(turnId)).event.status, "interrupted");
        await using example = await nodeExample();
        const node = await world.addNode({ RUNTIME: example.program }, example.script);
        const next = await world.call(`POST ${path}/turns`, { text: "still there?" }, node);
        await ended(next.body.turnId);
        assert.equal(await world.ownerOf(sessionId), deno);
        // A deploy: the one that has it drains, the one on Node goes on.
        assert.equal(await world.endNode(deno, "SIGTERM"), 0);
        const known = (await patiently(session, () => session.read())).turns.length;
        const last = await patiently(session, async () => {
          // A try whose answer got lost may have begun a turn: then that is the one.
          const { turns } = await session.read();
          return turns[known] ?? await session.ask("and now?");
        });
        await ended(last.turnId);
        assert.equal(await world.ownerOf(sessionId), node);
        assert.deepEqual([page.holes(), page.lagged], [[], 0]);
        await page.close();

        // The client takes its time to come along; of a session that is closed meanwhile it would hear nothing.
        const heard = () =>
          told.some((event) => event.type === "turnCompleted" && event.turnId === last.turnId);
        while (!heard()) {
          await limited("the end of the last turn", Promise.race([wake.promise, closed]));
        }
        await patiently(session, () => session.close());
        await limited("the end of the client's events", closed);
        // Each event came to it once and in order, over three owners.
        assert.deepEqual(
          told.filter(({ type }) => /snapshot|turn(Started|Completed)|Closed/.test(type)).map((
            event,
          ) => event.type === "turnCompleted" ? event.status : event.type),
          [
            "snapshot",
            ...["turnStarted", "interrupted", "turnStarted", "completed"],
            ...["turnStarted", "completed", "sessionClosed"],
          ],
        );
        const cursors = told.map(({ cursor }) => Number(cursor.split("-").at(-1)));
        assert.ok(cursors.every((each, i) => i === 0 || each > cursors[i - 1]!), `${cursors}`);
        assert.equal(await world.endNode(node, "SIGTERM"), 0);
      }),
  );

  const everyNode = async (world: ClusterWorld) => {
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

    // One that came twice, by two ways, is begun once.
    const twice = await Promise.all(
      [a, b].map((node) => world.call(`POST ${path}/turns?once=this`, { text: "story" }, node)),
    );
    const { turnId } = twice[0]!.body;
    assert.deepEqual(twice.map(({ status, body }) => [status, body]), [
      [202, { turnId }],
      [202, { turnId }],
    ]);
    await page.until(({ type, turnId: of }) => type === "assistantMessageDelta" && of === turnId);
    const steered = await world.call(`POST ${path}/turns/${turnId}/steer`, {
      text: "more of the story",
    }, b);
    assert.equal(steered.status, 202);
    const stopped = await world.call(`POST ${path}/turns/${turnId}/interrupt`, {}, c);
    assert.equal(stopped.status, 202, JSON.stringify([stopped.body, page.told.slice(-4)]));
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
  };

  test(
    "cluster: three nodes",
    { timeoutMs: 240_000 },
    (t) =>
      inCluster(redis, play, 3, async (world) => {
        await t.step(
          "every request works at every node, and a session has one owner",
          () => everyNode(world),
        );
        await t.step(
          "owners struck in mid turn, approval and close, Redis away, a partition, a rolling deploy",
          () =>
            tryFaults(world, [
              "SIGKILL in mid turn",
              "SIGSTOP in mid approval",
              ...tries<string[]>(["SIGKILL in mid close", "Redis paused"], []),
              "Redis restarted",
              "a partition from Redis",
              "a rolling deploy",
            ]),
        );
      }),
  );
}
