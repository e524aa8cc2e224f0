/**
 * A document that an agent writes and edits, while a colleague edits it too.
 *
 *     deno run --allow-run=codex --allow-read=. --allow-write=artifacts examples/artifact.ts --live
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { artifact, ArtifactConflictError, Client, testing } from "../mod.ts";

const live = process.argv.includes("--live");
const cwd = live ? process.cwd() : await mkdtemp(join(tmpdir(), "artifact-"));
const model = live ? null : await testing.ScriptedModel.start(play);
const client = await Client.connect(model?.clientConfig() ?? {});
const store = new artifact.FileArtifactStore(join(cwd, "artifacts"));
const documents = new artifact.ArtifactSessionManager(client, { cwd, store });
const artifactId = "guides/backup";

try {
  const written = await documents.runTask({
    type: "docGenerate",
    artifactId,
    userGoal: "A guide to backups for a small office, about ten lines",
    constraints: ["Markdown", "One sentence per line"],
  });
  show(`written: ${written.title}`, "", written);

  const first = await documents.runTask({
    type: "docEdit",
    artifactId,
    userGoal: "Say how often to test that a backup can be restored",
  });
  show(`edited: ${first.notes}`, written.text, first);

  const second = await documents.runTask({
    type: "docEdit",
    artifactId,
    userGoal: "Make the title friendlier",
  });
  show(`edited: ${second.notes}`, first.text, second);

  // A colleague saves, and the agent is asked to edit the text from before.
  const colleague = await store.save(artifactId, {
    text: `${second.text.trimEnd()}\nAsk Kim for the keys of the safe.\n`,
    expectedRevision: second.revision,
  });
  show("a colleague edited", second.text, colleague);
  const outdated = {
    type: "docEdit",
    artifactId,
    userGoal: "Mention that one copy is kept elsewhere",
    currentText: second.text,
  } as const;
  try {
    await documents.runTask(outdated);
  } catch (error) {
    if (!(error instanceof ArtifactConflictError)) throw error;
    console.log(
      `\n! conflict: expected ${short(error.expectedRevision)}, found ${
        short(error.actualRevision)
      }`,
    );
  }

  // The same with a retry: the agent gets the fresh text, and nobody's work is lost.
  const merged = await documents.runTask({ ...outdated, conflictRetries: 2 });
  show(`edited the fresh text: ${merged.notes}`, colleague.text, merged);
} finally {
  await documents.close();
  await client.shutdown();
  await model?.close();
  if (!live) await rm(cwd, { recursive: true, force: true });
}

/** Prints what changed. */
function show(title: string, before: string, after: { revision: string; text: string }): void {
  console.log(`\n# ${title}  (${short(after.revision)})`);
  for (const line of diff(lines(before), lines(after.text))) console.log(line);
}

/** The lines that went (`-`) and came (`+`), by the longest common subsequence. */
function diff(a: string[], b: string[]): string[] {
  const common = Array.from(
    { length: a.length + 1 },
    () => new Array<number>(b.length + 1).fill(0),
  );
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      common[i]![j] = a[i] === b[j]
        ? common[i + 1]![j + 1]! + 1
        : Math.max(common[i + 1]![j]!, common[i]![j + 1]!);
    }
  }
  const out: string[] = [];
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) [i, j] = [i + 1, j + 1];
    else if (j === b.length || (i < a.length && common[i + 1]![j]! >= common[i]![j + 1]!)) {
      out.push(`- ${a[i++]}`);
    } else out.push(`+ ${b[j++]}`);
  }
  return out;
}

function lines(text: string): string[] {
  return text === "" ? [] : text.replace(/\n$/, "").split("\n");
}

function short(revision: string): string {
  return revision.slice(0, "sha256:".length + 8);
}

/** Plays the model: a document for the first task, then one edit for each goal. */
function play(request: testing.ModelRequest): string {
  const prompt = request.text;
  const text = /CURRENT_TEXT_BEGIN\n([\s\S]*)CURRENT_TEXT_END$/.exec(prompt)?.[1] ?? "";
  const end = artifact.countLines(text) + 1;
  if (prompt.includes("A guide to backups")) {
    const guide = "# Backups\n\nCopy all files every night.\nKeep seven copies.\n";
    return JSON.stringify({ format: "markdown", title: "Backups", text: guide });
  }
  const [edit, notes] = prompt.includes("friendlier")
    ? [{ startLine: 1, endLine: 2, replacement: "# Sleep well: backups\n" }, "a friendlier title"]
    : prompt.includes("restored")
    ? [
      { startLine: end, endLine: end, replacement: "Restore one every month.\n" },
      "a monthly test",
    ]
    : [
      { startLine: 5, endLine: 5, replacement: "Keep one outside the house.\n" },
      "a copy elsewhere",
    ];
  return JSON.stringify({
    format: "markdown",
    expectedRevision: /^REVISION: (.*)$/m.exec(prompt)?.[1],
    edits: [edit],
    notes,
  });
}
