/**
 * A goal: codex works turn after turn until it is reached or its limits are used up. Then a compaction, and a review.
 *
 *     deno run --allow-run=codex --allow-read=. examples/goal.ts --live
 */
import { Client, testing } from "../mod.ts";
import { setup } from "./_setup.ts";

let turns = 0;
await using env = await setup(({ text }) => {
  if (text.includes("Look for mistakes")) return "No mistakes.";
  if (text.includes("CHECKPOINT")) return "Two steps were made.";
  turns++;
  if (turns < 3) return `Step ${turns} is made.`;
  if (turns > 3) return "All steps are made.";
  return [testing.script.toolCall("update_goal", { status: "complete" })];
});
await using client = await Client.connect(env.client);
const session = await client.startSession({ cwd: env.cwd });

const goal = await session.startGoal("Make all steps of PLAN.md", {
  limits: { tokens: 500_000, toolCalls: 200 },
  timeoutMs: 3_600_000,
});
for await (const event of goal) {
  if (event.type === "itemCompleted" && event.item.type === "agentMessage") {
    console.log(event.item.text);
  }
}
const { status, turns: done, usage } = await goal.finish();
console.log(`${status} after ${done.length} turns and ${usage.totalTokens} tokens`);

const { tokensBefore, tokensAfter } = await session.compact();
console.log("compacted:", tokensBefore, "→", tokensAfter);
const { reviewText } = await session.review({
  type: "custom",
  instructions: "Look for mistakes in the last changes.",
});
console.log("review:", reviewText);
await session.close();
