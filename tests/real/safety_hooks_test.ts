/** Tool-use hooks see what is real, refuse when in doubt, and have no say beyond their own session and turn. */
import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import {
  InvalidArgumentError,
  type plugin,
  PolicyError,
  ShellCommandHook,
  type testing,
} from "../../mod.ts";
import { exec, inPrompt, say, toolCall } from "../../src/testing/model/script.ts";
import { CODEX_VERSIONS, NEWEST_CODEX } from "../_codex.ts";
import { test } from "../_harness.ts";
import { addFile, latch, statuses, within, words, type World, world } from "./_safety_world.ts";

const ACCEPT = () => ({ decision: "accept" }) as const;
const CONTINUE = { type: "continue" } as const;

/** Hooks around tool uses; `call` decides. */
function onTools(call: plugin.PreHook["call"], rest: Partial<plugin.PreHook> = {}): plugin.Hooks {
  return { pre: [{ name: "guard", phases: ["preToolUse"], call, ...rest }] };
}

/** The approval policies that turns were started with, oldest first. */
async function policiesSent(w: World, threadId: string, count: number): Promise<unknown[]> {
  const sent: unknown[] = [];
  for await (const event of w.client.runtime.events({ after: 0 })) {
    if (event.kind !== "request" || event.method !== "turn/start") continue;
    const { params } = event.message as { params: { threadId: string; approvalPolicy: unknown } };
    if (params.threadId !== threadId) continue;
    sent.push(params.approvalPolicy);
    if (sent.length === count) break;
  }
  return sent;
}

for (const version of CODEX_VERSIONS) {
  test(
    `a tool hook sees every command of a session that asks nobody, codex ${version}`,
    async (t) => {
      await using w = await world(version);

      await t.step("untrusted is sent in the place of never, and the policy says so", async () => {
        const seen: string[] = [];
        const place = await w.session({
          approvalPolicy: "never",
          hooks: onTools(({ toolName }) => {
            seen.push(toolName!);
            return CONTINUE;
          }),
        });
        const { policy } = place.session;
        assert.deepEqual([policy.toolHooks, policy.approvalPolicy], [true, "untrusted"]);
        assert.match(policy.toolHooksNote!, /"never" was sent as "untrusted"/);
        await place.act(exec("touch a"), addFile("b"));
        await place.act(exec("touch a"));
        assert.deepEqual(seen, ["touch", "apply_patch", "touch"]);
        // A hook that lets pass grants nothing: there are no rules and no handler.
        assert.deepEqual([place.has("a"), place.has("b")], [false, false]);
        assert.deepEqual(await policiesSent(w, place.session.threadId, 2), [
          "untrusted",
          "untrusted",
        ]);
      });

      await t.step("hooks of one prompt hold for that prompt only", async () => {
        const place = await w.session({ approvalPolicy: "never" });
        const seen: string[] = [];
        const hooks = onTools(({ toolName }) => {
          seen.push(toolName!);
          return CONTINUE;
        });
        const prompt = (file: string) => inPrompt([exec(`touch ${file}`), "done"]);
        await place.session.ask(prompt("a"), { hooks });
        const abort = new AbortController();
        const asked = latch();
        const gone = place.session.ask(prompt("b"), {
          signal: abort.signal,
          hooks: onTools((_, { signal }) => {
            asked.resolve();
            return new Promise((_, reject) => signal.addEventListener("abort", reject));
          }),
        });
        const rejected = assert.rejects(gone);
        await asked.promise;
        abort.abort(new Error("enough"));
        await rejected;
        await place.session.ask(prompt("c"));
        assert.deepEqual(seen, ["touch"]);
        assert.deepEqual([place.has("a"), place.has("b"), place.has("c")], [false, false, true]);
        const sent = await policiesSent(w, place.session.threadId, 3);
        assert.deepEqual(sent, ["untrusted", "untrusted", "never"]);
      });

      await t.step("a session with post-hooks only goes on asking nobody", async () => {
        const ended: [string | undefined, string | undefined][] = [];
        const place = await w.session({
          approvalPolicy: "never",
          hooks: {
            post: [{
              name: "watch",
              phases: ["postToolUse"],
              call: ({ toolName, status }) => void ended.push([toolName, status]),
            }],
          },
        });
        assert.equal(place.session.policy.approvalPolicy, "never");
        await place.act(exec("touch a"), addFile("b"), exec("false"));
        assert.deepEqual([place.has("a"), place.has("b")], [true, true]);
        assert.deepEqual(ended, [["touch", "ok"], ["apply_patch", "ok"], ["false", "error"]]);
      });
    },
  );

  test(
    `a tool hook gets the tool's real name, words, place and diff, codex ${version}`,
    async () => {
      await using w = await world(version, { approvals: ACCEPT, experimentalApi: true });
      const seen: plugin.HookContext[] = [];
      const place = await w.session({
        approvalPolicy: "never",
        hooks: onTools((context) => {
          seen.push(context);
          return CONTINUE;
        }),
        tools: {
          lookup: { description: "Looks up", inputSchema: { type: "object" }, run: () => "found" },
        },
      });
      await writeFile(join(place.cwd, "old.txt"), "one\n");
      const result = await place.act(
        exec("touch 'a b'"),
        exec("touch x && mv x y"),
        exec(
          "apply_patch <<'EOF'\n*** Begin Patch\n*** Update File: old.txt\n@@\n-one\n+two\n*** End Patch\nEOF",
        ),
        toolCall("lookup", { id: 7 }),
      );
      const [simple, script, patch, tool] = seen;
      for (const { threadId, turnId, phase } of seen) {
        assert.deepEqual([threadId, turnId, phase], [result.threadId, result.turnId, "preToolUse"]);
      }
      assert.deepEqual([simple?.toolKind, simple?.toolName], ["command", "touch"]);
      assert.deepEqual([simple?.argv, simple?.cwd], [["touch", "a b"], place.cwd]);
      assert.deepEqual([script?.toolName, script?.script], ["touch", "touch x && mv x y"]);
      assert.deepEqual([patch?.toolKind, patch?.toolName], ["fileChange", "apply_patch"]);
      assert.deepEqual(patch?.changes?.map(({ path, kind }) => [path, kind]), [
        [join(place.cwd, "old.txt"), "update"],
      ]);
      assert.match(patch!.diff!, /^-one\n\+two$/m);
      assert.deepEqual([tool?.toolKind, tool?.toolName, tool?.toolInput], [
        "dynamicTool",
        "lookup",
        {
          id: 7,
        },
      ]);
      assert.equal(await readFile(join(place.cwd, "old.txt"), "utf8"), "two\n");
    },
  );

  test(
    `a tool hook that fails refuses, and the result tells, codex ${version}`,
    async (t) => {
      await using w = await world(version, { approvals: ACCEPT });
      const shell = (code: string) =>
        new ShellCommandHook("guard", [
          process.execPath,
          ...(process.versions["bun"] ? [] : ["eval"]),
          ...(process.versions["bun"] ? ["-e"] : []),
          code,
        ], {
          phases: ["preToolUse"],
          timeoutMs: 20_000,
        });
      const nonsense = (() => ({ decision: "accept" })) as unknown as plugin.PreHook["call"];
      const cases: [string, plugin.Hooks, string | null][] = [
        ["it throws", onTools(() => Promise.reject(new Error("broken"))), "execution"],
        ["it never ends", onTools(() => new Promise(() => {}), { timeoutMs: 200 }), "timeout"],
        ["it says nonsense", onTools(nonsense), "validation"],
        ["its program fails", { pre: [shell("process.exit(1)")] }, "execution"],
        ["its program is not there", {
          pre: [
            new ShellCommandHook("guard", ["no-such-program-here"], { phases: ["preToolUse"] }),
          ],
        }, "execution"],
        ["its program says no", { pre: [shell("process.exit(2)")] }, null],
      ];
      for (const [name, hooks, issue] of cases) {
        await t.step(name, async () => {
          const place = await w.session({ approvalPolicy: "never", hooks });
          const result = await place.act(exec("touch no"));
          assert.equal(place.has("no"), false);
          assert.equal(result.assistantText, "done");
          assert.deepEqual(words(place), ["decline hook"]);
          const found = result.hooks.issues.map((one) => [one.hookName, one.phase, one.class]);
          assert.deepEqual(found, issue === null ? [] : [["guard", "preToolUse", issue]]);
        });
      }
      await t.step("unless it is told to stand aside", async () => {
        const hooks = onTools(() => Promise.reject(new Error("broken")), { onError: "continue" });
        const place = await w.session({ approvalPolicy: "never", hooks });
        const result = await place.act(exec("touch yes"));
        assert.equal(place.has("yes"), true);
        assert.equal(result.hooks.issues.length, 1);
      });
      await t.step("the issues of every way to ask are in its result", async () => {
        const hooks = onTools(() => Promise.reject(new Error("broken")));
        const prompt = inPrompt([exec("touch no"), "done"]);
        const { session, cwd } = await w.session();
        const stream = await session.askStream(prompt, { hooks });
        const results = [
          await session.ask(prompt, { hooks }),
          await stream.finish(),
          await w.client.run(cwd, prompt, { hooks }),
        ];
        for (const { hooks: report } of results) assert.equal(report.issues.length, 1);
      });
    },
  );

  test(
    `one session's tool hook neither answers for another session nor sees it, codex ${version}`,
    async () => {
      await using w = await world(version);
      const seenByA: string[] = [];
      const askedOfB = latch();
      const a = await w.session({
        approvalPolicy: "never",
        hooks: onTools(async ({ threadId }) => {
          seenByA.push(threadId!);
          // Both are at work at the same time.
          await askedOfB.promise;
          return CONTINUE;
        }),
        approvals: ACCEPT,
      });
      const b = await w.session({
        approvals: () => {
          askedOfB.resolve();
          return { decision: "decline" };
        },
      });
      const c = await w.session();
      await Promise.all([
        a.act(exec("touch f && echo hi")),
        b.act(exec("touch f && echo hi"), addFile("g")),
        c.act(exec("touch f && echo hi"), addFile("g")),
      ]);
      assert.deepEqual(seenByA, [a.session.threadId]);
      assert.deepEqual([a.has("f"), b.has("f"), b.has("g"), c.has("f"), c.has("g")], [
        true,
        false,
        false,
        false,
        false,
      ]);
      assert.deepEqual(words(b), ["decline handler", "decline handler"]);
      assert.deepEqual(words(c), ["decline failClosed", "decline failClosed"]);
      await a.session.release();
      await b.act(exec("touch f"));
      assert.equal(b.has("f"), false);
    },
  );

  test(`a slow tool hook delays its own turn only, codex ${version}`, async (t) => {
    await using w = await world(version, { approvals: ACCEPT });
    const asked = latch();
    const open = latch();
    const slow = await w.session({
      approvalPolicy: "never",
      hooks: onTools(async () => {
        asked.resolve();
        await open.promise;
        return CONTINUE;
      }, { timeoutMs: 60_000 }),
    });
    const other = await w.session();
    const turn = slow.act(exec("touch late"));
    await asked.promise;

    await t.step("calls are answered meanwhile", async () => {
      const call = w.client.runtime.request("thread/loaded/list", {});
      await within(15_000, "a call", call);
    });
    await t.step("another session's questions are answered and its turns end", async () => {
      const result = await within(15_000, "the other turn", other.act(exec("touch soon")));
      assert.equal(other.has("soon"), true);
      assert.deepEqual(statuses(result, "commandExecution"), ["completed"]);
    });
    await t.step("and the slow one ends when its hook does", async () => {
      assert.equal(slow.has("late"), false);
      open.resolve();
      await turn;
      assert.equal(slow.has("late"), true);
    });
    await t.step("a hook can call the server and the session's client itself", async () => {
      const place = await w.session({
        hooks: onTools(async () => {
          await w.client.runtime.request("thread/loaded/list", {});
          await other.session.ask(inPrompt(["from a hook"]));
          return CONTINUE;
        }),
      });
      await within(15_000, "a hook that calls", place.act(exec("touch called")));
      assert.equal(place.has("called"), true);
    });
  });
}

test(
  "agents that an agent starts answer to its session: its hooks, its handler, its diffs",
  async (t) => {
    const namespace = "multi_agent_v1";
    let child: testing.ModelStep = say("");
    await using w = await world(NEWEST_CODEX, {
      flags: { "features.multi_agent": true },
      script({ text, toolOutputs }) {
        if (text === "child") return toolOutputs.length === 0 ? child : "child is done";
        if (text.startsWith("<subagent_notification")) return "done";
        const [spawned] = toolOutputs;
        if (spawned === undefined) {
          return toolCall("spawn_agent", { message: "child" }, { namespace });
        }
        if (toolOutputs.length > 1) return "done";
        const { agent_id } = JSON.parse(spawned.text);
        return toolCall("wait_agent", { targets: [agent_id], timeout_ms: 20_000 }, { namespace });
      },
    });
    const seen: plugin.HookContext[] = [];
    const ended: string[] = [];
    const verdict: { now: plugin.HookAction } = { now: { type: "block", reason: "not by agents" } };
    const asked: (string | null)[] = [];
    const place = await w.session({
      approvalPolicy: "never",
      approvals: (request) => {
        asked.push(request.threadId);
        return { decision: "accept" };
      },
      hooks: {
        ...onTools((context) => {
          seen.push(context);
          return verdict.now;
        }),
        post: [{
          name: "watch",
          phases: ["postToolUse"],
          call: ({ toolName, toolStatus }) => void ended.push(`${toolName} ${toolStatus}`),
        }],
      },
    });
    await t.step("its hooks can refuse", async () => {
      child = exec("touch child");
      await place.session.ask("go");
      assert.equal(place.has("child"), false);
      assert.equal(seen.length, 1);
      assert.notEqual(seen[0]!.threadId, place.session.threadId);
      assert.deepEqual(asked, []);
      assert.deepEqual(ended, ["touch declined"]);
    });
    await t.step("its handler decides, and sees the diff", async () => {
      verdict.now = CONTINUE;
      child = addFile("child.txt");
      await place.session.ask("go");
      assert.equal(place.has("child.txt"), true);
      assert.match(seen.at(-1)!.diff!, /^\+x$/m);
      assert.deepEqual(asked, [seen.at(-1)!.threadId]);
      assert.equal(ended.at(-1), "apply_patch completed");
    });
  },
);

test("threads without a session answer to the client's hooks", async () => {
  const seen: plugin.HookContext[] = [];
  await using w = await world(NEWEST_CODEX, {
    approvals: ACCEPT,
    hooks: onTools((context) => {
      seen.push(context);
      return context.toolKind === "command" ? { type: "block", reason: "no" } : CONTINUE;
    }),
  });
  const place = await w.session();
  const { thread } = await w.client.runtime.request("thread/start", {
    cwd: place.cwd,
    approvalPolicy: "untrusted",
  }, { allowPrivilegedEscalation: true }) as { thread: { id: string } };
  const ended = (async () => {
    for await (const event of w.client.runtime.events()) {
      if (event.method === "turn/completed" && event.threadId === thread.id) return;
    }
  })();
  const text = inPrompt([exec("touch no"), addFile("yes"), "done"]);
  await w.client.runtime.request("turn/start", {
    threadId: thread.id,
    input: [{ type: "text", text, text_elements: [] }],
  });
  await ended;
  assert.deepEqual(seen.map(({ threadId, toolName }) => [threadId, toolName]), [
    [thread.id, "touch"],
    [thread.id, "apply_patch"],
  ]);
  assert.match(seen[1]!.diff!, /^\+x$/m);
  assert.deepEqual([place.has("no"), place.has("yes")], [false, true]);
});

test(
  "no prompt, session or raw call gets a wider sandbox than was consented to",
  async () => {
    await using w = await world(NEWEST_CODEX);
    const { session, cwd } = await w.session();
    const { client, model } = w;
    const full = { sandbox: "danger-full-access", approvalPolicy: "never" } as const;
    const refused: [string, () => Promise<unknown>][] = [
      ["ask", () => session.ask("x", { ...full, allowPrivilegedEscalation: false })],
      ["ask, unattended", () => session.ask("x", { ...full, allowPrivilegedEscalation: true })],
      ["askStream", () => session.askStream("x", full)],
      ["startSession", () => client.startSession({ cwd, sandbox: "workspace-write" })],
      ["resumeSession", () => client.resumeSession(crypto.randomUUID(), { cwd, ...full })],
      ["run", () => client.run(cwd, "x", full)],
      [
        "thread/start",
        () => client.runtime.request("thread/start", { cwd, sandbox: full.sandbox }),
      ],
      ["turn/start", () =>
        client.runtime.request("turn/start", {
          threadId: session.threadId,
          input: [],
          sandboxPolicy: { type: "dangerFullAccess" },
        })],
      [
        "command/exec",
        () => client.runtime.request("command/exec", { command: ["touch", "no"], cwd }),
      ],
    ];
    const before = model.requests.length;
    for (const [name, call] of refused) await assert.rejects(call, PolicyError, name);
    const sandbox = { type: "anyAccess" } as never;
    await assert.rejects(client.startSession({ cwd, sandbox }), InvalidArgumentError);
    assert.equal(model.requests.length, before);
    for await (const { kind, method, message } of client.runtime.events({ after: 0 })) {
      if (kind !== "request") continue;
      assert.doesNotMatch(JSON.stringify(message), /danger/i);
      // Before it nothing but lookups was sent.
      if (method === "thread/start") break;
      assert.match(method ?? "", /^(?:initialize|hooks\/list|config\/read)$/);
    }
  },
);
