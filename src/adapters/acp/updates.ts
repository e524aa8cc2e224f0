/**
 * From what happens on a thread to what a client is told of it.
 * @module
 */
import type { ContextUsage, SessionEvent, TurnEvent } from "../../session/mod.ts";
import type { JsonObject } from "../../json.ts";
import type { ThreadItem } from "../../thread_item.ts";
import { userBlocks } from "./content.ts";
import { outputContent, toolCallOf, toolResultOf, visible } from "./tool_calls.ts";
import type { ClientAbilities, PlanEntry, SessionUpdate, ToolCallFields } from "./wire.ts";

/** Characters of a running command's output that are shown; the whole comes when it has ended. */
const RUNNING_OUTPUT = 8_192;

/** Where the agent works, and what the client can show. */
export interface UpdatesHost {
  /** The session's directory. */
  cwd: string;
  /** What the client can show. */
  can: ClientAbilities;
  /** How full the model's context is. */
  context: () => ContextUsage | null;
}

/** An item that has begun. */
interface Open {
  /** The client's name for it: ours, since models make the ids of items, and those recur. */
  id: string;
  /** The server's name for it. */
  itemId: string;
  type: string;
  /** What it does, where several share a name. */
  does: string;
  turnId: string;
  /** The text that the client has, or the end of a command's output. */
  text: string;
  /** Whether the client has been told of it. */
  told: boolean;
}

/** Tells one client of one session. Pure but for its memory of what has begun. */
export class Updates {
  readonly #host: UpdatesHost;
  #open: Open[] = [];
  /** Keeps names apart from those of the agent's earlier lives, which a client may still show. */
  readonly #prefix = crypto.randomUUID().slice(0, 8);
  #count = 0;
  #usage = "";

  /** Nothing has begun. */
  constructor(host: UpdatesHost) {
    this.#host = host;
  }

  /** A new name for something that the client is told of. */
  name(): string {
    return `${this.#prefix}-${++this.#count}`;
  }

  /** The client's name for an item that is active, or `null`; of several that share an id none is certain. */
  nameOf(turnId: string | null, itemId: string | null): string | null {
    const open = this.#open.filter((each) =>
      each.turnId === turnId && each.itemId === itemId && each.told
    );
    return open.length === 1 ? open[0]!.id : null;
  }

  /** What an event is to the client. */
  of(event: SessionEvent): SessionUpdate[] {
    return this.#readable(() => this.#of(event));
  }

  #of(event: SessionEvent): SessionUpdate[] {
    switch (event.type) {
      case "assistantMessageDelta":
        return this.#delta(event, "agentMessage");
      case "planDelta":
        return this.#delta(event, "plan");
      case "reasoningDelta":
        return this.#reasoning(event);
      case "itemStarted":
        return this.#started(event.turnId, event.item);
      case "itemCompleted":
        return this.#completed(event.turnId, event.item);
      case "commandFinished":
        return this.#completed(event.turnId, event.item, true);
      case "commandOutputDelta":
        return this.#output(event);
      case "planUpdated":
        return [{ sessionUpdate: "plan", entries: event.plan.map(entry) }];
      case "tokenUsage":
        return this.usage();
      case "warning":
        return this.notice("warning", event.message);
      case "retrying":
        return this.notice("info", event.message);
      case "lagged":
        return this.notice("warning", `${event.missed} events of this session were not shown.`);
      case "nameChanged":
        return [{ sessionUpdate: "session_info_update", title: event.name }];
      case "turnCompleted":
        return this.#ended(event.turnId, event.status);
      default:
        return [];
    }
  }

  /** A turn of the history. */
  replay(turnId: string, items: readonly ThreadItem[]): SessionUpdate[] {
    return items.flatMap((item) => this.#readable(() => this.#replayed(turnId, item)));
  }

  #replayed(turnId: string, item: ThreadItem): SessionUpdate[] {
    const start = this.#started(turnId, item);
    const end = this.#completed(turnId, item);
    const [first, rest] = [start[0], end[0]];
    // Nobody watches it: one message tells the whole of a call.
    return first?.sessionUpdate === "tool_call" && rest?.sessionUpdate === "tool_call_update"
      ? [{
        ...first,
        ...rest,
        sessionUpdate: "tool_call",
        _meta: { ...first._meta, ...rest._meta },
      }]
      : [...start, ...end];
  }

  /** What a newer codex tells in another shape must not keep the rest from being shown. */
  #readable(read: () => SessionUpdate[]): SessionUpdate[] {
    try {
      return read();
    } catch {
      return this.notice("warning", "Something that codex did can't be shown here.");
    }
  }

  /** How full the context is, when it is known. */
  usage(): SessionUpdate[] {
    const context = this.#host.context();
    if (context === null || context.windowTokens === null) return [];
    const { usedTokens: used, windowTokens: size } = context;
    const told = `${used} of ${size}`;
    if (told === this.#usage) return [];
    this.#usage = told;
    return [{ sessionUpdate: "usage_update", used, size }];
  }

  /** Something that a person should know. */
  notice(severity: "info" | "warning" | "error", text: string): SessionUpdate[] {
    const title = visible(text).trim();
    if (title === "") return [];
    if (this.#host.can.notices) return [{ sessionUpdate: "notice", severity, title }];
    return [this.#chunk("agent_thought_chunk", title, this.name())];
  }

  /** A message of the agent, whole. */
  message(text: string): SessionUpdate {
    return this.#chunk("agent_message_chunk", text, this.name());
  }

  #started(turnId: string, item: ThreadItem): SessionUpdate[] {
    // Deltas may come before the item's beginning where that got lost.
    const known = this.#find(turnId, item.id, item.type, (each) => !each.told);
    if (known !== null) this.#drop(known);
    const open = this.#begin(turnId, item.id, item.type, does(item, this.#host.cwd));
    open.id = known?.id ?? open.id;
    if (item.type === "contextCompaction") {
      open.told = true;
      return this.#compaction(open.id, "in_progress");
    }
    const call = toolCallOf(item, this.#host.cwd);
    if (call === null) return [];
    open.told = true;
    const shell = item.type === "commandExecution" && this.#host.can.terminalOutput;
    return [{
      sessionUpdate: "tool_call",
      toolCallId: open.id,
      status: "in_progress",
      ...call,
      ...(shell ? terminal(open.id, item.cwd) : {}),
    }];
  }

  #completed(turnId: string, item: ThreadItem, isLate = false): SessionUpdate[] {
    const doing = does(item, this.#host.cwd);
    const find = () =>
      this.#find(turnId, item.id, item.type, (each) => each.does === doing) ??
        // What a command does is told once for all; other items learn of it while they go on.
        this.#find(
          turnId,
          item.id,
          item.type,
          (each) => each.does === "" || item.type !== "commandExecution",
        );
    const begun = find();
    // Its end was told already, as that of a command of a turn that was stopped.
    if (isLate && begun === null) return [];
    const lost = begun?.told !== true && toolCallOf(item, this.#host.cwd) !== null
      ? this.#started(turnId, item)
      : [];
    const open = find();
    if (open !== null) this.#drop(open);
    const id = open?.id ?? this.name();
    switch (item.type) {
      case "userMessage":
        return userBlocks(item.content).map((content) => ({
          sessionUpdate: "user_message_chunk",
          content,
          messageId: id,
        }));
      case "agentMessage":
      case "plan":
        return this.#rest("agent_message_chunk", begun, id, item.text);
      case "reasoning": {
        const { summary = [], content = [] } = item;
        const text = (summary.length > 0 ? summary : content).join("\n\n");
        // The summary comes in parts without marks between them: what was streamed is not told again.
        return begun !== null && begun.text !== ""
          ? []
          : this.#rest("agent_thought_chunk", null, id, text);
      }
      case "contextCompaction":
        return this.#compaction(id, "completed");
    }
    if (toolCallOf(item, this.#host.cwd) === null) return [];
    return [...lost, {
      sessionUpdate: "tool_call_update",
      toolCallId: id,
      ...this.#result(item, id, open?.text ?? ""),
    }];
  }

  #result(item: ThreadItem, id: string, shown: string): ToolCallFields {
    const call = toolCallOf(item, this.#host.cwd)!;
    const result = toolResultOf(item);
    if (item.type === "fileChange" || item.type === "webSearch") return { ...call, ...result };
    if (item.type !== "commandExecution" || !this.#host.can.terminalOutput) return result;
    // The terminal has what was streamed; the item has everything.
    const output = item.aggregatedOutput ?? "";
    const rest = output.startsWith(shown) ? output.slice(shown.length) : `\n${output}`;
    const { content: _, ...fields } = result;
    return {
      ...fields,
      _meta: {
        ...(rest === "" ? {} : { terminal_output: { terminal_id: id, data: rest } }),
        ...exited(id, item.exitCode ?? null),
      },
    };
  }

  /** What a client has not been told of a text. */
  #rest(
    kind: "agent_message_chunk" | "agent_thought_chunk",
    open: Open | null,
    id: string,
    text: string,
  ): SessionUpdate[] {
    const told = open?.text ?? "";
    if (text === told || text === "") return [];
    // What was streamed can't be taken back: another text is another message.
    return text.startsWith(told)
      ? [this.#chunk(kind, text.slice(told.length), id)]
      : [this.#chunk(kind, text, this.name())];
  }

  #delta(
    event: Extract<TurnEvent, { type: "assistantMessageDelta" | "planDelta" }>,
    type: string,
  ): SessionUpdate[] {
    const open = this.#opened(event, type);
    open.text += event.delta;
    return [this.#chunk("agent_message_chunk", event.delta, open.id)];
  }

  #reasoning(event: Extract<TurnEvent, { type: "reasoningDelta" }>): SessionUpdate[] {
    const open = this.#opened(event, "reasoning");
    // Raw reasoning and its summary say the same: the client gets whichever comes first.
    if (open.text !== "" && open.text !== event.part) return [];
    open.text = event.part;
    return [this.#chunk("agent_thought_chunk", event.delta, open.id)];
  }

  #output(event: Extract<TurnEvent, { type: "commandOutputDelta" }>): SessionUpdate[] {
    const open = this.#opened(event, "commandExecution");
    if (!open.told) return [];
    const base = { sessionUpdate: "tool_call_update", toolCallId: open.id } as const;
    if (this.#host.can.terminalOutput) {
      open.text += event.delta;
      const output = { terminal_id: open.id, data: event.delta };
      return [{ ...base, _meta: { terminal_output: output } }];
    }
    open.text = (open.text + event.delta).slice(-RUNNING_OUTPUT);
    return [{ ...base, content: outputContent(open.text) }];
  }

  #opened({ turnId, itemId }: { turnId: string; itemId: string }, type: string): Open {
    return this.#find(turnId, itemId, type) ?? this.#begin(turnId, itemId, type, "");
  }

  #begin(turnId: string, itemId: string, type: string, does: string): Open {
    const open: Open = { id: this.name(), itemId, type, does, turnId, text: "", told: false };
    this.#open.push(open);
    return open;
  }

  /** The newest one of this name and type. */
  #find(
    turnId: string,
    itemId: string,
    type: string,
    fits: (open: Open) => boolean = () => true,
  ): Open | null {
    return this.#open.findLast((each) =>
      each.turnId === turnId && each.itemId === itemId && each.type === type && fits(each)
    ) ?? null;
  }

  #drop(open: Open): void {
    this.#open = this.#open.filter((each) => each !== open);
  }

  /** What did not end before its turn was cut off; a command may go on after a turn that ended well. */
  #ended(turnId: string, status: string): SessionUpdate[] {
    const updates: SessionUpdate[] = [];
    for (const open of this.#open) {
      if (open.turnId !== turnId) continue;
      const runsOn = status === "completed" && open.type === "commandExecution";
      if (!runsOn) this.#drop(open);
      if (runsOn || !open.told) continue;
      if (open.type === "contextCompaction") {
        updates.push(...this.#compaction(open.id, "cancelled"));
        continue;
      }
      const stopped = status === "completed" ? "completed" : "failed";
      const ends = this.#host.can.terminalOutput && open.type === "commandExecution";
      updates.push({
        sessionUpdate: "tool_call_update",
        toolCallId: open.id,
        status: stopped,
        ...(ends ? { _meta: exited(open.id, null) } : {}),
      });
    }
    return updates;
  }

  #compaction(
    compactionId: string,
    status: "in_progress" | "completed" | "cancelled",
  ): SessionUpdate[] {
    return this.#host.can.compaction
      ? [{ sessionUpdate: "compaction_update", compactionId, status }]
      : [];
  }

  #chunk(
    sessionUpdate: "agent_message_chunk" | "agent_thought_chunk",
    text: string,
    messageId: string,
  ): SessionUpdate {
    return { sessionUpdate, content: { type: "text", text }, messageId };
  }
}

/** What tells items apart that share a name. */
function does(item: ThreadItem, cwd: string): string {
  return JSON.stringify(toolCallOf(item, cwd)?.rawInput ?? null);
}

function terminal(terminalId: string, cwd: string): ToolCallFields {
  const info: JsonObject = { terminal_id: terminalId, cwd };
  return { content: [{ type: "terminal", terminalId }], _meta: { terminal_info: info } };
}

function exited(terminalId: string, exitCode: number | null): JsonObject {
  return { terminal_exit: { terminal_id: terminalId, exit_code: exitCode, signal: null } };
}

function entry({ step, status }: { step: string; status: string }): PlanEntry {
  return {
    content: step,
    priority: "medium",
    status: status === "inProgress"
      ? "in_progress"
      : status === "completed"
      ? "completed"
      : "pending",
  };
}
