import assert from "node:assert/strict";
import { page } from "../../../examples/web_chat/page.ts";
import { test } from "../../_harness.ts";

/** The files that a text imports at once; a browser loads nothing else by itself. */
function importsOf(text: string, from: string): string[] {
  return [...text.matchAll(/^\s*(?:import|export)\b[^;"']*?(?:from\s*)?["']([./][^"']+)["']/gm)]
    .map((match) => new URL(match[1]!, from).href);
}

test("the chat page serves every module that its script imports", async () => {
  const start = "http://localhost/app.js";
  const seen = new Set([start]);
  for (const url of seen) {
    const response = await page(new Request(url));
    assert.equal(response?.status, 200, `${url} is not served`);
    assert.match(response.headers.get("content-type")!, /^text\/javascript/);
    for (const next of importsOf(await response.text(), url)) seen.add(next);
  }
  assert.ok(seen.has("http://localhost/src/web/connect.ts"), [...seen].join("\n"));
  assert.ok(seen.size > 5, [...seen].join("\n"));
});

test("what the chat page does not have is nobody's error", async () => {
  for (const path of ["/src/web/none.ts", "/src/errors/none.ts", "/none.js"]) {
    assert.equal(await page(new Request(`http://localhost${path}`)), null, path);
  }
});
