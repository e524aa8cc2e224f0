import assert from "node:assert/strict";
import { applyPatch, parseAction, type Patchable } from "../../../src/plugin/action.ts";
import type { HookPatch, PreHookPhase } from "../../../src/plugin/types.ts";
import { test } from "../../_harness.ts";

test("parseAction() takes well-formed answers and nothing else", () => {
  const image = { type: "image", data: new Uint8Array([1]) };
  const sound = { type: "audio", data: new Blob(["x"]) };
  const rows: [unknown, unknown][] = [
    [{ type: "continue" }, { type: "continue" }],
    [{ type: "block", reason: "no" }, { type: "block", reason: "no" }],
    [{ type: "block" }, { type: "block", reason: "no reason given" }],
    [{ type: "mutate", patch: {} }, { type: "mutate", patch: {} }],
    [{ type: "mutate", patch: { prompt: "p", model: null } }, {
      type: "mutate",
      patch: { prompt: "p" },
    }],
    [{ type: "mutate", patch: { attachments: ["a", { type: "image", url: "data:x" }] } }, {
      type: "mutate",
      patch: { attachments: ["a", { type: "image", url: "data:x" }] },
    }],
    [{ type: "mutate", patch: { attachments: [image, sound] } }, {
      type: "mutate",
      patch: { attachments: [image, sound] },
    }],
    [{ type: "mutate", patch: { metadata: { a: 1 } } }, {
      type: "mutate",
      patch: { metadata: { a: 1 } },
    }],
    [undefined, /returned nothing/],
    [null, /returned null/],
    ["continue", /returned a string/],
    [[], /returned a list/],
    [{}, /whose type is nothing/],
    [{ type: "blok" }, /must be "continue", "mutate" or "block"/],
    [{ type: "mutate" }, /patch that is nothing/],
    [{ type: "mutate", patch: { command: "ls" } }, /unknown field "command"/],
    [{ type: "mutate", patch: { prompt: 5 } }, /prompt is a number/],
    [{ type: "mutate", patch: { prompt: "" } }, /prompt is empty/],
    [{ type: "mutate", patch: { attachments: "a" } }, /attachments is a string/],
    [{ type: "mutate", patch: { attachments: [{ type: "path" }] } }, /not a list of paths/],
    [{ type: "mutate", patch: { attachments: [{ type: "toString" }] } }, /not a list of paths/],
    [{ type: "mutate", patch: { attachments: [{ ...image, url: "x" }] } }, /not a list of paths/],
    [{ type: "mutate", patch: { attachments: [{ ...image, type: "path" }] } }, /not a list/],
    [{ type: "mutate", patch: { attachments: [{ type: "audio", data: "x" }] } }, /not a list/],
    [{ type: "mutate", patch: { metadata: [] } }, /metadata is a list/],
    [{ type: "mutate", patch: { metadata: { f: () => {} } } }, /not plain data/],
  ];
  for (const [value, expected] of rows) {
    const parsed = parseAction(value);
    if (expected instanceof RegExp) {
      assert.equal(parsed.ok, false, String(expected));
      if (!parsed.ok) assert.match(parsed.message, expected);
    } else assert.deepEqual(parsed, { ok: true, action: expected });
  }
});

test("parseAction() never shows the value that it refuses", () => {
  const parsed = parseAction({ type: "mutate", patch: { prompt: { secret: "hunter2" } } });
  assert.equal(JSON.stringify(parsed).includes("hunter2"), false);
});

test("applyPatch() takes the fields that the phase allows and names the others", () => {
  const before: Patchable = {
    prompt: "p",
    model: "m",
    attachments: ["a"],
    metadata: { a: 1, b: 1 },
  };
  const patch: HookPatch = {
    prompt: "P",
    model: "M",
    attachments: ["b"],
    metadata: { b: 2, c: 3 },
  };
  const all: Patchable = {
    prompt: "P",
    model: "M",
    attachments: ["a", "b"],
    metadata: { a: 1, b: 2, c: 3 },
  };
  const rows: [PreHookPhase, Patchable, string[]][] = [
    ["preRun", all, []],
    ["preTurn", all, []],
    ["preSessionStart", { ...before, model: "M", metadata: all.metadata }, [
      "prompt",
      "attachments",
    ]],
    ["preToolUse", before, ["prompt", "model", "attachments", "metadata"]],
  ];
  const kept = structuredClone(before);
  for (const [phase, next, ignored] of rows) {
    assert.deepEqual(applyPatch(phase, before, patch), { next, ignored }, phase);
    assert.deepEqual(before, kept, "the input stays as it was");
  }
});
