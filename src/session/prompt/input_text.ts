/**
 * The text of a prompt on the wire, and what is known of attachments by their words alone.
 * @module
 */
import { InvalidArgumentError } from "../../errors/mod.ts";
import { defined, type JsonObject } from "../../json.ts";
import { resolvePath } from "../../platform/mod.ts";
import type { Attachment } from "../../prompt.ts";
import { utf8Length } from "../../rpc/mod.ts";

/** Throws `InvalidArgumentError` for a prompt that says nothing. */
export function refuseNothing(text: string, attachments: readonly Attachment[]): void {
  if (text.trim() !== "" || attachments.length > 0) return;
  throw new InvalidArgumentError("prompt", {
    argument: "text",
    received: "an empty text",
    accepts: "a text, or come with an attachment",
  });
}

/** What the text says of an attachment. */
export interface ToldPath {
  text: string;
  placeholder: string | undefined;
}

/** The text, with a line for each mentioned path and the place of the mention in UTF-8 bytes. */
export function textItem(text: string, paths: readonly ToldPath[]): JsonObject | null {
  if (text === "" && paths.length === 0) return null;
  let full = text;
  const elements: JsonObject[] = [];
  for (const { text: told, placeholder } of paths) {
    if (full !== "" && !full.endsWith("\n")) full += "\n";
    const start = utf8Length(full);
    full += told;
    const byteRange = { start, end: utf8Length(full) };
    elements.push({ byteRange, ...defined({ placeholder }) });
  }
  return { type: "text", text: full, text_elements: elements };
}

/** The absolute paths of attachments that agents may want to read, unchecked. */
export function attachmentPaths(
  attachments: readonly (string | Attachment)[],
  cwd: string,
): string[] {
  return attachments.map(asAttachment)
    .flatMap((each) =>
      each.type === "path" || each.type === "skill" ||
        (each.type === "mention" && !isAddress(each.path))
        ? [resolvePath(cwd, each.path)]
        : []
    );
}

/** A mention may stand for anything that has an address, such as `app://…`. */
export function isAddress(path: string): boolean {
  return /^[a-z][a-z0-9+.-]+:\/\//i.test(path);
}

/** An attachment's object form; a plain string is a path. */
export function asAttachment(attachment: string | Attachment): Attachment {
  return typeof attachment === "string" ? { type: "path", path: attachment } : attachment;
}
