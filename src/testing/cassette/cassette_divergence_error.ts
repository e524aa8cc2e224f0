/**
 * Where a replay left its recording.
 * @module
 */
import { CodexError } from "../../errors/mod.ts";

/**
 * The client did something else than the recorded one. Holds names of methods, never what was in a message.
 *
 * ```ts ignore
 * await client.models().catch(() => {});
 * if (replay.divergence !== null) console.log(replay.divergence.position, replay.divergence.message);
 * ```
 */
export class CassetteDivergenceError extends CodexError {
  /** The line of the cassette that was expected next, from 1; the line after the last one when there is none. */
  readonly position: number;
  /** The method, or the answer, that the recording holds there; `null` when it holds no more. */
  readonly expected: string | null;
  /** The method, or the answer, that the client sent; `null` when it ended instead. */
  readonly received: string | null;

  /** Creates the error. */
  constructor(position: number, expected: string | null, received: string | null) {
    super(
      "cassetteDivergence",
      `The replay left the cassette at line ${position}: expected ${expected ?? "nothing more"}, ` +
        `received ${
          received ?? "the end of the connection"
        }. Record the cassette again if the program has changed` +
        (expected === null ? ", or answer the call with the option `answers`." : "."),
      { data: { position, expected, received } },
    );
    this.position = position;
    this.expected = expected;
    this.received = received;
  }
}
