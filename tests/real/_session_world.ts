/** What the tests of sessions on the real codex share: a scripted model, a directory, and codex on them. */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { Client } from "../../src/session/client/client.ts";
import type { ClientConfig } from "../../src/runtime/config.ts";
import type { Session } from "../../src/session/session.ts";
import {
  type ModelRequest,
  type ModelTurn,
  script,
  type ScriptedClientOptions,
  ScriptedModel,
} from "../../src/testing/mod.ts";
import { codexPath, type CodexVersion } from "../_codex.ts";
import { tempDir } from "../_temp.ts";
import { makeUsed } from "../_used_home.ts";
import { halt, isRunning, whenGone } from "./_transport_world.ts";

export { halt, isRunning, whenGone };

/** What the model does for one prompt: its turns in order, or a function of the request and its number. */
export type Play = readonly ModelTurn[] | ((request: ModelRequest, round: number) => ModelTurn);

/** A model and a directory, and codex on them. */
export class World implements AsyncDisposable {
  readonly version: CodexVersion;
  readonly model: ScriptedModel;
  /** An empty directory. */
  readonly cwd: string;
  /** While it is set, prompts without a play are not answered. */
  hold = false;
  /** What prompts without a play are answered with. Default: they are repeated. */
  answer?: string;
  readonly #codex: string;
  readonly #directory: { path: string } & AsyncDisposable;
  readonly #plays: Map<string, Play>;
  readonly #clients: Client[] = [];
  /** Processes that were there before this world, of which none is: to read them all takes as long as a short wait for one. */
  readonly #others: Map<number, number | undefined>;
  /** A session on the codex that is asked meanwhile. */
  #beside: Promise<Session> | null = null;

  private constructor(
    version: CodexVersion,
    model: ScriptedModel,
    codex: string,
    directory: { path: string } & AsyncDisposable,
    plays: Map<string, Play>,
  ) {
    this.version = version;
    this.model = model;
    this.#codex = codex;
    this.#directory = directory;
    this.cwd = join(directory.path, "w");
    const others = process.platform === "linux" ? processes() : [];
    this.#others = new Map(others.map((pid) => [pid, identity(pid)]));
    this.#plays = plays;
  }

  static async start(version: CodexVersion): Promise<World> {
    const directory = await tempDir("session-");
    await mkdir(join(directory.path, "w"));
    const plays: Map<string, Play> = new Map();
    const rounds: Map<string, number> = new Map();
    const world = (): World => made;
    const model = await ScriptedModel.start((request) => {
      // Codex's own: the old server's after a patch, and what is told of agents (`multi_agent`).
      const text = request.userTexts.findLast((each) => !/^(Warning: |<subagent_)/.test(each)) ??
        "";
      // What codex says by itself for a goal does not repeat the objective.
      const where = text.includes("codex_internal_context") ? JSON.stringify(request.body) : text;
      const name = playIn(where) ?? playIn(taskOf(request));
      const play = name === undefined ? undefined : plays.get(name);
      if (play === undefined) {
        const { hold, answer } = world();
        return hold ? [script.hang()] : answer ?? `You said: ${request.text}`;
      }
      const key = `${request.threadId} ${name}`;
      const round = rounds.get(key) ?? 0;
      rounds.set(key, round + 1);
      if (typeof play === "function") return play(request, round);
      const turn = play[round];
      if (turn === undefined) throw new RangeError(`${name} has no turn ${round}`);
      return turn;
    });
    await makeUsed(model.clientConfig().env.set["CODEX_HOME"]!, version);
    const made = new World(version, model, await codexPath(version), directory, plays);
    return made;
  }

  /** Makes a prompt for which the model plays this; the name in brackets is what counts. */
  prompt(play: Play, text = "Do it."): string {
    const name = `play-${this.#plays.size + 1}`;
    this.#plays.set(name, play);
    return `${text} [${name}]`;
  }

  /**
   * Whether the model hears nothing more than what was on its way: a turn that went on would have asked again by the time that
   * another codex has twice run a command.
   */
  async isQuiet(): Promise<boolean> {
    const other = await (this.#beside ??= this.#startBeside());
    const heard = () =>
      this.model.requests.filter(({ threadId }) => threadId !== other.threadId).length;
    const run = () => other.ask(this.prompt([[script.exec("true")], "ran"]));
    await run();
    const before = heard();
    await run();
    return heard() === before;
  }

  async #startBeside(): Promise<Session> {
    const client = await this.connect();
    return await client.startSession({ cwd: this.cwd });
  }

  /** A configuration for codex on this model. */
  config(options: ScriptedClientOptions = {}): ClientConfig {
    return this.model.clientConfig({ codexPath: this.#codex, ...options });
  }

  /** Writes a program that stands for codex. */
  async program(name: string, script: string): Promise<string> {
    const path = join(this.#directory.path, name);
    await writeFile(path, `#!/bin/sh\n${script}\n`);
    await chmod(path, 0o755);
    return path;
  }

  /** Processes of commands: those that were started for this world and have these words in their command line. */
  commands(words: string): number[] {
    return this.running().filter((pid) => {
      const line = read(`/proc/${pid}/cmdline`).replaceAll("\0", " ");
      return line.includes(words) && !line.includes("app-server");
    });
  }

  /** Codex, without the helpers that it starts for a moment. */
  servers(): number[] {
    return this.running().filter((pid) => read(`/proc/${pid}/cmdline`).includes("app-server"));
  }

  /** Processes that were started for this world and run still: codex, its commands, programs of the test. */
  running(): number[] {
    const marks = [this.#directory.path, this.model.clientConfig().env.set["CODEX_HOME"]!];
    return processes().filter((pid) => {
      const other = this.#others.get(pid);
      if (other !== undefined && other === identity(pid)) return false;
      const about = [`/proc/${pid}/environ`, `/proc/${pid}/cmdline`].map(read).join("\0");
      return marks.some((mark) => about.includes(mark)) && isRunning(pid);
    });
  }

  /** Connects; the client is shut down with the world. */
  async connect(
    config: ClientConfig = {},
    options: ScriptedClientOptions = {},
  ): Promise<Client> {
    const client = await Client.connect({ ...this.config(options), ...config });
    this.#clients.push(client);
    return client;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const pids = this.#clients.map(({ runtime }) => runtime.pid);
    await Promise.all(this.#clients.map((client) => client.shutdown()));
    await this.model.close();
    for (const pid of pids) if (pid !== null) await whenGone(pid);
    await this.#directory[Symbol.asyncDispose]();
  }
}

/** The last play that a text names. */
function playIn(text: string): string | undefined {
  return [...text.matchAll(/\[(play-\d+)\]/g)].at(-1)?.[1];
}

/** What another agent has asked this one for (`multi_agent_v2`): no prompt of a user's says it. */
function taskOf({ body }: ModelRequest): string {
  const { input } = body as { input?: { type: string }[] };
  const messages = input?.filter(({ type }) => type === "agent_message").map((each) =>
    JSON.stringify(each)
  );
  return messages?.findLast((each) => !each.includes("Message Type: FINAL_ANSWER")) ?? "";
}

/** Codex on a model for one test. */
export async function inWorld(
  version: CodexVersion,
  act: (world: World) => Promise<void>,
): Promise<void> {
  const world = await World.start(version);
  try {
    await act(world);
  } finally {
    await world[Symbol.asyncDispose]();
  }
}

/** What a promise rejects with; fails when it does not. */
export async function rejection(promise: Promise<unknown>): Promise<unknown> {
  const nothing = Symbol();
  const error = await promise.then(() => nothing, (reason: unknown) => reason);
  if (error === nothing) throw new Error("expected a rejection");
  return error;
}

/** Milliseconds for what waits for nothing, on a busy machine: what goes wrong takes a minute, or for ever. */
export const SOON_MS = 25_000;

/** A promise that must settle within some milliseconds; the limit of a test is for hangs, this one for promises kept. */
export async function within<T>(ms: number, what: string, promise: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} took longer than ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

function processes(): number[] {
  return readdirSync("/proc").map(Number).filter((pid) => pid > 0 && pid !== process.pid);
}

/** Differs when another process has the same id. */
function identity(pid: number): number | undefined {
  return statSync(`/proc/${pid}`, { throwIfNoEntry: false })?.ino;
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
