/**
 * What a prompt becomes on the wire: text, mentioned paths, images and skills.
 * @module
 */
import {
  AttachmentNotFoundError,
  PermissionDeniedError,
  RpcValidationError,
} from "../../errors/mod.ts";
import type { JsonObject } from "../../json.ts";
import { supports } from "../../protocol/mod.ts";
import { utf8Length } from "../../rpc/mod.ts";
import {
  flagsFor,
  missingNeeds,
  type PermissionNeed,
  type PermissionProbe,
} from "../../permissions/mod.ts";
import { pathKind, realPath, resolvePath } from "../../platform/mod.ts";
import { asAttachment, type Attachment, type Prompt } from "../../prompt.ts";

/** Looks at files. */
export interface FileProbe {
  /** What an absolute path leads to; `"unknown"` when this script may not look or can't. */
  kind(path: string): "file" | "directory" | "missing" | "unknown";
  /** An absolute path with all links followed, or `null` when that can't be told. */
  realPath(path: string): string | null;
}

/** Looks at this machine's files, as far as this script may. */
export const hostFiles: FileProbe = { kind: pathKind, realPath };

/** The files of another machine: whether they are there is for its codex to find out. */
export const remoteFiles: FileProbe = { kind: () => "unknown", realPath: () => null };

/** What turning a prompt into input needs to know. */
export interface InputContext {
  /** The session's directory, absolute. */
  cwd: string;
  /** Attachments of the profile, before the prompt's own. Default none. */
  attachments?: readonly (string | Attachment)[];
  /** The server's version, or `null` when unknown. */
  serverVersion: string | null;
  /** What this script may read. */
  probe: PermissionProbe;
  /** Looks at files. */
  files: FileProbe;
}

/**
 * The `input` of `turn/start` and `turn/steer`.
 *
 * Relative paths are resolved against the cwd and the **real** path is sent, so that what was checked is what is read.
 * Both spellings need read permission, since codex reads images and skills without a sandbox. Where this script has no
 * way to look at files at all (browsers, edge), absolute paths are sent as they are.
 *
 * Throws `AttachmentNotFoundError` for a path that does not exist, `PermissionDeniedError` for one that may not be read,
 * and `RpcValidationError` for empty input and for image URLs that the server would not take.
 */
export function buildInput(prompt: Prompt, context: InputContext): JsonObject[] {
  const text = typeof prompt === "string" ? prompt : prompt.text;
  const own = typeof prompt === "string" ? [] : prompt.attachments ?? [];
  const attachments = [...(context.attachments ?? []), ...own].map(asAttachment);
  if (text.trim() === "" && attachments.length === 0) {
    throw invalid("$.input", "expected a text or an attachment, got neither");
  }
  const paths = attachments.filter((attachment) => attachment.type === "path")
    .map(({ path, placeholder }) => ({ path: locate(path, context), placeholder }));
  const first = textItem(text, paths);
  const input: JsonObject[] = first === null ? [] : [first];
  for (const attachment of attachments) {
    if (attachment.type !== "path") input.push(item(attachment, input.length, context));
  }
  return input;
}

/** The absolute paths of attachments that agents may want to read, unchecked. */
export function attachmentPaths(
  attachments: readonly (string | Attachment)[],
  cwd: string,
): string[] {
  return attachments.map(asAttachment)
    .filter((attachment) => attachment.type === "path" || attachment.type === "skill")
    .map((attachment) => resolvePath(cwd, attachment.path));
}

/** Absolute, existing, readable, real. */
function locate(path: string, { cwd, probe, files }: InputContext): string {
  const spelled = resolvePath(cwd, path);
  const kind = files.kind(spelled);
  const needs: PermissionNeed[] = [{ kind: "read", path: spelled }];
  // Without permission to look, a missing file and an existing one must not be told apart either.
  refuse(needs, probe);
  if (kind === "missing") throw new AttachmentNotFoundError(spelled);
  const real = files.realPath(spelled);
  if (real === null) {
    if (probe.enforcedBy === "none") return spelled;
    throw denied([{ kind: "read" }], probe);
  }
  refuse([{ kind: "read", path: real }], probe);
  return real;
}

function refuse(needs: readonly PermissionNeed[], probe: PermissionProbe): void {
  const missing = missingNeeds(needs, probe);
  if (missing.length > 0) throw denied(missing, probe);
}

function denied(needs: readonly PermissionNeed[], probe: PermissionProbe): PermissionDeniedError {
  return new PermissionDeniedError("The attachment", flagsFor(needs, probe.enforcedBy));
}

interface MentionedPath {
  path: string;
  placeholder: string | undefined;
}

/** The text, with a line for each mentioned path and the place of the mention in UTF-8 bytes. */
function textItem(text: string, paths: readonly MentionedPath[]): JsonObject | null {
  if (text === "" && paths.length === 0) return null;
  let full = text;
  const elements: JsonObject[] = [];
  for (const { path, placeholder } of paths) {
    if (full !== "" && !full.endsWith("\n")) full += "\n";
    const start = utf8Length(full);
    full += `@${path}`;
    const byteRange = { start, end: utf8Length(full) };
    elements.push({ byteRange, ...(placeholder === undefined ? {} : { placeholder }) });
  }
  return { type: "text", text: full, text_elements: elements };
}

function item(
  attachment: Exclude<Attachment, { type: "path" }>,
  index: number,
  context: InputContext,
): JsonObject {
  switch (attachment.type) {
    case "image":
      checkImageUrl(attachment.url, index, context.serverVersion);
      return { type: "image", url: attachment.url };
    case "localImage":
      return { type: "localImage", path: locate(attachment.path, context) };
    case "skill":
      return { type: "skill", name: attachment.name, path: locate(attachment.path, context) };
    case "mention": {
      const { name, path } = attachment;
      // A mention may stand for anything that has an address, such as `app://…`.
      const isAddress = /^[a-z][a-z0-9+.-]+:\/\//i.test(path);
      return { type: "mention", name, path: isAddress ? path : locate(path, context) };
    }
    default:
      throw invalid(`$.input[${index}].type`, "expected a kind of attachment");
  }
}

function checkImageUrl(url: string, index: number, version: string | null): void {
  const path = `$.input[${index}].url`;
  if (/^data:/i.test(url)) return;
  if (!/^https?:/i.test(url)) {
    throw invalid(path, "expected a data: URL; use a localImage attachment for a file");
  }
  if (supports(version, "remoteImages")) return;
  throw invalid(
    path,
    "expected a data: URL: this codex does not fetch images; fetch it and send it inline",
  );
}

function invalid(path: string, expectation: string): RpcValidationError {
  return new RpcValidationError("turn/start", "params", path, expectation);
}
