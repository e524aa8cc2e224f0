/**
 * What an agent did is taken back: the files as they were before a turn, and what the model remembers of it.
 *
 *     deno run --allow-run=codex,git --allow-read=.,$HOME/.codex/checkpoints --allow-write=.,$HOME/.codex/checkpoints examples/rewind.ts --live
 */
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
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
const cwd = join(env.cwd, "rewound"); // it changes files of its own only
await mkdir(cwd);
for (const name of ["README.md", "notes.txt", "plan.txt"]) {
  await writeFile(join(cwd, name), `${name} as it was\n`);
}

await using client = await Client.connect(env.client);
const session = await client.startSession({
  cwd,
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

console.log((await readFile(join(cwd, "README.md"), "utf8")).trim());
console.log((await session.ask("What did I ask?")).assistantText); // the turn is not among them
await session.close();
await rm(cwd, { recursive: true });
