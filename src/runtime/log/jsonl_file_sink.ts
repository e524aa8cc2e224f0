/**
 * The event log in a file, one JSON object a line.
 * @module
 */
import { longTimeout } from "../../async.ts";
import {
  checkArgument,
  checkOptions,
  count,
  flag,
  having,
  type Kind,
  name,
  pauseMilliseconds,
  required,
  type Shape,
  shape,
} from "../../check/mod.ts";
import type { JsonObject } from "../../json.ts";
import type { AppendFile, FileSystem } from "../../platform/mod.ts";
import { Redactor } from "../../redact.ts";
import { envelopeToJson, type EventEnvelope } from "./event_envelope.ts";
import type { EventSink } from "./event_sink.ts";
import type * as logFile from "./log_file.ts";

const envelopeKind: Kind = required(
  having("an event of a runtime", { seq: required(count(0)) }),
);

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
 * The file is appended to; several sinks may write to one, of several programs too. When it is full it becomes `path.1`, the
 * one before `path.2` and so on; `path.lock` is there meanwhile. Under Deno the sink needs `--allow-write` for the file's
 * directory; renaming needs `--allow-read` too, and without that a full file stays as it is and the log goes on in `path.1`,
 * then `path.2`. A link or a pipe is refused, but for those in `/dev`; keep logs where no agent may write.
 *
 * ```ts ignore
 * const sink = new runtime.JsonlFileSink("/var/log/codex.jsonl");
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
  #io: typeof logFile | null = null;
  #files: FileSystem | null = null;
  #file: { handle: AppendFile; size: number } | null = null;
  /** The file in use when full ones can't be renamed. */
  #current: string;
  /** Files put aside by this sink when they can't be renamed, oldest first. */
  readonly #aside: string[] = [];
  #next = 1;
  #lines: string[] = [];
  #characters = 0;
  #cancelTimer: (() => void) | undefined;
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
    checkArgument("JsonlFileSink.write", "envelope", envelope, envelopeKind);
    const line = JSON.stringify(this.#redacted(envelope)) + "\n";
    this.#lines.push(line);
    this.#characters += line.length;
    if (this.#lines.length >= this.#flushEvery || this.#characters >= BUFFER_CHARACTERS) {
      return this.flush();
    }
    this.#cancelTimer ??= longTimeout(() => {
      // There is nobody to tell here; the next write or flush does.
      this.flush().catch((error) => this.#failure = error);
    }, this.#flushAfterMs);
  }

  /** Writes what is buffered. Rejects when that fails, now or since the last call. */
  async flush(): Promise<void> {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    const write = this.#work.then(() => this.#alone());
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

  /** While no other sink of this process writes to the same file. */
  async #alone(): Promise<void> {
    if (this.#lines.length === 0) return;
    const { alone } = this.#io ??= await import("./log_file.ts");
    await alone(this.path, () => this.#drain());
  }

  async #drain(): Promise<void> {
    const lines = this.#lines;
    this.#lines = [];
    this.#characters = 0;
    let written = 0;
    try {
      const encoder = new TextEncoder();
      await this.#look();
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
          await this.#rotate(file.size);
          continue;
        }
        const bytes = encoder.encode(part);
        try {
          await file.handle.append(bytes);
        } catch (error) {
          // What fitted is there; the next line must not be glued to the one that was cut.
          const room = await file.handle.size().catch(() => file.size) - file.size;
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

  /** Another writer may have added to the file, or put it aside: then it is another one that is written. */
  async #look(): Promise<void> {
    if (this.#file === null) return;
    const size = await this.#file.handle.size();
    this.#file.size = size;
    if (!this.#io!.canRename(this.path)) return;
    if (await this.#files!.size(this.path) !== size) await this.#closeFile();
  }

  async #open(): Promise<{ handle: AppendFile; size: number }> {
    const io = this.#io!;
    this.#files ??= io.logFiles();
    const { handle, size, torn } = (await io.openLog(this.#files, this.#current))!;
    if (!torn) return { handle, size };
    // A line that was cut, by a crash or a full disk, stays the only one that can't be read.
    try {
      await handle.append(new Uint8Array([NEWLINE]));
    } catch (error) {
      await handle.close().catch(() => {});
      throw error;
    }
    return { handle, size: size + 1 };
  }

  async #closeFile(): Promise<void> {
    const file = this.#file;
    this.#file = null;
    await file?.handle.close();
  }

  async #rotate(full: number): Promise<void> {
    await this.#closeFile();
    const files = this.#files!;
    const { canRename, putAside } = this.#io!;
    if (!canRename(this.path)) return await this.#moveOn(files);
    await putAside(files, this.path, full, () => this.#shift(files));
  }

  async #shift(files: FileSystem): Promise<void> {
    const { unlessMissing } = this.#io!;
    if (this.#keep === 0) return await unlessMissing(files.removeFile(this.path));
    let last = 1;
    while (last < this.#keep && await files.size(`${this.path}.${last}`) !== null) last++;
    await unlessMissing(files.removeFile(`${this.path}.${last}`));
    for (let i = last - 1; i >= 1; i--) {
      await unlessMissing(files.rename(`${this.path}.${i}`, `${this.path}.${i + 1}`));
    }
    await unlessMissing(files.rename(this.path, `${this.path}.1`));
  }

  /** Goes on in the next file that does not exist. */
  async #moveOn(files: FileSystem): Promise<void> {
    const { openLog, unlessMissing } = this.#io!;
    this.#aside.push(this.#current);
    let log: logFile.OpenLog | null = null;
    while (log === null) {
      this.#current = `${this.path}.${this.#next++}`;
      log = await openLog(files, this.#current, true);
    }
    this.#file = { handle: log.handle, size: log.size };
    while (this.#aside.length > this.#keep) {
      await unlessMissing(files.removeFile(this.#aside.shift()!));
    }
  }
}

/** How many whole lines are in the first bytes. */
function linesWithin(bytes: Uint8Array, length: number): number {
  let lines = 0;
  for (let at = 0; at < Math.min(length, bytes.length); at++) if (bytes[at] === NEWLINE) lines++;
  return lines;
}
