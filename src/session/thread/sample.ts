/**
 * A question beside the conversation, which does not become part of it.
 * @module
 */
import { EmptyAnswerError, InvalidArgumentError, unnamedTurn } from "../../errors/mod.ts";
import { isJsonObject, type JsonValue, objectsOf, stringOf } from "../../json.ts";
import { supports } from "../../protocol/mod.ts";
import { utf8Length } from "../../rpc/mod.ts";
import { abortable } from "../../async.ts";
import { refuseNothing } from "../prompt/input_text.ts";
import type { TokenCount } from "../turn/turn_result.ts";
import { NO_TOKENS } from "../turn/turn_usage.ts";
import { alone } from "./alone.ts";
import type { ThreadHost } from "./thread_host.ts";

/** Options of {@linkcode Session.sample}. */
export interface SampleOptions {
  /** Milliseconds for the answer. Default: the session's `timeoutMs`. */
  timeoutMs?: number;
  /** Gives up waiting; the call rejects with the signal's reason. */
  signal?: AbortSignal;
}

/** An answer that is not part of the conversation. */
export interface SampleResult {
  /** The answer. */
  text: string;
  /** Its tokens, or `null` when they were not told. */
  usage: TokenCount | null;
}

/** Asks beside the conversation. */
export function sample(
  host: ThreadHost,
  prompt: string,
  options: SampleOptions,
): Promise<SampleResult> {
  const { timeoutMs = host.profile.timeoutMs } = options;
  refuseNothing(prompt, []);
  return alone(host, options.signal, async (signal) => {
    if (host.used && host.profile.ephemeral) {
      throw new InvalidArgumentError("sample", {
        argument: "ephemeral",
        received: "true on a thread that has had a turn",
        accepts: "false there: codex copies only threads that it keeps",
      });
    }
    const served = host.used && supports(host.core.server.version, "sample") &&
      utf8Length(prompt) <= MAX_SAMPLE;
    return await (served ? serve : ask)(host, prompt, timeoutMs, signal);
  });
}

/** Bytes of a prompt that codex takes as a sample. */
const MAX_SAMPLE = 4000;

/** Codex 0.169 answers such questions itself, without tools. */
async function serve(
  host: ThreadHost,
  prompt: string,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<SampleResult> {
  const { core, threadId } = host;
  const list = await core.call("thread/turns/list", { threadId, limit: 1 }, { signal });
  const [last] = objectsOf(list, "data");
  // What was injected makes no turn, a crash leaves one without an end, and a sample needs one that has ended.
  const expectedTurnId = typeof last?.["completedAt"] === "number" ? stringOf(last, "id") : null;
  if (expectedTurnId === null) return await ask(host, prompt, timeoutMs, signal);
  const span = host.span({ input: [{ type: "text", text: prompt }] });
  span?.take({ type: "turnStarted", threadId, turnId: "" });
  try {
    const params = { threadId, prompt, expectedTurnId };
    const options = { timeoutMs, signal, trace: span?.trace };
    const answer = read(await core.call("thread/sample", params, options));
    const { usage } = answer;
    if (usage !== null) {
      host.count(usage);
      span?.counted({ ...usage, subAgents: NO_TOKENS });
    }
    if (answer.text === "") {
      throw new EmptyAnswerError(unnamedTurn(threadId));
    }
    span?.end("completed", null);
    return answer;
  } catch (error) {
    span?.end("failed", error);
    throw error;
  }
}

function read(result: JsonValue): SampleResult {
  const { inputTokens, cachedInputTokens, outputTokens } = isJsonObject(result) ? result : {};
  const text = isJsonObject(result) ? stringOf(result, "text") ?? "" : "";
  const told = typeof inputTokens === "number" || typeof outputTokens === "number";
  const number = (value: unknown) => typeof value === "number" ? value : 0;
  if (!told) return { text, usage: null };
  const usage = {
    ...NO_TOKENS,
    inputTokens: number(inputTokens),
    cachedInputTokens: number(cachedInputTokens),
    outputTokens: number(outputTokens),
    totalTokens: number(inputTokens) + number(outputTokens),
  };
  return { text, usage };
}

/** The others are asked on a copy, which is thrown away. */
async function ask(
  host: ThreadHost,
  prompt: string,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<SampleResult> {
  const copy = await host.openCopy(
    { method: host.used ? "thread/fork" : "thread/start" },
    {
      ephemeral: true,
      sandbox: "read-only",
      // Approvals that would hear of nothing are refused.
      approvalPolicy: "untrusted",
      // What is the session's for its turns.
      mode: "default",
      attachments: [],
      outputSchema: undefined!,
      tools: {},
      mcpServers: {},
      goals: false,
      checkpoints: false,
      signal,
    },
    true,
  );
  try {
    const { assistantText, usage } = await copy.ask(prompt, { timeoutMs, signal });
    return { text: assistantText, usage: usage === null ? null : toCount(usage) };
  } finally {
    const closed = copy.close().catch(() => {});
    if (!signal.aborted) await abortable(closed, signal).catch(() => {});
  }
}

function toCount(usage: TokenCount): TokenCount {
  const { inputTokens, cachedInputTokens, outputTokens, reasoningOutputTokens, totalTokens } =
    usage;
  return { inputTokens, cachedInputTokens, outputTokens, reasoningOutputTokens, totalTokens };
}
