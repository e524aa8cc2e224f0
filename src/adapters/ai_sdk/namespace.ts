/**
 * Codex for the AI SDK (npm `ai` 7): as a language model, and a running prompt as a stream for its user interfaces.
 * @module
 */
import {
  callback,
  checkArgument,
  count,
  having,
  required,
  type Shape,
  takeOptions,
} from "../../check/mod.ts";
import { readableOf } from "../../session/prompt/prompt_run_stream.ts";
import { ToldTurn, turnStreamKind } from "../read_turn.ts";
import type { TurnStream } from "../turn_stream.ts";
import type { UIChunk } from "./ui_chunk.ts";
import type { SessionConfig } from "../../session/mod.ts";
import { SESSION_CONFIG } from "../../session/profile_shape.ts";
import type { Model } from "./model_calls.ts";
import type { ModelClient } from "./model_client.ts";
import type { ModelAnswer, ModelCall, ModelStream } from "./model_types.ts";

export * from "./model_call_error.ts";
export type * from "../turn_stream.ts";
export type * from "./model_client.ts";
export type * from "./model_types.ts";
export type * from "./ui_chunk.ts";

// Declared here, since documentation follows a namespace to declarations and not to names that it re-exports.

/**
 * A running prompt as the AI SDK's UI message stream, for `createUIMessageStreamResponse` and `useChat`. It holds texts,
 * reasoning, dynamic tools with their questions, and the plan (`data-plan`); output of running commands
 * (`data-command-output`) and warnings (`data-notice`) are transient. A question is answered with
 * `client.approvals.answer(approvalId, { decision })`. Cancelling the stream stops the turn; a turn that fails ends with an
 * `error` chunk. The bridge of {@linkcode web} has a route of its own for it, which a page can come back to.
 *
 * ```ts ignore
 * import { createUIMessageStreamResponse } from "ai";
 *
 * const stream = await session.askStream(text);
 * return createUIMessageStreamResponse({ stream: aiSdk.toUIMessageStream(stream) });
 * ```
 */
export function toUIMessageStream(stream: TurnStream): ReadableStream<UIChunk> {
  checkArgument("aiSdk.toUIMessageStream", "stream", stream, turnStreamKind);
  const { threadId, turnId } = stream;
  return readableOf(
    new ToldTurn(stream, async () => {
      const { TurnParts, UIChunks } = await import("./mod.ts");
      const teller = new UIChunks(turnId, { threadId, turnId });
      return { parts: new TurnParts(threadId, turnId), teller };
    }),
  );
}

/** How a {@linkcode codexModel} works: a session's settings, and how many conversations it remembers. */
export type CodexModelOptions = Omit<SessionConfig, "signal" | "outputSchema"> & {
  /**
   * Conversations whose thread is kept for their next message; one that is older goes on with a fresh thread that is told the
   * history. Default 16.
   */
  maxConversations?: number;
};

const { signal: _signal, outputSchema: _outputSchema, ...FIELDS } = SESSION_CONFIG.options;

const OPTIONS: Shape = {
  ...SESSION_CONFIG,
  options: { ...FIELDS, maxConversations: count(0) },
  meant: () => ({
    ...SESSION_CONFIG.meant(),
    signal: "It belongs to a call: write `abortSignal` there.",
    outputSchema: "It belongs to a call: write `output: Output.object({ schema })` there.",
  }),
};

/** Codex as a `LanguageModelV4`. */
export interface CodexModel extends AsyncDisposable {
  /** Which interface of the SDK it has. */
  readonly specificationVersion: "v4";
  /** `"codex"`. */
  readonly provider: string;
  /** The profile's model, or `"default"` for codex's own. */
  readonly modelId: string;
  /** None: the SDK downloads what an address stands for. */
  readonly supportedUrls: Record<string, RegExp[]>;
  /** A whole answer: `generateText` calls it. */
  doGenerate(call: ModelCall): Promise<ModelAnswer>;
  /** An answer as it comes: `streamText` calls it. */
  doStream(call: ModelCall): Promise<ModelStream>;
  /** Releases the threads that are kept; calls are refused from then on. Idempotent. Ending the client does it too. */
  close(): Promise<void>;
}

/**
 * Codex as a language model of the [AI SDK](https://ai-sdk.dev) 7, for `generateText`, `streamText`, `Output.object` and agents.
 * The profile holds for every call: what the agent may do is decided here, not by the caller of the model.
 *
 * **Conversations.** The SDK sends the whole history with every call; codex remembers by threads. A call whose history this
 * model has answered itself goes on with the same thread: the instructions, the words and the images must be the same, and
 * where the messages carry `providerOptions.codex.threadId` (those of `result.response.messages` do) the thread too. Every
 * other history, such as an edited one, one that another process answered, or one whose last turn failed, begins a fresh
 * thread that is told the history as text: of tools' long texts the ends, and no more of the beginning than codex takes (a
 * million characters). Histories without ids are told apart by their words alone: where people must
 * not see what codex did for each other, give each of them a model of its own. Threads stay out of the user's history unless
 * `ephemeral: false`.
 *
 * **Tools.** What codex does comes as tool parts that are `providerExecuted` and `dynamic`: `shell`, `apply_patch`,
 * `web_search`, `mcp__<server>__<tool>`. Tools of your own go into the profile's `tools`. Those given to the call are refused with
 * `UnsupportedFunctionalityError`: the SDK runs them between two calls, while codex's turn would stay open for a call that may
 * never come.
 *
 * **Settings.** Codex has no `temperature`, `maxOutputTokens` and the like: they come back as `warnings`. `reasoning` sets
 * the effort. Text that the model calls commentary is reasoning.
 *
 * **Errors** are the SDK's own kinds ({@linkcode ModelCallError}) with a `CodexError` as `cause`. The SDK repeats what is
 * `isRetryable`: a turn in which the model has answered never is, since it may have acted.
 *
 * Throws `InvalidArgumentError` for an option that does not exist or has a wrong shape.
 *
 * ```ts ignore
 * import { generateText } from "ai";
 *
 * const model = aiSdk.codexModel(client, { cwd: "/srv/app" });
 * const { text, usage } = await generateText({ model, prompt: "What does this project do?" });
 * ```
 */
export function codexModel(client: ModelClient, options: CodexModelOptions): CodexModel {
  checkArgument("codexModel", "client", client, CLIENT);
  const taken = takeOptions("codexModel", options, OPTIONS, true);
  const { maxConversations = 16, ...config } = taken;
  /** Loaded with the first call. */
  let loading: Promise<Model> | undefined;
  const model = () =>
    loading ??= import("./model_calls.ts").then(({ Model }) =>
      new Model(client, config, maxConversations)
    );
  const close = async () => await (await model()).close();
  return {
    specificationVersion: "v4",
    provider: "codex",
    modelId: config.model ?? "default",
    supportedUrls: {},
    doGenerate: async (call) => await (await model()).doGenerate(call),
    doStream: async (call) => await (await model()).doStream(call),
    close,
    [Symbol.asyncDispose]: close,
  };
}

const CLIENT = required(having("a connected client", { startSession: required(callback) }));
