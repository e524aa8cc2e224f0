/**
 * The messages that the AI SDK sends with every call, as what a codex thread needs: what is new, and which conversation it is.
 * Between two calls each conversation keeps its session, a limited number of them.
 * @module
 */
import { bytesOfBase64, type JsonObject, sha256 } from "../../json.ts";
import type { Attachment } from "../../prompt.ts";
import { unsupported } from "./call_error.ts";
import { ModelCallError } from "./model_call_error.ts";
import type { PromptMessage, PromptPart } from "./model_types.ts";
import type { ModelSession } from "./model_client.ts";

/** A conversation as one call gives it. */
export interface Conversation {
  /** Instructions; `""` for none. */
  readonly system: string;
  /** What was said before; empty for a new conversation. */
  readonly history: readonly Said[];
  /** What is asked now. */
  readonly asked: Said;
  /** The thread that the history says it comes from, or `null`. */
  readonly threadId: string | null;
}

/** What one side said until the other one did. */
export interface Said {
  /** Who. */
  readonly role: "user" | "assistant";
  /** The text. */
  readonly text: string;
  /** Images. */
  readonly images: readonly Attachment[];
  /** What tells the images apart. */
  readonly imageKeys: readonly string[];
  /** Uses of tools, as far as the history tells them. */
  readonly tools: readonly JsonObject[];
}

/** Reads a prompt. Throws the SDK's errors for what codex can't be told, and for what is no prompt: messages may be a page's. */
export async function readPrompt(prompt: readonly PromptMessage[]): Promise<Conversation> {
  try {
    return await read(prompt);
  } catch (cause) {
    if (cause instanceof ModelCallError) throw cause;
    const message = "The messages are none of the AI SDK's, or hold what JSON can't carry.";
    throw new ModelCallError("InvalidPromptError", message, { cause });
  }
}

async function read(prompt: readonly PromptMessage[]): Promise<Conversation> {
  const system: string[] = [];
  const said: Said[] = [];
  let threadId: string | null = null;
  for (const { role, content } of prompt) {
    if (typeof content === "string") {
      if (role === "system") system.push(content);
      else await add(said, role === "assistant" ? role : "user", [{ type: "text", text: content }]);
      continue;
    }
    if (role === "system") continue;
    await add(said, role === "user" ? "user" : "assistant", content);
    if (role !== "assistant") continue;
    for (const { providerOptions } of content) {
      const id = providerOptions?.["codex"]?.["threadId"];
      if (typeof id === "string") threadId = id;
    }
  }
  const asked = said.pop();
  if (asked?.role !== "user" || (asked.text.trim() === "" && asked.images.length === 0)) {
    throw new ModelCallError(
      "InvalidPromptError",
      "The last message must be the user's, and say something: codex answers what it is asked.",
    );
  }
  return { system: system.join("\n\n"), history: said, asked, threadId };
}

/** Names a conversation: the same for the same words, images and instructions, whatever tools were used. */
export async function keyOf(system: string, said: readonly Said[]): Promise<string> {
  const words = said.map(({ role, text, imageKeys }) => [role, text, imageKeys]);
  return await sha256(new TextEncoder().encode(JSON.stringify([system, words])));
}

/** Characters that codex takes at once. */
const MOST = 1 << 20;
/** Characters of each text of a tool that a fresh thread is told: codex shows its model long outputs in part as well. */
const MOST_OF_TOOL = 4_000;

/** What to ask on a thread that knows the history, or on one that does not: that one is told as much as codex takes. */
export function promptOf(
  { history, asked }: Conversation,
  isKnown: boolean,
): { text: string; attachments: Attachment[] } {
  // An image alone is asked about by itself.
  const text = asked.text.trim() === "" ? "See the image." : asked.text;
  if (isKnown || history.length === 0) return { text, attachments: [...asked.images] };
  const said: object[] = history.map(({ role, text, images }) => ({
    role,
    text,
    ...(images.length === 0 ? {} : { images: images.length }),
  }));
  let left = MOST - text.length - 200;
  let from = history.length;
  while (from > 0 && (left -= JSON.stringify(said[from - 1]).length + 1) > 0) from--;
  // Words first; what tools did as far as there is room.
  for (let at = history.length; at-- > from;) {
    const { tools } = history[at]!;
    const more = JSON.stringify({ tools }).length;
    if (tools.length === 0 || more > left) continue;
    left -= more;
    said[at] = { ...said[at], tools };
  }
  const cut = from > 0 ? ", but for its beginning" : "";
  const lines = said.slice(from).map((each) => JSON.stringify(each)).join("\n");
  return {
    text: `What was said so far in this conversation${cut}, one JSON object a line:\n${lines}\n\n` +
      `Now the user says:\n\n${text}`,
    attachments: [...history.slice(from), asked].flatMap(({ images }) => images),
  };
}

async function add(
  said: Said[],
  role: Said["role"],
  parts: readonly PromptPart[],
): Promise<void> {
  const texts: string[] = [];
  const images: Attachment[] = [];
  const imageKeys: string[] = [];
  const tools: JsonObject[] = [];
  for (const part of parts) {
    if (part.type === "text") texts.push(textOf(part.text ?? ""));
    else if (part.type === "file" && role === "user") {
      const file = await fileOf(part);
      if ("text" in file) texts.push(file.text);
      else {
        images.push(file.image);
        imageKeys.push(file.key);
      }
    } else if (part.type === "tool-call") {
      tools.push(used({ call: part.toolName, input: part.input }));
    } else if (part.type === "tool-result") {
      tools.push(used({ result: part.toolName, output: part.output }));
    }
  }
  // A user's parts are paragraphs; an assistant's text is cut where it used a tool.
  const text = texts.join(role === "user" ? "\n\n" : "");
  const last = said.at(-1);
  if (last?.role !== role) {
    said.push({ role, text, images, imageKeys, tools });
    return;
  }
  const glue = role === "user" && last.text !== "" && text !== "" ? "\n\n" : "";
  said[said.length - 1] = {
    role,
    text: last.text + glue + text,
    images: [...last.images, ...images],
    imageKeys: [...last.imageKeys, ...imageKeys],
    tools: [...last.tools, ...tools],
  };
}

/** A use of a tool; of long texts beginning and end. */
function used(use: object): JsonObject {
  const half = MOST_OF_TOOL / 2;
  const cut = (_: string, value: unknown) =>
    typeof value === "string" && value.length > MOST_OF_TOOL
      ? `${value.slice(0, half)}…${value.slice(-half)}`
      : value;
  return JSON.parse(JSON.stringify(use, cut));
}

function textOf(text: unknown): string {
  if (typeof text === "string") return text;
  throw new ModelCallError("InvalidPromptError", "A text of the messages is none.");
}

type FileContent = { text: string } | { image: Attachment; key: string };

/** A file of the user's: images are shown, texts are quoted, nothing else is understood. */
async function fileOf(part: PromptPart): Promise<FileContent> {
  const mediaType = part.mediaType ?? "";
  const kind = mediaType.split("/")[0];
  const given = contentOf(part.data);
  const name = part.filename === undefined ? "" : ` ${JSON.stringify(part.filename)}`;
  if (typeof given === "string") return quoted(name, given);
  if (given !== null && kind === "image") {
    const isWhole = mediaType.includes("/") && !mediaType.endsWith("/*");
    return {
      image: { type: "image", data: given, ...(isWhole ? { mimeType: mediaType } : {}) },
      key: await sha256(given),
    };
  }
  const isText = kind === "text" || mediaType === "application/json";
  if (given !== null && isText) return quoted(name, new TextDecoder().decode(given));
  throw unsupported(
    `files of type ${mediaType === "" ? "unknown" : mediaType}`,
    given === null
      ? "Give their bytes."
      : "Images and texts pass; put other files below `cwd` and name them.",
  );
}

function quoted(name: string, text: string): FileContent {
  return { text: `The file${name}:\n\n${text}` };
}

/** Bytes, text, or `null` for what is only an address. */
function contentOf(data: unknown): Uint8Array<ArrayBuffer> | string | null {
  if (data instanceof Uint8Array) return new Uint8Array(data);
  if (typeof data === "string") return bytesOf(data);
  if (typeof data !== "object" || data === null) return null;
  const { type, data: inner, text } = data as { type?: unknown; data?: unknown; text?: unknown };
  if (type === "text" && typeof text === "string") return text;
  return type === "data" && inner !== data ? contentOf(inner) : null;
}

function bytesOf(base64: string): Uint8Array<ArrayBuffer> {
  const plain = base64.startsWith("data:") ? base64.slice(base64.indexOf(",") + 1) : base64;
  try {
    return bytesOfBase64(plain);
  } catch (cause) {
    throw new ModelCallError("InvalidPromptError", "A file's data is not base64.", { cause });
  }
}

interface Kept {
  readonly session: ModelSession;
  readonly key: string;
}

/** Sessions that wait for the next message of their conversation, the one that was used last at the end. */
export class KeptSessions {
  readonly #max: number;
  readonly #kept: Map<string, Kept> = new Map();
  /** Sessions whose turn has ended, and whose answer is not read to its end. */
  readonly #unread: Set<ModelSession> = new Set();
  #closed = false;

  /** Keeps so many at most. */
  constructor(max: number) {
    this.#max = max;
  }

  /** Whether it takes no more. */
  get closed(): boolean {
    return this.#closed;
  }

  /**
   * The session that has had this conversation; nobody else gets it until it is kept again. Where the history names a thread
   * it must be that one: other people may have said the same words.
   */
  take(key: string, threadId: string | null): ModelSession | null {
    for (const [id, kept] of [...this.#kept].reverse()) {
      if (kept.session.closed) this.#kept.delete(id);
      else if (kept.key === key && (threadId === null || id === threadId)) {
        this.#kept.delete(id);
        return kept.session;
      }
    }
    return null;
  }

  /** Keeps a session for the conversation that it has had now. */
  keep(key: string, session: ModelSession): void {
    if (this.#closed || this.#max === 0) return releaseSession(session);
    // It was given up while its answer was unread.
    if (session.closed) return;
    this.#kept.set(session.threadId, { key, session });
    for (const [id, kept] of this.#kept) {
      if (this.#kept.size <= this.#max) break;
      this.#kept.delete(id);
      releaseSession(kept.session);
    }
  }

  /** A session's turn has ended; nobody may ever read of it, so that no more of them wait than are kept. */
  answered(session: ModelSession): void {
    this.#unread.add(session);
    for (const oldest of this.#unread) {
      if (!this.#closed && this.#unread.size <= this.#max) break;
      this.#unread.delete(oldest);
      releaseSession(oldest);
    }
  }

  /** Its answer was read, or is not wanted any more. */
  read(session: ModelSession): void {
    this.#unread.delete(session);
  }

  /** Releases all; those in use follow when their turns end. */
  async close(): Promise<void> {
    this.#closed = true;
    const kept = [...this.#kept.values()].map(({ session }) => session);
    const sessions = [...kept, ...this.#unread];
    this.#kept.clear();
    this.#unread.clear();
    await Promise.allSettled(sessions.map((session) => session.release()));
  }
}

/** Nobody waits for it, and one that can't be released goes with its client. */
export function releaseSession(session: ModelSession): void {
  session.release().catch(() => {});
}
