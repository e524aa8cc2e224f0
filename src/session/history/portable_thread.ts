/**
 * One session's thread in a host's store: put where codex looks for it, and carried back after each turn.
 * @module
 */
import { abortable, delay, within } from "../../async.ts";
import {
  CodexError,
  InvalidArgumentError,
  messageOf,
  PermissionDeniedError,
  ThreadInUseError,
} from "../../errors/mod.ts";
import { stringOf } from "../../json.ts";
import { fileSystem, isPermissionError } from "../../platform/fs.ts";
import type { FileSystem } from "../../platform/mod.ts";
import { codexHome, DEFAULTS, type RuntimeCore } from "../../runtime/mod.ts";
import { materialise, type MaterialisedThread } from "./materialise.ts";
import {
  baseOf,
  damaged,
  endedTurn,
  firstLine,
  isBase,
  marker,
  ordinalOf,
  type RolloutBase,
  rolloutFile,
  rolloutsBelow,
  wholeLines,
} from "./rollout.ts";
import { type ThreadStore, threadStoreError } from "./thread_store.ts";

/** What is read at once of a file; a longer line is read whole. */
const CHUNK_BYTES = 1 << 20;
/** How often it is looked whether codex has written that a turn has ended, which takes it milliseconds. */
const END_TRIES = 40;
const END_ROUND_MS = 25;

/** A thread that a store keeps. One thing is done with it at a time. */
export class PortableThread {
  /** Who keeps it. */
  readonly store: ThreadStore;
  readonly #core: RuntimeCore;
  readonly #files: FileSystem;
  /** `null` until the server has named it. */
  #threadId: string | null;
  /** How many lines the store holds. */
  #at = 0;
  /** The file that the last stored lines are of. */
  #file: string | null = null;
  /** How many of its bytes are stored. */
  #offset = 0;
  /** What is stored with the next lines of it. */
  #heading: string[] = [];
  #name: string | null = null;
  /** What this machine had instead of what is stored, and has no more; told once. */
  #givenUp: string | null = null;
  /** Whether there may be lines that are not stored. */
  #dirty = true;
  /** The last turn that has ended, until the line with its end is stored. */
  #ended: string | null = null;
  /** Ends of turns that were stored before they were told. */
  readonly #ends: Set<string> = new Set();
  /** Lines of an append of which nobody knows whether it happened. */
  #unsure: string[] = [];
  /** Lines that the store has, of which whoever added them was told that it failed. */
  #landed: string[] = [];
  #last: Promise<unknown> = Promise.resolve();
  /** When the store has answered the last question. */
  #answered: Promise<void> = Promise.resolve();

  /** Throws where the codex's files can't be reached. `threadId`: that of a thread that is resumed. */
  constructor(core: RuntimeCore, store: ThreadStore, where: string, threadId: string | null) {
    const type = core.config.transport?.type ?? "stdio";
    if (type === "websocket" || type === "command" || type === "custom") {
      throw new InvalidArgumentError(where, {
        argument: "store",
        received: `a store, with transport.type "${type}"`,
        accepts: "left out where codex runs elsewhere",
        sentence:
          "`store` carries the files in which codex keeps threads, and those of this codex are out of this script's reach",
        hint: "Use the store where codex runs.",
      });
    }
    const files = fileSystem();
    if (files === null) {
      throw threadStoreError("A store needs a file system, and this runtime offers none.");
    }
    this.#core = core;
    this.store = store;
    this.#files = files;
    this.#threadId = threadId;
  }

  /** Puts what the store holds where codex looks for it. Nothing is done when the store has no such thread. */
  materialise(threadId: string): Promise<void> {
    return this.#alone(async () => {
      const lines = await this.#load(threadId);
      if (lines === null) return;
      const home = codexHome(this.#core);
      if (home === null) {
        throw threadStoreError("Where this codex keeps threads is not known: set CODEX_HOME.");
      }
      const put = await this.#explained(
        home,
        () => materialise(this.#core, this.#files, { home, threadId, lines }),
      );
      this.#take(put);
      this.#givenUp = put.givenUp;
    });
  }

  #take({ count, file, bytes, name }: Omit<MaterialisedThread, "givenUp">): void {
    this.#at = count;
    this.#file = file;
    this.#offset = bytes;
    this.#name = name;
  }

  /** What whoever goes on with the thread has to know; told once. */
  takeWarning(): string | null {
    const given = this.#givenUp;
    this.#givenUp = null;
    return given === null
      ? null
      : `The thread went on elsewhere. What this machine alone had of it was never stored and is given up: ${given}.`;
  }

  /** The thread is there; one that was never used gets another id when its server is started again. */
  async opened(threadId: string): Promise<void> {
    const known = this.#threadId;
    this.#threadId = threadId;
    // What codex had not written when it went away is not written any more; that was told after the turn.
    this.#ended = null;
    if (known !== null && known !== threadId) {
      this.#take({ count: 0, file: null, bytes: 0, name: null });
    }
    if (this.#name === null) return;
    await this.#core.callNow("thread/name/set", { threadId, name: this.#name }).catch(() => {});
  }

  /**
   * A turn is about to begin: what is not stored yet is, and whoever else has the thread has lost it. Rejects with
   * `ThreadInUseError` when somebody else wrote meanwhile, and with the store's error when it fails: then no turn begins.
   */
  claim(signal: AbortSignal): Promise<void> {
    return abortable(
      this.#alone(async () => {
        try {
          await this.#flush();
          await this.#append([marker("turn", crypto.randomUUID())]);
        } catch (error) {
          throw this.#failed(error, false);
        }
        this.#dirty = true;
      }),
      signal,
    );
  }

  /** Stores what codex wrote since the last time. */
  flush(): Promise<void> {
    return this.#alone(() =>
      this.#flush().catch((error) => {
        throw this.#failed(error, true);
      })
    );
  }

  /** Tried again with the next call, unless somebody else went on with the thread: this session can't do it any more. */
  #failed(error: unknown, ran: boolean): unknown {
    this.#dirty = true;
    if (!(error instanceof ThreadInUseError)) return error;
    const { threadId } = error;
    return new ThreadInUseError(
      threadId,
      { cause: error, retryable: false, data: { ran } },
      `The thread ${threadId} went on elsewhere. ${
        ran
          ? "What the last turn here said and did is not stored: look before you ask again."
          : "Nothing was asked."
      } Resume it from its store.`,
    );
  }

  /** There may be something to store. `turnId`: a turn that was told to have completed, whose end codex writes down. */
  touch(turnId: string | null = null): void {
    this.#dirty = true;
    if (turnId !== null) this.#ended = this.#ends.delete(turnId) ? null : turnId;
  }

  #alone<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work);
    this.#last = done.catch(() => {});
    return done;
  }

  async #flush(): Promise<void> {
    if (!this.#dirty) return;
    if (this.#core.state === "closed") {
      if (this.#ended === null) return;
      throw threadStoreError("Codex was ended before the last turn was stored.", undefined, false);
    }
    // What happens while it is stored makes it dirty again.
    this.#dirty = false;
    const name = await this.#keep();
    // Codex writes on its own, and tells of the turn meanwhile.
    for (let tries = 0; this.#ended !== null; tries++) {
      if (tries === END_TRIES) throw unwritten();
      await delay(END_ROUND_MS);
      await this.#keep(tries === 0);
    }
    if (name !== null && name !== this.#name) {
      await this.#append([marker("name", name)]);
      this.#name = name;
    }
  }

  /** Stores what codex's file has; settles with what the thread is called. */
  async #keep(whole = false): Promise<string | null> {
    const { path, name } = await this.#read(this.#threadId!, whole);
    if (path !== null) {
      const file = rolloutFile(path);
      if (file === null) {
        throw threadStoreError(
          "Codex keeps the thread where this library does not look for it.",
          undefined,
          false,
        );
      }
      await this.#explained(path.slice(0, -file.length), () => this.#carry(path, file));
    } else this.#ended = null;
    return name;
  }

  /** Stores the lines of a file that are not, with those that it is based on before it. */
  async #carry(path: string, file: string): Promise<void> {
    const size = await this.#files.size(path);
    if (size === null) {
      // A thread without a turn has no file yet, however many prompts were refused.
      if (this.#file === null) return;
      throw threadStoreError(`The thread's file ${path} can't be read.`);
    }
    if (file === this.#file && size < this.#offset) {
      throw damaged(`is shorter than what is stored of it: ${path}`);
    }
    if (file !== this.#file) {
      for (const base of await this.#basesOf(path)) {
        if (base.file !== this.#file) this.#begin(base.file);
        await this.#lines(base.path, base.endByte);
      }
      this.#begin(file);
    }
    await this.#lines(path, Infinity);
  }

  /** What follows is of this file. That is stored with its first lines: codex takes no file without any. */
  #begin(file: string): void {
    const first = this.#at === 0 ? [marker("codex", this.#core.server.version)] : [];
    this.#heading = [...first, marker("file", file)];
    this.#file = file;
    this.#offset = 0;
  }

  /** Stores the whole lines from the last one on, as many as fit, up to a byte. */
  async #lines(path: string, end: number): Promise<void> {
    for (let room = CHUNK_BYTES; this.#offset < end;) {
      const asked = Math.min(room, end - this.#offset);
      const bytes = await this.#files.readAt(path, this.#offset, asked);
      const { lines, length } = wholeLines(bytes);
      if (length === 0) {
        // The last line is being written, or longer than what was read.
        if (bytes.length < asked || asked < room) return;
        room *= 2;
        continue;
      }
      await this.#append([...this.#heading, ...lines]);
      this.#heading = [];
      this.#offset += length;
      for (const ended of lines.map(endedTurn)) {
        if (ended === null) continue;
        if (ended === this.#ended) this.#ended = null;
        else this.#ends.add(ended);
      }
      room = CHUNK_BYTES;
    }
  }

  /** The files that a file is based on, the oldest first, each up to where it counts. */
  async #basesOf(path: string): Promise<{ path: string; file: string; endByte: number }[]> {
    const bases: { path: string; file: string; endByte: number }[] = [];
    const home = path.slice(0, -rolloutFile(path)!.length);
    for (let base = baseOf(await firstLine(this.#files, path)); base !== null;) {
      const found = await this.#find(home, base, [path, ...bases.map((each) => each.path)]);
      if (found === null) {
        throw threadStoreError(
          "A thread that this one is a fork of can't be found any more.",
          undefined,
          false,
        );
      }
      bases.unshift({ ...found, endByte: base.endByte });
      base = baseOf(await firstLine(this.#files, found.path));
    }
    // What is stored already need not be again; of the last one a part may be.
    return bases.slice(Math.max(0, bases.findIndex(({ file }) => file === this.#file)));
  }

  /** The file of which the base's last line is the last one before its end; it may be of any day. */
  async #find(
    home: string,
    base: RolloutBase,
    seen: string[],
  ): Promise<{ path: string; file: string } | null> {
    for await (const file of rolloutsBelow(this.#files, home)) {
      const each = `${home}${file}`;
      if (!isBase(file, base) || seen.includes(each)) continue;
      if ((await this.#files.size(each) ?? 0) < base.endByte) continue;
      for (let room = 1 << 16;; room *= 4) {
        const from = Math.max(0, base.endByte - room);
        const bytes = await this.#files.readAt(each, from, base.endByte - from);
        const begin = bytes.lastIndexOf(0x0A, bytes.length - 2) + 1;
        if (begin === 0 && from > 0) continue;
        const last = new TextDecoder().decode(bytes.subarray(begin));
        if (ordinalOf(last) === base.endOrdinal - 1) return { path: each, file };
        break;
      }
    }
    return null;
  }

  /** Adds lines; those whose fate nobody knows are looked for first. */
  async #append(lines: string[]): Promise<void> {
    const sent = this.#unsure;
    if (sent.length > 0 && await this.#hasLanded(sent)) {
      this.#at += sent.length;
      this.#landed.push(...sent);
    }
    // Codex's file may have grown since, or less of it counts: what is stored is not stored again. Other lines follow.
    if (this.#landed.some((line, n) => n < lines.length && line !== lines[n])) this.#landed = [];
    const left = this.#unsure = lines.slice(this.#landed.length);
    if (left.length > 0) {
      await this.#stored("append", () => this.store.append(this.#threadId!, left, this.#at))
        .catch(async (error) => {
          // A store that asks again when an answer was lost is told that its own lines were faster.
          if (!(error instanceof ThreadInUseError) || !await this.#hasLanded(left)) throw error;
        });
    }
    this.#at += left.length;
    this.#unsure = [];
    this.#landed = [];
  }

  async #hasLanded(lines: string[]): Promise<boolean> {
    const stored = await this.#load(this.#threadId!);
    if (stored === null) {
      if (this.#at === 0) return false;
      throw threadStoreError(
        "The store has lost the thread: is its disk there?",
      );
    }
    let at = 0;
    for await (const line of stored) {
      const mine = at - this.#at;
      if (mine >= 0 && line !== lines[mine]) return false;
      if (mine === lines.length - 1) return true;
      at++;
    }
    return false;
  }

  /** The lines that the store holds; it may keep nobody waiting for any of them. */
  async #load(threadId: string): Promise<AsyncIterable<string> | null> {
    const lines = await this.#stored(
      "load",
      async () => (await this.store.load(threadId))?.[Symbol.asyncIterator](),
    );
    if (lines === undefined) return null;
    return {
      [Symbol.asyncIterator]: () => ({
        next: () => this.#stored("load", () => lines.next()),
        return: () => {
          lines.return?.().catch(() => {});
          return Promise.resolve({ done: true, value: undefined });
        },
      }),
    };
  }

  /** Asks the store. One that does not answer is asked nothing else until it does: what it was asked may still happen. */
  async #stored<T>(what: string, work: () => Promise<T>): Promise<T> {
    const { requestTimeoutMs = DEFAULTS.requestTimeoutMs } = this.#core.config;
    const late = threadStoreError(
      `The store's \`${what}\` has given no answer within ${requestTimeoutMs} ms.`,
    );
    let waits = true;
    const asked = this.#answered.then(() => {
      if (!waits) throw late;
      return work();
    });
    this.#answered = asked.then(() => {}, () => {});
    const gaveUp = Symbol();
    try {
      const answer = await within(asked, requestTimeoutMs, gaveUp);
      if (answer === gaveUp) throw late;
      return answer as T;
    } catch (error) {
      waits = false;
      if (error instanceof CodexError) throw error;
      throw threadStoreError(`The store's \`${what}\` failed: ${messageOf(error)}`, error);
    }
  }

  async #explained<T>(home: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (error instanceof CodexError) throw error;
      const sessions = `${home.replace(/[/\\]$/, "")}/sessions`;
      if (!isPermissionError(error)) {
        throw threadStoreError(`Codex's ${sessions} can't be used: ${messageOf(error)}`, error);
      }
      throw new PermissionDeniedError("Keeping threads in a store", [
        `--allow-read=${sessions}`,
        `--allow-write=${sessions}`,
      ], { cause: error });
    }
  }

  /** `whole`: 0.169 then writes what it could not write before. */
  async #read(
    threadId: string,
    whole: boolean,
  ): Promise<{ path: string | null; name: string | null }> {
    const result = await this.#core.callNow("thread/read", { threadId, includeTurns: whole });
    return { path: stringOf(result, "thread", "path"), name: stringOf(result, "thread", "name") };
  }
}

function unwritten(): CodexError {
  return threadStoreError(
    "Codex has not written the last turn to the thread's file, as on a full disk, so that the store does not have all of it. " +
      "Make room and try again; if that does not help, release the session and resume it, without what was not written.",
  );
}
