/** Deltas of one message, as a reader of lines hands them on. */
import type { DeltaHead } from "../src/rpc/delta_reader.ts";
import { DeltaRun } from "../src/rpc/delta_reader.ts";

const METHOD = "item/agentMessage/delta";

/** A run of these texts, with lines as the server writes them. */
export function deltaRun(
  texts: readonly string[],
  ids: { threadId?: string; turnId?: string; itemId?: string } = {},
): DeltaRun {
  const { threadId = "T", turnId = "U", itemId = "I" } = ids;
  const text = `{"method":"${METHOD}","params":{"threadId":"${threadId}","turnId":"${turnId}",` +
    `"itemId":"${itemId}","delta":"`;
  const head: DeltaHead = { method: METHOD, threadId, turnId, itemId, text };
  const ends: number[] = [];
  let block = "";
  for (const each of texts) {
    const literal = JSON.stringify(each).slice(1, -1);
    const textEnd = block.length + text.length + literal.length;
    block += `${text}${literal}"}}\n`;
    ends.push(textEnd, block.length - 1);
  }
  return new DeltaRun(head, block, 0, ends);
}
