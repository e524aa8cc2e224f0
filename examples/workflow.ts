/**
 * Repeated runs in one directory, with files attached: reviews each file by itself, on one codex process.
 *
 *     deno run --allow-run=codex --allow-read=. examples/workflow.ts --live README.md mod.ts
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { Workflow } from "../mod.ts";
import { setup } from "./_setup.ts";

await using env = await setup((request) =>
  `Reviewed: ${/@(\S+)/.exec(request.text)?.[1]?.split("/").pop()}`
);
const files = process.argv.slice(2).filter((arg) => !arg.startsWith("--"));
if (!env.live) {
  files.push("a.ts", "b.ts");
  for (const file of files) await writeFile(join(env.cwd, file), "export const one = 1;\n");
}

await using workflow = await Workflow.connect({ cwd: env.cwd, effort: "low", client: env.client });
for (const file of files) {
  const { assistantText } = await workflow.run("Review this file in one sentence", {
    attachments: [file],
  });
  console.log(`${file}: ${assistantText}`);
}
console.log(`${workflow.client.usage.totalTokens} tokens for all`);
