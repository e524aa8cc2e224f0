import assert from "node:assert/strict";
import { ConnectionClosedError } from "../../../src/errors/mod.ts";
import { explainStderr } from "../../../src/errors/connection_errors.ts";
import { test } from "../../_harness.ts";

const LAUNCHER = `file:///usr/lib/node_modules/@openai/codex/bin/codex.js:103
    throw new Error(
          ^

Error: Missing optional dependency @openai/codex-linux-x64. Reinstall Codex: npm install -g @openai/codex@latest
    at findCodexExecutable (file:///usr/lib/node_modules/@openai/codex/bin/codex.js:103:11)
    at async asyncRunEntryPointWithESMLoader (node:internal/modules/run_main:117:5)

Node.js v20.20.2
`;

const TOLD: [string, string, string][] = [
  [
    "npm's launcher without its native package",
    LAUNCHER,
    "Error: Missing optional dependency @openai/codex-linux-x64. " +
    "Reinstall Codex: npm install -g @openai/codex@latest",
  ],
  [
    "a panic with its backtrace",
    "2026-01-01 INFO codex: starts\n\nthread 'main' panicked at src/main.rs:1:2:\n" +
    "called `Result::unwrap()` on an `Err` value\nnote: run with `RUST_BACKTRACE=1` environment variable\n" +
    "stack backtrace:\n   0: std::panicking::begin_panic\n   1: <unknown>\n",
    "thread 'main' panicked at src/main.rs:1:2: | called `Result::unwrap()` on an `Err` value",
  ],
  [
    "a chain of causes",
    "\x1b[31mError\x1b[0m: failed to read config\n\nCaused by:\n    0: in /etc/codex\n    1: permission denied\n",
    "Error: failed to read config | Caused by: | 0: in /etc/codex | 1: permission denied",
  ],
  [
    "the last of several errors",
    "Error: first\n    at f (x.js:1:1)\nTypeError: second\n    at g (x.js:2:1)\n",
    "TypeError: second",
  ],
  ["no error at all", "one\ntwo\nthree\nfour\n", "two | three | four"],
  ["CRLF and blank lines", "env: node: No such file\r\n\r\n", "env: node: No such file"],
  ["nothing but frames", "    at f (x.js:1:1)\n", ""],
  ["nothing", "", ""],
];

test("explainStderr() tells the line that explains", async (t) => {
  for (const [name, tail, expected] of TOLD) {
    await t.step(name, () => assert.equal(explainStderr(tail), expected));
  }
});

test("explainStderr() keeps a long explanation's beginning, and the end of mere last words", () => {
  const long = "x".repeat(2_000);
  assert.equal(explainStderr(`Error: begins ${long}`).length, 500);
  assert.match(explainStderr(`Error: begins ${long}`), /^Error: begins/);
  assert.match(explainStderr(`${long} ends`), /ends$/);
});

test("ConnectionClosedError says why the program ended", () => {
  const error = new ConnectionClosedError("codex ended.", {
    exit: { code: 1, signal: null },
    stderrTail: LAUNCHER,
  });
  assert.equal(
    error.message,
    "codex ended. (codex exited with code 1); stderr says: Error: Missing optional dependency " +
      "@openai/codex-linux-x64. Reinstall Codex: npm install -g @openai/codex@latest",
  );
});

test("a closed connection that is final for one turn is told with what that turn had produced", () => {
  const error = new ConnectionClosedError("It ended.", { exit: { code: null, signal: "SIGKILL" } });
  const partial = { assistantText: "half", items: [] } as unknown as Parameters<
    ConnectionClosedError["withPartial"]
  >[0];
  for (const each of [error.asFinal().withPartial(partial), error.withPartial(partial).asFinal()]) {
    assert.ok(each instanceof ConnectionClosedError);
    assert.deepEqual([each.retryable, each.partial], [false, partial]);
    assert.equal(each.message, error.message);
  }
  assert.deepEqual([error.retryable, error.partial], [true, undefined]);
});
