/**
 * A plan first, then the work: with `mode: "plan"` the agent looks around, asks and proposes. Its questions come to
 * `approvals`; the mode ends with its prompt.
 *
 *     deno run --allow-run=codex --allow-read=. --allow-write=. examples/plan_mode.ts --live
 */
import { Client, testing } from "../mod.ts";
import { setup } from "./_setup.ts";

const { script } = testing;
await using env = await setup([
  [script.toolCall("request_user_input", {
    questions: [{
      id: "language",
      header: "Language",
      question: "Which language?",
      options: [
        { label: "TypeScript", description: "as the rest" },
        { label: "Rust", description: "as the tools" },
      ],
    }],
  })],
  "<proposed_plan>\n1. Write main.ts\n2. Test it\n</proposed_plan>",
  "main.ts is there.",
]);

await using client = await Client.connect({
  ...env.client,
  approvals: (request) => {
    if (request.type !== "userInput") return { decision: "decline" };
    const answers: Record<string, string> = {};
    for (const { id, question, options } of request.questions) {
      // A program with a screen would ask its user here.
      answers[id] = options?.[0]?.label ?? "Decide yourself.";
      console.log(`${question} ${answers[id]}`);
    }
    return { answers };
  },
});
const session = await client.startSession({
  cwd: env.cwd,
  sandbox: "workspace-write",
  allowPrivilegedEscalation: true,
});
const { proposedPlan } = await session.ask("Write the program.", { mode: "plan" });
if (proposedPlan === null) throw new Error("there is no plan");
console.log(`the plan:\n${proposedPlan.trim()}`);
const { assistantText } = await session.ask("Do it.");
console.log(assistantText);
await session.close();
