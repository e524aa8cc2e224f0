/**
 * A turn as OpenTelemetry sees it: the agent's invocation, the calls of the model and the uses of tools in it. Names are those
 * of the GenAI semantic conventions 0.1.0.
 *
 * When the model is called is not told by codex. A call begins with the turn, or when the one before has ended and no tool is
 * running any more, and ends when its tokens are told: it is as long as the waiting for the model, to what its events tell.
 * @module
 */
import { defined, type JsonObject, type JsonValue, present } from "../../json.ts";
import { LIBRARY_VERSION } from "../../protocol/mod.ts";
import { redactText } from "../../redact.ts";
import {
  type OtelAttributes,
  type OtelContext,
  type OtelMeter,
  type OtelSpan,
  type OtelTracer,
  quietly,
  type Telemetry,
  type TraceContext,
  traceOf,
} from "../../telemetry.ts";
import type { ThreadItem } from "../../thread_item.ts";
import { outcomeOf, toolOf, type ToolOutcome } from "../../tool_use.ts";
import {
  content,
  contextOf,
  errorType,
  inputMessages,
  Instruments,
  NO_CONTEXT,
  outputMessages,
  short,
  usageOf,
} from "./instruments.ts";
import type { TurnEvent } from "../turn/turn_event.ts";
import type { TokenCount, TurnStatus, UsageCount } from "../turn/turn_result.ts";
import { NO_TOKENS, subtractTokens, TurnTally } from "../turn/turn_usage.ts";

const SCOPE = "@codex/runtime";
const AGENT = "codex";
const INTERNAL = 0;
const CLIENT = 2;
const ERROR = 2;

/** What is known of a turn before it begins. */
export interface AgentFacts {
  /** The conversation. */
  threadId: string;
  /** The model, if it is known. */
  model: string | null;
  /** Who serves it, if that is known. */
  provider: string | null;
  /** How much it thinks. */
  effort: string | null;
  /** Whether the answer is JSON. */
  json: boolean;
  /** What is asked. */
  input: readonly JsonObject[];
  /** Codex's version. */
  version: string;
}

/** What is needed of a turn that something else began. */
interface WatchedTurn {
  span: AgentSpan | null;
  readonly endsAs: TurnStatus | null;
  readonly outcome: {
    readonly status: TurnStatus | null;
    readonly failure: { readonly kind: string } | null;
  };
  observe(observer: (event: TurnEvent) => void): void;
  reached(phase: "released"): Promise<void>;
}

interface OpenTool {
  readonly item: ThreadItem;
  readonly name: string;
  readonly toolType: string;
  readonly span: OtelSpan | null;
  readonly startedAt: number;
}

interface OpenChat {
  readonly span: OtelSpan | null;
  readonly startedAt: number;
}

/** The span of one turn, and those in it. Nothing that it does throws. */
export class AgentSpan {
  /** What the server is told of it. */
  readonly trace: TraceContext | undefined;
  readonly #tracer: OtelTracer;
  readonly #telemetry: Telemetry;
  readonly #instruments: Instruments | null;
  readonly #facts: AgentFacts;
  readonly #capture: boolean;
  readonly #startedAt = Date.now();
  readonly #span: OtelSpan | null;
  /** The context in which its children begin. */
  readonly context: OtelContext;
  readonly #tally = new TurnTally();
  readonly #tools: OpenTool[] = [];
  #chat: OpenChat | null = null;
  /** Since when the model is waited for, once its next call has begun. */
  #waitsSince: number | null = null;
  /** Whether the last call's tokens are told, and nothing of the next one is. */
  #wasCounted = false;
  #modelCalls = 0;
  #usage: UsageCount | null = null;
  #turnId = "";
  #answer = "";
  #ended = false;

  /** Begins below the caller's span; `null` while the program has no tracer. */
  static begin(
    telemetry: Telemetry,
    facts: AgentFacts,
    parent: OtelContext | null,
  ): AgentSpan | null {
    const tracer = telemetry.tracer(SCOPE, LIBRARY_VERSION);
    const meter = telemetry.meter(SCOPE, LIBRARY_VERSION);
    if (tracer === null && meter === null) return null;
    return new AgentSpan(tracer ?? NO_TRACER, meter, facts, parent, telemetry);
  }

  private constructor(
    tracer: OtelTracer,
    meter: OtelMeter | null,
    facts: AgentFacts,
    parent: OtelContext | null,
    telemetry: Telemetry,
  ) {
    this.#telemetry = telemetry;
    this.#tracer = tracer;
    this.#instruments = meter === null ? null : Instruments.of(meter);
    this.#facts = facts;
    this.#capture = telemetry.captureContent;
    const version = facts.version === "" ? {} : { "gen_ai.agent.version": facts.version };
    const above = parent ?? NO_CONTEXT;
    this.#span = this.#start(`invoke_agent ${AGENT}`, INTERNAL, this.#startedAt, above, {
      ...this.#common("invoke_agent"),
      ...version,
      ...(facts.json ? { "gen_ai.output.type": "json" } : {}),
      ...(this.#capture ? { "gen_ai.input.messages": inputMessages(facts.input) } : {}),
    });
    this.context = this.#span === null ? above : contextOf(this.#span, above);
    this.trace = traceOf(this.#span ?? undefined);
  }

  /** Hears of the turn, in order. */
  take(event: TurnEvent): void {
    if (!this.#ended) quietly(() => this.#take(event));
  }

  /** Runs what a caller of ours does for the turn, such as a tool: what it traces is below the turn's span. */
  within<T>(call: () => T): T {
    return this.#telemetry.within(this.context, call);
  }

  /** Hears of the tokens so far. */
  counted(usage: UsageCount): void {
    if (!this.#ended) quietly(() => this.#counted(usage));
  }

  /** Is the span of a turn that something else began, from its beginning to its end. */
  watch(turn: WatchedTurn): void {
    const { outcome } = turn;
    const end = () => {
      const status = turn.endsAs ?? outcome.status ?? "connectionClosed";
      this.end(status, null, outcome.failure?.kind);
    };
    turn.span = this;
    turn.observe((event) => {
      this.take(event);
      if (event.type === "turnCompleted") end();
    });
    turn.reached("released").then(end);
  }

  /** The turn is over; `error` is what its caller gets, `null` for an answer; `kind` how it failed without a caller. Idempotent. */
  end(status: TurnStatus, error: unknown, kind?: string): void {
    if (this.#ended) return;
    this.#ended = true;
    quietly(() => this.#end(status, error, kind));
  }

  #take(event: TurnEvent): void {
    if (event.type === "approvalRequested" || event.type === "approvalResolved") return;
    if (event.threadId !== this.#facts.threadId) return;
    if (event.turnId !== "") this.#turnId = event.turnId;
    switch (event.type) {
      case "turnStarted":
        this.#waitsSince = Date.now();
        return;
      case "assistantMessageDelta":
      case "reasoningDelta":
      case "planDelta":
        return this.#modelSpoke();
      case "itemStarted":
        return this.#started(event.item);
      case "itemCompleted":
        return this.#completed(event.item);
      case "tokenUsage":
        return this.#counted(event.usage);
      default:
    }
  }

  #started(item: ThreadItem): void {
    if (item.type === "userMessage") return;
    this.#tally.item(item.type);
    const tool = toolOf(item);
    if (tool === null) return this.#modelSpoke();
    if (this.#find(item) !== undefined) return;
    const startedAt = Date.now();
    const name = short(tool.name);
    const toolType = item.type === "dynamicToolCall" ? "function" : "extension";
    const span = this.#start(`execute_tool ${name}`, INTERNAL, startedAt, this.context, {
      "gen_ai.operation.name": "execute_tool",
      "gen_ai.tool.name": name,
      "gen_ai.tool.type": toolType,
      "gen_ai.tool.call.id": short(item.id),
      "gen_ai.agent.name": AGENT,
      "gen_ai.conversation.id": this.#facts.threadId,
      ...(this.#capture ? { "gen_ai.tool.call.arguments": content(tool.input) } : {}),
    });
    this.#tools.push({ item, name, toolType, span, startedAt });
  }

  #completed(item: ThreadItem): void {
    if (item.type === "agentMessage") this.#answer = item.text;
    if (toolOf(item) === null) return;
    let open = this.#find(item);
    if (open === undefined) {
      this.#started(item);
      open = this.#find(item)!;
    }
    const { output, outcome } = outcomeOf(item);
    this.#toolEnded(open, outcome, output);
  }

  /** Ids of items are made by models, and recur. */
  #find(item: ThreadItem): OpenTool | undefined {
    const open = this.#tools.filter((each) =>
      each.item.id === item.id && each.item.type === item.type
    );
    if (open.length < 2) return open[0];
    const use = JSON.stringify(toolOf(item));
    return open.find((each) => JSON.stringify(toolOf(each.item)) === use) ?? open[0];
  }

  #toolEnded(open: OpenTool, outcome: ToolOutcome, output: JsonValue): void {
    const { span, name, toolType, startedAt } = open;
    this.#tools.splice(this.#tools.indexOf(open), 1);
    if (this.#chat === null && this.#wasCounted) this.#waitsSince = Date.now();
    const failed = outcome === "ok" ? {} : { "error.type": outcome };
    this.#finish(span, failed, outcome !== "ok", {
      ...(this.#capture ? { "gen_ai.tool.call.result": content(output) } : {}),
    });
    this.#instruments?.tool(secondsSince(startedAt), {
      "gen_ai.tool.name": name,
      "gen_ai.tool.type": toolType,
      "gen_ai.agent.name": AGENT,
      ...failed,
    });
  }

  /** What the model says shows that it has been called. */
  #modelSpoke(): void {
    if (this.#chat !== null || this.#waitsSince === null) return;
    this.#beginChat(this.#waitsSince);
  }

  #beginChat(startedAt: number): void {
    const { model } = this.#facts;
    this.#wasCounted = false;
    this.#chat = {
      startedAt,
      span: this.#start(
        model === null ? "chat" : `chat ${short(model)}`,
        CLIENT,
        startedAt,
        this.context,
        this.#common("chat"),
      ),
    };
  }

  #counted(usage: UsageCount): void {
    const all = subtractTokens(usage, this.#usage);
    const subAgents = subtractTokens(usage.subAgents, this.#usage?.subAgents ?? NO_TOKENS);
    const own = subtractTokens(all, subAgents);
    this.#usage = usage;
    // Old servers tell a count several times; the agents that the agent started have spans of their own.
    if (own.totalTokens <= 0) return;
    this.#instruments?.tokens(own, this.#measured("chat"));
    if (this.#chat === null) this.#beginChat(this.#waitsSince ?? Date.now());
    this.#endChat(own, {});
    this.#tally.called(own.totalTokens);
    this.#waitsSince = Date.now();
    this.#wasCounted = true;
  }

  #endChat(tokens: TokenCount | null, failed: OtelAttributes): void {
    const chat = this.#chat;
    if (chat === null) return;
    this.#chat = null;
    this.#modelCalls++;
    this.#finish(chat.span, failed, "error.type" in failed, tokens === null ? {} : usageOf(tokens));
    this.#instruments?.chat(secondsSince(chat.startedAt), {
      ...this.#measured("chat"),
      ...failed,
    });
  }

  #end(status: TurnStatus, error: unknown, kind?: string): void {
    // Who gives a turn up may do so for any reason, `null` among them.
    const isError = error !== null || status !== "completed";
    const failed: OtelAttributes = isError
      ? { "error.type": kind ?? errorType(error, status) }
      : {};
    for (const open of [...this.#tools]) this.#toolEnded(open, "unfinished", null);
    // The model was answering when the turn broke off.
    const waited = this.#waitsSince !== null && this.#tally.more && status !== "completed";
    if (this.#chat === null && waited) this.#beginChat(this.#waitsSince!);
    this.#endChat(null, status === "completed" ? {} : failed);
    this.#finish(this.#span, failed, isError, {
      ...(this.#usage === null ? {} : usageOf(this.#usage)),
      ...(this.#turnId === "" ? {} : { "codex.turn.id": this.#turnId }),
      ...(this.#capture && this.#answer !== ""
        ? { "gen_ai.output.messages": outputMessages(this.#answer) }
        : {}),
    }, this.#capture && error instanceof Error ? redactText(error.message) : undefined);
    this.#instruments?.agent(
      secondsSince(this.#startedAt),
      this.#modelCalls,
      this.#tally.counts.toolCalls,
      {
        "gen_ai.agent.name": AGENT,
        ...present({ "gen_ai.request.model": this.#facts.model }),
      },
      failed,
    );
  }

  #start(
    name: string,
    kind: number,
    startTime: number,
    parent: OtelContext,
    attributes: OtelAttributes,
  ): OtelSpan | null {
    const options = { kind, startTime, attributes };
    return quietly(() => this.#tracer.startSpan(name, options, parent) ?? null, null);
  }

  /** Each by itself: one that throws must not leave the span open. */
  #finish(
    span: OtelSpan | null,
    failed: OtelAttributes,
    isError: boolean,
    more: OtelAttributes,
    message?: string,
  ): void {
    if (span === null) return;
    quietly(() => span.setAttributes({ ...failed, ...more }));
    if (isError) {
      const status = { code: ERROR, ...defined({ message }) };
      quietly(() => span.setStatus(status));
    }
    quietly(() => span.end(Date.now()));
  }

  /** What the span of an operation tells from its beginning. */
  #common(operation: string): OtelAttributes {
    const { threadId, effort } = this.#facts;
    return {
      ...this.#measured(operation),
      "gen_ai.conversation.id": threadId,
      ...(operation === "chat" ? {} : { "gen_ai.agent.name": AGENT }),
      ...present({ "gen_ai.request.reasoning.level": effort }),
    };
  }

  /** What is told with every measurement of an operation: few values each. */
  #measured(operation: string): OtelAttributes {
    const { model, provider } = this.#facts;
    return {
      "gen_ai.operation.name": operation,
      "gen_ai.provider.name": short(provider ?? "openai"),
      ...(model === null ? {} : { "gen_ai.request.model": short(model) }),
    };
  }
}

/** For a program that has a meter and no tracer. */
const NO_TRACER: OtelTracer = {
  startSpan() {
    throw new TypeError("there is no tracer");
  },
};

function secondsSince(begin: number): number {
  return Math.max(0, Date.now() - begin) / 1000;
}
