import assert from "node:assert/strict";
import { SessionClosedError } from "../../../src/errors/mod.ts";
import {
  checkExit,
  contextJson,
  invocation,
  preAnswer,
  type ProgramEnd,
} from "../../../src/plugin/shell_protocol.ts";
import { test } from "../../_harness.ts";

function end(code: number | null, stdout = "", stderr = ""): ProgramEnd {
  return { code, signal: code === null ? "SIGKILL" : null, stdout, stderr };
}

test("a hook program's exit status and output say what it wants", () => {
  const rows: [ProgramEnd, unknown][] = [
    [end(0), { type: "continue" }],
    [end(0, " \n"), { type: "continue" }],
    [end(0, "{}"), { type: "continue" }],
    [end(0, '{"type":"block","reason":"r"}'), { type: "block", reason: "r" }],
    [end(0, "[]"), []],
    [end(0, "ok"), /not JSON/],
    [end(2), { type: "block", reason: "its program exited with status 2" }],
    [end(2, '{"reason":"r"}'), { type: "block", reason: "r" }],
    [end(2, '{"message":"m"}', "log"), { type: "block", reason: "m" }],
    [end(2, "{}", "from stderr"), { type: "block", reason: "from stderr" }],
    [end(2, "plain words\n"), { type: "block", reason: "plain words" }],
    [end(2, "", "from stderr\n"), { type: "block", reason: "from stderr" }],
    [end(1, "", "Traceback: x"), /exited with status 1; stderr ends with: Traceback: x/],
    [end(127), /exited with status 127/],
    [end(null), /ended by SIGKILL/],
  ];
  for (const [given, expected] of rows) {
    if (expected instanceof RegExp) assert.throws(() => preAnswer(given), expected);
    else assert.deepEqual(preAnswer(given), expected);
  }
  assert.throws(() => checkExit(end(2)), /status 2/);
  checkExit(end(0, "anything"));
});

test("only the end of a long stderr is kept", () => {
  assert.throws(() => checkExit(end(1, "", "a".repeat(5000) + "the cause")), (error: Error) => {
    assert.ok(error.message.length < 600);
    assert.ok(error.message.endsWith("the cause"));
    return true;
  });
});

test("contextJson() is one line with ISO time and a plain error, without bytes", () => {
  const text = contextJson({
    phase: "postTurn",
    correlationId: "hk-1",
    at: new Date(0),
    metadata: { a: 1 },
    prompt: "two\nlines",
    attachments: ["a.md", { type: "image", data: new Uint8Array(9), mimeType: "image/png" }],
    status: "error",
    error: new SessionClosedError("gone"),
  });
  assert.equal(text.indexOf("\n"), text.length - 1);
  assert.deepEqual(JSON.parse(text), {
    phase: "postTurn",
    correlationId: "hk-1",
    at: "1970-01-01T00:00:00.000Z",
    metadata: { a: 1 },
    prompt: "two\nlines",
    attachments: ["a.md", { type: "image", mimeType: "image/png" }],
    status: "error",
    error: { name: "SessionClosedError", code: "sessionClosed", message: "gone" },
  });
});

test("a list of arguments meets no shell, a string meets the system's", () => {
  assert.deepEqual(invocation(["py", "a b", '"'], false), {
    command: "py",
    args: ["a b", '"'],
    verbatim: false,
  });
  assert.deepEqual(invocation(["py", "a b"], true), {
    command: "py",
    args: ["a b"],
    verbatim: false,
  });
  assert.deepEqual(invocation("a | b", false), {
    command: "sh",
    args: ["-c", "a | b"],
    verbatim: false,
  });
  // Never by a bare name, which Node and Bun look up in the working directory first.
  const { command, ...rest } = invocation('a "b c" %FOO%', true);
  assert.match(command, /^[A-Z]:\\.*\\System32\\cmd\.exe$/i);
  assert.deepEqual(rest, { args: ["/d", "/s", "/c", '"a "b c" %FOO%"'], verbatim: true });
});
