/**
 * What attachments become on the wire: mentioned paths, images and skills.
 * @module
 */
import {
  AttachmentNotFoundError,
  InvalidArgumentError,
  PermissionDeniedError,
} from "../../errors/mod.ts";
import { defined, type JsonObject, objectsOf, stringOf } from "../../json.ts";
import { supports } from "../../protocol/mod.ts";
import type { RuntimeCore } from "../../runtime/mod.ts";
import {
  flagsFor,
  missingNeeds,
  type PermissionNeed,
  type PermissionProbe,
} from "../../permissions/mod.ts";
import { fileSystem, pathProblem } from "../../platform/fs.ts";
import {
  canSpawn,
  type PathKind,
  pathKind,
  readTextFile,
  realPath,
  resolvePath,
} from "../../platform/mod.ts";
import type { Attachment, ImageAttachment, ImageDataAttachment, Prompt } from "../../prompt.ts";
import { asAttachment, isAddress, refuseNothing, textItem, type ToldPath } from "./input_text.ts";
import { checkImageFile, dataUrl, imageDataUrl } from "./media.ts";

/** Looks at files. */
export interface FileProbe {
  /** What an absolute path leads to. */
  kind(path: string): PathKind;
  /** An absolute path with all links followed, or `null` when that can't be told. */
  realPath(path: string): string | null;
  /** Why the system can't look at a path, or `null` when it is not the system that keeps this script from it. */
  problem(path: string): string | null;
  /** At most so many bytes of a file; rejects when they can't be read. */
  read(path: string, at: number, length: number): Promise<Uint8Array>;
}

/** Looks at this machine's files, as far as this script may. */
const hostFiles: FileProbe = {
  kind: pathKind,
  realPath,
  problem: pathProblem,
  read: async (path, at, length) => {
    const files = fileSystem();
    if (files === null) throw new Error("There are no files here.");
    return await files.readAt(path, at, length);
  },
};

/** Who looks at the files of the session's machine; `null` when this script can't: whether they are there is for codex to find out. */
export function filesOf(remote: boolean): FileProbe | null {
  return remote || !canSpawn() ? null : hostFiles;
}

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
  /** Looks at files; `null` when this script can't. */
  files: FileProbe | null;
}

/**
 * The `input` of `turn/start` and `turn/steer`.
 *
 * Relative paths are resolved against the cwd and the **real** path is sent, so that what was checked is what is read.
 * Both spellings need read permission, since codex reads images and skills without a sandbox. Where this script has no
 * way to look at files at all (browsers, edge), absolute paths are sent as they are.
 *
 * Rejects with `AttachmentNotFoundError` for a path that does not exist, `PermissionDeniedError` for one that may not be
 * read, and `InvalidArgumentError` for empty input, for what is no file, and for images that the server would not take.
 */
export async function buildInput(prompt: Prompt, context: InputContext): Promise<JsonObject[]> {
  const text = typeof prompt === "string" ? prompt : prompt.text;
  const own = typeof prompt === "string" ? [] : prompt.attachments ?? [];
  const attachments = [...(context.attachments ?? []), ...own].map(asAttachment);
  refuseNothing(text, attachments);
  const items: JsonObject[] = [];
  const told: ToldPath[] = [];
  for (const attachment of attachments) {
    switch (attachment.type) {
      case "path": {
        const { placeholder } = attachment;
        told.push({ text: `@${locate(attachment, context, EITHER)}`, placeholder });
        break;
      }
      case "mention": {
        // The model sees of a mention only what the text says, but for apps that codex has.
        const { name, path } = attachment;
        const place = isAddress(path) ? path : locate(attachment, context, EITHER);
        told.push({
          text: isAddress(path) ? `[@${name}](${place})` : `@${place}`,
          placeholder: name,
        });
        items.push({ type: "mention", name, path: place });
        break;
      }
      case "image":
        items.push({ type: "image", url: await imageUrl(attachment, context.serverVersion) });
        break;
      case "localImage":
        items.push({
          type: "localImage",
          path: await image(locate(attachment, context, FILE), context),
        });
        break;
      case "audio":
        items.push({ type: "audio", url: await dataUrl(attachment) });
        break;
      case "skill": {
        const { name } = attachment;
        items.push({ type: "skill", name, path: locate(attachment, context, FILE) });
      }
    }
  }
  const first = textItem(text, told);
  return first === null ? items : [first, ...items];
}

const FILE: readonly PathKind[] = ["file"];
const EITHER: readonly PathKind[] = ["file", "directory"];

/** Absolute, existing, readable, real, and of a kind that can be read to its end: reading a device or a pipe may never end. */
function locate(
  { type, path }: { type: string; path: string },
  { cwd, probe, files }: InputContext,
  accepted: readonly PathKind[],
): string {
  const spelled = resolvePath(cwd, path);
  if (files === null) return spelled;
  const kind = files.kind(spelled);
  // Without permission to look, a missing file and an existing one must not be told apart either.
  refuse([{ kind: "read", path: spelled }], probe);
  if (kind === "missing") throw new AttachmentNotFoundError(spelled);
  const real = files.realPath(spelled);
  if (real === null) {
    const problem = files.problem(spelled);
    if (problem === null) throw denied([{ kind: "read" }], probe);
    throw unreadable(`a path that can't be read: ${problem}`);
  }
  refuse([{ kind: "read", path: real }], probe);
  if (kind === "unknown" || accepted.includes(kind)) return real;
  throw unreadable(kind === "directory" ? "a directory" : "a device, a pipe or a socket");

  function unreadable(received: string): InvalidArgumentError {
    const accepts = accepted.includes("directory")
      ? "the path of a file or a directory"
      : "the path of a file";
    return new InvalidArgumentError("attachments", {
      argument: "path",
      received,
      accepts,
      sentence: `the ${type} attachment ${spelled} must be ${accepts}; received ${received}`,
    });
  }
}

function refuse(needs: readonly PermissionNeed[], probe: PermissionProbe): void {
  const missing = missingNeeds(needs, probe);
  if (missing.length > 0) throw denied(missing, probe);
}

function denied(needs: readonly PermissionNeed[], probe: PermissionProbe): PermissionDeniedError {
  return new PermissionDeniedError("The attachment", flagsFor(needs, probe.enforcedBy));
}

/** The path of an image, when the file can be looked at and is one. */
async function image(path: string, { files }: InputContext): Promise<string> {
  if (files === null) return path;
  try {
    await checkImageFile({ read: (at, length) => files.read(path, at, length) });
  } catch (error) {
    // What this script can't read is for codex to look at.
    if (error instanceof InvalidArgumentError) throw error;
  }
  return path;
}

/** The URL of an image, when the server takes it. */
async function imageUrl(
  attachment: ImageAttachment | ImageDataAttachment,
  version: string | null,
): Promise<string> {
  if ("data" in attachment) return await dataUrl(attachment);
  const { url } = attachment;
  if (/^data:/i.test(url)) return await imageDataUrl(url);
  if (/^https?:/i.test(url) && supports(version, "remoteImages")) return url;
  throw new InvalidArgumentError("attachments", {
    argument: "url",
    received: "another URL",
    accepts: "a data: URL of an image",
    hint: /^https?:/i.test(url)
      ? "This codex does not fetch images: fetch it, and give its bytes as `data`."
      : 'For a file write `{ type: "localImage", path }`.',
  });
}

/**
 * Input in which every skill reaches the model. Codex reads those that it finds by itself (below `.agents/skills` and
 * the like), and drops any other without a word: they are sent as text, in the form that codex gives them. Throws
 * `InvalidArgumentError` for a skill of another machine that its codex does not know.
 */
export async function withSkills(
  input: readonly JsonObject[],
  core: RuntimeCore,
  cwd: string,
  files: FileProbe | null,
  signal?: AbortSignal,
): Promise<JsonObject[]> {
  if (!input.some((item) => item["type"] === "skill")) return [...input];
  const known = await knownSkills(core, cwd, signal);
  return input.map((item) => {
    if (item["type"] !== "skill") return item;
    const path = String(item["path"]);
    const spelled = known.find((each) => each === path || files?.realPath(each) === path);
    if (spelled !== undefined) return { ...item, path: spelled };
    const text = files === null ? null : readTextFile(path);
    if (text !== null) return asText(String(item["name"]), path, text);
    throw new InvalidArgumentError("attachments", {
      argument: "path",
      received: "a skill that this codex does not know",
      accepts: "the SKILL.md of a skill that `skills/list` tells",
    });
  });
}

/** The paths of the skills that codex finds from a directory and that are not turned off. */
async function knownSkills(
  core: RuntimeCore,
  cwd: string,
  signal?: AbortSignal,
): Promise<string[]> {
  const result = await core.call(
    "skills/list",
    { cwds: [cwd] },
    defined({ signal }),
  );
  return objectsOf(result, "data")
    .flatMap((entry) => objectsOf(entry, "skills"))
    .filter((skill) => skill["enabled"] !== false)
    .map((skill) => stringOf(skill, "path") ?? "");
}

/** As codex 0.104 to 0.169 show a skill to the model. */
function asText(name: string, path: string, body: string): JsonObject {
  const text = `<skill>\n<name>${name}</name>\n<path>${path}</path>\n${body}\n</skill>`;
  return { type: "text", text, text_elements: [] };
}
