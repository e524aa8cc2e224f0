/** What a session is made of. */
import type { EffectivePolicy } from "../permissions/mod.ts";
import type { HookRun, Hooks } from "../plugin/mod.ts";
import type { RuntimeCore } from "../runtime/mod.ts";
import type { ResolvedProfile, SessionConfig } from "./profile.ts";
import type { ForkPoint } from "./thread/fork_point.ts";
import type { ThreadCopy } from "./thread/thread_host.ts";
import type { DecidedPolicy, SessionAnswerers } from "./policy/session_policy.ts";
import type { UsageLedger } from "./turn/turn_usage.ts";

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
  /** Who answers its questions. */
  answerers: SessionAnswerers;
  /** What was asked of the server. */
  decided: DecidedPolicy;
  /** What the server confirmed. */
  policy: EffectivePolicy;
  /** Whether the thread was there before. */
  attached: boolean;
  /** The hooks of its start. */
  startHooks: HookRun;
  /** Whether it is there for one prompt only, whose hooks go on where those of the start ended. */
  single: boolean;
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
  /** Called once, when the session no longer needs its client. */
  onClosed: () => void;
}
