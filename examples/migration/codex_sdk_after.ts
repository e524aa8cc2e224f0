/**
 * The program of `codex_sdk_before.ts` on this library: one process for all turns, text as it comes, typed failures.
 *
 *     deno run --allow-run=codex --allow-read=. examples/migration/codex_sdk_after.ts
 *     node examples/migration/codex_sdk_after.ts
 */
import process from "node:process";
import { Client } from "../../mod.ts";

const client = await Client.connect();
try {
  // Read-only, and nobody is asked: the defaults.
  const session = await client.startSession({ cwd: process.cwd() });

  const stream = await session.askStream("Look around");
  for await (const event of stream) {
    if (event.type === "itemCompleted" && event.item.type === "commandExecution") {
      console.log(`exit code ${event.item.exitCode}`);
    }
  }
  // A turn that failed rejects here, with a TurnFailedError.
  console.log((await stream.finish()).assistantText);

  const schema = {
    type: "object",
    properties: { risk: { type: "string" } },
    required: ["risk"],
    additionalProperties: false,
  } as const;
  const { output } = await session.ask("Name the biggest risk", { outputSchema: schema });
  console.log(output.risk);

  await session.release();
  const again = await client.resumeSession(session.threadId);
  const { assistantText } = await again.ask("What does this picture show?", {
    attachments: [{ type: "localImage", path: "picture.png" }],
  });
  console.log(assistantText);
  await again.release();
} finally {
  await client.shutdown();
}
