import assert from "node:assert/strict";
import { HookBlockedError } from "../../../src/errors/mod.ts";
import { HookRun } from "../../../src/plugin/hook_run.ts";
import { mergeHooks } from "../../../src/plugin/validate.ts";
import type { HookAction, HookContext, PostHook, PreHook } from "../../../src/plugin/types.ts";
import { test } from "../../_harness.ts";

const go: HookAction = { type: "continue" };

function pre(
  name: string,
  call: PreHook["call"],
  more: Partial<Omit<PreHook, "name" | "call">> = {},
): PreHook {
  return { name, call, ...more };
}

function run(preHooks: PreHook[], post: PostHook[] = [], signal?: AbortSignal): HookRun {
  const hooks = mergeHooks({ pre: preHooks, post });
  return new HookRun(hooks, {
    cwd: "/w",
    correlationId: "hk-1",
    ...(signal === undefined ? {} : { signal }),
  });
}

const never = (): Promise<HookAction> => new Promise(() => {});

test("pre() applies patches in order, and each hook sees what the earlier ones changed", async () => {
  const seen: HookContext[] = [];
  const hooks = run([
    pre("one", (context) => {
      seen.push(context);
      return { type: "mutate", patch: { prompt: "B", metadata: { one: true } } };
    }),
    pre("two", (context) => {
      seen.push(context);
      return {
        type: "mutate",
        patch: { prompt: `${context.prompt}C`, model: "m2", attachments: ["x.md"] },
      };
    }),
    pre("three", async (context) => {
      seen.push(context);
      return await Promise.resolve(go);
    }),
  ]);
  const patched = await hooks.pre("preTurn", {
    prompt: "A",
    model: "m1",
    attachments: ["a.md"],
    threadId: "t1",
  });
  assert.deepEqual(patched, {
    prompt: "BC",
    model: "m2",
    attachments: ["a.md", "x.md"],
    metadata: { one: true },
  });
  assert.deepEqual(seen.map((c) => [c.prompt, c.model, c.metadata]), [
    ["A", "m1", {}],
    ["B", "m1", { one: true }],
    ["BC", "m2", { one: true }],
  ]);
  assert.deepEqual(
    [seen[0]?.phase, seen[0]?.cwd, seen[0]?.threadId, seen[0]?.correlationId],
    ["preTurn", "/w", "t1", "hk-1"],
  );
  assert.deepEqual(hooks.report.ran.map((r) => [r.name, r.phase, r.action]), [
    ["one", "preTurn", "mutate"],
    ["two", "preTurn", "mutate"],
    ["three", "preTurn", "continue"],
  ]);
  assert.deepEqual(hooks.report.issues, []);
});

test("metadata of one phase reaches the later phases, and a hook cannot change it behind our back", async () => {
  const seen: unknown[] = [];
  const note = { list: [1] };
  const hooks = run([
    pre("a", ({ phase, metadata }) => {
      (metadata as Record<string, unknown>)["sneaked"] = true;
      return phase === "preRun" ? { type: "mutate", patch: { metadata: { note } } } : go;
    }),
  ], [{ name: "p", call: ({ metadata }) => seen.push(metadata) }]);
  await hooks.pre("preRun", { prompt: "x" });
  note.list.push(2);
  await hooks.pre("preTurn", { prompt: "x" });
  await hooks.post("postTurn", { status: "ok" });
  assert.deepEqual(seen, [{ note: { list: [1] } }]);
});

test("what a hook does to its context reaches no other hook and nothing that is judged or run", async () => {
  const seen: unknown[] = [];
  // Sets each value in it to another one and empties each list.
  const spoil = (value: unknown): void => {
    if (typeof value !== "object" || value === null || value instanceof Error) return;
    for (const key of Object.keys(value)) {
      spoil(Reflect.get(value, key));
      if (!Array.isArray(value)) Reflect.set(value, key, "spoiled");
    }
    if (Array.isArray(value)) value.length = 0;
  };
  const look = (context: HookContext) => {
    const { at: _, phase: __, metadata: ___, ...facts } = context;
    seen.push(structuredClone(facts));
    spoil(context);
  };
  const twice = ["one", "two"].map((name) => pre(name, (context) => (look(context), go)));
  const changes = [{ path: "/w/.env", kind: "add" as const, diff: "x" }];
  const input = {
    toolKind: "fileChange",
    argv: ["git", "push"],
    changes,
    toolInput: { amount: [1] },
    item: { type: "fileChange", id: "i", changes, status: "inProgress" } as never,
  };
  const before = structuredClone(input);
  const hooks = run(twice, ["three", "four"].map((name) => ({ name, call: look })));
  assert.deepEqual(await hooks.toolPre(input), { type: "continue" });
  await hooks.toolPost({ ...input, status: "ok" });
  assert.deepEqual(input, before);
  assert.equal(seen.length, 4);
  assert.deepEqual(seen[1], seen[0]);
  assert.deepEqual(seen[3], seen[2]);
  const attachments = [{ type: "path" as const, path: "a.md" }, "b.md"];
  const patched = await run(twice).pre("preTurn", { prompt: "x", attachments });
  assert.deepEqual(patched.attachments, [{ type: "path", path: "a.md" }, "b.md"]);
  assert.deepEqual(attachments, [{ type: "path", path: "a.md" }, "b.md"]);
});

test("pre() stops at the first block with the hook's name, phase and reason", async () => {
  let later = 0;
  const hooks = run([
    pre("guard", () => ({ type: "block", reason: "not today" })),
    pre("later", () => (later++, go)),
  ]);
  await assert.rejects(hooks.pre("preRun", { prompt: "x" }), (error: unknown) => {
    assert.ok(error instanceof HookBlockedError);
    assert.deepEqual([error.hookName, error.phase, error.reason], ["guard", "preRun", "not today"]);
    return true;
  });
  assert.equal(later, 0);
});

test("a pre-hook that throws, hangs or answers nonsense blocks by default", async () => {
  const rows: [string, PreHook["call"], string][] = [
    ["throws", () => {
      throw new Error("boom");
    }, "execution"],
    ["rejects", () => Promise.reject(new Error("boom")), "execution"],
    ["rejects with a string", () => Promise.reject("boom"), "execution"],
    ["hangs", never, "timeout"],
    ["returns nothing", (() => {}) as never, "validation"],
    ["misspells", () => ({ type: "blok" }) as never, "validation"],
  ];
  for (const [name, call, kind] of rows) {
    const hooks = run([pre(name, call, { timeoutMs: 20 })]);
    await assert.rejects(hooks.pre("preTurn", {}), HookBlockedError, name);
    assert.deepEqual(
      hooks.report.issues.map((i) => [i.hookName, i.phase, i.class]),
      [[name, "preTurn", kind]],
    );
    assert.deepEqual(hooks.report.ran.map((r) => r.action), ["error"]);
    const verdict = await run([pre(name, call, { timeoutMs: 20 })]).toolPre({ toolName: "git" });
    assert.equal(verdict.type, "block", `${name} on tool use`);
  }
});

test("what a hook threw is told without secrets: in issues, in the error and to the model", async () => {
  const secret = "hunter2-of-the-database";
  const fails = (): never => {
    throw new Error(`${"no ".repeat(185)}postgres://app:${secret}@db.example/x refused`);
  };
  const hooks = run(
    [
      pre("start", fails, { phases: ["preTurn"] }),
      pre("use", fails, { phases: ["preToolUse"] }),
      pre("odd", () => ({ type: `postgres://app:${secret}@db` }) as unknown as HookAction, {
        phases: ["preRun"],
      }),
    ],
    [{ name: "end", call: fails }],
  );
  const told: string[] = [];
  for (const phase of ["preTurn", "preRun"] as const) {
    await assert.rejects(hooks.pre(phase, { prompt: "A" }), (error: Error) => {
      told.push(error.message);
      return error instanceof HookBlockedError;
    });
  }
  told.push(JSON.stringify(await hooks.toolPre({ toolName: "shell" })));
  await hooks.post("postTurn", { status: "ok" });
  assert.equal(hooks.report.issues.length, 4);
  told.push(JSON.stringify(hooks.report.issues));
  for (const text of told) assert.ok(!text.includes("hunter2"), text);
  assert.match(told[0]!, /the hook failed: no no/);
});

test("who is told that a hook failed finds what it threw", async () => {
  const thrown = new Error("no");
  const hooks = run([pre("start", () => Promise.reject(thrown), { phases: ["preTurn"] })]);
  await assert.rejects(hooks.pre("preTurn", { prompt: "A" }), (error) => {
    assert.ok(error instanceof HookBlockedError);
    assert.deepEqual([error.cause, error.data?.["reason"]], [thrown, "hookFailed"]);
    return true;
  });
});

test("a failing pre-hook with onError continue is only an issue", async () => {
  const hooks = run([
    pre("bad", () => {
      throw new Error("boom");
    }, { onError: "continue" }),
    pre("good", () => ({ type: "mutate", patch: { prompt: "changed" } })),
  ]);
  assert.equal((await hooks.pre("preTurn", { prompt: "x" })).prompt, "changed");
  assert.deepEqual(hooks.report.issues, [
    { hookName: "bad", phase: "preTurn", class: "execution", message: "boom" },
  ]);
  assert.deepEqual(await hooks.toolPre({ toolName: "git" }), { type: "continue" });
});

test("a block holds although onError is continue", async () => {
  const hook = pre("g", () => ({ type: "block", reason: "no" }), { onError: "continue" });
  await assert.rejects(run([hook]).pre("preTurn", {}), HookBlockedError);
  assert.equal((await run([hook]).toolPre({})).type, "block");
});

test("the hook's signal is aborted at its limit, and a late answer changes nothing", async () => {
  let aborted: unknown;
  let answer: (action: HookAction) => void = () => {};
  const hooks = run([
    pre("slow", (_, { signal }) => {
      signal.addEventListener("abort", () => aborted = signal.reason);
      return new Promise((resolve) => answer = resolve);
    }, { timeoutMs: 10, onError: "continue" }),
  ]);
  const patched = await hooks.pre("preTurn", { prompt: "x" });
  answer({ type: "mutate", patch: { prompt: "late" } });
  await Promise.resolve();
  assert.equal(patched.prompt, "x");
  assert.equal((aborted as Error).name, "TimeoutError");
  assert.equal(hooks.report.issues[0]?.class, "timeout");
});

test("a hook that cleans up when its time is over is waited for", async () => {
  let cleaned = false;
  const hooks = run([
    pre("tidy", (_, { signal }) =>
      new Promise((_, reject) => {
        signal.addEventListener("abort", () =>
          setTimeout(() => {
            cleaned = true;
            reject(signal.reason);
          }, 5));
      }), { timeoutMs: 10 }),
  ]);
  await assert.rejects(hooks.pre("preTurn", {}), HookBlockedError);
  assert.equal(cleaned, true);
});

test("pre() rejects with the run's reason when the call is aborted during a hook", async () => {
  const controller = new AbortController();
  const reason = new Error("the user left");
  let inner: AbortSignal | undefined;
  const hooks = run(
    [
      pre("slow", (_, { signal }) => {
        inner = signal;
        controller.abort(reason);
        return never();
      }, { onError: "continue" }),
    ],
    [],
    controller.signal,
  );
  await assert.rejects(hooks.pre("preTurn", {}), (error) => error === reason);
  assert.equal(inner?.aborted, true);
  await assert.rejects(hooks.pre("preTurn", {}), (error) => error === reason);
});

test("toolPre() blocks when the turn ends before the hook answers, whatever onError says", async () => {
  const controller = new AbortController();
  const hooks = run([
    pre("slow", () => {
      controller.abort();
      return never();
    }, { onError: "continue" }),
  ]);
  const verdict = await hooks.toolPre({ toolName: "git" }, { signal: controller.signal });
  assert.equal(verdict.type, "block");
});

test("toolPre() shows the real tool, command, cwd and diff, and a patch there changes nothing", async () => {
  const seen: HookContext[] = [];
  const hooks = run([
    pre("look", (context) => {
      seen.push(context);
      return { type: "mutate", patch: { prompt: "other" } };
    }, { phases: ["preToolUse"] }),
  ]);
  hooks.learn({ threadId: "t1", turnId: "u1", model: "m" });
  const verdict = await hooks.toolPre({
    toolName: "git",
    toolKind: "command",
    command: "/bin/bash -lc 'git push'",
    argv: ["git", "push"],
    script: "git push",
    cwd: "/elsewhere",
    diff: "d",
  });
  assert.deepEqual(verdict, { type: "continue" });
  const [context] = seen;
  assert.deepEqual(
    [context?.toolName, context?.argv, context?.cwd, context?.diff, context?.threadId],
    ["git", ["git", "push"], "/elsewhere", "d", "t1"],
  );
  assert.equal(context?.turnId, "u1");
  assert.equal(hooks.report.issues[0]?.class, "validation");
  assert.match(hooks.report.issues[0]?.message ?? "", /takes no patch; ignored: prompt/);
});

test("hooks are called in the phases they name only", async () => {
  const seen: string[] = [];
  const note = (name: string) => (context: HookContext): HookAction => {
    seen.push(`${name}:${context.phase}`);
    return go;
  };
  const hooks = run(
    [pre("t", note("t"), { phases: ["preTurn"] }), pre("all", note("all"))],
    [{ name: "u", phases: ["postToolUse"], call: note("u") }],
  );
  assert.deepEqual([hooks.has("preRun"), hooks.has("postRun"), hooks.has("postToolUse")], [
    true,
    false,
    true,
  ]);
  await hooks.pre("preRun", {});
  await hooks.pre("preSessionStart", {});
  await hooks.pre("preTurn", {});
  await hooks.toolPre({});
  await hooks.toolPost({ exitCode: 0 });
  await hooks.post("postTurn", { status: "ok" });
  assert.deepEqual(seen, [
    "all:preRun",
    "all:preSessionStart",
    "t:preTurn",
    "all:preTurn",
    "all:preToolUse",
    "u:postToolUse",
  ]);
});

test("a post-hook's failure or hang becomes an issue and the next one still runs", async () => {
  let last: HookContext | undefined;
  const failure = new Error("turn failed");
  const hooks = run([], [
    {
      name: "bad",
      call: () => {
        throw new Error("boom");
      },
    },
    { name: "hangs", timeoutMs: 10, call: () => new Promise(() => {}) },
    { name: "good", call: (context) => last = context },
  ]);
  await hooks.post("postTurn", { status: "error", error: failure, prompt: "p", turnId: "u1" });
  assert.deepEqual(hooks.report.issues.map((i) => [i.hookName, i.class]), [
    ["bad", "execution"],
    ["hangs", "timeout"],
  ]);
  assert.deepEqual(hooks.report.ran.map((r) => r.action), ["error", "error", "observe"]);
  assert.deepEqual([last?.status, last?.error, last?.prompt, last?.turnId], [
    "error",
    failure,
    "p",
    "u1",
  ]);
});

test("toolPost() tells how the tool went", async () => {
  const rows: [Parameters<HookRun["toolPost"]>[0], string][] = [
    [{ exitCode: 0, toolStatus: "completed" }, "ok"],
    [{ exitCode: 1, toolStatus: "failed" }, "error"],
    [{ toolStatus: "declined" }, "error"],
    [{ exitCode: 127 }, "error"],
    [{ toolStatus: "completed" }, "ok"],
    [{ toolStatus: "completed", status: "error" }, "error"],
  ];
  for (const [input, expected] of rows) {
    let status: string | undefined;
    const hooks = run([], [{ name: "p", call: (context) => status = context.status }]);
    await hooks.toolPost(input);
    assert.equal(status, expected, JSON.stringify(input));
  }
});

test("a hook that sleeps delays its own run only", async () => {
  let release: (action: HookAction) => void = () => {};
  const slow = run([pre("slow", () => new Promise((resolve) => release = resolve))]);
  const other = run([pre("other", () => go)]);
  const waiting = slow.toolPre({});
  assert.deepEqual(await other.toolPre({}), go);
  assert.deepEqual(slow.report.ran, []);
  release(go);
  assert.deepEqual(await waiting, go);
  assert.deepEqual(other.report.ran.map((r) => r.name), ["other"]);
});
