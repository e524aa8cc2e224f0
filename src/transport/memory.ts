/**
 * A transport with no operating system in it, for tests: both ends are in this process.
 * @module
 */
import { soon } from "../async.ts";
import { splitMessages } from "../json.ts";
import type {
  Transport,
  TransportClosed,
  TransportCloseReport,
  TransportSink,
} from "./transport.ts";

/** The server's end of a {@linkcode memoryPair}. */
export interface MemoryEnd {
  /** The client's messages, one at a time and in order; ends when either side closes. One reader. */
  readonly lines: AsyncIterableIterator<string>;
  /** Settles when either side has closed. */
  readonly closed: Promise<void>;
  /** Receives the client's messages instead of {@linkcode lines}, those that came before included. */
  onLine(listener: (line: string) => void): void;
  /** Sends one whole message to the client. */
  send(line: string): void;
  /** Sends raw bytes, as a pipe would: any part of any number of lines. */
  sendBytes(chunk: Uint8Array): void;
  /** Ends the connection from the server's side. Default: a clean exit with code 0. */
  close(info?: Partial<TransportClosed>): void;
}

/** Options of {@linkcode memoryPair}. */
export interface MemoryOptions {
  /** The largest message the client may send, in UTF-8 bytes. Default `null`: no limit. */
  maxOutboundBytes?: number | null;
  /** The process id that the client shows. Default `null`. */
  pid?: number | null;
}

/** Both ends of a connection. Messages arrive in order, and never within the call that sent them. */
export function memoryPair(
  options: MemoryOptions = {},
): { client: Transport; server: MemoryEnd } {
  const server = new Server();
  const client = new Client(server, options);
  server.attach(client);
  return { client, server };
}

class Client implements Transport {
  readonly kind = "memory" as const;
  readonly pid: number | null;
  readonly maxOutboundBytes: number | null;
  readonly #server: Server;
  #sink: TransportSink | undefined;
  #inbox: ((sink: TransportSink) => void)[] = [];
  #scheduled = false;
  #ended = false;
  #stderr = "";
  #closing: Promise<TransportCloseReport> | undefined;
  #exit: TransportClosed["exit"] = null;

  constructor(server: Server, options: MemoryOptions) {
    this.#server = server;
    this.pid = options.pid ?? null;
    this.maxOutboundBytes = options.maxOutboundBytes ?? null;
  }

  start(sink: TransportSink): void {
    if (this.#sink !== undefined) throw new Error("A transport can be started only once.");
    this.#sink = sink;
    this.#schedule();
  }

  write(text: string): Promise<void> {
    if (!this.#ended) { for (const line of splitMessages(text)) this.#server.receive(line); }
    return Promise.resolve();
  }

  stderrTail(): string {
    return this.#stderr;
  }

  close(): Promise<TransportCloseReport> {
    if (this.#closing !== undefined) return this.#closing;
    const how = this.#ended ? "alreadyExited" : "eof";
    this.end({ exit: { code: 0, signal: null } });
    const report: TransportCloseReport = { gone: true, how, exit: this.#exit, durationMs: 0 };
    this.#closing = Promise.resolve(report);
    return this.#closing;
  }

  kill(): void {
    this.end({ exit: { code: null, signal: "SIGKILL" } });
  }

  /** Queues a delivery; it happens in a later microtask. */
  deliver(action: (sink: TransportSink) => void): void {
    if (this.#ended) return;
    this.#inbox.push(action);
    this.#schedule();
  }

  /** Ends the connection, whoever asked for it; the first one counts. */
  end(info: Partial<TransportClosed>): void {
    if (this.#ended) return;
    const closed: TransportClosed = { exit: null, stderrTail: "", ...info };
    this.deliver((sink) => sink.closed(closed));
    this.#ended = true;
    this.#exit = closed.exit;
    this.#stderr = closed.stderrTail;
    this.#server.finish();
  }

  #schedule(): void {
    if (this.#scheduled || this.#sink === undefined || this.#inbox.length === 0) return;
    this.#scheduled = true;
    soon(() => {
      this.#scheduled = false;
      const sink = this.#sink;
      if (sink !== undefined) { for (const action of this.#inbox.splice(0)) action(sink); }
      this.#schedule();
    });
  }
}

class Server implements MemoryEnd {
  readonly lines: AsyncIterableIterator<string>;
  readonly closed: Promise<void>;
  #client: Client | undefined;
  #listener: ((line: string) => void) | undefined;
  #queue: string[] = [];
  #scheduled = false;
  #finished = false;
  #resolveClosed: () => void = () => {};
  #wake: () => void = () => {};

  constructor() {
    this.closed = new Promise((resolve) => this.#resolveClosed = resolve);
    this.lines = this.#iterate();
  }

  attach(client: Client): void {
    this.#client = client;
  }

  onLine(listener: (line: string) => void): void {
    this.#listener = listener;
    this.#schedule();
  }

  send(line: string): void {
    this.#client?.deliver((sink) => sink.text(line));
  }

  sendBytes(chunk: Uint8Array): void {
    const copy = chunk.slice();
    this.#client?.deliver((sink) => sink.bytes(copy));
  }

  close(info: Partial<TransportClosed> = {}): void {
    this.#client?.end({ exit: { code: 0, signal: null }, ...info });
  }

  /** Takes one message of the client. */
  receive(line: string): void {
    if (this.#finished) return;
    this.#queue.push(line);
    this.#schedule();
    this.#wake();
  }

  /** No more messages will come. */
  finish(): void {
    this.#finished = true;
    this.#resolveClosed();
    this.#wake();
  }

  #schedule(): void {
    if (this.#scheduled || this.#listener === undefined || this.#queue.length === 0) return;
    this.#scheduled = true;
    soon(() => {
      this.#scheduled = false;
      for (const line of this.#queue.splice(0)) this.#listener?.(line);
      this.#schedule();
    });
  }

  async *#iterate(): AsyncGenerator<string> {
    for (;;) {
      const line = this.#queue.shift();
      if (line !== undefined) yield line;
      else if (this.#finished) return;
      else await new Promise<void>((resolve) => this.#wake = resolve);
    }
  }
}
