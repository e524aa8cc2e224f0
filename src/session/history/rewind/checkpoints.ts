/**
 * The checkpoints of one session: which turn began with which tree.
 * @module
 */
import {
  CheckpointError,
  InvalidArgumentError,
  messageOf,
  PermissionDeniedError,
} from "../../../errors/mod.ts";
import {
  type EffectivePolicy,
  flagsFor,
  hostProbe,
  missingNeeds,
  type PermissionNeed,
  temporaryRoots,
} from "../../../permissions/mod.ts";
import { treeFiles } from "../../../platform/fs.ts";
import { isInside, isSamePath, realPath } from "../../../platform/mod.ts";
import { isRemote, type RuntimeCore } from "../../../runtime/mod.ts";
import { defined } from "../../../json.ts";
import { codexHomeOf, policyFacts } from "../../policy/policy_facts.ts";
import type { Turn } from "../../turn/turn.ts";
import { CheckpointStore } from "./checkpoint_store.ts";
import { Workspace } from "./workspace.ts";

/** Says which turn it was. */
export type Mark = (turnId: string) => void;

/** Sessions of this process that have checkpoints. */
const sessions: Set<Checkpoints> = new Set();

/** The checkpoints of one session. */
export class Checkpoints {
  /** The workspace's real path. */
  readonly root: string;
  readonly #home: string;
  readonly #core: RuntimeCore;
  /** Whether the agent has tools that no sandbox holds. */
  readonly #helped: boolean;
  #workspace: Promise<Workspace> | null = null;
  /** Turns that could not write, of which nothing was written down. */
  readonly #harmless: Set<string> = new Set();
  /** What was recorded for the next turn that begins by itself. */
  #next: { tree: string | null } | null = null;
  #pending: Promise<unknown> = Promise.resolve();
  /** Whether a turn of the session is active. */
  isBusy: () => boolean = () => false;
  /** Tells the session's listeners. */
  warn: (message: string) => void = () => {};

  private constructor(core: RuntimeCore, root: string, home: string, helped: boolean) {
    this.#core = core;
    this.root = root;
    this.#home = home;
    this.#helped = helped;
  }

  /**
   * Opens the checkpoints of a session that is about to begin. Throws `InvalidArgumentError` when they can't take effect,
   * and `PermissionDeniedError` when this script may not read or write what they need. `helped`: the agent has tools of this
   * process, or of MCP servers.
   */
  static async open(
    where: string,
    core: RuntimeCore,
    cwd: string,
    policy: EffectivePolicy,
    helped: boolean,
  ): Promise<Checkpoints> {
    const refuse = (received: string, accepts: string, hint?: string) =>
      new InvalidArgumentError(where, {
        argument: "checkpoints",
        received,
        accepts,
        ...defined({ hint }),
      });
    if (isRemote(core.config) || await treeFiles() === null) {
      throw refuse(
        "true, for a workspace that is not on this script's disk",
        "true only for an agent that works on this machine",
      );
    }
    const told = codexHomeOf(core);
    const home = told === undefined ? null : realPath(told) ?? told;
    const root = realPath(cwd);
    if (home === null) {
      throw refuse(
        "true, with no place to keep them",
        "true where codex's home is known",
        "This codex does not tell it: set CODEX_HOME or HOME, and let the script read it (Deno: `--allow-env=HOME`).",
      );
    }
    if (root === null) throw denied([{ kind: "read", path: cwd }]);
    const reach = [root, ...writableBy(core, policy)].find((directory) =>
      isInside(home, directory) || isSamePath(home, directory)
    );
    if (reach !== undefined) {
      throw refuse(
        "true, with codex's home in a directory that the agent may write",
        "true where the agent can't change what is kept",
        "Set CODEX_HOME to a directory outside of the workspace and of shared temporary directories.",
      );
    }
    const checkpoints = new Checkpoints(core, root, home, helped);
    if (checkpoints.#mayWrite(policy)) await checkpoints.workspace();
    return checkpoints;
  }

  /** The workspace; opened when it is needed first. */
  async workspace(): Promise<Workspace> {
    const { root } = this;
    const home = CheckpointStore.home(this.#home);
    const needs = [root, home].flatMap((path): PermissionNeed[] => [
      { kind: "read", path },
      { kind: "write", path },
    ]);
    const missing = missingNeeds(needs, hostProbe());
    if (missing.length > 0) throw denied(missing);
    const files = await treeFiles();
    this.#workspace ??= Workspace.open(files!, { root, home });
    try {
      return await this.#workspace;
    } catch (error) {
      this.#workspace = null;
      throw error;
    }
  }

  /** The workspace, when it was opened. */
  get opened(): Promise<Workspace> | null {
    return this.#workspace;
  }

  /** Whether an agent with this policy can change files of the workspace. */
  #mayWrite({ sandbox, approvalPolicy, rulesFiles }: EffectivePolicy): boolean {
    return this.#helped || sandbox.type !== "readOnly" || approvalPolicy !== "never" ||
      rulesFiles.length > 0;
  }

  /** Joins in with a session. */
  join(session: { isBusy: () => boolean; warn: (message: string) => void }): void {
    this.isBusy = session.isBusy;
    this.warn = session.warn;
    sessions.add(this);
  }

  /** The session is over; settles when what its turns began with is written down. */
  async leave(): Promise<void> {
    sessions.delete(this);
    await this.#pending;
  }

  /** Whether a turn of another session of this process is active in the same files. */
  get othersBusy(): boolean {
    const overlaps = (other: string) =>
      isSamePath(other, this.root) || isInside(other, this.root) || isInside(this.root, other);
    return [...sessions].some((each) => each !== this && overlaps(each.root) && each.isBusy());
  }

  /** Records the workspace before a turn. Rejects when that is not possible: the turn must not begin. */
  async before(policy: EffectivePolicy, signal: AbortSignal | undefined): Promise<Mark> {
    if (!this.#mayWrite(policy)) return (turnId) => this.#began(turnId, null);
    const tree = await (await this.workspace()).record(signal);
    return (turnId) => this.#began(turnId, tree);
  }

  /** Records the workspace before the server begins a turn by itself. */
  async beforeOwnTurn(policy: EffectivePolicy, signal: AbortSignal | undefined): Promise<void> {
    this.#next = {
      tree: this.#mayWrite(policy) ? await (await this.workspace()).record(signal) : null,
    };
  }

  /** That turn has begun; codex may list it under another id as well. */
  began(turnId: string): Mark {
    const next = this.#next;
    this.#next = null;
    const mark: Mark = (id) => next === null || this.#began(id, next.tree);
    mark(turnId);
    return mark;
  }

  /**
   * A turn has begun that nobody here asked for. It was recorded before, or is recorded now: that counts only when nothing
   * in the workspace has changed since the turn began. What the server tells is no sign: 0.169 tells of a command a tenth
   * of a second after it has begun. `policy` may throw: the turn is stopped for that, and not by this.
   */
  adopted(turn: Turn, policy: () => EffectivePolicy): void {
    const next = this.#next;
    this.#next = null;
    if (next !== null) return this.#began(turn.turnId, next.tree);
    try {
      if (!this.#mayWrite(policy())) return this.#began(turn.turnId, null);
    } catch {
      // Not to be recorded in a place that may be another one.
      return;
    }
    this.#do(async () => {
      const workspace = await this.workspace();
      const { turnId, outcome } = turn;
      const tree = await workspace.record(undefined);
      const thread = this.#core.seen().threads[outcome.threadId];
      const startedAt = thread?.turns.find(({ id }) => id === turnId)?.startedAt ?? null;
      // In seconds, rounded down: what changed in the same second may be the turn's. Codex before 0.145 does not tell.
      if (startedAt !== null && await workspace.isOlder(tree, startedAt * 1000)) {
        await workspace.began(turnId, tree);
      }
    });
  }

  #began(turnId: string, tree: string | null): void {
    if (tree === null) this.#harmless.add(turnId);
    // Without a workspace no turn of this session has written yet.
    if (tree === null && this.#workspace === null) return;
    this.#do(async () => await (await this.workspace()).began(turnId, tree));
  }

  /** One after the other; a turn of which nothing could be written down can't be taken back. */
  #do(work: () => Promise<void>): void {
    const { unwritten } = this.#core;
    const pending = this.#pending.then(work).catch((error) => {
      this.warn(`The workspace before a turn could not be kept: ${messageOf(error)}`);
    }).finally(() => unwritten.delete(pending));
    unwritten.add(this.#pending = pending);
  }

  /** The tree that the first of these turns began with; `null`: none of them could write. */
  async treeBefore(turns: readonly string[]): Promise<string | null> {
    await this.#pending;
    const records = this.#workspace === null
      ? new Map<string, { tree: string | null }>()
      : await (await this.#workspace).turns();
    for (const [index, turnId] of turns.entries()) {
      const record = records.get(turnId);
      if (record === undefined && this.#harmless.has(turnId)) continue;
      if (record === undefined) throw notRecorded(turns, index, records);
      if (record.tree !== null) return record.tree;
    }
    return null;
  }
}

function notRecorded(
  turns: readonly string[],
  index: number,
  records: ReadonlyMap<string, unknown>,
): CheckpointError {
  const later = turns.slice(index + 1).find((turnId) => records.has(turnId)) ?? null;
  return new CheckpointError(
    "The workspace was not recorded before that turn: the session had no `checkpoints` then, or the server began the turn by itself, or it is too long ago. " +
      "`files: false` takes back the conversation alone.",
    { data: { reason: "noCheckpoint", turnId: turns[index]!, firstRecorded: later } },
  );
}

/** Where commands may write, the workspace apart. */
function writableBy(core: RuntimeCore, { sandbox }: EffectivePolicy): string[] {
  if (sandbox.type !== "workspaceWrite") return [];
  const all = [...sandbox.writableRoots ?? [], ...temporaryRoots(sandbox, policyFacts(core))];
  return all.map((path) => realPath(path) ?? path);
}

function denied(missing: readonly PermissionNeed[]): PermissionDeniedError {
  return new PermissionDeniedError(
    "Recording the workspace before each turn, and taking it back,",
    flagsFor(missing, hostProbe().enforcedBy),
  );
}
