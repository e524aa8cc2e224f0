/** A rule means what it says: what it allows is all that runs, where it may run, and what can't take effect is told. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { PolicyError, testing } from "../../mod.ts";
import type { ApprovalRules } from "../../src/approvals/mod.ts";
import { CODEX_VERSIONS, NEWEST_CODEX } from "../_codex.ts";
import { test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";
import { warnings, words, world } from "../real/_safety_world.ts";

const { exec } = testing.script;

/** Commands of a model that may only run `ok`, `test` and `cat …`; each runs `touch` if it gets through. */
const ESCAPES = (file: string): string[] => [
  `git status $[ '$(touch ${file})' ]`,
  `git status "$\\\n(touch ${file})"`,
  `test -v 'a[$(touch ${file})]'`,
  `printf -v 'a[$(touch ${file})]' x`,
  `trap 'touch ${file}' EXIT`,
  `env '-Stouch ${file}'`,
  `echo 'touch ${file}' | sh`,
  `export PATH=/nonexistent; git status; touch ${file}`,
];

for (const version of CODEX_VERSIONS) {
  test(`an allow rule lets nothing run but what it names, codex ${version}`, async () => {
    await using w = await world(version);
    const rules: ApprovalRules = {
      rules: ["git", "test", "printf", "trap", "env", "echo", "export"].map((command) => ({
        effect: "allow",
        command: command === "git" ? ["git", "status"] : [command],
        outsideSandbox: true,
      })),
      default: "decline",
    };
    const place = await w.session({ approvals: rules });
    await place.act(...ESCAPES("pwned").map((command) => exec(command)));
    assert.equal(place.has("pwned"), false);
    const seen = words(place);
    assert.ok(seen.length > 0 && seen.every((word) => word === "decline rule"), seen.join());
    // The same session runs what the rule names.
    await place.act(exec("test -e . && git status"));
    assert.ok(words(place).every((word) => word === "accept rule"), words(place).join());
  });

  test(`a deny rule sees what may become its command, codex ${version}`, async () => {
    await using w = await world(version);
    const place = await w.session({
      approvals: {
        rules: [{ effect: "deny", command: ["rm"] }, {
          effect: "allow",
          kind: "command",
          outsideSandbox: true,
        }],
      },
    });
    const commands = [
      "touch keep",
      "echo 'rm keep' | sh",
      "trap 'rm keep' EXIT",
      "bash --rcfile /dev/null -ic 'rm keep'",
      "true $[ '$(rm keep)' ]",
      "env '-Srm keep'",
      "setarch x86_64 rm keep",
      "python3 -c 'import os; os.system(\"rm keep\")'",
      "git -c alias.x='!rm keep' x",
      "[[ 'a[$(rm keep)]' -eq 1 ]]",
    ];
    await place.act(...commands.map((command) => exec(command)));
    assert.equal(place.has("keep"), true);
    assert.deepEqual(words(place).filter((word) => word.startsWith("accept")), ["accept rule"]);
    // What codex asks about, and the rule does not name, runs.
    await place.act(
      exec("ls *.ts 2>/dev/null | head"),
      exec('for f in *; do touch "$f.1"; done; echo "$?"'),
      exec("set -e; touch 2; awk '{ print $1 }' 2"),
    );
    assert.ok(words(place).every((word) => word === "accept rule"), words(place).join());
    assert.deepEqual([place.has("keep.1"), place.has("2")], [true, true]);
  });

  test(
    `no rule lets a command out of the sandbox unless it says so, codex ${version}`,
    async (t) => {
      await using w = await world(version);
      await using outside = await tempDir("outside-");
      const target = join(outside.path, "p");
      const escalated = { sandbox_permissions: "require_escalated", justification: "please" };
      for (const sandbox of ["read-only", "workspace-write"] as const) {
        await t.step(`${sandbox}: neither at once nor by a repetition`, async () => {
          const place = await w.session({
            sandbox,
            approvals: {
              rules: [
                { effect: "allow", command: ["touch"] },
                { effect: "allow" },
                // One that may leave, so that codex has to be let.
                { effect: "allow", command: ["date"], outsideSandbox: true },
              ],
            },
          });
          assert.match(place.session.policy.approvalsNote!, /outsideSandbox: true/);
          await place.act(exec(`touch ${target}`), exec(`touch ${target}`, escalated));
          assert.equal(existsSync(target), false);
          assert.equal(warnings(place).filter((text) => /outsideSandbox/.test(text)).length, 1);
          await place.act(exec("touch x"));
          assert.equal(warnings(place).filter((text) => /outsideSandbox/.test(text)).length, 0);
        });
      }
      await t.step("an accepted command may run outside: this codex still does", async () => {
        const place = await w.session({
          approvals: { rules: [{ effect: "allow", command: ["touch"], outsideSandbox: true }] },
        });
        assert.equal(place.session.policy.approvalsNote, null);
        // Whether it failed soon enough to be repeated is a race, which some attempt wins; 0.104 refuses to escalate.
        for (let i = 0; i < 16 && !existsSync(target); i++) {
          await place.act(exec(`touch ${target}`, i % 2 === 0 ? {} : escalated));
        }
        assert.equal(existsSync(target), true, "it stays inside now: rules could need less");
      });
    },
  );

  test(`nothing that looks safe leaves the sandbox unasked, codex ${version}`, async () => {
    await using w = await world(version);
    await using outside = await tempDir("outside-");
    const place = await w.session({
      approvalPolicy: "on-request",
      sandbox: "read-only",
      approvals: () => ({ decision: "decline" }),
    });
    // A repository can bring it; codex before 0.136 knows it by its name.
    const file = join(outside.path, "pwned");
    await writeFile(join(place.cwd, "git"), `#!/bin/sh\ntouch ${file}\n`, { mode: 0o755 });
    const out = { sandbox_permissions: "require_escalated", justification: "to look" };
    await place.act(exec("./git status", out));
    assert.equal(existsSync(file), false);
    const became = warnings(place).some((text) => /became "untrusted"/.test(text));
    assert.equal(became, version !== NEWEST_CODEX);
  });

  test(
    `approvals that nobody would ask are told at the door, codex ${version}`,
    async (t) => {
      await using w = await world(version, { approvals: () => ({ decision: "decline" }) });
      const rules: ApprovalRules = {
        rules: [{ effect: "deny", paths: [".env"], name: "secrets" }],
      };
      await t.step("a session's own reject, with the policy to choose", async () => {
        // What is asked under `on-request` is asked under `untrusted` on an old codex.
        const unasked = [
          "never",
          ...version === NEWEST_CODEX ? ["on-request" as const] : [],
        ] as const;
        for (const approvalPolicy of unasked) {
          await assert.rejects(
            w.session({ approvalPolicy, approvals: rules }),
            (error) =>
              error instanceof PolicyError &&
              /"secrets".*Choose approvalPolicy "untrusted"/.test(error.message),
          );
        }
        await assert.rejects(
          w.session({ approvalPolicy: "never", approvals: () => ({ decision: "accept" }) }),
          PolicyError,
        );
        const place = await w.session({ approvals: rules });
        await assert.rejects(place.session.ask("x", { approvalPolicy: "never" }), PolicyError);
      });
      await t.step("the client's are a note and one warning", async () => {
        const place = await w.session({ approvalPolicy: "never" });
        assert.match(place.session.policy.approvalsNote!, /nobody is asked/);
        await place.act();
        assert.equal(warnings(place).filter((text) => /nobody is asked/.test(text)).length, 1);
        await place.act();
        assert.equal(warnings(place).filter((text) => /nobody is asked/.test(text)).length, 0);
      });
    },
  );
}
