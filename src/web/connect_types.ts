/**
 * What {@linkcode connect} takes, gives and tells.
 * @module
 */
import type {
  ElicitationAnswer,
  PermissionsAnswer,
  ReviewAnswer,
  UserInputAnswer,
} from "../approvals/mod.ts";
import type {
  ClosedWebSession,
  CreateSessionRequest,
  CreateTurnRequest,
  LaggedEvent,
  SteerRequest,
  WebApproval,
  WebSession,
  WebSessionEvent,
  WebSettings,
  WebSnapshot,
  WebTurnRef,
} from "./types.ts";

/** A value as JSON carries it: dates are ISO strings. */
export type Wire<T> = T extends Date ? string
  : T extends string | number | boolean | null | undefined ? T
  : T extends object ? { [K in keyof T]: Wire<T[K]> }
  : T;

/** What a person may answer through a bridge. */
export type BridgeAnswer =
  | Pick<ReviewAnswer, "decision" | "reason">
  | PermissionsAnswer
  | UserInputAnswer
  | (Omit<ElicitationAnswer, "persist"> & {
    /** For tool approvals: how long the consent lasts. Default: this call. */
    persist?: "session";
  });

/** A session as it stands: what was shown of it before is to be replaced. */
export interface SnapshotEvent {
  /** Discriminator. */
  type: "snapshot";
  /** The session. */
  snapshot: Wire<WebSnapshot>;
}

/** What is told of a session, in order, each event once. `cursor` is where to go on after it. */
export type BridgeEvent =
  & (SnapshotEvent | Wire<Exclude<WebSessionEvent, LaggedEvent>>)
  & {
    /** Where to go on after this event. */
    cursor: string;
  };

/** The time, for programs that have their own. */
export interface ConnectClock {
  /** Milliseconds; must go on while a machine sleeps. A date that is set back keeps whoever waits. */
  now(): number;
  /** Settles after `ms` milliseconds, or as soon as the signal is aborted. */
  wait(ms: number, signal: AbortSignal): Promise<void>;
}

/** Headers of a request. */
export type ConnectHeaders = Record<string, string> | Headers;

/** Settings of {@linkcode connect}. */
export interface ConnectOptions {
  /** Sends requests. Default: the global `fetch`. */
  fetch?: (url: string, init: RequestInit) => Promise<Response>;
  /** Headers of every request, such as `authorization`; a function is asked before each, retries included. Default none. */
  headers?: ConnectHeaders | (() => ConnectHeaders | Promise<ConnectHeaders>);
  /** Whether cookies go along, as `fetch` takes it. Default `"same-origin"`. */
  credentials?: "omit" | "same-origin" | "include";
  /** Milliseconds that one request may take. Default 60,000. */
  timeoutMs?: number;
  /** Milliseconds for which a call is tried again while the bridge is away and that is safe. Default 30,000. */
  patienceMs?: number;
  /** Milliseconds without a sign of life after which a stream is opened anew; more than the bridge's `heartbeatMs`. Default 15,000. */
  silenceMs?: number;
  /** The most milliseconds between two tries. Default 10,000. */
  maxRetryMs?: number;
  /** The time. Default: the system's. */
  clock?: ConnectClock;
}

/** Settings of one call. */
export interface CallOptions {
  /** Gives the call up: it rejects with the signal's reason. What was sent may be done all the same. */
  signal?: AbortSignal;
}

/** Settings of {@linkcode BridgeSession.events}. */
export interface FollowOptions {
  /** Goes on after this cursor. Default: begins with a `snapshot`. */
  after?: string;
  /** Ends the iteration, without an error. */
  signal?: AbortSignal;
  /** Told when the stream is open, and when it is not, with the reason. Must not throw. */
  onLink?: (state: "connected" | "reconnecting", reason: unknown) => void;
}

/** A bridge, as one of its tenants sees it. */
export interface BridgeClient {
  /** What may be chosen. */
  settings(options?: CallOptions): Promise<WebSettings>;
  /** The tenant's sessions. */
  sessions(options?: CallOptions): Promise<Wire<WebSession>[]>;
  /** Begins a session. */
  createSession(request?: CreateSessionRequest, options?: CallOptions): Promise<BridgeSession>;
  /** A session by its id. Asks nothing. */
  session(sessionId: string): BridgeSession;
}

/** One session of a bridge. */
export interface BridgeSession {
  /** Names it in every call. */
  readonly sessionId: string;
  /** The session as it stands. */
  read(options?: CallOptions): Promise<Wire<WebSnapshot>>;
  /**
   * What happens, until the session is closed: first a `snapshot`, then each event once and in order. A stream that breaks
   * off, falls silent or is refused for the moment resumes where it was; after a gap a new `snapshot` comes. Throws
   * `WebError` for what won't pass, such as 401 and 404.
   */
  events(options?: FollowOptions): AsyncGenerator<BridgeEvent, void, void>;
  /**
   * Starts a turn; settles when it has an id. After a failure that is `retryable` the events tell whether it has begun all
   * the same: sent again at once, the prompt might be asked twice.
   */
  ask(turn: string | CreateTurnRequest, options?: CallOptions): Promise<WebTurnRef>;
  /** Adds to what the running turn has been asked. */
  steer(turnId: string, input: string | SteerRequest, options?: CallOptions): Promise<WebTurnRef>;
  /** Stops the running turn; settles when it has stopped. */
  interrupt(turnId: string, options?: CallOptions): Promise<WebTurnRef>;
  /** The questions that wait for an answer. */
  approvals(options?: CallOptions): Promise<Wire<WebApproval>[]>;
  /** Answers a question by its id. */
  answer(approvalId: string, answer: BridgeAnswer, options?: CallOptions): Promise<void>;
  /** Releases the session and archives its thread. */
  close(options?: CallOptions): Promise<ClosedWebSession>;
}
