/**
 * A program on the Claude Agent SDK: a tool of its own, decisions about commands, a hook, a limit. The same on this library
 * is `claude_after.ts`.
 *
 *     bun examples/migration/claude_before.ts
 */
import process from "node:process";
import { createSdkMcpServer, query, tool } from "@anthropic-ai/claude-agent-sdk";
import { z } from "zod";

const lookup = tool(
  "lookup",
  "Looks a ticket up",
  { id: z.string() },
  ({ id }) => Promise.resolve({ content: [{ type: "text", text: `${id} is open` }] }),
);

const conversation = query({
  prompt: "Is ticket T-1 open? Then tidy up.",
  options: {
    cwd: process.cwd(),
    systemPrompt: { type: "preset", preset: "claude_code", append: "Be brief." },
    mcpServers: { tickets: createSdkMcpServer({ name: "tickets", tools: [lookup] }) },
    allowedTools: ["mcp__tickets__lookup"],
    maxTurns: 20,
    canUseTool: (toolName, input) => {
      console.log(`${toolName}?`);
      return Promise.resolve(
        input["command"] === "ls"
          ? { behavior: "allow", updatedInput: input }
          : { behavior: "deny", message: "Not here." },
      );
    },
    hooks: {
      PreToolUse: [{
        matcher: "Bash",
        hooks: [(input) => {
          const text = JSON.stringify("tool_input" in input ? input.tool_input : null);
          return Promise.resolve(
            text.includes("curl") ? { decision: "block", reason: "No network." } : {},
          );
        }],
      }],
    },
  },
});
for await (const message of conversation) {
  if (message.type !== "result") continue;
  if (message.subtype === "success") console.log(message.result);
  else console.error(message.subtype);
}
