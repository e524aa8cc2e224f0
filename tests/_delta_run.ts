/** Deltas, as a reader of lines hands them on. */
import { type DeltaHead, Deltas } from "../src/rpc/delta_reader.ts";

const METHOD = "item/agentMessage/delta";

interface Ids {
  threadId?: string;
  turnId?: string;
  itemId?: string;
}

/** Whose text a delta is. */
export function deltaHead(ids: Ids = {}): DeltaHead {
  const { threadId = "T", turnId = "U", itemId = "I" } = ids;
  const text = `{"method":"${METHOD}","params":{"threadId":"${threadId}","turnId":"${turnId}",` +
    `"itemId":"${itemId}","delta":"`;
  return { method: METHOD, threadId, turnId, itemId, text };
}

/** Deltas of one item with these texts, with lines as the server writes them. */
export function deltaRun(texts: readonly string[], ids: Ids = {}): Deltas {
  const head = deltaHead(ids);
  return deltaBatch(texts.map((text) => [head, text]));
}

/** Deltas of several items. */
export function deltaBatch(deltas: readonly (readonly [head: DeltaHead, text: string])[]): Deltas {
  const ends: number[] = [];
  let block = "";
  for (const [{ text }, each] of deltas) {
    const literal = JSON.stringify(each).slice(1, -1);
    const textEnd = block.length + text.length + literal.length;
    block += `${text}${literal}"}}\n`;
    ends.push(textEnd, block.length - 1);
  }
  return new Deltas(block, 0, deltas.map(([head]) => head), ends);
}

/** The text of each of them. */
export function textsOf(deltas: Deltas): string[] {
  return deltas.texts(0, deltas.length);
}

/** Those of one item that stand together, one after the other. */
export function runsOf(deltas: Deltas): Deltas[] {
  const runs: Deltas[] = [];
  for (let from = 0, to = 0; from < deltas.length; from = to) {
    to = deltas.runEnd(from);
    runs.push(deltas.part(from, to));
  }
  return runs;
}
