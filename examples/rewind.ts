/**
 * What an agent did is taken back: the files as they were before a turn, and what the model remembers of it.
 *
 *     deno run -A examples/rewind.ts
 */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Client, testing } from "../mod.ts";
import { setup } from "./_setup.ts";

const { exec } = testing.script;
await using env = await setup(({ userTexts, toolOutputs }) => {
  if (userTexts.some((text) => text.includes("Tidy")) && toolOutputs.length === 0) {
    return [exec("rm notes.txt; mkdir old; echo '# Tidied' > README.md; mv plan.txt old/")];
  }
  return `${userTexts.filter((text) => !text.startsWith("<")).length} prompts so far.`;
});
if (env.live) throw new Error("This example changes files of its own only: run it without --live.");
for (const name of ["README.md", "notes.txt", "plan.txt"]) {
  await writeFile(join(env.cwd, name), `${name} as it was\n`);
}

await using client = await Client.connect(env.client);
const session = await client.startSession({
  cwd: env.cwd,
  sandbox: "workspace-write",
  allowPrivilegedEscalation: true,
  checkpoints: true, // records the workspace before each turn that may write
});
console.log((await session.ask("Hello")).assistantText);
const { turnId } = await session.ask("Tidy this directory up");

// First what it would do, then doing it.
const plan = await session.rewind({ before: turnId, dryRun: true });
for (const { change, path } of plan.files) console.log(change.padEnd(8), path);
for (const { path, why } of plan.skipped) console.log("left as it is:", path, why);
await session.rewind({ before: turnId });

console.log((await readFile(join(env.cwd, "README.md"), "utf8")).trim());
console.log((await session.ask("What did I ask?")).assistantText); // the turn is not among them
await session.close();
