/** What was judged is what is done, also when the model uses the id of a call again. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { type plugin, testing, TurnInterruptedError } from "../../mod.ts";
import type { ApprovalRules } from "../../src/approvals/mod.ts";
import { CODEX_VERSIONS, codexes } from "../_codex.ts";
import { onDeno, test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";
import { words, world } from "../real/_safety_world.ts";

const { applyPatch, exec, inPrompt, toolCall } = testing.script;

const add = (file: string) =>
  applyPatch(`*** Begin Patch\n*** Add File: ${file}\n+x\n*** End Patch`, { callId: "call_again" });

const run = (command: string) => exec(command, {}, { callId: "call_again" });

// 0.125 tells of one of two changes late.
for (const version of codexes(...CODEX_VERSIONS, "0.125.0")) {
  test(
    `a call id that comes again stands for the change that it is about, codex ${version}`,
    async (t) => {
      await using w = await world(version);

      await t.step(
        "a handler is shown each change, and what it accepted is what is written",
        async () => {
          const shown: (string | undefined)[] = [];
          const place = await w.session({
            sandbox: "read-only",
            approvals: (request) => {
              const path = request.type === "fileChange" ? request.changes?.[0]?.path : undefined;
              shown.push(path);
              return { decision: path?.endsWith("notes.txt") ? "accept" : "decline" };
            },
          });
          await place.act(add("notes.txt"), add("other.txt"));
          assert.deepEqual(shown, ["notes.txt", "other.txt"].map((file) => join(place.cwd, file)));
          assert.deepEqual([place.has("notes.txt"), place.has("other.txt")], [true, false]);
        },
      );

      await t.step("a rule judges the second change, not the first", async () => {
        const rules: ApprovalRules = {
          rules: [{ effect: "deny", kind: "fileChange", paths: [".env"] }, {
            effect: "allow",
            kind: "fileChange",
          }],
        };
        const place = await w.session({ sandbox: "read-only", approvals: rules });
        await place.act(add("notes.txt"), add(".env"));
        assert.deepEqual([place.has("notes.txt"), place.has(".env")], [true, false]);
        assert.deepEqual(words(place), ["accept rule", "decline rule"]);
      });

      await t.step("hooks see each change, before and after, once", async () => {
        const before: (string | undefined)[] = [];
        const after: string[] = [];
        const place = await w.session({
          sandbox: "read-only",
          approvals: () => ({ decision: "accept" }),
          hooks: {
            pre: [{
              name: "guard",
              phases: ["preToolUse"],
              call: ({ changes }) => {
                before.push(changes?.[0]?.path);
                return changes?.[0]?.path.endsWith(".env")
                  ? { type: "block", reason: "no" }
                  : { type: "continue" };
              },
            }],
            post: [{
              name: "watch",
              phases: ["postToolUse"],
              call: ({ changes, toolStatus }) =>
                void after.push(`${changes?.[0]?.path.split("/").pop()} ${toolStatus}`),
            }],
          },
        });
        await place.act(add("notes.txt"), add(".env"));
        assert.deepEqual(before, ["notes.txt", ".env"].map((file) => join(place.cwd, file)));
        assert.deepEqual(after, ["notes.txt completed", ".env declined"]);
        assert.deepEqual([place.has("notes.txt"), place.has(".env")], [true, false]);
      });

      await t.step(
        "two changes under one id at once are not told apart, so none is accepted",
        async () => {
          const place = await w.session({
            sandbox: "read-only",
            approvals: () => ({ decision: "accept" }),
          });
          place.events = [];
          await place.session.ask(
            inPrompt([[add("first.txt"), add("second.txt")], "done"]),
            { timeoutMs: 60_000, onEvent: (event) => place.events.push(event) },
          );
          const shown = place.events.flatMap((event) =>
            event.type === "approvalRequested" && event.request.type === "fileChange"
              ? event.request.changes?.map(({ path }) => path) ?? []
              : []
          );
          // Whatever was written had been shown, and was accepted under its own content.
          const accepted = words(place).filter((word) => word === "accept handler").length;
          const written = ["first.txt", "second.txt"].filter((file) => place.has(file));
          assert.ok(written.length <= accepted, `${written} of ${words(place)}`);
          for (const file of written) {
            assert.ok(shown.includes(join(place.cwd, file)));
            assert.equal(readFileSync(join(place.cwd, file), "utf8"), "x\n");
          }
          assert.ok(
            words(place).some((word) =>
              word === "decline failClosed" || word === "decline library"
            ),
          );
        },
      );

      await t.step("commands and patches that share an id are each told once", async () => {
        const before: string[] = [];
        const after: string[] = [];
        const name = ({ toolKind, script, changes }: plugin.HookContext) =>
          `${toolKind} ${script ?? changes?.[0]?.path.split("/").pop()}`;
        const place = await w.session({
          approvals: () => ({ decision: "accept" }),
          hooks: {
            pre: [{
              name: "before",
              phases: ["preToolUse"],
              call: (context) => (before.push(name(context)), { type: "continue" }),
            }],
            post: [{
              name: "after",
              phases: ["postToolUse"],
              call: (context) => void after.push(name(context)),
            }],
          },
        });
        const { items } = await place.act(
          run("touch one"),
          // The same once more is another use.
          run("touch one"),
          add("two"),
          run("touch three"),
          add("four"),
        );
        const uses = [
          "command touch one",
          "command touch one",
          "fileChange two",
          "command touch three",
          "fileChange four",
        ];
        assert.deepEqual(before, uses);
        assert.deepEqual(after, uses);
        const types = [
          ...["commandExecution", "commandExecution"],
          ...["fileChange", "commandExecution", "fileChange"],
        ];
        const kinds = (all: readonly { type: string }[]) =>
          all.map(({ type }) => type).filter((type) => types.includes(type));
        assert.deepEqual(kinds(items), types);
        const { threads } = w.client.runtime.state();
        assert.deepEqual(kinds(threads[place.session.threadId]!.turns.at(-1)!.items), types);
        const told = place.events.flatMap((event) =>
          event.type === "itemCompleted" ? [event.item] : []
        );
        assert.deepEqual(kinds(told), types);
      });

      await t.step(
        "what was accepted lets nothing else run that came with it under one id",
        async () => {
          const place = await w.session({
            approvals: (request) => {
              const about = request.type === "command"
                ? request.script
                : request.type === "fileChange"
                ? request.changes?.[0]?.path
                : null;
              return { decision: about?.includes("good") ? "accept" : "decline" };
            },
          });
          const pairs: ((n: number) => testing.ModelStep[])[] = [
            (n) => [run(`touch good${n}`), run(`touch bad${n}`)],
            (n) => [run(`touch bad${n}`), run(`touch good${n}`)],
            (n) => [add(`good${n}`), run(`touch bad${n}`)],
            (n) => [run(`touch good${n}`), add(`bad${n}`)],
          ];
          for (let n = 0; n < 12; n++) {
            place.events = [];
            const prompt = inPrompt([pairs[n % 4]!(n), "done"]);
            // A turn in which the other came too late to be declined is stopped.
            await place.session.ask(prompt, {
              timeoutMs: 60_000,
              onEvent: (event) => place.events.push(event),
            }).catch((error) => assert.ok(error instanceof TurnInterruptedError, error));
            assert.ok(words(place).length >= 1);
            assert.equal(place.has(`bad${n}`), false, `${n}: ${words(place)}`);
          }
        },
      );
    },
  );
}

// Codex 0.145 and older tell the last of several changes of one file, and make them all; newer ones refuse such patches.
for (const version of codexes("0.145.0", "0.104.0")) {
  test(`a patch that does more than codex tells of is declined, codex ${version}`, async () => {
    await using w = await world(version);
    await using outside = await tempDir("outside-");
    const seen: string[] = [];
    const place = await w.session({
      approvals: {
        rules: [
          { effect: "deny", kind: "fileChange", paths: [".env"] },
          { effect: "allow", kind: "fileChange", paths: ["*.txt"] },
        ],
        default: "decline",
      },
      hooks: {
        pre: [{
          name: "watch",
          phases: ["preToolUse"],
          call: ({ changes }) => {
            seen.push(changes?.[0]?.path.split("/").pop() ?? "");
            return { type: "continue" };
          },
        }],
      },
    });
    await writeFile(join(place.cwd, "a.txt"), "1\n2\n");
    const file = "*** Add File: a.txt\n+1\n+2";
    const moved = (to: string) => `*** Update File: a.txt\n*** Move to: ${to}\n@@\n-1\n+x`;
    const seemly = "*** Update File: a.txt\n@@\n-2\n+y";
    const patch = (...sections: string[]) =>
      `*** Begin Patch\n${sections.join("\n")}\n*** End Patch`;
    const hidden = [
      patch(moved(join(outside.path, "p")), file, seemly),
      patch(moved(".env"), file, seemly),
      patch("*** Add File: a.txt\n+bad\n+2", seemly),
    ];
    for (const text of hidden) {
      // The id comes again: each question is about the call that has no answer yet.
      await place.act(applyPatch(text, { callId: "call_again" }));
      assert.deepEqual(words(place), ["decline library"]);
      assert.match(place.audits()[0]!.reason!, /more changes than this codex tells/);
    }
    await place.act(exec(`apply_patch <<'EOF'\n${hidden[1]}\nEOF`));
    assert.deepEqual(words(place), ["decline library"]);
    assert.deepEqual(seen, []);
    assert.deepEqual([place.has(".env"), existsSync(join(outside.path, "p"))], [false, false]);
    assert.equal(readFileSync(join(place.cwd, "a.txt"), "utf8"), "1\n2\n");
    await place.act(
      applyPatch(patch(seemly, "*** Add File: b.txt\n+*** Add File: c"), { callId: "call_again" }),
    );
    assert.deepEqual(words(place), ["accept rule"]);
    assert.equal(readFileSync(join(place.cwd, "a.txt"), "utf8"), "1\ny\n");
  });
}

/** An MCP server that writes down which of its calls were made. */
const MCP_SERVER = `
import { appendFileSync } from "node:fs";
import { createInterface } from "node:readline";
import process from "node:process";
const say = (m) => process.stdout.write(JSON.stringify({ jsonrpc: "2.0", ...m }) + "\\n");
createInterface({ input: process.stdin }).on("line", (line) => {
  const { id, method, params } = JSON.parse(line);
  if (method === "initialize") {
    const serverInfo = { name: "notes", version: "1.0.0" };
    say({ id, result: { protocolVersion: params.protocolVersion, capabilities: { tools: {} }, serverInfo } });
  } else if (method === "tools/list") {
    const inputSchema = { type: "object", properties: { text: { type: "string" } } };
    say({ id, result: { tools: [{ name: "note", description: "Notes", inputSchema }] } });
  } else if (method === "tools/call") {
    appendFileSync(process.argv[2], params.arguments.text + "\\n");
    say({ id, result: { content: [{ type: "text", text: "noted" }] } });
  } else if (id !== undefined) say({ id, result: {} });
});`;

for (const version of codexes("0.169.0", "0.145.0")) {
  test(
    `of MCP calls under one id, what was accepted is all that is made, codex ${version}`,
    async () => {
      await using dir = await tempDir("mcp-");
      const [server, made] = [join(dir.path, "server.mjs"), join(dir.path, "made")];
      await writeFile(server, MCP_SERVER);
      const args = [...(onDeno ? ["run", "--quiet", "-A"] : []), server, made];
      await using w = await world(version, {
        flags: {
          "mcp_servers.notes.command": process.execPath,
          "mcp_servers.notes.args": args,
          "mcp_servers.notes.env": { DENO_NO_UPDATE_CHECK: "1" },
          // The user's own setting: without it codex asks about one call after the other.
          "mcp_servers.notes.supports_parallel_tool_calls": true,
        },
      });
      const before: string[] = [];
      const after: string[] = [];
      let asked = Promise.resolve();
      const place = await w.session({
        // A person takes longer than codex does to ask about the other.
        approvals: async (request) => {
          if (request.type !== "elicitation") return { decision: "decline" };
          await asked;
          const text = JSON.stringify(request.toolArguments);
          return { decision: text.includes("good") ? "accept" : "decline" };
        },
        hooks: {
          pre: [{
            name: "before",
            phases: ["preToolUse"],
            call: ({ toolInput }) => (before.push(JSON.stringify(toolInput)), { type: "continue" }),
          }],
          post: [{
            name: "after",
            phases: ["postToolUse"],
            call: ({ toolInput }) => void after.push(JSON.stringify(toolInput)),
          }],
        },
      });
      const note = (text: string, callId: string) =>
        toolCall("note", { text }, { namespace: "mcp__notes", callId });
      const calls = () => existsSync(made) ? readFileSync(made, "utf8").trim().split("\n") : [];
      const shown = (...texts: string[]) => texts.map((text) => JSON.stringify({ text }));

      await place.session.ask(
        inPrompt([[note("good 1", "call_1"), note("bad 1", "call_2")], "done"]),
        { timeoutMs: 60_000 },
      );
      assert.deepEqual(calls(), ["good 1"]);
      for (const [first, second] of [["good 2", "bad 2"], ["bad 3", "good 3"]] as const) {
        place.events = [];
        const both = Promise.withResolvers<void>();
        asked = both.promise;
        await place.session.ask(
          inPrompt([[note(first, "call_again"), note(second, "call_again")], "done"]),
          {
            timeoutMs: 60_000,
            onEvent: (event) => {
              place.events.push(event);
              const questions = place.events.filter(({ type }) => type === "approvalRequested");
              if (questions.length === 2) both.resolve();
            },
          },
        );
        assert.ok(!calls().some((text) => text.startsWith("bad")), calls().join());
        assert.ok(words(place).includes("decline failClosed"), words(place).join());
      }
      await place.act(note("bad 4", "call_again"), note("good 4", "call_again"));
      assert.deepEqual(words(place), ["decline handler", "accept handler"]);
      assert.deepEqual(calls().filter((text) => !/[23]$/.test(text)), ["good 1", "good 4"]);
      const all = shown("bad 1", "bad 2", "bad 3", "bad 4", "good 1", "good 2", "good 3", "good 4");
      assert.deepEqual(after.sort(), all);
      assert.ok(before.length >= 4 && before.every((text) => all.includes(text)), before.join());
    },
  );
}
