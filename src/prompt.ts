/**
 * What a caller says to the agent: text and attachments.
 * @module
 */
import {
  either,
  hinted,
  type Kind,
  kind,
  list,
  memberPath,
  name,
  object,
  path,
  required,
  shape,
  text,
  variants,
} from "./check/mod.ts";

/** What to ask: a text, or a text with attachments. */
export type Prompt = string | PromptWithAttachments;

/** A text with attachments. */
export interface PromptWithAttachments {
  /** The text. */
  text: string;
  /** Files, images, skills and mentions. Default none. */
  attachments?: readonly (string | Attachment)[];
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

// What they may be.

/** Names of other SDKs for kinds of attachments. */
const ATTACHMENT_WORDS: Readonly<Record<string, string>> = {
  local_image: "localImage",
  image_url: "image",
  input_image: "image",
  input_audio: "audio",
  localAudio: "audio",
  file: "path",
  directory: "path",
};

function isTypeOf(medium: string): (type: string) => boolean {
  return (type) => type.startsWith(`${medium}/`) && /^\w+\/[\w.+-]+$/.test(type);
}

const bytes: Kind = kind(
  "a Uint8Array or a Blob",
  ["object"],
  (value: object) => value instanceof Uint8Array || value instanceof Blob,
);

/** Something sent along; a string is a path. */
const attachmentKind: Kind = either(
  path,
  variants<Attachment>({
    path: shape<Omit<PathAttachment, "type">>({ path: required(path), placeholder: text }),
    image: shape<Omit<ImageAttachment & ImageDataAttachment, "type">>({
      url: text,
      data: bytes,
      mimeType: kind("an image's type, such as image/png", ["string"], isTypeOf("image")),
    }, {
      imageUrl: "url",
      bytes: "data",
      mediaType: "mimeType",
      path: `For a file write \`{ type: "localImage", path }\`.`,
    }),
    audio: shape<Omit<AudioDataAttachment, "type">>({
      data: required(bytes),
      mimeType: kind("a sound's type, such as audio/wav", ["string"], isTypeOf("audio")),
    }, {
      bytes: "data",
      mediaType: "mimeType",
      url: "Give its bytes as `data`.",
      path: "Give its bytes as `data`.",
    }),
    localImage: shape<Omit<LocalImageAttachment, "type">>(
      { path: required(path) },
      { localPath: "path", file: "path" },
    ),
    skill: shape<Omit<SkillAttachment, "type">>({ name: required(name), path: required(path) }),
    mention: shape<Omit<MentionAttachment, "type">>({ name: required(name), path: required(path) }),
  }, (value) => {
    const type = (value as { type?: unknown } | null)?.type;
    if (type === "text") return "Text goes into the prompt itself.";
    const word = typeof type === "string" && Object.hasOwn(ATTACHMENT_WORDS, type)
      ? ATTACHMENT_WORDS[type]
      : undefined;
    return word === undefined ? undefined : `Did you mean \`type: "${word}"\`?`;
  }),
);

/** An image is an address or bytes: the shape alone does not say so. */
const oneSource: Kind = {
  ...attachmentKind,
  misfit: (value, path) => {
    const misfit = attachmentKind.misfit(value, path);
    const { type, url, data } = Object(value);
    if (misfit !== null || type !== "image" || (url === undefined) !== (data === undefined)) {
      return misfit;
    }
    return {
      path: memberPath(path, "url"),
      received: url === undefined ? "neither `url` nor `data`" : "both `url` and `data`",
      accepts: "a data: URL, or bytes in `data`",
    };
  },
};

/** Things sent along. */
export const attachmentsKind: Kind = list(
  oneSource,
  (value) => typeof value === "string" ? 'Write `attachments: ["…"]`.' : undefined,
);

/** What is asked: a text, or a text with attachments. */
export const promptKind: Kind = required(hinted(
  either(
    text,
    object(
      shape<PromptWithAttachments>({ text: required(text), attachments: attachmentsKind }, {
        prompt: "text",
        content: "text",
        input: "text",
      }),
    ),
  ),
  (value) =>
    Array.isArray(value)
      ? "Write `{ text, attachments }`: one text, with images and files as attachments."
      : undefined,
));

/** The prompt of a call that is told the directory first. */
export const runPromptKind: Kind = hinted(
  promptKind,
  (value) => value === undefined ? "The directory comes first: `(cwd, prompt)`." : undefined,
);
