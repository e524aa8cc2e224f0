/** Reads a server-sent event stream as a browser does. */

/** One block of a stream. */
export interface SseBlock {
  id: string;
  /** `message` unless the block names another. */
  name: string;
  // deno-lint-ignore no-explicit-any
  data: any;
}

/** A client of one stream. Remembers the last id, as `EventSource` does. */
export class SseClient {
  /** What to come back with. */
  lastId: string;
  /** Comments seen, such as heartbeats. */
  comments = 0;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #decoder = new TextDecoder();
  #buffer = "";

  constructor(response: Response, lastId = "") {
    this.lastId = lastId;
    this.#reader = response.body!.getReader() as ReadableStreamDefaultReader<Uint8Array>;
  }

  /** The next event; `null` at the end of the stream. */
  async next(): Promise<SseBlock | null> {
    for (;;) {
      const end = this.#buffer.indexOf("\n\n");
      if (end >= 0) {
        const block = this.#parse(this.#buffer.slice(0, end));
        this.#buffer = this.#buffer.slice(end + 2);
        if (block !== null) return block;
        continue;
      }
      const { done, value } = await this.#reader.read();
      if (done) return null;
      this.#buffer += this.#decoder.decode(value, { stream: true });
    }
  }

  /** Events up to the first that fits, itself included. */
  async until(fits: (block: SseBlock) => boolean): Promise<SseBlock[]> {
    const seen: SseBlock[] = [];
    for (;;) {
      const block = await this.next();
      if (block === null) throw new Error(`the stream ended after ${seen.length} events`);
      seen.push(block);
      if (fits(block)) return seen;
    }
  }

  /** Events up to the end of a turn. */
  untilTurnEnds(): Promise<SseBlock[]> {
    return this.until(({ data }) => data.type === "turnCompleted");
  }

  /** Goes away without a word. */
  async drop(): Promise<void> {
    await this.#reader.cancel().catch(() => {});
  }

  #parse(text: string): SseBlock | null {
    const block: SseBlock = { id: this.lastId, name: "message", data: "" };
    let has = false;
    for (const line of text.split("\n")) {
      const at = line.indexOf(":");
      const field = line.slice(0, at);
      const value = line.slice(at + 1).replace(/^ /, "");
      if (field === "") this.comments++;
      if (field === "id") block.id = this.lastId = value;
      if (field === "event") block.name = value;
      if (field === "data") {
        block.data = JSON.parse(value);
        has = true;
      }
    }
    return has ? block : null;
  }
}

/** The text that the message deltas of a turn make. */
export function textOf(blocks: readonly SseBlock[]): string {
  return blocks.filter(({ data }) => data.type === "assistantMessageDelta")
    .map(({ data }) => data.delta).join("");
}
