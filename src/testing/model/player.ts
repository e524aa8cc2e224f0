/**
 * Plays one model turn into an HTTP reply, as the server-sent events of the Responses API.
 * @module
 */
import { abortable, delay } from "../../async.ts";
import { defined, isJsonObject, type JsonObject } from "../../json.ts";
import type { HttpReply, HttpStream } from "../../platform/mod.ts";
import type { ModelStep, ModelTurn, Usage } from "./script.ts";

// Many small events go out in one write: a flood of 200,000 deltas would otherwise be 200,000 writes.
const BATCH_CHARACTERS = 64 * 1024;

/** The steps of a turn; strings become messages. */
function stepsOf(turn: ModelTurn): ModelStep[] {
  const list: readonly (string | ModelStep)[] = Array.isArray(turn)
    ? turn
    : [turn as string | ModelStep];
  return list.map((step) => typeof step === "string" ? { type: "message", text: step } : step);
}

/**
 * Plays `turn`; `signal` aborts when the client is gone or the model is closed. Throws only while nothing has been
 * sent, so that the caller can still answer with a status.
 */
export async function play(
  turn: ModelTurn,
  reply: HttpReply,
  nextId: NextId,
  signal: AbortSignal,
  tools: readonly string[] = [],
): Promise<void> {
  const steps = stepsOf(turn).map((step) => shellStep(step, tools));
  check(steps);
  const player = new Player(reply, nextId, signal);
  try {
    for (const step of steps) {
      if (signal.aborted) break;
      if (await player.step(step)) return;
    }
  } catch (error) {
    if (!player.opened) throw error;
    // Too late for a status: the client sees a broken stream.
    return await player.cut();
  }
  if (signal.aborted) await player.cut();
  else await player.complete();
}

/** Refuses an order of steps that HTTP cannot express. */
function check(steps: ModelStep[]): void {
  const opening = steps.findIndex((s) => !["delay", "gate", "headers", "usage"].includes(s.type));
  const late = steps.findIndex((s, i) =>
    (s.type === "http" || s.type === "headers") && i > opening
  );
  if (opening !== -1 && late !== -1) {
    throw new TypeError(
      `script step "${steps[late]!.type}" must come before the stream opens, but follows step "${
        steps[opening]!.type
      }"`,
    );
  }
}

/**
 * A codex that offers no `exec_command` (up to 0.149 on Windows, and where sessions turn it off) runs the same command by the
 * shell tool that it offers: `shell_command`, and before 0.136 `shell`.
 */
export function shellStep(step: ModelStep, tools: readonly string[]): ModelStep {
  if (step.type !== "toolCall" || step.name !== "exec_command") return step;
  if (tools.includes(step.name) || step.namespace !== undefined) return step;
  if (!isJsonObject(step.args)) return step;
  const { cmd = "", ...rest } = step.args;
  if (tools.includes("shell_command")) {
    return { ...step, name: "shell_command", args: { command: cmd, ...rest } };
  }
  if (!tools.includes("shell")) return step;
  return { ...step, name: "shell", args: { command: ["bash", "-lc", cmd], ...rest } };
}

class Player {
  readonly #reply: HttpReply;
  readonly #nextId: NextId;
  readonly #signal: AbortSignal;
  readonly #responseId: string;
  #headers: Record<string, string> = {};
  #usage: Usage = {};
  #stream: HttpStream | undefined;
  #index = 0;

  constructor(reply: HttpReply, nextId: NextId, signal: AbortSignal) {
    this.#reply = reply;
    this.#nextId = nextId;
    this.#signal = signal;
    this.#responseId = nextId("resp");
  }

  /** Plays one step; true when it ended the response. */
  async step(step: ModelStep): Promise<boolean> {
    switch (step.type) {
      case "message":
        await this.#message(step);
        return false;
      case "flood":
        await this.#flood(step.count, step.size);
        return false;
      case "reasoning":
        await this.#send(...reasoningEvents(step, this.#index++, this.#nextId));
        return false;
      case "toolCall":
      case "customToolCall":
        await this.#send(callEvent(step, this.#index++, this.#nextId));
        return false;
      case "event":
        await this.#send(step.event);
        return false;
      case "raw":
        await this.#write(step.text);
        return false;
      case "usage":
        this.#usage = step.usage;
        return false;
      case "headers":
        this.#headers = { ...this.#headers, ...step.headers };
        return false;
      case "delay":
        await until(delay(step.ms, this.#signal), this.#signal);
        return false;
      case "gate":
        await until(step.until, this.#signal);
        return false;
      case "http":
        this.#reply.send(step.status, { ...this.#headers, ...step.headers }, step.body);
        return true;
      case "failed":
        return await this.#finish("failed", {
          error: { code: step.code, message: step.message },
        });
      case "incomplete":
        return await this.#finish("incomplete", { incomplete_details: { reason: step.reason } });
      case "end":
        await this.#open();
        return this.#end();
      case "cut":
        await this.#open();
        await this.cut();
        return true;
      case "hang":
        await this.#open();
        await until(new Promise(() => {}), this.#signal);
        await this.cut();
        return true;
      default:
        // Scripts in prompts are JSON, which nobody has checked.
        throw new TypeError(`there is no script step ${JSON.stringify(step)}`);
    }
  }

  /** True once the stream is open and the status is out. */
  get opened(): boolean {
    return this.#stream !== undefined;
  }

  async complete(): Promise<void> {
    await this.#finish("completed", { usage: tokens(this.#usage) });
  }

  async cut(): Promise<void> {
    if (this.#stream === undefined) this.#reply.drop();
    else await this.#stream.cut();
  }

  async #finish(status: string, more: JsonObject): Promise<true> {
    await this.#send(ended(this.#responseId, status, more));
    return this.#end();
  }

  #end(): true {
    this.#stream!.end();
    return true;
  }

  async #message(step: Extract<ModelStep, { type: "message" }>): Promise<void> {
    const id = this.#nextId("msg");
    const index = this.#index++;
    await this.#send(messageAdded(id, index, step.phase));
    const deltas = deltasOf(step.text, step.chunkSize);
    for (const [n, delta] of deltas.entries()) {
      if (n > 0 && step.delayMs !== undefined) {
        await until(delay(step.delayMs, this.#signal), this.#signal);
      }
      if (this.#signal.aborted) return;
      await this.#send(messageDelta(id, index, delta));
    }
    if (step.open === true) return;
    await this.#send(messageDone(id, index, deltas.join(""), step.phase));
  }

  async #flood(count: number, size: number): Promise<void> {
    const id = this.#nextId("msg");
    const index = this.#index++;
    const delta = "x".repeat(size);
    const encoded = encodeEvent(messageDelta(id, index, delta));
    const batch = Math.max(1, Math.floor(BATCH_CHARACTERS / encoded.length));
    await this.#send(messageAdded(id, index));
    for (let sent = 0; sent < count && !this.#signal.aborted; sent += batch) {
      await this.#write(encoded.repeat(Math.min(batch, count - sent)));
    }
    await this.#send(messageDone(id, index, delta.repeat(count)));
  }

  async #send(...events: Parameters<typeof encodeEvent>[0][]): Promise<void> {
    await this.#write(events.map(encodeEvent).join(""));
  }

  async #write(text: string): Promise<void> {
    await this.#open();
    await this.#stream!.write(text);
  }

  async #open(): Promise<void> {
    if (this.#stream !== undefined) return;
    this.#stream = this.#reply.open(200, {
      "content-type": "text/event-stream",
      "cache-control": "no-store",
      ...this.#headers,
    });
    await this.#stream.write(encodeEvent(created(this.#responseId)));
  }
}

/** Waits for it, or until the model is told to stop; only a rejected gate rejects. */
async function until(promise: PromiseLike<unknown>, signal: AbortSignal): Promise<void> {
  try {
    await abortable(Promise.resolve(promise), signal);
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

// Model steps as the server-sent events of the Responses API: pure, but for fresh ids.

/** Makes ids that are unique in one model. */
export type NextId = (prefix: string) => string;

/** One event, encoded. */
function encodeEvent(data: JsonObject): string {
  return `event: ${String(data["type"])}\ndata: ${JSON.stringify(data)}\n\n`;
}

/** The deltas that a message is streamed in. */
export function deltasOf(text: string | readonly string[], chunkSize?: number): readonly string[] {
  if (typeof text !== "string") return text;
  if (chunkSize === undefined || !(chunkSize >= 1)) return text === "" ? [] : [text];
  const deltas: string[] = [];
  const characters = Array.from(text);
  for (let at = 0; at < characters.length; at += chunkSize) {
    deltas.push(characters.slice(at, at + chunkSize).join(""));
  }
  return deltas;
}

/** The opening event of a message. */
function messageAdded(id: string, index: number, phase?: string): JsonObject {
  return {
    type: "response.output_item.added",
    output_index: index,
    item: { ...message(id, phase), status: "in_progress", content: [] },
  };
}

/** One piece of a message. */
function messageDelta(id: string, index: number, delta: string): JsonObject {
  return {
    type: "response.output_text.delta",
    item_id: id,
    output_index: index,
    content_index: 0,
    delta,
  };
}

/** The closing event of a message, with its whole text. */
function messageDone(id: string, index: number, text: string, phase?: string): JsonObject {
  return {
    type: "response.output_item.done",
    output_index: index,
    item: {
      ...message(id, phase),
      status: "completed",
      content: [{ type: "output_text", text, annotations: [] }],
    },
  };
}

function message(id: string, phase?: string): JsonObject {
  return { type: "message", id, role: "assistant", ...defined({ phase }) };
}

/** The events of a reasoning item. */
function reasoningEvents(
  step: Extract<ModelStep, { type: "reasoning" }>,
  index: number,
  nextId: NextId,
): JsonObject[] {
  const id = nextId("rs");
  const at = { item_id: id, output_index: index };
  const part = { type: "summary_text", text: step.text };
  const content = step.content === undefined
    ? []
    : [{ type: "reasoning_text", text: step.content }];
  const item = { type: "reasoning", id, encrypted_content: null };
  return [
    {
      type: "response.output_item.added",
      output_index: index,
      item: { ...item, summary: [], content: [] },
    },
    {
      type: "response.reasoning_summary_part.added",
      ...at,
      summary_index: 0,
      part: { ...part, text: "" },
    },
    { type: "response.reasoning_summary_text.delta", ...at, summary_index: 0, delta: step.text },
    { type: "response.reasoning_summary_text.done", ...at, summary_index: 0, text: step.text },
    ...content.map((c) => ({
      type: "response.reasoning_text.delta",
      ...at,
      content_index: 0,
      delta: c.text,
    })),
    {
      type: "response.output_item.done",
      output_index: index,
      item: { ...item, summary: [part], content },
    },
  ];
}

/** The event of a function or freeform call. */
function callEvent(
  step: Extract<ModelStep, { type: "toolCall" | "customToolCall" }>,
  index: number,
  nextId: NextId,
): JsonObject {
  const call_id = step.callId ?? nextId("call");
  const item: JsonObject = step.type === "customToolCall"
    ? {
      type: "custom_tool_call",
      id: nextId("ctc"),
      call_id,
      name: step.name,
      input: step.input,
      status: "completed",
    }
    : {
      type: "function_call",
      id: nextId("fc"),
      call_id,
      name: step.name,
      arguments: typeof step.args === "string" ? step.args : JSON.stringify(step.args),
      ...defined({ namespace: step.namespace }),
      status: "completed",
    };
  return { type: "response.output_item.done", output_index: index, item };
}

/** The first event of a response. */
function created(id: string): JsonObject {
  return { type: "response.created", response: { id, object: "response", status: "in_progress" } };
}

/** The last event of a response. */
function ended(id: string, status: string, more: JsonObject): JsonObject {
  return { type: `response.${status}`, response: { id, object: "response", status, ...more } };
}

/** Tokens as the Responses API tells them. */
function tokens(usage: Usage): JsonObject {
  const input = usage.inputTokens ?? 10;
  const output = usage.outputTokens ?? 3;
  return {
    input_tokens: input,
    input_tokens_details: { cached_tokens: usage.cachedInputTokens ?? 0 },
    output_tokens: output,
    output_tokens_details: { reasoning_tokens: usage.reasoningTokens ?? 0 },
    total_tokens: usage.totalTokens ?? input + output,
  };
}
