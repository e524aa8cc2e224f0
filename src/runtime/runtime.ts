/**
 * One connection to one codex, with everything it says.
 * @module
 */
import {
  checkArgument,
  checkOptions,
  flag,
  milliseconds,
  name,
  refuseNew,
  required,
  type Shape,
  shape,
  signal,
  takeOptions,
  unreadable,
} from "../check/mod.ts";
import { InvalidArgumentError } from "../errors/mod.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../json.ts";
import type { RuntimeConfig } from "./config.ts";
import { EVENT_FILTER, RUNTIME_CONFIG } from "./config_shape.ts";
import type { RuntimeCore } from "./core.ts";
import { coreOf, setCore } from "./core_of.ts";
import type { EventEnvelope } from "./log/event_envelope.ts";
import type { guardRequest } from "./guard_call.ts";
import type { readLog } from "./log/log_reader.ts";
import type {
  ConnectionState,
  EventFilter,
  RuntimeMetrics,
  ServerInfo,
  ShutdownReport,
} from "./runtime_types.ts";
import type { RuntimeState } from "./state/state_types.ts";

/** Options of {@linkcode Runtime.request}. */
export interface RequestOptions {
  /** Stops waiting; the call rejects with the signal's reason. The server may still do what was asked. */
  signal?: AbortSignal;
  /** Milliseconds until the call rejects. Default: the runtime's `requestTimeoutMs`. */
  timeoutMs?: number;
  /** Consent to methods that can write or run things, such as `command/exec`. Default `false`. */
  allowPrivilegedEscalation?: boolean;
  /**
   * Consent to full access with nobody asked; before codex 0.136 also to an approval policy under which some programs leave
   * the sandbox unasked. Default `false`.
   */
  dangerouslyAllowUnattendedFullAccess?: boolean;
}

const METHOD = required(name);

/** Options of a raw request. */
const REQUEST_OPTIONS: Shape = shape<RequestOptions>({
  signal,
  timeoutMs: milliseconds,
  allowPrivilegedEscalation: flag,
  dangerouslyAllowUnattendedFullAccess: flag,
});

/**
 * One connection to one codex: raw requests, every message as an event, state and metrics.
 *
 * ```ts ignore
 * const runtime = await Runtime.spawn();
 * const models = await runtime.request("model/list", {});
 * for await (const event of runtime.events({ after: 0 })) console.log(event.seq, event.method);
 * await runtime.shutdown();
 * ```
 */
export class Runtime implements AsyncDisposable {
  /** Loaded with the first connection, as all that speaks with codex. */
  readonly #guardRequest: typeof guardRequest;
  readonly #readLog: typeof readLog;

  private constructor(core: RuntimeCore, guard: typeof guardRequest, read: typeof readLog) {
    if (read === undefined) refuseNew("Runtime.spawn");
    setCore(this, core);
    this.#guardRequest = guard;
    this.#readLog = read;
  }

  /**
   * Starts codex, or attaches to one, and introduces this client.
   *
   * Rejects with `SpawnError`, `PermissionDeniedError`, `IncompatibleVersionError`, `ConnectionClosedError` (codex ended;
   * with its stderr) or `RequestTimeoutError` (it never answered); no process is left behind.
   */
  static async spawn(config: RuntimeConfig = {}): Promise<Runtime> {
    const given = takeOptions("Runtime.spawn", config, RUNTIME_CONFIG);
    const [{ spawnCore }, { guardRequest }, { readLog }] = await Promise.all([
      import("./spawn.ts"),
      import("./guard_call.ts"),
      import("./log/log_reader.ts"),
    ]);
    return new Runtime(await spawnCore(given), guardRequest, readLog);
  }

  /** What the server said of itself. */
  get server(): ServerInfo {
    return coreOf(this).server;
  }

  /** What the connection is doing; each change is an event of kind `connection`. */
  get connection(): ConnectionState {
    return coreOf(this).state;
  }

  /** The process id of codex, or `null` when it is not ours or not running. */
  get pid(): number | null {
    return coreOf(this).pid;
  }

  /** Calls any method of the server, unchecked. Rejects with `RpcError` when the server refuses. */
  request(
    method: string,
    params?: JsonValue,
    options?: RequestOptions,
  ): Promise<JsonValue> {
    // Thousands of these may be under way: each is one promise, that of the call.
    try {
      const core = coreOf(this);
      checkArgument("request", "method", method, METHOD);
      checkOptions("request", options, REQUEST_OPTIONS);
      const threadId = threadIdIn(params);
      const answer = this.#guardRequest(core, method, params, options);
      if (typeof threadId === "string") {
        core.routes.get(threadId)?.asked?.(method, params as JsonObject, answer);
      }
      return answer;
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Tells the server something that wants no answer. */
  async notify(method: string, params?: JsonValue): Promise<void> {
    checkArgument("notify", "method", method, METHOD);
    await coreOf(this).notify(method, params);
  }

  /**
   * Every message from now on, or from a cursor on. Ends when the connection is closed for good. A reader that falls
   * behind gets adjacent text deltas merged; one that falls out of the log gets a `lagged` event with what it missed. Throws
   * `InvalidArgumentError` for a cursor that no message has had yet, such as one of another connection.
   */
  events(filter: EventFilter = {}): AsyncIterable<EventEnvelope> {
    const given = takeOptions("events", filter, EVENT_FILTER);
    const { alive, log } = coreOf(this);
    if (given.after !== undefined && given.after > log.newest) {
      throw new InvalidArgumentError("events", {
        argument: "after",
        received: "a greater one",
        accepts: `a number up to ${log.newest}, that of the newest message`,
        hint: "The numbers are those of one connection; another one begins anew, at 1.",
      });
    }
    return alive.reading(this.#readLog(log, given));
  }

  /** Threads, turns and items as far as this connection has seen them; bounded by `stateLimits`. */
  state(): RuntimeState {
    return coreOf(this).seen();
  }

  /** Counts, rates, depths and latencies. */
  metrics(): RuntimeMetrics {
    const core = coreOf(this);
    const { bytesIn = 0, bytesOut = 0, queuedCharacters = 0, pendingCalls = 0 } = core.traffic ??
      {};
    return core.metrics.snapshot({
      bytesIn,
      bytesOut,
      queuedCharacters,
      pendingCalls,
      pendingServerRequests: core.approvals.pending().length,
      eventLogDepth: core.log.newest - core.log.oldest + 1,
      eventLogBytes: core.log.bytes,
    });
  }

  /** Ends codex if it is ours, and settles everything that waits. Idempotent. */
  shutdown(): Promise<ShutdownReport> {
    return coreOf(this).shutdown();
  }

  /** Like {@linkcode shutdown}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.shutdown();
  }
}

function threadIdIn(params: JsonValue | undefined): JsonValue | undefined {
  try {
    return isJsonObject(params) ? params["threadId"] : undefined;
  } catch (error) {
    throw unreadable("request", "params", error);
  }
}
