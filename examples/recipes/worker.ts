/**
 * Codex in a worker, so that a busy main thread delays no event and no approval. The worker owns the client; messages carry
 * prompts and answers. The same lines run on Deno, where the worker's modules must be readable, on Bun and on Node.
 *
 *     deno run --allow-run=codex --allow-read=. examples/recipes/worker.ts "Summarize this repo" "And its tests"
 *     node examples/recipes/worker.ts "Summarize this repo"
 */
import process from "node:process";
import { isMainThread, parentPort, Worker } from "node:worker_threads";
import { Client } from "../../mod.ts";

if (isMainThread) {
  const worker = new Worker(new URL(import.meta.url));
  const prompts = process.argv.slice(2);
  let open = prompts.length;
  worker.on("message", ({ text }: { text: string | null }) => {
    if (text === null) return void worker.terminate();
    console.log(text);
    // terminate() ends a worker in the middle of whatever it does: it shuts codex down first.
    if (--open === 0) worker.postMessage(null);
  });
  for (const prompt of prompts) worker.postMessage(prompt);
} else {
  const port = parentPort!;
  // Not awaited here: Deno drops what is sent before there is a listener.
  const connecting = Client.connect();
  port.on("message", async (prompt: string | null) => {
    const client = await connecting;
    if (prompt === null) {
      await client.shutdown();
      port.postMessage({ text: null });
      return;
    }
    const text = await client.run(process.cwd(), prompt)
      .then(({ assistantText }) => assistantText, (error) => `failed: ${error.message}`);
    port.postMessage({ text: `${prompt}: ${text}` });
  });
}
