/**
 * The shapes of the AI SDK's language model, version 4, as far as this one uses them: structural, held against
 * `@ai-sdk/provider` by the types' tests.
 * @module
 */
import type { JsonObject, JsonValue } from "../../json.ts";

/** What a provider tells beside the standard, by provider. */
export type ModelMetadata = Record<string, JsonObject>;

/** A part of a message of the prompt. Switch on `type`. */
export interface PromptPart {
  /** `text`, `file`, `reasoning`, `tool-call`, `tool-result` … */
  type: string;
  /** Of a text or reasoning. */
  text?: string;
  /** Of a file: its bytes, base64, text or address. */
  data?: unknown;
  /** Of a file. */
  mediaType?: string;
  /** Of a file. */
  filename?: string;
  /** Of a tool. */
  toolName?: string;
  /** Of a call. */
  input?: unknown;
  /** Of a result. */
  output?: unknown;
  /** What this model told when it made the part, by provider. */
  providerOptions?: Record<string, Readonly<Record<string, unknown>>>;
}

/** A message of the prompt. */
export interface PromptMessage {
  /** Whose. */
  role: "system" | "user" | "assistant" | "tool";
  /** A system message is a text, the others have parts. */
  content: string | PromptPart[];
}

/** What a call of the model is given. */
export interface ModelCall {
  /** The conversation; the last message must be the user's. */
  prompt: PromptMessage[];
  /** What the answer must be. */
  responseFormat?: { type: string; schema?: object; name?: string; description?: string };
  /** Tools of the caller: refused. */
  tools?: { type: string; name: string }[];
  /** Must leave the choice to the model. */
  toolChoice?: { type: string };
  /** How much the model thinks. */
  reasoning?: string;
  /** Whether to tell codex's own events as well. */
  includeRawChunks?: boolean;
  /** Stops the turn. */
  abortSignal?: AbortSignal;
  /** Not a setting of codex: told by a warning. */
  maxOutputTokens?: number;
  /** Not a setting of codex: told by a warning. */
  temperature?: number;
  /** Not a setting of codex: told by a warning. */
  stopSequences?: string[];
  /** Not a setting of codex: told by a warning. */
  topP?: number;
  /** Not a setting of codex: told by a warning. */
  topK?: number;
  /** Not a setting of codex: told by a warning. */
  presencePenalty?: number;
  /** Not a setting of codex: told by a warning. */
  frequencyPenalty?: number;
  /** Not a setting of codex: told by a warning. */
  seed?: number;
  /** Settings by provider: `codex` has none, and is told by a warning. */
  providerOptions?: Record<string, Readonly<Record<string, unknown>>>;
}

/** What has no effect, or another one. */
export type ModelWarning =
  | { type: "unsupported"; feature: string; details?: string }
  | { type: "compatibility"; feature: string; details?: string }
  | { type: "other"; message: string };

/** Why the answer ended. */
export interface ModelFinish {
  /** In the SDK's words. */
  unified: "stop" | "interrupted" | "error";
  /** In codex's. */
  raw: string | undefined;
}

/** Tokens of the turn, its agents included. */
export interface ModelUsage {
  /** Read by the model. */
  inputTokens: {
    /** All. */
    total: number | undefined;
    /** Not from the cache. */
    noCache: number | undefined;
    /** From the cache. */
    cacheRead: number | undefined;
    /** Codex does not tell it. */
    cacheWrite: undefined;
  };
  /** Written by the model. */
  outputTokens: {
    /** All. */
    total: number | undefined;
    /** Not reasoning. */
    text: number | undefined;
    /** Reasoning. */
    reasoning: number | undefined;
  };
  /** As codex tells them. */
  raw?: JsonObject;
}

/** A tool that codex ran by itself. */
export interface ModelToolCall {
  /** Discriminator. */
  type: "tool-call";
  /** Names the call. */
  toolCallId: string;
  /** `shell`, `apply_patch`, `web_search`, `mcp__<server>__<tool>`, or the name of one of the profile's tools. */
  toolName: string;
  /** JSON. */
  input: string;
  /** The SDK must not run it. */
  providerExecuted: true;
  /** The SDK has no schema of it. */
  dynamic: true;
  /** `codex`: the item. */
  providerMetadata: ModelMetadata;
}

/** What came of it. */
export interface ModelToolResult {
  /** Discriminator. */
  type: "tool-result";
  /** Names the call. */
  toolCallId: string;
  /** The tool. */
  toolName: string;
  /** Output, exit code, status. */
  result: NonNullable<JsonValue>;
  /** It failed, was declined, or did not end. */
  isError?: boolean;
  /** The SDK has no schema of it. */
  dynamic: true;
  /** `codex`: the item. */
  providerMetadata: ModelMetadata;
}

/** A piece of the answer. */
export type ModelStreamPart =
  | { type: "stream-start"; warnings: ModelWarning[] }
  | { type: "response-metadata"; id: string; timestamp: Date; modelId: string }
  | { type: "text-start"; id: string; providerMetadata: ModelMetadata }
  | { type: "text-delta"; id: string; delta: string }
  | { type: "text-end"; id: string; providerMetadata: ModelMetadata }
  | { type: "reasoning-start"; id: string; providerMetadata: ModelMetadata }
  | { type: "reasoning-delta"; id: string; delta: string }
  | { type: "reasoning-end"; id: string; providerMetadata: ModelMetadata }
  | ModelToolCall
  | ModelToolResult
  | { type: "raw"; rawValue: unknown }
  | {
    type: "finish";
    usage: ModelUsage;
    finishReason: ModelFinish;
    providerMetadata: ModelMetadata;
  }
  | { type: "error"; error: unknown };

/** A part of a whole answer. */
export type ModelContent =
  | { type: "text"; text: string; providerMetadata: ModelMetadata }
  | { type: "reasoning"; text: string; providerMetadata: ModelMetadata }
  | ModelToolCall
  | ModelToolResult;

/** A whole answer. */
export interface ModelAnswer {
  /** Its parts in order. */
  content: ModelContent[];
  /** Why it ended. */
  finishReason: ModelFinish;
  /** Its tokens. */
  usage: ModelUsage;
  /** What has no effect. */
  warnings: ModelWarning[];
  /** `codex`: `threadId` and `turnId`. */
  providerMetadata: ModelMetadata;
  /** Which turn it was. */
  response: {
    /** The turn. */
    id: string;
    /** When it began. */
    timestamp: Date;
    /** The model. */
    modelId: string;
  };
}

/** An answer as it comes. */
export interface ModelStream {
  /** Its parts. Cancelling it stops the turn. */
  stream: ReadableStream<ModelStreamPart>;
}
