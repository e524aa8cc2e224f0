/**
 * Reviews what a branch changes: one line for each finding, and an exit code for CI: 0 nothing serious, 1 an error was found,
 * 2 there was no review.
 *
 *     deno run --allow-run=codex --allow-read=. examples/recipes/pr_review.ts main
 *
 * In CI give `Client.connect({ apiKey })` a key, and the job `--allow-env=OPENAI_API_KEY` to read it from.
 */
import process from "node:process";
import { z } from "npm:zod@4.6.7";
import { Client, CodexError } from "../../mod.ts";

const Review = z.strictObject({
  findings: z.array(z.strictObject({
    severity: z.enum(["error", "warning"]),
    file: z.string(),
    line: z.number(),
    message: z.string(),
  })),
});

const branch = process.argv[2] ?? "main";

async function review(): Promise<number> {
  const client = await Client.connect();
  try {
    const { output, usage } = await client.run(
      process.cwd(),
      `Review the changes since the branch ${branch} (git diff ${branch}...HEAD). Report mistakes that ` +
        "break something as errors, the rest as warnings. Report nothing that is only a matter of taste.",
      { output: Review, repair: true, retry: {}, timeoutMs: 600_000, limits: { toolCalls: 100 } },
    );
    for (const { severity, file, line, message } of output.findings) {
      console.log(`${file}:${line}: ${severity}: ${message}`);
    }
    console.log(`${output.findings.length} findings, ${usage?.totalTokens ?? 0} tokens`);
    return output.findings.some(({ severity }) => severity === "error") ? 1 : 0;
  } finally {
    await client.shutdown();
  }
}

try {
  process.exitCode = await review();
} catch (error) {
  if (!(error instanceof CodexError)) throw error;
  console.error(error.message);
  process.exitCode = 2;
}
