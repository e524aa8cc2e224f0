/**
 * One replay of a recording.
 * @module
 */
import { messageOf } from "../../errors/mod.ts";
import { isJsonObject } from "../../json.ts";
import type { ClientConfig, CustomTransportConfig } from "../../runtime/mod.ts";
import { type MemoryEnd, memoryPair, type Transport } from "../../transport/mod.ts";
import type { CassetteMessage } from "./cassette_format.ts";
import { type CassetteAnswers, Tape, type TapeOutput } from "./cassette_tape.ts";
import { CassetteDivergenceError } from "./cassette_divergence_error.ts";

export type { CassetteAnswers } from "./cassette_tape.ts";

/** Options of a replay. */
export interface CassetteReplayOptions {
  /**
   * Answers to calls that the recording does not hold, by method. Default: only `thread/archive` and
   * `thread/unsubscribe`, with which clients tidy up; any other call ends the replay.
   */
  answers?: CassetteAnswers;
}

/** Plays a recording once, from its beginning. Made by {@linkcode Cassette.replay}. */
export class CassetteReplay {
  /** Connects to the recording, for the `transport` of a client's configuration. */
  readonly transport: CustomTransportConfig;
  readonly #connections: { message: CassetteMessage; line: number }[][];
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
          : Promise.resolve().then(() => this.#open()),
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

  #open(): Transport {
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
      const why = messageOf(error);
      server.close({ exit: null, stderrTail: why, error });
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
function connectionsOf(
  messages: readonly CassetteMessage[],
): { message: CassetteMessage; line: number }[][] {
  const connections: { message: CassetteMessage; line: number }[][] = [];
  const open = new Map<number, { message: CassetteMessage; line: number }[]>();
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
