/**
 * Recording a real connection.
 * @module
 */
import { isJsonObject, type JsonValue } from "../../json.ts";
import { LineFramer } from "../../rpc/mod.ts";
import {
  type ClientConfig,
  type CustomTransportConfig,
  transportFactory,
} from "../../runtime/mod.ts";
import { Redactor } from "../../redact.ts";
import {
  splitMessages,
  type Transport,
  type TransportFactory,
  type TransportSink,
} from "../../transport/mod.ts";
import { type CassetteMessage, formatCassette, normalize } from "./cassette_format.ts";

/** Options of {@linkcode Cassette.record}. */
export interface CassetteRecordOptions {
  /** Whether secrets are taken out. Default `true`. */
  redact?: boolean;
  /** Texts to replace, such as `{ [process.cwd()]: "/project" }`. Default none. */
  replace?: Record<string, string>;
}

/** Keeps what goes over the connections that are made through it. Made by {@linkcode Cassette.record}. */
export class CassetteRecorder {
  readonly #config: ClientConfig;
  readonly #factory: TransportFactory;
  readonly #options: CassetteRecordOptions;
  readonly #messages: CassetteMessage[] = [];
  #began: number | null = null;
  #connections = 0;

  /** Records connections that are made with `config`. */
  constructor(config: ClientConfig, options: CassetteRecordOptions) {
    this.#config = config;
    this.#factory = transportFactory(config);
    this.#options = options;
  }

  /** The connection to record, for the `transport` of a client's configuration. */
  transport(): CustomTransportConfig {
    return {
      type: "custom",
      open: async (options) => this.#wrap(await this.#factory(options), this.#connections++),
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

  #wrap(transport: Transport, connection: number): Transport {
    const redactor = this.#options.redact === false ? null : new Redactor();
    let closing = false;
    const add = (dir: ">" | "<", entry: Omit<CassetteMessage, "t" | "dir" | "c">) => {
      const now = performance.now();
      this.#began ??= now;
      const t = Math.round(now - this.#began);
      this.#messages.push({ t, dir, ...entry, ...(connection === 0 ? {} : { c: connection }) });
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
      start: (sink) =>
        transport.start(listening(sink, (line) => keep("<", line), (info) => {
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
    };
  }
}

/** A sink that also hears every line, and the end. */
function listening(
  sink: TransportSink,
  onLine: (line: string) => void,
  onClosed: (info: Parameters<TransportSink["closed"]>[0]) => void,
): TransportSink {
  const framer = new LineFramer(Number.MAX_SAFE_INTEGER, {
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
