/**
 * The real codex over stdio without this library's own runtime: for tests of what the others stand on, and for
 * recording transcripts.
 */
import { spawn } from "node:child_process";
import process from "node:process";
import { createInterface } from "node:readline";

// deno-lint-ignore no-explicit-any
export type Message = any;

/** One message on the wire: `>` to the server, `<` from it. */
export interface WireMessage {
  t: number;
  dir: ">" | "<";
  m: Message;
}

/** How to start it. */
export interface RawCodexConfig {
  codexPath: string;
  env: { set: Record<string, string> };
  configOverrides: Record<string, unknown>;
}

/** A running `codex app-server`. */
export class RawCodex {
  /** Everything said so far. */
  readonly wire: WireMessage[] = [];
  stderr = "";
  /** Answers server requests; default: an error for all. */
  onRequest: (request: Message) => unknown = () => undefined;
  readonly #child;
  readonly #exited: Promise<void>;
  readonly #watchers = new Set<() => void>();
  readonly #started = performance.now();
  #lastId = 0;
  #gone = false;

  constructor(config: RawCodexConfig) {
    const flags = Object.entries(config.configOverrides)
      .flatMap(([key, value]) => ["-c", `${key}=${JSON.stringify(value)}`]);
    this.#child = spawn(config.codexPath, ["app-server", ...flags], {
      env: { PATH: process.env["PATH"], ...config.env.set },
      stdio: ["pipe", "pipe", "pipe"],
    });
    this.#child.stdin.on("error", () => {});
    this.#child.stderr.setEncoding("utf8").on("data", (text: string) => this.stderr += text);
    const lines = createInterface({ input: this.#child.stdout });
    lines.on("line", (line) => this.#take(JSON.parse(line)));
    this.#exited = new Promise((resolve) =>
      this.#child.once("close", () => {
        this.#gone = true;
        for (const look of [...this.#watchers]) look();
        resolve();
      })
    );
  }

  /** Says hello. */
  async initialize(
    clientInfo: Message = { name: "probe", title: "Probe", version: "1.2.3" },
  ): Promise<Message> {
    const result = await this.request("initialize", {
      clientInfo,
      capabilities: { experimentalApi: true },
    });
    this.send({ method: "initialized" });
    return result;
  }

  /** Sends a request; rejects with the server's error message. */
  async request(method: string, params: unknown): Promise<Message> {
    const id = ++this.#lastId;
    this.send({ id, method, params });
    const answer = await this.waitFor((m) => m.id === id && m.method === undefined);
    if (answer.error !== undefined) throw new Error(answer.error.message);
    return answer.result;
  }

  /** Sends a raw message. */
  send(message: Message): void {
    this.#log(">", message);
    this.#child.stdin.write(JSON.stringify(message) + "\n");
  }

  /** The first message from the server, past or future, that fits. */
  waitFor(predicate: (message: Message) => boolean): Promise<Message> {
    return new Promise((resolve, reject) => {
      let seen = 0;
      const look = () => {
        for (; seen < this.wire.length; seen++) {
          const { dir, m } = this.wire[seen]!;
          if (dir !== "<" || !predicate(m)) continue;
          this.#watchers.delete(look);
          return resolve(m);
        }
        if (!this.#gone) return;
        this.#watchers.delete(look);
        reject(new Error(`codex is gone: ${this.stderr.slice(-2000)}`));
      };
      this.#watchers.add(look);
      look();
    });
  }

  /** Runs a turn to its end and returns all that the server said about it. */
  async turn(threadId: string, text: string, params: Message = {}): Promise<TurnLog> {
    const start = this.request("turn/start", {
      threadId,
      input: [{ type: "text", text }],
      ...params,
    });
    const { turn } = await start;
    return await this.turnEnd(turn.id);
  }

  /** Waits for the end of a turn. */
  async turnEnd(turnId: string): Promise<TurnLog> {
    const end = await this.waitFor((m) =>
      m.method === "turn/completed" && m.params.turn.id === turnId
    );
    const messages = this.wire
      .filter(({ dir, m }) => dir === "<" && m.params?.turnId === turnId)
      .map(({ m }) => m);
    return {
      turn: end.params.turn,
      messages,
      items: messages.filter((m) => m.method === "item/completed").map((m) => m.params.item),
      deltas: messages.filter((m) => m.method === "item/agentMessage/delta")
        .map((m) => m.params.delta),
    };
  }

  /** Closes stdin and waits for the end. */
  async close(): Promise<void> {
    this.#child.stdin.end();
    const kill = setTimeout(() => this.#child.kill("SIGKILL"), 5_000);
    await this.#exited;
    clearTimeout(kill);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #take(message: Message): void {
    this.#log("<", message);
    if (message.method !== undefined && message.id !== undefined) {
      const result = this.onRequest(message);
      this.send(
        result === undefined
          ? { id: message.id, error: { code: -32601, message: "not handled" } }
          : { id: message.id, result },
      );
    }
    for (const look of [...this.#watchers]) look();
  }

  #log(dir: ">" | "<", m: Message): void {
    this.wire.push({ t: Math.round(performance.now() - this.#started), dir, m });
  }
}

/** What the server said about one turn. */
export interface TurnLog {
  turn: Message;
  messages: Message[];
  items: Message[];
  deltas: string[];
}
