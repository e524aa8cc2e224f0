/**
 * One workspace and its checkpoints: recorded before turns, taken back to one of them, finished after a crash.
 * @module
 */
import {
  CheckpointError,
  CodexError,
  ConnectionClosedError,
  RequestTimeoutError,
} from "../../../errors/mod.ts";
import { type JsonObject, type JsonValue, numberOf, stringOf } from "../../../json.ts";
import type { TreeFiles } from "../../../platform/mod.ts";
import {
  CheckpointStore,
  STORE_LIMITS,
  storeError,
  type StoreLimits,
  type TurnRecord,
} from "./checkpoint_store.ts";
import { planRewind, type TreePlan } from "./plan_rewind.ts";
import { compareTree, isThere, type Recorder, recordTree } from "./record_tree.ts";
import { type BeforeStep, restoreTree, stepsFromJson, stepsToJson } from "./restore_tree.ts";
import { diskOf, SCAN_LIMITS, type ScanLimits } from "./scan_tree.ts";
import type { Skipped, Tree } from "./tree_record.ts";

/** Where a workspace and its checkpoints are. */
export interface WorkspacePlace {
  /** The workspace's real path. */
  root: string;
  /** Where the checkpoints of all workspaces lie. */
  home: string;
  /** How much is recorded. */
  scan?: ScanLimits;
  /** How much is kept. */
  limits?: StoreLimits;
  /** For tests: called before each step of a restore. */
  beforeStep?: BeforeStep;
}

/** What else a restore takes back. */
export interface Conversation {
  /** The thread. */
  threadId: string;
  /** The first turn that it shall not have any more. */
  before: string;
  /** That turn and those after it. */
  turns: readonly string[];
}

/** A conversation that was to be taken back when the process ended. */
export interface UnfinishedConversation extends Conversation {
  /** Call it when the conversation is taken back, or can't be. */
  done(): Promise<void>;
}

/** One workspace and its checkpoints. */
export class Workspace {
  readonly #recorder: Recorder;
  readonly #beforeStep: BeforeStep | undefined;
  /** The newest tree, whose unchanged files are not read again while it is kept. */
  #last: { tree: Tree; name: string } | null = null;
  /** The disk that it was on then. */
  #disk: string | undefined;

  private constructor(recorder: Recorder, beforeStep: BeforeStep | undefined) {
    this.#recorder = recorder;
    this.#beforeStep = beforeStep;
  }

  /** Opens a workspace. */
  static async open(files: TreeFiles, place: WorkspacePlace): Promise<Workspace> {
    const { root, home, scan = SCAN_LIMITS, limits = STORE_LIMITS, beforeStep } = place;
    await CheckpointStore.pruneHome(home, limits);
    const store = await CheckpointStore.open(home, root, limits);
    return new Workspace({ files, root, store, limits: scan }, beforeStep);
  }

  /** Records the workspace as it is now; settles with the name of the tree. */
  async record(signal: AbortSignal | undefined): Promise<string> {
    const { files, root, store } = this.#recorder;
    return await this.#locked(signal, async () => {
      this.#assertThere();
      const known = this.#last;
      const last = known !== null && await store.keeps(known.name)
        ? known.tree
        : await this.#newest();
      const tree = await recordTree(this.#recorder, last, signal);
      const disk = diskOf(await files.entry(root));
      // Taken back to, it would cost all that is there once the disk is back.
      this.#assertThere(tree.nodes.size > 0 || disk === (this.#disk ??= disk));
      this.#disk = disk;
      const name = await store.putTree(tree);
      this.#last = { tree, name };
      return name;
    });
  }

  /** Whether all of a tree, as it was recorded, is certainly from before a time, in milliseconds since 1970. */
  async isOlder(name: string, than: number): Promise<boolean> {
    const { files, root, store } = this.#recorder;
    const [top, tree] = [await files.entry(root), await store.tree(name)];
    if (top === null || tree === null) return false;
    // No program can set this time back.
    return [top, ...tree.nodes.values()].every(({ ctimeMs }) => ctimeMs > 0 && ctimeMs < than);
  }

  async #newest(): Promise<Tree | null> {
    const { store } = this.#recorder;
    const name = (await store.turns()).findLast(({ tree }) => tree !== null)?.tree ?? null;
    return name === null ? null : await store.tree(name);
  }

  /** Says which turn began with the tree; `null`: the turn can't write. */
  async began(turnId: string, tree: string | null): Promise<void> {
    const { store } = this.#recorder;
    await this.#locked(undefined, async () => {
      await store.putTurn(turnId, tree, Date.now());
      await store.prune();
    });
  }

  /** What was recorded before turns, by turn. */
  async turns(): Promise<Map<string, TurnRecord>> {
    const records = new Map<string, TurnRecord>();
    for (const record of await this.#recorder.store.turns()) {
      if (!records.has(record.turnId)) records.set(record.turnId, record);
    }
    return records;
  }

  /** What taking the workspace back to a tree would do. */
  async plan(name: string, signal: AbortSignal | undefined): Promise<TreePlan> {
    this.#assertThere();
    const tree = await this.#recorder.store.tree(name);
    if (tree === null) {
      throw new CheckpointError("What was recorded before the turn is gone or damaged.", {
        data: { reason: "noCheckpoint" },
      });
    }
    const { now, changed } = await compareTree(this.#recorder, tree, signal);
    return planRewind(tree, now, (path) => changed.has(path));
  }

  /**
   * Takes the conversation back, then the workspace; what it did and what it could not do. Cut off, the next one who opens
   * the workspace finishes it.
   */
  async restore(
    name: string,
    conversation: Conversation | null,
    takeBack: () => Promise<void>,
    signal: AbortSignal | undefined,
  ): Promise<Omit<TreePlan, "steps">> {
    const { store } = this.#recorder;
    return await this.#locked(signal, async () => {
      const { files, steps, skipped } = await this.plan(name, signal);
      signal?.throwIfAborted();
      const id = crypto.randomUUID();
      await store.putRestore(id, {
        ...conversation,
        turns: [...conversation?.turns ?? []],
        at: Date.now(),
        steps: stepsToJson(steps),
      });
      try {
        if (conversation !== null) await takeBack();
      } catch (error) {
        // Whether a server that is gone did it can't be told: the next start looks, and finishes both.
        if (!isUntold(error)) await store.endRestore(id);
        throw error;
      }
      const failed = await restoreTree(this.#recorder, id, steps, this.#beforeStep);
      await store.endRestore(id);
      const undone = new Map(failed.map(({ path, why }) => [path, why]));
      const isDone = ({ path }: { path: string }) => !undone.has(path.replace(/\/$/, ""));
      return {
        files: files.filter(isDone),
        skipped: [...skipped, ...Array.from(undone, ([path, why]) => ({ path, why }))],
      };
    });
  }

  /**
   * Finishes restores that were cut off; settles with what of them could not be done, and what is left to others. One whose
   * conversation went on was cut off before it began, since the conversation is taken back first: it is dropped.
   */
  async recover(
    threadId: string,
    wentOn: (conversation: Conversation) => Promise<boolean> = () => Promise.resolve(false),
  ): Promise<{
    finished: number;
    dropped: number;
    skipped: Skipped[];
    conversations: UnfinishedConversation[];
  }> {
    const { store } = this.#recorder;
    const none = { finished: 0, dropped: 0, skipped: [], conversations: [] };
    if ((await store.restores()).length === 0) return none;
    return await this.#locked(undefined, async () => {
      let [finished, dropped] = [0, 0];
      const skipped: Skipped[] = [];
      const conversations: UnfinishedConversation[] = [];
      for (const { name, value } of await store.restores()) {
        const conversation = conversationIn(value);
        if (conversation !== null && await wentOn(conversation)) {
          await store.endRestore(name);
          dropped++;
          continue;
        }
        const steps = stepsFromJson(value["steps"]);
        if (steps.length > 0) finished++;
        skipped.push(...await restoreTree(this.#recorder, name, steps, this.#beforeStep));
        const at = numberOf(value, "at") ?? 0;
        const old = Date.now() - at > STORE_LIMITS.ageMs;
        if (conversation === null || old) await store.endRestore(name);
        else {
          const turns = [...conversation.turns];
          if (steps.length > 0) await store.putRestore(name, { ...conversation, turns, at });
          if (conversation.threadId !== threadId) continue;
          const done = () => store.endRestore(name);
          conversations.push({ ...conversation, done });
        }
      }
      return { finished, dropped, skipped, conversations };
    });
  }

  #assertThere(isThereNow: boolean = isThere(this.#recorder.root)): void {
    if (isThereNow) return;
    throw new CheckpointError(
      "The workspace is not where it was when the session began: it is gone, its disk is not mounted, or a directory above it is a link now. Nothing is read or changed there.",
      { data: { reason: "workspaceMoved" } },
    );
  }

  async #locked<T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    const unlock = await this.#recorder.store.lock(signal);
    try {
      return await work();
    } catch (error) {
      if (error instanceof CodexError || signal?.aborted === true) throw error;
      throw storeError("its files or the workspace's are not as they should be", error);
    } finally {
      await unlock();
    }
  }
}

function conversationIn(value: JsonObject): Conversation | null {
  const [threadId, before] = [stringOf(value, "threadId"), stringOf(value, "before")];
  const turns: JsonValue = value["turns"] ?? [];
  if (threadId === null || before === null) return null;
  return { threadId, before, turns: Array.isArray(turns) ? turns.map(String) : [] };
}

function isUntold(error: unknown): boolean {
  return error instanceof ConnectionClosedError || error instanceof RequestTimeoutError;
}
