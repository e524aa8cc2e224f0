/**
 * How a web adapter and a bridge work.
 * @module
 */
import type { ApprovalRule } from "../approvals/mod.ts";
import type { RunProfile } from "../session/mod.ts";
import type { WebClient } from "./client.ts";
import type { EventTail, SessionOwners } from "./cluster/session_owners.ts";
import type { SessionStore } from "./store/session_store.ts";
import type { AttachmentPolicy } from "./types.ts";

/** How a {@linkcode WebAdapter} works. */
export interface WebAdapterOptions {
  /** The client that runs the sessions. It stays yours to shut down. */
  client: WebClient;
  /**
   * Where the agent works: one directory that all tenants share, or a function that gives each its own. The function is
   * not called for names that could lead elsewhere (`..`, separators, control characters): such tenants get 403. What it
   * returns must exist and not lie in another tenant's directory.
   */
  cwd: string | ((tenant: string) => string | Promise<string>);
  /**
   * Whether tenants are kept apart. `"enforced"`: a tenant's agent reads its own directory and what programs
   * need to run, never another tenant's directory, codex's home (conversations, login, logs) or a shared temporary
   * directory, and nobody's consent changes that. Needs codex 0.145 and a sandbox; else `createBridge` throws
   * `PolicyError`. Codex does not read the directory's `AGENTS.md` then: put it into the profile's `developerInstructions`;
   * what codex's home has of `AGENTS.md` and skills every tenant's agent is told. Codex before 0.169 gets no directory whose
   * `.agents/skills` or `.codex/skills` hold links: it would read skills wherever they lead.
   *
   * `"trusting"`: nothing of that. The agent of each tenant can read whatever codex can, every other tenant's files and
   * conversations and the operator's login included; tenants must trust each other and the operator them.
   * Default `"enforced"`.
   */
  isolation?: "enforced" | "trusting";
  /** How every session runs; never `ephemeral`. Tenants can't reach beyond it. Default: read-only, nobody is asked. */
  profile?: RunProfile;
  /**
   * Models that tenants may choose beside the profile's. Name one in the profile as well: without it codex from 0.125 on goes
   * on with the model of a session's last turn once the session was released, such as when it was idle. Default none.
   */
  models?: readonly string[];
  /** Efforts that tenants may choose beside the profile's. Default `none` to `xhigh`. */
  efforts?: readonly string[];
  /** Which attachments tenants may send. Default `"images"`. */
  attachments?: AttachmentPolicy;
  /**
   * Rules that answer questions before a person is asked; the client's own rules hold as well. Those that codex would not ask
   * about under the profile are a `PolicyError`: `approvalPolicy: "untrusted"` asks about everything. Default none.
   */
  rules?: readonly ApprovalRule[];
  /** Who owns which thread. Default: in memory, forgotten with the process. */
  store?: SessionStore;
  /** Sessions that a tenant may have; closed ones don't count. Default 16. */
  maxSessionsPerTenant?: number;
  /** Subscriptions that a tenant may have at once. Default 32. */
  maxStreamsPerTenant?: number;
  /** Events kept for each session, for those who come back. Default 4096. */
  maxLogEvents?: number;
  /**
   * Characters of events kept for each session, and of turns kept for its snapshot. Of a turn that alone is larger, the
   * oldest items are left out and long texts cut. Default 4 Mi each.
   */
  maxLogBytes?: number;
  /** Milliseconds after which an unused session is released; it is resumed when it is used again. Default 30 minutes. */
  idleMs?: number;
  /**
   * Milliseconds without a turn or a reader after which a session is closed: its thread archived, and forgotten here.
   * Needs a store with `unusedSince`. Default: never.
   */
  sessionTtlMs?: number;
  /** Turns that may run at once, of all tenants; more are refused with 429. Default: no limit. */
  maxTurns?: number;
  /** Told about every failure that is not the caller's own (5xx). Default: `console.error`. */
  onError?: (error: unknown) => void;
  /** Several bridges that share the sessions. Default: this one alone. */
  cluster?: ClusterOptions;
}

/**
 * How bridges share sessions: each session has one owner at a time, and a request that comes to another node is passed on to
 * it. They need one `store`, one CODEX_HOME and the same workspaces, such as on a shared volume.
 */
export interface ClusterOptions {
  /** Where the other nodes reach this one's server, such as `http://10.0.0.7:8080`. */
  url: string;
  /** Who has which session. */
  owners: SessionOwners;
  /** Where the newest events are kept for the next owner. Default: nowhere; after a takeover browsers read the snapshot. */
  tail?: EventTail;
  /** Signs requests between the nodes; at least 32 characters, the same on all nodes. */
  secret: string;
  /** Milliseconds that running turns have in {@linkcode Bridge.drain}. Default 30,000. */
  drainMs?: number;
  /** Milliseconds after which the sessions of a node that is gone can be taken over. Default 10,000. */
  leaseMs?: number;
}

/** How a bridge works. */
export interface BridgeOptions extends WebAdapterOptions {
  /**
   * Names the tenant of a request, from a cookie or a header; `null` refuses it with 401. A throw refuses it with 500, a
   * `WebError` with its own status (400 to 599). Must not read the body.
   */
  authorize: (request: Request) => string | null | Promise<string | null>;
  /** Path before every route. Default `"/codex"`; `""` for none. */
  basePath?: string;
  /** Origins that may call besides the bridge's own, such as `https://app.example`; also behind a proxy. Default none. */
  origins?: readonly string[];
  /**
   * Names (`host` or `host:port`) the bridge answers to, against DNS rebinding, in a request's address as in its `Host`;
   * `"*"` for any. Default: IP addresses, `localhost` and the names in `origins`; a server with a name of its own lists it
   * here or there.
   */
  hosts?: readonly string[];
  /** Largest request body. Default 1 MiB. */
  maxBodyBytes?: number;
  /** Milliseconds that a request body may take to come; a slower one gets 408. Default 30,000. */
  bodyTimeoutMs?: number;
  /** Milliseconds between heartbeats of an idle stream. Default 5,000. */
  heartbeatMs?: number;
  /** Milliseconds after which a browser reconnects, as told by the stream. Default 1,000. */
  retryMs?: number;
  /**
   * Milliseconds after which `authorize` is asked again about an open stream, which ends when it says no, and when it
   * does not answer within 30 seconds. Default 60,000.
   */
  reauthorizeMs?: number;
}
