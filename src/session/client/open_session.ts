/**
 * How a thread becomes a session: what it may is decided, asked for, and compared with what the server confirms.
 * @module
 */
import { abortable } from "../../async.ts";
import { ConnectionClosedError, InvalidArgumentError } from "../../errors/mod.ts";
import {
  defined,
  type JsonObject,
  type JsonValue,
  memberOf,
  plainSettings,
  present,
  stringOf,
} from "../../json.ts";
import { hasToolHooks, HookRun, mergeHooks } from "../../plugin/mod.ts";
import type { EffectivePolicy } from "../../permissions/mod.ts";
import { type ClientConfig, isRemote, type RuntimeCore } from "../../runtime/mod.ts";
import type { Checkpoints } from "../history/rewind/checkpoints.ts";
import type { PortableThread } from "../history/portable_thread.ts";
import type { ThreadStore } from "../history/thread_store.ts";
import { rememberTools, toolSpecsOf } from "../mcp/begun_with.ts";
import type { SessionTools } from "../mcp/offered_tools.ts";
import { answerersOf } from "../policy/answerers.ts";
import { confirmDecided } from "../policy/confirm_policy.ts";
import { decideSessionPolicy, withApprovals } from "../policy/session_policy.ts";
import { agentsStarted } from "../policy/sub_agents.ts";
import {
  confirmProfile,
  openLimit,
  resolveProfile,
  threadAttachParams,
  threadStartParams,
  toldSettings,
  workingDirectory,
} from "../policy/thread_params.ts";
import type { SessionConfig } from "../profile.ts";
import type { SessionParts } from "../session_settings.ts";
import type { ForkPoint } from "../thread/fork_point.ts";
import { assertSupported } from "../thread/thread_host.ts";
import { threadInUse, whenClosed } from "../thread/when_closed.ts";
import type { UsageLedger } from "../turn/turn_usage.ts";
import type { OpenedThread, OpenThreads } from "./open_threads.ts";

/** How a thread comes to be a session's. */
export type Opening =
  | { method: "thread/start" }
  | { method: "thread/resume"; threadId: string; portable?: PortableThread }
  | { method: "thread/fork"; threadId: string; at?: ForkPoint };

/** Looks at what is asked before it is used, and may copy it. `where`: what the caller knows the opening by. */
export type OpeningCheck = (
  where: string,
  opening: Opening,
  config: SessionConfig,
) => SessionConfig | undefined;

/** What the caller knows each opening by. */
const DOORS: Record<Opening["method"], string> = {
  "thread/start": "startSession",
  "thread/resume": "resumeSession",
  "thread/fork": "forkSession",
};

/** What a session is going to be. */
type Plan = Pick<
  SessionParts,
  | "cwd"
  | "profile"
  | "served"
  | "toolSpecs"
  | "decided"
  | "answerers"
  | "checkpoints"
  | "hooks"
  | "startHooks"
  | "single"
  | "ledger"
  | "portable"
>;

/** Opens the sessions of one client. */
export class SessionOpener<Opened extends OpenedThread> {
  readonly #core: RuntimeCore;
  readonly #config: ClientConfig;
  readonly #ledger: UsageLedger;
  readonly #make: (parts: SessionParts) => Opened;
  readonly #check: OpeningCheck;
  /** The threads that its sessions have. */
  readonly threads: OpenThreads<Opened> = { sessions: new Set(), taken: new Map() };
  #toolsGone = () => Promise.resolve();

  /** `check` throws `InvalidArgumentError` for what no session can be; nothing else looks at the form of what is asked. */
  constructor(
    core: RuntimeCore,
    config: ClientConfig,
    ledger: UsageLedger,
    make: (parts: SessionParts) => Opened,
    check: OpeningCheck,
  ) {
    this.#core = core;
    this.#make = make;
    this.#check = check;
    this.#config = config;
    this.#ledger = ledger;
  }

  /** Rejects before anything is sent where it can be known. `single` is a run on a thread of its own. */
  async open(
    opening: Opening,
    config: SessionConfig,
    single = false,
    ledger: UsageLedger = this.#ledger,
  ): Promise<Opened> {
    const core = this.#core;
    const where = DOORS[opening.method];
    const given = this.#check(where, opening, config) ?? config;
    const { cwd: asked, approvals: own, signal, store, ...profileFields } = given;
    signal?.throwIfAborted();
    if (profileFields.checkpoints && core.config.isolation === "hermetic") {
      // A restore that a crash interrupts is finished from the home, which would be gone.
      throw new InvalidArgumentError(where, {
        argument: "checkpoints",
        received: 'true, with a client of `isolation: "hermetic"`',
        accepts: "left out there: snapshots lie in codex's home, which does not last",
      });
    }
    const answerers = await answerersOf(this.#config.approvals, own);
    const cwd = workingDirectory(asked, isRemote(core.config));
    const portable = await this.#portable(opening, store, profileFields.ephemeral);
    const profile = resolveProfile(profileFields, plainSettings(core.config.configOverrides));
    if (profile.serviceTier !== null) assertSupported(core, "serviceTier", "serviceTiers");
    const hooks = mergeHooks(this.#config.hooks, profile.hooks);
    const hookRun = new HookRun(hooks, { cwd, ...defined({ signal }) });
    const input = await hookRun.pre("preSessionStart", present({ model: profile.model }));
    const patched = input.model === undefined ? profile : { ...profile, model: input.model };
    const expectsQuestions = answerers.all !== undefined || patched.approvalPolicy !== "never" ||
      hasToolHooks(hooks) || Object.keys(patched.tools).length > 0;
    if (expectsQuestions) await abortable(core.approvals.ready(), signal);
    let served: SessionTools | null = null;
    try {
      // What decides about the policy is asked of the server that is there, also while its threads are resumed.
      await core.ready(signal);
      const toolSpecs = await toolSpecsOf(patched.tools);
      if (opening.method !== "thread/start" && Object.keys(patched.tools).length > 0) {
        const { serveMissingTools, toolServerGone } = await import("../mcp/offered_tools.ts");
        this.#toolsGone = () => toolServerGone(core);
        served = await serveMissingTools(core, opening.threadId, cwd, patched);
      }
      const decided = withApprovals(
        await abortable(
          decideSessionPolicy(core, cwd, patched, hooks, answerers, served),
          signal,
        ),
        answerers,
        patched.mode === "plan",
      );
      if (opening.method === "thread/resume") {
        await refuseBesideAgents(core, opening.threadId, decided.effective);
      }
      const helped = Object.keys({ ...patched.tools, ...patched.mcpServers }).length > 0;
      const checkpoints = patched.checkpoints
        ? await abortable(openCheckpoints(where, core, cwd, decided.effective, helped), signal)
        : null;
      const plan = {
        cwd,
        // With real paths, which later turns do not follow anew.
        profile: { ...patched, sandbox: decided.effective.sandbox },
        served,
        toolSpecs,
        decided,
        answerers,
        checkpoints,
        hooks,
        startHooks: hookRun,
        single,
        ledger,
        portable,
      };
      const session = await this.#openThread(opening, plan, signal);
      hookRun.learn({ threadId: session.threadId });
      await hookRun.post("postSessionStart", { status: "ok" });
      return session;
    } catch (error) {
      await served?.end();
      const told = hookRun.post("postSessionStart", { status: "error", error });
      if (signal?.aborted !== true) await told;
      throw error;
    }
  }

  async #portable(
    opening: Opening,
    store: ThreadStore | undefined,
    ephemeral: boolean | undefined,
  ): Promise<PortableThread | null> {
    if (store === undefined) return null;
    const where = DOORS[opening.method];
    if (ephemeral === true) {
      throw new InvalidArgumentError(where, {
        argument: "store",
        received: "a store, with `ephemeral`",
        accepts: "left out where nothing is left behind",
      });
    }
    if ("portable" in opening) return opening.portable!;
    return await makePortable(this.#core, store, where, null);
  }

  /** Settles when nothing serves tools to codex any more. */
  toolsGone(): Promise<void> {
    return this.#toolsGone();
  }

  async #openThread(
    opening: Opening,
    plan: Plan,
    signal: AbortSignal | undefined,
  ): Promise<Opened> {
    const core = this.#core;
    const { cwd, profile, decided } = plan;
    const forks = opening.method === "thread/fork" ? await import("../thread/fork_point.ts") : null;
    const fork = opening.method === "thread/fork"
      ? await forks!.planFork(core, opening.threadId, opening.at ?? {}, signal)
      : null;
    const params = opening.method === "thread/start"
      ? threadStartParams(cwd, profile, decided, plan.toolSpecs)
      : {
        ...threadAttachParams(opening.threadId, cwd, profile, decided),
        ...fork?.params,
        ...(fork !== null && profile.ephemeral ? { ephemeral: true } : {}),
      };
    const open = async (isTaken = () => false): Promise<Opened> => {
      const { session, recover } = await this.#call(opening, params, plan, isTaken, signal);
      try {
        signal?.throwIfAborted();
        await forks?.dropTurns(core, session.threadId, fork?.drop ?? 0);
        const { developerInstructions: text } = profile;
        if (text) {
          const from = "threadId" in opening ? opening.threadId : null;
          const { tellInstructions } = await import("../thread/instructions.ts");
          const cut = "at" in opening && Object.keys(opening.at ?? {}).length > 0;
          await tellInstructions(core, from, session.threadId, text, cut);
        }
        if (plan.checkpoints !== null) await recover();
        await plan.portable?.opened(session.threadId);
        return session;
      } catch (error) {
        await leave(opening, session);
        throw error;
      }
    };
    // What was given up is opened all the same, and left then: the thread, its MCP servers, and what it begins by itself.
    const opened = opening.method === "thread/resume"
      ? (await import("./open_threads.ts")).takeUp(this.threads, opening.threadId, signal, open)
      : open();
    return await abortable(opened, signal).catch((error) => {
      opened.then((session) => leave(opening, session), () => {});
      throw error;
    });
  }

  async #call(
    opening: Opening,
    params: JsonObject,
    plan: Plan,
    isTaken: () => boolean,
    signal: AbortSignal | undefined,
  ): Promise<{ session: Opened; recover: () => Promise<void> }> {
    const core = this.#core;
    const { mcpServers } = plan.profile;
    let recover = () => Promise.resolve();
    const onOpened: SessionParts["onOpened"] = (host, warn) => {
      const lost = plan.portable?.takeWarning() ?? null;
      if (lost !== null) warn(lost);
      recover = async () => (await import("../history/rewind/rewind.ts")).recover(host, warn);
    };
    if (opening.method === "thread/resume") {
      // Old codex goes on with what the session before this one was given for itself, 0.145 where it has agents.
      const { unloadThread } = await import("../mcp/offered_tools.ts");
      const { threadId } = opening;
      const bringsServers = plan.served !== null || Object.keys(mcpServers).length > 0;
      const agents = agentsStarted(core, threadId).size > 0;
      await whenClosed(() => unloadThread(core, threadId, signal, bringsServers, agents), signal);
      signal?.throwIfAborted();
    }
    let session: Opened | null = null;
    let refused: unknown = null;
    let isLate = false;
    const call = () => {
      const answered = core.call(opening.method, params, {
        ...openLimit(core, mcpServers),
        // At once, so that what the server says next about the thread finds its session.
        onResult: (result) => {
          // Whoever has taken the thread up meanwhile keeps it.
          if (isLate && isTaken()) return;
          try {
            session = this.#adopt(opening, result, plan, onOpened);
            if (isLate) void leave(opening, session);
          } catch (error) {
            refused = error;
          }
        },
      });
      core.approvals.opening(defined({ approvals: plan.answerers.all }), answered);
      return answered;
    };
    await whenClosed(call, signal).catch((error) => {
      isLate = true;
      throw opening.method === "thread/start" ? error : threadInUse(error, opening.threadId);
    });
    if (session === null) throw refused;
    return { session, recover };
  }

  #adopt(
    opening: Opening,
    result: JsonValue,
    plan: Plan,
    onOpened: SessionParts["onOpened"],
  ): Opened {
    const threadId = stringOf(result, "thread", "id") ?? "";
    if (threadId === "") {
      throw new ConnectionClosedError(`${opening.method} was answered without a thread id.`, {
        retryable: false,
      });
    }
    let policy;
    try {
      policy = confirmDecided(this.#core, plan.decided, result);
      confirmProfile(plan.profile, result);
    } catch (error) {
      // Nothing may run on a thread that is allowed too much.
      this.#core.call("thread/unsubscribe", { threadId }, { timeoutMs: 5_000 }).catch(() => {});
      throw error;
    }
    const session: Opened = this.#make({
      ...plan,
      // A resumed thread is what it was, and old servers keep every fork: only what they say counts when it is closed.
      profile: { ...plan.profile, ephemeral: isEphemeral(result) },
      core: this.#core,
      threadId,
      clientHooks: this.#config.hooks,
      policy,
      told: toldSettings(result, opening.method === "thread/start"),
      attached: opening.method !== "thread/start",
      openCopy: (copy, config, ledger) => this.open(copy, config, false, ledger),
      onOpened,
      onClosed: () => this.threads.sessions.delete(session),
    });
    if (opening.method !== "thread/resume") {
      const tools = opening.method === "thread/fork"
        ? { copyOf: opening.threadId }
        : plan.toolSpecs;
      rememberTools(this.#core, threadId, tools);
    }
    this.threads.sessions.add(session);
    return session;
  }
}

/** Ends what nobody wants: a thread that was there before stays in the history. Never rejects. */
async function leave({ method }: Opening, session: OpenedThread): Promise<void> {
  const ended = method === "thread/resume" ? session.release?.() : session.close();
  await ended?.catch(() => {});
}

/** Agents of the thread's session before, which this one could set to work, keep what that one gave them. */
async function refuseBesideAgents(
  core: RuntimeCore,
  threadId: string,
  policy: EffectivePolicy,
): Promise<void> {
  const started = agentsStarted(core, threadId);
  if (started.size === 0) return;
  const { refuseNarrower } = await import("../policy/codex_setup.ts");
  refuseNarrower(policy, started);
}

/** Loaded when it is asked for: few threads are kept by the host. */
export async function makePortable(
  core: RuntimeCore,
  store: ThreadStore,
  where: string,
  threadId: string | null,
): Promise<PortableThread> {
  const { PortableThread } = await import("../history/portable_thread.ts");
  return new PortableThread(core, store, where, threadId);
}

/** Loaded when it is asked for: few sessions record their workspace. */
async function openCheckpoints(
  ...args: Parameters<typeof Checkpoints.open>
): Promise<Checkpoints> {
  return await (await import("../history/rewind/checkpoints.ts")).Checkpoints.open(...args);
}

/** Whether the thread has no file, so that it goes with its server. */
function isEphemeral(result: JsonValue): boolean {
  return memberOf(result, "thread", "ephemeral") === true ||
    memberOf(result, "thread", "path") === null;
}
