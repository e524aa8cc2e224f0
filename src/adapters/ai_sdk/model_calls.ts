/**
 * What a language model of the AI SDK does with its calls.
 * @module
 */
import { checkArgument, having, required, signal, unreadable } from "../../check/mod.ts";
import { OutputValidationError, SessionClosedError, TurnError } from "../../errors/mod.ts";
import type { AskOptions, DynamicTool, PromptRunResult, SessionConfig } from "../../session/mod.ts";
import { defined } from "../../json.ts";
import { TurnParts } from "../turn_parts.ts";
import { AnswerParts, ContentBuilder, finishOf, usageOf } from "./answer_parts.ts";
import { callError, unsupported } from "./call_error.ts";
import {
  type Conversation,
  KeptSessions,
  keyOf,
  promptOf,
  readPrompt,
  releaseSession,
} from "./conversation.ts";
import type { ModelClient, ModelSession, ModelTurn } from "./model_client.ts";
import type {
  ModelAnswer,
  ModelCall,
  ModelStream,
  ModelStreamPart,
  ModelWarning,
} from "./model_types.ts";

const CALL = required(having("the options of a call", { abortSignal: signal }));

/** Reads what a caller gave. */
async function readable<T>(read: () => T | Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    throw unreadable("codexModel", "options", error);
  }
}

/** Calls of one model, and the sessions that it keeps. */
export class Model {
  readonly #modelId: string;
  readonly #client: ModelClient;
  readonly #config: SessionConfig;
  readonly #kept: KeptSessions;
  /** Turns in which a tool of this process has run: codex 0.104 tells no item of it. */
  readonly #acted: Set<string> = new Set();

  /** `maxConversations`: how many sessions it keeps. */
  constructor(client: ModelClient, config: SessionConfig, maxConversations: number) {
    this.#client = client;
    this.#config = { ...config, tools: this.#noted(config.tools ?? {}) };
    this.#kept = new KeptSessions(maxConversations);
    this.#modelId = config.model ?? "default";
  }

  /** A whole answer. */
  async doGenerate(call: ModelCall): Promise<ModelAnswer> {
    const { run: { turn, startedAt, warnings }, parts } = await this.#begin(call, true);
    const content = new ContentBuilder();
    for await (const part of parts) {
      if (part.type === "error") throw part.error;
      if (part.type !== "finish") content.take(part);
      else {
        const { finishReason, usage, providerMetadata } = part;
        const response = { id: turn.turnId, timestamp: startedAt, modelId: this.#modelId };
        return {
          content: content.parts,
          finishReason,
          usage,
          warnings,
          providerMetadata,
          response,
        };
      }
    }
    throw new SessionClosedError();
  }

  /** An answer as it comes. */
  async doStream(call: ModelCall): Promise<ModelStream> {
    const { run, parts } = await this.#begin(call, false);
    const read = () => this.#read(run);
    return {
      stream: new ReadableStream<ModelStreamPart>({
        async pull(controller): Promise<void> {
          const { done, value } = await parts.next();
          if (done) controller.close();
          else controller.enqueue(value);
        },
        async cancel(): Promise<void> {
          // Not by the generator, which would wait for the next event.
          await run.turn[Symbol.asyncDispose]();
          await parts.return();
          read();
          if (!run.isKept) releaseSession(run.session);
        },
      }, { highWaterMark: 0 }),
    };
  }

  /** Releases the sessions that are kept; calls are refused from then on. Idempotent. */
  async close(): Promise<void> {
    await this.#kept.close();
  }

  async #begin(given: ModelCall, isWhole: boolean): Promise<Begun> {
    checkArgument("codexModel", "options", given, CALL);
    const call = await readable(() => ({ ...given }));
    const { abortSignal: signal } = call;
    let session: ModelSession | null = null;
    let known: ModelSession | null = null;
    let isAsked = false;
    try {
      signal?.throwIfAborted();
      if (this.#kept.closed) throw new SessionClosedError("The model was closed.");
      const { warnings, options } = await readable(() => readCall(call));
      const conversation = await readable(() => readPrompt(call.prompt));
      const { system, history, threadId } = conversation;
      known = history.length === 0 ? null : this.#kept.take(await keyOf(system, history), threadId);
      session = known ?? await this.#start(system, signal);
      const prompt = promptOf(conversation, known !== null);
      if (options.jsonOnly) prompt.text += "\n\nAnswer with one JSON value and nothing else.";
      isAsked = true;
      const turn = await session.askStream(prompt, options.ask);
      const run: Run = {
        call,
        isWhole,
        turn,
        session,
        conversation,
        warnings,
        startedAt: new Date(),
        isKept: false,
        isRead: false,
      };
      const parts = this.#parts(run);
      // What has failed is kept for nobody, also where nobody reads to the end.
      const opened = session;
      const answered = () => {
        if (!run.isRead) this.#kept.answered(opened);
      };
      turn.finish().then(answered, (error) => {
        if (error instanceof OutputValidationError) answered();
        else releaseSession(opened);
      });
      return { run, parts };
    } catch (error) {
      if (session !== null) releaseSession(session);
      // A codex that was started anew has lost what was kept, and was not asked.
      if (known !== null && error instanceof SessionClosedError) {
        return await this.#begin(given, isWhole);
      }
      // A turn whose beginning got lost may have run.
      throw callError(error, signal, isAsked);
    }
  }

  #start(system: string, signal: AbortSignal | undefined): Promise<ModelSession> {
    const own = this.#config.developerInstructions;
    const developerInstructions = [own, system].filter((text) => text).join("\n\n");
    return this.#client.startSession({
      ephemeral: true,
      ...this.#config,
      ...(developerInstructions === "" ? {} : { developerInstructions }),
      ...defined({ signal }),
    });
  }

  #noted(tools: Record<string, DynamicTool>): Record<string, DynamicTool> {
    return Object.fromEntries(
      Object.entries(tools).map(([name, tool]) => {
        const { description, inputSchema } = tool;
        const run: DynamicTool["run"] = (args, context) => {
          this.#acted.add(context.turnId);
          return tool.run(args, context);
        };
        return [name, { description, inputSchema, run }];
      }),
    );
  }

  #read(run: Run): void {
    run.isRead = true;
    this.#kept.read(run.session);
  }

  async *#parts(run: Run): AsyncGenerator<ModelStreamPart, void, undefined> {
    const { call, isWhole, turn, session, conversation, warnings, startedAt } = run;
    const { threadId, turnId } = turn;
    const reader = new TurnParts(threadId, turnId);
    const isJson = call.responseFormat?.type === "json";
    const told = new AnswerParts(threadId, turnId, isJson, isWhole);
    const isRaw = call.includeRawChunks === true;
    yield { type: "stream-start", warnings };
    yield { type: "response-metadata", id: turnId, timestamp: startedAt, modelId: this.#modelId };
    try {
      for await (const event of turn) {
        if (isRaw) yield { type: "raw", rawValue: event };
        for (const part of reader.take(event)) yield* told.take(part);
      }
      for (const part of reader.end()) yield* told.take(part);
      const { result, error } = await settled(turn);
      yield* told.end(error === null ? result?.assistantText ?? "" : "");
      if (call.abortSignal?.aborted && error === call.abortSignal.reason) throw error;
      const usage = usageOf(result?.usage ?? reader.usage);
      const finishReason = finishOf(error);
      if (finishReason.unified === "stop") {
        const { system, history, asked } = conversation;
        const answer = { role: "assistant" as const, text: told.answer };
        const said = [...history, asked, { ...answer, images: [], imageKeys: [], tools: [] }];
        const key = await keyOf(system, said);
        this.#read(run);
        this.#kept.keep(key, session);
        run.isKept = true;
      }
      if (finishReason.unified === "error") {
        // What the model did before a connection was lost is not known: of a command's first moments codex tells nothing.
        const answered = reader.usage !== null || this.#acted.has(turnId) ||
          !(error instanceof TurnError);
        yield { type: "error", error: callError(error, call.abortSignal, answered) };
      }
      yield { type: "finish", usage, finishReason, providerMetadata: told.metadata() };
    } finally {
      this.#read(run);
      this.#acted.delete(turnId);
      // What a stopped turn left behind in the thread is not in anybody's history.
      if (!run.isKept) releaseSession(session);
    }
  }
}

interface Begun {
  run: Run;
  parts: AsyncGenerator<ModelStreamPart, void, undefined>;
}

interface Run {
  call: ModelCall;
  /** Whether the answer is told at once. */
  isWhole: boolean;
  turn: ModelTurn;
  session: ModelSession;
  conversation: Conversation;
  warnings: ModelWarning[];
  startedAt: Date;
  /** Whether the session waits for the next message. */
  isKept: boolean;
  /** Whether the answer is read to its end, or given up. */
  isRead: boolean;
}

/** An answer that does not fit its schema is the SDK's to judge: it has the text. */
async function settled(
  turn: ModelTurn,
): Promise<{ result: PromptRunResult | null; error: unknown }> {
  try {
    return { result: await turn.finish(), error: null };
  } catch (error) {
    return { result: null, error: error instanceof OutputValidationError ? null : error };
  }
}

/** What is no setting of codex. */
const NO_SETTINGS = [
  "maxOutputTokens",
  "temperature",
  "stopSequences",
  "topP",
  "topK",
  "presencePenalty",
  "frequencyPenalty",
  "seed",
] as const;

const EFFORTS = ["none", "minimal", "low", "medium", "high", "xhigh"];

/** What a call asks for beside its prompt. Throws what can't be done. */
function readCall(
  call: ModelCall,
): { warnings: ModelWarning[]; options: { ask: AskOptions; jsonOnly: boolean } } {
  const warnings: ModelWarning[] = NO_SETTINGS.filter((name) => call[name] !== undefined)
    .map((feature) => ({ type: "unsupported", feature, details: "Codex has no such setting." }));
  const [tool] = call.tools ?? [];
  if (tool !== undefined) {
    throw unsupported(
      `the tool ${JSON.stringify(tool.name)} of a call`,
      "Give tools to codexModel(client, { tools }): they run in this process, within codex's turn.",
    );
  }
  const choice = call.toolChoice?.type ?? "auto";
  if (choice !== "auto" && choice !== "none") {
    throw unsupported(`toolChoice ${choice}`, "Codex chooses by itself.");
  }
  if (Object.keys(call.providerOptions?.["codex"] ?? {}).length > 0) {
    const details = "What codex may do is decided by codexModel's options.";
    warnings.push({ type: "unsupported", feature: "providerOptions.codex", details });
  }
  const ask: AskOptions = {};
  if (call.abortSignal !== undefined) ask.signal = call.abortSignal;
  const { reasoning = "provider-default" } = call;
  if (EFFORTS.includes(reasoning)) ask.effort = reasoning;
  else if (reasoning === "max") {
    ask.effort = "xhigh";
    warnings.push({ type: "compatibility", feature: "reasoning", details: "max is xhigh here." });
  } else if (reasoning !== "provider-default") {
    warnings.push({ type: "unsupported", feature: "reasoning" });
  }
  const { type, schema, description } = call.responseFormat ?? { type: "text" };
  if (schema !== undefined) {
    ask.outputSchema = description === undefined || "description" in schema
      ? schema
      : { ...schema, description };
  }
  const jsonOnly = type === "json" && schema === undefined;
  if (jsonOnly) {
    const details = "Without a schema the model is only asked for JSON.";
    warnings.push({ type: "compatibility", feature: "responseFormat", details });
  }
  return { warnings, options: { ask, jsonOnly } };
}
