/**
 * Bytes in and out: the one seam between the protocol above and the operating system below.
 * @module
 */
import type { ProcessExit } from "../errors/mod.ts";

/** How a transport ended. */
export interface TransportClosed {
  /** How the process ended; `null` for remote servers or when unknown. */
  exit: ProcessExit | null;
  /** The last 16 KiB the process wrote to stderr; empty for remote servers. */
  stderrTail: string;
  /** What went wrong, when the end was not a plain one. */
  error?: unknown;
}

/** Receives what a transport reads. Exactly one `closed` call ends it; nothing comes after. */
export interface TransportSink {
  /** Takes a raw chunk of a byte stream (stdio). The transport does not reuse the array. */
  bytes(chunk: Uint8Array): void;
  /** Takes one whole message (websocket, memory). */
  text(message: string): void;
  /** The other side ended, or we closed. */
  closed(info: TransportClosed): void;
}

/** What {@linkcode Transport.close} could make certain. */
export interface TransportCloseReport {
  /** Whether the process is certainly gone; always `true` for remote servers, which we do not own. */
  gone: boolean;
  /** The step that ended it. `detached`: a remote server that lives on. */
  how: "eof" | "sigterm" | "sigkill" | "alreadyExited" | "detached" | "unknown";
  /** How the process ended, when it is known. */
  exit: ProcessExit | null;
  /** How long the close took, in milliseconds. */
  durationMs: number;
}

/** Options of {@linkcode Transport.close}. */
export interface TransportCloseOptions {
  /** How long each step of the ladder waits before the next one, in milliseconds. Default 1,000. */
  graceMs?: number;
}

/** One connection to one server. */
export interface Transport {
  /** What carries the messages. */
  readonly kind: "stdio" | "websocket" | "memory";
  /** The process id of the server that we started, or `null`. */
  readonly pid: number | null;
  /** The largest message that can be sent, in UTF-8 bytes; `null` when there is no limit. */
  readonly maxOutboundBytes: number | null;
  /**
   * Whether the server's environment keeps every proxy away from what it says to this process, `NO_PROXY` with `127.0.0.1` in
   * it. Tools of this process are served to no other. Default: it is not known.
   */
  readonly direct?: boolean;
  /** Begins delivery to the sink. Call once; nothing read before is lost. */
  start(sink: TransportSink): void;
  /**
   * Writes whole newline-terminated messages, already joined. Resolves when they are accepted by the
   * pipe. Never rejects: what goes wrong surfaces through {@linkcode TransportSink.closed}.
   */
  write(text: string): Promise<void>;
  /** The last 16 KiB of stderr so far. */
  stderrTail(): string;
  /** Ends the connection, and the process if it is ours. Idempotent: always the same promise. */
  close(options?: TransportCloseOptions): Promise<TransportCloseReport>;
  /** Ends the process at once with SIGKILL, or drops the connection. For exit handlers and tests. */
  kill(): void;
  /** Lets the script end although the connection is open. Absent where a connection never keeps a script alive. */
  unref?(): void;
  /** Keeps the script running while the connection is open; the default. */
  ref?(): void;
}

/** Opens a transport; called again for each restart. */
export type TransportFactory = (options: { signal?: AbortSignal }) => Promise<Transport>;
