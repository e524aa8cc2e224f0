/**
 * Conversations with the real codex, recorded once and played back without it.
 * @module
 */
import {
  callback,
  checkArgument,
  checkOptions,
  either,
  flag,
  type Kind,
  kind,
  record,
  required,
  type Shape,
  shape,
  text as textKind,
} from "../../check/mod.ts";
import { InvalidArgumentError, messageOf } from "../../errors/mod.ts";
import { isJsonObject, type JsonValue, splitMessages } from "../../json.ts";
import { Redactor } from "../../redact.ts";
import type { ClientConfig, CustomTransportConfig } from "../../runtime/mod.ts";
import type { MemoryEnd, Transport, TransportFactory, TransportSink } from "../../transport/mod.ts";
import type * as connection from "../connection.ts";
import {
  type CassetteEntry,
  type CassetteMessage,
  formatCassette,
  normalize,
  parseCassette,
} from "./cassette_format.ts";
import { CassetteDivergenceError } from "./cassette_divergence_error.ts";
import { type CassetteAnswers, Tape, type TapeOutput } from "./cassette_tape.ts";
export type { CassetteClosed, CassetteMessage } from "./cassette_format.ts";
export type { CassetteAnswers } from "./cassette_tape.ts";

const SOURCE: Kind = either(callback, kind("a client's configuration", ["object"]));

const RECORD_OPTIONS: Shape = shape<CassetteRecordOptions>({
  redact: flag,
  replace: record(textKind),
});

const REPLAY_OPTIONS: Shape = shape<CassetteReplayOptions>({ answers: record(callback) });

/**
 * A recorded conversation: one message a line, without secrets, made for keeping next to a test.
 *
 * Record it once, with the real codex:
 *
 * ```ts ignore
 * const recorder = testing.Cassette.record();
 * await quickRun(cwd, "Say hello", { client: recorder.clientConfig() });
 * await Deno.writeTextFile("hello.jsonl", recorder.toString());
 * ```
 *
 * Play it in tests, with no codex, account or network:
 *
 * ```ts ignore
 * const cassette = testing.Cassette.load(await Deno.readTextFile("hello.jsonl"));
 * const replay = cassette.replay();
 * const result = await quickRun(cwd, "Say hello", { client: replay.clientConfig() });
 * replay.assertComplete();
 * ```
 *
 * A client that does something else than the recorded one loses its connection, with a
 * {@linkcode CassetteDivergenceError} as the cause that names the line and the methods. Prompts are not compared, and
 * neither are ids, paths, times or the order of different threads. Where the recording was cut off within a turn, the connection
 * ends there.
 */
export class Cassette {
  /** What was said, in order. */
  readonly messages: readonly CassetteMessage[];

  private constructor(messages: readonly CassetteMessage[]) {
    this.messages = messages;
  }

  /**
   * Prepares to record the connections that a configuration, or a transport, makes.
   *
   * Prompts, answers and commands are recorded as they are; secrets are taken out.
   */
  static record(
    source: ClientConfig | TransportFactory = {},
    options: CassetteRecordOptions = {},
  ): CassetteRecorder {
    checkArgument("Cassette.record", "source", source, SOURCE);
    checkOptions("Cassette.record", options, RECORD_OPTIONS);
    const config: ClientConfig = typeof source === "function"
      ? { transport: { type: "custom", open: source } }
      : source;
    return new CassetteRecorder(config, options);
  }

  /** Reads a cassette. Throws `CodexError` with the code `cassetteUnreadable` and the line that is wrong. */
  static load(text: string): Cassette {
    checkArgument("Cassette.load", "text", text, required(textKind));
    return new Cassette(parseCassette(text));
  }

  /** Prepares a replay from the beginning, which tells afterwards how it went. */
  replay(options: CassetteReplayOptions = {}): CassetteReplay {
    checkOptions("replay", options, REPLAY_OPTIONS);
    return new CassetteReplay(this.messages, options);
  }

  /** A replay from the beginning, for the `transport` of a client's configuration. */
  transport(options: CassetteReplayOptions = {}): CustomTransportConfig {
    return this.replay(options).transport;
  }

  /** A client's configuration with a replay from the beginning as its connection. */
  clientConfig(config: ClientConfig = {}, options: CassetteReplayOptions = {}): ClientConfig {
    return this.replay(options).clientConfig(config);
  }

  /** The cassette as text, for {@linkcode load}. */
  toString(): string {
    return formatCassette(this.messages);
  }
}

// Recording a real connection.

/** Options of {@linkcode Cassette.record}. */
export interface CassetteRecordOptions {
  /** Whether secrets are taken out. Default `true`. */
  redact?: boolean;
  /** Texts to replace, such as `{ [process.cwd()]: "/project" }`. Default none. */
  replace?: Record<string, string>;
}

/**
 * Keeps what goes over the connections that are made through it. Made by {@linkcode Cassette.record}.
 *
 * ```ts ignore
 * const recorder = testing.Cassette.record({ codexPath: "codex" });
 * await quickRun(cwd, "Say hello", { client: recorder.clientConfig() });
 * await writeFile("hello.jsonl", recorder.toString());
 * ```
 */
export class CassetteRecorder {
  readonly #config: ClientConfig;
  readonly #options: CassetteRecordOptions;
  readonly #messages: CassetteMessage[] = [];
  #factory: TransportFactory | undefined;
  #began: number | null = null;
  #connections = 0;

  /** Records connections that are made with `config`. */
  constructor(config: ClientConfig, options: CassetteRecordOptions) {
    // A connection alone has nobody who removes the home at its end.
    if (config.isolation === "hermetic") {
      throw new InvalidArgumentError("Cassette.record", {
        argument: "source.isolation",
        received: '"hermetic"',
        accepts: 'left out, or "user": a connection alone is recorded',
      });
    }
    this.#config = config;
    this.#options = options;
  }

  /** The connection to record, for the `transport` of a client's configuration. */
  transport(): CustomTransportConfig {
    return {
      type: "custom",
      open: async (options) => {
        const { LineFramer, transportFactory } = await import("../connection.ts");
        this.#factory ??= transportFactory(this.#config);
        return this.#wrap(await this.#factory(options), this.#connections++, LineFramer);
      },
    };
  }

  /** The configuration to record, with the recording connection in it. */
  clientConfig(): ClientConfig {
    return { ...this.#config, transport: this.transport() };
  }

  /** What has been recorded so far, for {@linkcode Cassette.load}: ids are counted and times begin at a fixed moment. */
  toString(): string {
    return formatCassette(normalize(this.#messages, this.#options.replace));
  }

  #wrap(transport: Transport, number: number, Framer: typeof connection.LineFramer): Transport {
    const redactor = this.#options.redact === false ? null : new Redactor();
    let closing = false;
    const add = (dir: ">" | "<", entry: Omit<CassetteMessage, "t" | "dir" | "c">) => {
      const now = performance.now();
      this.#began ??= now;
      const t = Math.round(now - this.#began);
      this.#messages.push({ t, dir, ...entry, ...(number === 0 ? {} : { c: number }) });
    };
    const keep = (dir: ">" | "<", line: string) => {
      const message = parsed(line);
      const clean = redactor === null
        ? message
        : redactor.message(dir === ">" ? "outbound" : "inbound", message);
      if (isJsonObject(clean)) add(dir, { m: clean });
    };
    return {
      kind: transport.kind,
      pid: transport.pid,
      maxOutboundBytes: transport.maxOutboundBytes,
      direct: transport.direct ?? false,
      start: (sink) =>
        transport.start(listening(Framer, sink, (line) => keep("<", line), (info) => {
          if (!closing) add("<", { closed: { exit: info.exit, stderrTail: "" } });
        })),
      write: (text) => {
        for (const line of splitMessages(text)) keep(">", line);
        return transport.write(text);
      },
      stderrTail: () => transport.stderrTail(),
      close: (options) => {
        closing = true;
        return transport.close(options);
      },
      kill: () => {
        closing = true;
        transport.kill();
      },
      // Whoever records a script does not keep it running either.
      ref: () => transport.ref?.(),
      unref: () => transport.unref?.(),
    };
  }
}

/** A sink that also hears every line, and the end. */
function listening(
  Framer: typeof connection.LineFramer,
  sink: TransportSink,
  onLine: (line: string) => void,
  onClosed: (info: Parameters<TransportSink["closed"]>[0]) => void,
): TransportSink {
  const framer = new Framer(Number.MAX_SAFE_INTEGER, {
    line: (text, start, end) => onLine(text.slice(start, end)),
    tooLong: () => {},
  });
  return {
    bytes: (chunk) => {
      framer.push(chunk);
      sink.bytes(chunk);
    },
    text: (message) => {
      onLine(message);
      sink.text(message);
    },
    closed: (info) => {
      onClosed(info);
      sink.closed(info);
    },
  };
}

function parsed(line: string): JsonValue {
  try {
    return JSON.parse(line);
  } catch {
    return null;
  }
}

// One replay of a recording.

/** Options of a replay. */
export interface CassetteReplayOptions {
  /**
   * Answers to calls that the recording does not hold, by method. Default: only `thread/archive` and
   * `thread/unsubscribe`, with which clients tidy up; any other call ends the replay.
   */
  answers?: CassetteAnswers;
}

/**
 * Plays a recording once, from its beginning. Made by {@linkcode Cassette.replay}.
 *
 * ```ts ignore
 * const replay = testing.Cassette.load(await readFile("hello.jsonl", "utf8")).replay();
 * await quickRun(cwd, "Say hello", { client: replay.clientConfig() });
 * replay.assertComplete();
 * ```
 */
export class CassetteReplay {
  /** Connects to the recording, for the `transport` of a client's configuration. */
  readonly transport: CustomTransportConfig;
  readonly #connections: CassetteEntry[][];
  readonly #answers: CassetteAnswers;
  readonly #tapes: Tape[] = [];
  readonly #lines: number;
  #divergence: CassetteDivergenceError | null = null;

  /** Prepares to play. */
  constructor(messages: readonly CassetteMessage[], options: CassetteReplayOptions = {}) {
    this.#connections = connectionsOf(messages);
    this.#lines = messages.length;
    this.#answers = options.answers ?? {};
    this.transport = {
      type: "custom",
      open: ({ signal }) =>
        signal?.aborted
          ? Promise.reject(signal.reason)
          : import("../connection.ts").then(({ memoryPair }) => this.#open(memoryPair)),
    };
  }

  /** A client's configuration with the recording as its connection. */
  clientConfig(config: ClientConfig = {}): ClientConfig {
    return { ...config, transport: this.transport };
  }

  /** Where the client left the recording; `null` while it has not. */
  get divergence(): CassetteDivergenceError | null {
    return this.#divergence;
  }

  /** Methods of the recorded calls that have not been made, in order. */
  get unused(): string[] {
    return this.#unused().map(({ method }) => method);
  }

  /** Throws {@linkcode CassetteDivergenceError} when the client left the recording, or has not made all of its calls. */
  assertComplete(): void {
    if (this.#divergence !== null) throw this.#divergence;
    const first = this.#unused()[0];
    if (first !== undefined) throw new CassetteDivergenceError(first.line, first.method, null);
  }

  #unused(): { line: number; method: string }[] {
    const rest = this.#connections.slice(this.#tapes.length)
      .map((entries) => new Tape(entries, this.#answers));
    return [...this.#tapes, ...rest].flatMap((tape) => tape.unused());
  }

  #open(memoryPair: typeof connection.memoryPair): Transport {
    const entries = this.#connections[this.#tapes.length];
    if (entries === undefined) {
      throw this.#diverged(
        new CassetteDivergenceError(this.#lines + 1, null, "another connection"),
      );
    }
    const tape = new Tape(entries, this.#answers);
    this.#tapes.push(tape);
    const { client, server } = memoryPair();
    server.onLine((line) => this.#take(tape, server, line));
    this.#say(server, tape.start());
    return client;
  }

  #take(tape: Tape, server: MemoryEnd, line: string): void {
    const message = JSON.parse(line);
    if (!isJsonObject(message)) return;
    try {
      this.#say(server, tape.take(message));
    } catch (error) {
      if (error instanceof CassetteDivergenceError) this.#diverged(error);
      // The reason stands where a process would have written it, so that every waiting call tells it.
      server.close({ exit: null, stderrTail: messageOf(error), error });
    }
  }

  #say(server: MemoryEnd, outputs: readonly TapeOutput[]): void {
    for (const output of outputs) {
      if ("line" in output) server.send(output.line);
      else server.close({ exit: output.closed.exit, stderrTail: output.closed.stderrTail ?? "" });
    }
  }

  #diverged(error: CassetteDivergenceError): CassetteDivergenceError {
    this.#divergence ??= error;
    return error;
  }
}

/** Takes the connections of a recording apart: they are numbered, or begin with `initialize`. */
function connectionsOf(messages: readonly CassetteMessage[]): CassetteEntry[][] {
  const connections: CassetteEntry[][] = [];
  const open = new Map<number, CassetteEntry[]>();
  messages.forEach((message, i) => {
    const number = message.c ?? 0;
    let entries = open.get(number);
    const again = message.dir === ">" && message.m?.["method"] === "initialize" &&
      entries?.some((entry) => entry.message.m?.["method"] === "initialize") === true;
    if (entries === undefined || again) {
      entries = [];
      open.set(number, entries);
      connections.push(entries);
    }
    entries.push({ message, line: i + 1 });
  });
  return connections;
}
