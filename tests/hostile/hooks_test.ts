/** Hooks see what they claim to see, and say so where they do not. */
import assert from "node:assert/strict";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { FilteredPreHook, HookMatcher, type plugin, PolicyError, testing } from "../../mod.ts";
import { CODEX_VERSIONS, codexes, NEWEST_CODEX, nodePath, ROOT } from "../_codex.ts";
import { test } from "../_harness.ts";
import { callMcp } from "../real/_mcp_world.ts";
import { tempDir } from "../_temp.ts";
import { addFile, warnings, words, world } from "../real/_safety_world.ts";

const { applyPatch, exec, toolCall } = testing.script;

for (const version of CODEX_VERSIONS) {
  test(`hooks see what they claim, codex ${version}`, async (t) => {
    await using w = await world(version, {
      approvals: () => ({ decision: "accept" }),
      // The user's own accept everything, and are trusted: codex asks those first.
      yielding: true,
      flags: { "features.codex_hooks": true },
    });

    await t.step(
      "a prompt can't ask where the session did not, which has the user's hooks",
      async () => {
        const place = await w.session({ approvalPolicy: "never" });
        const asks = place.session.ask("x", { approvalPolicy: "untrusted" });
        if (version === "0.104.0") return void await asks;
        await assert.rejects(
          asks,
          (error) => error instanceof PolicyError && error.data?.["reason"] === "answeringHooks",
        );
      },
    );

    await t.step("a filtered hook is asked about every spelling of its command", async () => {
      const guard: plugin.PreHook = {
        name: "guard",
        call: () => ({ type: "block", reason: "no" }),
      };
      const place = await w.session({
        hooks: {
          pre: [
            new FilteredPreHook(
              guard,
              new HookMatcher({ phases: ["preToolUse"], commandPrefix: "touch pwned" }),
            ),
          ],
        },
      });
      const commands = [
        "touch -c pwned; touch pwned",
        "/usr/bin/touch pwned",
        "tou?h pwned; {touch,pwned}",
        "a=pwned; touch $a",
        "env '-Stouch pwned'",
        "echo 'touch pwned' | sh",
        "trap 'touch pwned' EXIT",
        "true $[ '$(touch pwned)' ]",
        "python3 -c 'import os; os.system(\"touch pwned\")'",
      ];
      await place.act(...commands.map((command) => exec(command)));
      assert.equal(place.has("pwned"), false);
      await place.act(exec("touch other"));
      assert.equal(place.has("other"), true);
    });

    await t.step("hooks see reads that codex takes for safe as the note says", async () => {
      const seen: (string | undefined)[] = [];
      const place = await w.session({
        hooks: {
          pre: [{
            name: "watch",
            phases: ["preToolUse"],
            call: ({ script }) => (seen.push(script), { type: "continue" }),
          }],
        },
      });
      await place.act(exec("ls"), exec("touch made"));
      const told = place.session.policy.toolHooksNote ?? "";
      assert.deepEqual(
        seen,
        /reads that it takes for safe/.test(told) ? ["touch made"] : ["ls", "touch made"],
      );
      assert.equal(seen.includes("ls"), version === "0.169.0");
    });

    await t.step("hooks see what was accepted for the session", async () => {
      const seen: unknown[] = [];
      const watch: plugin.PreHook = {
        name: "watch",
        phases: ["preToolUse"],
        call: ({ argv, script, diff }) => (seen.push(diff ?? argv?.join(" ") ?? script), {
          type: "continue",
        }),
      };
      const change = (from: string, to: string) =>
        applyPatch(`*** Begin Patch\n*** Update File: f\n@@\n-${from}\n+${to}\n*** End Patch`);
      const approvals = () => ({ decision: "acceptForSession" as const });
      const place = await w.session({ approvals, hooks: { pre: [watch] } });
      await place.act(exec("touch a"), exec("touch a"), addFile("f", "1"));
      await place.act(exec("touch a"), change("1", "2"), exec("echo x > out"));
      assert.deepEqual(seen.length, 6);
      assert.match(String(seen[4]), /^-1\n\+2$/m);
      // What these words leave out would happen as well.
      assert.match(String(seen[5]), /-lc echo x > out$/);
      // Those of a later prompt come too late for what codex remembers.
      const late = await w.session({ approvals });
      await late.act(exec("touch b"));
      seen.length = 0;
      await late.session.ask(testing.script.inPrompt([exec("touch b"), "done"]), {
        hooks: { pre: [watch] },
        onEvent: (event) => late.events.push(event),
      });
      assert.deepEqual(seen, []);
      assert.ok(warnings(late).some((text) => /accepted for the session: these hooks/.test(text)));
    });

    await t.step(
      "hooks and rules see tools of servers that say of them what they like",
      async () => {
        const command = await nodePath();
        const args = [join(ROOT, "tests", "tools", "_mcp_hostile.mjs"), "likeness"];
        // Its tools say that they only read, which codex would believe.
        const mcpServers = { likeness: { command, args } };
        const call = callMcp(version, "likeness", "shell");
        const told = () => w.model.requests.at(-1)!.toolOutputs.map(({ text }) => text);
        const seen: string[] = [];
        const guard: plugin.PreHook = {
          name: "guard",
          phases: ["preToolUse"],
          call: ({ toolName }) => (seen.push(`pre ${toolName}`), { type: "block", reason: "no" }),
        };
        const after: plugin.PostHook = {
          name: "after",
          phases: ["postToolUse"],
          call: ({ toolName }) => void seen.push(`post ${toolName}`),
        };
        const hooked = await w.session({ mcpServers, hooks: { pre: [guard], post: [after] } });
        // Nobody is asked about resources: hooks are told of them afterwards.
        const read = { server: "likeness", uri: "book://1" };
        await hooked.act(call, toolCall("read_mcp_resource", read));
        const asks = version !== "0.104.0";
        assert.deepEqual(seen, [
          ...(asks ? ["pre likeness/shell"] : []),
          "post likeness/shell",
          "post likeness/read_mcp_resource",
        ]);
        assert.equal(/the likeness/.test(told()[0]!), !asks);
        assert.match(told()[1]!, /the text of book/);
        const note = hooked.session.policy.toolHooksNote ?? "";
        assert.equal(/calls of MCP tools: they run/.test(note), !asks);
        // Those of a single prompt come too late to have codex ask.
        const late = await w.session({ mcpServers });
        const tooLate = (place: typeof late) =>
          warnings(place).some((text) => /^Hooks and rules of a single prompt do not/.test(text));
        seen.length = 0;
        await late.session.ask(testing.script.inPrompt([call, "done"]), {
          hooks: { pre: [guard], post: [after] },
          onEvent: (event) => late.events.push(event),
        });
        assert.deepEqual(seen, ["post likeness/shell"]);
        assert.deepEqual([tooLate(late), tooLate(hooked)], [asks, false]);
        const config = { mcp_servers: mcpServers };
        const rules = [{ effect: "deny" as const, tool: "shell" }];
        for (const brought of [{ mcpServers }, { config }]) {
          await assert.rejects(
            w.session({ ...brought, approvalPolicy: "never", approvals: { rules } }),
            PolicyError,
          );
        }
        // The client's rules hold for other sessions as well, so that they are told.
        await using other = await world(version, { approvals: { rules } });
        const unasked = await other.session({ mcpServers, approvalPolicy: "never" });
        const run = async (approvalPolicy: "never" | "untrusted") => {
          await unasked.session.ask(testing.script.inPrompt([call, "done"]), {
            approvalPolicy,
            onEvent: (event) => unasked.events.push(event),
          });
          const { toolOutputs } = other.model.requests.at(-1)!;
          assert.match(toolOutputs[0]!.text, /the likeness/);
        };
        await run("never");
        assert.ok(warnings(unasked).some((text) => /the rule "rule 1" can't hold/.test(text)));
        assert.equal(tooLate(unasked), false);
        await run("untrusted");
        assert.equal(tooLate(unasked), asks);
        for (const brought of [{ mcpServers }, { config }]) {
          const ruled = await w.session({ ...brought, approvals: { rules } });
          await ruled.act(call);
          assert.equal(/the likeness/.test(told()[0]!), !asks);
          assert.deepEqual(words(ruled), asks ? ["decline rule"] : []);
        }
        // So do those that the user's configuration has.
        const file = join(w.model.clientConfig().env.set["CODEX_HOME"]!, "config.toml");
        const before = await readFile(file, "utf8").catch(() => "");
        const users = `\n[mcp_servers.likeness]\ncommand = "${command}"\nargs = ${
          JSON.stringify(args)
        }\n`;
        await writeFile(file, before + users);
        const never = { approvalPolicy: "never" as const, approvals: { rules } };
        await assert.rejects(w.session(never), PolicyError);
        const ruled = await w.session({ approvals: { rules } });
        await ruled.act(call);
        assert.equal(/the likeness/.test(told()[0]!), !asks);
        assert.deepEqual(words(ruled), asks ? ["decline rule"] : []);
        await writeFile(file, before);
      },
    );

    await t.step("policy.toolHooks is true where hooks see commands", async () => {
      for (const approvalPolicy of ["untrusted", "never", "on-request"] as const) {
        const seen: (string | undefined)[] = [];
        const place = await w.session({
          approvalPolicy,
          hooks: {
            pre: [{
              name: "guard",
              phases: ["preToolUse"],
              call: ({ toolName }) => {
                seen.push(toolName);
                return { type: "block", reason: "no" };
              },
            }],
          },
        });
        await place.act(exec("touch a"));
        const { toolHooks, toolHooksNote } = place.session.policy;
        assert.equal(seen.length > 0, toolHooks, approvalPolicy);
        assert.equal(place.has("a"), !toolHooks, approvalPolicy);
        if (!toolHooks) {
          assert.match(toolHooksNote!, /do not see/);
          assert.ok(warnings(place).includes(toolHooksNote!));
        }
      }
    });

    await t.step(
      "a review, of which codex asks nothing, is refused where somebody is to see it",
      async () => {
        const call = (): plugin.HookAction => ({ type: "block", reason: "no" });
        const rules = [{ effect: "deny" as const, command: ["touch"] }];
        const instructions = testing.script.inPrompt([exec("touch reviewed"), "fine"]);
        const target = { type: "custom" as const, instructions };
        for (
          const guard of [
            { hooks: { pre: [{ name: "guard", phases: ["preToolUse" as const], call }] } },
            { approvals: { rules } },
            {},
          ]
        ) {
          const place = await w.session(guard);
          await assert.rejects(place.session.review(target), PolicyError);
          assert.equal(place.has("reviewed"), false);
        }
        // What stays in the sandbox is asked about by nobody there either.
        const free = await w.session({ approvalPolicy: "on-request" });
        await free.session.review(target, { timeoutMs: 60_000 });
        assert.equal(free.has("reviewed"), true);
      },
    );
  });
}

for (const version of codexes(NEWEST_CODEX, "0.145.0", "0.125.0")) {
  test(`hooks and rules see tools of MCP servers whatever their names, codex ${version}`, async () => {
    await using w = await world(version, { approvals: () => ({ decision: "accept" }) });
    const args = [join(ROOT, "tests", "tools", "_mcp_hostile.mjs"), "named"];
    const mcpServers = { named: { command: await nodePath(), args } };
    const tools = ["wipe all", "lösche", 'say "x'];
    const calls = ["wipe_all", "l_sche", "say__x"]
      .map((tool) => callMcp(version, "named", tool, { of: "it" }));
    const ran = () =>
      w.model.requests.at(-1)!.toolOutputs.some(({ text }) => /likeness/.test(text));
    const seen: (string | undefined)[] = [];
    const guards = tools.map((tool, n) =>
      new FilteredPreHook({
        name: `guard ${n}`,
        phases: ["preToolUse"],
        call: ({ toolName }) => (seen.push(toolName), { type: "block", reason: "no" }),
      }, { toolName: `named/${tool}` })
    );
    const hooked = await w.session({ mcpServers, hooks: { pre: guards } });
    await hooked.act(...calls);
    assert.deepEqual(seen, tools.map((tool) => `named/${tool}`));
    assert.deepEqual([words(hooked), ran()], [tools.map(() => "decline hook"), false]);
    const ask = () => ({ decision: "accept" as const });
    const rules = [{ effect: "deny" as const, tool: tools }];
    const ruled = await w.session({ mcpServers, approvals: { rules, ask } });
    await ruled.act(...calls);
    assert.deepEqual([words(ruled), ran()], [tools.map(() => "decline rule"), false]);
    const free = await w.session({ mcpServers });
    await free.act(calls[0]!);
    assert.deepEqual([words(free), ran()], [["accept handler"], true]);
  });

  test(`no permission takes changes of files from hooks and rules, codex ${version}`, async () => {
    const flags = { "features.request_permissions_tool": true };
    await using w = await world(version, { flags });
    await using outside = await tempDir("outside-");
    const ask = toolCall("request_permissions", {
      reason: "to write there",
      permissions: { file_system: { write: [outside.path] } },
    });
    const patch = addFile(join(outside.path, ".env"));
    const approvals = ({ type }: { type: string }) => ({
      decision: type === "permissions" ? "acceptForSession" as const : "decline" as const,
    });

    const seen: (string | undefined)[] = [];
    const watch: plugin.PreHook = {
      name: "watch",
      phases: ["preToolUse"],
      call: ({ toolKind }) => (seen.push(toolKind), { type: "continue" }),
    };
    const hooked = await w.session({ approvals, hooks: { pre: [watch] } });
    await hooked.act(ask, patch);
    assert.deepEqual(words(hooked), ["decline library", "decline handler"]);
    assert.equal(seen.at(-1), "fileChange");

    const rules = [{ effect: "deny" as const, kind: "fileChange" as const, paths: ".env" }];
    const ruled = await w.session({ approvals: { rules, ask: approvals } });
    await ruled.act(ask, patch);
    assert.deepEqual(words(ruled), ["decline rule", "decline rule"]);
    assert.deepEqual(await readdir(outside.path), []);

    // Hooks that come later are told to be blind.
    const late = await w.session({ approvals });
    await late.act(ask);
    await late.session.ask(testing.script.inPrompt(["done"]), {
      hooks: { pre: [watch] },
      onEvent: (event) => late.events.push(event),
    });
    assert.ok(warnings(late).some((text) => /accepted for the session: these hooks/.test(text)));
  });
}
