/**
 * One prompt about each of many files: four at a time on one codex, a progress bar, another try for what may pass by, and
 * what it cost. The exit code is 1 when a file has no answer.
 *
 *     deno run --allow-run=codex --allow-read=. examples/recipes/batch.ts src/*.ts
 */
import process from "node:process";
import { Client, CodexError } from "../../mod.ts";

const AT_ONCE = 4;
/** Dollars for a million tokens: those of your model, from your provider's price list. */
const PRICES = { input: 1.25, cachedInput: 0.125, output: 10 };

const files = process.argv.slice(2);
const failed: string[] = [];
let done = 0;
let retries = 0;

function showProgress(): void {
  const width = Math.round(done / files.length * 30);
  const bar = "█".repeat(width).padEnd(30, "·");
  // On the standard error, so that the answers can go into a file.
  process.stderr.write(`\r${bar} ${done}/${files.length}`);
}

const client = await Client.connect();
try {
  const queue = files.values(); // the workers take from one iterator
  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    for (const file of queue) {
      try {
        const { assistantText } = await client.run(process.cwd(), `What does ${file} do?`, {
          attachments: [file],
          limits: { tokens: 50_000 },
          retry: { attempts: 3 },
          onEvent: (event) => {
            if (event.type === "retrying" && event.by === "client") retries++;
          },
        });
        process.stderr.write("\r\x1b[K"); // clears the bar
        console.log(`${file}: ${assistantText}`);
      } catch (error) {
        if (!(error instanceof CodexError)) throw error;
        failed.push(`${file}: ${error.message}`);
      }
      done++;
      showProgress();
    }
  }));
} finally {
  await client.shutdown();
}

// The client counts every try, those of the files that failed too.
const { inputTokens, cachedInputTokens, outputTokens } = client.usage;
const dollars = ((inputTokens - cachedInputTokens) * PRICES.input +
  cachedInputTokens * PRICES.cachedInput + outputTokens * PRICES.output) / 1e6;
process.stderr.write("\n");
for (const line of failed) console.error(line);
console.error(
  `${files.length - failed.length} answers, ${failed.length} failed, ${retries} more tries, ` +
    `${inputTokens} tokens in, ${outputTokens} out, $${dollars.toFixed(4)}`,
);
process.exitCode = failed.length === 0 ? 0 : 1;
