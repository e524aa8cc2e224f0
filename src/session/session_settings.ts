/**
 * What a session's thread runs with: what was decided, what was sent, and what the server confirmed.
 * @module
 */
import { InvalidArgumentError } from "../errors/mod.ts";
import { isJsonObject, type JsonObject, type JsonValue, objectsOf, stringOf } from "../json.ts";
import type { EffectivePolicy } from "../permissions/mod.ts";
import { hasToolHooks, type HookRun, type Hooks, mergeHooks } from "../plugin/mod.ts";
import { supports } from "../protocol/mod.ts";
import { isAttached, type RuntimeCore } from "../runtime/mod.ts";
import {
  confirmDecided,
  confirmLive,
  confirmSettings,
  type DecidedPolicy,
  hookNotes,
  pathNotes,
} from "./policy/confirm_policy.ts";
import {
  decideSessionPolicy,
  decideTurnPolicy,
  mayLeaveSandbox,
  recheck,
  withApprovals,
} from "./policy/session_policy.ts";
import { endsLeft, keptOf, reachesNetwork } from "./policy/policy_facts.ts";
import { agentsStarted } from "./policy/sub_agents.ts";
import {
  confirmProfile,
  openLimit,
  readMode,
  settingsOf,
  type StickySettings,
  threadAttachParams,
  threadStartParams,
  type ToldSettings,
  toldSettings,
  turnStartParams,
} from "./policy/thread_params.ts";
import type { Checkpoints } from "./history/rewind/checkpoints.ts";
import type { ResolvedProfile, SessionConfig } from "./profile.ts";
import type { TurnRequest } from "./prompt/prompt_run.ts";
import type { SessionAnswerers } from "./policy/answerers.ts";
import type { SessionTools } from "./mcp/offered_tools.ts";
import type { ToolSpec } from "./mcp/tool_server.ts";
import type { PortableThread } from "./history/portable_thread.ts";
import type { ForkPoint } from "./thread/fork_point.ts";
import { assertSupported, type ThreadCopy, type ThreadHost } from "./thread/thread_host.ts";
import type { EmitTurnEvent } from "./turn/turn_outcome.ts";
import type { AgentSpan } from "./telemetry/agent_span.ts";
import type { OtelContext } from "../telemetry.ts";
import type { UsageLedger } from "./turn/turn_usage.ts";

/** Settings for comparison; the mode is looked at by itself, since only some turns say it. */
function withoutMode({ collaborationMode: _mode, ...settings }: JsonObject): string {
  return JSON.stringify(settings);
}

/** What a session is made of; put together by the client. */
export interface SessionParts {
  /** The connection. */
  core: RuntimeCore;
  /** The thread. */
  threadId: string;
  /** Where the agent works. */
  cwd: string;
  /** How it runs. */
  profile: ResolvedProfile;
  /** The client's own hooks. */
  clientHooks: Hooks | undefined;
  /** Those and its own, merged. */
  hooks: Required<Hooks>;
  /** Who answers its questions. */
  answerers: SessionAnswerers;
  /** Its tools that codex does not offer by itself; `null`: there are none. */
  served: SessionTools | null;
  /** Its tools as the model is told of them. */
  toolSpecs: readonly ToolSpec[];
  /** What was asked of the server. */
  decided: DecidedPolicy;
  /** What the server confirmed. */
  policy: EffectivePolicy;
  /** What the server said that its turns run with. */
  told: ToldSettings;
  /** Carries the thread to the host's store, where there is one. */
  portable: PortableThread | null;
  /** Whether the thread was there before. */
  attached: boolean;
  /** What is recorded before its turns, or `null`. */
  checkpoints: Checkpoints | null;
  /** The hooks of its start. */
  startHooks: HookRun;
  /** Whether it is there for one prompt only, whose hooks go on where those of the start ended. */
  single: boolean;
  /** Whether a codex of one's own is ended with it, which then needs not hear that its thread is left. */
  last?: boolean;
  /** Counts tokens for the client. */
  ledger: UsageLedger;
  /** Opens another session of the client; `ledger`: counts for this session. */
  openCopy: (
    opening: { method: "thread/start" } | {
      method: "thread/fork";
      threadId: string;
      at?: ForkPoint;
    },
    config: SessionConfig,
    ledger?: UsageLedger,
  ) => Promise<ThreadCopy>;
  /** Called once, at once, with what the session offers to what happens beside prompts. */
  onOpened: (host: ThreadHost, warn: (message: string) => void) => void;
  /** Called once, when the session no longer needs its client. */
  onClosed: () => void;
}

/** What of it stays as it is. The rest is what the session began with: `SessionSettings` and the connection know what it is now. */
export type LastingParts = Omit<
  SessionParts,
  "threadId" | "profile" | "hooks" | "decided" | "policy" | "told"
>;

/** Spans of turns; loaded when somebody listens to them. */
let spans: typeof import("./telemetry/agent_span.ts") | null = null;

const UNCONFIRMED =
  "The server has not said what a turn's commands may do: `policy.sandbox` is what was asked for, not confirmed.";

/** What a session's thread runs with. */
export class SessionSettings {
  /** How the session runs. */
  profile: ResolvedProfile;
  /** How what is asked now runs when its turn comes. */
  next: ResolvedProfile;
  /** How many changes of it wait in line. */
  changes = 0;
  /** What the server confirmed. */
  policy: EffectivePolicy;
  /** What codex was given and keeps, with the sandbox of the turn, as JSON; `""` for what none holds. */
  readonly kept: Set<string> = new Set();
  /** What agents keep of the turns that have started them, as JSON. */
  readonly agents: Set<string>;
  /**
   * Ends all that the thread's turns have left, or throws what is given; without that, what a stopped one may have left. Set by
   * who has the connection.
   */
  declare renew: (refusal?: () => Error) => Promise<void>;
  readonly #core: RuntimeCore;
  readonly #parts: LastingParts;
  /** Whether it began with a plan: the approvals that were given for that stay, and may be asked nothing later. */
  readonly #planned: boolean;
  #decided: DecidedPolicy;
  /** What the last turn was sent. */
  #sent: DecidedPolicy;
  /** What the thread runs with, as sent since it was opened; `{}`: it is not known. */
  #settings: JsonObject | null = null;
  /** What its turns run with that say nothing of it. */
  #told: ToldSettings;
  /** Whether a turn brought a model, which the thread keeps. */
  #broughtModel = false;
  /** The client's hooks with those of a profile, by these: all turns without hooks of their own have the same. */
  readonly #hooks: WeakMap<Hooks, Required<Hooks>>;
  /** What turns have been warned of: once a session is enough. */
  readonly #warned: Set<string> = new Set();

  /** Begins with what the thread was opened with. */
  constructor(parts: SessionParts) {
    this.#core = parts.core;
    this.#parts = parts;
    this.#planned = parts.profile.mode === "plan";
    this.profile = this.next = parts.profile;
    this.policy = parts.policy;
    this.#decided = parts.decided;
    this.#sent = parts.decided;
    this.#told = parts.told;
    this.agents = new Set(agentsStarted(parts.core, parts.threadId));
    this.#hooks = new WeakMap([[parts.profile.hooks, parts.hooks]]);
  }

  /** What the last turn may do. */
  get sent(): EffectivePolicy {
    return this.#sent.effective;
  }

  /** What a turn with this profile may do. Throws what the profile may not ask for. */
  effective(profile: ResolvedProfile): EffectivePolicy {
    return this.#decide(profile).effective;
  }

  /** Rejects when a turn with this profile would get further than it says, by codex's configuration or by what is left of others. */
  async admit(threadId: string, profile: ResolvedProfile, left = false): Promise<void> {
    const { effective } = this.#decide(profile);
    const given = this.kept.size + this.agents.size + effective.rulesFiles.length;
    const isOther = keptOf(effective) !== keptOf(this.sent);
    const session = this.#decided.effective;
    const asks = session.approvalPolicy === "never" && effective.approvalPolicy !== "never";
    if (!left && given === 0 && !isOther && !asks && !reachesNetwork(effective.sandbox)) return;
    const { admitTurn, withBetween } = await import("./policy/codex_setup.ts");
    this.#decided.between = withBetween;
    const watched = hasToolHooks(this.hooksOf(profile)) && !profile.allowRulesFiles;
    const turn = {
      threadId,
      effective: this.effective(profile),
      consent: profile,
      session,
      watched,
      left,
    };
    await admitTurn(this.#core, this, turn);
  }

  /** Gets ready to trace turns, where somebody listens. */
  async readyToTrace(): Promise<void> {
    if (this.#core.telemetry?.listens) spans ??= await import("./telemetry/agent_span.ts");
  }

  /** Begins the span of a turn with these parameters, below the caller's; `null` where nobody listens. */
  span(
    threadId: string,
    params: JsonObject,
    parent: OtelContext | null,
    told: string | null = this.#told.model,
  ): AgentSpan | null {
    const { telemetry, server } = this.#core;
    if (spans === null || telemetry === null) return null;
    return spans.AgentSpan.begin(telemetry, {
      threadId,
      model: stringOf(params, "model") ?? told,
      provider: this.#told.provider,
      effort: stringOf(params, "effort") ?? this.profile.effort,
      json: isJsonObject(params["outputSchema"]),
      input: objectsOf(params, "input"),
      version: server.version,
    }, parent);
  }

  /** The hooks of a profile, and the client's. */
  hooksOf(profile: ResolvedProfile): Required<Hooks> {
    let hooks = this.#hooks.get(profile.hooks);
    if (hooks === undefined) {
      hooks = mergeHooks(this.#parts.clientHooks, profile.hooks);
      this.#hooks.set(profile.hooks, hooks);
    }
    return hooks;
  }

  /**
   * The parameters of a turn; `leaves`: whether its commands may leave the sandbox, `accepted`: to be called when the server
   * has taken it. Throws what the profile may not ask for.
   */
  turn(
    threadId: string,
    turn: TurnRequest,
  ): { params: JsonObject; leaves: boolean; accepted: () => void } {
    const { profile } = turn;
    const decided = this.#decide(profile);
    this.#warn(threadId, decided.effective, turn.emit);
    this.#sent = decided;
    const { acceptedCommands } = this.policy;
    const params = turnStartParams(
      threadId,
      turn.input,
      profile,
      decided,
      turn.outputSchema,
      this.#sticky(profile),
    );
    const settings = settingsOf(params);
    // Of a prompt that is refused 0.125 keeps them, and 0.169 does not.
    this.#settings = supports(this.#core.server.version, "threadSettings") ? {} : settings;
    const { mode } = profile;
    // Until the server has answered, it may be in either mode.
    if (mode !== this.#told.mode) this.#told = { ...this.#told, mode: null };
    return {
      params,
      leaves: mayLeaveSandbox({ ...decided.effective, acceptedCommands }),
      accepted: () => [this.#told, this.#settings] = [{ ...this.#told, mode }, settings],
    };
  }

  /** The model that a turn runs with; `null` when the server did not tell the thread's own. */
  modelOf(model: string | null): string | null {
    return model ?? this.#told.model;
  }

  /** What a turn has to say so that it runs with this profile, whatever the turns before it brought. */
  #sticky({ model, mode }: ResolvedProfile): StickySettings {
    const told = this.#told;
    if (model !== null) this.#broughtModel = true;
    const say = model ?? (this.#broughtModel ? told.model : null);
    if (mode === "default" && told.mode === "default") return { model: say, mode: null };
    const known = model ?? told.model;
    if (known !== null) return { model: say, mode: { mode, model: known } };
    if (mode === "default") return { model: say, mode: null };
    throw new InvalidArgumentError("ask", {
      argument: "mode",
      received: '"plan" without a model, and the server does not tell its own',
      accepts: "a `model` with it",
    });
  }

  /** Gives the thread the settings of this profile: those of the last turn stick to it. */
  async settle(threadId: string, what: string, asked: ResolvedProfile): Promise<void> {
    const core = this.#core;
    // What codex begins by itself is work: nobody would read its plan.
    const profile: ResolvedProfile = { ...asked, mode: "default" };
    const sent = (own: ResolvedProfile, decided: DecidedPolicy) =>
      settingsOf(turnStartParams(threadId, [], own, decided, null, this.#sticky(own)));
    await this.admit(threadId, profile);
    const decided = this.#decide(profile);
    const settings = sent(profile, decided);
    const same = (other: JsonObject) => withoutMode(other) === withoutMode(settings);
    const canUpdate = supports(core.server.version, "threadSettings");
    const rightMode = this.#told.mode === "default" || !canUpdate;
    if (rightMode && this.#settings !== null && same(this.#settings)) return;
    if (!canUpdate) {
      // A thread without a turn runs with what it was started with.
      if (this.#settings === null && same(sent(this.profile, this.#decide(this.profile)))) return;
      assertSupported(core, what, "threadSettings");
    }
    this.#sent = decided;
    this.#settings = {};
    await core.call("thread/settings/update", { threadId, ...settings });
    this.#settings = settings;
    this.#told = { ...this.#told, mode: "default" };
  }

  /** Where the agent works, without links. Throws when that leads elsewhere by now. */
  get cwd(): string {
    const { effective } = this.#decided;
    recheck(this.#core, effective);
    return effective.cwd;
  }

  /** Starts or resumes the thread with these settings, and checks what the server confirms; settles with its answer. */
  async open(
    method: "thread/start" | "thread/resume",
    threadId: string,
    goals: boolean,
  ): Promise<JsonValue> {
    const core = this.#core;
    const { answerers, served, toolSpecs } = this.#parts;
    const { cwd } = this;
    await served?.check();
    const profile = { ...this.profile, goals };
    const hooks = this.hooksOf(profile);
    const decided = withApprovals(
      await decideSessionPolicy(core, cwd, profile, hooks, answerers, served),
      answerers,
      profile.mode === "plan" || this.#planned,
    );
    const params = method === "thread/start"
      ? threadStartParams(cwd, profile, decided, toolSpecs)
      : threadAttachParams(threadId, cwd, profile, decided);
    const result = await core.callNow(method, params, openLimit(core, profile.mcpServers));
    // A server that works on without us lets the programs of the last turn go on, with what that brought.
    const goesOn = method === "thread/resume" && isAttached(core.config) && endsLeft(core);
    this.policy = goesOn
      ? confirmLive(core, decided, this.#sent, result)
      : confirmDecided(core, decided, result);
    confirmProfile(profile, result);
    this.#decided = decided;
    if (!goesOn) [this.#sent, this.#settings] = [decided, null];
    else if (supports(core.server.version, "threadSettings")) this.#settings = {};
    this.#told = toldSettings(result, method === "thread/start");
    this.#broughtModel = false;
    return result;
  }

  /** The server tells what the thread may do now. Throws when that is more than the turn was sent with. */
  confirm(params: JsonObject): void {
    const mode = readMode(params["threadSettings"]);
    if (mode !== null) this.#told = { ...this.#told, mode };
    this.policy = confirmSettings(this.#core, this.policy, this.#decided, this.#sent, params);
  }

  /**
   * What is to be said at the end of a turn with the session's own sandbox, when the server has not confirmed that; `null`:
   * nothing, or it was said before.
   */
  unconfirmed(): string | null {
    const own = JSON.stringify(this.#sent.turn) === JSON.stringify(this.#decided.turn);
    if (this.policy.confirmed || !own || this.#warned.has(UNCONFIRMED)) return null;
    this.#warned.add(UNCONFIRMED);
    return UNCONFIRMED;
  }

  /** Somebody else has changed what the thread may do: until the next turn of this session says it all again. */
  distrust(): void {
    this.#settings = {};
    this.policy = { ...this.policy, acceptedCommands: "mayLeave", confirmed: false };
  }

  #decide(profile: ResolvedProfile): DecidedPolicy {
    return withApprovals(
      decideTurnPolicy(this.#core, this.#decided, profile, this.hooksOf(profile)),
      this.#parts.answerers,
      profile.mode === "plan" || this.#planned,
    );
  }

  /** Says what the agent may do that the caller may not expect. */
  #warn(threadId: string, policy: EffectivePolicy, emit: EmitTurnEvent): void {
    const sentences = [...this.policy.narrowed, ...policy.narrowed];
    sentences.push(...pathNotes(this.#core, policy));
    sentences.push(...hookNotes(this.#core, policy, this.hooksOf(this.profile)));
    if (policy.approvalsNote !== null) sentences.push(policy.approvalsNote);
    // A guard that is not asked; where it is asked, the note tells nothing that has to be known.
    if (policy.toolHooksNote !== null && !policy.toolHooks) sentences.push(policy.toolHooksNote);
    if (this.kept.size > 0 && (policy.toolHooks || policy.toolHooksNote !== null)) {
      sentences.push(
        "Codex does not ask again about what was accepted for the session: these hooks do not see it.",
      );
    }
    if (!this.policy.readsEnforced) {
      sentences.push(
        "This codex can't limit what commands read: they may read more than this script.",
      );
    }
    if (this.#isLate(policy)) {
      sentences.push(
        "Hooks and rules of a single prompt do not see MCP tools that say they only read, which codex was told not to " +
          "ask about. Give the session the hooks or the approval policy.",
      );
    }
    if (policy.toolHooks && this.#parts.answerers.all === undefined) {
      sentences.push(
        "Tool-use hooks make codex ask about everything it does, and nobody is there to accept it: all is declined. " +
          "Give the session or client `approvals`, or leave out the hooks.",
      );
    }
    for (const message of sentences) this.warnOnce(message, threadId, emit);
  }

  /** Whether a guard came too late to have codex ask about each call of the session's MCP tools. */
  #isLate({ approvalPolicy, toolHooks }: EffectivePolicy): boolean {
    if (approvalPolicy === "never" || !this.#decided.believesServers) return false;
    const { all, rules } = this.#parts.answerers;
    return supports(this.#core.server.version, "asksAboutReadingTools") &&
      (toolHooks || rules?.guardsTools(all) === true);
  }

  /** Tells a turn something that is said once a session. */
  warnOnce(message: string, threadId: string, emit: EmitTurnEvent): void {
    if (this.#warned.has(message)) return;
    this.#warned.add(message);
    emit?.({ type: "warning", threadId, turnId: "", message });
  }
}
