import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { safeName } from "../../../src/artifact/store/record.ts";
import { EMPTY_REVISION, revisionOf } from "../../../src/artifact/edits.ts";
import { test } from "../../_harness.ts";

test("revisionOf() is the SHA-256 of the text's UTF-8 bytes", async () => {
  for (const text of ["", "a", "ä€😀\r\n", "\uFEFFbom", "\0"]) {
    const hex = createHash("sha256").update(text, "utf8").digest("hex");
    assert.equal(await revisionOf(text), `sha256:${hex}`);
  }
  assert.equal(await revisionOf(""), EMPTY_REVISION);
});

test("safeName() is short and plain for any id, and no two ids share one", async () => {
  const ids = [
    "",
    "notes",
    "Notes",
    "notes ",
    "..",
    "../../etc/passwd",
    "a/b",
    "a\\b",
    "a_b",
    "CON",
    "nul",
    "x".repeat(40),
    "x".repeat(41),
    "x".repeat(100_000),
    "ä",
    "a\u0308",
    "😀",
    "\ud83d",
    "\ude00",
    "\ufffd",
    "\0",
    "line\nbreak",
    "artifact",
    "\\ud83d",
  ];
  const names = await Promise.all(ids.map(safeName));
  for (const name of names) assert.match(name, /^[A-Za-z0-9_-]{1,40}-[0-9a-f]{32}$/);
  assert.equal(new Set(names.map((n) => n.toLowerCase())).size, ids.length);
  assert.deepEqual(await Promise.all(ids.map(safeName)), names);
});
