/** One turn of the fake server: each method says what the real server was recorded to say. */
import type { FakeServer, FakeThread } from "./_fake_server.ts";
import { type Message, recorded, RECORDED_CWD } from "./_transcripts.ts";

/** How a command or file change ends without a question, or what is asked first. */
export interface FakeToolOptions {
  /** Asks the client first. Default `false`. */
  ask?: boolean;
  /** Item id. Default: a fresh one. */
  id?: string;
}

/** A running turn. Nothing is sent once it has ended. */
export class FakeTurn {
  readonly id: string;
  readonly threadId: string;
  /** What `turn/start` asked for. */
  readonly params: Message;
  /** Inputs that steered it. */
  readonly steers: Message[] = [];
  /** Aborts when the turn ends, however it does. */
  readonly signal: AbortSignal;
  readonly #server: FakeServer;
  readonly #thread: FakeThread;
  readonly #ended = new AbortController();
  #lastItem = 0;

  constructor(server: FakeServer, thread: FakeThread, id: string, params: Message) {
    this.#server = server;
    this.#thread = thread;
    this.id = id;
    this.threadId = thread.id;
    this.params = params;
    this.signal = this.#ended.signal;
  }

  /** Text of the prompt. */
  get prompt(): string {
    return this.params.input.map((part: Message) => part.text ?? "").join("\n");
  }

  /** Says the opening of a turn; the server does that itself. */
  started(): void {
    if (!this.#old) this.#emit("basic", "thread/status/changed", (p) => p.status.type === "active");
    this.#emit("basic", "turn/started");
    if (this.#old) this.#emit("basic", "codex/event/task_started");
    const content = this.params.input;
    // 0.145 and later repeat the client's mark.
    const mark = this.#old ? {} : { clientId: this.params.clientUserMessageId ?? null };
    const id = this.#itemId("user");
    for (const method of ["item/started", "item/completed"]) {
      this.#item("basic", method, "userMessage", id, { content, ...mark });
    }
  }

  /** An assistant message, streamed in `deltas` (default: all at once). `open` leaves it unfinished. */
  say(
    text: string,
    options: { deltas?: string[]; id?: string; phase?: string; open?: boolean } = {},
  ): void {
    const id = options.id ?? this.#itemId("msg");
    const phase = options.phase === undefined ? {} : { phase: options.phase };
    this.#item("basic", "item/started", "agentMessage", id, { text: "", ...phase });
    for (const delta of options.deltas ?? [text]) this.delta(id, delta);
    if (options.open !== true) {
      this.#item("basic", "item/completed", "agentMessage", id, { text, ...phase });
    }
  }

  /** One delta of an assistant message. */
  delta(itemId: string, delta: string): void {
    this.#emit("basic", "item/agentMessage/delta", undefined, { itemId, delta });
  }

  /** Reasoning with a summary. */
  reason(text: string): void {
    const id = this.#itemId("rs");
    this.#item("basic", "item/started", "reasoning", id);
    this.#emit("basic", "item/reasoning/summaryTextDelta", undefined, { itemId: id, delta: text });
    this.#item("basic", "item/completed", "reasoning", id, { summary: [text] });
  }

  /** Runs a command; resolves with the client's decision, or `null` when it was not asked. `open` leaves it running. */
  async command(
    command: string,
    output = "",
    options: FakeToolOptions & { exitCode?: number; open?: boolean } = {},
  ): Promise<string | null> {
    const id = options.id ?? this.#itemId("call");
    const start = () =>
      this.#item("command-accept", "item/started", "commandExecution", id, { command });
    const done = (scenario: string, values: Message = {}) =>
      this.#item(scenario, "item/completed", "commandExecution", id, { command, ...values });
    // 0.104 asks first and starts the item only when it may run.
    if (options.ask !== true || !this.#old) start();
    const decision = options.ask === true
      ? await this.#askApproval("command", id, { command })
      : null;
    if (this.signal.aborted || options.open === true) return decision;
    const refused = decision === "cancel" || decision === "decline";
    if (options.ask === true && this.#old && !refused) start();
    if (decision === "cancel") {
      done("command-cancel");
      this.interrupted();
    } else if (decision === "decline") done("command-decline");
    else {
      if (output !== "") {
        this.#emit("command-never", "item/commandExecution/outputDelta", undefined, {
          itemId: id,
          delta: output,
        });
      }
      const exitCode = options.exitCode ?? 0;
      done("command-accept", {
        aggregatedOutput: output,
        exitCode,
        status: exitCode === 0 ? "completed" : "failed",
      });
    }
    return decision;
  }

  /** Adds a file; resolves with the client's decision, or `null` when it was not asked. */
  async addFile(path: string, text: string, options: FakeToolOptions = {}): Promise<string | null> {
    const id = options.id ?? this.#itemId("call");
    const changes = [{ path, kind: { type: "add" }, diff: text }];
    this.#item("patch-accept", "item/started", "fileChange", id, { changes });
    const decision = options.ask === true ? await this.#askApproval("patch", id, {}) : null;
    if (this.signal.aborted) return decision;
    if (decision === "cancel") this.interrupted();
    else if (decision === "decline") {
      this.#item("patch-decline", "item/completed", "fileChange", id, { changes });
    } else {
      this.#item("patch-accept", "item/completed", "fileChange", id, { changes });
      this.#emit("patch-accept", "turn/diff/updated");
    }
    return decision;
  }

  /** Calls a tool of the client; resolves with its whole answer. */
  async tool(tool: string, args: Message, options: { id?: string } = {}): Promise<Message> {
    const callId = options.id ?? this.#itemId("call");
    if (!this.#old) {
      this.#item("dynamic-tool", "item/started", "dynamicToolCall", callId, {
        tool,
        arguments: args,
      });
    }
    const answer = await this.ask("dynamic-tool", "item/tool/call", {
      callId,
      tool,
      arguments: args,
    });
    if (!this.#old && !this.signal.aborted) {
      this.#item("dynamic-tool", "item/completed", "dynamicToolCall", callId, {
        tool,
        arguments: args,
        contentItems: answer.result?.contentItems ?? null,
        success: answer.result?.success ?? false,
        status: answer.result?.success === true ? "completed" : "failed",
      });
    }
    return answer;
  }

  /** Asks any recorded question of this turn; resolves with the client's whole answer. */
  ask(scenario: string, method: string, values: Message = {}): Promise<Message> {
    return this.#server.ask(method, this.#clone(scenario, method, undefined, values).params);
  }

  /** Reports token counts. */
  usage(last: Message = {}): void {
    const { params } = recorded(this.#server.dialect, "basic", "thread/tokenUsage/updated");
    const { tokenUsage } = params;
    this.#emit("basic", "thread/tokenUsage/updated", undefined, {
      tokenUsage: {
        ...tokenUsage,
        last: { ...tokenUsage.last, ...last },
        total: { ...tokenUsage.total, ...last },
      },
    });
  }

  /** An error that codex tries to overcome. */
  retrying(message = "Reconnecting... 1/5"): void {
    const { params } = recorded(this.#server.dialect, "retry-then-ok", "error");
    this.#emit("retry-then-ok", "error", undefined, { error: { ...params.error, message } });
  }

  /** Ends the turn well. */
  complete(): void {
    if (!this.#old) this.#idle();
    this.#finish("basic", { status: "completed" });
  }

  /** Ends the turn as failed. */
  fail(message: string, codexErrorInfo: Message = "other"): void {
    const { params } = recorded(this.#server.dialect, "fail-401", "error", (p) => !p.willRetry);
    const error = { ...params.error, message, codexErrorInfo };
    this.#emit("fail-401", "error", (p) => !p.willRetry, { error });
    this.#finish("fail-401", { status: "failed", error });
  }

  /** Ends the turn as interrupted; the server does that itself on `turn/interrupt`. */
  interrupted(): void {
    if (!this.#old) this.#idle();
    this.#finish("interrupt", { status: "interrupted" });
  }

  /** Sends any recorded message of a scenario under this turn's names. */
  emit(scenario: string, method: string, values: Message = {}): void {
    this.#emit(scenario, method, undefined, values);
  }

  get #old(): boolean {
    return this.#server.dialect === "0.104";
  }

  #idle(): void {
    this.#emit("basic", "thread/status/changed", (p) => p.status.type === "idle");
  }

  #finish(scenario: string, turn: Message): void {
    if (this.signal.aborted) return;
    const message = this.#clone(scenario, "turn/completed");
    Object.assign(message.params.turn, turn, { items: [] });
    this.#thread.turn = null;
    this.#server.send(message);
    this.#ended.abort();
  }

  async #askApproval(kind: "command" | "patch", itemId: string, values: Message): Promise<string> {
    const method = kind === "command"
      ? "item/commandExecution/requestApproval"
      : "item/fileChange/requestApproval";
    const answer = await this.ask(`${kind}-accept`, method, { itemId, ...values });
    if (!this.#old && !this.signal.aborted) {
      this.#emit(`${kind}-accept`, "serverRequest/resolved", undefined, { requestId: answer.id });
    }
    return answer.result?.decision ?? "decline";
  }

  #itemId(prefix: string): string {
    return `${prefix}_${this.id.slice(-4)}_${++this.#lastItem}`;
  }

  #item(scenario: string, method: string, type: string, id: string, values: Message = {}): void {
    if (this.signal.aborted) return;
    const message = this.#clone(scenario, method, (p) => p.item.type === type);
    Object.assign(message.params.item, values, { id });
    this.#server.send(message);
  }

  #emit(
    scenario: string,
    method: string,
    where?: (params: Message) => boolean,
    values: Message = {},
  ): void {
    if (!this.signal.aborted) this.#server.send(this.#clone(scenario, method, where, values));
  }

  /** A recorded message under this turn's thread, turn and directory. */
  #clone(
    scenario: string,
    method: string,
    where?: (params: Message) => boolean,
    values: Message = {},
  ): Message {
    const { dialect } = this.#server;
    const message = structuredClone(recorded(dialect, scenario, method, where));
    const turnId = recorded(dialect, scenario, "turn/started").params.turn.id;
    const threadId = recorded(dialect, scenario, "turn/start").params.threadId;
    const text = JSON.stringify(message).replaceAll(turnId, this.id)
      .replaceAll(threadId, this.threadId)
      .replaceAll(RECORDED_CWD, JSON.stringify(this.#thread.cwd).slice(1, -1));
    const clone = JSON.parse(text);
    delete clone.id;
    Object.assign(clone.params, values);
    return clone;
  }
}
