/**
 * A transport to a running `codex app-server --listen ws://…`: attached to, not owned.
 * @module
 */
import { abortable, longTimeout, settlesWithin, soon } from "../async.ts";
import {
  ConnectionClosedError,
  messageOf,
  PermissionDeniedError,
  SpawnError,
} from "../errors/mod.ts";
import { canConnect, canReadEnv, readEnv, type RuntimeName, runtimeName } from "../platform/mod.ts";
import { base64, defined, splitMessages } from "../json.ts";
import {
  explainRefusal,
  FrameSocket,
  hungUp,
  NoUpgrade,
  type Refusal,
  type SocketLike,
  tlsTrouble,
} from "./frames.ts";
import type {
  Transport,
  TransportCloseOptions,
  TransportCloseReport,
  TransportFactory,
  TransportSink,
} from "./transport.ts";

/** The largest message the server accepts in a frame; a larger one makes it drop the connection. */
const MAX_FRAME_BYTES: number = 16 * 1024 * 1024;
/** How long to wait for a connection, in milliseconds. */
export const CONNECT_MS: number = 10_000;

/** Options of {@linkcode webSocketTransport}. */
export interface WebSocketOptions {
  /** Where the server listens, such as `ws://127.0.0.1:4500`. */
  url: string;
  /** The server's capability token, sent as a bearer token. Default none. */
  token?: string;
  /** How long to wait for the connection, in milliseconds. Default 10,000. */
  connectTimeoutMs?: number;
}

/**
 * Attaches to a running app server; each call of the factory opens a new connection.
 *
 * The factory rejects with `ConnectionClosedError` (refused, with the server's reason; not reachable; too
 * late), `PermissionDeniedError` (Deno without `--allow-net`), `SpawnError` (this runtime can't do it, with
 * what to use instead), or the signal's reason.
 */
export function webSocketTransport(options: WebSocketOptions): TransportFactory {
  return ({ signal } = {}) => open(options, signal);
}

async function open(options: WebSocketOptions, signal?: AbortSignal): Promise<Transport> {
  signal?.throwIfAborted();
  const url = parseUrl(options.url);
  const how = connectMethod(runtimeName(), options.token !== undefined);
  if (how === "impossible") throw unsupported();
  const host = `${url.hostname}:${url.port || (url.protocol === "wss:" ? "443" : "80")}`;
  if (!canConnect(host)) {
    throw new PermissionDeniedError(`Connecting to ${url.origin}`, [`--allow-net=${host}`]);
  }
  const headers: Record<string, string> = options.token === undefined
    ? {}
    : { Authorization: `Bearer ${options.token}` };
  const timeoutMs = options.connectTimeoutMs ?? CONNECT_MS;
  if (how === "frames" && !mayBeProxied(url)) {
    return await openFrames(url, headers, timeoutMs, signal);
  }
  const connect = how === "fetch" ? upgradeByFetch : openSocket;
  const socket = await connect(url, headers, timeoutMs, signal);
  return new WebSocketTransport(socket, url.origin);
}

/**
 * How a runtime opens a WebSocket that may need headers; pure. The own ones of Deno, Bun and Node can't be ended while the
 * other side is silent, and would keep the script.
 */
export function connectMethod(
  runtime: RuntimeName,
  needsHeaders: boolean,
): "constructor" | "fetch" | "frames" | "impossible" {
  if (runtime === "workerd") return "fetch";
  if (runtime !== "browser") return "frames";
  // Browsers take only sub-protocols as the second argument, and always send an Origin, which codex refuses.
  return needsHeaders ? "impossible" : "constructor";
}

/** Whether the runtime's own WebSocket would go through a proxy of the environment; `env` is `null` where that can't be read. */
export function mayBeProxied(
  { hostname, protocol }: URL,
  runtime: RuntimeName = runtimeName(),
  env: ((name: string) => string | undefined) | null = canReadEnv("HTTPS_PROXY") ? readEnv : null,
): boolean {
  if (/^(?:localhost|127\.[\d.]+|\[::1\])$/.test(hostname)) return false;
  // Bun's never does, Node's when it is told to.
  if (runtime !== "deno" && (runtime !== "node" || !env?.("NODE_USE_ENV_PROXY"))) return false;
  if (env === null) return true;
  const names = [protocol === "wss:" ? "https_proxy" : "http_proxy", "all_proxy"];
  return names.some((name) => env(name) || env(name.toUpperCase()));
}

function unsupported(): SpawnError {
  return new SpawnError(
    "A browser cannot connect to codex directly: it can't send the bearer token, and codex refuses " +
      "connections with an Origin. Use `web.createBridge` on a server and call that from the page.",
    { data: { reason: "noWebSocket", runtime: runtimeName() } },
  );
}

function parseUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || !/^wss?:$/.test(url.protocol) || url.hash !== "" || text.includes("#")) {
    throw new ConnectionClosedError(
      "The app server's url must start with ws:// or wss:// and have no fragment, such as ws://127.0.0.1:4500.",
      { retryable: false },
    );
  }
  return url;
}

function httpUrl(url: URL): string {
  const http = new URL(url);
  http.protocol = url.protocol === "wss:" ? "https:" : "http:";
  return http.href;
}

/** Workers: the upgrade is a response of `fetch`. */
export async function upgradeByFetch(
  url: URL,
  headers: Record<string, string>,
  timeoutMs: number,
  signal?: AbortSignal,
): Promise<SocketLike> {
  const limit = limited(timeoutMs, tooLate(url, timeoutMs), signal);
  try {
    const response: Response & { webSocket?: SocketLike & { accept(): void } } = await fetch(
      httpUrl(url),
      { headers: { ...headers, Upgrade: "websocket" }, signal: limit.signal },
    );
    if (!response.webSocket) {
      // A body may have no end.
      const text = await response.text().catch(() => "");
      throw refusal(url, { status: response.status, text: text.slice(0, 200) });
    }
    response.webSocket.accept();
    return response.webSocket;
  } catch (cause) {
    if (signal?.aborted) throw signal.reason;
    if (cause instanceof ConnectionClosedError) throw cause;
    throw new ConnectionClosedError(`The app server at ${url.origin} can't be reached.`, { cause });
  } finally {
    limit.cancel();
  }
}

/** A signal that aborts with the caller's, or with the error once the time is over. */
export function limited(
  ms: number,
  error: Error,
  signal: AbortSignal | undefined,
): { signal: AbortSignal; cancel: () => void } {
  const late = new AbortController();
  const cancel = longTimeout(() => late.abort(error), ms);
  const either = signal === undefined ? late.signal : AbortSignal.any([signal, late.signal]);
  return { signal: either, cancel };
}

function tooLate(url: URL, timeoutMs: number): ConnectionClosedError {
  return new ConnectionClosedError(
    `The app server at ${url.origin} did not answer within ${timeoutMs} ms.`,
  );
}

function refusal(url: URL, found: Refusal, cause?: unknown): Error {
  return new ConnectionClosedError(
    `The app server at ${url.origin} refused the connection: ${explainRefusal(found)}`,
    {
      retryable: found.status >= 500,
      data: { httpStatus: found.status },
      ...defined({ cause }),
    },
  );
}

/** What a url says of who asks, as a proxy before the server may want it. */
function basic({ username, password }: URL): Record<string, string> {
  if (username === "" && password === "") return {};
  const bytes = new TextEncoder().encode(decodeURIComponent(`${username}:${password}`));
  return { Authorization: `Basic ${base64(bytes)}` };
}

/** Deno, Bun and Node. */
async function openFrames(
  url: URL,
  headers: Record<string, string>,
  timeoutMs: number,
  signal?: AbortSignal,
): Promise<Transport> {
  const limit = limited(timeoutMs, tooLate(url, timeoutMs), signal);
  const socket = new FrameSocket();
  // Made first: the other side may leave before its answer has been looked at.
  const transport = new WebSocketTransport(socket, url.origin);
  const tls = url.protocol === "wss:";
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const to = { host, port: Number(url.port || (tls ? "443" : "80")), tls };
  const path = url.pathname + url.search;
  try {
    const upgrade = { host: url.host, path, headers: { ...basic(url), ...headers } };
    await socket.open(to, upgrade, limit.signal);
    return transport;
  } catch (cause) {
    if (limit.signal.aborted) throw limit.signal.reason;
    if (cause instanceof NoUpgrade && cause.answer !== null) {
      throw refusal(url, cause.answer, cause);
    }
    throw unreachable(url, messageOf(cause), new Error(messageOf(cause)));
  } finally {
    limit.cancel();
  }
}

/** The standard constructor; its second argument is passed only when there are headers. */
async function openSocket(
  url: URL,
  headers: Record<string, string>,
  timeoutMs: number,
  signal?: AbortSignal,
): Promise<SocketLike> {
  const { WebSocket: Socket } = globalThis as unknown as {
    WebSocket: new (url: string, options?: unknown) => SocketLike;
  };
  const limit = limited(timeoutMs, tooLate(url, timeoutMs), signal);
  const socket = Object.keys(headers).length > 0
    ? new Socket(url.href, { headers })
    : new Socket(url.href);
  const opened = new Promise<void>((resolve, reject) => {
    socket.addEventListener("open", () => resolve());
    for (const end of ["error", "close"]) {
      socket.addEventListener(end, ({ message = "" }) => {
        // A runtime may repeat the url, in its own spelling; its path and query are nobody's business.
        const told = message.replace(/\b(?:ws|http)s?:\/\/[^\s'"]+/g, url.origin);
        const status = Number(/status code:? (\d{3})\b/.exec(told)?.[1] ?? 0);
        const cause = new Error(told);
        reject(
          status > 0 ? refusal(url, { status, text: "" }, cause) : unreachable(url, told, cause),
        );
      });
    }
  });
  try {
    await abortable(opened, limit.signal);
    return socket;
  } catch (error) {
    socket.close();
    throw error;
  } finally {
    limit.cancel();
  }
}

/** The error for a connection that came to nothing, by what the runtime told. */
function unreachable(url: URL, told: string, cause: Error): ConnectionClosedError {
  const tls = tlsTrouble(told);
  if (tls === null) {
    const said = told.trim() === "" ? "" : ` (${told.trim().slice(0, 200)})`;
    return new ConnectionClosedError(
      hungUp(told)
        ? `${url.origin} does not answer as an app server does${said}. Is the port right, and is it not ` +
          `${url.protocol === "ws:" ? "wss" : "ws"}:// there?`
        : `The app server at ${url.origin} can't be reached${said}. ` +
          "Is `codex app-server --listen` running there?",
      { cause },
    );
  }
  return new ConnectionClosedError(
    `No TLS connection to the app server at ${url.origin} could be made: ${tls}`,
    { cause, retryable: false, data: { reason: "tls" } },
  );
}

/** Above this, writes wait for the wire. */
const HIGH_WATER_BYTES = 4 * 1024 * 1024;
const POLL_MS = 5;

/** A {@linkcode Transport} over an open WebSocket. */
export class WebSocketTransport implements Transport {
  /** Always `"websocket"`. */
  readonly kind = "websocket" as const;
  /** The process is not ours. */
  readonly pid: null = null;
  /** 16 MiB. */
  readonly maxOutboundBytes: number = MAX_FRAME_BYTES;
  readonly #socket: SocketLike;
  readonly #over: Promise<void>;
  #early: string[] = [];
  #sink: TransportSink | undefined;
  #closed: { error?: unknown } | null = null;
  #settle: () => void = () => {};
  #closing: Promise<TransportCloseReport> | undefined;

  /** Takes over an open socket. */
  constructor(socket: SocketLike, origin: string) {
    this.#socket = socket;
    this.#over = new Promise((resolve) => this.#settle = resolve);
    // The server sends text only; a proxy in between may not keep it so, and runtimes tell other frames as they like.
    socket.binaryType = "arraybuffer";
    const decoder = new TextDecoder();
    socket.addEventListener("message", ({ data }) => {
      const text = typeof data === "string" ? data : decoder.decode(data as ArrayBuffer);
      if (this.#closed !== null) return;
      if (this.#sink === undefined) this.#early.push(text);
      else this.#sink.text(text);
    });
    let failure = "";
    socket.addEventListener("error", (event) => failure = event.message ?? "");
    socket.addEventListener("close", ({ code, reason }) => {
      if (this.#closing !== undefined) return this.#end({});
      const why = reason || failure || (code === 1006 ? "no close frame" : "no reason");
      this.#end({
        error: new ConnectionClosedError(
          `The app server at ${origin} closed the connection (${why}, code ${code ?? "unknown"}).`,
          { data: { closeCode: code ?? null } },
        ),
      });
    });
  }

  /** Begins delivery to the sink. */
  start(sink: TransportSink): void {
    if (this.#sink !== undefined) throw new Error("A transport can be started only once.");
    this.#sink = sink;
    for (const text of this.#early.splice(0)) sink.text(text);
    // Not from inside this call: the caller is not ready before it returns.
    if (this.#closed !== null) soon(() => this.#deliverClosed());
  }

  /** Sends each message as a frame of its own; resolves when the wire keeps up. */
  async write(text: string): Promise<void> {
    try {
      for (const message of splitMessages(text)) {
        if (this.#closed !== null) return;
        this.#socket.send(message);
      }
    } catch {
      return; // A socket that is closing; its close event tells.
    }
    while (this.#closed === null && (this.#socket.bufferedAmount ?? 0) > HIGH_WATER_BYTES) {
      await settlesWithin(this.#over, POLL_MS);
    }
  }

  /** Always empty: the server's stderr is elsewhere. */
  stderrTail(): string {
    return "";
  }

  /** Closes the connection; the server lives on. */
  close(options: TransportCloseOptions = {}): Promise<TransportCloseReport> {
    return this.#closing ??= this.#close(options.graceMs ?? 1000);
  }

  /** Drops the connection without waiting. */
  kill(): void {
    this.#closing ??= this.#close(0);
  }

  async #close(graceMs: number): Promise<TransportCloseReport> {
    const started = performance.now();
    this.#shut();
    // Whoever is silent does not answer this either.
    if (!await settlesWithin(this.#over, graceMs)) this.#socket.terminate?.();
    this.#end({});
    return {
      gone: true,
      how: "detached",
      exit: null,
      durationMs: Math.round(performance.now() - started),
    };
  }

  #shut(): void {
    try {
      this.#socket.close(1000);
    } catch {
      // It was closed from the other side.
    }
  }

  #end(closed: { error?: unknown }): void {
    if (this.#closed !== null) return;
    this.#closed = closed;
    this.#settle();
    if (this.#sink !== undefined) this.#deliverClosed();
  }

  #deliverClosed(): void {
    this.#sink?.closed({ exit: null, stderrTail: "", ...this.#closed });
  }
}
