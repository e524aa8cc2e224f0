/** The parts of an answer for the AI SDK, where codex breaks a message off to say it anew. */
import assert from "node:assert/strict";
import { AnswerParts } from "../../../src/adapters/ai_sdk/answer_parts.ts";
import type { TurnPart } from "../../../src/adapters/turn_parts.ts";
import { test } from "../../_harness.ts";

const message = (id: string, text: string, more: object = {}): TurnPart[] =>
  [
    { type: "textStart", id, itemId: id, commentary: false, isFinal: true, ...more },
    { type: "textDelta", id, delta: text },
    { type: "textEnd", id, itemId: id, ...more },
  ] as TurnPart[];

test("what is said anew stands apart in a stream, and alone in an answer that is told at once", () => {
  const cut = { cut: true };
  const aside = { commentary: true, isFinal: false, cut: true };
  for (
    const [isWhole, how, answer, ends] of [
      [false, cut, "Hal\n\nHallo", ["text-end", "text-end"]],
      [true, cut, "Hallo", ["text-end"]],
      [false, aside, "Hallo", ["reasoning-end", "text-end"]],
      [true, aside, "Hallo", ["reasoning-end", "text-end"]],
    ] as const
  ) {
    const parts = new AnswerParts("t", "u", false, isWhole);
    const told = [...message("1", "Hal", how), ...message("2", "Hallo")]
      .flatMap((part) => [...parts.take(part)]);
    assert.equal(parts.answer, answer);
    assert.deepEqual(told.map(({ type }) => type).filter((type) => type.endsWith("-end")), ends);
  }
});

test("what was broken off is no part of a JSON answer, and the gap behind it comes once", () => {
  const cut = { isFinal: false, cut: true };
  const json = new AnswerParts("t", "u", true, false);
  const told = [...message("1", "{", cut), ...message("2", "{}", { isFinal: false })]
    .flatMap((part) => [...json.take(part)]);
  assert.deepEqual(
    [...told, ...json.end("{}")].map(({ type }) => type),
    ["text-start", "text-delta", "text-end"],
  );
  assert.equal(json.answer, "{}");
  const plain = new AnswerParts("t", "u", false, false);
  const all = [...message("1", "Hal", cut), ...message("2", "Hallo")];
  all.splice(-1, 0, { type: "textDelta", id: "2", delta: " du" });
  for (const part of all) [...plain.take(part)];
  assert.equal(plain.answer, "Hal\n\nHallo du");
});
