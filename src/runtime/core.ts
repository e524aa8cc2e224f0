/**
 * The machine inside {@linkcode Runtime}: one server at a time, its messages routed, numbered and answered.
 * Sessions use it directly; users see the runtime.
 */
import { ApprovalDesk } from "../approvals/mod.ts";
import { abortable, within } from "../async.ts";
import { ConnectionClosedError } from "../errors/mod.ts";
import { defined, isJsonObject, type JsonObject, type JsonValue } from "../json.ts";
import {
  type CallOptions,
  Connection,
  type ConnectionHandler,
  type Deltas,
  type OutboundMessage,
  type OversizeMessage,
  type RpcNotification,
  type RpcRequest,
  type RpcResponse,
} from "../rpc/mod.ts";
import { Telemetry } from "../telemetry.ts";
import type { TransportCloseReport, TransportFactory } from "../transport/mod.ts";
import { ProjectedLog } from "./state/projected_log.ts";
import type { RuntimeState } from "./state/state_types.ts";
import {
  closedBecause,
  CutOffThreads,
  KeepAlive,
  livenessOf,
  type PlannedRestart,
  RestartLoop,
  watchLiveness,
} from "./restart.ts";
import type { RuntimeConfig } from "./config.ts";
import { DEFAULTS, isAttached, isRemote } from "./defaults.ts";
import type { EventLog } from "./log/event_log.ts";
import { logAudit, logOversize, logSent, logState, type StateChange } from "./log/local_records.ts";
import { connectionOptions, handshake, startOne } from "./connect/connect.ts";
import type { ConnectionState, ServerInfo, ShutdownReport } from "./runtime_types.ts";
import { deltaOf, MessageHead, ThreadRoutes } from "./thread_routes.ts";
import { MetricsCounter } from "./metrics.ts";

/** A process that never said a word gets less time to end than one that worked. */
const FAILED_START_GRACE_MS = 250;
/** How much longer than the graces of its ladder a transport may take to end; one of the caller's may never. */
const CLOSE_MS = 10_000;

type Traffic = Pick<Connection, "bytesIn" | "bytesOut" | "pendingCalls" | "queuedCharacters">;

/** Nothing had to be done for the end. */
function alreadyExited(exit: TransportCloseReport["exit"]): TransportCloseReport {
  return { gone: true, how: "alreadyExited", exit, durationMs: 0 };
}

/** One server at a time, its messages routed, numbered and answered. */
export class RuntimeCore implements ConnectionHandler {
  readonly config: RuntimeConfig;
  readonly log: EventLog;
  readonly metrics: MetricsCounter = new MetricsCounter();
  readonly routes: ThreadRoutes = new ThreadRoutes();
  readonly approvals: ApprovalDesk;
  /** Where spans and metrics go; `null`: nowhere. */
  readonly telemetry: Telemetry | null;
  /** Whether the script goes on for the server's sake. */
  readonly alive: KeepAlive = new KeepAlive();
  /** What sessions still write down: its end is waited for, as that of sinks is. */
  readonly unwritten: Set<Promise<unknown>> = new Set();
  readonly #factory: TransportFactory;
  /** Called when the last server is gone for good. */
  readonly #onGone: () => Promise<void>;
  readonly #recorded: ProjectedLog;
  #endSinks: (graceMs: number) => Promise<number> = () => Promise.resolve(0);
  readonly #cutOff = new CutOffThreads();
  readonly #stop = new AbortController();
  readonly #restarts: RestartLoop;
  #connection: Connection | null = null;
  #server: ServerInfo | null = null;
  #state: ConnectionState = "starting";
  #generation = 0;
  #healthySince = 0;
  /** Why the connection is closed for good. */
  #final: unknown = null;
  /** How the last server ended. */
  #ended: TransportCloseReport = alreadyExited(null);
  #restoring: Promise<void> = Promise.resolve();
  #shutdown: Promise<ShutdownReport> | null = null;
  /** When the bytes came that are being read. */
  #arrivedAt = 0;
  #arrivedDate = 0;
  /** The account's limits as last told; failed turns take their reset time from it. */
  rateLimits: JsonObject | undefined;

  constructor(
    config: RuntimeConfig,
    factory: TransportFactory,
    onGone: () => Promise<void> = () => Promise.resolve(),
  ) {
    this.config = config;
    this.#onGone = onGone;
    this.telemetry = Telemetry.of(config.telemetry);
    this.#factory = factory;
    this.#recorded = new ProjectedLog(
      config.eventLogMessages ?? DEFAULTS.eventLogMessages,
      config.eventLogBytes ?? DEFAULTS.eventLogBytes,
      config.stateLimits,
    );
    this.log = this.#recorded.log;
    this.log.onMissed = (count) => this.metrics.dropped += count;
    this.#restarts = new RestartLoop(config.restart);
    this.approvals = new ApprovalDesk({
      ...defined({ approvals: config.approvals }),
      timeoutMs: config.approvalTimeoutMs ?? DEFAULTS.approvalTimeoutMs,
      maxPending: config.maxPendingApprovals ?? DEFAULTS.maxPendingApprovals,
      onAudit: (audit) => logAudit(this.log, audit),
      serverVersion: () => this.#server?.version ?? null,
    }, async () => {
      const { brokerHost } = await import("./broker_host.ts");
      return await brokerHost(config, () => this.seen(), this);
    });
  }

  get state(): ConnectionState {
    return this.#state;
  }

  /** Aborted when the connection is closed for good. */
  get ended(): AbortSignal {
    return this.#stop.signal;
  }

  get server(): ServerInfo {
    if (this.#server === null) throw new ConnectionClosedError("No server has answered yet.");
    return this.#server;
  }

  get pid(): number | null {
    return this.#connection?.transport.pid ?? null;
  }

  /** Whether no proxy that its environment names is between the server and this process. */
  get direct(): boolean {
    return this.#connection?.transport.direct ?? false;
  }

  /**
   * Starts the first server. Leaves no process behind when that fails. `seen`: whether somebody may ask for what the server
   * does.
   */
  async start(signal?: AbortSignal, seen = true): Promise<void> {
    this.#tell("starting");
    try {
      const { approvals, hooks, eventLog } = this.config;
      if (eventLog !== undefined) {
        const { feedSinks } = await import("./log/sink_pump.ts");
        this.#endSinks = feedSinks(eventLog, this.log, this.metrics);
      }
      const asked = approvals !== undefined || hooks !== undefined;
      await Promise.all([
        asked ? this.approvals.ready() : null,
        asked || seen ? this.#recorded.project() : null,
      ]);
      const starting = this.alive.while(startOne(() => this.#connect(signal), signal));
      // One of the caller's may not look at the signal; what it opens too late is closed there.
      const leaves = this.config.transport?.type === "custom" ? signal : undefined;
      await abortable(starting, leaves);
    } catch (error) {
      this.#end(error);
      await this.#finish();
      throw error;
    }
  }

  /** Calls the server. While another server is being started, the call waits for it. */
  call(method: string, params: JsonValue | undefined, options?: CallOptions): Promise<JsonValue> {
    if (this.#state !== "restarting") return this.callNow(method, params, options);
    return this.ready(options?.signal).then(() => this.callNow(method, params, options));
  }

  /** Settles when there is a server whose threads have been resumed, or will be none any more. */
  ready(signal?: AbortSignal): Promise<void> {
    return abortable(this.#restoring, signal);
  }

  /** Calls the server that is there now, also before its threads have been resumed. */
  callNow(
    method: string,
    params: JsonValue | undefined,
    options?: CallOptions,
  ): Promise<JsonValue> {
    try {
      return this.#live().call(method, params, options, true);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Tells the server something. */
  async notify(method: string, params?: JsonValue): Promise<void> {
    if (this.#state === "restarting") await this.#restoring;
    await this.alive.while(this.#live().notify(method, params));
  }

  /** Threads, turns and items up to the newest message; nothing where {@linkcode start} was told that nobody asks. */
  seen(): RuntimeState {
    return this.#recorded.state();
  }

  /** What the connection has carried, and what waits; `null` when there is none. */
  get traffic(): Traffic | null {
    return this.#connection;
  }

  /**
   * A turn of the thread was cut off, and commands with it: one that was killed while it started its sandbox may have left
   * it behind. What is dying still is in the server's tree, so all such threads are looked at again: when a session ends,
   * without a thread, and when the server is gone.
   */
  endOrphans(...threadIds: string[]): void {
    if (!isRemote(this.config)) this.#cutOff.end(this.pid, threadIds);
  }

  /** Ends everything; says whether the process is certainly gone. */
  shutdown(): Promise<ShutdownReport> {
    this.#shutdown ??= this.alive.while(this.#shutDown());
    return this.#shutdown;
  }

  async #shutDown(): Promise<ShutdownReport> {
    const error = new ConnectionClosedError("The client was shut down.", { retryable: false });
    this.#end(error);
    const { closeGraceMs = DEFAULTS.closeGraceMs } = this.config;
    const closed = this.#connection?.close(error.message, closeGraceMs);
    const ends = Promise.all([closed, this.#restoring]).then(([report]) => report ?? this.#ended);
    this.#ended = await this.#ending(ends, closeGraceMs);
    return await this.#finish();
  }

  /** How a connection ends; a transport of the caller's may never end, or fail to. */
  #ending(ends: Promise<TransportCloseReport>, graceMs: number): Promise<TransportCloseReport> {
    const unknown: TransportCloseReport = { ...this.#ended, gone: false, how: "unknown" };
    return within(ends.catch(() => unknown), graceMs * 4 + CLOSE_MS, unknown);
  }

  /** Settles every turn and question, and takes nothing more. */
  #end(error: unknown): void {
    if (this.#final !== null) return;
    this.#final = error;
    this.#stop.abort(error);
    const closed = closedBecause(error);
    for (const route of this.routes.all()) route.connectionLost(closed, false);
    this.approvals.close("the connection ended");
    this.#tell("closed", { error });
  }

  async #finish(): Promise<ShutdownReport> {
    this.alive.close();
    this.endOrphans();
    this.log.close();
    await this.#onGone();
    const { closeGraceMs = DEFAULTS.closeGraceMs } = this.config;
    const [sinksGivenUp] = await Promise.all([
      this.#endSinks(closeGraceMs),
      within(Promise.all(this.unwritten), closeGraceMs, null),
    ]);
    return { ...this.#ended, generations: this.#generation, sinksGivenUp };
  }

  #live(): Connection {
    // It may be retried on a new client; here it would fail again.
    if (this.#final !== null) throw closedBecause(this.#final).asFinal();
    if (this.#connection !== null) return this.#connection;
    throw new ConnectionClosedError("No server is running.");
  }

  async #connect(signal?: AbortSignal): Promise<void> {
    const { config } = this;
    const transport = await this.#factory(defined({ signal }));
    this.#generation++;
    const connection = new Connection(transport, this, connectionOptions(config, this.telemetry));
    this.alive.attach(transport);
    connection.onLatency = (ms) => this.metrics.latency(ms);
    connection.onAwaited = (some) => this.alive.awaited(some);
    this.#connection = connection;
    try {
      this.#server = await handshake(connection, config, signal);
      if (connection.closedWith !== null) throw connection.closedWith;
      // At once: a server that ends in the next moment was a running one.
      if (this.#state === "starting") this.#tell("running");
      this.#healthySince = performance.now();
      watchLiveness(connection, { ...livenessOf(config), busy: () => this.alive.turnRuns });
    } catch (error) {
      this.#connection = null;
      const ends = connection.close("The handshake failed.", FAILED_START_GRACE_MS);
      this.#ended = await this.#ending(ends, FAILED_START_GRACE_MS);
      throw error;
    }
  }

  // What the server says. Each method runs before the next line is read.

  arrived(at: number): void {
    this.#arrivedAt = at;
    this.#arrivedDate = Date.now();
  }

  deltas(batch: Deltas): void {
    this.metrics.received(batch.size, this.#arrivedAt, batch.length);
    this.log.appendDeltas(batch, this.#arrivedDate);
    for (let from = 0, to = 0; from < batch.length; from = to) {
      to = batch.runEnd(from);
      this.routes.deltas(batch, from, to);
    }
  }

  notification(message: RpcNotification, size: number): void {
    this.metrics.received(size, this.#arrivedAt);
    const { method, params } = message;
    const head = new MessageHead(method, undefined, params);
    const delta = deltaOf(message, head);
    const at = this.#arrivedDate;
    this.log.append("inbound", "notification", head, message.raw, size, at, delta);
    const threadId = head.threadId;
    if (method === "serverRequest/resolved") {
      const id = params["requestId"];
      if (typeof id === "number" || typeof id === "string") {
        this.approvals.resolvedElsewhere(id, threadId ?? null);
      }
    }
    if (method === "account/rateLimits/updated") {
      const limits = params["rateLimits"];
      if (isJsonObject(limits)) this.rateLimits = limits;
    }
    if (threadId === undefined) return this.routes.notifyAll(message, size);
    this.alive.noticed(method, threadId, head.turnId);
    if (this.approvals.noticed(threadId, method, params)) return;
    // Before the session hears of the end, so that the end is the last that its listeners hear of the turn.
    if (method === "turn/completed" && head.turnId !== undefined) {
      this.approvals.turnEnded(threadId, head.turnId);
    }
    this.routes.notify(threadId, message, size);
  }

  request(message: RpcRequest, size: number): void {
    this.metrics.received(size, this.#arrivedAt);
    const connection = this.#connection;
    const head = new MessageHead(message.method, message.id, message.params);
    this.log.append("inbound", "serverRequest", head, message.raw, size, this.#arrivedDate);
    this.approvals.handle({
      rpcId: message.id,
      method: message.method,
      params: message.params,
      ...defined({ threadId: head.threadId }),
    }, {
      respond: (result) => connection?.respond(message.id, result),
      reject: (code, text) => connection?.reject(message.id, { code, message: text }),
    });
  }

  response(message: RpcResponse, method: string | undefined, size: number): void {
    this.metrics.received(size, this.#arrivedAt);
    if (method === undefined) this.metrics.unmatched++;
    const head = new MessageHead(method, message.id, message.result);
    this.alive.answered(method);
    this.log.append("inbound", "response", head, message.raw, size, this.#arrivedDate);
  }

  malformed(reason: string, size: number): void {
    this.metrics.malformed++;
    this.log.append("inbound", "malformed", {}, { reason, size }, 0);
  }

  oversize(message: OversizeMessage): void {
    this.metrics.oversize++;
    logOversize(this.log, message);
    const { threadId } = message;
    if (threadId !== null) this.routes.get(threadId)?.oversize(message);
  }

  sent(
    kind: "request" | "notification" | "response",
    size: number,
    message: OutboundMessage,
    at: number,
  ): void {
    this.metrics.sent(size, at);
    logSent(this.log, kind, size, message);
  }

  closed(error: ConnectionClosedError): void {
    this.#ended = alreadyExited(error.exit);
    // It may not have told of the commands that it started last.
    const cutOff = this.alive.turnRuns ? this.routes.threadIds() : [];
    this.#connection = null;
    this.routes.forget();
    this.alive.attach(null);
    if (this.#final !== null || this.#state === "starting" || this.#state === "restarting") return;
    this.endOrphans(...cutOff);
    const plan = this.#restarts.plan(performance.now() - this.#healthySince);
    if (plan === null) return this.#giveUp(error);
    this.#tellRestarting(error, plan);
    for (const route of this.routes.all()) route.connectionLost(error, true);
    this.#restoring = this.alive.while(this.#restarts.run(plan, {
      signal: this.#stop.signal,
      connect: () => this.#connect(this.#stop.signal),
      restore: () => this.#restore(),
      failed: (cause, next) => this.#tellRestarting(cause, next),
      gaveUp: (cause) => this.#giveUp(cause),
    }));
  }

  /** What the server that has ended still asked is settled, also where it was asked while threads were resumed. */
  #tellRestarting(error: unknown, plan: PlannedRestart): void {
    this.#tell("restarting", { error, plan });
    this.approvals.reset("the server ended", !isAttached(this.config));
  }

  /** Resumes every thread. A thread that can't be is told so; it is no reason to start yet another server. */
  async #restore(): Promise<void> {
    const connection = this.#connection;
    const outcomes = await Promise.allSettled(
      this.routes.all().map((route) => route.connectionRestored()),
    );
    const closedWith = connection?.closedWith;
    if (closedWith !== null) throw closedWith ?? new ConnectionClosedError("codex ended again.");
    const lost = outcomes.filter(({ status }) => status === "rejected").length;
    this.#tell("running", { resumed: outcomes.length - lost, lost });
  }

  /** The connection is closed for good, and not because anybody wanted that. */
  #giveUp(error: unknown): void {
    this.#end(error);
    this.#shutdown ??= this.#finish();
  }

  #tell(state: ConnectionState, more: StateChange = {}): void {
    this.#state = state;
    if (state === "restarting") this.metrics.restarts++;
    logState(this.log, state, this.#generation, more);
  }
}
