/** Rules and handlers against the real codex: what was refused did not happen, what was granted did. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import {
  type ApprovalRequest,
  Client,
  type RunProfile,
  testing,
  type TurnEvent,
} from "../../mod.ts";
import type { ApprovalDecision, ApprovalRules } from "../../src/approvals/mod.ts";
import type { JsonValue } from "../../src/json.ts";
import { CODEX_VERSIONS, codexPath, type CodexVersion, NEWEST_CODEX } from "../_codex.ts";
import { test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";
import { makeUsed } from "../_used_home.ts";

const { exec, say, toolCall, applyPatch } = testing.script;

/** An MCP server with one tool that is not read-only, so that codex asks before it runs. */
const MCP_SERVER = `
import { createInterface } from "node:readline";
import process from "node:process";
const say = (m) => process.stdout.write(JSON.stringify({ jsonrpc: "2.0", ...m }) + "\\n");
createInterface({ input: process.stdin }).on("line", (line) => {
  const { id, method, params } = JSON.parse(line);
  if (method === "initialize") {
    say({ id, result: { protocolVersion: params.protocolVersion, capabilities: { tools: {} }, serverInfo: { name: "probe", version: "1.0.0" } } });
  } else if (method === "tools/list") {
    say({ id, result: { tools: [{ name: "note", description: "Notes", inputSchema: { type: "object", properties: {} } }] } });
  } else if (method === "tools/call") {
    say({ id, result: { content: [{ type: "text", text: "noted" }] } });
  } else if (id !== undefined) say({ id, result: {} });
});`;

interface Outcome {
  items: { type: string; status?: string; [key: string]: unknown }[];
  asked: ApprovalRequest[];
  words: string[];
}

/** Runs one prompt for each script, on one session. */
async function run(
  version: CodexVersion,
  cwd: string,
  turns: testing.ModelTurn[][],
  approvals: ApprovalRules | ((request: ApprovalRequest) => ApprovalDecision),
  options: { config?: Record<string, JsonValue>; profile?: RunProfile } = {},
): Promise<Outcome[]> {
  const script = turns.flat();
  await using model = await testing.ScriptedModel.start(() =>
    script.shift() ?? testing.script.httpError(400, "no turn left")
  );
  const asked: ApprovalRequest[] = [];
  const config = model.clientConfig({
    codexPath: await codexPath(version),
    configOverrides: options.config ?? {},
  });
  await makeUsed(config.env.set["CODEX_HOME"]!, version);
  await using client = await Client.connect({
    ...config,
    approvals: typeof approvals === "function"
      ? (request) => {
        asked.push(request);
        return approvals(request);
      }
      : approvals,
  });
  const session = await client.startSession({
    cwd,
    approvalPolicy: "untrusted",
    sandbox: "workspace-write",
    allowPrivilegedEscalation: true,
    ...options.profile,
  });
  const outcomes: Outcome[] = [];
  for (const _ of turns) {
    const words: string[] = [];
    const onEvent = (event: TurnEvent): void => {
      if (event.type === "approvalResolved") {
        words.push(`${event.audit.decision} ${event.audit.decidedBy}`);
      }
    };
    const result = await session.ask("go", { onEvent });
    outcomes.push({ items: result.items as Outcome["items"], asked: asked.splice(0), words });
  }
  return outcomes;
}

const status = (outcome: Outcome | undefined, type: string): string[] =>
  (outcome?.items ?? []).filter((item) => item.type === type).map((item) => String(item.status));

for (const version of CODEX_VERSIONS) {
  test(
    `rules decide commands and patches on codex ${version}`,
    async () => {
      await using dir = await tempDir();
      const cwd = dir.path;
      const patch = (name: string): string =>
        `*** Begin Patch\n*** Add File: ${name}\n+x\n*** End Patch`;
      const turns = [
        exec("touch yes.txt"),
        exec("touch yes2.txt; touch no.txt"),
        exec("echo $(touch no.txt)"),
        applyPatch(patch("yes.md")),
        applyPatch(patch("no.md")),
      ].map((step) => [[step], say("done")]);
      const outcomes = await run(version, cwd, turns, {
        rules: [
          { effect: "deny", command: ["touch", "no.txt"] },
          { effect: "allow", command: ["touch"], cwd, outsideSandbox: true },
          { effect: "deny", paths: "no.md" },
          { effect: "allow", paths: cwd },
        ],
      });
      assert.deepEqual(outcomes.map((one) => one.words), [
        ["accept rule"],
        ["decline rule"],
        ["decline rule"],
        ["accept rule"],
        ["decline rule"],
      ]);
      for (const name of ["yes.txt", "yes.md"]) assert.ok(existsSync(join(cwd, name)), name);
      for (const name of ["yes2.txt", "no.txt", "no.md"]) {
        assert.ok(!existsSync(join(cwd, name)), name);
      }
      assert.deepEqual(status(outcomes[3], "fileChange"), ["completed"]);
      assert.deepEqual(status(outcomes[4], "fileChange"), ["declined"]);
    },
  );
}

test(
  "consent to an MCP tool works once, for the session, or not at all",
  async () => {
    await using dir = await tempDir();
    const server = join(dir.path, "mcp.mjs");
    await writeFile(server, MCP_SERVER);
    const decisions: ApprovalDecision[] = [
      { decision: "decline" },
      { decision: "accept" },
      { decision: "acceptForSession" },
    ];
    const turns = [1, 2, 3, 4].map(() => [
      [toolCall("note", {}, { namespace: "mcp__probe" })],
      say("done"),
    ]);
    const outcomes = await run(
      NEWEST_CODEX,
      dir.path,
      turns,
      () => decisions.shift() ?? { decision: "decline" },
      {
        config: {
          "mcp_servers.probe.command": process.execPath,
          "mcp_servers.probe.args": ["run", "--quiet", server],
          "mcp_servers.probe.env": { DENO_NO_UPDATE_CHECK: "1" },
        },
        profile: { approvalPolicy: "on-request" },
      },
    );
    const first = outcomes[0]?.asked[0];
    assert.ok(first?.type === "elicitation");
    assert.deepEqual([first.server, first.toolApproval, first.mcpTool], ["probe", true, "note"]);
    assert.ok(first.persist.includes("session"));
    assert.deepEqual(outcomes.map((one) => one.words), [
      ["decline handler"],
      ["accept handler"],
      ["acceptForSession handler"],
      [],
    ]);
    assert.deepEqual(outcomes.map((one) => status(one, "mcpToolCall")[0]), [
      "failed",
      "completed",
      "completed",
      "completed",
    ]);
  },
);

test("permissions are granted as asked, or not", async () => {
  await using dir = await tempDir();
  const ask = toolCall("request_permissions", {
    reason: "need net",
    permissions: { network: { enabled: true } },
  });
  const decisions: ApprovalDecision[] = [{ decision: "decline" }, { decision: "accept" }];
  const outcomes = await run(
    NEWEST_CODEX,
    dir.path,
    [[[ask], say("done")], [[ask], say("done")]],
    () => decisions.shift() ?? { decision: "decline" },
    {
      config: { "features.request_permissions_tool": true },
      profile: { approvalPolicy: "on-request" },
    },
  );
  assert.ok(outcomes[0]?.asked[0]?.type === "permissions");
  assert.deepEqual(outcomes.map((one) => one.words), [["decline handler"], ["accept handler"]]);
});
