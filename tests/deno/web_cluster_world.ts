/** Several real bridge processes on one Redis, a round-robin proxy, the real codex, and browsers that come back. */
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath, pathToFileURL } from "node:url";
import { type ModelRequest, type ModelTurn, ScriptedModel } from "../../src/testing/mod.ts";
import { codexPath, type CodexVersion, install, NEWEST_CODEX, nodePath, ROOT } from "../_codex.ts";
import { limited, seen } from "../_limit.ts";
import { freePort, RedisServer } from "../_redis.ts";
import { tempDir } from "../_temp.ts";
import { makeUsed } from "../_used_home.ts";
import { OwnerWatch } from "./web_cluster_watch.ts";

const EXAMPLE = new URL("../../examples/web_cluster/", import.meta.url);
/** Milliseconds of a lease in the tests. */
export const LEASE_MS = 2_000;

/** One process of the example: a bridge or the balancer. */
export class Node {
  readonly url: string;
  /** Where other nodes reach it. */
  readonly address: string;
  readonly #inspector: number | null;
  readonly #child: Deno.ChildProcess;

  private constructor(
    child: Deno.ChildProcess,
    url: string,
    address: string,
    inspector: number | null,
  ) {
    this.#child = child;
    this.url = url;
    this.address = address;
    this.#inspector = inspector;
  }

  static async start(
    script: string,
    args: string[],
    env: Record<string, string>,
    inspector: number | null = null,
  ): Promise<Node> {
    const path = fileURLToPath(new URL(script, EXAMPLE));
    const preload = inspector === null
      ? []
      : ["--preload", fileURLToPath(new URL("web_cluster_inspect.ts", import.meta.url))];
    const { RUNTIME: other } = env;
    const child = new Deno.Command(other ?? Deno.execPath(), {
      args: other === undefined
        ? ["run", "-A", "--no-check", "--no-lock", ...preload, path, ...args]
        : [path, ...args],
      env: { ...env, ...(inspector === null ? {} : { INSPECT: `${inspector}` }) },
      stdout: "piped",
      stderr: Deno.env.get("CLUSTER_DEBUG") === undefined ? "null" : "inherit",
    }).spawn();
    const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
    let told = "";
    try {
      while (!told.includes("\n")) {
        const { done, value } = await limited(`the address of ${script}`, reader.read());
        if (done) throw new Error(`${script} ended before it listened`);
        told += value;
      }
    } catch (error) {
      child.kill("SIGKILL");
      await child.status;
      throw error;
    } finally {
      await reader.cancel();
    }
    const url = told.trim();
    return new Node(child, url, env["ADDRESS"] ?? url, inspector);
  }

  /** The sessions that it has live and holds for its own, with their fences; `null` when it does not answer. */
  async held(): Promise<Record<string, number> | null> {
    try {
      const signal = AbortSignal.timeout(LEASE_MS / 2);
      return await (await fetch(`http://127.0.0.1:${this.#inspector}/`, { signal })).json();
    } catch {
      return null;
    }
  }

  signal(name: Deno.Signal): void {
    this.#child.kill(name);
  }

  async end(name: Deno.Signal = "SIGKILL"): Promise<number> {
    try {
      this.#child.kill("SIGCONT");
      this.#child.kill(name);
    } catch {
      // It has ended already.
    }
    return (await limited(`the end of ${this.url} by ${name}`, this.#child.status)).code;
  }
}

/** An event as a browser has it. */
export interface Told {
  id: string;
  // deno-lint-ignore no-explicit-any
  event: any;
}

/** Everything of one test. */
export class ClusterWorld {
  readonly redis: RedisServer;
  readonly model: ScriptedModel;
  nodes: Node[] = [];
  /** Longest time that a call needed until it was answered, in milliseconds. */
  slowest = 0;
  #watch: OwnerWatch | null = null;
  /** What all nodes share. */
  readonly data: string;
  readonly home: string;
  readonly #env: Record<string, string>;
  readonly #balancer: Node;

  constructor(
    redis: RedisServer,
    model: ScriptedModel,
    { data, home }: { data: string; home: string },
    env: Record<string, string>,
    balancer: Node,
  ) {
    this.redis = redis;
    this.model = model;
    this.data = data;
    this.home = home;
    this.#env = env;
    this.#balancer = balancer;
  }

  /** Looks at the owners of sessions, from the first time that it is asked for. */
  get watch(): OwnerWatch {
    return this.#watch ??= new OwnerWatch(() => this.nodes);
  }

  /** Starts one more node and tells the balancer. */
  async addNode(env: Record<string, string> = {}, script = "node.ts"): Promise<Node> {
    const node = await Node.start(script, [], { ...this.#env, ...env }, await freePort());
    this.nodes.push(node);
    await this.#announce();
    return node;
  }

  /** Where people come in. */
  get url(): string {
    return this.#balancer.url;
  }

  async addNodes(count: number): Promise<void> {
    await Promise.all(Array.from({ length: count }, () => this.addNode()));
  }

  /** Ends a node; the balancer is told afterwards, as by whoever watches processes. */
  async endNode(node: Node, signal: Deno.Signal = "SIGKILL"): Promise<number> {
    this.nodes = this.nodes.filter((each) => each !== node);
    const code = await node.end(signal);
    await this.#announce();
    return code;
  }

  /** Which node has the session, as Redis knows. */
  async ownerOf(sessionId: string): Promise<Node> {
    const url = await this.redis.command("HGET", `codex:owner:${sessionId}`, "url");
    const owner = this.nodes.find((node) => url.startsWith(`${node.address}/`));
    if (owner === undefined) throw new Error(`nobody has ${sessionId}: ${url}`);
    return owner;
  }

  /** Asks one node; without one whichever the balancer chooses. */
  async ask(route: string, body?: unknown, node?: Node, signal?: AbortSignal): Promise<Response> {
    const [method, path] = route.split(" ") as [string, string];
    return await fetch(`${(node ?? this.#balancer).url}/codex${path}`, {
      method,
      headers: { authorization: "Bearer ann.key-of-ann", "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(signal === undefined ? {} : { signal }),
    });
  }

  async close(): Promise<void> {
    await this.#watch?.close();
    await Promise.all(this.nodes.map((node) => this.endNode(node)));
    await this.#balancer.end();
  }

  async #announce(): Promise<void> {
    const nodes = JSON.stringify(this.nodes.map(({ url }) => url));
    const draft = join(this.data, `nodes-${crypto.randomUUID()}`);
    await writeFile(draft, nodes);
    await rename(draft, join(this.data, "nodes.json"));
  }

  /** Asks until it is answered with something else than "try again", as a page does. */
  async call(
    route: string,
    body?: unknown,
    node?: Node,
    // deno-lint-ignore no-explicit-any
  ): Promise<{ status: number; body: any; tries: string[] }> {
    const began = performance.now();
    const tries: string[] = [];
    const [method] = route.split(" ");
    for (;;) {
      try {
        const ms = method === "GET" ? LEASE_MS : 5 * LEASE_MS;
        const asked = this.ask(route, body, node, AbortSignal.timeout(ms));
        // The signal alone may not end an answer that has begun (see Follower).
        const [response, answer] = await limited(
          `${route} at ${node?.url ?? "any node"}`,
          asked.then(async (response) => [response, await response.json()] as const),
          2 * ms,
        );
        if (response.status !== 503 && response.status !== 504) {
          this.slowest = Math.max(this.slowest, performance.now() - began);
          return { status: response.status, body: answer, tries };
        }
        tries.push(`${response.status} ${answer.code}`);
      } catch (error) {
        // Nobody there, or somebody who sleeps: the next one.
        tries.push(`${error}`);
      }
      if (performance.now() - began > 10 * LEASE_MS) {
        throw new Error(`no answer to ${route}: ${tries.join(", ")}`);
      }
      // A lease that runs out tells nobody, nor does a balancer that has found a node: only asking again shows it.
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  /** Settles when codex has written this into the rollout of a thread. */
  async written(threadId: string, what: RegExp): Promise<void> {
    await seen(`${what} in the rollout of ${threadId}`, join(this.home, "sessions"), async () => {
      const found = await readdir(this.home, { recursive: true });
      const path = found.find((each) => each.endsWith(`${threadId}.jsonl`));
      return path !== undefined && what.test(await readFile(join(this.home, path), "utf8"));
    });
  }

  follow(sessionId: string): Follower {
    return new Follower(this, sessionId);
  }
}

/** A page that follows a session, through whichever node, and comes back behind the last event it has. */
export class Follower {
  readonly told: Told[] = [];
  lagged = 0;
  reconnects = 0;
  readonly #world: ClusterWorld;
  readonly #sessionId: string;
  #closed = false;
  #doing = "new";
  #current = new AbortController();
  readonly #over: Promise<void>;
  /** Settles with the next event, for everybody who waits for one. */
  #news = Promise.withResolvers<void>();

  constructor(world: ClusterWorld, sessionId: string) {
    this.#world = world;
    this.#sessionId = sessionId;
    this.#over = this.#run();
  }

  /** Settles with the first event that fits, past or future. */
  async until(fits: (event: Told["event"]) => boolean, ms = 30_000): Promise<Told> {
    let late = false;
    const limit = setTimeout(() => {
      late = true;
      this.#wake();
    }, ms);
    try {
      for (let at = 0;; at++) {
        while (at >= this.told.length) {
          if (late) {
            throw new Error(
              `${ms} ms without ${fits}, ${this.#doing}: ${
                JSON.stringify(this.told.slice(-3)).slice(0, 1_000)
              }`,
            );
          }
          await this.#news.promise;
        }
        if (fits(this.told[at]!.event)) return this.told[at]!;
      }
    } finally {
      clearTimeout(limit);
    }
  }

  /** What is missing: numbers, of which a delta may stand for as many as it has words, and words. */
  holes(): string[] {
    const found = [...this.texts().values()].filter((text) =>
      !/\bword0 /.test(text) || text.split(" ").slice(0, -1).some((word, i) => word !== `word${i}`)
    );
    let last: number | null = null;
    for (const { id, event: { delta = "" } } of this.told) {
      const n = Number(id.split("-").at(-1));
      const most = Math.max(1, delta.split(" ").length - 1);
      if (last !== null && (n <= last || n > last + most)) found.push(`${last}→${n}`);
      last = n;
    }
    return found;
  }

  /** The stories so far, by their items. */
  texts(): Map<string, string> {
    const found = new Map<string, string>();
    for (const { event: { itemId, delta } } of this.told) {
      if (!/^word\d/.test(delta ?? "")) continue;
      found.set(itemId, `${found.get(itemId) ?? ""}${delta}`);
    }
    return found;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#current.abort();
    await limited(`the end of a page's stream (it is ${this.#doing})`, this.#over);
  }

  async #run(): Promise<void> {
    while (!this.#closed) {
      const after = this.told.at(-1)?.id;
      const query = after === undefined ? "" : `?after=${after}`;
      const route = `GET /sessions/${this.#sessionId}/events${query}`;
      const silent = this.#current = new AbortController();
      let timer = setTimeout(() => silent.abort(), LEASE_MS);
      let reader: ReadableStreamDefaultReader<Uint8Array> | null = null;
      // The signal alone does not always end an answer that has begun: Deno 2.9 forgets it when memory is collected.
      silent.signal.addEventListener("abort", () => void reader?.cancel().catch(() => {}));
      try {
        this.#doing = "asking";
        const response = await this.#world.ask(route, undefined, undefined, silent.signal);
        this.#doing = `reading what was answered with ${response.status}`;
        if (response.status !== 200) await response.body?.cancel();
        else {
          reader = response.body!.getReader();
          const decoder = new TextDecoder();
          let text = "";
          while (!silent.signal.aborted) {
            const { done, value } = await reader.read();
            if (done) break;
            clearTimeout(timer);
            timer = setTimeout(() => silent.abort(), LEASE_MS);
            text += decoder.decode(value, { stream: true });
            for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
              this.#block(text.slice(0, end));
              text = text.slice(end + 2);
            }
          }
        }
      } catch {
        // It comes back.
      }
      clearTimeout(timer);
      this.#doing = "pausing";
      if (this.#closed) return;
      this.reconnects++;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  #block(text: string): void {
    const id = /^id: (.*)$/m.exec(text)?.[1];
    const data = /^data: (.*)$/m.exec(text)?.[1];
    if (id === undefined || data === undefined) return;
    const event = JSON.parse(data);
    if (event.type === "lagged") this.lagged++;
    else this.told.push({ id, event });
    this.#wake();
  }

  #wake(): void {
    const { resolve } = this.#news;
    this.#news = Promise.withResolvers();
    resolve();
  }
}

/** The example's bridge as it is on Node: where it is until it is disposed of, and what runs it. */
export async function nodeExample(): Promise<
  AsyncDisposable & { program: string; script: string }
> {
  const [name, version, redis] = ["@hono/node-server", "2.1.9", "redis@6.3.1"];
  const folder = await install(join("packages", "web_cluster"), name, version, [redis]);
  const copy = join(folder, `${process.pid}`);
  await mkdir(copy, { recursive: true });
  for (const file of ["node.ts", "redis.ts"]) {
    const text = await readFile(new URL(file, EXAMPLE), "utf8");
    const moved = text.replaceAll(/"npm:((?:@[\w-]+\/)?[\w-]+)@[\d.]+"/g, `"$1"`)
      .replaceAll(`"../../`, `"${ROOT}/`).replaceAll(`"../`, `"${ROOT}/examples/`);
    await writeFile(join(copy, file), moved);
  }
  return {
    program: await nodePath(),
    script: pathToFileURL(join(copy, "node.ts")).href,
    [Symbol.asyncDispose]: () => rm(copy, { recursive: true }),
  };
}

/** Sets a cluster up, lets the test act, and takes everything down. */
export async function inCluster(
  program: { path: string; env: Record<string, string> },
  play: (request: ModelRequest) => ModelTurn,
  count: number,
  act: (world: ClusterWorld) => Promise<void>,
  env: Record<string, string> = {},
  codex?: CodexVersion,
): Promise<void> {
  await using directory = await tempDir("cluster-");
  const data = join(directory.path, "data");
  const home = join(directory.path, "home");
  const redisAt = join(directory.path, "redis");
  await Promise.all([makeUsed(home, codex ?? NEWEST_CODEX), mkdir(data), mkdir(redisAt)]);
  await writeFile(join(data, "keys.json"), JSON.stringify({ ann: "key-of-ann" }));
  const model = await ScriptedModel.start(play);
  const redis = new RedisServer(program, redisAt, await freePort());
  await redis.start();
  const nodes = join(data, "nodes.json");
  await writeFile(nodes, "[]");
  const balancer = await Node.start("proxy.ts", [nodes], { PROBE_MS: "200" });
  const world = new ClusterWorld(redis, model, { data, home }, {
    REDIS: `redis://127.0.0.1:${redis.port}`,
    DATA: data,
    SECRET: crypto.randomUUID() + crypto.randomUUID(),
    LEASE_MS: `${LEASE_MS}`,
    HEARTBEAT_MS: "300",
    DRAIN_MS: "3000",
    CODEX_CLIENT: JSON.stringify(model.clientConfig({ codexPath: await codexPath(codex), home })),
    ...env,
  }, balancer);
  try {
    await world.addNodes(count);
    await act(world);
  } catch (error) {
    // Taking it all down may fail too, and must not hide why.
    console.error(error);
    throw error;
  } finally {
    await world.close();
    await redis.stop();
    await model.close();
  }
}
