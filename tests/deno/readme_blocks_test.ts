/**
 * The README's programs, copied by hand: each block goes as `main.ts` into a folder that has only what the installation
 * section puts there, and does what the text says. Only names of places that differ from machine to machine are replaced.
 */
import assert from "node:assert/strict";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { testing } from "../../mod.ts";
import { bunPath, isPlaceFor, nodePath, ROOT } from "../_codex.ts";
import { test, type TestContext } from "../_harness.ts";
import { registry } from "../package/_jsr.ts";
import { type Machine, machine } from "../package/_machine.ts";
import { pack, PACKAGE, unpackPackage } from "../package/_package.ts";
import { run, succeed } from "../package/_run.ts";

const { script } = testing;
const LIMIT_MS = 180_000;

/** What each block of a text prints, by the heading above it, numbered from the second block below one heading. */
type Table = Record<
  string,
  { prints: RegExp[]; replace?: [string, string][]; denoOnly?: boolean }
>;

/** The README's. */
const BLOCKS: Table = {
  "Quick start": { prints: [/^- one\n- two\n- three 13$/m] },
  "Sessions": {
    prints: [/^The design\.\nThe design in 3 lines\.\n\{\s*type: "readOnly",?\s*\} 26$/m],
  },
  "Streaming": { prints: [/ls.* 0$/m, /^There are no modules\. null \{$/m] },
  "Structured output": { prints: [/^\[ "none" \]$/m] },
  "Tools and MCP servers": { prints: [/^\{"id":"T-1","state":"open"\}$/m] },
  "History": {
    prints: [/^The design goes on\.$/m],
    replace: [["/mnt/shared/threads", "threads"]],
  },
  "Automation": {
    prints: [/^0 One item less\.\n1 One item less\.\n/, /^15 One item less\.$/m],
    replace: [["30 * 60_000", "20"]],
  },
  "Approvals": { prints: [/^untrusted (?:sandboxed|mayLeave)$/m] },
  "Hooks": { prints: [/^$/] },
  "Permissions": { prints: [/type: "workspaceWrite"/, /^\} \[.*\] (deno|none)$/m] },
  "Remote and edge": {
    prints: [/^\d+\.\d+\.\d+$/m],
    replace: [["127.0.0.1:4500", "HOST"], ["…", "TOKEN"]],
  },
  // It listens with Deno.serve; the other runtimes' ways to mount it have tests of their own.
  "Web": { prints: [/:\d+/], replace: [["8080", "0"]], denoOnly: true },
  "Testing your own code": { prints: [/^There is nothing here\. 2$/m] },
};

/** The guide's. */
const GUIDE_BLOCKS: Table = {
  "A plan first": { prints: [/^1\. Move the calls\.\n+The calls are moved\.$/m] },
  "Repeated runs": { prints: [/^The API has 3 functions\.$/m] },
  "Client and session": {
    prints: [/^The design\.\nThe design in 3 lines\.\n\{\s*type: "readOnly",?\s*\} 26$/m],
  },
  "History": {
    prints: [/^The design goes on\.$/m],
    replace: [["/mnt/shared/threads", "threads"]],
  },
  "Rewind": { prints: [/^$/] },
  "Streaming": { prints: [/ls.* 0$/m, /^There are no modules\. null \{$/m] },
  "Structured output": { prints: [/^\{\s*risks: \[ "none" \],?\s*\}$/m] },
  "Tools in your process": { prints: [/^\{"id":"T-1","state":"open"\}$/m] },
  "Automation": {
    prints: [/^0 One item less\.\n1 One item less\.\n/, /^15 One item less\.$/m],
    replace: [["30 * 60_000", "20"]],
  },
  "Approvals": { prints: [/^untrusted$/m] },
  "Hooks": { prints: [/^$/] },
  "Permissions": { prints: [/type: "workspaceWrite"/, /^\} \[.*\] (deno|none)$/m] },
  "App server and runtime": {
    prints: [/^\[[^\]]*\]\n1 local connection/m, /^\d+ outbound request initialize$/m],
  },
  "Remote and edge": {
    prints: [/^\d+\.\d+\.\d+$/m],
    replace: [["127.0.0.1:4500", "HOST"], ["…", "TOKEN"]],
  },
  "Testing your own code": { prints: [/^There is nothing here\. 2$/m] },
  "Testing your own code 2": { prints: [/^Hello from the cassette\.$/m] },
  // It listens with Deno.serve; the other runtimes' ways to mount it have tests of their own.
  "Web": { prints: [/:\d+/], replace: [["8080", "0"]], denoOnly: true },
  "Documents": { prints: [/^sha256:[0-9a-f]{64} → sha256:[0-9a-f]{64}$/m] },
  "When something is wrong": { prints: [/\bversion: "\d+\.\d+\.\d+"/, /\} \[\]$/m] },
};

/** What the model says to the prompts of both. */
function model(request: testing.ModelRequest): testing.ModelTurn {
  const called = request.toolOutputs.at(-1)?.text;
  switch (request.text.split("\n")[0]) {
    case "Summarize this repo in 3 bullets":
      return "- one\n- two\n- three";
    case "Summarize the current design":
      return "The design.";
    case "Reduce that to 3 lines":
      return "The design in 3 lines.";
    case "Explain the module boundaries":
      return called === undefined ? [script.exec("ls")] : "There are no modules.";
    case "Move to the new API":
      return "<proposed_plan>\n1. Move the calls.\n</proposed_plan>";
    case "Do it.":
      return "The calls are moved.";
    case "Go on":
      return "The design goes on.";
    case "Rename the module":
      return "Renamed.";
    case "List the risks":
      return '{"risks":["none"]}';
    case "What is the state of ticket T-1?":
      return called ?? [script.toolCall("lookup_ticket", { id: "T-1" })];
    case "Keep reducing the backlog one item at a time":
      return "One item less.";
  }
  if (request.text.startsWith("Say hello")) return "Hello from the cassette.";
  if (request.text.includes("A backup guide, ten lines")) {
    return JSON.stringify({ format: "markdown", title: "Backups", text: "# Backups\nDaily.\n" });
  }
  if (request.text.includes("A friendlier title")) {
    const expectedRevision = /sha256:[0-9a-f]{64}/.exec(request.text)?.[0] ?? "";
    const edits = [{ startLine: 1, endLine: 2, replacement: "# Sleep well\n" }];
    return JSON.stringify({ format: "markdown", expectedRevision, edits, notes: null });
  }
  if (request.text.startsWith("Summarize only the public API")) return "The API has 3 functions.";
  return `no answer is planned for: ${request.text}`;
}

interface Block {
  name: string;
  text: string;
}

/** Programs to run. */
interface Text {
  blocks: Block[];
  table: Table;
  /** Deno's, where a block names none. */
  flags: string[];
  /** Which ones run elsewhere. */
  skip?: (block: Block) => boolean;
}

/** The programs of a Markdown text, in order. */
function programs(markdown: string): Block[] {
  const blocks: Block[] = [];
  let heading = "";
  for (
    const [, title, info, text] of markdown.matchAll(/^#+ ([^\n]+)$|^```(\S*)[^\n]*\n(.*?)^```$/gms)
  ) {
    if (title !== undefined) heading = title;
    else if (info === "ts") {
      const before = blocks.filter(({ name }) => name.replace(/ \d+$/, "") === heading).length;
      blocks.push({ name: before === 0 ? heading : `${heading} ${before + 1}`, text: text! });
    }
  }
  return blocks;
}

const blocks = programs(await readFile(join(ROOT, "README.md"), "utf8"));
const guideBlocks = programs(await readFile(join(ROOT, ".github", "guide.md"), "utf8"));

/** Runs every block in the machine's workspace: on Deno with the flags that the block names, else without any. */
async function runAll(
  t: TestContext,
  user: Machine,
  env: Record<string, string>,
  runtime: [program: string, ...args: string[]],
  text: Text = README,
): Promise<void> {
  const folder = user.workspace;
  const [program, ...first] = runtime;
  const isDeno = program === process.execPath;
  const server = await user.listen();
  await mkdir(join(folder, "docs"), { recursive: true });
  await writeFile(join(folder, "docs", "API.md"), "# API\n");
  for (const block of text.blocks) {
    const { prints, replace = [], denoOnly = false } = text.table[block.name]!;
    if (denoOnly && !isDeno || text.skip?.(block)) continue;
    await t.step(block.name, async () => {
      const here = (text: string) => text.replaceAll("/srv/app", folder);
      let code = block.text;
      for (const [from, to] of replace) {
        assert.ok(code.includes(from), `the block no longer has ${from}`);
        code = code.replaceAll(
          from,
          to === "HOST" ? new URL(server.url).host : to === "TOKEN" ? server.token : to,
        );
      }
      // "On Bun and Node the import is …", says the text.
      if (!isDeno) code = code.replace('"jsr:@codex/runtime"', '"@codex/runtime"');
      await writeFile(join(folder, "main.ts"), here(code));
      const flags = isDeno ? denoFlags(code) ?? text.flags : [];
      const args = [...first, ...flags.map(here), "main.ts"];
      const ended = await run(program, args, { cwd: folder, env });
      assert.equal(ended.code, 0, ended.output);
      // Runtimes print objects with different quotes.
      for (const expected of prints) assert.match(ended.output.replaceAll("'", '"'), expected);
    });
  }
}

/** "Programs below that name no flags need these", says the quick start; `.` is the directory that they name. */
const FLAGS = ["--allow-run=codex", "--allow-read=/srv/app"];

const README: Text = { blocks, table: BLOCKS, flags: FLAGS };
const ON_BUN: Text = { ...README, skip: ({ name }) => !isPlaceFor(name, 0) };
const ON_NODE: Text = { ...README, skip: ({ name }) => !isPlaceFor(name, 1) };
const GUIDE: Text = {
  blocks: guideBlocks,
  table: GUIDE_BLOCKS,
  flags: [],
  skip: ({ text }) => blocks.some((block) => block.text === text),
};

/** The flags that a block says it is run with. */
function denoFlags(text: string): string[] | undefined {
  return /^\/\/ .*deno run (.*) main\.ts$/m.exec(text)?.[1]?.split(" ");
}

test("the tables of programs are complete", () => {
  assert.deepEqual(blocks.map(({ name }) => name), Object.keys(BLOCKS));
  assert.deepEqual(guideBlocks.map(({ name }) => name), Object.keys(GUIDE_BLOCKS));
});

test("guide: each program runs", { timeoutMs: LIMIT_MS }, async (t) => {
  const bun = await bunPath();
  await using user = await machine(model);
  const { env, workspace } = user;
  await succeed(bun, ["add", await pack()], { cwd: workspace, env });
  await runAll(t, user, env, [bun, "run"], GUIDE);
});

test("README: each program runs on a machine with only Deno", {
  timeoutMs: LIMIT_MS,
}, async (t) => {
  await using jsr = await registry();
  await using user = await machine(model);
  const env = { ...user.env, JSR_URL: jsr.url, DENO_DIR: await user.directory("deno") };
  await t.step("the quick start needs nothing but its own line", async () => {
    const quick = blocks.find(({ name }) => name === "Quick start")!;
    assert.match(quick.text, /"jsr:@codex\/runtime"/);
    const cwd = await user.directory("empty");
    await writeFile(join(cwd, "main.ts"), quick.text);
    const args = ["run", ...denoFlags(quick.text)!, "main.ts"];
    const { output } = await succeed(process.execPath, args, { cwd, env });
    assert.match(output, BLOCKS["Quick start"]!.prints[0]!);
  });
  await succeed(process.execPath, ["add", `jsr:${PACKAGE.name}`], { cwd: user.workspace, env });
  await runAll(t, user, env, [process.execPath, "run"]);
});

test("README: each program runs on a machine with only Bun", {
  timeoutMs: LIMIT_MS,
}, async (t) => {
  const bun = await bunPath();
  await using user = await machine(model);
  const { env, workspace } = user;
  await succeed(bun, ["add", await pack()], { cwd: workspace, env });
  await runAll(t, user, env, [bun, "run"], ON_BUN);
});

test("README: each program runs on a machine with only Node 22", {
  timeoutMs: LIMIT_MS,
}, async (t) => {
  const node = await nodePath();
  await using user = await machine(model);
  const { env, workspace } = user;
  await unpackPackage(workspace);
  await runAll(t, user, env, [node], ON_NODE);
});
