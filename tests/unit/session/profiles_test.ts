import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { join, relative } from "node:path";
import process from "node:process";
import {
  EmptyAnswerError,
  InvalidArgumentError,
  TurnFailedError,
  TurnInterruptedError,
  TurnTimeoutError,
} from "../../../src/errors/mod.ts";
import {
  layerProfile,
  overlayProfile,
  resolveProfile,
  turnReach,
} from "../../../src/session/policy/thread_params.ts";
import { toldProfile } from "../../../src/session/policy/told_profile.ts";
import type { JsonObject } from "../../../src/json.ts";
import type { RunProfile } from "../../../src/session/profile.ts";
import { turnOptionsOf } from "../../../src/session/profile_shape.ts";
import { toolSpecsOf } from "../../../src/session/mcp/begun_with.ts";
import { retryDelayMs } from "../../../src/session/prompt/prompt_run.ts";
import type { DecidedPolicy } from "../../../src/session/policy/confirm_policy.ts";
import {
  threadAttachParams,
  threadStartParams,
  turnStartParams,
} from "../../../src/session/policy/thread_params.ts";
import { RunMeter } from "../../../src/session/turn/turn_usage.ts";
import { turnError } from "../../../src/session/turn/turn_run.ts";
import { TurnOutcome } from "../../../src/session/turn/turn_outcome.ts";
import { workingDirectory } from "../../../src/session/policy/thread_params.ts";
import { test } from "../../_harness.ts";
import { tempDir } from "../../_temp.ts";

const HOOK = { name: "a", call: () => ({ type: "continue" as const }) };
const OTHER = { name: "b", call: () => ({ type: "continue" as const }) };

test("the effort is the one that settings of codex's name, where no option does", () => {
  const named = { model_reasoning_effort: "high" };
  assert.equal(resolveProfile({ config: named }).effort, "high");
  assert.equal(resolveProfile({}, named).effort, "high");
  assert.equal(resolveProfile({ config: { model_reasoning_effort: "low" } }, named).effort, "low");
  assert.equal(resolveProfile({ effort: "minimal", config: named }, named).effort, "minimal");
});

test("the defaults of a profile are the safe ones", () => {
  const profile = resolveProfile({});
  assert.equal(profile.approvalPolicy, "never");
  assert.equal(profile.sandbox.type, "readOnly");
  assert.equal(profile.effort, "medium");
  assert.equal(profile.timeoutMs, 120_000);
  assert.equal(profile.allowPrivilegedEscalation, false);
  assert.equal(profile.dangerouslyAllowUnattendedFullAccess, false);
  assert.equal(profile.model, null);
  assert.equal(profile.ephemeral, false);
  assert.deepEqual(profile.attachments, []);
  assert.deepEqual(profile.tools, {});
});

test("a time limit must be a positive number", () => {
  for (const timeoutMs of [0, -1, NaN, "5" as unknown as number]) {
    assert.throws(() => resolveProfile({ timeoutMs }), InvalidArgumentError, String(timeoutMs));
    assert.throws(() => overlayProfile(resolveProfile({}), { timeoutMs }), InvalidArgumentError);
  }
  assert.equal(resolveProfile({ timeoutMs: Infinity }).timeoutMs, Infinity);
});

test("a turn's options replace the session's; attachments and hooks are added", () => {
  const base = resolveProfile({
    model: "m",
    effort: "low",
    attachments: ["a.txt"],
    hooks: { pre: [HOOK] },
  });
  const over = overlayProfile(base, {
    effort: "high",
    timeoutMs: 5,
    attachments: [{ type: "image", url: "data:," }],
    hooks: { pre: [OTHER] },
  });
  assert.equal(over.model, "m");
  assert.equal(over.effort, "high");
  assert.equal(over.timeoutMs, 5);
  assert.deepEqual(over.attachments.map(({ type }) => type), ["path", "image"]);
  assert.deepEqual(over.hooks.pre!.map(({ name }) => name), ["a", "b"]);
  assert.deepEqual(overlayProfile(base, {}), base);
});

test("limits are those of when they were given, whatever becomes of the caller's object", () => {
  const limits = { modelCalls: 1 };
  const profile = resolveProfile({ limits });
  const over = overlayProfile(profile, { limits });
  const exceeded: string[] = [];
  const meter = new RunMeter(limits, ({ limit }) => exceeded.push(limit));
  limits.modelCalls = NaN;
  assert.deepEqual([profile.limits, over.limits], [{ modelCalls: 1 }, { modelCalls: 1 }]);
  for (const tokens of [1, 1]) meter.spend(tokens);
  assert.deepEqual(exceeded, ["modelCalls"]);
});

test("layers of profiles: undefined hides nothing, attachments and hooks are added", () => {
  const layered = layerProfile(
    { model: "m", attachments: ["a"], hooks: { pre: [HOOK] } },
    { ...{ model: undefined as unknown as string }, attachments: ["b"], hooks: { pre: [OTHER] } },
  );
  assert.equal(layered.model, "m");
  assert.deepEqual(layered.attachments, ["a", "b"]);
  assert.deepEqual(layered.hooks!.pre!.map(({ name }) => name), ["a", "b"]);
  assert.deepEqual(layerProfile({}, {}), {});
  assert.deepEqual(
    turnOptionsOf({
      model: "m",
      ephemeral: true,
      config: {},
      tools: {},
      developerInstructions: "",
    }),
    { model: "m" },
  );
});

test("a turn's profile never reaches further than it says: its network is the turn's, the rest is refused", () => {
  const wide = resolveProfile({
    sandbox: "workspace-write",
    networkAccess: true,
    webSearch: "live",
    additionalDirectories: ["/b"],
  });
  const { networkAccess, ...without } = wide.sandbox as { networkAccess?: boolean };
  assert.equal(networkAccess, true);
  const of = (profile: RunProfile, thread = wide) => turnReach(profile, thread).sandbox;
  assert.deepEqual(of({ networkAccess: false }), { ...without, networkAccess: false });
  assert.equal(of({ networkAccess: true, webSearch: "live", reads: "all" }), undefined);
  assert.deepEqual(of({ networkAccess: true }, resolveProfile({})), {
    type: "readOnly",
    networkAccess: true,
  });
  // A sandbox of the turn's own stays as it is where it has what is asked for.
  assert.equal(of({ networkAccess: false, sandbox: "read-only" }), undefined);
  assert.deepEqual(of({ networkAccess: true, sandbox: "read-only" }), {
    type: "readOnly",
    networkAccess: true,
  });
  const full = resolveProfile({ sandbox: "danger-full-access" });
  assert.equal(of({ networkAccess: true }, full), undefined);
  for (const profile of [{ reads: "workspace" }, { webSearch: "off" }] as const) {
    assert.throws(() => of(profile), InvalidArgumentError);
  }
  assert.throws(() => of({ networkAccess: false }, full), InvalidArgumentError);
});

const DECIDED = {
  effective: { cwd: "/w", approvalPolicy: "never", sandbox: { type: "readOnly" } },
  thread: {
    approvalPolicy: "never",
    sandbox: "read-only",
    config: { "a.b": 1 },
    profileId: null,
  },
  turn: { sandboxPolicy: { type: "readOnly" } },
} as unknown as DecidedPolicy;

test("thread/start carries the sandbox as a mode, and what belongs to the thread", async () => {
  const tool = { description: "d", inputSchema: { type: "object" }, run: () => "x" };
  const profile = resolveProfile({
    model: "m",
    developerInstructions: "DEV",
    ephemeral: true,
    tools: { look: tool },
  });
  assert.deepEqual(threadStartParams("/w", profile, DECIDED, await toolSpecsOf(profile.tools)), {
    cwd: "/w",
    approvalPolicy: "never",
    approvalsReviewer: "user",
    sandbox: "read-only",
    model: "m",
    developerInstructions: "DEV",
    config: { "a.b": 1, "features.goals": false },
    ephemeral: true,
    dynamicTools: [{
      type: "function",
      name: "look",
      description: "d",
      inputSchema: { type: "object" },
    }],
  });
  assert.deepEqual(threadStartParams("/w", resolveProfile({}), DECIDED, []), {
    cwd: "/w",
    approvalPolicy: "never",
    approvalsReviewer: "user",
    sandbox: "read-only",
    config: { "a.b": 1, "features.goals": false },
  });
});

test("goals are offered only when the profile or the thread's config asks for them", () => {
  const sent = (profile: RunProfile) =>
    (threadStartParams("/w", resolveProfile(profile), DECIDED, [])["config"] as JsonObject)[
      "features.goals"
    ];
  assert.equal(sent({}), false);
  assert.equal(sent({ goals: true }), true);
  assert.equal(sent({ config: { features: { goals: true } } }), true);
  assert.equal(sent({ config: { "features.goals": true } }), true);
  assert.equal(sent({ config: { "features.goals": true }, goals: false }), false);
});

test("thread/resume carries its settings at top level and leaves the history on the server", () => {
  assert.deepEqual(threadAttachParams("T", "/w", resolveProfile({ model: "m" }), DECIDED), {
    threadId: "T",
    excludeTurns: true,
    cwd: "/w",
    approvalPolicy: "never",
    approvalsReviewer: "user",
    sandbox: "read-only",
    model: "m",
    config: { "a.b": 1, "features.goals": false },
  });
});

test("turn/start carries the sandbox as an object, and leaves it out where a profile is in force", () => {
  const input = [{ type: "text", text: "hi" }];
  const params = turnStartParams("T", input, resolveProfile({}), DECIDED, null);
  assert.deepEqual(params, {
    threadId: "T",
    input,
    cwd: "/w",
    approvalPolicy: "never",
    approvalsReviewer: "user",
    sandboxPolicy: { type: "readOnly" },
    effort: "medium",
  });
  const bare = turnStartParams("T", input, resolveProfile({}), { ...DECIDED, turn: {} }, {
    type: "object",
  });
  assert.ok(!("sandboxPolicy" in bare));
  assert.deepEqual(bare["outputSchema"], { type: "object" });
});

const PARTIAL = { threadId: "T", turnId: "U", assistantText: "so far", items: [] };

function ended(status: string, error?: unknown, text = ""): TurnOutcome {
  const outcome = new TurnOutcome("T", "U", null);
  if (text !== "") {
    outcome.apply("item/completed", { item: { type: "agentMessage", id: "m", text } }, null);
  }
  outcome.apply("turn/completed", { turn: { id: "U", status, error: error as null } }, null);
  return outcome;
}

test("turnError() gives the error of each ending, and none for an answer", () => {
  const server = { by: "server" as const };
  assert.equal(turnError(server, ended("completed", null, "hi"), PARTIAL, undefined), null);
  const cases: [unknown, new (...args: never[]) => Error][] = [
    [turnError(server, ended("completed"), PARTIAL, undefined), EmptyAnswerError],
    [turnError(server, ended("interrupted"), PARTIAL, undefined), TurnInterruptedError],
    [turnError(server, ended("failed", { message: "x" }), PARTIAL, undefined), TurnFailedError],
    [
      turnError({ by: "timeout", timeoutMs: 5, stopped: true }, null, PARTIAL, undefined),
      TurnTimeoutError,
    ],
  ];
  for (const [error, type] of cases) {
    assert.ok(error instanceof type, type.name);
    assert.deepEqual((error as TurnInterruptedError).partial, PARTIAL);
  }
  const reason = { any: "thing" };
  assert.equal(turnError({ by: "abort", reason }, null, PARTIAL, undefined), reason);
  assert.equal(turnError({ by: "error", error: reason }, null, PARTIAL, undefined), reason);
});

test("only limits carry a reset time", () => {
  const limits = { primary: { usedPercent: 100, resetsAt: 5000 } };
  const resetsAt = (info: string) => {
    const outcome = ended("failed", { message: "x", codexErrorInfo: info });
    return (turnError({ by: "server" }, outcome, PARTIAL, limits) as TurnFailedError).resetsAt;
  };
  assert.equal(resetsAt("usageLimitExceeded")?.getTime(), 5_000_000);
  assert.equal(resetsAt("rateLimitExceeded")?.getTime(), 5_000_000);
  assert.equal(resetsAt("unauthorized"), null);
});

test("retryDelayMs() tries again what may pass, in growing intervals, and no oftener than asked", () => {
  const now = new Date(1_000_000);
  const failed = (kind: "rateLimit" | "auth" | "overloaded", resetsAt?: number) =>
    new TurnFailedError(
      kind,
      "x",
      PARTIAL,
      resetsAt === undefined ? {} : { resetsAt: new Date(now.getTime() + resetsAt) },
    );
  const delay = (error: unknown, tries: number, options?: object) =>
    retryDelayMs(error, tries, options, now, 0.5);
  assert.equal(delay(failed("rateLimit"), 1), null);
  assert.equal(delay(failed("auth"), 1, {}), null);
  assert.equal(delay(new TurnInterruptedError(PARTIAL), 1, {}), null);
  assert.equal(delay(new Error("x"), 1, {}), null);
  assert.equal(delay(failed("overloaded"), 1, {}), 1000);
  assert.equal(delay(failed("overloaded"), 2, {}), 2000);
  assert.equal(delay(failed("overloaded"), 3, {}), null);
  assert.equal(delay(failed("overloaded"), 9, { attempts: 10, maxDelayMs: 3000 }), 3000);
  assert.equal(delay(failed("rateLimit", 20_000), 1, {}), 20_000);
  assert.equal(delay(failed("rateLimit", 61_000), 1, {}), null);
  assert.equal(delay(failed("rateLimit", -5), 1, { baseDelayMs: 10 }), 10);
  assert.equal(retryDelayMs(failed("overloaded"), 1, {}, now, 0), 750);
  assert.equal(retryDelayMs(failed("overloaded"), 1, {}, now, 1), 1250);
});

test("a cwd must be a directory that exists", async () => {
  await using directory = await tempDir();
  assert.equal(workingDirectory(directory.path, false), directory.path);
  assert.equal(workingDirectory("/srv/elsewhere", true), "/srv/elsewhere");
  // What messages and flags name is this directory, not `/srv/app/.`.
  for (const cwd of [".", "./", "./."]) {
    const [taken, here] = [workingDirectory(cwd, false), process.cwd()];
    // One that is a root ends in a separator.
    assert.equal(taken.replace(/[\\/]$/, ""), here.replace(/[\\/]$/, ""));
    assert.doesNotMatch(workingDirectory(cwd, false), /[\\/]\.(?:[\\/]|$)/);
  }
  const hidden = join(directory.path, ".hidden");
  await mkdir(hidden);
  assert.match(workingDirectory(relative(process.cwd(), hidden), false), /[\\/]\.hidden$/);
  for (const cwd of ["", " ", `${directory.path}/missing`, import.meta.filename!]) {
    assert.throws(() => workingDirectory(cwd, false), (error) => {
      assert.ok(error instanceof InvalidArgumentError && error.argument === "cwd", cwd);
      assert.ok(error.message.includes("path of a directory") || error.message.includes(cwd));
      return true;
    });
  }
  assert.throws(() => workingDirectory("", true), InvalidArgumentError);
});

test("a profile to look at has no secret of its MCP servers and settings", () => {
  const profile = resolveProfile({
    mcpServers: {
      docs: {
        url: "https://x.example/mcp?token=hidden-1",
        bearerToken: "hidden-2",
        headers: { "X-Own": "hidden-3" },
      },
      git: { command: "git-mcp", args: ["--repo", "."], env: { ANY: "hidden-4" } },
    },
    config: { "model_providers.p.experimental_bearer_token": "hidden-5", model_verbosity: "low" },
  });
  const told = toldProfile(profile);
  assert.doesNotMatch(JSON.stringify(told), /hidden-/);
  assert.deepEqual(told.mcpServers["git"], {
    command: "git-mcp",
    args: ["--repo", "."],
    env: { ANY: "[redacted]" },
  });
  assert.equal(told.config["model_verbosity"], "low");
  assert.equal(toldProfile(profile), told);
  // What is sent has them.
  assert.match(JSON.stringify(profile.mcpServers), /hidden-2.*hidden-4/);
  const plain = resolveProfile({});
  assert.equal(toldProfile(plain), plain);
});
