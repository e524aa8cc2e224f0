/**
 * "A rule is about the file that is changed": the repository and the agent bring links, the rules follow them.
 */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdir, rename, symlink } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { script } from "../../src/testing/mod.ts";
import { CODEX_VERSIONS } from "../_codex.ts";
import { test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";
import { addFile, words, world } from "../real/_safety_world.ts";

for (const version of CODEX_VERSIONS) {
  test(
    `links lead no patch past the rules on codex ${version}`,
    async (t) => {
      await using w = await world(version);
      await using outside = await tempDir("outside-");
      const at = (name: string) => join(outside.path, name);

      await t.step("a repository's link out of the allowed directory", async () => {
        const { cwd } = await w.session();
        const place = await w.session({
          cwd,
          sandbox: "read-only",
          approvals: {
            rules: [{ effect: "allow", kind: "fileChange", paths: cwd }],
            default: "decline",
          },
        });
        await symlink(outside.path, join(cwd, "docs"));
        await place.act(addFile("docs/authorized_keys"));
        assert.deepEqual(words(place), ["decline rule"]);
        assert.ok(!existsSync(at("authorized_keys")));
        // The same rule still allows what really lies there.
        await place.act(addFile("plain"));
        assert.deepEqual(words(place), ["accept rule"]);
        assert.ok(existsSync(join(cwd, "plain")));
      });

      await t.step("a link to a denied directory", async () => {
        const place = await w.session({
          approvals: {
            rules: [
              { effect: "deny", kind: "fileChange", paths: [".git", ".env"] },
              { effect: "allow", kind: "fileChange" },
            ],
          },
        });
        await mkdir(join(place.cwd, ".git", "hooks"), { recursive: true });
        await symlink(".git", join(place.cwd, "g"));
        await place.act(addFile("g/hooks/post-commit"));
        assert.deepEqual(words(place), ["decline rule"]);
        assert.ok(!place.has(".git/hooks/post-commit"));
      });

      await t.step(
        "a directory that becomes a link while somebody reads the question",
        async () => {
          const swap = async () => {
            await rename(join(place.cwd, "d"), join(place.cwd, "old"));
            await symlink(outside.path, join(place.cwd, "d"));
          };
          let swapped = false;
          const place = await w.session({
            sandbox: "read-only",
            approvals: async () => {
              if (swapped) await swap();
              return { decision: "accept" };
            },
          });
          await mkdir(join(place.cwd, "d"));
          await place.act(addFile("d/first"));
          assert.ok(place.has("d/first"));
          swapped = true;
          await place.act(addFile("d/second"));
          assert.deepEqual(words(place), ["decline library"]);
          assert.ok(!existsSync(at("second")));
        },
      );

      await t.step(
        "a directory that becomes a link after it was accepted for the session",
        async () => {
          const answers: string[] = [];
          const person = await w.session({
            approvals: () => {
              answers.push("asked");
              return answers.length === 1
                ? { decision: "acceptForSession" }
                : { decision: "decline" };
            },
          });
          const { cwd } = await w.session();
          const ruled = await w.session({
            cwd,
            approvals: {
              rules: [{ effect: "allow", kind: "fileChange", paths: cwd, scope: "session" }],
              default: "decline",
            },
          });
          const both = [[person, person.cwd, "person"], [ruled, cwd, "rule"]] as const;
          for (const [place, dir, owner] of both) {
            const elsewhere = at(owner);
            await mkdir(elsewhere);
            await mkdir(join(dir, "d"));
            await place.act(addFile("d/f", "1"));
            await place.act(addFile("d/f", "2"));
            assert.deepEqual(words(place).map((word) => word.split(" ")[0]), [
              owner === "rule" ? "acceptForSession" : "accept",
            ]);
            await rename(join(dir, "d"), join(dir, "old"));
            await symlink(elsewhere, join(dir, "d"));
            await place.act(addFile("d/f", "pwned"));
            assert.deepEqual(words(place).map((word) => word.split(" ")[0]), ["decline"]);
            assert.ok(!existsSync(join(elsewhere, "f")));
          }
          assert.equal(answers.length, 2);
        },
      );

      await t.step("a link to what each process takes for its own directory", async () => {
        if (process.platform !== "linux") return;
        const { cwd } = await w.session();
        const place = await w.session({
          cwd,
          // Where the link leads for this process is allowed, too.
          approvals: {
            rules: [{ effect: "allow", kind: "fileChange", paths: [cwd, process.cwd()] }],
            default: "decline",
          },
        });
        await symlink("/proc/self/cwd", join(cwd, "own"));
        const file = join(cwd, "own", "taken");
        await place.act(
          script.exec(
            `apply_patch <<'EOF'\n*** Begin Patch\n*** Add File: ${file}\n+x\n*** End Patch\nEOF`,
            { workdir: outside.path },
          ),
        );
        assert.deepEqual(words(place), ["decline rule"]);
        assert.ok(!existsSync(at("taken")));
      });

      await t.step("a link of the agent's own, dangling until the patch", async () => {
        const { cwd } = await w.session();
        const place = await w.session({
          cwd,
          approvals: {
            rules: [{ effect: "allow", kind: ["fileChange"], paths: cwd }, {
              effect: "allow",
              command: ["ln"],
              outsideSandbox: true,
            }],
            default: "decline",
          },
        });
        await place.act(
          script.exec(`ln -s ${at("new")} link`),
          addFile("link"),
          script.exec(`ln -s ${outside.path} dir`),
          addFile("dir/x"),
        );
        const patches = place.audits().filter(({ type }) => type === "fileChange");
        assert.deepEqual(patches.map(({ decision }) => decision), ["decline", "decline"]);
        assert.deepEqual([at("new"), at("x")].filter(existsSync), []);
      });
    },
  );
}
