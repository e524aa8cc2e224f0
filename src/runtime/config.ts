/**
 * How a connection to codex is made and kept.
 * @module
 */
import type { ApprovalHandler, ApprovalRules } from "../approvals/mod.ts";
import type { CodexSettings } from "../json.ts";
import type { Hooks } from "../plugin/mod.ts";
import type { TelemetryConfig } from "../telemetry.ts";
import type { TransportFactory } from "../transport/mod.ts";
import type { EventSink } from "./log/event_sink.ts";

/** How to reach the server. */
export type TransportConfig =
  | StdioTransportConfig
  | WebSocketTransportConfig
  | UnixTransportConfig
  | DaemonTransportConfig
  | CommandTransportConfig
  | CustomTransportConfig;

/** Start `codex app-server` as a child process; the default. */
export interface StdioTransportConfig {
  /** Discriminator. */
  type: "stdio";
  /**
   * A file that remembers the process, so that the next start reaps what a killed script left behind: a codex that was
   * stuck, or the sandbox that codex was just starting (`bwrap`, which then waits for ever).
   * Needs read and write permission on it, on macOS also `--allow-run=/bin/ps`. Without effect on Windows, where what
   * was left behind can't be told for certain. A link or a pipe is refused; keep it where no agent may write. Default none.
   */
  pidFile?: string;
}

/** Attach to a running `codex app-server --listen ws://…`. */
export interface WebSocketTransportConfig {
  /** Discriminator. */
  type: "websocket";
  /** Where the server listens, such as `ws://127.0.0.1:4500`. */
  url: string;
  /** The server's capability token, sent as a bearer token. */
  token?: string;
}

/** Attach to a running `codex app-server --listen unix://PATH` of this user, on this machine. */
export interface UnixTransportConfig {
  /** Discriminator. */
  type: "unix";
  /** The socket. One that belongs to another user is refused. */
  path: string;
}

/** Attach to codex's own daemon: `codex app-server daemon start`, or `codex app-server --listen unix://`. */
export interface DaemonTransportConfig {
  /** Discriminator. */
  type: "daemon";
  /** The daemon's CODEX_HOME, in which its socket lies. Default: CODEX_HOME, else `.codex` in HOME. */
  codexHome?: string;
}

/** Start a command that reaches a codex elsewhere, such as `ssh HOST codex app-server`; it talks over its pipes. */
export interface CommandTransportConfig {
  /** Discriminator. */
  type: "command";
  /**
   * The program and its arguments; no shell of this machine reads them. Paths of sessions are the other machine's, and
   * nothing is claimed of processes there.
   */
  command: readonly string[];
}

/** Bring your own connection, as tests and cassettes do. */
export interface CustomTransportConfig {
  /** Discriminator. */
  type: "custom";
  /** Opens the connection; called again for each restart. */
  open: TransportFactory;
}

/** What codex inherits from this process's environment. */
export interface EnvPolicy {
  /**
   * `"all"` passes everything, `"minimal"` only `PATH`, `HOME`, `TMPDIR`, the locale, `CODEX_HOME` and proxies,
   * a list only those names. Default `"all"`.
   */
  inherit?: "all" | "minimal" | readonly string[];
  /** Variables to add or replace. */
  set?: Record<string, string>;
  /**
   * What the agent's own commands see: `"withoutSecrets"` leaves out the names of `permissions.SECRET_VARIABLES`, `"codexDefault"` leaves the decision to codex and its configuration. Default `"withoutSecrets"`.
   */
  commands?: "withoutSecrets" | "codexDefault";
}

/** What happens when the server dies. */
export type RestartPolicy = NeverRestart | RestartOnCrash;

/** The connection stays closed; the default. */
export interface NeverRestart {
  /** Discriminator. */
  type: "never";
}

/** A new process is started and every thread resumed. */
export interface RestartOnCrash {
  /** Discriminator. */
  type: "onCrash";
  /** Restarts allowed before the connection stays closed, counted anew after `resetAfterMs` of health. Default 5. */
  maxRestarts?: number;
  /** First delay in milliseconds; doubles with each attempt, with jitter. Default 200. */
  baseDelayMs?: number;
  /** Longest delay in milliseconds. Default 10,000. */
  maxDelayMs?: number;
  /** Health in milliseconds after which the count starts again. Default 30,000. */
  resetAfterMs?: number;
}

/** Who this client says it is. */
export interface ClientInfo {
  /** Product name; the server repeats it in `userAgent`. */
  name: string;
  /** Name for people. Default none. */
  title?: string;
  /** Product version. */
  version: string;
}

/** How a {@linkcode Client} starts codex and answers it. Every field is optional. */
export interface ClientConfig {
  /** The codex program. Default: `CODEX_PATH`, then `codex` on PATH, then an installed `@openai/codex` npm package. */
  codexPath?: string;
  /** How to reach the server. Default: start it as a child process. */
  transport?: TransportConfig;
  /**
   * An API key for this codex alone, for scripts and CI: the login that the user has stored is neither used nor changed. It
   * goes to codex by its standard input, never on a command line, into an environment or a file. For providers that
   * take codex's login (`requires_openai_auth`). Not for servers that run already. Default: the stored login.
   *
   * ```ts ignore
   * await using client = await Client.connect({ apiKey: process.env.CI_OPENAI_KEY });
   * ```
   */
  apiKey?: string;
  /**
   * Whose settings codex has. `"hermetic"` gives it a home of its own with the user's login and nothing else of the user's: no
   * config.toml, rules, AGENTS.md, MCP servers, skills, plugins, hooks or history, and no apps or plugins of the login's
   * account (`features.apps`, `features.plugins`, which `configOverrides` may switch on). `diagnose()` lists what was left out
   * of the home. The home is removed with the client, or by the next hermetic start when this script was killed, and its
   * threads with it: only a `store` carries them further. A login in the system's keyring is a `PolicyError`, and `login()`
   * and `checkpoints` are refused. What the machine's administrator set (`/etc/codex`) and the repository's own files hold as
   * ever. MCP servers see an empty HOME, the agent's commands the user's. Linux and macOS; Deno wants `--allow-read` and
   * `--allow-write` for the link to the login, with an `apiKey` only those to codex's home. Default `"user"`.
   *
   * ```ts ignore
   * await using client = await Client.connect({ isolation: "hermetic" });
   * ```
   */
  isolation?: "user" | "hermetic";
  /** What codex inherits from the environment. Default: everything, of which the agent's commands see no secret's name. */
  env?: EnvPolicy;
  /**
   * Settings passed as `codex -c key=value`. What looks like a secret goes to codex by its environment, where codex can read
   * it from there, and is a `PolicyError` elsewhere: every user of a machine reads command lines. Default none.
   */
  configOverrides?: CodexSettings;
  /** The oldest codex accepted; `null` accepts any. Default `"0.104.0"`. */
  minVersion?: string | null;
  /** Who this client says it is. Default `codex-runtime` and its version. */
  clientInfo?: ClientInfo;
  /** Whether experimental methods and fields may be used. Default `false`. */
  experimentalApi?: boolean;
  /** Hooks of every session of this client. Default none. */
  hooks?: Hooks;
  /** Who answers the server's questions: a function, or rules. Default: everything is declined. */
  approvals?: ApprovalHandler | ApprovalRules;
  /**
   * What happens when a session asks for more than this script may do itself: `"refuse"` rejects and names the missing
   * flags, `"narrow"` takes what is granted and says so. Default `"refuse"`.
   */
  permissions?: "refuse" | "narrow";
  /** Milliseconds until an unanswered request rejects. Default 30,000. */
  requestTimeoutMs?: number;
  /** Milliseconds until an unanswered question of the server gets the fail-closed answer. Default 30,000. */
  approvalTimeoutMs?: number;
  /**
   * Milliseconds without a sign of life, although one was asked for, after which the connection counts as lost: it ends
   * as if the server had died. `Infinity`: never. Default 30,000 for sockets, 60,000 for a process of ours, which is asked
   * only while a call waits for it or a turn runs, and then takes half as long again.
   */
  unresponsiveAfterMs?: number;
  /** Receives what codex writes to stderr, as it comes. Only for processes that this library starts. Default nobody. */
  onStderr?: (text: string) => void;
  /** Working directory of the codex process. Default: this script's. */
  processCwd?: string;
  /** What happens when the server dies. Default: the connection stays closed. */
  restart?: RestartPolicy;
  /** Largest message accepted, in bytes. Default 67,108,864 (64 MiB). */
  maxMessageBytes?: number;
  /**
   * OpenTelemetry: a span for each turn (`invoke_agent`), with those of the calls of the model (`chat`) and the uses of tools
   * (`execute_tool`) in it, metrics of tokens and durations, and the caller's trace with every request, so that codex's own
   * spans join it; tools, handlers and hooks run in the turn's context. Names are those of the GenAI semantic conventions
   * 0.1.0. `"auto"` takes the API that the program registered, and nothing where there is none; `"off"` neither traces nor
   * tells codex of a trace. What was said is told only with `captureContent`. Default `"auto"`.
   *
   * Codex from 0.110 on tells its spans to the exporter that `configOverrides["otel.trace_exporter"]` or the user's
   * configuration names, and then passes the trace on with the model's request; 0.104 has a trace of its own for each turn.
   *
   * ```ts ignore
   * await using client = await Client.connect({ telemetry: { tracer: provider.getTracer("app") } });
   * ```
   */
  telemetry?: TelemetryConfig;
  /** Where every message is recorded, but for the keys and tokens that are sent to codex. Default nowhere. */
  eventLog?: EventSink | readonly EventSink[];
}

/** How a {@linkcode Runtime} works: a client's settings plus sizes and limits. */
export interface RuntimeConfig extends ClientConfig {
  /** Messages kept for readers that start late or fall behind. Default 4,096. */
  eventLogMessages?: number;
  /** Bytes kept for readers that start late or fall behind. Default 33,554,432 (32 MiB). */
  eventLogBytes?: number;
  /** Requests in flight at once; more are queued here, since the server loses them. Interrupts do not wait. Default 128. */
  maxInFlight?: number;
  /**
   * Questions of the server that may wait for an answer at once; more are answered fail-closed. Those of one tenant of a web
   * bridge may be a quarter of them. Default 128.
   */
  maxPendingApprovals?: number;
  /** Bounds of {@linkcode Runtime.state}. Default 256 threads, turns and items, 256 KiB of text an item. */
  stateLimits?: StateLimits;
  /** Milliseconds for each step of the close ladder. Default 1,000. */
  closeGraceMs?: number;
  /**
   * Notifications the server should not send, by exact method name. A client is refused those that its sessions live on,
   * such as `turn/completed`. Default none.
   */
  optOutNotifications?: readonly string[];
  /** Aborts starting the runtime. */
  signal?: AbortSignal;
}

/** Bounds of the state projection. */
export interface StateLimits {
  /** Threads kept, least recently used go first. Default 256. */
  threads?: number;
  /** Turns kept a thread. Default 256. */
  turns?: number;
  /** Items kept a turn. Default 256. */
  items?: number;
  /** Bytes of text kept an item. Default 262,144 (256 KiB). */
  textBytes?: number;
}
