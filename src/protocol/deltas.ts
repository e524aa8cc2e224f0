/**
 * The notifications that carry the next piece of an item's text.
 * @module
 */

/** Where the pieces go. */
export interface DeltaTarget {
  /** The type of the item. */
  readonly type: string;
  /** The item's field that they make up. */
  readonly field: string;
  /** Whether the field is a list of texts. */
  readonly list: boolean;
}

/** By method. Older and newer codex say the same, 0.104 to 0.169. */
export const DELTAS: Readonly<Record<string, DeltaTarget>> = {
  "item/agentMessage/delta": { type: "agentMessage", field: "text", list: false },
  "item/plan/delta": { type: "plan", field: "text", list: false },
  "item/commandExecution/outputDelta": {
    type: "commandExecution",
    field: "aggregatedOutput",
    list: false,
  },
  "item/reasoning/summaryTextDelta": { type: "reasoning", field: "summary", list: true },
  "item/reasoning/textDelta": { type: "reasoning", field: "content", list: true },
  "item/fileChange/outputDelta": { type: "fileChange", field: "deltaText", list: false },
};
