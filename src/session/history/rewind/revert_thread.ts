/**
 * Takes the last turns off a thread, on every codex: by `thread/revert` where it is there and takes the thread, else by
 * `thread/rollback`. 0.150 has the first one for threads only that it does not make; 0.160 lacks the second one.
 * @module
 */
import {
  CheckpointError,
  InvalidArgumentError,
  RpcError,
  UnsupportedError,
} from "../../../errors/mod.ts";
import { isJsonObject, type JsonObject, objectOf, objectsOf, stringOf } from "../../../json.ts";
import { cursorAfter } from "../cursor.ts";
import { featureSince, supports } from "../../../protocol/mod.ts";
import type { RuntimeCore } from "../../../runtime/mod.ts";

const PAGE = 100;

/** The turn and all after it, in order; throws `InvalidArgumentError` when the thread has no such turn. */
export async function turnsFrom(
  core: RuntimeCore,
  threadId: string,
  before: string,
  signal?: AbortSignal,
): Promise<string[]> {
  const options = signal === undefined ? {} : { signal };
  const known = core.seen().threads[threadId];
  if (known?.ephemeral === true) {
    // Codex writes nothing down of it; what was seen is all there is.
    const ids = known.turns.map(({ id }) => id);
    if (!ids.includes(before)) throw noTurn(ids.length);
    return ids.slice(ids.indexOf(before));
  }
  const turns: string[] = [];
  if (!supports(core.server.version, "listsTurns")) {
    const read = await core.call("thread/read", { threadId, includeTurns: true }, options);
    const thread = objectOf(read, "thread") ?? {};
    const ids = idsOf(objectsOf(thread, "turns"));
    const at = ids.indexOf(before);
    if (at < 0) throw noTurn(ids.length);
    return ids.slice(at);
  }
  for (let cursor: string | null = null;;) {
    const page: unknown = await core.call("thread/turns/list", {
      threadId,
      limit: PAGE,
      sortDirection: "desc",
      itemsView: "notLoaded",
      ...(cursor === null ? {} : { cursor }),
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

/** Throws when this codex can't take turns off the thread. */
export async function assertRevertable(core: RuntimeCore, threadId: string): Promise<void> {
  const { version } = core.server;
  if (supports(version, "rollback")) return;
  if (!supports(version, "revert")) {
    throw new UnsupportedError("rewind of a conversation", featureSince("revert"), version);
  }
  const read = await core.call("thread/read", { threadId, includeTurns: false });
  const thread = objectOf(read, "thread") ?? {};
  if (thread["historyMode"] === "legacy") throw legacyThread(version);
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
