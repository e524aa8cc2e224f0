/**
 * What a caller says to the agent: text and attachments.
 * @module
 */

/** What to ask: a text, or a text with attachments. */
export type Prompt = string | PromptWithAttachments;

/** A text with attachments. */
export interface PromptWithAttachments {
  /** The text. */
  text: string;
  /** Files, images, skills and mentions. Default none. */
  attachments?: (string | Attachment)[];
}

/** Something sent along with a prompt; a plain string is a path. */
export type Attachment =
  | PathAttachment
  | ImageAttachment
  | ImageDataAttachment
  | AudioDataAttachment
  | LocalImageAttachment
  | SkillAttachment
  | MentionAttachment;

/** A file or directory that the text mentions; the agent reads it by itself. */
export interface PathAttachment {
  /** Discriminator. */
  type: "path";
  /** Absolute, or relative to the session's cwd. */
  path: string;
  /** What a user interface shows in its place. Default none. */
  placeholder?: string;
}

/** An image by URL: PNG, JPEG, GIF or WebP. Codex 0.145 and later take `data:` URLs only. */
export interface ImageAttachment {
  /** Discriminator. */
  type: "image";
  /** The image's URL. */
  url: string;
}

/**
 * An image in memory. With everything else in the prompt it must fit `maxMessageBytes` in base64, since codex repeats it: about
 * 47 MiB by default. A model that takes no images is refused as well.
 */
export interface ImageDataAttachment {
  /** Discriminator. */
  type: "image";
  /** The image's bytes: PNG, JPEG, GIF or WebP. */
  data: Uint8Array | Blob;
  /** What kind of image it is; bytes of another kind are refused. Default: what the bytes say. */
  mimeType?: string;
}

/**
 * A sound in memory, for models that hear: codex leaves it out for all others, so that they are refused. Needs codex 0.145. At
 * most 50 MiB, and as for images no more than `maxMessageBytes` has room for.
 */
export interface AudioDataAttachment {
  /** Discriminator. */
  type: "audio";
  /** The sound's bytes: WAV, MP3, M4A, WebM or Ogg. */
  data: Uint8Array | Blob;
  /** What kind of sound it is; bytes of another kind are refused. Default: what the bytes say. */
  mimeType?: string;
}

/** An image file on the agent's machine: PNG, JPEG, GIF or WebP. */
export interface LocalImageAttachment {
  /** Discriminator. */
  type: "localImage";
  /** Absolute, or relative to the session's cwd. */
  path: string;
}

/** A skill to use. One that codex does not find by itself is sent as text. */
export interface SkillAttachment {
  /** Discriminator. */
  type: "skill";
  /** The skill's name. */
  name: string;
  /** Its SKILL.md; absolute, or relative to the session's cwd. */
  path: string;
}

/** A named resource; the text names it as well, since codex itself shows the model only those that it has an app for. */
export interface MentionAttachment {
  /** Discriminator. */
  type: "mention";
  /** The name shown. */
  name: string;
  /** What it stands for: a file or directory, absolute or relative to the session's cwd, or an address such as `app://…`. */
  path: string;
}

/** An attachment's object form; a plain string is a path. */
export function asAttachment(attachment: string | Attachment): Attachment {
  return typeof attachment === "string" ? { type: "path", path: attachment } : attachment;
}
