/** What codex, its stderr, the model's server or an MCP server say of secrets goes no further. */
import assert from "node:assert/strict";
import {
  BudgetExceededError,
  ConnectionClosedError,
  RpcError,
  TurnFailedError,
  TurnTimeoutError,
} from "../../../src/errors/mod.ts";
import { failedMcpServer } from "../../../src/session/events/session_events.ts";
import { test } from "../../_harness.ts";

const SECRET = "hunter2-hunter2";
const SAID = `Incorrect API key: api_key=${SECRET}`;

test("no error and no warning repeats a secret that codex told", () => {
  const failed = { state: "failed", error: SAID };
  const texts: unknown[] = [
    new TurnFailedError("auth", SAID, { partialText: "", items: [] } as never),
    new TurnTimeoutError(1, { items: [] } as never, { unreached: SAID }),
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

test("a turn that was stopped says whether it still runs, and a turn's time what kept the model from it", () => {
  const partial = { items: [] } as never;
  const used = { limit: "tokens", used: 2, allowed: 1 } as const;
  for (const [stopped, told] of [[true, "stopped"], [false, "may still be active"]] as const) {
    assert.match(new BudgetExceededError(used, partial, { stopped }).message, new RegExp(told));
    const { message } = new TurnTimeoutError(1, partial, { stopped });
    assert.match(message, new RegExp(`${told.replace("stopped", "interrupted")}\\. Raise`));
  }
  const { message } = new TurnTimeoutError(1, partial, { unreached: "no such host ".repeat(90) });
  assert.match(message, /The model could not be reached: no such host .*… \(1170 characters\)$/);
  assert.doesNotMatch(message, /Raise/);
});
