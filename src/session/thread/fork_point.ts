/**
 * Forks at a turn. Codex before 0.145 forks whole threads only, and ignores without a word that it was asked for less
 * (0.104, 0.125): there the copy is cut after it was made.
 * @module
 */
import { InvalidArgumentError, RpcValidationError, UnsupportedError } from "../../errors/mod.ts";
import {
  defined,
  type JsonObject,
  objectOf,
  objectsOf,
  parseObject,
  stringOf,
} from "../../json.ts";
import { fileSystem } from "../../platform/fs.ts";
import { featureSince, supports } from "../../protocol/mod.ts";
import type { RuntimeCore } from "../../runtime/mod.ts";

/** Which turns of a thread a copy has: all, or those up to one of them. */
export interface ForkPoint {
  /** The last turn that the copy has. */
  after?: string;
  /** The first turn that the copy does not have. */
  before?: string;
}

/** What the server needs to know, and how many turns have to be taken off the copy once it is there. */
export interface PlannedFork {
  params: JsonObject;
  drop: number;
}

/** Plans a fork; throws `InvalidArgumentError` when both ends are given, or the thread has no such turn. */
export async function planFork(
  core: RuntimeCore,
  threadId: string,
  { after, before }: ForkPoint,
  signal: AbortSignal | undefined,
): Promise<PlannedFork> {
  if (after === undefined && before === undefined) return { params: {}, drop: 0 };
  if (after !== undefined && before !== undefined) {
    throw new InvalidArgumentError("fork", {
      argument: "before",
      received: "both `after` and `before`",
      accepts: "one of them",
      sentence: "give `after` or `before`, not both",
    });
  }
  if (supports(core.server.version, "forkAtTurn")) {
    return {
      params: after !== undefined ? { lastTurnId: after } : { beforeTurnId: before! },
      drop: 0,
    };
  }
  const read = await core.call(
    "thread/read",
    { threadId, includeTurns: true },
    defined({ signal }),
  );
  const thread = objectOf(read, "thread") ?? {};
  const turns = objectsOf(thread, "turns");
  const drop = turnsBehind(turns, { after, before });
  if (drop > 0) await assertCounted(core, thread, turns.slice(-drop), "forkAtTurn");
  return { params: {}, drop };
}

/** How much of a thread's file is looked at, from its end: with images in it, one may have gigabytes. */
const LOOKED_AT = 2 ** 26;

/**
 * Rejects for a thread's last turns that codex counts otherwise in what the model remembers, where each message of a user or
 * of an agent is one (0.104 to 0.150), than in the list of turns: taken off by their number, others would be forgotten, or
 * some of them remembered. What was injected, and what codex says in a user's place, only the thread's file tells.
 */
export async function assertCounted(
  core: RuntimeCore,
  thread: JsonObject,
  turns: readonly JsonObject[],
  since: "forkAtTurn" | "revert",
  most: number = LOOKED_AT,
): Promise<void> {
  const isPlain = (turn: JsonObject) => {
    const types = objectsOf(turn, "items").map(({ type }) => String(type));
    return types.filter((type) => type === "userMessage").length === 1 &&
      !types.some((type) => /ReviewMode$|Compaction$/.test(type));
  };
  const path = stringOf(thread, "path") ?? "";
  const files = fileSystem();
  const size = await files?.size(path) ?? 0;
  const bytes = await files?.readAt(path, Math.max(0, size - most), Math.min(size, most))
    .catch(() => null);
  const file = new TextDecoder().decode(bytes ?? undefined);
  const from = file.indexOf(`"turn_id":"${turns[0]?.["id"]}"`);
  const isCounted = from < 0 ? size <= most : uncounted(file.slice(from)) === 0;
  if (turns.every(isPlain) && isCounted) return;
  const what =
    "taking a conversation back by more than 64 MiB, or to before a turn that was steered, a review, a compaction, " +
    "a goal or messages of others than its user";
  throw new UnsupportedError(what, featureSince(since), core.server.version);
}

/** What begins so is context of codex's own to it, whoever wrote it, and is not counted. 0.104 to 0.150. */
const CONTEXT =
  /^\s*(?:# AGENTS\.md |<(?:skill>|environment_context|user_(?:shell_command|instructions)|turn_aborted|subagent_notification|hook_prompt|goal_context|codex_internal))/i;

/** How many more messages the model remembers than a user has sent, by lines of a thread's file. */
function uncounted(lines: string): number {
  let count = 0;
  for (const line of lines.split("\n")) {
    const payload = objectOf(parseObject(line), "payload");
    const texts = objectsOf(payload, "content").map((each) => stringOf(each, "text") ?? "");
    const type = stringOf(payload, "type");
    const role = stringOf(payload, "role");
    if (type === "user_message") count--;
    else if (
      role === "user" && !texts.some((text) => CONTEXT.test(text)) ||
      type === "agent_message" && texts.length > 0 ||
      role === "assistant" && texts[0]?.startsWith('{"author":')
    ) count++;
  }
  return count;
}

/** How many of the turns a copy must not have. */
export function turnsBehind(
  turns: readonly JsonObject[],
  { after, before }: { after: string | undefined; before: string | undefined },
): number {
  const at = turns.findIndex(({ id }) => id === (after ?? before));
  if (at < 0) {
    const argument = after === undefined ? "before" : "after";
    throw new InvalidArgumentError("fork", {
      argument,
      received: "an id that no turn has",
      accepts: "the id of a turn",
      sentence: `\`${argument}\` must be the id of one of the thread's ${turns.length} turns`,
    });
  }
  return turns.length - at - (after === undefined ? 0 : 1);
}

/** Takes the last turns off a copy that nobody has used yet. */
export async function dropTurns(
  core: RuntimeCore,
  threadId: string,
  numTurns: number,
): Promise<void> {
  if (numTurns === 0) return;
  const result = await core.call("thread/rollback", { threadId, numTurns });
  if (objectOf(result, "thread") === null) {
    throw new RpcValidationError("thread/rollback", "result", "$.thread", "expected a thread");
  }
}
