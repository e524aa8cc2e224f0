/**
 * What a session offers to what happens on its thread beside its prompts.
 * @module
 */
import { ConnectionClosedError, UnsupportedError } from "../../errors/mod.ts";
import { type Feature, featureSince, supports } from "../../protocol/mod.ts";
import type { JsonObject } from "../../json.ts";
import type { EffectivePolicy } from "../../permissions/mod.ts";
import type { HookRun } from "../../plugin/mod.ts";
import type { RuntimeCore } from "../../runtime/mod.ts";
import type { ResolvedProfile, SessionConfig } from "../profile.ts";
import type { SessionAnswerers } from "../policy/answerers.ts";
import type { AgentThread } from "../policy/sub_agents.ts";
import type { AgentSpan } from "../telemetry/agent_span.ts";
import type { ThreadTurns } from "../turn/thread_turns.ts";
import type { ThreadListeners } from "../turn/turn_outcome.ts";
import type { PromptRunResult, TokenCount } from "../turn/turn_result.ts";
import type { ForeignTurns } from "./foreign_turns.ts";
import type { Checkpoints } from "../history/rewind/checkpoints.ts";
import type { ForkPoint } from "./fork_point.ts";

/** Who has the thread for itself. */
export interface ThreadHolder {
  /** Whether it goes before all who wait: it goes on with what who has the thread now has begun. */
  readonly first?: boolean;
  /** Stops what is active in it; settles when that has stopped. */
  interrupt(): Promise<void>;
  /** Gives up, with a reason. */
  cancel(reason: unknown): void;
}

/** How a session comes to another thread that is made from its own, or like it. */
export type CopyOpening = { method: "thread/start" } | { method: "thread/fork"; at?: ForkPoint };

/** A session on another thread. */
export interface ThreadCopy {
  /** Asks it. */
  ask(
    prompt: string,
    options: { timeoutMs: number; signal: AbortSignal },
  ): Promise<PromptRunResult>;
  /** Ends it. */
  close(): Promise<void>;
}

/** What a session offers to what happens on its thread beside its prompts. */
export interface ThreadHost {
  /** The connection. */
  readonly core: RuntimeCore;
  /** The thread. */
  readonly threadId: string;
  /** How the session runs. */
  readonly profile: ResolvedProfile;
  /** The turns of the thread. */
  readonly turns: ThreadTurns;
  /** Who takes the turns that something else begins. */
  readonly foreign: ForeignTurns;
  /** Who listens to the session. */
  readonly listeners: ThreadListeners;
  /** Whether the thread has had a turn. */
  readonly used: boolean;
  /** Takes the thread when the prompts before are over and nothing is active on it; settles with what gives it back. */
  take(holder: ThreadHolder, signal: AbortSignal): Promise<() => void>;
  /** Begins the span of a call with these parameters, below the trace of who has the thread; `null` where nobody listens. */
  span(params: JsonObject): AgentSpan | null;
  /** Begins the hooks of one run. */
  hookRun(profile: ResolvedProfile, signal: AbortSignal): HookRun;
  /** Turns begin that the hooks of this run have a say in. */
  begin(hooks: HookRun): void;
  /** Settles when the post-hooks of the turns' tool uses have ended. */
  toolHooksDone(): Promise<void>;
  /** What a turn with this profile may do. Throws what the profile may not ask for. */
  effective(profile: ResolvedProfile): EffectivePolicy;
  /** Who answers its questions. */
  readonly answerers: SessionAnswerers;
  /** Gives the thread the settings of this profile: those of a turn stick to it. Throws when this codex can't. */
  settle(what: string, profile: ResolvedProfile): Promise<void>;
  /** Resumes the thread, with goals or without. */
  reopen(goals: boolean): Promise<void>;
  /** A goal is over whose server was lost: the next server does not go on with it. */
  goalLost(): void;
  /** What is recorded before its turns, or `null`. */
  readonly checkpoints: Checkpoints | null;
  /** Whether a turn is active on the thread that nobody has stopped, or anybody waits for it. */
  readonly busy: boolean;
  /** The threads of the agents that the session's agent has started. */
  readonly agents: readonly AgentThread[];
  /** Stops them; `false` when that was not confirmed. Never rejects. */
  stopAgents(): Promise<boolean>;
  /** Records the workspace before a turn that is not a prompt, where the session does. */
  checkpoint(signal: AbortSignal): Promise<void>;
  /** Puts what happened on the thread into its store, where it has one. */
  stored(): Promise<void>;
  /** Turns were taken back. */
  reverted(): void;
  /** Tokens that no turn of the thread tells. */
  count(tokens: TokenCount): void;
  /** Opens another session like this one; what it uses counts as this one's when `counted`. */
  openCopy(
    opening: CopyOpening,
    config: Partial<SessionConfig>,
    counted: boolean,
  ): Promise<ThreadCopy>;
}

/** Throws `UnsupportedError` when this codex lacks what `what` needs. */
export function assertSupported(core: RuntimeCore, what: string, feature: Feature): void {
  const { version } = core.server;
  if (!supports(version, feature)) throw new UnsupportedError(what, featureSince(feature), version);
}

// One at a time has the thread; the others wait in line.

interface Place<Owner> {
  owner: Owner;
  enter: () => void;
  leave: (error: unknown) => void;
}

/** A line, first come first served. A place in it can be given up. */
export class TurnQueue<Owner = unknown> {
  readonly #line: Place<Owner>[] = [];
  #taken = false;
  #holder: Owner | null = null;
  #closed: unknown = null;
  readonly #hold: () => () => void;

  /** `hold` is called for everyone who comes, and its result when they have left. Default: nobody wants to know. */
  constructor(hold: () => () => void = () => () => {}) {
    this.#hold = hold;
  }

  /** Who has the turn, or `null`. */
  get holder(): Owner | null {
    return this.#holder;
  }

  /** Who holds the turn or waits for it. */
  get length(): number {
    return this.#line.length + (this.#taken ? 1 : 0);
  }

  /**
   * Takes a place, at once, and waits for the turn; settles with the function that gives it back. Rejects with the
   * signal's reason. `first`: before all who wait.
   */
  acquire(owner: Owner, signal?: AbortSignal, first = false): Promise<() => void> {
    const closed = this.#closed;
    // Whoever was in line may try again on a new client; here it would fail again.
    if (closed instanceof ConnectionClosedError) return Promise.reject(closed.asFinal());
    if (closed !== null) return Promise.reject(closed);
    if (signal?.aborted) return Promise.reject(signal.reason);
    const left = this.#hold();
    if (!this.#taken) return Promise.resolve(this.#give(owner, left));
    return new Promise((resolve, reject) => {
      const abort = () => {
        this.#line.splice(this.#line.indexOf(place), 1);
        place.leave(signal!.reason);
      };
      const place: Place<Owner> = {
        owner,
        enter: () => {
          signal?.removeEventListener("abort", abort);
          resolve(this.#give(owner, left));
        },
        leave: (error) => {
          signal?.removeEventListener("abort", abort);
          left();
          reject(error);
        },
      };
      signal?.addEventListener("abort", abort, { once: true });
      this.#line[first ? "unshift" : "push"](place);
    });
  }

  /** Sends everyone in line away. */
  dismiss(error: unknown): void {
    for (const place of this.#line.splice(0)) place.leave(error);
  }

  /** Sends everyone in line away, now and from now on. */
  close(error: unknown): void {
    this.#closed ??= error;
    this.dismiss(this.#closed);
  }

  #give(owner: Owner, left: () => void): () => void {
    this.#taken = true;
    this.#holder = owner;
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.#taken = false;
      this.#holder = null;
      this.#line.shift()?.enter();
      left();
    };
  }
}
