/**
 * A turn as the AI SDK's model tells it: its parts, its tokens, its end.
 * @module
 */
import { TurnInterruptedError } from "../../errors/mod.ts";
import { type JsonObject, jsonOf } from "../../json.ts";
import type { TokenUsage } from "../../session/mod.ts";
import type { TurnPart } from "../turn_parts.ts";
import type {
  ModelContent,
  ModelFinish,
  ModelMetadata,
  ModelStreamPart,
  ModelUsage,
} from "./model_types.ts";

/** A turn's parts as those of a model's answer: only the answer is text, the rest that was said is reasoning. */
export class AnswerParts {
  /** The texts, as they stand one behind the other where they are whole: a plan comes in the middle of a message. */
  readonly #texts: Map<string, string> = new Map();
  readonly #ids: JsonObject;
  readonly #isJson: boolean;
  readonly #isWhole: boolean;
  /** Texts that are told as reasoning. */
  readonly #asides: Set<string> = new Set();
  /** A text that may turn out not to be the answer: only JSON may be in an answer that must be JSON. */
  #held: { id: string; itemId: string; text: string } | null = null;
  /** What stands before the next text. */
  #gap = "";

  /**
   * For one turn; `isJson` when the answer must be JSON, `isWhole` when it is told at once: texts that codex broke off to say them
   * anew have no end then.
   */
  constructor(threadId: string, turnId: string, isJson: boolean, isWhole: boolean) {
    this.#ids = { threadId, turnId };
    this.#isJson = isJson;
    this.#isWhole = isWhole;
  }

  /** All text. */
  get answer(): string {
    return [...this.#texts.values()].join("");
  }

  /** What every part tells. */
  metadata(itemId?: string): ModelMetadata {
    return { codex: itemId === undefined ? this.#ids : { ...this.#ids, itemId } };
  }

  /** What a part of the turn adds. */
  *take(part: TurnPart): Generator<ModelStreamPart, void, undefined> {
    switch (part.type) {
      case "textStart": {
        yield* this.#aside();
        const { id, itemId, commentary, isFinal } = part;
        const providerMetadata = this.metadata(itemId);
        if (commentary) {
          this.#asides.add(id);
          yield { type: "reasoning-start", id, providerMetadata };
        } else if (this.#isJson && !isFinal) this.#held = { id, itemId, text: "" };
        else yield { type: "text-start", id, providerMetadata };
        return;
      }
      case "textDelta": {
        const { id, delta } = part;
        if (this.#held?.id === id) this.#held.text += delta;
        else if (this.#asides.has(id)) yield { type: "reasoning-delta", id, delta };
        else yield this.#text(id, delta);
        return;
      }
      case "textEnd": {
        const { id, itemId, cut } = part;
        if (this.#held?.id === id) {
          if (cut) this.#held = null;
          return;
        }
        if (cut && !this.#asides.has(id)) {
          if (this.#isWhole) return void this.#texts.delete(id);
          this.#gap = "\n\n";
        }
        const type = this.#asides.has(id) ? "reasoning-end" : "text-end";
        yield { type, id, providerMetadata: this.metadata(itemId) };
        return;
      }
      case "reasoningStart":
      case "reasoningEnd": {
        const type = part.type === "reasoningStart" ? "reasoning-start" : "reasoning-end";
        yield { type, id: part.id, providerMetadata: this.metadata(part.itemId) };
        return;
      }
      case "reasoningDelta":
        yield { type: "reasoning-delta", id: part.id, delta: part.delta };
        return;
      case "toolStart": {
        yield* this.#aside();
        const { id, name, input, itemId } = part.use;
        yield {
          type: "tool-call",
          toolCallId: id,
          toolName: name,
          input: JSON.stringify(input),
          providerExecuted: true,
          dynamic: true,
          providerMetadata: this.metadata(itemId),
        };
        return;
      }
      case "toolEnd": {
        const { use, output, outcome } = part;
        yield {
          type: "tool-result",
          toolCallId: use.id,
          toolName: use.name,
          result: output,
          ...(outcome === "ok" ? {} : { isError: true }),
          dynamic: true,
          providerMetadata: this.metadata(use.itemId),
        };
        return;
      }
    }
  }

  /** Nothing more comes; the answer of a turn whose model called all of it commentary is told all the same. */
  *end(answer: string): Generator<ModelStreamPart, void, undefined> {
    const held = this.#held ??
      (this.answer === "" && answer !== "" ? { id: "answer", itemId: "", text: answer } : null);
    this.#held = null;
    if (held === null) return;
    const { id, itemId, text } = held;
    const providerMetadata = this.metadata(itemId === "" ? undefined : itemId);
    yield { type: "text-start", id, providerMetadata };
    yield this.#text(id, text);
    yield { type: "text-end", id, providerMetadata };
  }

  #text(id: string, more: string): ModelStreamPart {
    const delta = this.#gap + more;
    this.#gap = "";
    this.#texts.set(id, (this.#texts.get(id) ?? "") + delta);
    return { type: "text-delta", id, delta };
  }

  /** What was held is not the answer: something follows it. */
  *#aside(): Generator<ModelStreamPart, void, undefined> {
    const held = this.#held;
    this.#held = null;
    if (held === null) return;
    const { id, itemId, text } = held;
    const providerMetadata = this.metadata(itemId);
    yield { type: "reasoning-start", id, providerMetadata };
    yield { type: "reasoning-delta", id, delta: text };
    yield { type: "reasoning-end", id, providerMetadata };
    this.#asides.add(id);
  }
}

/** Joins the parts of a stream to those of a whole answer. */
export class ContentBuilder {
  readonly #parts: ModelContent[] = [];
  readonly #open: Map<string, ModelContent & { text: string }> = new Map();

  /** The parts, but for texts without an end. */
  get parts(): ModelContent[] {
    const open: ReadonlySet<ModelContent> = new Set(this.#open.values());
    return this.#parts.filter((part) => !open.has(part));
  }

  /** Adds one. */
  take(part: ModelStreamPart): void {
    switch (part.type) {
      case "text-start":
      case "reasoning-start": {
        const type = part.type === "text-start" ? "text" as const : "reasoning" as const;
        const { providerMetadata } = part;
        const content = { type, text: "", providerMetadata } satisfies ModelContent;
        this.#parts.push(content);
        this.#open.set(part.id, content);
        return;
      }
      case "text-end":
      case "reasoning-end":
        this.#open.delete(part.id);
        return;
      case "text-delta":
      case "reasoning-delta": {
        const open = this.#open.get(part.id);
        if (open !== undefined) open.text += part.delta;
        return;
      }
      case "tool-call":
      case "tool-result":
        this.#parts.push(part);
    }
  }
}

/** How a turn ended, in the SDK's words. */
export function finishOf(error: unknown): ModelFinish {
  if (error === null) return { unified: "stop", raw: "completed" };
  if (error instanceof TurnInterruptedError) return { unified: "interrupted", raw: "interrupted" };
  return { unified: "error", raw: "failed" };
}

/** The tokens of a turn, in the SDK's words. */
export function usageOf(usage: TokenUsage | null): ModelUsage {
  const { inputTokens: input, cachedInputTokens: cached, outputTokens: output } = usage ?? {};
  const reasoning = usage?.reasoningOutputTokens;
  const less = (all?: number, part?: number) =>
    all === undefined || part === undefined ? undefined : Math.max(0, all - part);
  return {
    inputTokens: {
      total: input,
      noCache: less(input, cached),
      cacheRead: cached,
      cacheWrite: undefined,
    },
    outputTokens: { total: output, text: less(output, reasoning), reasoning },
    ...(usage === null ? {} : { raw: jsonOf(usage) as JsonObject }),
  };
}
