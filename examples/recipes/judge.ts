/**
 * Three agents that think in their own ways from one common ground, side by side, and a judge. A fork knows what its thread
 * knew, so that the code is read once.
 *
 *     deno run --allow-run=codex --allow-read=. examples/recipes/judge.ts "How should we store sessions?"
 */
import process from "node:process";
import { Client } from "../../mod.ts";

const WAYS = ["the simplest that can work", "the fastest at run time", "the safest to operate"];
const task = process.argv[2] ?? "What should be built next?";

const client = await Client.connect();
try {
  const ground = await client.startSession({ cwd: process.cwd() });
  await ground.ask("Read this project, and keep in mind what matters for its design.");

  const proposals = await Promise.all(WAYS.map(async (way) => {
    const fork = await ground.fork();
    const { assistantText } = await fork.ask(`${task} Propose ${way}, in at most ten lines.`);
    await fork.close();
    return { way, text: assistantText };
  }));
  for (const { way, text } of proposals) console.log(`--- ${way}\n${text}\n`);

  const { output } = await ground.ask(
    `${task} Judge these proposals:\n${JSON.stringify(proposals)}`,
    {
      outputSchema: {
        type: "object",
        properties: { best: { type: "string", enum: WAYS }, reason: { type: "string" } },
        required: ["best", "reason"],
        additionalProperties: false,
      } as const,
    },
  );
  console.log(`The judge takes ${output.best}: ${output.reason}`);
  console.log(`(${client.usage.totalTokens} tokens)`);
  await ground.close();
} finally {
  await client.shutdown();
}
