/**
 * The event log in a file, one JSON object a line, and the few operations on a growing file.
 * @module
 */
import {
  checkArgument,
  checkOptions,
  count,
  flag,
  name,
  pauseMilliseconds,
  required,
  type Shape,
  shape,
} from "../../check/mod.ts";
import { CodexError, PermissionDeniedError } from "../../errors/mod.ts";
import type { JsonObject } from "../../json.ts";
import { builtin, canRead, isGranted, runtimeName } from "../../platform/mod.ts";
import { Redactor } from "../../redact.ts";
import type { EventEnvelope } from "./event_envelope.ts";
import { envelopeToJson } from "./event_log.ts";
import type { EventSink } from "./event_sink.ts";

/** Options of {@linkcode JsonlFileSink}. */
export interface JsonlFileSinkOptions {
  /** Size in bytes at which the file is put aside and a new one begun. Default 67,108,864 (64 MiB). */
  maxBytes?: number;
  /** Files kept that were put aside. Default 3. */
  keep?: number;
  /** Messages buffered before they are written. Default 64; 1 writes each at once. */
  flushEvery?: number;
  /** Milliseconds that a message is buffered at most. Default 1,000. */
  flushAfterMs?: number;
  /** Whether secrets are taken out first. Default `true`. */
  redact?: boolean;
}

/** What the options may be. */
const SINK_OPTIONS: Shape = shape<JsonlFileSinkOptions>({
  maxBytes: count(1),
  keep: count(0),
  flushEvery: count(1),
  flushAfterMs: pauseMilliseconds,
  redact: flag,
});

/** Characters buffered before they are written, however few messages they are. */
const BUFFER_CHARACTERS = 262_144;
const NEWLINE = 10;

/**
 * Writes every message of a connection to a file: one object a line, with the fields of an {@linkcode EventEnvelope}.
 *
 * The file is appended to. When it is full it becomes `path.1`, the one before `path.2` and so on. Under Deno the sink
 * needs `--allow-write` for the file's directory; renaming needs `--allow-read` too, and without that a full file stays
 * as it is and the log goes on in `path.1`, then `path.2`.
 *
 * ```ts ignore
 * const sink = new runtime.JsonlFileSink("codex.jsonl");
 * const client = await Client.connect({ eventLog: sink });
 * ```
 */
export class JsonlFileSink implements EventSink {
  /** The file that is written. */
  readonly path: string;
  readonly #maxBytes: number;
  readonly #keep: number;
  readonly #flushEvery: number;
  readonly #flushAfterMs: number;
  readonly #redactor: Redactor | null;
  #files: LogFiles | null = null;
  #file: { handle: LogFile; size: number } | null = null;
  /** The file in use when full ones can't be renamed. */
  #current: string;
  /** Files put aside by this sink when they can't be renamed, oldest first. */
  readonly #aside: string[] = [];
  #next = 1;
  #lines: string[] = [];
  #characters = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #work: Promise<void> = Promise.resolve();
  #failure: unknown = undefined;
  #lost = 0;

  /** Like {@linkcode close}. */
  // Set by the constructor: as a method, a key that is computed would keep the class in every bundle.
  declare readonly [Symbol.asyncDispose]: () => Promise<void>;

  /** Names the file; it is opened when the first message is written. */
  constructor(path: string, options: JsonlFileSinkOptions = {}) {
    checkArgument("JsonlFileSink", "path", path, required(name));
    checkOptions("JsonlFileSink", options, SINK_OPTIONS);
    this[Symbol.asyncDispose] = () => this.close();
    this.path = path;
    this.#current = path;
    this.#maxBytes = options.maxBytes ?? 64 * 1024 * 1024;
    this.#keep = options.keep ?? 3;
    this.#flushEvery = options.flushEvery ?? 64;
    this.#flushAfterMs = options.flushAfterMs ?? 1000;
    this.#redactor = options.redact === false ? null : new Redactor();
  }

  /** Messages that could not be written. */
  get lost(): number {
    return this.#lost;
  }

  /** Takes one message. Rejects when writing fails; the messages that were buffered are lost then. */
  write(envelope: EventEnvelope): void | Promise<void> {
    const line = JSON.stringify(this.#redacted(envelope)) + "\n";
    this.#lines.push(line);
    this.#characters += line.length;
    if (this.#lines.length >= this.#flushEvery || this.#characters >= BUFFER_CHARACTERS) {
      return this.flush();
    }
    this.#timer ??= setTimeout(() => {
      // There is nobody to tell here; the next write or flush does.
      this.flush().catch((error) => this.#failure = error);
    }, this.#flushAfterMs);
  }

  /** Writes what is buffered. Rejects when that fails, now or since the last call. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const write = this.#work.then(() => this.#drain());
    this.#work = write.catch(() => {});
    await write;
    const failure = this.#failure;
    this.#failure = undefined;
    if (failure !== undefined) throw failure;
  }

  /** Writes what is buffered and closes the file. A later message opens it again. */
  async close(): Promise<void> {
    try {
      await this.flush();
    } finally {
      await this.#closeFile();
    }
  }

  #redacted(envelope: EventEnvelope): JsonObject {
    const json = envelopeToJson(envelope);
    const { message } = json;
    if (this.#redactor === null || message === undefined) return json;
    json["message"] = this.#redactor.message(envelope.direction, message);
    return json;
  }

  async #drain(): Promise<void> {
    const lines = this.#lines;
    if (lines.length === 0) return;
    this.#lines = [];
    this.#characters = 0;
    let written = 0;
    try {
      const encoder = new TextEncoder();
      while (written < lines.length) {
        const file = this.#file ??= await this.#open();
        let part = "";
        let count = 0;
        for (let room = this.#maxBytes - file.size; written + count < lines.length; count++) {
          const line = lines[written + count]!;
          // An overestimate: files end a little before they are full.
          room -= line.length * 3;
          if (room < 0 && (count > 0 || file.size > 0)) break;
          part += line;
        }
        if (count === 0) {
          await this.#rotate();
          continue;
        }
        const bytes = encoder.encode(part);
        try {
          await file.handle.append(bytes);
        } catch (error) {
          // What fitted is there; the next line must not be glued to the one that was cut.
          const room = await file.handle.sizeNow().catch(() => file.size) - file.size;
          written += linesWithin(bytes, room);
          throw error;
        }
        file.size += bytes.length;
        written += count;
      }
    } catch (error) {
      this.#lost += lines.length - written;
      await this.#closeFile().catch(() => {});
      throw error;
    }
  }

  async #open(): Promise<{ handle: LogFile; size: number }> {
    this.#files ??= logFiles();
    const handle = (await this.#files.open(this.#current))!;
    if (!handle.torn) return { handle, size: handle.size };
    // A line that was cut, by a crash or a full disk, stays the only one that can't be read.
    try {
      await handle.append(new Uint8Array([NEWLINE]));
    } catch (error) {
      await handle.close().catch(() => {});
      throw error;
    }
    return { handle, size: handle.size + 1 };
  }

  async #closeFile(): Promise<void> {
    const file = this.#file;
    this.#file = null;
    await file?.handle.close();
  }

  async #rotate(): Promise<void> {
    await this.#closeFile();
    const files = this.#files!;
    if (!files.canRename(this.path)) return await this.#moveOn(files);
    if (this.#keep === 0) return await files.remove(this.path);
    await files.remove(`${this.path}.${this.#keep}`);
    for (let i = this.#keep - 1; i >= 1; i--) {
      await files.rename(`${this.path}.${i}`, `${this.path}.${i + 1}`);
    }
    await files.rename(this.path, `${this.path}.1`);
  }

  /** Goes on in the next file that does not exist. */
  async #moveOn(files: LogFiles): Promise<void> {
    this.#aside.push(this.#current);
    let handle: LogFile | null = null;
    while (handle === null) {
      this.#current = `${this.path}.${this.#next++}`;
      handle = await files.open(this.#current, true);
    }
    this.#file = { handle, size: handle.size };
    while (this.#aside.length > this.#keep) await files.remove(this.#aside.shift()!);
  }
}

/** How many whole lines are in the first bytes. */
function linesWithin(bytes: Uint8Array, length: number): number {
  let lines = 0;
  for (let at = 0; at < Math.min(length, bytes.length); at++) if (bytes[at] === NEWLINE) lines++;
  return lines;
}

// The few operations on a growing file, on Deno, Bun and Node. On Deno all of them but renaming need only write
// permission.

/** A file open for appending. */
interface LogFile {
  /** How many bytes it held when it was opened. */
  readonly size: number;
  /** Whether it ends in the middle of a line, or that can't be told. */
  readonly torn: boolean;
  /** How many bytes it holds now. */
  sizeNow(): Promise<number>;
  /** Adds all of the bytes at its end. */
  append(bytes: Uint8Array): Promise<void>;
  /** Closes it. */
  close(): Promise<void>;
}

/** Growing files and their rotation. */
interface LogFiles {
  /** Opens a file, which is created with its directories; with `fresh`, `null` when it is there already. */
  open(path: string, fresh?: boolean): Promise<LogFile | null>;
  /** Whether this script may rename the file. */
  canRename(path: string): boolean;
  /** Renames a file; does nothing when it is not there. */
  rename(from: string, to: string): Promise<void>;
  /** Removes a file; does nothing when it is not there. */
  remove(path: string): Promise<void>;
}

interface NodeHandle {
  stat(): Promise<{ size: number }>;
  read(into: Uint8Array, at: number, length: number, from: number): Promise<{ bytesRead: number }>;
  writeFile(bytes: Uint8Array): Promise<void>;
  close(): Promise<void>;
}

interface NodeFs {
  open(path: string, flags: string, mode: number): Promise<NodeHandle>;
  mkdir(path: string, options: { recursive: true; mode: number }): Promise<unknown>;
  rename(from: string, to: string): Promise<void>;
  rm(path: string): Promise<void>;
}

/** Logs hold conversations: they are for their owner only. */
const MODE = 0o600;
const DIRECTORY_MODE = 0o700;

/** The operations of the runtime this runs on. */
function logFiles(): LogFiles {
  if (runtimeName() === "deno") return denoFiles();
  const fs = builtin<NodeFs>("node:fs/promises");
  if (fs !== null) return nodeFiles(fs);
  throw new CodexError(
    "unsupported",
    "JsonlFileSink needs a file system, and this runtime offers none. Pass an EventSink of your own.",
  );
}

function denoFiles(): LogFiles {
  return {
    open: async (path, fresh = false) => {
      // Asked first, because opening would prompt on a terminal.
      if (!isGranted({ name: "write", path })) {
        throw new PermissionDeniedError("Recording the event log", [`--allow-write=${path}`]);
      }
      const open = () =>
        Deno.open(path, { append: true, create: true, createNew: fresh, mode: MODE });
      const file = await opened(
        open,
        (parent) => Deno.mkdir(parent, { recursive: true, mode: DIRECTORY_MODE }),
        path,
      );
      if (file === null) return null;
      // `stat` of an open file needs read permission, seeking does not.
      const sizeNow = () => file.seek(0, Deno.SeekMode.End);
      const size = await sizeNow();
      return {
        size,
        torn: size > 0 && !(canRead(path) && await endsLine(path, size)),
        sizeNow,
        append: async (bytes) => {
          for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
        },
        close: () => Promise.resolve(file.close()),
      };
    },
    canRename: (path) => canRead(path) && isGranted({ name: "write", path }),
    rename: (from, to) => unlessMissing(Deno.rename(from, to)),
    remove: (path) => unlessMissing(Deno.remove(path)),
  };
}

function nodeFiles(fs: NodeFs): LogFiles {
  return {
    open: async (path, fresh = false) => {
      const open = () => fs.open(path, fresh ? "ax" : "a", MODE);
      const file = await opened(
        open,
        (parent) => fs.mkdir(parent, { recursive: true, mode: DIRECTORY_MODE }),
        path,
      );
      if (file === null) return null;
      const { size } = await file.stat();
      return {
        size,
        torn: size > 0 && !await endsLineOnNode(fs, path, size),
        sizeNow: async () => (await file.stat()).size,
        append: (bytes) => file.writeFile(bytes),
        close: () => file.close(),
      };
    },
    canRename: () => true,
    rename: (from, to) => unlessMissing(fs.rename(from, to)),
    remove: (path) => unlessMissing(fs.rm(path)),
  };
}

async function endsLine(path: string, size: number): Promise<boolean> {
  try {
    const file = await Deno.open(path);
    try {
      const last = new Uint8Array(1);
      await file.seek(size - 1, Deno.SeekMode.Start);
      return await file.read(last) === 1 && last[0] === NEWLINE;
    } finally {
      file.close();
    }
  } catch {
    return false;
  }
}

async function endsLineOnNode(fs: NodeFs, path: string, size: number): Promise<boolean> {
  try {
    const file = await fs.open(path, "r", MODE);
    try {
      const last = new Uint8Array(1);
      const { bytesRead } = await file.read(last, 0, 1, size - 1);
      return bytesRead === 1 && last[0] === NEWLINE;
    } finally {
      await file.close();
    }
  } catch {
    return false;
  }
}

/** Opens; when the directory is missing, creates it and opens again. */
async function opened<File>(
  open: () => Promise<File>,
  makeDirectory: (path: string) => Promise<unknown>,
  path: string,
): Promise<File | null> {
  try {
    return await open();
  } catch (error) {
    if (says(error, "EEXIST", "AlreadyExists")) return null;
    const parent = /^(.+)[/\\][^/\\]+$/.exec(path)?.[1];
    if (!isMissing(error) || parent === undefined) throw error;
    await makeDirectory(parent);
    return await open();
  }
}

async function unlessMissing(work: Promise<void>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
}

function isMissing(error: unknown): boolean {
  return says(error, "ENOENT", "NotFound");
}

function says(error: unknown, code: string, name: string): boolean {
  const { code: actual, name: named } = error as { code?: unknown; name?: unknown };
  return actual === code || named === name;
}
