/** The first run that people have, and the list of examples that it offers. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { codexPath, ROOT } from "../_codex.ts";
import { test } from "../_harness.ts";
import { terminalSvg } from "../tools/_terminal_svg.ts";
import { bar } from "../tools/_progress.ts";
import { listExamples } from "../tools/_pick.ts";
import { play } from "./example_runner.ts";

const DEMO = ["deno", "run", "-A", "--no-check", "tests/tools/demo.ts"];

test("the demo shows a tool, a question and a diff, and no warning, in less than a minute", async () => {
  await codexPath();
  const { code, output } = await play(DEMO, ROOT, {});
  assert.equal(code, 0, output);
  const [first] = output.split("\n> ");
  assert.match(first!, /^The real codex[^]*No account/);
  for (
    const expected of [
      /^Your tool visitor was called, and answered Ada\.$/m,
      /^The agent asks to change a file:\n@@[^]*\n-Hello\.\n\+Hello, Ada!\n/m,
      /^Allow it\? \[Y\/n\] y /m,
      /^greeting\.txt: Hello, Ada!$/m,
    ]
  ) assert.match(output, expected);
  assert.doesNotMatch(output, /warn|metadata|not writable|error/i);
  // The README shows a recording of it.
  const svg = await readFile(join(ROOT, ".assets", "demo.svg"), "utf8");
  const shown = [...svg.matchAll(/<text[^>]*>(.*)<\/text>/g)]
    .map(([, line]) =>
      line!.replace(/<[^>]*>/g, "").replaceAll("&gt;", ">").replaceAll("&amp;", "&")
    );
  assert.ok(shown.length > 15, `${shown.length} lines`);
  const timeless = (text: string) => text.replace(/[\d.]+ s$/, "");
  const lines = new Set(output.split("\n").map(timeless));
  const gone = shown.filter((line) => !line.startsWith("$ ") && !lines.has(timeless(line)));
  assert.deepEqual(gone, [], "deno run -A tests/tools/pictures.ts demo records it again");
});

test("terminalSvg() draws lines and colours at their time, and breaks long lines", () => {
  const svg = terminalSvg([
    { atMs: 0, text: "a \x1b[1mb\x1b[0m<\n" },
    { atMs: 1500, text: "x".repeat(90) },
  ]);
  assert.match(svg, /class="p b" style="animation-delay:0\.00s">b<\/tspan>/);
  assert.match(svg, />&lt;<\/tspan>/);
  assert.deepEqual([...svg.matchAll(/delay:1\.50s">(x+)</g)].map(([, text]) => text!.length), [
    86,
    4,
  ]);
});

test("--pick lists the examples, and runs the one that is named", async () => {
  const listed = await play([...DEMO, "--pick"], ROOT, {});
  assert.equal(listed.code, 0, listed.output);
  const examples = listExamples();
  assert.ok(examples.length > 30, `${examples.length} examples`);
  for (const { name, about } of examples) {
    assert.ok(about.length > 20, `${name} says what it is about: ${about}`);
    assert.match(listed.output, new RegExp(`^ *\\d+ +${name} +\\S`, "m"));
  }
  const one = await play([...DEMO, "--pick", "recipes/judge"], ROOT, {});
  assert.equal(one.code, 0, one.output);
  assert.match(one.output, /^The judge takes the simplest that can work/m);
  const none = await play([...DEMO, "--pick", "nonsense"], ROOT, {});
  assert.equal(none.code, 1);
});

test("bar() shows how far an installation is, and never more than all of it", () => {
  assert.equal(bar(0, 400, 4), "···· 0 of about 400 MB");
  assert.equal(bar(200, 400, 4), "██·· 200 of about 400 MB");
  assert.equal(bar(500, 400, 4), "████ 500 of about 400 MB");
});
