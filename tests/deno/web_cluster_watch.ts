/** Who has which session of a cluster, seen from beside: two owners at one time must never be. */
import { limited } from "../_limit.ts";
import type { Node } from "./web_cluster_world.ts";

/** Looks at the live sessions of every node all the time. */
export class OwnerWatch {
  /** Answers of nodes. */
  looks = 0;
  readonly #nodes: () => readonly Node[];
  /** For each session and each owner the time between which it had it for certain: fences never come again. */
  readonly #seen: Map<string, Map<string, { from: number; to: number }>> = new Map();
  readonly #watching: Map<Node, Promise<void>> = new Map();
  #closed = false;
  readonly #over: Promise<void>;

  constructor(nodes: () => readonly Node[]) {
    this.#nodes = nodes;
    this.#over = this.#run();
  }

  /** Sessions that two nodes, or one node twice, had at one time. */
  doubles(): string[] {
    return [...this.#seen].flatMap(([id, owners]) => {
      const times = [...owners].sort(([, a], [, b]) => a.from - b.from);
      return times.flatMap(([owner, { to }], i) => {
        const next = times[i + 1];
        return next !== undefined && next[1].from < to ? [`${id}: ${owner} and ${next[0]}`] : [];
      });
    });
  }

  /** How many owners all sessions had, one after the other. */
  get owners(): number {
    return [...this.#seen.values()].reduce((sum, { size }) => sum + size, 0);
  }

  async close(): Promise<void> {
    this.#closed = true;
    const watching = this.#over.then(() => Promise.all(this.#watching.values()));
    await limited("the last looks at owners", watching);
  }

  async #run(): Promise<void> {
    while (!this.#closed) {
      for (const node of this.#nodes()) {
        if (!this.#watching.has(node)) this.#watching.set(node, this.#watch(node));
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async #watch(node: Node): Promise<void> {
    while (!this.#closed && this.#nodes().includes(node)) {
      const asked = performance.now();
      const held = await node.held();
      const told = performance.now();
      if (held !== null) this.looks++;
      for (const [id, fence] of Object.entries(held ?? {})) {
        const owners = this.#seen.get(id) ?? new Map();
        this.#seen.set(id, owners);
        const owner = `${node.url} ${fence}`;
        const seen = owners.get(owner);
        // It had it at some moment between the question and the answer.
        if (seen === undefined) owners.set(owner, { from: told, to: asked });
        else seen.to = asked;
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}
