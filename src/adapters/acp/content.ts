/**
 * From the blocks of a client's message to a prompt, and from what codex keeps of a message back to blocks.
 * @module
 */
import { isJsonObject, type JsonObject, type JsonValue, objectOf, stringOf } from "../../json.ts";
import type { Attachment } from "../../prompt.ts";
import { type ContentBlock, misfit, need } from "./wire.ts";

/** What a client's message asks for. */
export interface ReadPrompt {
  /** The text; files and links stand where they stood in the message. */
  text: string;
  /** Its images. */
  attachments: Attachment[];
  /** The command that the message begins with, without its slash, or `null`. */
  command: string | null;
}

/** Reads the blocks of `session/prompt`. Throws a {@linkcode Fault} for what can't be given to the model. */
export function readPrompt(blocks: JsonValue | undefined): ReadPrompt {
  if (!Array.isArray(blocks) || blocks.length === 0) throw misfit("prompt", "a list of blocks");
  const texts: string[] = [];
  const attachments: Attachment[] = [];
  blocks.forEach((block, index) => {
    const read = readBlock(block, `prompt[${index}]`);
    if (typeof read === "string") texts.push(read);
    else attachments.push(read);
  });
  const text = texts.join("");
  const [first] = blocks;
  const named = isJsonObject(first) && first["type"] === "text"
    ? /^\s*\/([a-z][\w-]*)(?=\s|$)/.exec(String(first["text"]))?.[1] ?? null
    : null;
  return { text, attachments, command: attachments.length === 0 ? named : null };
}

function readBlock(block: JsonValue, at: string): string | Attachment {
  if (!isJsonObject(block)) throw misfit(at, "a block");
  switch (block["type"]) {
    case "text":
      return need(block, "text", at);
    case "image":
      return image(need(block, "mimeType", at), need(block, "data", at), at);
    case "resource_link":
      return link(need(block, "uri", at), stringOf(block, "name") ?? "");
    case "resource":
      return readResource(block["resource"], `${at}.resource`);
    default:
      throw misfit(`${at}.type`, "text, image, resource_link or resource");
  }
}

/** A file that lies in the message: where it is from, and its text; or the image that it is. */
function readResource(resource: JsonValue | undefined, at: string): string | Attachment {
  if (!isJsonObject(resource)) throw misfit(at, "a resource");
  const uri = need(resource, "uri", at);
  const text = stringOf(resource, "text");
  if (text !== null) return `${link(uri, "")}\n${fenced(text.replace(/\n$/, ""))}\n`;
  const mimeType = stringOf(resource, "mimeType") ?? "";
  if (!mimeType.startsWith("image/")) throw misfit(at, "text, or an image");
  return image(mimeType, need(resource, "blob", at), at);
}

/** The agent reads what is linked by itself, as far as it may. */
function link(uri: string, name: string): string {
  const shown = name === "" ? uri.split(/[/\\]/).findLast((part) => part !== "") ?? uri : name;
  return `[@${shown}](${uri})`;
}

function image(mimeType: string, data: string, at: string): Attachment {
  if (!/^image\/[\w.+-]+$/.test(mimeType)) throw misfit(`${at}.mimeType`, "an image's type");
  if (data === "" || !/^[A-Za-z0-9+/]+={0,2}$/.test(data)) throw misfit(`${at}.data`, "base64");
  return { type: "image", url: `data:${mimeType};base64,${data}` };
}

/** A text between backticks, more than stand together anywhere in it. */
export function fenced(text: string): string {
  const longest = (text.match(/`+/g) ?? []).reduce((most, run) => Math.max(most, run.length), 2);
  const fence = "`".repeat(longest + 1);
  return `${fence}\n${text}\n${fence}`;
}

/** The blocks of a message that codex keeps. */
export function userBlocks(content: readonly object[]): ContentBlock[] {
  return (content as JsonObject[]).flatMap((input): ContentBlock[] => {
    switch (input["type"]) {
      case "text":
        return [{ type: "text", text: stringOf(input, "text") ?? "" }];
      case "image":
        return imageBlocks(stringOf(input, "url"));
      case "localImage":
      case "mention":
      case "skill": {
        const path = stringOf(input, "path") ?? "";
        return [{ type: "text", text: link(path, stringOf(input, "name") ?? "") }];
      }
      default:
        return [];
    }
  });
}

/** The image of a `data:` URL; any other is told as a link. */
function imageBlocks(url: string | null): ContentBlock[] {
  if (url === null) return [];
  const [, mimeType, data] = /^data:(image\/[\w.+-]+);base64,(.*)$/s.exec(url) ?? [];
  return mimeType === undefined || data === undefined
    ? [{ type: "resource_link", uri: url.slice(0, 2_048), name: "image" }]
    : [{ type: "image", mimeType, data }];
}

/** The blocks of what a tool answered, as MCP and codex spell them. */
export function resultBlocks(content: readonly unknown[]): ContentBlock[] {
  return content.flatMap((each): ContentBlock[] => {
    if (!isJsonObject(each)) return [];
    const text = stringOf(each, "text");
    switch (each["type"]) {
      case "text":
      case "inputText":
        return text === null ? [] : [{ type: "text", text }];
      case "image": {
        const [data, mimeType] = [stringOf(each, "data"), stringOf(each, "mimeType")];
        return data === null || mimeType === null ? [] : [{ type: "image", data, mimeType }];
      }
      case "inputImage":
        return imageBlocks(stringOf(each, "imageUrl"));
      case "resource":
        return resultBlocks([{ type: "text", text: objectOf(each, "resource")?.["text"] }]);
      default:
        return [];
    }
  });
}
