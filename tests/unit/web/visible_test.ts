import assert from "node:assert/strict";
import { visible } from "../../../examples/web_chat/view.js";
import { test } from "../../_harness.ts";

const CASES: [text: string, seen: string][] = [
  ["ls -la /srv", "ls -la /srv"],
  ["ls\n\tfoo  bar", "ls\n\tfoo  bar"],
  [`ls${" ".repeat(400)}; rm x`, "ls⟨400 spaces⟩; rm x"],
  [`ls${"\n".repeat(50)}rm x`, "ls\n⟨50 line breaks⟩\nrm x"],
  [`ls${"\t".repeat(30)}rm x`, "ls⟨30 tabs⟩rm x"],
  [`ls${" \t".repeat(30)}rm x`, "ls⟨60 blanks⟩rm x"],
  [`ls\n${"  \n\t\n".repeat(9)}rm x`, "ls\n⟨19 line breaks⟩\nrm x"],
  // Backspaces, carriage returns and escapes overwrite what a terminal shows.
  ["echo hi\rrm x", "echo hi⟨U+D⟩rm x"],
  ["a\b\x1b[2K\x00", "a⟨U+8⟩⟨U+1B⟩[2K⟨U+0⟩"],
  // Right-to-left overrides and isolates.
  ["cat \u202Etxt.sh\u2069", "cat ⟨U+202E⟩txt.sh⟨U+2069⟩"],
  ["r\u200Bm\u2060\uFEFF", "r⟨U+200B⟩m⟨U+2060⟩⟨U+FEFF⟩"],
  ["a\u00A0b\u3000c\u2028d", "a⟨U+A0⟩b⟨U+3000⟩c⟨U+2028⟩d"],
  // Tags and fillers that no font draws.
  ["x\u{E0041}\u3164\u00AD", "x⟨U+E0041⟩⟨U+3164⟩⟨U+AD⟩"],
];

test("visible() shows what a person would not see", () => {
  for (const [text, seen] of CASES) assert.equal(visible(text), seen, JSON.stringify(text));
});

test("visible() leaves no long run of blanks, mixed ones neither", () => {
  for (const blank of [" ", "\t", "\n", " \t", "\n ", "\n\t", "  \n"]) {
    const shown = visible(`ls${blank.repeat(500)}; rm x`);
    assert.ok(shown.length < 120, `${JSON.stringify(blank)}: ${shown.length}`);
    assert.ok(shown.startsWith("ls") && shown.endsWith("; rm x"));
  }
});
