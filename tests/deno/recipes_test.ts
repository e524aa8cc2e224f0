/**
 * Each recipe, run as its header says: by each of its commands, with exactly those flags, in a directory like a user's, with
 * `codex` on PATH and a model that is played.
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { install, isPlaceFor, ROOT } from "../_codex.ts";
import { test } from "../_harness.ts";
import { machine } from "../package/_machine.ts";
import { furnish, shellWords } from "../tools/_pick.ts";
import { RECIPES } from "../tools/_recipes.ts";
import { copyExample } from "./_npm_project.ts";
import { commands, play, type Step } from "./example_runner.ts";

interface Expected {
  prints: RegExp[];
  /** Exit code. Default 0. */
  code?: number;
  steps?: Step[];
  /** Files as they must be afterwards; `null`: not there. */
  files?: Record<string, string | null>;
  /** What it inherits besides. */
  env?: Record<string, string>;
  /** It is run in the checkout, for it must be able to read itself. */
  inCheckout?: boolean;
  /** What stands in the header and differs from machine to machine. */
  replace?: () => Promise<Replaced>;
}

interface Replaced extends AsyncDisposable {
  from: string;
  to: string;
  /** What came there. */
  received(): string[];
}

const visit: Step[] = [[
  /Listening on (http:\/\/127\.0\.0\.1:\d+)/,
  async (recipe, [, origin]) => {
    const headers = { authorization: "Bearer of-ann", "content-type": "application/json" };
    const post = (path: string, body: unknown) =>
      fetch(`${origin}/codex${path}`, { method: "POST", headers, body: JSON.stringify(body) });
    const stranger = await fetch(`${origin}/codex/sessions`);
    assert.deepEqual([stranger.status, (await stranger.json()).code], [401, "unauthorized"]);
    const created = await post("/sessions", {});
    const { sessionId } = await created.json();
    assert.equal(created.status, 201);
    const turn = await post(`/sessions/${sessionId}/turns`, { text: "hi" });
    assert.equal(turn.status, 202, await turn.text());
    const events = await fetch(`${origin}/codex/sessions/${sessionId}/events?after=0`, { headers });
    let text = "";
    for await (const piece of events.body!.pipeThrough(new TextDecoderStream())) {
      text += piece;
      if (text.includes('"turnCompleted"')) break;
    }
    assert.match(text, /Hello from the application's agent\./);
    recipe.signal("SIGTERM");
  },
]];
const served: Expected = {
  prints: [],
  steps: visit,
  env: { ANN_KEY: "of-ann", BEN_KEY: "of-ben" },
};

/** What each recipe does. */
const EXPECTED: Record<string, Expected> = {
  chat: {
    steps: [
      [/\n> /, (chat) => chat.type("Make the greeting friendlier")],
      [/\$ touch touched\.txt\nAllow\? /, (chat) => chat.type("n")],
      [/-Hello\.\n\+Hello, you\.\n+Allow\? /, (chat) => chat.type("y")],
      [/friendlier now\.[^]*\d+ tokens\n\n> /, (chat) => chat.type("Now wait")],
      [/I wait and/, (chat) => chat.signal("SIGINT")],
      [/\n> /, (chat) => chat.end()],
    ],
    prints: [/\$ touch touched\.txt: declined/, /interrupted/i, /^To go on: chat\.ts [\w-]{36}$/m],
    files: { "hello.txt": "Hello, you.\n", "touched.txt": null },
  },
  pr_review: {
    code: 1,
    prints: [/^main\.ts:1: error: 2 is not 1\n1 findings, \d+ tokens$/m],
  },
  batch: {
    code: 1,
    prints: [
      /src\/a\.ts: A constant\.$/m,
      /█{30} 5\/5/,
      /^src\/e\.ts: The turn failed/m,
      /^4 answers, 1 failed, 1 more tries, 4000 tokens in, 80 out, \$0\.0058$/m,
    ],
  },
  refactor: {
    prints: [
      /^fileChange\n {2}accept \(the code\)\nsh test\.sh\n {2}accept \(the tests\)\n/m,
      /^curl -s \S+\n {2}decline \(no network\)\nfileChange\n {2}decline \(no secrets\)\n/m,
      /^fileChange\n {2}decline \(\w+\)\nIt is called read now\.$/m,
      /^\+export const read = 1;$/m,
    ],
    files: { "src/a.ts": "export const read = 1;\n", "src/.env": null, "README.md": null },
  },
  judge: {
    prints: [
      /^--- the safest to operate\nA file is the safest to operate\.$/m,
      /^The judge takes the simplest that can work: It can be read\.$/m,
    ],
  },
  nightly: {
    replace: webhook,
    steps: [[/example\.invalid is gone/, async (nightly) => {
      await alerted.promise;
      nightly.signal("SIGTERM");
    }]],
    prints: [/^- a\.md: https:\/\/example\.invalid is gone$/m],
  },
  hono: served,
  bun_serve: served,
  worker: {
    inCheckout: true,
    prints: [/^Summarize this repo: I was asked: Summarize this repo$/m],
  },
};

let alerted = Promise.withResolvers<void>();

/** Something that takes alerts. */
async function webhook(): Promise<Replaced> {
  const received: string[] = [];
  alerted = Promise.withResolvers();
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, async (request) => {
    received.push(await request.text());
    alerted.resolve();
    return new Response(null, { status: 204 });
  });
  const { port } = server.addr;
  return await Promise.resolve({
    from: "alerts.example.com",
    to: `127.0.0.1:${port}`,
    received: () => received,
    [Symbol.asyncDispose]: () => server.shutdown(),
  });
}

const FOLDER = join(ROOT, "examples", "recipes");
const names = readdirSync(FOLDER).filter((name) => name.endsWith(".ts"))
  .map((name) => name.replace(/\.ts$/, ""));

test("each recipe has a test, and what the demo needs to run it", () => {
  assert.deepEqual(Object.keys(EXPECTED).sort(), names.sort());
  assert.deepEqual(Object.keys(RECIPES).sort(), names.sort());
});

for (const [name, expected] of Object.entries(EXPECTED)) {
  for (const command of commands(`examples/recipes/${name}.ts`)) {
    test(
      `examples/recipes/${name}.ts does what its header says: ${command.split(" ")[0]}`,
      () => tryOut(name, command, expected),
    );
  }
}

async function tryOut(name: string, command: string, expected: Expected): Promise<void> {
  const { answer } = RECIPES[name]!;
  await using user = await machine(answer);
  const cwd = expected.inCheckout ? ROOT : user.workspace;
  if (!expected.inCheckout) await furnish(name, cwd);
  if (expected === served) await mkdir(join(cwd, "ann"));
  await using replaced = await expected.replace?.() ?? null;
  const line = replaced === null ? command : command.replaceAll(replaced.from, replaced.to)
    .replace("https://", "http://");
  const args = shellWords(cwd, line);
  if (name === "nightly") args.push("now");
  if (served === expected) args[args.length - 1] = "0";
  const { code, output } = await play(args, cwd, { ...user.env, ...expected.env }, expected.steps);
  assert.equal(code, expected.code ?? 0, output);
  for (const pattern of expected.prints) assert.match(output, pattern);
  for (const [path, text] of Object.entries(expected.files ?? {})) {
    assert.equal(await readFile(join(cwd, path), "utf8").catch(() => null), text, path);
  }
}

/** Examples whose header has flags for a real account, `--live`; they are tried with them on a model that says little. */
const SCOPED = readdirSync(join(ROOT, "examples")).filter((name) => name.endsWith(".ts"))
  .map((name) => `examples/${name}`)
  .filter((path) => /deno run --allow-.* --live/.test(readFileSync(join(ROOT, path), "utf8")));

/** They go on for hours: they are ended when they have worked once. */
const UNTIL: Record<string, Step[]> = {
  "examples/automation.ts": [[/^0 OK/m, (running) => running.signal("SIGINT")]],
  "examples/goal.ts": [[/^OK/m, (running) => running.signal("SIGINT")]],
};

test("the flags in the headers of examples are enough for a real account", async () => {
  assert.ok(SCOPED.length >= 25, `${SCOPED.length} examples`);
  await using user = await machine(() => "OK");
  const cwd = user.workspace;
  const left = SCOPED.values();
  const trying = async () => {
    for (const path of left) {
      // The others are run on Deno without flags.
      if (!isPlaceFor(path, 1)) continue;
      const [command] = commands(path).filter((line) => line.includes("--live"));
      const line = command!.replaceAll("$HOME/.codex", user.env["CODEX_HOME"]!);
      const { output } = await play(shellWords(cwd, line), cwd, user.env, UNTIL[path]);
      // What such an answer leads to is another matter.
      assert.doesNotMatch(output, /NotCapable|PermissionDenied|Requires \w+ access/, path);
    }
  };
  await Promise.all([trying(), trying(), trying()]);
});

const TESTING = "examples/recipes/testing/release_notes";

test("tests of a program that uses codex run on each runner, from a cassette without codex", async (t) => {
  await using user = await machine();
  const cwd = user.workspace;
  for (const command of commands(`${TESTING}.test.ts`)) {
    await t.step(command.split(" ").slice(0, 2).join(" "), async () => {
      // Types are the business of `deno task check`, which has this repository's settings.
      const words = shellWords(cwd, command.replace("deno test", "deno test --no-check"));
      const { code, output } = await play(words, cwd, user.env);
      assert.equal(code, 0, output);
      assert.match(output, /2 pass|pass 2/);
    });
  }
  assert.match(await readFile(join(cwd, "release_notes.cassette.jsonl"), "utf8"), /- recorded/);

  await t.step("npx vitest", async () => {
    const vitest = await install("vitest", "vitest", "5.1.2");
    await copyExample(vitest, `${TESTING}.spec.ts`);
    await copyExample(vitest, `${TESTING}.ts`);
    const [command] = commands(`${TESTING}.spec.ts`);
    const words = command!.replace("npx vitest", "node node_modules/vitest/vitest.mjs").split(" ");
    const { code, output } = await play(words, vitest, user.env);
    assert.equal(code, 0, output);
    assert.match(output, /Tests +1 passed/);
  });
});
