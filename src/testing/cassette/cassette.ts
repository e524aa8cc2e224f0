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
import type { ClientConfig, CustomTransportConfig } from "../../runtime/mod.ts";
import type { TransportFactory } from "../../transport/mod.ts";
import { type CassetteMessage, formatCassette, parseCassette } from "./cassette_format.ts";
import { CassetteRecorder, type CassetteRecordOptions } from "./cassette_recorder.ts";
import { CassetteReplay, type CassetteReplayOptions } from "./cassette_replay.ts";

export type { CassetteClosed, CassetteMessage } from "./cassette_format.ts";

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
 * neither are ids, paths, times or the order of different threads.
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
