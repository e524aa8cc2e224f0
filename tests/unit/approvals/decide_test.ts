import assert from "node:assert/strict";
import type { ApprovalRequest, ApprovalRule } from "../../../src/approvals/mod.ts";
import { checkApprovals } from "../../../src/approvals/rules/check_rules.ts";
import { decide } from "../../../src/approvals/rules/decide.ts";
import { InvalidArgumentError } from "../../../src/errors/mod.ts";
import type { JsonValue } from "../../../src/json.ts";
import { test } from "../../_harness.ts";
import {
  commandOf,
  ELICITATION,
  MCP_APPROVAL,
  patchOf,
  PERMISSIONS,
  requestOf,
} from "./_requests.ts";

type Effect = "allow" | "deny" | "ask";
type Row = [string, ApprovalRule[], ApprovalRequest, Effect];

const allow = (rule: Omit<ApprovalRule, "effect">): ApprovalRule => ({ effect: "allow", ...rule });
const deny = (rule: Omit<ApprovalRule, "effect">): ApprovalRule => ({ effect: "deny", ...rule });
const sh = (script: string, change = {}): ApprovalRequest =>
  commandOf(["/bin/bash", "-lc", script], change);

const ANY = allow({ host: "*" });
const gitStatus = [allow({ command: ["git", "status"] })];
const noRm = [deny({ command: ["rm"] }), allow({ kind: "command" })];

const more = { additionalPermissions: { network: null, fileSystem: { write: ["/x/y"] } } };
const suggestion = {
  ...MCP_APPROVAL,
  _meta: { codex_approval_kind: "tool_suggestion", tool_name: "GitHub", persist: "always" },
};

const ROWS: Row[] = [
  // allow: a prefix of each simple command, and nothing besides
  ["the command itself", gitStatus, sh("git status"), "allow"],
  ["with more words", gitStatus, sh("git status --short"), "allow"],
  ["without a wrapper", gitStatus, commandOf("git status"), "allow"],
  ["twice", gitStatus, sh("git status && git status -s"), "allow"],
  ["another command", gitStatus, sh("git push"), "ask"],
  ["a longer word", gitStatus, sh("git statusx"), "ask"],
  ["followed by another", gitStatus, sh("git status; rm -rf /"), "ask"],
  ["and", gitStatus, sh("git status && rm x"), "ask"],
  ["or", gitStatus, sh("git status || rm x"), "ask"],
  ["pipe", gitStatus, sh("git status | sh"), "ask"],
  ["newline", gitStatus, sh("git status\nrm x"), "ask"],
  ["background", gitStatus, sh("git status & rm x"), "ask"],
  ["substitution", gitStatus, sh("git status $(rm x)"), "ask"],
  ["backticks", gitStatus, sh("git status `rm x`"), "ask"],
  ["quoted substitution", gitStatus, sh('git status "$(rm x)"'), "ask"],
  ["redirection", gitStatus, sh("git status > /etc/passwd"), "ask"],
  ["variable", gitStatus, sh("GIT_PAGER=evil git status"), "ask"],
  ["env with a variable", gitStatus, sh("env GIT_PAGER=evil git status"), "ask"],
  ["env alone", gitStatus, sh("env git status"), "allow"],
  ["another program of that name", gitStatus, sh("./git status"), "ask"],
  ["a shell from an unusual place", gitStatus, commandOf("/tmp/bash -lc 'git status'"), "ask"],
  ["a word the shell fills in", gitStatus, sh("git {status,push}"), "ask"],
  ["a home the shell fills in", [allow({ command: ["cat", "~"] })], sh("cat ~"), "ask"],
  ["a home in quotes", [allow({ command: ["cat", "~"] })], sh("cat '~'"), "allow"],
  ["a pattern the shell fills in", [allow({ command: ["cat", "*"] })], sh("cat *"), "ask"],
  ["a pattern in quotes", [allow({ command: ["cat", "*"] })], sh('cat "*"'), "allow"],
  ["unreadable", gitStatus, sh("git status 'x"), "ask"],
  ["typed into a running command", gitStatus, sh("git status", { kind: "writeStdin" }), "ask"],
  ["an action from the future", gitStatus, sh("git status", { kind: "teleport" }), "ask"],
  ["no command at all", gitStatus, commandOf(null), "ask"],
  ["quoted words are the same words", gitStatus, sh("'git' \"status\""), "allow"],
  ["two rules together", [...gitStatus, allow({ command: ["ls"] })], sh("git status; ls"), "allow"],
  ["any command", [allow({ kind: "command" })], sh("echo $(anything)"), "allow"],
  ["RegExp", [allow({ command: /git (status|diff)\b/ })], sh("git diff x"), "allow"],
  ["RegExp in the middle", [allow({ command: /git status/ })], sh("rm git status"), "ask"],
  ["RegExp on a script", [allow({ command: /git status/ })], sh("git status; rm x"), "ask"],
  ["RegExp with memory", [allow({ command: /git/g })], sh("git a; git b"), "allow"],
  ["function", [allow({ command: (argv) => argv[0] === "ls" })], sh("ls; ls"), "allow"],
  ["function on a script", [allow({ command: (argv) => argv[0] === "ls" })], sh("ls > x"), "ask"],
  ["function that throws", [allow({ command: () => fail() })], sh("ls"), "ask"],
  [
    "RegExp on words the shell fills in",
    [allow({ command: /^cat [^/.]/ })],
    sh("cat {/s,x}"),
    "ask",
  ],
  [
    "RegExp on a word of PowerShell's",
    [allow({ command: /^cat [^/.]/ })],
    commandOf("powershell -Command 'cat a'"),
    "allow",
  ],
  [
    "RegExp on a list of PowerShell's",
    [allow({ command: /^cat [^/.]/ })],
    commandOf("powershell -Command 'cat a,/s'"),
    "ask",
  ],
  ["RegExp on what zsh fills in", [allow({ command: /^cat [^/.]/ })], sh("cat $=HOME/x"), "ask"],
  ["RegExp on a home directory", [allow({ command: /^cat [^/.]/ })], sh("cat ~/.ssh/id"), "ask"],
  ["function on words the shell fills in", [allow({ command: () => true })], sh("cat *"), "ask"],
  ["function on a home in an option", [allow({ command: () => true })], sh("dd if=~/x"), "ask"],
  ["the old arithmetic", gitStatus, sh("git status $[ '$(touch x)' ]"), "ask"],
  ["a test that evaluates", [allow({ command: ["test"] })], sh("test -v 'a[$(x)]'"), "ask"],
  ["a test", [allow({ command: ["test"] })], sh("test -v 'a[1]'"), "allow"],
  ["a name that the shell fills in", [allow({ command: ["declare"] })], sh("declare *"), "ask"],
  ["a trap", [allow({ command: ["trap"] })], sh("trap x EXIT"), "ask"],
  ["a script by another builtin", [allow({ command: ["command"] })], sh("command . x"), "ask"],
  ["a directory called .", [allow({ command: ["find"] })], sh("find . -name x"), "allow"],
  [
    "a variable that changes the next command",
    [...gitStatus, allow({ command: ["export"] })],
    sh("export PATH=/evil; git status"),
    "ask",
  ],
  // Bash unsets PATH, and looks in the directory then: `git` there may be anybody's.
  [
    "a builtin that changes PATH",
    [...gitStatus, allow({ command: ["wait"] })],
    sh("wait -p PATH; git status"),
    "ask",
  ],
  ["a variable alone", [allow({ command: ["export"] })], sh("export PATH=/evil"), "allow"],
  ["a substitution split over lines", gitStatus, sh('git status "$\\\n(touch x)"'), "ask"],
  ["a shell in capital letters", gitStatus, commandOf("BASH -lc 'git status'"), "ask"],
  // deny: anywhere
  ["the command itself", noRm, sh("rm -rf /"), "deny"],
  ["by its path", noRm, sh("/bin/rm x"), "deny"],
  ["in disguise", noRm, sh("\\r'm' x"), "deny"],
  ["after another", noRm, sh("ls; rm x"), "deny"],
  ["in a pipe", noRm, sh("ls | xargs rm"), "deny"],
  ["in a substitution", noRm, sh("echo $(rm x)"), "deny"],
  ["in nested shells", noRm, sh(`bash -c "sh -c 'rm x'"`), "deny"],
  ["under sudo", noRm, sh("sudo -u root rm x"), "deny"],
  ["under find", noRm, sh("find . -exec rm {} +"), "deny"],
  ["under find and a shell", noRm, sh("find . -exec sh -c 'rm {}' ;"), "deny"],
  ["under eval", noRm, sh('eval "rm x"'), "deny"],
  ["under env", noRm, sh("env A=1 rm x"), "deny"],
  ["in a compound", noRm, sh("for i in a; do rm $i; done"), "deny"],
  ["in a here-document for a shell", noRm, sh("bash <<'EOF'\nrm x\nEOF"), "deny"],
  ["in a here-string", noRm, sh("bash <<< 'rm x'"), "deny"],
  ["a command only the shell knows", noRm, sh("$CMD -rf /"), "deny"],
  ["unreadable", noRm, sh("echo 'x"), "deny"],
  ["an encoded script", noRm, commandOf("powershell -EncodedCommand abcd"), "deny"],
  ["no command told", noRm, commandOf(null), "deny"],
  ["another command", noRm, sh("git rm x"), "allow"],
  ["in a text", noRm, sh("echo 'rm x'"), "allow"],
  ["options between", [deny({ command: ["git", "push"] })], sh("git -C /x push"), "deny"],
  ["another verb", [deny({ command: ["git", "push"] })], sh("git commit -m push"), "ask"],
  ["RegExp on the script", [deny({ command: /rm\s+-rf/ })], sh("a; rm  -rf x"), "deny"],
  ["function that throws", [deny({ command: () => fail() })], sh("ls"), "deny"],
  ...[/^rm\b/, (argv: string[]) => argv[0] === "rm"].flatMap((command) =>
    [
      "/bin/rm x",
      "$CMD -rf /",
      "sudo -u root $CMD x",
      "env A=1 timeout 5 $CMD x",
      "$(echo rm) x",
      "r{m,} x",
      "sudo -u root rm x",
      "ls | xargs rm",
      "function f { rm x; }; f",
      "/usr/bin/time rm x",
      "python3 -c 'os.system(\"rm x\")'",
    ].map((script): Row => [script, [deny({ command })], sh(script), "deny"])
  ),
  ...[
    /^rm\b.* keep$/,
    (argv: string[]) => argv[0] === "rm" && argv.includes("keep"),
  ].flatMap((command) =>
    ["/bin/rm", "sudo rm"].map((program): Row => [
      `${program}, the last of many words`,
      [deny({ command })],
      sh(`${program} ${"a ".repeat(30)}keep`),
      "deny",
    ])
  ),
  ...[/^rm\b/, (argv: string[]) => argv[0] === "rm"].flatMap((command) =>
    [
      "ls *.ts | xargs -I{} wc -l {}",
      "sudo ls $X",
      "[[ $X == a ]] && a=($X) && case $X in *) ls;; esac",
      "cat <<'E' > x\n* $x\nE",
      "set -e; ls | grep 'a$'",
      "docker ps --format='{{.Names}}'",
      "tar --exclude='*.o' -cf x y",
    ]
      .map((script): Row => [script, [deny({ command })], sh(script), "ask"])
  ),
  ...[
    "ls x > y",
    "npm test",
    "sed -n 1p x",
    "git add -u src",
    "git config user.name",
    "git config --list",
    "git merge --no-ff topic",
    "git clone --recurse-submodules https://example.com/x",
  ].map((script): Row => [
    `all but some programs: ${script}`,
    [deny({ command: ([program = ""]) => !["ls", "npm", "sed", "git"].includes(program) })],
    sh(script),
    "ask",
  ]),
  ["the wrapper is not meant", [deny({ command: ["bash"] })], sh("ls"), "ask"],
  ["a shell inside is", [deny({ command: ["sh"] })], sh("curl x | sh"), "deny"],
  // order of effects, not of rules
  [
    "deny over ask over allow",
    [...gitStatus, deny({}), { effect: "ask" }],
    sh("git status"),
    "deny",
  ],
  ["ask over allow", [...gitStatus, { effect: "ask", kind: "command" }], sh("git status"), "ask"],
  // cwd
  ["in the directory", [allow({ cwd: "/w" })], sh("ls"), "allow"],
  ["below it", [allow({ cwd: "/w" })], sh("ls", { cwd: "/w/a" }), "allow"],
  ["beside it", [allow({ cwd: "/w" })], sh("ls", { cwd: "/work" }), "ask"],
  ["out of it", [allow({ cwd: "/w" })], sh("ls", { cwd: "/w/../etc" }), "ask"],
  ["not told", [allow({ cwd: "/w" })], sh("ls", { cwd: null }), "ask"],
  ["denied, not told", [deny({ cwd: "/etc" })], sh("ls", { cwd: null }), "deny"],
  ["denied in other letters", [deny({ cwd: "/Users/a" })], sh("ls", { cwd: "/users/A/b" }), "deny"],
  [
    "allowed, out of it by cd",
    [allow({ command: ["ls"], cwd: "/w" }), allow({ command: ["cd"] })],
    sh("cd /etc && ls", { cwd: "/w" }),
    "ask",
  ],
  ["allowed whatever it is, out of it", [allow({ cwd: "/w" })], sh("cd /etc && ls"), "ask"],
  [
    "denied, into it by PowerShell's cd",
    [deny({ cwd: "/etc" })],
    commandOf("pwsh -Command 'cd /etc; ls'", { cwd: "/w" }),
    "deny",
  ],
  ["denied, into it by cd", [deny({ cwd: "/etc" })], sh("cd /etc && ls", { cwd: "/w" }), "deny"],
  // file changes
  ["all inside", [allow({ paths: "/w" })], patchOf("/w/a", "/w/b/c"), "allow"],
  ["one outside", [allow({ paths: "/w" })], patchOf("/w/a", "/etc/x"), "ask"],
  ["dots", [allow({ paths: "/w" })], patchOf("/w/../etc/x"), "ask"],
  ["a pattern", [allow({ paths: "/w/**/*.md" })], patchOf("/w/a/b.md", "/w/c.md"), "allow"],
  [
    "denied name anywhere",
    [deny({ paths: ".env" }), allow({ paths: "/w" })],
    patchOf("/w/a/.env"),
    "deny",
  ],
  [
    "denied among others",
    [deny({ paths: "/w/.git" }), allow({ paths: "/w" })],
    patchOf("/w/a", "/w/.git/config"),
    "deny",
  ],
  [
    "changes not known",
    [allow({ paths: "/w" })],
    requestOf("item/fileChange/requestApproval"),
    "ask",
  ],
  [
    "denied, not known",
    [deny({ paths: "/etc" })],
    requestOf("item/fileChange/requestApproval"),
    "deny",
  ],
  ["a writable root is more", [allow({ kind: "fileChange" })], grantRoot("/w"), "ask"],
  ["a writable root outside", [allow({ paths: "/w" })], grantRoot("/"), "ask"],
  ["a writable root inside", [allow({ paths: "/w" })], grantRoot("/w/a"), "allow"],
  ["a root above a denied path", [deny({ paths: "/w/.git" })], grantRoot("/w"), "deny"],
  // network
  ["a host must be named", [allow({ kind: "command" })], net("example.com"), "ask"],
  ["a host", [allow({ host: "example.com" })], net("Example.com:443"), "allow"],
  ["below a host", [allow({ host: "*.example.com" })], net("a.example.com"), "allow"],
  ["a look-alike", [allow({ host: "*.example.com" })], net("evilexample.com"), "ask"],
  ["any host", [allow({ host: "*" })], net("a.b"), "allow"],
  ["a denied host", [deny({ host: "evil.com" }), allow({ host: "*" })], net("evil.com."), "deny"],
  ["a number for a host", [deny({ host: "169.254.169.254" }), ANY], net("2852039166"), "deny"],
  ["a short address", [deny({ host: "127.0.0.1" }), ANY], net("127.1"), "deny"],
  ["a long address", [deny({ host: "::1" }), ANY], net("0:0:0:0:0:0:0:1"), "deny"],
  ["a mapped address", [deny({ host: "10.0.0.1" }), ANY], net("::ffff:a00:1"), "deny"],
  ["another full stop", [deny({ host: "evil.com" }), ANY], net("evil\u3002com"), "deny"],
  ["a name before a host", [deny({ host: "evil.com" }), ANY], net("me@evil.com"), "deny"],
  [
    "letters of its own",
    [deny({ host: "*.bücher.example" }), ANY],
    net("a.xn--bcher-kva.example"),
    "deny",
  ],
  ["a short address, allowed", [allow({ host: "127.0.0.1" })], net("127.1"), "ask"],
  ["an address", [allow({ host: ["::1", "10.0.0.1"] })], net("[::1]:80"), "allow"],
  ["no host told", [deny({ host: "evil.com" })], net(""), "deny"],
  // permissions
  ["everything named", [allow({ paths: "/extra", host: "*" })], requestOf(PERMISSIONS), "allow"],
  ["files only", [allow({ paths: "/extra" })], requestOf(PERMISSIONS), "ask"],
  ["network only", [allow({ host: "*" })], requestOf(PERMISSIONS), "ask"],
  [
    "one host is not the network",
    [allow({ paths: "/extra", host: "a.b" })],
    requestOf(PERMISSIONS),
    "ask",
  ],
  ["a kind is not enough", [allow({ kind: "permissions" })], requestOf(PERMISSIONS), "ask"],
  ["below what is asked for", [deny({ paths: "/extra/secret" })], requestOf(PERMISSIONS), "deny"],
  // Codex would not ask about these any more.
  [
    "changes of what may be written",
    [deny({ kind: "fileChange", paths: "/extra/secret" }), allow({ paths: "/extra", host: "*" })],
    requestOf(PERMISSIONS),
    "deny",
  ],
  ["changes, by name", [deny({ kind: ["fileChange"], paths: ".env" })], special(), "deny"],
  ["all changes", [deny({ kind: "fileChange" })], requestOf(PERMISSIONS), "deny"],
  ["all changes, and something new", [deny({ kind: "fileChange" })], newer(), "deny"],
  [
    "changes of other files",
    [deny({ kind: "fileChange", paths: "/other" })],
    requestOf(PERMISSIONS),
    "ask",
  ],
  ["reading changes nothing", [deny({ kind: "fileChange" })], reading(), "ask"],
  ["a host", [deny({ kind: "command", host: "evil.com" })], requestOf(PERMISSIONS), "deny"],
  ["a host without the network", [deny({ kind: "command", host: "*" })], reading(), "ask"],
  ["a special place", [allow({ paths: "/", host: "*" })], special(), "ask"],
  ["something new", [allow({ kind: "permissions" })], newer(), "ask"],
  ["something new, all named", [allow({ paths: "/", host: "*" })], newer(), "ask"],
  ["a command that wants more", gitStatus, sh("git status", more), "ask"],
  [
    "a command whose wants are named",
    [allow({ command: ["git"], paths: "/x" })],
    sh("git status", more),
    "allow",
  ],
  // MCP, tools, and what needs data
  [
    "an MCP tool",
    [allow({ mcpServer: "probe", tool: "ask" })],
    requestOf(ELICITATION, MCP_APPROVAL),
    "allow",
  ],
  [
    "of another server",
    [allow({ mcpServer: "other" })],
    requestOf(ELICITATION, MCP_APPROVAL),
    "ask",
  ],
  [
    "denied, of another server",
    [deny({ mcpServer: "other" }), allow({})],
    requestOf(ELICITATION, MCP_APPROVAL),
    "allow",
  ],
  ["another tool", [deny({ tool: "drop" })], requestOf(ELICITATION, MCP_APPROVAL), "ask"],
  [
    "a tool not told",
    [deny({ tool: "drop" })],
    requestOf(ELICITATION, { ...MCP_APPROVAL, message: "?" }),
    "deny",
  ],
  ["a form is not consent", [allow({})], requestOf(ELICITATION), "ask"],
  ["an installation is not a call", [allow({})], requestOf(ELICITATION, suggestion), "ask"],
  ["questions need a person", [allow({})], requestOf("item/tool/requestUserInput"), "ask"],
  ["tokens need a person", [allow({})], requestOf("account/chatgptAuthTokens/refresh"), "ask"],
  [
    "a tool of this process",
    [deny({ tool: "lookup_ticket" })],
    requestOf("item/tool/call"),
    "deny",
  ],
  ["a rule for commands is not for patches", [deny({ command: ["rm"] })], patchOf("/w/a"), "ask"],
];

function fail(): never {
  throw new Error("matcher");
}
function grantRoot(path: JsonValue): ApprovalRequest {
  return requestOf("item/fileChange/requestApproval", { grantRoot: path }, {
    type: "fileChange",
    changes: [{ path: "/w/a/x", kind: { type: "add" }, diff: "" }],
  });
}
/** What can't be read may be anything: it is accepted by no rule for the command. */
test("decide() allows no command that asks for something in a form of the future", () => {
  const rules = { rules: [allow({ command: ["git", "status"], outsideSandbox: true })] };
  const odd = [
    { additionalPermissions: "all" },
    { additionalPermissions: ["write"] },
    { networkApprovalContext: "evil.com" },
    { networkApprovalContext: [{ host: "evil.com" }] },
    { kind: { type: "command" } },
  ];
  assert.equal(decide(rules, commandOf("git status")).effect, "allow");
  for (const more of odd) {
    assert.equal(decide(rules, commandOf("git status", more)).effect, "ask", JSON.stringify(more));
  }
});

test("decide() takes a form of the future for what any rule forbids, and for no known directory", () => {
  const rules = { rules: [deny({ host: "evil.com" }), allow({ paths: "/w" })] };
  for (const more of ["all", { gpu: true }, { network: true }]) {
    const command = commandOf("git status", { additionalPermissions: more });
    assert.equal(decide(rules, command).effect, "deny", JSON.stringify(more));
    const request = requestOf(PERMISSIONS, { permissions: more });
    assert.equal(decide(rules, request).effect, "deny", JSON.stringify(more));
  }
  const known = decide(rules, grantRoot("/w/b"), { workspace: null });
  assert.equal(known.effect, "allow");
  for (const root of [{ path: "/" }, ["/"], true, ""]) {
    const { effect } = decide(rules, grantRoot(root), { workspace: null });
    assert.equal(effect, "ask", JSON.stringify(root));
  }
});

function net(host: string): ApprovalRequest {
  // As codex asks: nothing says which command it is.
  return requestOf("item/commandExecution/requestApproval", {
    command: null,
    cwd: null,
    networkApprovalContext: { host, protocol: "https" },
  });
}
function special(): ApprovalRequest {
  const entry = { path: { type: "special", value: { kind: "root" } }, access: "write" };
  return requestOf(PERMISSIONS, {
    permissions: { network: null, fileSystem: { entries: [entry] } },
  });
}
function reading(): ApprovalRequest {
  const entry = { path: { type: "path", path: "/b" }, access: "read" };
  const fileSystem = { read: ["/a"], write: null, entries: [entry] };
  return requestOf(PERMISSIONS, { permissions: { network: null, fileSystem } });
}
function newer(): ApprovalRequest {
  return requestOf(PERMISSIONS, { permissions: { network: null, fileSystem: null, gpu: true } });
}

test("decide() says deny over ask over allow, and allow only what is certain", async (t) => {
  for (const [name, rules, request, effect] of ROWS) {
    await t.step(`${effect}: ${name}`, () => {
      assert.equal(decide({ rules }, request, { sandboxed: false }).effect, effect);
    });
  }
});

test("decide() names the rule and its scope", () => {
  const rules = [
    allow({ command: ["ls"], scope: "session" }),
    allow({ name: "status", command: ["git", "status"] }),
  ];
  assert.deepEqual(decide({ rules }, sh("ls"), { sandboxed: false }), {
    effect: "allow",
    rule: "rule 1",
    scope: "session",
  });
  assert.deepEqual(decide({ rules }, sh("ls; git status"), { sandboxed: false }), {
    effect: "allow",
    rule: "rule 1",
    scope: "once",
  });
  assert.deepEqual(decide({ rules }, sh("git status"), { sandboxed: false }), {
    effect: "allow",
    rule: "status",
    scope: "once",
  });
  assert.deepEqual(decide({ rules, default: "decline" }, sh("pwd"), { sandboxed: false }), {
    effect: "deny",
    rule: null,
  });
  assert.deepEqual(decide({ rules: [] }, sh("pwd")), { effect: "ask", rule: null });
});

test("checkApprovals() refuses rules that would mean something else than they say", () => {
  const bad: unknown[] = [
    null,
    "x",
    {},
    { rules: [], extra: 1 },
    { rules: [], default: "allow" },
    { rules: [], ask: {} },
    { rules: [null] },
    { rules: [{}] },
    { rules: [{ effect: "Deny" }] },
    { rules: [{ effect: "allow", comand: ["git"] }] },
    { rules: [{ effect: "allow", command: undefined }] },
    { rules: [{ effect: "allow", command: [] }] },
    { rules: [{ effect: "allow", command: "git status" }] },
    { rules: [{ effect: "allow", kind: "comand" }] },
    { rules: [{ effect: "allow", kind: [] }] },
    { rules: [{ effect: "allow", paths: [] }] },
    { rules: [{ effect: "allow", paths: "" }] },
    { rules: [{ effect: "allow", paths: "src/x" }] },
    { rules: [{ effect: "allow", cwd: ".." }] },
    { rules: [{ effect: "allow", scope: "forever" }] },
    { rules: [{ effect: "allow", name: 1 }] },
    { rules: [{ effect: "allow", outsideSandbox: "yes" }] },
    { rules: [{ effect: "deny", outsideSandbox: true }] },
    // no question could ever match these
    ...[
      ...[
        "https://evil.com",
        "evil.com/x",
        "*evil.com",
        "*.evil.com:443",
        "evil.com:443",
        "e.*",
        " ",
      ]
        .map((host) => ({ host })),
      ...["*", "github*"].flatMap((tool) => [{ tool }, { mcpServer: [tool] }]),
      ...["git push", "*", "rm*", " rm"].map((word) => ({ command: [word, "x"] })),
      { kind: "fileChange", command: ["rm"] },
      { kind: "fileChange", cwd: "/w" },
      { kind: ["command", "fileChange"], tool: "x" },
      { command: ["rm"], tool: "x" },
      { kind: "toolCall", paths: "/x" },
      { kind: "toolCall", mcpServer: "x" },
    ].map((more) => ({ rules: [{ effect: "deny", ...more }] })),
    { rules: [{ effect: "allow", kind: ["userInput", "attestation"] }] },
  ];
  for (const value of bad) {
    assert.throws(
      () => checkApprovals(value as never),
      InvalidArgumentError,
      JSON.stringify(value),
    );
  }
  assert.throws(
    () => checkApprovals({ rules: [{ effect: "deny", command: "git push" }] } as never),
    /Write its words: `\["git", "status"\]`/,
  );
  checkApprovals(undefined);
  checkApprovals(() => ({ decision: "decline" }));
  for (const what of ["ask", "decline"] as const) checkApprovals({ rules: [], default: what });
  for (
    const more of [
      ...["a.b", "*.a.b", "*", "::1", "[2001:db8::1]", "a.b."].map((host) => ({ host })),
      { command: ["C:\\Program Files\\x.exe", "a b", "*"] },
      { kind: "fileChange", paths: ".env" },
      { kind: "command", host: "a.b" },
      { kind: ["command", "elicitation"], tool: "x" },
      { tool: "x", mcpServer: "y" },
      { kind: "userInput" },
    ] as const
  ) {
    checkApprovals({ rules: [{ effect: "deny", ...more } as ApprovalRule] });
  }
  checkApprovals({ rules: [allow({ command: /x/, paths: ["/w", "*.md"], kind: ["command"] })] });
});

test("decide() lets no command out of its sandbox unless the rule says so", () => {
  const rules = (more: Partial<ApprovalRule>) => [allow({ ...more })];
  const rows: [string, ApprovalRule[], ApprovalRequest, Effect][] = [
    ["a command", rules({ command: ["ls"] }), sh("ls"), "ask"],
    ["any command", rules({ kind: "command" }), sh("ls"), "ask"],
    ["anything", rules({}), sh("ls"), "ask"],
    ["a command, said", rules({ command: ["ls"], outsideSandbox: true }), sh("ls"), "allow"],
    ["said no", rules({ command: ["ls"], outsideSandbox: false }), sh("ls"), "ask"],
    ["any, said", rules({ outsideSandbox: true }), sh("ls"), "allow"],
    [
      "one of two said",
      [...rules({ command: ["ls"], outsideSandbox: true }), ...rules({ command: ["pwd"] })],
      sh("ls; pwd"),
      "ask",
    ],
    ["a host for a command that runs", rules({ host: "a.b" }), net("a.b"), "allow"],
    [
      "a host for a command that may start once more",
      rules({ host: "a.b" }),
      sh("curl a.b", { networkApprovalContext: { host: "a.b", protocol: "https" } }),
      "ask",
    ],
    ["a command that wants more", rules({ kind: "command", paths: "/x" }), sh("ls", more), "ask"],
    [
      "an action from the future",
      rules({ kind: "command" }),
      sh("ls", { kind: "teleport" }),
      "ask",
    ],
    [
      "typing into a command, which may run outside",
      rules({ kind: "command" }),
      sh("ls", { kind: "writeStdin" }),
      "ask",
    ],
    [
      "typing into a command, said",
      rules({ kind: "command", outsideSandbox: true }),
      sh("ls", { kind: "writeStdin" }),
      "allow",
    ],
    ["a patch", rules({ paths: "/w" }), patchOf("/w/a"), "allow"],
    ["a tool", rules({ mcpServer: "probe" }), requestOf(ELICITATION, MCP_APPROVAL), "allow"],
    ["a deny needs nothing", [deny({ command: ["ls"] })], sh("ls"), "deny"],
    [
      "a deny about another command than the one that is typed into",
      [deny({ command: ["git", "push"] })],
      sh("python3", { kind: "writeStdin" }),
      "deny",
    ],
  ];
  for (const [name, given, request, effect] of rows) {
    assert.equal(decide({ rules: given }, request).effect, effect, name);
  }
  assert.equal(decide({ rules: rules({}), default: "decline" }, sh("ls")).effect, "deny");
});

test("decide() changes files outside of the workspace only where a rule says so", () => {
  const inside = patchOf("/w/src/a.ts");
  const rows: [string, Partial<ApprovalRule>, ApprovalRequest, boolean][] = [
    ["inside", {}, inside, true],
    ["a root", {}, patchOf("/data/a"), true],
    ["outside", {}, patchOf("/etc/passwd"), false],
    ["one of two", {}, patchOf("/w/a", "/etc/passwd"), false],
    ["a sibling with the same beginning", {}, patchOf("/wider/a"), false],
    ["above", {}, patchOf("/w/../etc/passwd"), false],
    ["git's own", {}, patchOf("/w/.git/hooks/post-commit"), false],
    ["git's own, deeper", { kind: "fileChange" }, patchOf("/w/sub/.GIT/config"), false],
    ["codex's own", {}, patchOf("/w/.codex/config.toml"), false],
    ["a workspace below such a name", {}, patchOf("/home/.codex/tree/a"), true],
    ["outside, said", { outsideSandbox: true }, patchOf("/etc/passwd"), true],
    ["outside, by its place", { paths: "/etc" }, patchOf("/etc/passwd"), true],
    ["outside, by a name", { paths: ["passwd"] }, patchOf("/etc/passwd"), false],
    ["inside, by a name", { paths: ["src"] }, inside, true],
    ["git's own, by its name", { paths: [".git"] }, patchOf("/w/.git/config"), true],
    [
      "codex's own, by another name",
      { paths: ["*.toml"] },
      patchOf("/w/.codex/config.toml"),
      false,
    ],
    ["codex's own, by every name", { paths: ["*"] }, patchOf("/w/.CODEX/hooks.json"), false],
    ["codex's own, below git's", { paths: [".git"] }, patchOf("/w/.agents/.git/config"), false],
    ["a hook, by a name", { paths: ["post-commit"] }, patchOf("/w/.git/hooks/post-commit"), false],
    [
      "a file that begins like it, by a name",
      { paths: ["*.toml"] },
      patchOf("/w/.codexrc.toml"),
      true,
    ],
    [
      "outside, by a name and said",
      { paths: ["passwd"], outsideSandbox: true },
      patchOf("/etc/passwd"),
      true,
    ],
  ];
  const workspace = ["/w", "/data", "/home/.codex/tree"];
  for (const [name, more, request, allowed] of rows) {
    const rules = { rules: [allow(more)], default: "decline" as const };
    const says = (place: Parameters<typeof decide>[2]) => decide(rules, request, place).effect;
    assert.equal(says({ workspace }), allowed ? "allow" : "deny", name);
    // Where nothing is known of the workspace, nothing lies in it; where nothing holds the agent, there is no outside.
    const said = more.outsideSandbox === true || more.paths === "/etc";
    assert.equal(says({}), said ? "allow" : "deny", name);
    assert.equal(says({ workspace: null }), "allow", name);
  }
});

test("a host takes no longer to be judged than it is long", () => {
  const url = `https://a${".".repeat(60_000)}x/`;
  const change = { mode: "url", url, elicitationId: "e", requestedSchema: null };
  const begun = performance.now();
  const { effect } = decide({ rules: [allow({ host: "a" })] }, requestOf(ELICITATION, change));
  assert.equal(effect, "ask");
  assert.ok(performance.now() - begun < 2_000);
});
