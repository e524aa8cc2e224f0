import assert from "node:assert/strict";
import { parseCommandLine } from "../../../src/shell/command_line.ts";
import { test } from "../../_harness.ts";

const simple: [string, string[][]][] = [
  ["git status", [["git", "status"]]],
  ["/bin/bash -lc 'git status'", [["git", "status"]]],
  [`bash -c "git commit -m 'a b'"`, [["git", "commit", "-m", "a b"]]],
  ["sh -c 'a && b || c; d | e\nf'", [["a"], ["b"], ["c"], ["d"], ["e"], ["f"]]],
  ["/bin/bash -lc 'bash -lc \"ls -l\"'", [["ls", "-l"]]],
  ["env git status", [["git", "status"]]],
  ["echo 'a;b' \"c&&d\" e\\;f", [["echo", "a;b", "c&&d", "e;f"]]],
  ["echo a#b # not && this", [["echo", "a#b"]]],
  ["ls \\\n -l", [["ls", "-l"]]],
  ["[ -f x ] && cat x", [["[", "-f", "x", "]"], ["cat", "x"]]],
  ["echo ''", [["echo", ""]]],
  ["ls *.ts", [["ls", "*.ts"]]],
  [
    String
      .raw`'C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe' -NoProfile -Command 'Get-Item x'`,
    [["Get-Item", "x"]],
  ],
  ["cmd /c dir", [["dir"]]],
];

const notSimple: [string, string[]][] = [
  ["git status $(rm -rf /)", ["rm", "-rf", "/"]],
  ["echo `rm x`", ["rm", "x"]],
  ['echo "$(rm x)"', ["rm", "x"]],
  ['echo "a `rm x` b"', ["rm", "x"]],
  ["echo $(echo $(rm x))", ["rm", "x"]],
  ['echo "${x:-$(rm x)}"', ["rm", "x"]],
  ["diff <(rm x) y", ["rm", "x"]],
  ["(cd a; rm x)", ["rm", "x"]],
  ["{ rm x; }", ["rm", "x"]],
  ["if a; then rm x; fi", ["rm", "x"]],
  ["while a; do rm x; done", ["rm", "x"]],
  ["case x in a) rm x;; esac", ["rm", "x"]],
  ["f() { rm x; }", ["rm", "x"]],
  ["! rm x", ["rm", "x"]],
  ["A=1 rm x", ["rm", "x"]],
  ["env A=1 rm x", ["rm", "x"]],
  ["rm x > log", ["rm", "x"]],
  ["rm x 2>&1", ["rm", "x"]],
  ["rm x &> log", ["rm", "x"]],
  ["rm x < in", ["rm", "x"]],
  ["rm x & ls", ["rm", "x"]],
  ["rm x |& ls", ["rm", "x"]],
  ["cat <<EOF\n$(rm x)\nEOF", ["rm", "x"]],
  ["/tmp/bash -c 'rm x'", ["rm", "x"]],
  ["bash --rcfile evil -c 'rm x'", ["bash", "--rcfile", "evil", "-c", "rm x"]],
  ["bash -ic 'rm x'", ["rm", "x"]],
  ["echo $HOME", ["echo", "$HOME"]],
  ["fish -c 'rm x'", ["rm", "x"]],
];

const broken = [
  "echo 'a",
  'echo "a',
  "echo `a",
  "echo $(a",
  "echo ${a",
  "(a",
  "a)",
  "cat <<EOF\nno end",
  "cat <<",
  "a \\",
  "a >",
  "a\0b",
  "(".repeat(200),
  "a ".repeat(40_000),
  `echo \${x:-'"'}; rm -rf / #"`,
  "powershell -EncodedCommand abcd",
  "powershell -Command 'rm x; $y'",
  "cmd /c 'dir & del x'",
];

test("parseCommandLine() finds every simple command", () => {
  for (const [command, commands] of simple) {
    const line = parseCommandLine(command);
    assert.deepEqual(line.commands, commands, command);
    assert.equal(line.problem, null, command);
    assert.equal(line.simple, true, command);
  }
});

test("parseCommandLine() calls anything with side ways not simple, and still finds the commands in it", () => {
  for (const [command, wanted] of notSimple) {
    const line = parseCommandLine(command);
    assert.equal(line.simple, false, command);
    assert.notEqual(line.problem, null, command);
    assert.ok(
      line.commands.some((words) => JSON.stringify(words) === JSON.stringify(wanted)),
      `${command} → ${JSON.stringify(line.commands)}`,
    );
  }
});

test("parseCommandLine() says that it can't read what has no end, NULs or too much", () => {
  for (const command of broken) {
    const line = parseCommandLine(command);
    assert.equal(line.simple, false, command.slice(0, 40));
    assert.notEqual(line.problem, null, command.slice(0, 40));
  }
});

test("parseCommandLine() tells the words as sent and the script inside the wrapper", () => {
  const line = parseCommandLine("/bin/bash -lc 'git status; ls'");
  assert.deepEqual(line.argv, ["/bin/bash", "-lc", "git status; ls"]);
  assert.equal(line.script, "git status; ls");
  assert.equal(parseCommandLine("git status").script, null);
  assert.equal(parseCommandLine("a | b").argv, null);
});

test("parseCommandLine() takes the words of a process as they are", () => {
  assert.deepEqual(parseCommandLine(["git", "a;b"]).commands, [["git", "a;b"]]);
  assert.deepEqual(parseCommandLine(["bash", "-lc", "a; b"]).commands, [["a"], ["b"]]);
  assert.equal(parseCommandLine(["bash", "-lc", "a; b"]).script, "a; b");
  assert.equal(parseCommandLine([]).simple, false);
  assert.equal(parseCommandLine("").simple, false);
});
