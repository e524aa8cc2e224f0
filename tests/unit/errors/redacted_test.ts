/** What codex, its stderr, the model's server or an MCP server say of secrets goes no further. */
import assert from "node:assert/strict";
import { ConnectionClosedError, RpcError, TurnFailedError } from "../../../src/errors/mod.ts";
import { failedMcpServer } from "../../../src/session/events/session_events.ts";
import { test } from "../../_harness.ts";

const SECRET = "hunter2-hunter2";
const SAID = `Incorrect API key: api_key=${SECRET}`;

test("no error and no warning repeats a secret that codex told", () => {
  const failed = { state: "failed", error: SAID };
  const texts: unknown[] = [
    new TurnFailedError("auth", SAID, { partialText: "", items: [] } as never),
    new ConnectionClosedError("The connection ended", {
      exit: { code: 1, signal: null },
      stderrTail: `starting\n${SAID}\n`,
    }),
    new RpcError("thread/start", -32000, SAID),
    failedMcpServer("mcpServer/startupStatus/updated", {
      name: "docs",
      status: "failed",
      error: SAID,
    }),
    failedMcpServer("codex/event/mcp_startup_update", { msg: { server: "docs", status: failed } }),
  ];
  for (const text of texts) {
    const told = `${text} ${(text as { stderrTail?: string }).stderrTail} ${JSON.stringify(text)}`;
    assert.ok(!told.includes(SECRET), told);
    // And says the rest.
    assert.match(told, /Incorrect API key: api_key=\[redacted\]/);
  }
});
