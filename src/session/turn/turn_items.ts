/**
 * The items of a turn: begun, grown by deltas, completed.
 * @module
 */
import type { JsonObject } from "../../json.ts";
import { scriptOf } from "../../shell_script.ts";
import { readableChanges, type ThreadItem, unifiedDiff, useOf } from "../../thread_item.ts";
import type { FileChange } from "./turn_result.ts";

/** Pieces of text before they are joined: keeps memory at the size of the text, not of its pieces. */
const JOIN_AT = 32;

interface Entry {
  /** The id under which it grew last; some providers confirm an item under another one. */
  id: string;
  item: JsonObject;
  completed: boolean;
  /** The text of the deltas, but for the newest ones. */
  text: string;
  /** The newest deltas. */
  pieces: string[];
}

/** Items whose ids the model makes, one at a time: some providers confirm one under another id than they announced. */
const STREAMED_TYPES = ["agentMessage", "reasoning"];

/**
 * Keeps items in order of appearance. Ids of items are made by models, and recur: an item that begins after one of its
 * id has completed is another one, and an id means the newest item that has it.
 */
export class TurnItems {
  readonly #entries: Entry[] = [];
  readonly #byId: Map<string, Entry[]> = new Map();
  /** The item that grew last; most often it is the next one too. */
  #growing: Entry | null = null;
  /** The message that the server itself calls the last one. */
  #last: JsonObject | null = null;

  /** How many there are. */
  get count(): number {
    return this.#entries.length;
  }

  /** Takes `item/started`; gives the item, or `null` when it has begun already. */
  begin(item: JsonObject): ThreadItem | null {
    const known = this.#open(item);
    if (known === undefined) return view(this.#add(item, false));
    if (Object.keys(known.item).length <= 2) known.item = withScript(item);
    return null;
  }

  /** Takes `item/completed`, which is the truth; gives the item, or `null` when it came before. */
  complete(item: JsonObject): ThreadItem | null {
    const known = this.#open(item) ?? this.#repeated(item) ?? this.#renamed(item);
    if (known === undefined) return view(this.#add(item, true));
    const first = !known.completed;
    // The id under which it was announced is the one that listeners know.
    known.item = { ...withScript(item), id: known.item["id"] ?? idOf(item) };
    known.completed = true;
    known.text = "";
    known.pieces = [];
    return first ? view(known) : null;
  }

  /** Takes the message that the server repeats at the turn's end: it is the answer. */
  end(message: JsonObject): void {
    this.#last = message;
  }

  /** Takes more text of an item. */
  grow(id: string, type: string, delta: string): void {
    // Where the item's beginning got lost, its text is kept all the same.
    let entry = this.#growing;
    if (entry?.id !== id || entry.item["type"] !== type) {
      entry = this.#byId.get(id)?.findLast(({ item }) => item["type"] === type) ??
        this.#add({ type, id }, false);
      entry.id = id;
      this.#growing = entry;
    }
    if (entry.completed) return;
    if (entry.pieces.push(delta) >= JOIN_AT) grown(entry);
  }

  /** One item as far as it is known, or `undefined`. */
  get(id: string): ThreadItem | undefined {
    const entry = this.#byId.get(id)?.at(-1);
    return entry === undefined ? undefined : view(entry);
  }

  /** All items in order of appearance; unfinished ones with the text so far. */
  all(): ThreadItem[] {
    return this.#entries.map(view);
  }

  /** Whether there is an item of this type. */
  has(type: string): boolean {
    return this.#entries.some((entry) => entry.item["type"] === type);
  }

  /** True while an item of this type has begun and not completed. */
  open(type: string): boolean {
    return this.#entries.some((entry) => !entry.completed && entry.item["type"] === type);
  }

  /** Whether words came last, and all of them. A plan stands in the message that proposes it. */
  get saidLast(): boolean {
    const last = this.#entries.findLast(({ item }) => item["type"] !== "plan");
    return last?.item["type"] === "agentMessage" && last.completed;
  }

  /** Calls that start an agent, and have not ended. */
  starting(): JsonObject[] {
    return this.#entries.filter(({ item, completed }) =>
      !completed && item["type"] === "collabAgentToolCall" && item["tool"] === "spawnAgent"
    ).map(({ item }) => item);
  }

  /**
   * The answer: the last message that the model calls final, else the last one that it does not call commentary, else
   * the last one. Completed messages win over cut ones, since a retry says everything again. Where the server repeats
   * its last message at the end, that one is it, unless the model calls it commentary. Without any text a proposed plan
   * is the answer.
   */
  answer(): string {
    const said = this.#message();
    return said.trim() === "" ? this.plan() ?? said : said;
  }

  /** The plan that the agent proposed last, or `null`. */
  plan(): string | null {
    const plans = this.#entries.filter((entry) => entry.item["type"] === "plan");
    const last = plans.findLast((entry) => entry.completed) ?? plans.at(-1);
    return last === undefined ? null : messageText(last);
  }

  #message(): string {
    const last = this.#last;
    if (last !== null && last["phase"] !== "commentary" && typeof last["text"] === "string") {
      return last["text"];
    }
    const messages = this.#entries.filter((entry) => entry.item["type"] === "agentMessage");
    const completed = messages.filter((entry) => entry.completed);
    const pool = completed.length > 0 ? completed : messages;
    const best = pool.findLast((entry) => entry.item["phase"] === "final_answer") ??
      pool.findLast((entry) => entry.item["phase"] !== "commentary") ?? pool.at(-1);
    return best === undefined ? "" : messageText(best);
  }

  /** The text of the newest message, finished or not; what a stopped turn had said. */
  partialAnswer(): string {
    const messages = this.#entries.filter((entry) => entry.item["type"] === "agentMessage");
    const last = messages.findLast((entry) => messageText(entry) !== "");
    return last === undefined ? "" : messageText(last);
  }

  #add(item: JsonObject, completed: boolean): Entry {
    const entry: Entry = {
      id: idOf(item),
      item: withScript(item),
      completed,
      text: "",
      pieces: [],
    };
    this.#entries.push(entry);
    this.#know(idOf(item), entry);
    return entry;
  }

  #know(id: string, entry: Entry): void {
    this.#growing = null;
    const known = this.#byId.get(id);
    if (known === undefined) this.#byId.set(id, [entry]);
    else known.push(entry);
  }

  /** The item of this id and type that goes on: the one that does the same, where there are several. */
  #open(item: JsonObject): Entry | undefined {
    const open = this.#byId.get(idOf(item))?.filter((entry) =>
      !entry.completed && entry.item["type"] === item["type"]
    );
    return open?.findLast((entry) => useOf(entry.item) === useOf(item)) ?? open?.at(-1);
  }

  /** The item that has completed and is told once more. */
  #repeated(item: JsonObject): Entry | undefined {
    const use = useOf(item);
    return this.#byId.get(idOf(item))?.findLast((entry) => {
      const known = useOf(entry.item);
      return entry.item["type"] === item["type"] &&
        (known === use || known === null || use === null);
    });
  }

  /** The open item that this one completes under another id: the last, and the only open one of its type. */
  #renamed(item: JsonObject): Entry | undefined {
    if (!STREAMED_TYPES.includes(String(item["type"])) || this.#byId.has(idOf(item))) {
      return undefined;
    }
    const open = this.#entries.filter((entry) =>
      !entry.completed && entry.item["type"] === item["type"]
    );
    const last = this.#entries.at(-1);
    if (last === undefined || open.length !== 1 || open[0] !== last) return undefined;
    this.#know(idOf(item), last);
    return last;
  }
}

/** The changes of a `fileChange` item, each with its unified diff. */
export function fileChanges(item: JsonObject): FileChange[] {
  return readableChanges(item).map((change) => ({ ...change, unified: unifiedDiff([change]) }));
}

/** An item as the server tells it, in the form that callers see. */
export function threadItem(item: JsonObject): ThreadItem {
  return withScript(item) as unknown as ThreadItem;
}

/** A command's wrapper is the same for all of them: what it runs is told beside it. */
function withScript(item: JsonObject): JsonObject {
  const { type, command } = item;
  if (type !== "commandExecution") return item;
  return { ...item, script: typeof command === "string" ? scriptOf(command) : null };
}

function idOf(item: JsonObject): string {
  return String(item["id"] ?? "");
}

function messageText(entry: Entry): string {
  const text = entry.item["text"];
  const begun = typeof text === "string" ? text : "";
  return entry.completed ? begun : begun + grown(entry);
}

/** The text of all deltas so far. */
function grown(entry: Entry): string {
  if (entry.pieces.length > 0) {
    entry.text += entry.pieces.join("");
    entry.pieces = [];
  }
  return entry.text;
}

function view(entry: Entry): ThreadItem {
  const text = entry.completed ? "" : grown(entry);
  if (text === "") return entry.item as unknown as ThreadItem;
  const { item } = entry;
  if (item["type"] === "commandExecution") {
    return {
      ...item,
      aggregatedOutput: `${item["aggregatedOutput"] ?? ""}${text}`,
    } as unknown as ThreadItem;
  }
  if (item["type"] === "reasoning") {
    const summary = Array.isArray(item["summary"]) && item["summary"].length > 0
      ? item["summary"]
      : [text];
    return { ...item, summary } as unknown as ThreadItem;
  }
  return { ...item, text: `${item["text"] ?? ""}${text}` } as unknown as ThreadItem;
}
