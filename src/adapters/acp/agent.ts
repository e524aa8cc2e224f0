/**
 * An agent of the Agent Client Protocol on one codex: what each method does.
 * @module
 */
import { type ApprovalHandler, handlerLimits } from "../../approvals/mod.ts";
import {
  AttachmentNotFoundError,
  CodexError,
  InvalidArgumentError,
  messageOf,
  MessageTooLargeError,
  RpcError,
  TurnFailedError,
} from "../../errors/mod.ts";
import { isJsonObject, type JsonObject, type JsonValue, memberOf } from "../../json.ts";
import { isRefusal, LIBRARY_VERSION, supports } from "../../protocol/mod.ts";
import type { Client, Model, Session, SessionConfig } from "../../session/mod.ts";
import { type Modes, modesOf, readServers, Settings, withServers } from "./settings.ts";
import { type Call, Peer } from "./peer.ts";
import { AgentSession, COMMANDS } from "./session.ts";
import { SessionList } from "./session_list.ts";
import {
  type ByteStreams,
  type ClientAbilities,
  Fault,
  FAULTS,
  type InitializeResult,
  isAbsolute,
  misfit,
  PROTOCOL_VERSION,
  type ServeProfile,
  type SessionState,
} from "./wire.ts";

/** Sessions that a client may have open at once. */
const MAX_SESSIONS = 128;
/** Milliseconds for a turn; a person sees it run, and can cancel it. */
const TIMEOUT_MS = 3_600_000;

/** Serves a client until it is gone. */
export async function serveAgent(
  client: Client,
  streams: ByteStreams,
  profile: ServeProfile,
): Promise<void> {
  const agent = new Agent(client, streams, profile);
  await agent.run();
}

class Agent {
  readonly #client: Client;
  readonly #profile: ServeProfile;
  readonly #modes: Modes;
  readonly #peer: Peer;
  readonly #sessions: Map<string, AgentSession> = new Map();
  /** Threads that are being opened. */
  readonly #opening: Set<string | symbol> = new Set();
  #models: Promise<Model[]> | null = null;
  readonly #list: SessionList;
  /** What the client can show; `null` before it said so. */
  #can: ClientAbilities | null = null;

  constructor(client: Client, streams: ByteStreams, profile: ServeProfile) {
    this.#client = client;
    this.#profile = profile;
    this.#modes = modesOf(profile);
    this.#peer = new Peer(streams, {
      request: (method, params, call) => this.#request(method, params, call),
      notification: (method, params) => this.#notification(method, params),
      fault,
    });
    this.#list = new SessionList(client, this.#peer.closed);
  }

  async run(): Promise<void> {
    const peer = this.#peer;
    await peer.run(this.#profile.signal);
    // Those that are being opened are released by whoever opens them.
    const released = await Promise.allSettled(
      [...this.#sessions.values()].map((session) => session.release()),
    );
    await peer.finish();
    const failed = released.find((each) => each.status === "rejected");
    if (failed !== undefined) throw failed.reason;
  }

  #notification(method: string, params: JsonObject): void {
    // One that nobody knows, or that comes too late, needs no answer.
    if (method !== "session/cancel") return;
    const { sessionId } = params;
    if (typeof sessionId === "string") this.#sessions.get(sessionId)?.cancel();
  }

  async #request(
    method: string,
    params: JsonObject,
    call: Call,
  ): Promise<JsonValue | object> {
    const { signal } = call;
    if (method === "initialize") return this.#initialize(params);
    if (this.#can === null) {
      throw new Fault(FAULTS.invalidRequest, "The first request must be `initialize`.");
    }
    switch (method) {
      case "authenticate":
        return await this.#authenticate(params, signal);
      case "session/new":
        return await this.#begin(params, call, (config) => this.#client.startSession(config));
      case "session/load":
        return await this.#load(params, call);
      case "session/resume":
        return (await this.#resume(params, call)).settings.state;
      case "session/fork": {
        const id = idOf(params);
        const threadId = this.#sessions.get(id)?.session.threadId ?? id;
        const fork = (config: SessionConfig) => this.#client.forkSession(threadId, config);
        return await this.#begin(params, call, fork);
      }
      case "session/list":
        return await this.#list.page(params, signal);
      case "session/close":
        return await this.#close(params);
      case "session/prompt":
        return await this.#session(params).prompt(params["prompt"], signal);
      case "session/set_mode": {
        const session = this.#session(params);
        session.settings.setMode(params["modeId"]);
        const { configOptions } = session.settings.state;
        session.tell([{ sessionUpdate: "config_option_update", configOptions }]);
        return {};
      }
      case "session/set_config_option": {
        const session = this.#session(params);
        const { settings } = session;
        const before = settings.mode;
        settings.set(params["configId"], params["value"]);
        if (settings.mode !== before) {
          session.tell([{ sessionUpdate: "current_mode_update", currentModeId: settings.mode }]);
        }
        return { configOptions: settings.options };
      }
      default:
        throw new Fault(FAULTS.unknownMethod, "The agent does not know the method.");
    }
  }

  #initialize(params: JsonObject): InitializeResult {
    if (this.#can !== null) {
      throw new Fault(FAULTS.invalidRequest, "The connection is initialized already.");
    }
    if (typeof params["protocolVersion"] !== "number") {
      throw misfit("protocolVersion", "a number");
    }
    this.#can = abilitiesOf(params);
    const none = {};
    return {
      // The only one there is: a client that can't speak it leaves.
      protocolVersion: PROTOCOL_VERSION,
      agentInfo: { name: "codex-runtime", title: "Codex", version: LIBRARY_VERSION },
      agentCapabilities: {
        loadSession: true,
        promptCapabilities: { image: true, audio: false, embeddedContext: true },
        mcpCapabilities: { http: true, sse: false },
        sessionCapabilities: { list: none, resume: none, close: none, fork: none },
      },
      authMethods: [LOGIN],
    };
  }

  async #authenticate(params: JsonObject, signal: AbortSignal): Promise<JsonObject> {
    if (params["methodId"] !== LOGIN.id) throw misfit("methodId", JSON.stringify(LOGIN.id));
    await this.#assertLogin(signal);
    return {};
  }

  /** A prompt without a login would fail after the user has written it. */
  async #assertLogin(signal: AbortSignal): Promise<void> {
    const told = await this.#client.runtime.request("account/read", {}, { signal })
      // Codex from 0.160 on asks the account's backend first, which may refuse the login, or be away.
      .catch((error) => {
        if (!(error instanceof RpcError)) throw error;
        return { requiresOpenaiAuth: isRefusal(error, "loginRefused") };
      });
    if (memberOf(told, "requiresOpenaiAuth") !== true) return;
    if (isJsonObject(memberOf(told, "account"))) return;
    const message = "Codex has no valid login. Run `codex login` in a terminal, then try again.";
    throw new Fault(FAULTS.authRequired, message);
  }

  async #begin(
    params: JsonObject,
    call: Call,
    open: (config: SessionConfig) => Promise<Session>,
  ): Promise<{ sessionId: string } & SessionState> {
    const session = await this.#open(null, params, call, open);
    return { sessionId: session.id, ...session.settings.state };
  }

  async #load(params: JsonObject, call: Call): Promise<SessionState> {
    const session = await this.#resume(params, call);
    try {
      await this.#replay(session, call.signal);
    } catch (error) {
      await this.#drop(session).catch(() => {});
      throw error;
    }
    return session.settings.state;
  }

  async #replay(session: AgentSession, signal: AbortSignal): Promise<void> {
    try {
      const { turns } = await this.#client.readThread(session.id, { includeTurns: true, signal });
      session.replay(turns);
    } catch (error) {
      if (!(error instanceof MessageTooLargeError)) throw error;
      // No message holds all of it.
      for await (const turn of this.#client.turns(session.id, { signal })) session.replay([turn]);
    }
  }

  async #resume(params: JsonObject, call: Call): Promise<AgentSession> {
    const threadId = idOf(params);
    const open = (config: SessionConfig) => this.#client.resumeSession(threadId, config);
    return await this.#open(threadId, params, call, open);
  }

  async #open(
    threadId: string | null,
    params: JsonObject,
    { signal, after }: Call,
    open: (config: SessionConfig) => Promise<Session>,
  ): Promise<AgentSession> {
    const cwd = placeOf(params);
    const brought = readServers(params["mcpServers"]);
    const place = threadId ?? Symbol();
    if (this.#opening.has(place) || (threadId !== null && this.#sessions.has(threadId))) {
      throw new Fault(FAULTS.invalidRequest, "The session is open already.");
    }
    if (this.#sessions.size + this.#opening.size >= MAX_SESSIONS) {
      const message = `More than ${MAX_SESSIONS} sessions are open. Close one first.`;
      throw new Fault(FAULTS.invalidRequest, message);
    }
    this.#opening.add(place);
    try {
      await this.#assertLogin(signal);
      const models = await this.#listModels();
      const { signal: _, approvals, ...profile } = this.#profile;
      let made: AgentSession | null = null;
      const ask: ApprovalHandler = (request, context) =>
        this.#modes.asks && made?.approve(request, context) || { decision: "decline" };
      handlerLimits.set(ask, (request) => made?.limit(request));
      const config: SessionConfig = {
        timeoutMs: TIMEOUT_MS,
        ...profile,
        cwd,
        signal,
        // Also where nobody is asked: hooks have codex ask, and rules allow no more than the mode.
        ...(this.#modes.asks || approvals ? { approvals: { rules: [], ...approvals, ask } } : {}),
      };
      const own = profile.mcpServers ?? {};
      const openWith = (policy: Modes["widest"]) =>
        withServers(own, brought, (mcpServers) => open({ ...config, ...policy, mcpServers }));
      let modes = this.#modes;
      let session = await openWith(modes.widest);
      if (isFixed(session, this.#client.server.version)) {
        const { turn } = modes.all.find(({ id }) => id === modes.initial)!;
        modes = { ...modes, all: modes.all.filter((each) => each.turn.sandbox === turn.sandbox) };
        if (turn.sandbox !== modes.widest.sandbox) {
          await (threadId === null ? session.close() : session.release());
          const { mode: _, ...policy } = turn;
          session = await openWith(policy);
        }
      }
      const { toolHooks, toolHooksNote } = session.policy;
      const ruled = !toolHooks && toolHooksNote === null && (approvals?.rules ?? []).length > 0;
      const { effort } = session.profile;
      const left = threadId === null
        ? null
        : this.#client.runtime.state().threads[threadId]?.model ?? null;
      const settings = new Settings(modes, models, { ...profile, effort }, ruled, left);
      const opened = made = new AgentSession({
        session,
        peer: this.#peer,
        can: this.#can!,
        settings,
      });
      if (this.#peer.closed.aborted || signal.aborted) {
        await made.release();
        throw this.#peer.closed.reason ?? signal.reason;
      }
      this.#sessions.set(made.id, made);
      after(() => {
        opened.tell([{
          sessionUpdate: "available_commands_update",
          availableCommands: COMMANDS,
        }]);
      });
      return made;
    } finally {
      this.#opening.delete(place);
    }
  }

  /** What can't be listed can't be chosen; the profile's model is always there. */
  #listModels(): Promise<Model[]> {
    this.#models ??= this.#client.models().catch(() => {
      this.#models = null;
      return [];
    });
    return this.#models;
  }

  async #close(params: JsonObject): Promise<JsonObject> {
    await this.#drop(this.#session(params));
    return {};
  }

  async #drop(session: AgentSession): Promise<void> {
    await session.release();
    this.#sessions.delete(session.id);
  }

  /** A session that this client opened on this connection: no other is its business. */
  #session(params: JsonObject): AgentSession {
    const session = this.#sessions.get(idOf(params));
    if (session !== undefined) return session;
    throw new Fault(FAULTS.notFound, "There is no such session open. Load or resume it first.");
  }
}

/**
 * Whether all turns of a session have its own sandbox: where reads are scoped, or accepted commands kept inside, codex before
 * 0.160 knows no other for them.
 */
function isFixed(session: Session, version: string | null): boolean {
  const { readRoots, readsEnforced, acceptedCommands } = session.policy;
  return (readRoots !== "all" && readsEnforced || acceptedCommands === "sandboxed") &&
    !supports(version, "turnProfiles");
}

/** How a person gets codex to work: its own command does it. */
const LOGIN = {
  id: "codex-login",
  name: "Log in with codex",
  description: "Run `codex login` in a terminal",
};

function abilitiesOf(params: JsonObject): ClientAbilities {
  const told = (...path: string[]) => memberOf(params, "clientCapabilities", ...path);
  return {
    // No part of the schema; Zed says it, and agents for Zed use it.
    terminalOutput: told("_meta", "terminal_output") === true,
    notices: isJsonObject(told("session", "notices")),
    compaction: isJsonObject(told("session", "compaction")),
    forms: isJsonObject(told("elicitation", "form")),
  };
}

function idOf(params: JsonObject): string {
  const id = params["sessionId"];
  if (typeof id === "string" && id !== "") return id;
  throw misfit("sessionId", "the id of a session");
}

/** Where a session works. Throws for what can't take effect. */
function placeOf(params: JsonObject): string {
  const { cwd } = params;
  if (!isAbsolute(cwd)) throw misfit("cwd", "an absolute path");
  // The protocol reads `null` as an empty list.
  const more = params["additionalDirectories"] ?? [];
  if (!Array.isArray(more)) throw misfit("additionalDirectories", "a list");
  if (more.length > 0) {
    throw new Fault(FAULTS.invalidParams, "The agent takes no directories beside `cwd`.");
  }
  return cwd;
}

/** What was thrown, as a refusal. Words of this library only: others may hold what a client should not see. */
function fault(error: unknown): Fault {
  if (error instanceof Fault) return error;
  if (!(error instanceof CodexError)) return new Fault(FAULTS.internal, "The agent failed.");
  const data = { code: error.code, retryable: error.retryable };
  return new Fault(codeOf(error), messageOf(error), data);
}

function codeOf(error: CodexError): number {
  if (error instanceof TurnFailedError && error.kind === "auth") return FAULTS.authRequired;
  if (error instanceof RpcError && error.reason === "noThread") return FAULTS.notFound;
  return error instanceof InvalidArgumentError || error instanceof AttachmentNotFoundError
    ? FAULTS.invalidParams
    : FAULTS.internal;
}
