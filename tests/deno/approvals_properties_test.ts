/** What must hold for any rules, commands and paths. The shell itself is the oracle. */
import "./_seed.ts";
import assert from "node:assert/strict";
import fc from "npm:fast-check@4.10.2";
import type { ApprovalRule, CommandMatcher } from "../../src/approvals/mod.ts";
import { parseRequest } from "../../src/approvals/request/parse_request.ts";
import { decide } from "../../src/approvals/rules/decide.ts";
import { failClosedAnswer, wireAnswer } from "../../src/approvals/answers/answers.ts";
import { parseCommandLine } from "../../src/shell/command_line.ts";
import { scriptOf } from "../../src/shell_script.ts";
import { methodsOfKind } from "../../src/protocol/inventory.ts";
import { checkServerRequestResult } from "../../src/approvals/answers/answers.ts";
import { coversPath } from "../../src/approvals/rules/match_path.ts";
import { plainPath } from "../../src/platform/mod.ts";
import type { JsonValue } from "../../src/json.ts";
import { test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";
import { commandOf, patchOf } from "../unit/approvals/_requests.ts";

const PIECES = [
  ..."ok|ok|ok |bad|bad| bad |o|k|b|ad".split("|"),
  ..." ; && || | & ( ) { } < > << $ $( ${ ` ' \" \\ # = ! * ? [ ] ~ - a x=1 <( <<< 2> >& 1 $x ${x} $' $\" \n"
    .split(" "),
  " ",
  " ",
  "\t",
  "\n",
  "if ",
  "then ",
  "fi",
  "else ",
  "case ",
  " in ",
  ";;",
  "esac",
  "eval ",
  "env ",
  "command ",
  "$(bad)",
  "`bad`",
  '"$(bad)"',
  "<<E\n",
  "\nE\n",
  "<<'E'\n",
  "; bad",
  "&& bad",
  "\\\n",
  ":-",
];
const script = fc.array(fc.constantFrom(...PIECES), { minLength: 1, maxLength: 9 })
  .map((pieces) => pieces.join(""));

const allowOk: ApprovalRule = {
  effect: "allow",
  command: ["ok"],
  outsideSandbox: true,
};
const denyBad: ApprovalRule = { effect: "deny", command: ["bad"] };

/** The scripts during which bash called `bad`. Nothing else can run: there is no PATH. */
async function thoseThatRunBad(scripts: string[], cwd: string): Promise<Set<number>> {
  const prelude = `
    PATH=/nonexistent; exec 9>&1
    ok() { :; }
    bad() { printf '%s\\n' "$n" >&9; }
    n=0
    for s in "$@"; do ( eval "$s" ) </dev/null >/dev/null 2>&1; wait; n=$((n+1)); done`;
  const found = new Set<number>();
  for (let from = 0; from < scripts.length; from += 200) {
    const { stdout } = await new Deno.Command("/bin/bash", {
      args: ["--norc", "-c", prelude, "bash", ...scripts.slice(from, from + 200)],
      cwd,
      stdin: "null",
      stderr: "null",
    }).output();
    for (const line of new TextDecoder().decode(stdout).split("\n")) {
      if (/^\d+$/.test(line)) found.add(from + Number(line));
    }
  }
  return found;
}

test(
  "what bash really runs is never allowed by a rule for something else, nor hidden from a deny",
  async () => {
    await using dir = await tempDir();
    const scripts = fc.sample(script, 3000).map((text) => text.replaceAll("\0", ""));
    const bad = await thoseThatRunBad(scripts, dir.path);
    assert.ok(bad.size > 100, `only ${bad.size} scripts ran it`);
    let allowed = 0;
    for (const [i, text] of scripts.entries()) {
      const request = commandOf(["/bin/bash", "-lc", text]);
      const { effect } = decide({ rules: [allowOk] }, request);
      if (effect === "allow") allowed++;
      if (!bad.has(i)) continue;
      assert.notEqual(effect, "allow", JSON.stringify(text));
      assert.equal(decide({ rules: [denyBad] }, request).effect, "deny", JSON.stringify(text));
    }
    assert.ok(allowed > 20, `only ${allowed} scripts were allowed`);
  },
);

test("a deny that matches is never outweighed, whatever the other rules are and in any order", () => {
  const rule: fc.Arbitrary<ApprovalRule> = fc.record({
    effect: fc.constantFrom("allow", "ask", "deny"),
    command: fc.constantFrom<CommandMatcher>(["ok"], ["bad"], /ok/, () => true),
    cwd: fc.constantFrom("/w", "/"),
    scope: fc.constantFrom("once", "session"),
  }, { requiredKeys: ["effect"] });
  fc.assert(
    fc.property(script, fc.array(rule, { maxLength: 5 }), (text, rules) => {
      const request = commandOf(["bash", "-c", text]);
      const effects = rules.map((one) => decide({ rules: [one] }, request).effect);
      const together = decide({ rules }, request).effect;
      if (effects.includes("deny")) assert.equal(together, "deny");
      const askedByRule = rules.some((one) =>
        one.effect === "ask" && decide({ rules: [one] }, request).rule !== null
      );
      if (askedByRule) assert.notEqual(together, "allow");
      assert.equal(decide({ rules: rules.toReversed() }, request).effect, together);
    }),
    { numRuns: 2000 },
  );
});

test("a command that can't be read is denied by any deny and allowed by no command rule", () => {
  fc.assert(
    fc.property(script, (text) => {
      const line = parseCommandLine(text);
      if (line.simple) return;
      const request = commandOf(text);
      for (const command of [["ok"], /^/, () => true]) {
        assert.notEqual(
          decide({ rules: [{ effect: "allow", command }] }, request, { sandboxed: false }).effect,
          "allow",
        );
      }
    }),
    { numRuns: 2000 },
  );
});

test("parseCommandLine() takes any text, and quoting keeps words as they are", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 200 }), (text) => {
      parseCommandLine(text);
    }),
    { numRuns: 2000 },
  );
  const word = fc.string({ unit: "grapheme", minLength: 1, maxLength: 12 })
    .filter((text) => !text.includes("\0"));
  fc.assert(fc.property(fc.array(word, { minLength: 1, maxLength: 5 }), (words) => {
    const line = ["./run", ...words].map((one) => `'${one.replaceAll("'", `'\\''`)}'`).join(" ");
    assert.deepEqual(parseCommandLine(line).commands, [["./run", ...words]]);
  }));
});

test("a path is allowed only if its plain spelling lies below the directory", () => {
  const part = fc.constantFrom("w", "a", "..", ".", "", "wa", "etc");
  const path = fc.array(part, { minLength: 1, maxLength: 8 }).map((parts) => `/${parts.join("/")}`);
  fc.assert(
    fc.property(path, path, (directory, target) => {
      const plain = (text: string): string =>
        new URL(`file://${text.replace(/\/+/g, "/")}`).pathname;
      const root = plain(directory).replace(/\/$/, "");
      const expected = `${plain(target).replace(/\/$/, "")}/`.startsWith(`${root}/`);
      const normal = plainPath(target);
      if (normal === null) return;
      if (coversPath(directory, normal, false)) assert.ok(expected, `${directory} ${target}`);
      const effect =
        decide({ rules: [{ effect: "allow", paths: directory }] }, patchOf(target)).effect;
      if (effect === "allow") assert.ok(expected);
      if (expected && plainPath(directory) !== null) {
        assert.equal(
          decide({ rules: [{ effect: "deny", paths: directory }] }, patchOf(target)).effect,
          "deny",
        );
      }
    }),
    { numRuns: 2000 },
  );
});

test("any params and any decision give either a fitting answer or none", () => {
  const json = fc.jsonValue({ maxDepth: 3 }) as fc.Arbitrary<JsonValue>;
  const decision = fc.oneof(
    json,
    fc.record({
      decision: fc.constantFrom("accept", "acceptForSession", "decline", "cancel", "x"),
      permissions: json,
      answers: json,
      action: fc.constantFrom("accept", "decline", "cancel", "x"),
      content: json,
      success: fc.boolean(),
      contentItems: json,
    }, { requiredKeys: [] }),
  );
  fc.assert(
    fc.property(
      fc.constantFrom(...methodsOfKind("serverRequest").map((info) => info.method)),
      json,
      decision,
      (method, params, given) => {
        const request = parseRequest(method, params);
        const closed = failClosedAnswer(request);
        if (closed.type === "result") {
          assert.equal(checkServerRequestResult(method, closed.result), null);
        }
        const answer = wireAnswer(request, given as never);
        if (answer.type === "result") {
          assert.equal(checkServerRequestResult(method, answer.result), null);
        }
      },
    ),
    { numRuns: 3000 },
  );
});

test("scriptOf() shows the script that rules judge", () => {
  const shell = fc.constantFrom(
    "bash",
    "/bin/bash",
    "/usr/bin/zsh",
    "sh",
    "fish",
    "pwsh",
    "ls",
    "env",
  );
  const flags = fc.array(fc.constantFrom("-lc", "-c", "-l", "--norc", "-Command", "-x", "--"), {
    maxLength: 3,
  });
  const words = fc.array(fc.oneof(script, fc.string(), fc.string({ unit: "binary" })), {
    maxLength: 3,
  });
  const quote = fc.constantFrom(
    (text: string) => `'${text.replaceAll("'", `'\\''`)}'`,
    (text: string) => `"${text.replace(/["\\$`]/g, "\\$&")}"`,
  );
  // As codex joins them.
  fc.assert(fc.property(shell, flags, words, quote, (shell, flags, words, quote) => {
    const line = [shell, ...flags, ...words.map(quote)].join(" ");
    const { argv, script } = parseCommandLine(line);
    if (argv !== null) assert.equal(scriptOf(line), script, line);
  }));
  // Anything else: it may show less, and nothing other.
  fc.assert(fc.property(script, fc.string(), (script, text) => {
    for (const line of [script, text, `sh -c ${script}`]) {
      const shown = scriptOf(line);
      const { script, problem } = parseCommandLine(line);
      if (shown !== null && problem === null) assert.equal(shown, script, line);
    }
  }));
});
