/**
 * Takes back turns of a thread: the files as they were before, and what the model remembers. The thread's last turns
 * are taken off by `thread/revert` where it is there and takes the thread, else by `thread/rollback`. 0.150 has the first one
 * for threads only that it does not make; 0.160 lacks the second one.
 * @module
 */
import { delay } from "../../../async.ts";
import {
  CheckpointError,
  InvalidArgumentError,
  RequestTimeoutError,
  RpcError,
  UnsupportedError,
} from "../../../errors/mod.ts";
import { withVariable } from "../../../platform/mod.ts";
import type { RewindOptions, RewindPlan } from "../../profile.ts";
import { alone } from "../../thread/alone.ts";
import { assertCounted } from "../../thread/fork_point.ts";
import { tellInstructions } from "../../thread/instructions.ts";
import type { ThreadHost } from "../../thread/thread_host.ts";
import type { Conversation } from "./workspace.ts";
import {
  defined,
  isJsonObject,
  type JsonObject,
  objectOf,
  objectsOf,
  present,
  stringOf,
} from "../../../json.ts";
import { cursorAfter } from "../cursor.ts";
import { featureSince, supports } from "../../../protocol/mod.ts";
import type { RuntimeCore } from "../../../runtime/mod.ts";

/** Takes back a turn and all after it. */
export async function rewind(host: ThreadHost, options: RewindOptions): Promise<RewindPlan> {
  const { before, files = true, conversation = true, dryRun = false, signal } = options;
  const { checkpoints, core } = host;
  if (files && checkpoints === null) {
    throw new InvalidArgumentError("rewind", {
      argument: "files",
      received: "true on a session without `checkpoints`",
      accepts: "false there",
      hint:
        "Start sessions with `checkpoints: true`, or take back the conversation alone: `files: false`.",
    });
  }
  if (conversation && host.profile.ephemeral) {
    throw new InvalidArgumentError("rewind", {
      argument: "conversation",
      received: "true on an ephemeral thread, which codex does not take back",
      accepts: "false there",
    });
  }
  const othersBusy = () => host.agents.some(({ busy }) => busy) || files && checkpoints!.othersBusy;
  refuseBusy(host.busy || othersBusy());
  return await alone(host, signal, async (signal) => {
    const counts = conversation && await assertRevertable(core, host.threadId);
    const find = turnsFrom(core, host.threadId, before, signal, counts);
    const dropped = await find.catch(async (error) => {
      // The conversation lost the turn before; its files may be as it left them, as on a full disk.
      const filesAlone = files && !conversation && error instanceof InvalidArgumentError;
      if (filesAlone && await checkpoints!.treeBefore([before]) !== null) return [before];
      throw error;
    });
    const turns = conversation ? dropped : [];
    const tree = files ? await checkpoints!.treeBefore(dropped) : null;
    refuseBusy(othersBusy());
    if (dryRun) {
      if (tree === null) return { files: [], turns, skipped: [] };
      const { files, skipped } = await (await checkpoints!.workspace()).plan(tree, signal);
      return { files, turns, skipped: told(host, skipped) };
    }
    // Scripts of its model wait for the next turn.
    host.turns.wasStopped = true;
    if (files) await endCommands(host, signal);
    const takeBack = async () => {
      await revertThread(core, host.threadId, before, dropped);
      host.reverted();
      const { developerInstructions: text } = host.profile;
      if (text) await tellInstructions(core, host.threadId, host.threadId, text, true);
    };
    if (tree === null) {
      if (conversation) await takeBack();
      return { files: [], turns, skipped: [] };
    }
    const { threadId } = host;
    const what = conversation ? { threadId, before, turns: dropped } : null;
    const done = await (await checkpoints!.workspace()).restore(tree, what, takeBack, signal);
    return { files: done.files, turns, skipped: told(host, done.skipped) };
  });
}

/** Other directories that the agent could write are no part of a checkpoint. */
function told(host: ThreadHost, skipped: RewindPlan["skipped"]): RewindPlan["skipped"] {
  const { sandbox } = host.profile;
  const others = sandbox.type === "workspaceWrite" ? sandbox.writableRoots ?? [] : [];
  const why = "it is no part of the workspace";
  return [...skipped, ...others.map((path) => ({ path, why }))];
}

function refuseBusy(busy: boolean): void {
  if (!busy) return;
  throw new CheckpointError(
    "Nothing is taken back while a turn is active, in this session, of an agent that it started, or of another one in the same directory. " +
      "Wait until it has ended, or call `interrupt()`.",
    { retryable: true, data: { reason: "inUse" } },
  );
}

/**
 * Ends what the agent and its agents left running: it would go on to write. Codex answers before it is dead, and knows
 * nothing of a program that a command has detached; both are known by the thread in their environment.
 */
async function endCommands(host: ThreadHost, signal: AbortSignal): Promise<void> {
  const threads = [host.threadId, ...host.agents.map(({ threadId }) => threadId)];
  await Promise.all(threads.map(async (threadId) => {
    const clean = "thread/backgroundTerminals/clean";
    await host.core.call(clean, { threadId }, { timeoutMs: END_MS, signal }).catch((error) => {
      if (!(error instanceof RpcError || error instanceof RequestTimeoutError)) throw error;
    });
  }));
  const deadline = performance.now() + END_MS;
  for (;;) {
    const left = withVariable(threads.map((threadId) => `CODEX_THREAD_ID=${threadId}`));
    if (left.length === 0) return;
    if (performance.now() > deadline) throw stillRuns(left.map(({ pid }) => pid));
    await delay(LOOK_MS, signal);
  }
}

/** How long commands may take to end. */
const END_MS = 5_000;
const LOOK_MS = 20;

function stillRuns(pids: number[]): CheckpointError {
  return new CheckpointError(
    `Nothing is taken back while programs that the agent has started run on (${
      pids.length === 1 ? "pid" : "pids"
    } ${
      pids.join(", ")
    }): they could go on to write. End them, or take back the conversation alone: \`files: false\`.`,
    { retryable: true, data: { reason: "inUse", pids } },
  );
}

/** Finishes what a crash has cut off, before the session is used. */
export async function recover(host: ThreadHost, warn: (message: string) => void): Promise<void> {
  const { checkpoints, core, threadId } = host;
  const workspace = await checkpoints?.opened;
  if (workspace === null || workspace === undefined) return;
  const wentOn = async (conversation: Conversation) => {
    const { threadId, before, turns } = conversation;
    // A turn that is gone was taken back; a thread that can't be read tells nothing.
    const now = await turnsFrom(core, threadId, before).catch(() => []);
    return turns.length > 0 && now.some((turnId) => !turns.includes(turnId));
  };
  const { finished, dropped, skipped, conversations } = await workspace.recover(threadId, wentOn);
  if (dropped > 0) {
    warn(
      "A rewind of this workspace was cut off before it began, and the conversation went on: it is dropped, and nothing is taken back.",
    );
  }
  let kept = 0;
  for (const { before, done } of conversations) {
    try {
      await revertThread(core, threadId, before, await turnsFrom(core, threadId, before));
      host.reverted();
    } catch (error) {
      // The turn is gone already, or the codex of today can't do it.
      const cannot = error instanceof CheckpointError || error instanceof UnsupportedError;
      if (!cannot && !(error instanceof InvalidArgumentError)) throw error;
      if (cannot) kept++;
    }
    await done();
  }
  if (finished + conversations.length === 0) return;
  const left = skipped.length === 0
    ? ""
    : ` ${skipped.length} paths were left as they are: ${
      skipped.slice(0, 5).map(({ path, why }) => `${path} (${why})`).join(", ")
    }.`;
  const said = kept === 0 ? "" : " The conversation was not taken back: this codex can't.";
  warn(`A rewind of this workspace was cut off before, and was finished now.${said}${left}`);
}

const PAGE = 100;

/**
 * The turn and all after it, in order; throws `InvalidArgumentError` when the thread has no such turn, and `UnsupportedError`
 * when they are to be taken off by their number (`counts`), and can't be.
 */
export async function turnsFrom(
  core: RuntimeCore,
  threadId: string,
  before: string,
  signal?: AbortSignal,
  counts = false,
): Promise<string[]> {
  const options = defined({ signal });
  const known = core.seen().threads[threadId];
  if (known?.ephemeral === true) {
    // Codex writes nothing down of it; what was seen is all there is.
    const ids = known.turns.map(({ id }) => id);
    if (!ids.includes(before)) throw noTurn(ids.length);
    return ids.slice(ids.indexOf(before));
  }
  const turns: string[] = [];
  if (counts || !supports(core.server.version, "listsTurns")) {
    const read = await core.call("thread/read", { threadId, includeTurns: true }, options);
    const thread = objectOf(read, "thread") ?? {};
    const all = objectsOf(thread, "turns");
    const ids = idsOf(all);
    const at = ids.indexOf(before);
    if (at < 0) throw noTurn(ids.length);
    if (counts) await assertCounted(core, thread, all.slice(at), "revert");
    return ids.slice(at);
  }
  for (let cursor: string | null = null;;) {
    const page: unknown = await core.call("thread/turns/list", {
      threadId,
      limit: PAGE,
      sortDirection: "desc",
      itemsView: "notLoaded",
      ...present({ cursor }),
    }, options);
    if (!isJsonObject(page)) throw noTurn(turns.length);
    const ids = idsOf(objectsOf(page, "data"));
    const at = ids.indexOf(before);
    turns.push(...(at < 0 ? ids : ids.slice(0, at + 1)));
    if (at >= 0) return turns.reverse();
    cursor = cursorAfter(page, cursor);
    if (cursor === null || ids.length === 0) throw noTurn(turns.length);
  }
}

/** Whether this codex takes turns off the thread by their number; throws when it can't take them off at all. */
async function assertRevertable(core: RuntimeCore, threadId: string): Promise<boolean> {
  const { version } = core.server;
  const counts = supports(version, "rollback");
  if (!supports(version, "revert")) {
    if (counts) return true;
    throw new UnsupportedError("rewind of a conversation", featureSince("revert"), version);
  }
  const read = await core.call("thread/read", { threadId, includeTurns: false });
  if (stringOf(read, "thread", "historyMode") !== "legacy") return false;
  if (counts) return true;
  throw legacyThread(version);
}

/** Takes these turns off, which are the last ones, and looks that no other was. */
export async function revertThread(
  core: RuntimeCore,
  threadId: string,
  before: string,
  dropped: readonly string[],
): Promise<void> {
  const { version } = core.server;
  if (supports(version, "revert")) {
    try {
      await core.call("thread/revert", { threadId, beforeTurnId: before });
      return;
    } catch (error) {
      if (isNoBoundary(error)) throw noBoundary(error);
      if (!isOnlyPaginated(error)) throw error;
    }
  }
  if (!supports(version, "rollback")) throw legacyThread(version);
  const result = await core.call("thread/rollback", { threadId, numTurns: dropped.length });
  const thread = objectOf(result, "thread") ?? {};
  const left = new Set(idsOf(objectsOf(thread, "turns")));
  if (dropped.some((turnId) => left.has(turnId))) {
    throw new UnsupportedError("rewind to this turn", featureSince("revert"), version);
  }
}

/** 0.169 takes nothing back to the beginning of a review. */
function isNoBoundary(error: unknown): boolean {
  return error instanceof RpcError && /persisted start boundary/.test(error.rpcMessage);
}

function noBoundary(cause: unknown): CheckpointError {
  return new CheckpointError(
    "Codex can't take a conversation back to the beginning of this turn, such as a review's. Nothing was changed. " +
      "Name the turn before it, or take back the files alone: `conversation: false`.",
    { cause, data: { reason: "noBoundary" } },
  );
}

function legacyThread(version: string): CheckpointError {
  return new CheckpointError(
    `Codex ${version} takes nothing back on a thread that codex before ${
      featureSince("pagedThreads")
    } began. Nothing was changed. ` +
      "Go on with a copy, `session.fork({ before })`, or take back the files alone: `conversation: false`.",
    { data: { reason: "legacyThread" } },
  );
}

function isOnlyPaginated(error: unknown): boolean {
  return error instanceof RpcError && /only supports paginated threads/.test(error.rpcMessage);
}

function idsOf(turns: readonly JsonObject[]): string[] {
  return turns.map((turn) => stringOf(turn, "id")).filter((id) => id !== null);
}

function noTurn(count: number): InvalidArgumentError {
  return new InvalidArgumentError("rewind", {
    argument: "before",
    received: "an id that no turn has",
    accepts: "the id of a turn",
    sentence: `\`before\` must be the id of one of the thread's ${count} turns`,
  });
}
