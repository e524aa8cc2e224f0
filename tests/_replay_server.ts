/** Replays one recorded conversation: waits for what the client said, says what the server said. */
import type { FakeEnd } from "./_fake_end.ts";
import { type Dialect, type Message, RECORDED_CWD, transcript } from "./_transcripts.ts";

/** Answers to requests that the recording does not hold, by method. */
export type Extras = Record<string, (params: Message) => unknown>;

// A client may tidy up after the recorded part, and ask whether all was said; these shapes are measured ones.
const DEFAULT_EXTRAS: Extras = {
  "config/read": () => ({ config: {} }),
  "hooks/list": ({ cwds }) => ({ data: [{ cwd: cwds[0], hooks: [], warnings: [], errors: [] }] }),
  "thread/loaded/list": () => ({ data: [], nextCursor: null }),
  "thread/archive": () => ({}),
  "thread/unsubscribe": () => ({ status: "unsubscribed" }),
};

/** The fake that says only what the real server was recorded to say. */
export class ReplayServer {
  /** Every message of the client. */
  readonly received: Message[] = [];
  /** What the client said that the recording does not hold; empty after a faithful run. */
  readonly surprises: string[] = [];
  /** Resolves when the recording is played to its end. */
  readonly done: Promise<void>;
  readonly #end: FakeEnd;
  readonly #wire;
  readonly #extras: Extras;
  readonly #ids = new Map<unknown, unknown>();
  readonly #texts = new Map<string, string>();
  /** Recorded ids of threads that this client starts read-only. */
  readonly #readOnly = new Set<unknown>();
  #at = 0;
  #finish: () => void = () => {};

  constructor(end: FakeEnd, dialect: Dialect, scenario: string, extras: Extras = {}) {
    this.#end = end;
    this.#wire = transcript(dialect, scenario);
    this.#extras = { ...DEFAULT_EXTRAS, ...extras };
    this.done = new Promise((resolve) => this.#finish = resolve);
    end.onLine((line) => this.#take(JSON.parse(line)));
    this.#play();
  }

  /** Sends the server's messages up to the next one that the client must say. */
  #play(): void {
    for (; this.#at < this.#wire.length; this.#at++) {
      const { dir, m } = this.#wire[this.#at]!;
      if (dir === ">") return;
      this.#say(m);
    }
    this.#finish();
  }

  #take(message: Message): void {
    this.received.push(message);
    const expected = this.#wire[this.#at];
    if (expected === undefined || !fits(message, expected.m)) return this.#answerExtra(message);
    if (message.method !== undefined) this.#adopt(message, expected.m);
    this.#at++;
    this.#play();
  }

  /** Learns the names that the client chose for what the recording calls otherwise. */
  #adopt(actual: Message, expected: Message): void {
    if (actual.id !== undefined) this.#ids.set(expected.id, actual.id);
    const [was, is] = [expected.params?.clientInfo, actual.params?.clientInfo];
    if (was !== undefined && is !== undefined) {
      this.#texts.set(`"userAgent":"${was.name}/`, `"userAgent":"${is.name}/`);
      this.#texts.set(`(${was.name}; ${was.version})`, `(${is.name}; ${is.version})`);
    }
    // The server confirms the sandbox that it was asked for, as in the recordings of read-only threads.
    const { sandbox } = expected.params ?? {};
    if (
      sandbox !== undefined && sandbox !== "read-only" && actual.params?.sandbox === "read-only"
    ) {
      this.#readOnly.add(expected.id);
    }
    const cwd = actual.params?.cwd;
    if (expected.params?.cwd === RECORDED_CWD && typeof cwd === "string") {
      this.#texts.set(RECORDED_CWD, JSON.stringify(cwd).slice(1, -1));
    }
  }

  #say(m: Message): void {
    const isAnswer = m.method === undefined && m.id !== undefined;
    const result = isAnswer && this.#readOnly.has(m.id)
      ? { result: { ...m.result, sandbox: { type: "readOnly", networkAccess: false } } }
      : {};
    let line = JSON.stringify(isAnswer ? { ...m, ...result, id: this.#ids.get(m.id) ?? m.id } : m);
    for (const [was, is] of this.#texts) line = line.replaceAll(was, is);
    this.#end.send(line);
  }

  #answerExtra(message: Message): void {
    const extra = this.#extras[message.method];
    if (extra === undefined) {
      this.surprises.push(message.method ?? `answer to ${message.id}`);
    }
    if (message.id === undefined || message.method === undefined) return;
    this.#end.send(JSON.stringify(
      extra === undefined ? unknownMethod(message) : {
        id: message.id,
        result: extra(message.params),
      },
    ));
  }
}

function fits(actual: Message, expected: Message): boolean {
  return expected.method === undefined
    ? actual.method === undefined && actual.id === expected.id
    : actual.method === expected.method;
}

/** The real server's words for a method that it does not have. */
export function unknownMethod(message: Message): Message {
  return {
    error: {
      code: -32600,
      message:
        `Invalid request: unknown variant \`${message.method}\`, expected one of \`initialize\`, \`thread/start\``,
    },
    id: message.id,
  };
}
