/** A client on the real codex whose processes can be watched, and killed at any moment. */
import process from "node:process";
import { Client } from "../../src/session/client/client.ts";
import type { ClientConfig, RestartOnCrash } from "../../src/runtime/config.ts";
import type { EventEnvelope } from "../../src/runtime/log/event_envelope.ts";
import { type Script, ScriptedModel } from "../../src/testing/mod.ts";
import { codexTransport } from "../../src/launch/mod.ts";
import type { Transport } from "../../src/transport/transport.ts";
import { codexPath, type CodexVersion, NEWEST_CODEX } from "../_codex.ts";
import { tempDir } from "../_temp.ts";
import { makeUsed } from "../_used_home.ts";

// deno-lint-ignore no-explicit-any
type Message = any;

/** One process of the client. */
export interface Server {
  /** Counts from 1. */
  generation: number;
  pid: number;
  /** What it was sent. */
  sent: Message[];
  /** SIGKILL, from outside. */
  kill(): void;
}

/** What a test sees. */
export interface World {
  client: Client;
  model: ScriptedModel;
  cwd: string;
  /** Every process so far, oldest first. */
  servers: Server[];
  /** Called before something is written; may kill. */
  onSend: (server: Server, message: Message) => void;
  /** The connection's states so far. */
  story(): Message[];
  /** Settles when the connection is in this state, or was since the last call. */
  reached(state: string): Promise<void>;
}

/** The restart policy of the tests: at once, and with an end. */
export const QUICKLY: RestartOnCrash = {
  type: "onCrash",
  baseDelayMs: 10,
  maxDelayMs: 50,
  maxRestarts: 3,
};

/** Runs a test in a world of its own. */
export async function inWorld(
  options: { version?: CodexVersion; script: Script; client?: ClientConfig },
  act: (world: World) => Promise<void>,
): Promise<void> {
  await using directory = await tempDir();
  await using model = await ScriptedModel.start(options.script);
  const { env, configOverrides } = model.clientConfig();
  await makeUsed(env.set["CODEX_HOME"]!, options.version ?? NEWEST_CODEX);
  const factory = codexTransport({
    codexPath: await codexPath(options.version),
    env,
    configOverrides,
  });
  const servers: Server[] = [];
  const open = async (how: { signal?: AbortSignal }): Promise<Transport> => {
    const transport = await factory(how);
    const server: Server = {
      generation: servers.length + 1,
      pid: transport.pid!,
      sent: [],
      kill: () => process.kill(transport.pid!, "SIGKILL"),
    };
    servers.push(server);
    return watched(transport, (message) => {
      server.sent.push(message);
      world.onSend(server, message);
    });
  };
  const world: World = {
    client: undefined as unknown as Client,
    model,
    cwd: directory.path,
    servers,
    onSend: () => {},
    story: () => story,
    reached: (state) => watcher.reached(state),
  };
  const story: Message[] = [];
  const watcher = new StateWatcher(story);
  world.client = await Client.connect({
    restart: QUICKLY,
    ...options.client,
    transport: { type: "custom", open },
  });
  const watching = watcher.watch(world.client.runtime.events({ after: 0 }));
  try {
    await act(world);
  } finally {
    await world.client.shutdown();
    await watching;
  }
}

/** A transport that shows what is written to it. */
function watched(transport: Transport, onMessage: (message: Message) => void): Transport {
  return {
    kind: transport.kind,
    pid: transport.pid,
    maxOutboundBytes: transport.maxOutboundBytes,
    start: (sink) => transport.start(sink),
    write: (text) => {
      for (const line of text.trimEnd().split("\n")) onMessage(JSON.parse(line));
      return transport.write(text);
    },
    stderrTail: () => transport.stderrTail(),
    close: (how) => transport.close(how),
    kill: () => transport.kill(),
  };
}

class StateWatcher {
  readonly #story: Message[];
  #seen = 0;
  #wake: () => void = () => {};
  #ended = false;

  constructor(story: Message[]) {
    this.#story = story;
  }

  async watch(events: AsyncIterable<EventEnvelope>): Promise<void> {
    for await (const { kind, message } of events) {
      if (kind !== "connection") continue;
      this.#story.push(message);
      this.#wake();
    }
    this.#ended = true;
    this.#wake();
  }

  async reached(state: string): Promise<void> {
    for (;;) {
      for (; this.#seen < this.#story.length; this.#seen++) {
        if (this.#story[this.#seen].state !== state) continue;
        this.#seen++;
        return;
      }
      if (this.#ended) throw new Error(`the connection never was ${state}`);
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
  }
}
