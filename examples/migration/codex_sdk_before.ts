/**
 * A program on `@openai/codex-sdk`: a streamed turn, a structured answer, a thread that is taken up again. The same on this
 * library is `codex_sdk_after.ts`.
 *
 *     node examples/migration/codex_sdk_before.ts
 */
import process from "node:process";
import { Codex } from "@openai/codex-sdk";

const codex = new Codex();
const options = {
  workingDirectory: process.cwd(),
  skipGitRepoCheck: true,
  sandboxMode: "read-only",
  approvalPolicy: "never",
} as const;
const thread = codex.startThread(options);

const { events } = await thread.runStreamed("Look around");
for await (const event of events) {
  if (event.type === "item.completed" && event.item.type === "command_execution") {
    console.log(`exit code ${event.item.exit_code}`);
  }
  if (event.type === "item.completed" && event.item.type === "agent_message") {
    console.log(event.item.text);
  }
  if (event.type === "turn.failed") throw new Error(event.error.message);
}

const schema = {
  type: "object",
  properties: { risk: { type: "string" } },
  required: ["risk"],
  additionalProperties: false,
} as const;
const { finalResponse } = await thread.run("Name the biggest risk", { outputSchema: schema });
console.log(JSON.parse(finalResponse).risk);

const again = codex.resumeThread(thread.id!, options);
const turn = await again.run([
  { type: "text", text: "What does this picture show?" },
  { type: "local_image", path: "picture.png" },
]);
console.log(turn.finalResponse);
