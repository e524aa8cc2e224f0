import assert from "node:assert/strict";
import { describe, visible } from "../../../examples/web_chat/view.js";
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
  ["a\u2800b", "a⟨U+2800⟩b"],
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

/** As much of a document as the questions need. */
class Element {
  text = "";
  setAttribute(): void {}
  append(...children: (Element | string)[]): void {
    for (const child of children) this.text += typeof child === "string" ? child : child.text;
  }
}

const TURN = "\u202E";
const command = {
  type: "command",
  command: "bash -lc 'rm it'",
  script: `rm it${TURN}`,
  cwd: `/work${TURN}`,
  reason: `because${TURN}`,
  action: "command",
  network: null,
  additionalPermissions: null,
};
const elicitation = { type: "elicitation", server: `files${TURN}`, message: `Your name?${TURN}` };
const QUESTIONS: [request: Record<string, unknown>, told: string[]][] = [
  [command, ["Run this command?", "rm it", "in /work", "because"]],
  [{ ...command, action: "writeStdin" }, ["Type this into a running command?", "rm it"]],
  [{ ...command, network: { host: `evil.example${TURN}`, protocol: "https" } }, [
    "Let it reach evil.example",
  ]],
  [{
    ...command,
    additionalPermissions: { network: null, fileSystem: { write: [`/etc${TURN}`] }, other: false },
  }, ["rm it", "/etc"]],
  [{
    type: "fileChange",
    reason: null,
    grantRoot: `/srv${TURN}`,
    changes: [
      {
        path: "/work/a.txt",
        kind: "update",
        movePath: `/work/.git/hooks/pre-commit${TURN}`,
        diff: `@@\n+rm it${TURN}\n`,
      },
      { path: "/work/b.txt", kind: "delete", diff: "gone\n" },
    ],
  }, [
    "update /work/a.txt → /work/.git/hooks/pre-commit",
    "+rm it",
    "delete /work/b.txt",
    "write anywhere in /srv",
  ]],
  [{ type: "fileChange", reason: null, grantRoot: null, changes: null }, ["does not tell which"]],
  [
    { type: "permissions", permissions: { network: { enabled: true } }, reason: `need${TURN}` },
    ["enabled", "need"],
  ],
  [{ ...elicitation, url: null, mcpTool: null, toolArguments: null }, ["files", "Your name?"]],
  [{
    ...elicitation,
    url: `https://evil.example/${TURN}`,
    mcpTool: `delete_all${TURN}`,
    toolArguments: { path: `/home${TURN}` },
  }, ["https://evil.example/", "delete_all", "/home"]],
];

test("describe() tells all that a consent would allow, and hides nothing in it", () => {
  const page = globalThis as unknown as { document?: unknown };
  const { document } = page;
  page.document = { createElement: () => new Element() };
  try {
    for (const [request, told] of QUESTIONS) {
      const shown = describe(request).map((each: Element | string) =>
        typeof each === "string" ? each : each.text
      ).join("\n");
      for (const words of told) assert.ok(shown.includes(words), `${words} in ${shown}`);
      assert.ok(!shown.includes(TURN), shown);
    }
  } finally {
    if (document === undefined) delete page.document;
    else page.document = document;
  }
});
