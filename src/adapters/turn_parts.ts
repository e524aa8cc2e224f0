/**
 * A turn's events as what interfaces show: texts, reasoning, tools with their outcome, questions. Each has an id that is made
 * here: the ids of items come from the model and recur.
 * @module
 */
import type { ApprovalAudit, ApprovalRequest } from "../approvals/mod.ts";
import { type JsonObject, jsonOf, present } from "../json.ts";
import type { PlanStep, TokenUsage, TurnEvent, TurnStatus } from "../session/mod.ts";
import type { ThreadItem } from "../thread_item.ts";
import { outcomeOf, toolOf, type ToolOutcome, type ToolUse as Tool } from "../tool_use.ts";
import { reasonedText, saidText, textOf } from "./item_text.ts";

/** Something that the agent did: a command, a patch, a call of a tool. */
export interface ToolUse {
  /** Made here. */
  readonly id: string;
  /** Which tool. */
  readonly name: string;
  /** What it was given. */
  readonly input: JsonObject;
  /** The server's item; `""` for a question without one. */
  readonly itemId: string;
}

/** A piece of a turn. */
export type TurnPart =
  | { type: "textStart"; id: string; itemId: string; commentary: boolean; isFinal: boolean }
  | { type: "textDelta"; id: string; delta: string }
  /** `cut`: it was broken off, and what follows says it anew. */
  | { type: "textEnd"; id: string; itemId: string; cut?: true }
  | { type: "reasoningStart"; id: string; itemId: string }
  | { type: "reasoningDelta"; id: string; delta: string }
  | { type: "reasoningEnd"; id: string; itemId: string }
  | { type: "toolStart"; use: ToolUse }
  | { type: "toolDelta"; use: ToolUse; delta: string }
  | { type: "toolEnd"; use: ToolUse; output: JsonObject; outcome: ToolOutcome }
  | { type: "question"; use: ToolUse; request: ApprovalRequest }
  | { type: "answer"; use: ToolUse; id: string; reason: string | null; approved: boolean }
  | { type: "said"; itemId: string; text: string; begins: boolean }
  | { type: "plan"; plan: PlanStep[] }
  | { type: "usage"; usage: TokenUsage }
  | { type: "notice"; message: string; retrying: boolean }
  | { type: "end"; status: TurnStatus; error: { kind: string; message: string } | null };

interface OpenText {
  readonly id: string;
  readonly kind: "text" | "reasoning";
  told: string;
}

interface OpenUse {
  readonly use: ToolUse;
  readonly type: string;
  readonly does: string;
  /** Whether a question told of it first, in its own words. */
  readonly isAsked: boolean;
  /** The question that was asked last, until it is answered. */
  asked: string | null;
  denied: boolean;
}

/** The questions that a person can answer. */
const ASKED: ReadonlySet<string> = new Set([
  "command",
  "fileChange",
  "permissions",
  "userInput",
  "elicitation",
]);

/** Why turns failed of which codex tells no error. */
const LATE: { [status in TurnStatus]?: { kind: string; message: string } } = {
  timedOut: { kind: "timedOut", message: "The turn took too long." },
};

/** Turns the events of one turn into parts. Feed it in order. */
export class TurnParts {
  readonly #threadId: string;
  readonly #prefix: string;
  #made = 0;
  readonly #texts: Map<string, OpenText> = new Map();
  /** What the model says of the messages that it began. */
  readonly #phases: Map<string, string> = new Map();
  #uses: OpenUse[] = [];
  #ended = false;
  /** What was said, and whether it has begun the turn: what is said later steers it. */
  readonly #said: Set<string> = new Set();
  #begun = false;
  /** How the last turn ended. */
  #last: { status: TurnStatus; error: { kind: string; message: string } | null } | null = null;
  /** The tokens as told last. */
  usage: TokenUsage | null = null;

  /** For one turn of one thread: what the agent's own agents do is left out, their questions apart. */
  constructor(threadId: string, turnId: string) {
    this.#threadId = threadId;
    this.#prefix = turnId;
  }

  /** What an event adds. */
  take(event: TurnEvent): TurnPart[] {
    if (this.#ended) return [];
    if (event.type === "approvalRequested") return this.#question(event.request);
    if (event.type === "approvalResolved") return this.#answer(event.audit);
    if (event.threadId !== this.#threadId) return [];
    switch (event.type) {
      case "itemStarted":
        return this.#started(event.item);
      case "itemCompleted":
        return this.#completed(event.item);
      case "assistantMessageDelta":
      case "planDelta":
        return this.#grow("text", textKey(event.itemId), event.itemId, event.delta);
      case "reasoningDelta":
        return this.#grow(
          "reasoning",
          `${event.part} ${event.itemId}`,
          event.itemId,
          event.delta,
        );
      case "commandOutputDelta": {
        const open = this.#uses.findLast(({ use }) => use.itemId === event.itemId);
        return open === undefined ? [] : [{ type: "toolDelta", use: open.use, delta: event.delta }];
      }
      case "planUpdated":
        return [{ type: "plan", plan: event.plan }];
      case "tokenUsage":
        this.usage = event.usage;
        return [{ type: "usage", usage: event.usage }];
      case "warning":
        return [{ type: "notice", message: event.message, retrying: false }];
      case "retrying":
        return [
          ...this.#closeTexts({ cut: true }),
          { type: "notice", message: event.message, retrying: true },
        ];
      case "turnCompleted":
        this.#last = {
          // Nobody wanted it to stop where there is a reason.
          status: event.error === null || event.status !== "interrupted" ? event.status : "failed",
          error: event.error ?? LATE[event.status] ?? null,
        };
        // A prompt that is tried again goes on in another turn, and is said again.
        this.#begun = false;
        return this.#closeAll();
      default:
        return [];
    }
  }

  /** Nothing more will come. A turn whose end was not told has failed. */
  end(): TurnPart[] {
    if (this.#ended) return [];
    const parts = this.#closeAll();
    this.#ended = true;
    const last = this.#last ?? { status: "failed", error: null } as const;
    return [...parts, { type: "end", ...last }];
  }

  /** Takes an item as a snapshot shows it: with its text so far, which may still grow. */
  seed(item: ThreadItem): TurnPart[] {
    const parts = this.#started(item);
    if (isSaid(item)) {
      return [...parts, ...this.#grow("text", textKey(item.id), item.id, textOf(item))];
    }
    if (item.type === "reasoning") {
      const key = `summary ${item.id}`;
      const before = this.#close("reasoning", key, item.id);
      return [...before, ...this.#grow("reasoning", key, item.id, reasonedText(item))];
    }
    const { status } = item as { status?: unknown };
    return status === "inProgress" ? parts : [...parts, ...this.#completed(item)];
  }

  #started(item: ThreadItem): TurnPart[] {
    if (isSaid(item)) {
      this.#phase(item);
      // Of a snapshot nobody tells the ends: a message of the same id begins behind that of the one before.
      return this.#close("text", textKey(item.id), item.id);
    }
    const tool = toolOf(item);
    if (tool === null || this.#find(item) !== undefined) return [];
    return [this.#begin(item.id, tool, item.type, does(item))];
  }

  #phase(item: ThreadItem): void {
    const { phase } = item as { phase?: unknown };
    if (typeof phase === "string") this.#phases.set(item.id, phase);
    else this.#phases.delete(item.id);
  }

  #completed(item: ThreadItem): TurnPart[] {
    switch (item.type) {
      case "agentMessage":
      case "plan":
        this.#phase(item);
        return this.#textDone("text", textKey(item.id), item.id, textOf(item));
      case "reasoning":
        return this.#reasoned(item);
      case "userMessage":
        return this.#heard(item);
    }
    const tool = toolOf(item);
    if (tool === null) return [];
    let open = this.#find(item);
    const parts: TurnPart[] = [];
    if (open === undefined) {
      parts.push(this.#begin(item.id, tool, item.type, does(item)));
      open = this.#uses.at(-1)!;
    }
    this.#uses = this.#uses.filter((each) => each !== open);
    const end = outcomeOf(item);
    return [...parts, ...unanswered(open, end.outcome), { type: "toolEnd", use: open.use, ...end }];
  }

  #heard(item: ThreadItem): TurnPart[] {
    if (this.#said.has(item.id)) return [];
    this.#said.add(item.id);
    const begins = !this.#begun;
    this.#begun = true;
    return [{ type: "said", itemId: item.id, text: saidText(item), begins }];
  }

  #reasoned(item: ThreadItem): TurnPart[] {
    const parts: TurnPart[] = [];
    for (const part of ["summary", "content"] as const) {
      const key = `${part} ${item.id}`;
      if (this.#texts.has(key)) parts.push(...this.#textDone("reasoning", key, item.id, ""));
    }
    if (parts.length > 0) return parts;
    const text = reasonedText(item);
    return text === "" ? [] : this.#textDone("reasoning", `summary ${item.id}`, item.id, text);
  }

  #grow(kind: OpenText["kind"], key: string, itemId: string, delta: string): TurnPart[] {
    if (delta === "") return [];
    const parts: TurnPart[] = [];
    let open = this.#texts.get(key);
    if (open === undefined) {
      open = { id: this.#id(), kind, told: "" };
      this.#texts.set(key, open);
      const { id } = open;
      const phase = this.#phases.get(itemId);
      parts.push(
        kind === "reasoning" ? { type: "reasoningStart", id, itemId } : {
          type: "textStart",
          id,
          itemId,
          commentary: phase === "commentary",
          isFinal: phase === "final_answer",
        },
      );
    }
    if (kind === "text") open.told += delta;
    parts.push({ type: kind === "text" ? "textDelta" : "reasoningDelta", id: open.id, delta });
    return parts;
  }

  /** Old servers complete a message under another id than they began it with. */
  #textDone(kind: OpenText["kind"], key: string, itemId: string, text: string): TurnPart[] {
    const begun = kind === "reasoning" || this.#texts.has(key)
      ? key
      : [...this.#texts].find(([, open]) => open.kind === kind && text.startsWith(open.told))
        ?.[0] ?? key;
    const told = this.#texts.get(begun)?.told ?? "";
    const parts: TurnPart[] = [];
    if (text.startsWith(told)) {
      parts.push(...this.#grow(kind, begun, itemId, text.slice(told.length)));
    } else if (!told.includes(text)) {
      // Deltas were lost in the middle. What was told can't be taken back: the whole is another text.
      parts.push(
        ...this.#close(kind, begun, itemId, { cut: true }),
        ...this.#grow(kind, begun, itemId, text),
      );
    }
    return [...parts, ...this.#close(kind, begun, itemId)];
  }

  #close(
    kind: OpenText["kind"],
    key: string,
    itemId: string,
    how: { cut?: true } = {},
  ): TurnPart[] {
    const id = this.#texts.get(key)?.id;
    if (id === undefined) return [];
    this.#texts.delete(key);
    const end = { id, itemId };
    return [
      kind === "text" ? { type: "textEnd", ...end, ...how } : { type: "reasoningEnd", ...end },
    ];
  }

  #closeAll(): TurnPart[] {
    const parts = this.#closeTexts();
    for (const open of this.#uses) {
      const { use, asked, denied } = open;
      const outcome = denied || asked !== null ? "declined" : "unfinished";
      const output = { status: outcome };
      parts.push(...unanswered(open, outcome), { type: "toolEnd", use, output, outcome });
    }
    this.#uses = [];
    return parts;
  }

  #closeTexts(how: { cut?: true } = {}): TurnPart[] {
    return [...this.#texts].flatMap(([key, { kind }]) =>
      this.#close(kind, key, key.slice(key.indexOf(" ") + 1), how)
    );
  }

  #begin(itemId: string, tool: Tool, type: string, does: string, isAsked = false): TurnPart {
    const use: ToolUse = { id: this.#id(), itemId, ...tool };
    this.#uses.push({ use, type, does, isAsked, asked: null, denied: false });
    return { type: "toolStart", use };
  }

  /** The use that an item tells more of: the one that does the same, where several share an id. */
  #find(item: ThreadItem): OpenUse | undefined {
    const open = this.#uses.filter(({ use, type }) => use.itemId === item.id && type === item.type);
    // What a command does is told once for all; other items learn of it while they go on.
    return open.find((each) => each.does === does(item)) ??
      open.find(({ isAsked }) => isAsked || item.type !== "commandExecution");
  }

  #question(request: ApprovalRequest): TurnPart[] {
    if (!ASKED.has(request.type)) return [];
    const type = TYPE_OF[request.type];
    // A person must see what is asked about: another command of that id, or words for a running one, are not what it does,
    // and a host or permissions beyond it are in no item.
    const tool = askedOf(request);
    const command = request.type === "command" ? request.script ?? request.command : null;
    const uses = type === undefined || request.threadId !== this.#threadId
      ? []
      : this.#uses.filter((open) => open.use.itemId === request.itemId && open.type === type);
    const others = uses.filter(({ use }) =>
      Object.keys(beyond(request)).length > 0 ||
      (command !== null && use.input["command"] !== command)
    );
    const parts: TurnPart[] = [];
    let open = uses.find((each) => each.asked === null && !others.includes(each));
    if (open === undefined) {
      // A command or a patch of our own agent is told of after the question on old servers; its item finds this one.
      const ours = type !== undefined && request.threadId === this.#threadId;
      const itemId = ours && others.length === 0 ? request.itemId ?? "" : "";
      const does = JSON.stringify(tool.input);
      parts.push(this.#begin(itemId, tool, type ?? "question", does, true));
      open = this.#uses.at(-1)!;
    }
    open.asked = request.id;
    return [...parts, { type: "question", use: open.use, request }];
  }

  #answer(audit: ApprovalAudit): TurnPart[] {
    const { id, reason, decision } = audit;
    const open = this.#uses.find(({ asked }) => asked === id);
    // What another client has answered its item tells.
    if (open === undefined || decision === "none" && open.use.itemId !== "") return [];
    open.asked = null;
    const approved = ["accept", "acceptForSession", "answered"].includes(decision);
    open.denied = !approved;
    const { use } = open;
    const parts: TurnPart[] = [{ type: "answer", use, id, reason, approved }];
    if (use.itemId !== "") return parts;
    // No item follows.
    this.#uses = this.#uses.filter((each) => each !== open);
    const outcome = approved ? "ok" : "declined";
    return [...parts, { type: "toolEnd", use, output: { decision }, outcome }];
  }

  #id(): string {
    return `${this.#prefix}-${++this.#made}`;
  }
}

/** The answer to a question that ends with its use: old servers, and those that are gone, tell of it later or never. */
function unanswered({ use, asked: id }: OpenUse, outcome: ToolOutcome): TurnPart[] {
  const approved = outcome !== "declined";
  return id === null ? [] : [{ type: "answer", use, id, reason: null, approved }];
}

/** What the agent says: a plan that it proposes is cut out of the message it stands in. */
function isSaid({ type }: ThreadItem): boolean {
  return type === "agentMessage" || type === "plan";
}

/** Keys of reasoning have its part in front. */
function textKey(itemId: string): string {
  return `text ${itemId}`;
}

/** The type of the item that a question is about. */
const TYPE_OF: Record<string, string> = { command: "commandExecution", fileChange: "fileChange" };

/** What tells two uses apart that share an id. */
function does(item: ThreadItem): string {
  return JSON.stringify(toolOf(item)?.input ?? null);
}

/** What a question is about, where no item tells it. */
function askedOf(request: ApprovalRequest): Tool {
  switch (request.type) {
    case "command":
      return {
        name: "shell",
        input: {
          command: request.script ?? request.command,
          cwd: request.cwd,
          ...beyond(request),
        },
      };
    case "fileChange":
      return {
        name: "apply_patch",
        input: { changes: jsonOf(request.changes ?? []), ...beyond(request) },
      };
    case "permissions":
      return {
        name: "request_permissions",
        input: { permissions: jsonOf(request.permissions), reason: request.reason },
      };
    case "userInput":
      return { name: "request_user_input", input: { questions: jsonOf(request.questions) } };
    case "elicitation": {
      const { server, message, mode, requestedSchema, url, mcpTool, toolArguments } = request;
      const call = request.toolApproval ? { mcpTool, toolArguments } : {};
      return {
        name: "elicitation",
        input: { server, message, mode, requestedSchema, url, ...call },
      };
    }
    default:
      return { name: request.type, input: {} };
  }
}

/** What a question asks for besides what its item does. */
function beyond(request: ApprovalRequest): JsonObject {
  if (request.type === "fileChange") return told({ grantRoot: request.grantRoot });
  if (request.type !== "command") return {};
  const { action, network, additionalPermissions } = request;
  return told({ action: action === "command" ? null : action, network, additionalPermissions });
}

/** Those that are there, as JSON. */
function told(fields: object): JsonObject {
  return jsonOf(present(fields)) as JsonObject;
}
