/** Low-level calls that try to get further than a session would, on the real codex. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { AppServer, InvalidArgumentError, PolicyError, runtime, testing } from "../../mod.ts";
import type { JsonValue } from "../../src/json.ts";
import { supports } from "../../src/protocol/mod.ts";
import { memoryPair } from "../../src/transport/memory.ts";
import { CODEX_VERSIONS, codexPath, NEWEST_CODEX } from "../_codex.ts";
import { test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";

const { exec } = testing.script;
const ESCALATION = { allowPrivilegedEscalation: true };

for (const version of CODEX_VERSIONS) {
  test(`raw calls without consent write nothing, start nothing and log nobody in, ${version}`, async (t) => {
    await using dir = await tempDir("raw-");
    const cwd = join(dir.path, "w");
    const mark = join(dir.path, "mark");
    await mkdir(cwd);
    await using model = await testing.ScriptedModel.start((request) =>
      request.toolOutputs.length === 0 ? exec(`touch ${mark}`) : "done"
    );
    const config = model.clientConfig({ codexPath: await codexPath(version) });
    const home = config.env.set["CODEX_HOME"]!;
    await mkdir(home, { recursive: true });
    await writeFile(
      join(home, "config.toml"),
      'sandbox_mode = "danger-full-access"\napproval_policy = "never"\n' +
        '[permissions.mine.filesystem]\n":root" = "write"\n',
    );
    await using app = await AppServer.connect({ ...config, experimentalApi: true });

    const threads: [string, Record<string, JsonValue>][] = [
      ["the user's own sandbox", { cwd }],
      ["a profile by name in the config", {
        cwd,
        config: { default_permissions: ":danger-full-access" },
      }],
      ["a profile of the user's in the config", { cwd, config: { default_permissions: "mine" } }],
      ["a profile by name", { cwd, permissions: ":danger-full-access" }],
      ["a profile that is spelled out twice", {
        cwd,
        config: {
          default_permissions: "p",
          permissions: { p: { filesystem: { ":root": "read" }, network: { enabled: false } } },
          "permissions.p.filesystem": { ":root": "write" },
        },
      }],
      ["an MCP server", {
        cwd,
        sandbox: "read-only",
        config: { mcp_servers: { e: { command: "/bin/sh", args: ["-c", `touch ${mark}`] } } },
      }],
      ["another reviewer", { cwd, sandbox: "read-only", approvalsReviewer: "auto_review" }],
      ["another reviewer in the config", {
        cwd,
        sandbox: "read-only",
        config: { approvals_reviewer: "auto_review" },
      }],
      ["roots to write to", { cwd, sandbox: "read-only", runtimeWorkspaceRoots: [dir.path] }],
      ["a field of the future", { cwd, sandbox: "read-only", sandboxOverride: "none" }],
      ["a setting of the future", { cwd, sandbox: "read-only", config: { walls: "down" } }],
      ["a sandbox with the network", {
        cwd,
        config: { sandbox_mode: "read-only" },
        sandbox: "workspace-write",
      }],
    ];
    for (const [name, params] of threads) {
      for (const method of ["thread/start", "thread/resume", "thread/fork"]) {
        await t.step(`${method}: ${name}`, () =>
          assert.rejects(
            app.requestUnchecked(
              method,
              method === "thread/start" ? params : { threadId: "t", ...params },
            ),
            PolicyError,
          ));
      }
    }

    const { thread } = await app.request("thread/start", {
      cwd,
      sandbox: "read-only",
      approvalPolicy: "untrusted",
    });
    const threadId = thread.id;
    const input = [{ type: "text", text: "go", text_elements: [] }];
    const wide = { type: "dangerFullAccess" };
    const positional = [threadId, null, null, input, ...Array(12).fill(null), wide, null, null];
    const turns: [string, string, JsonValue][] = [
      ["positional params", "turn/start", positional],
      ["positional params of two", "turn/start", [threadId, input]],
      ["a string", "turn/start", "x"],
      ["full access", "turn/start", { threadId, input, sandboxPolicy: wide }],
      ["an external sandbox", "turn/start", {
        threadId,
        input,
        sandboxPolicy: { type: "externalSandbox" },
      }],
      ["the network", "turn/start", {
        threadId,
        input,
        sandboxPolicy: { type: "readOnly", networkAccess: true },
      }],
      ["a profile", "turn/start", { threadId, input, permissions: ":danger-full-access" }],
      ["a policy that asks nobody", "turn/start", { threadId, input, approvalPolicy: "never" }],
      ["a profile", "thread/settings/update", { threadId, permissions: ":danger-full-access" }],
      ["another reviewer", "thread/settings/update", {
        threadId,
        approvalsReviewer: "auto_review",
      }],
      ["another reviewer", "turn/settings/update", {
        threadId,
        turnId: "u",
        approvalsReviewer: "auto_review",
      }],
      ["a policy that asks nobody", "thread/settings/update", {
        threadId,
        approvalPolicy: "never",
      }],
      ["another directory", "turn/start", { threadId, input, cwd: dir.path }],
      ["a command with the network", "command/exec", {
        command: ["true"],
        sandboxPolicy: { type: "readOnly", networkAccess: true },
      }],
      ["a login", "account/login/start", { type: "apiKey", apiKey: "sk-of-somebody-else" }],
      ["a review in a thread of its own", "review/start", {
        threadId,
        target: { type: "custom", instructions: "look" },
        delivery: "detached",
      }],
      ["a command in a profile", "command/exec", {
        command: ["true"],
        sandboxPolicy: { type: "readOnly" },
        permissionProfile: ":danger-full-access",
      }],
      ["a logout", "account/logout", null],
      ["an email", "account/sendAddCreditsNudgeEmail", {}],
      ["another account", "accountSession/switch", { id: "x" }],
      ["a family's newest member", "account/somethingNew", {}],
      ["a family's newest member", "thread/somethingNew", { threadId }],
    ];
    for (const [name, method, params] of turns) {
      await t.step(
        `${method}: ${name}`,
        () =>
          assert.rejects(
            app.requestUnchecked(method, params),
            Array.isArray(params) || typeof params === "string"
              ? InvalidArgumentError
              : PolicyError,
          ),
      );
    }

    await t.step("with the first consent only, nobody stops the questions", async () => {
      const calls: [string, Record<string, JsonValue>][] = [
        ["thread/start", { cwd }],
        ["thread/start", { cwd, sandbox: "danger-full-access" }],
        ["thread/start", { cwd, sandbox: "danger-full-access", approvalPolicy: "on-request" }],
        ["turn/start", { threadId, input, sandboxPolicy: { type: "externalSandbox" } }],
        ["turn/start", { threadId, input, approvalPolicy: "never" }],
        ["turn/start", { threadId, input, approvalPolicy: "on-request" }],
        ["turn/start", { threadId, input, permissions: ":danger-full-access" }],
        ["thread/settings/update", { threadId, approvalPolicy: "never" }],
      ];
      for (const [method, params] of calls) {
        await assert.rejects(
          app.requestUnchecked(method, params, ESCALATION),
          /Unattended/,
          JSON.stringify(params),
        );
      }
    });
    await t.step(
      "who lets codex choose what it asks about is told where it lets it leave",
      async () => {
        const reads = { cwd, sandbox: "read-only" };
        const calls: [string, Record<string, JsonValue>][] = [
          ["thread/start", { ...reads, approvalPolicy: "on-request" }],
          ["thread/start", reads],
          ["thread/fork", { ...reads, threadId: "of-nobody" }],
        ];
        const refusals = await Promise.all(
          calls.map(([method, params]) =>
            app.requestUnchecked(method, params).then(() => null, (error) => error)
          ),
        );
        const expected = calls.map(() => !supports(version, "asksBeforeLeaving"));
        assert.deepEqual(refusals.map((refusal) => refusal instanceof PolicyError), expected);
      },
    );
    await t.step("nothing was written, and nobody logged in", () => {
      assert.equal(existsSync(mark), false);
      assert.equal(existsSync(join(home, "auth.json")), false);
      assert.doesNotMatch(readFileSync(join(home, "config.toml"), "utf8"), /trust_level/);
    });
    await t.step("normal use needs no consent, and a turn runs", async () => {
      const events = app.runtime.events({ after: 0 });
      await app.request("turn/start", {
        threadId,
        input: input as never,
        approvalPolicy: "never",
        sandboxPolicy: { type: "readOnly" },
      });
      for await (const event of events) if (event.method === "turn/completed") break;
      assert.equal(existsSync(mark), false);
      assert.ok(model.requests.at(-1)!.toolOutputs.length > 0);
      await app.request("thread/list", {});
      await app.request("model/list", {});
      await app.request("account/read", {});
    });
  });
}

test("a raw call says what its parameters said when it was judged, whenever it is sent", async () => {
  const { client, server } = memoryPair();
  const sent: JsonValue[] = [];
  server.onLine((line) => {
    const { id, method, params } = JSON.parse(line);
    if (id === undefined) return;
    if (method !== "initialize") sent.push(params);
    const userAgent = `t/${NEWEST_CODEX}`;
    server.send(JSON.stringify({ id, result: { userAgent } }));
  });
  await using raw = await runtime.Runtime.spawn({
    transport: { type: "custom", open: () => Promise.resolve(client) },
    clientInfo: { name: "t", version: "1" },
    maxInFlight: 1,
  });
  // Of these calls one is sent at once; the others wait for its answer.
  const reused = { threadId: "" };
  const ids = ["a", "b", "c"];
  await Promise.all(ids.map((id) => {
    reused.threadId = id;
    return raw.request("thread/read", reused);
  }));
  assert.deepEqual(sent.splice(0), ids.map((threadId) => ({ threadId })));

  // What says something else each time that it is asked runs as it was judged, or not at all.
  let asked = 0;
  const turning = Object.defineProperty({}, "sandbox", {
    enumerable: true,
    get: () => ++asked % 2 === 0 ? "read-only" : "danger-full-access",
  });
  const shown = {
    sandbox: "read-only",
    toJSON: () => ({ sandbox: "danger-full-access" }),
  };
  for (const params of [turning, turning, shown]) {
    await raw.request("thread/start", params as unknown as JsonValue).catch((error) =>
      assert.ok(error instanceof PolicyError)
    );
  }
  assert.deepEqual(sent.filter((params) => JSON.stringify(params).includes("full")), []);
});
