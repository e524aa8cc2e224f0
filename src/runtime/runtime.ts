/**
 * One connection to one codex, with everything it says.
 * @module
 */
import {
  checkArgument,
  checkOptions,
  flag,
  kindOf,
  milliseconds,
  name,
  required,
  type Shape,
  shape,
  signal,
} from "../check/mod.ts";
import { InvalidArgumentError } from "../errors/mod.ts";
import type { JsonValue } from "../json.ts";
import { gateMethod, hostProbe, realPathOf, unrestrictedProbe } from "../permissions/mod.ts";
import { currentDirectory } from "../platform/mod.ts";
import type { RuntimeConfig } from "./config.ts";
import { EVENT_FILTER, RUNTIME_CONFIG } from "./config_shape.ts";
import { RuntimeCore } from "./core.ts";
import { isRemote, transportFactory } from "./launch.ts";
import type { EventEnvelope } from "./log/event_envelope.ts";
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
  /** Consent to full access with nobody asked. Default `false`. */
  dangerouslyAllowUnattendedFullAccess?: boolean;
}

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
  private constructor(core: RuntimeCore) {
    setCore(this, core);
  }

  /**
   * Starts codex, or attaches to one, and introduces this client.
   *
   * Rejects with `SpawnError`, `PermissionDeniedError`, `IncompatibleVersionError`, `ConnectionClosedError` (codex ended;
   * with its stderr) or `RequestTimeoutError` (it never answered); no process is left behind.
   */
  static async spawn(config: RuntimeConfig = {}): Promise<Runtime> {
    checkOptions("Runtime.spawn", config, RUNTIME_CONFIG);
    config.signal?.throwIfAborted();
    const { onStderr } = config;
    const guarded = onStderr === undefined ? config : {
      ...config,
      onStderr: (text: string) => {
        try {
          onStderr(text);
        } catch {
          core.metrics.sinkErrors++;
        }
      },
    };
    const core: RuntimeCore = new RuntimeCore(config, transportFactory(guarded));
    await core.start(config.signal);
    return new Runtime(core);
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
    options: RequestOptions = {},
  ): Promise<JsonValue> {
    const core = coreOf(this);
    try {
      checkArgument("request", "method", method, required(name));
      checkOptions("request", options, REQUEST_OPTIONS);
      guardCall(core, method, params, options);
    } catch (error) {
      return Promise.reject(error);
    }
    return core.call(method, params, options);
  }

  /** Tells the server something that wants no answer. */
  async notify(method: string, params?: JsonValue): Promise<void> {
    checkArgument("notify", "method", method, required(name));
    await coreOf(this).notify(method, params);
  }

  /**
   * Every message from now on, or from a cursor on. Ends when the connection is closed for good. A reader that falls
   * behind gets adjacent text deltas merged; one that falls out of the log gets a `lagged` event with what it missed.
   */
  events(filter: EventFilter = {}): AsyncIterable<EventEnvelope> {
    checkOptions("events", filter, EVENT_FILTER);
    return coreOf(this).log.read(filter);
  }

  /** Threads, turns and items as far as this connection has seen them; bounded by `stateLimits`. */
  state(): RuntimeState {
    return coreOf(this).projection().snapshot();
  }

  /** Counts, rates, depths and latencies. */
  metrics(): RuntimeMetrics {
    const core = coreOf(this);
    return core.metrics.snapshot({
      ...core.traffic,
      pendingCalls: core.pendingCalls,
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

// From a runtime to the machine inside it.

const cores: WeakMap<object, RuntimeCore> = new WeakMap();

/** Lets the rooms above reach the core of a runtime without showing it to users. */
export function coreOf(runtime: object): RuntimeCore {
  const core = cores.get(runtime);
  if (core === undefined) {
    throw new InvalidArgumentError("Runtime", {
      argument: "this",
      received: kindOf(runtime),
      accepts: "a Runtime that `Runtime.spawn` made",
    });
  }
  return core;
}

/** Remembers the core of a runtime. */
export function setCore(runtime: object, core: RuntimeCore): void {
  cores.set(runtime, core);
}

// Raw requests that could do more than this script may.

/** What the caller of a raw request agreed to. */
export interface CallConsent {
  /** Consent to methods that can write or run things. Default `false`. */
  allowPrivilegedEscalation?: boolean | undefined;
  /** Consent to full access with nobody asked. Default `false`. */
  dangerouslyAllowUnattendedFullAccess?: boolean | undefined;
}

/** Throws `PolicyError` when consent is missing, `PermissionDeniedError` when this script may not do it itself. */
export function guardCall(
  core: RuntimeCore,
  method: string,
  params: JsonValue | undefined,
  consent: CallConsent,
): void {
  // A remote server works on another machine: this script's permissions say nothing about it.
  const remote = isRemote(core.config);
  const { codexHome } = core.server;
  const refusal = gateMethod(method, params, remote ? unrestrictedProbe : hostProbe(), {
    consent,
    codexHome,
    // Most calls do not need to know.
    get serverCwd() {
      return core.config.processCwd ?? currentDirectory() ?? undefined;
    },
    realPath: realPathOf,
  });
  if (refusal !== null) throw refusal;
}
