/**
 * The program of `claude_before.ts` on this library.
 *
 *     deno run --allow-run=codex --allow-read=. examples/migration/claude_after.ts
 *     bun examples/migration/claude_after.ts
 */
import process from "node:process";
import { z } from "npm:zod@4.6.7";
import { Client, CodexError, tool } from "../../mod.ts";

const lookup = tool({
  description: "Looks a ticket up",
  inputSchema: z.strictObject({ id: z.string() }),
  run: ({ id }) => `${id} is open`,
});

const client = await Client.connect({
  approvals: (request) => {
    console.log(`${request.type}?`);
    const isListing = request.type === "command" && request.script === "ls";
    return { decision: isListing ? "accept" : "decline" };
  },
});
try {
  const { assistantText } = await client.run(process.cwd(), "Is ticket T-1 open? Then tidy up.", {
    developerInstructions: "Be brief.",
    tools: { lookup },
    limits: { modelCalls: 20 },
    // Asks about commands and changes, as `canUseTool` is asked; the default `never` asks nobody.
    approvalPolicy: "untrusted",
    hooks: {
      pre: [{
        name: "no network",
        phases: ["preToolUse"],
        call: ({ script, command }) =>
          (script ?? command)?.includes("curl")
            ? { type: "block", reason: "No network." }
            : { type: "continue" },
      }],
    },
  });
  console.log(assistantText);
} catch (error) {
  if (!(error instanceof CodexError)) throw error;
  console.error(error.code);
} finally {
  await client.shutdown();
}
