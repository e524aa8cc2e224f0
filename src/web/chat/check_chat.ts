/**
 * What clients of other protocols ask of the bridge, as the turn that it means: the AI SDK's chat and AG-UI.
 * @module
 */
import { isJsonObject, type JsonObject } from "../../json.ts";
import { known } from "../http/check_request.ts";
import { badRequest, isSessionId, sessionIdOf } from "../http/refusals.ts";
import type { CreateTurnRequest } from "../types.ts";

/** A message of a conversation that the client names. */
export interface ChatRequest {
  /** The client's name of the conversation. */
  chatId: string;
  /** The client's name of the run, or `null`. */
  runId: string | null;
  /** Whether the client is one of AG-UI from before 1.0. */
  isOld: boolean;
  /** The client's name of the message that may come twice, or `null`. */
  messageId: string | null;
  /** What is asked; the bridge checks the rest of it. */
  turn: CreateTurnRequest;
}

/** What is asked about an image that comes without a word. */
export const IMAGE_ALONE = "See the image.";

/** Choices that every turn of the bridge has. */
const CHOICES = ["model", "effort", "timeoutMs"];

/** The body of `POST /chat`, as `DefaultChatTransport` sends it, and assistant-ui's, which names two more. Throws `WebError` 400. */
export function checkChat(body: unknown): ChatRequest {
  const empty = ["tools", "metadata"];
  const fields = known(body, ["id", "messages", "trigger", "messageId", ...empty, ...CHOICES]);
  refuseFull(fields, empty);
  if ((fields["trigger"] ?? "submit-message") !== "submit-message") {
    throw badRequest("An answer can't be made anew here: ask again.", "notAllowed");
  }
  const last = lastOf(fields["messages"]);
  if (last["role"] !== "user") {
    throw badRequest(
      "The last message must be the user's. Questions are answered at …/approvals/{approvalId}.",
    );
  }
  if (fields["messageId"] !== undefined && fields["messageId"] !== null) {
    throw badRequest("What was asked can't be changed here: ask again.", "notAllowed");
  }
  const messageId = isName(last["id"]) ? last["id"] : null;
  return { ...request(fields, fields["id"], last["parts"]), messageId, runId: null, isOld: false };
}

/** The body of `POST /ag-ui`, as `HttpAgent` sends it. Throws `WebError` 400. */
export function checkRun(body: unknown): ChatRequest {
  if (!isJsonObject(body)) throw badRequest("The body must be a JSON object.");
  const { threadId, runId, messages, forwardedProps, context } = body;
  refuseFull(body, ["tools", "state", "resume"]);
  if (!isName(runId)) throw badRequest("runId must be a string of 1 to 256 characters.");
  const choices = known(forwardedProps ?? {}, CHOICES);
  const last = lastOf(messages);
  if (last["role"] !== "user") throw badRequest("The last message must be the user's.");
  const { content } = last;
  const parts = typeof content === "string" ? [{ type: "text", text: content }] : content;
  const notes = notesOf(context ?? []);
  const asked = request(choices, threadId, Array.isArray(parts) ? [...notes, ...parts] : parts);
  return { ...asked, messageId: null, runId, isOld: body["protocolVersion"] === undefined };
}

/** What the page tells beside the message. */
function notesOf(context: unknown): JsonObject[] {
  if (!Array.isArray(context)) throw badRequest("context must be a list.");
  return context.map((each) => {
    const { description, value } = isJsonObject(each) ? each : {};
    if (typeof description !== "string" || typeof value !== "string") {
      throw badRequest("Each context must have a description and a value, both of them texts.");
    }
    return { type: "text", text: `${description}: ${value}` };
  });
}

/** What the bridge would have to ignore. */
function refuseFull(body: JsonObject, names: readonly string[]): void {
  for (const name of names) {
    const value = body[name];
    if (typeof value !== "object" || value === null || Object.keys(value).length === 0) continue;
    throw badRequest(`${name} can't be given here; leave it empty.`, "notAllowed");
  }
}

function request(
  choices: JsonObject,
  chatId: unknown,
  parts: unknown,
): Pick<ChatRequest, "chatId" | "turn"> {
  // Paths that end with those lead elsewhere: nobody could read it again.
  if (!isName(chatId) || /^\.\.?$/.test(chatId)) {
    throw badRequest('A conversation is named by 1 to 256 characters, and not "." or "..".');
  }
  if (!Array.isArray(parts)) throw badRequest("The message has no parts.");
  const texts: string[] = [];
  const attachments: JsonObject[] = [];
  for (const part of parts) {
    if (isJsonObject(part) && part["type"] === "text" && typeof part["text"] === "string") {
      texts.push(part["text"]);
    } else attachments.push(imageOf(part));
  }
  const text = texts.join("\n\n");
  const asked = text.trim() === "" && attachments.length > 0 ? IMAGE_ALONE : text;
  const chosen = Object.fromEntries(
    CHOICES.flatMap((name) => choices[name] === undefined ? [] : [[name, choices[name]]]),
  );
  const turn = { text: asked, attachments, ...chosen } as unknown as CreateTurnRequest;
  return { chatId, turn };
}

/** The image that a part shows, as an attachment that the bridge has yet to check. */
function imageOf(part: unknown): JsonObject {
  if (isJsonObject(part)) {
    const { type, url, source } = part;
    if (type === "file" && typeof url === "string" && !/^data:(?!image\/)/i.test(url)) {
      return { type: "image", url };
    }
    // AG-UI before 1.0 has `binary` besides, and before 0.0.50 nothing else.
    const [kind, data] = type === "binary"
      ? [part["mimeType"], part["data"]]
      : type === "image" && isJsonObject(source) && source["type"] === "data"
      ? [source["mimeType"], source["value"]]
      : [];
    if (typeof kind === "string" && /^image\//i.test(kind) && typeof data === "string") {
      return { type: "image", url: `data:${kind};base64,${data}` };
    }
  }
  throw badRequest("A message has texts and images, and nothing else.", "notAllowed");
}

function lastOf(messages: unknown): JsonObject {
  const last: unknown = Array.isArray(messages) ? messages.at(-1) : undefined;
  if (!isJsonObject(last)) throw badRequest("messages must be a list that is not empty.");
  return last;
}

function isName(value: unknown): value is string {
  return typeof value === "string" && value !== "" && value.length <= 256;
}

/** The conversation's name in a body that is not checked yet, as the route's clients call it, or `null`. */
export function chatIdIn(route: "chat" | "run", body: Uint8Array): string | null {
  try {
    const { id, threadId } = JSON.parse(new TextDecoder().decode(body)) ?? {};
    const name = route === "chat" ? id : threadId;
    return isName(name) ? name : null;
  } catch {
    return null;
  }
}

/** The session of a tenant's conversation: its own id, or one that follows from its name. Nobody else's can follow from it. */
export async function sessionOfChat(tenant: string, chatId: string): Promise<string> {
  return isSessionId(chatId) ? chatId : await sessionIdOf(JSON.stringify(["chat", tenant, chatId]));
}
