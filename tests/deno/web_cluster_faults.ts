/**
 * What may happen to the owner of a session, to Redis and to the way between them: each on a cluster that is used meanwhile.
 *
 *     deno task cluster            every fault, several times; prints figures
 *     deno task cluster --rounds 5
 *     deno task cluster --only "a partition between nodes" --codex 0.145.0
 */
import assert from "node:assert/strict";
import { type ModelRequest, type ModelTurn, script } from "../../src/testing/mod.ts";
import { NEWEST_CODEX } from "../_codex.ts";
import { limited } from "../_limit.ts";
import { findRedis, freePort } from "../_redis.ts";
import {
  type ClusterWorld,
  type Follower,
  inCluster,
  LEASE_MS,
  type Node,
} from "./web_cluster_world.ts";
import { Link } from "./web_cluster_link.ts";

const WORDS = Array.from({ length: 200 }, (_, i) => `word${i} `);
/** Nobody may wait longer for an answer: the lease, the balancer's probes, and a machine that has other work. */
const PATIENCE_MS = 3 * LEASE_MS;

/** Long answers, a command to approve, or an echo. */
export function play(request: ModelRequest): ModelTurn {
  if (/story/.test(request.text)) return script.say(WORDS, { delayMs: 20 });
  if (/tale/.test(request.text)) return script.say(WORDS.slice(0, 60), { delayMs: 20 });
  if (/command/.test(request.text) && request.toolOutputs.length === 0) {
    return script.exec("touch made.txt");
  }
  return `After ${request.userTexts.length}: ${request.text}`;
}

/** A session that two pages follow: what they are told must be one and the same. */
class Watched {
  readonly path: string;
  readonly pages: Follower[];
  readonly #world: ClusterWorld;

  private constructor(world: ClusterWorld, sessionId: string) {
    this.#world = world;
    this.path = `/sessions/${sessionId}`;
    this.pages = [world.follow(sessionId), world.follow(sessionId)];
  }

  /** Without a node on whichever the balancer chooses. */
  static async start(world: ClusterWorld, node?: Node): Promise<Watched> {
    const { status, body } = await world.call("POST /sessions", {}, node);
    assert.equal(status, 201);
    const watched = new Watched(world, body.sessionId);
    await watched.turn("hello");
    return watched;
  }

  /** The thread that it was told about last. */
  threadId(): string {
    return this.pages[0]!.told.findLast(({ event }) => event.threadId)!.event.threadId;
  }

  get id(): string {
    return this.path.split("/").at(-1)!;
  }

  /** Begins a turn; also when its first answer was lost with a node, and Deno's `fetch` or we asked again. */
  async begin(text: string): Promise<string> {
    const route = `POST ${this.path}/turns?once=${crypto.randomUUID()}`;
    const { status, body, tries } = await this.#world.call(route, { text });
    if (status === 202) return body.turnId;
    const told = this.pages[0]!.told.slice(-12).map(({ id, event: { type, turnId } }) =>
      `${id} ${type} ${turnId}`
    );
    const looks: string[] = [];
    // A request that came twice shows as a turn that begins later.
    for (let look = 0; look < 20; look++) {
      const { body: now } = await this.#world.call(`GET ${this.path}`);
      const turns = now.turns.map((turn: { turnId: string; status: string }) =>
        `${turn.turnId} ${turn.status}`
      );
      const seen = `${turns.join("; ")}, running: ${now.runningTurnId}`;
      if (looks.at(-1) !== seen) looks.push(seen);
    }
    throw new Error(
      `"${text}" was not begun: ${status} ${body.code} after ${tries.join(", ")}; told: ${
        told.join("; ")
      }; turns: ${looks.join(", then ")}`,
    );
  }

  async ended(turnId: string): Promise<string> {
    const ends = this.pages.map((page) =>
      page.until((event) => event.type === "turnCompleted" && event.turnId === turnId)
    );
    const [told] = await Promise.all(ends);
    return told!.event.status;
  }

  async turn(text: string): Promise<void> {
    assert.equal(await this.ended(await this.begin(text)), "completed");
  }

  /** The conversation goes on, nothing was lost, and both pages know the same. */
  async check(): Promise<void> {
    await this.turn("and now?");
    const { body } = await this.#world.call(`GET ${this.path}`);
    assert.match(
      body.turns.at(-1).items.at(-1).text,
      /^After [2-9]\d*: and now\?$/,
      "it is remembered",
    );
    const [a, b] = this.pages as [Follower, Follower];
    for (const page of this.pages) assert.deepEqual([page.holes(), page.lagged], [[], 0]);
    // Two owners would tell two things under one number.
    const told = new Map(a.told.map(({ id, event }) => [id, JSON.stringify(event)]));
    const shared = b.told.filter(({ id, event }) => told.has(id) && event.delta === undefined);
    assert.ok(shared.length > 3);
    for (const { id, event } of shared) assert.equal(JSON.stringify(event), told.get(id), id);
    assert.deepEqual(a.texts(), b.texts());
  }

  get events(): number {
    return this.pages.reduce((sum, { told }) => sum + told.length, 0);
  }

  async stop(): Promise<void> {
    await Promise.all(this.pages.map((page) => page.close()));
  }
}

/** One fault. Leaves as many nodes as there were. */
type Fault = (world: ClusterWorld) => Promise<Watched>;

async function strike(
  world: ClusterWorld,
  session: Watched,
  signal: Signal,
): Promise<() => Promise<void>> {
  const owner = await world.ownerOf(session.id);
  if (signal === "SIGKILL") {
    await world.endNode(owner);
    return async () => void await world.addNode();
  }
  owner.signal("SIGSTOP");
  return async () => {
    owner.signal("SIGCONT");
    // It sends people to the new owner, and tells what that one knows.
    const [woken, other] = await Promise.all(
      [owner, undefined].map((node) => world.call(`GET ${session.path}`, undefined, node)),
    );
    assert.deepEqual(
      woken!.body.turns?.map(({ turnId }: { turnId: string }) => turnId),
      other!.body.turns?.map(({ turnId }: { turnId: string }) => turnId),
    );
  };
}

type Signal = "SIGKILL" | "SIGSTOP";

function midTurn(signal: Signal): Fault {
  return async (world) => {
    const session = await Watched.start(world);
    const turnId = await session.begin("story");
    await session.pages[0]!.until(({ delta }) => delta?.includes("word9 "));
    const heal = await strike(world, session, signal);
    assert.equal(await session.ended(turnId), "interrupted");
    await session.check();
    await heal();
    return session;
  };
}

/** The turn of an owner that sleeps runs on in its codex, beside those of the next owner; whoever comes after both knows all. */
const sleptOver: Fault = async (world) => {
  const session = await Watched.start(world);
  const before = session.threadId();
  // Short enough for the pipe that its sleeping owner does not read.
  const turnId = await session.begin("tale");
  await session.pages[0]!.until(({ delta }) => delta?.includes("word9 "));
  const heal = await strike(world, session, "SIGSTOP");
  assert.equal(await session.ended(turnId), "interrupted");
  await session.check();
  await world.written(before, new RegExp(`"task_complete".*"turn_id":"${turnId}"`));
  const next = await world.ownerOf(session.id);
  await world.endNode(next);
  await world.addNode();
  await session.check();
  const asked = world.model.requests.at(-1)!.userTexts.filter((text) => !text.startsWith("<"));
  assert.deepEqual(asked.slice(-4), ["hello", "tale", "and now?", "and now?"]);
  await heal();
  return session;
};

function midApproval(signal: Signal): Fault {
  return async (world) => {
    const session = await Watched.start(world);
    const turnId = await session.begin("run the command");
    const { event } = await session.pages[0]!.until(({ type }) => type === "approvalRequested");
    const answer = `POST ${session.path}/approvals/${event.request.id}`;
    const heal = await strike(world, session, signal);
    // The question went with its owner: it is answered by nobody, and nothing was run.
    const late = await world.call(answer, { decision: "accept" });
    assert.equal(late.status, 404, JSON.stringify(late.body));
    assert.equal(await session.ended(turnId), "interrupted");
    const { body } = await world.call(`GET ${session.path}/approvals`);
    assert.deepEqual(body.approvals, []);
    await heal();
    await session.check();
    const seen = JSON.stringify((await world.call(`GET ${session.path}`)).body.turns);
    assert.ok(!/"commandExecution"[^}]*"status":"completed"/.test(seen), "the command never ran");
    return session;
  };
}

function midClose(signal: Signal): Fault {
  return async (world) => {
    const session = await Watched.start(world);
    await session.begin("story");
    const owner = await world.ownerOf(session.id);
    const others = world.nodes.filter((node) => node !== owner);
    const closing = world.ask(`DELETE ${session.path}`, undefined, others[0]).catch(() => null);
    // Before it got there, anywhere on its way, or when it is nearly done.
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 30));
    const heal = await strike(world, session, signal);
    await (await closing)?.body?.cancel();
    // Tried again it is gone, whether or not the first one got through.
    const { status } = await world.call(`DELETE ${session.path}`);
    assert.ok(status === 200 || status === 404, `${status}`);
    assert.equal((await world.call(`GET ${session.path}`)).status, 404);
    await heal();
    const { body } = await world.call("GET /sessions");
    assert.ok(!JSON.stringify(body).includes(session.id));
    return session;
  };
}

const redisPaused: Fault = async (world) => {
  const session = await Watched.start(world);
  const turnId = await session.begin("story");
  await session.pages[0]!.until(({ delta }) => delta?.includes("word9 "));
  world.redis.signal("SIGSTOP");
  const began = performance.now();
  const answers = Promise.all(
    world.nodes.map((node) =>
      world.ask(`GET ${session.path}`, undefined, node, AbortSignal.timeout(PATIENCE_MS))
    ),
  );
  await new Promise((resolve) => setTimeout(resolve, 1.5 * LEASE_MS));
  world.redis.signal("SIGCONT");
  for (const answer of await answers) {
    assert.ok(answer.status === 200 || answer.status === 503, `${answer.status}`);
    await answer.body?.cancel();
  }
  assert.ok(performance.now() - began < PATIENCE_MS + 1.5 * LEASE_MS);
  assert.match(await session.ended(turnId), /completed|interrupted/);
  await session.check();
  return session;
};

const redisRestarted: Fault = async (world) => {
  const session = await Watched.start(world);
  await world.redis.stop();
  await new Promise((resolve) => setTimeout(resolve, 1.5 * LEASE_MS));
  await world.redis.start();
  await session.check();
  return session;
};

/** The owner alone can't reach Redis. */
const partition: Fault = async (world) => {
  await using link = await Link.to(world.redis.port);
  const apart = await world.addNode({ REDIS: `redis://127.0.0.1:${link.port}` });
  const session = await Watched.start(world, apart);
  assert.equal(await world.ownerOf(session.id), apart);
  const turnId = await session.begin("story");
  await session.pages[0]!.until(({ delta }) => delta?.includes("word9 "));
  link.cut();
  assert.equal(await session.ended(turnId), "interrupted");
  await session.check();
  assert.notEqual(await world.ownerOf(session.id), apart);
  link.heal();
  const { status } = await world.call(`GET ${session.path}`, undefined, apart);
  assert.equal(status, 200);
  await world.endNode(apart, "SIGTERM");
  return session;
};

/** The owner is well, and no other node reaches it. */
const split: Fault = async (world) => {
  const port = await freePort();
  await using link = await Link.to(port);
  const others = [...world.nodes];
  const apart = await world.addNode({
    PORT: `${port}`,
    ADDRESS: `http://127.0.0.1:${link.port}`,
  });
  const session = await Watched.start(world, apart);
  const turnId = await session.begin("story");
  await session.pages[0]!.until(({ delta }) => delta?.includes("word9 "));
  link.cut();
  // Whoever comes to another node is told in time; whoever comes to the owner goes on.
  const asked = [`GET ${session.path}`, `POST ${session.path}/turns/${turnId}/interrupt`];
  await Promise.all(others.flatMap((node) =>
    asked.map(async (route) => {
      const body = route.startsWith("POST") ? {} : undefined;
      const answer = await world.ask(route, body, node, AbortSignal.timeout(PATIENCE_MS));
      const told = [answer.status, (await answer.json()).code];
      assert.deepEqual(told, [503, "ownerUnreachable"]);
    })
  ));
  const { status } = await world.call(`GET ${session.path}`, undefined, apart);
  assert.equal(status, 200);
  assert.equal(await session.ended(turnId), "completed");
  await session.check();
  assert.equal(await world.ownerOf(session.id), apart, "nobody took what it keeps");
  // Each answer came in time; whoever asks nodes by turns may get several of these.
  world.slowest = 0;
  link.heal();
  for (const node of others) {
    assert.equal((await world.call(`GET ${session.path}`, undefined, node)).status, 200);
  }
  await world.endNode(apart, "SIGTERM");
  await session.check();
  return session;
};

/** Each node is replaced, one after the other, while people work. */
const deploy: Fault = async (world) => {
  const session = await Watched.start(world);
  for (const old of [...world.nodes]) {
    const turnId = await session.begin("hello again");
    await world.addNode();
    assert.equal(await world.endNode(old, "SIGTERM"), 0);
    // It had time to end.
    assert.equal(await session.ended(turnId), "completed");
  }
  await session.check();
  return session;
};

/** Every fault by name; the first ones are tried by each test run. */
export const FAULTS: Record<string, Fault> = {
  "SIGSTOP in mid approval": midApproval("SIGSTOP"),
  "SIGKILL in mid approval": midApproval("SIGKILL"),
  "SIGKILL in mid close": midClose("SIGKILL"),
  "SIGSTOP in mid close": midClose("SIGSTOP"),
  "Redis paused": redisPaused,
  "Redis restarted": redisRestarted,
  "a partition from Redis": partition,
  "a partition between nodes": split,
  "a rolling deploy": deploy,
  "SIGKILL in mid turn": midTurn("SIGKILL"),
  "SIGSTOP in mid turn": midTurn("SIGSTOP"),
  "a turn that runs on behind its successor": sleptOver,
};

/** Tries faults on one cluster, one after the other. */
export async function tryFaults(world: ClusterWorld, names: string[]): Promise<void> {
  for (const name of names) {
    const began = performance.now();
    world.slowest = 0;
    const [looks, owners] = [world.watch.looks, world.watch.owners];
    const session = await limited(name, FAULTS[name]!(world), 180_000);
    const { events } = session;
    await session.stop();
    assert.deepEqual(world.watch.doubles(), [], `${name}: a session with two owners`);
    const seen = world.watch.owners - owners;
    assert.ok(seen > 0, "its owners were seen");
    console.log(
      `cluster, ${name}: ${
        Math.round(performance.now() - began)
      } ms, ${events} events to two pages, 0 lost, ` +
        `0 told twice, ${seen} owners in ${world.watch.looks - looks} looks, never two at once, ` +
        `slowest call ${Math.round(world.slowest)} ms (lease ${LEASE_MS} ms)`,
    );
    assert.ok(world.slowest < PATIENCE_MS, `${name}: a call took ${world.slowest} ms`);
  }
}

if (import.meta.main) {
  const redis = await findRedis();
  if (redis === null) Deno.exit(1);
  const argument = (name: string) => Deno.args[Deno.args.indexOf(name) + 1];
  const rounds = Deno.args.includes("--rounds") ? Number(argument("--rounds")) : 3;
  const names = Deno.args.includes("--only") ? [argument("--only")!] : Object.keys(FAULTS);
  const codex = Deno.args.includes("--codex") ? argument("--codex")! : NEWEST_CODEX;
  for (let round = 1; round <= rounds; round++) {
    console.log(`round ${round} of ${rounds}`);
    await inCluster(redis, play, 3, (world) => tryFaults(world, names), {}, codex);
  }
}
