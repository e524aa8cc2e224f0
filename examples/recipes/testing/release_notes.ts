/** The program that is tested here: asks an agent for the notes of a release. */
import { type ClientConfig, quickRun } from "../../../mod.ts";

/** What to tell people of the changes in a directory, and how many commands the agent ran for it. */
export async function releaseNotes(
  cwd: string,
  client: ClientConfig = {},
): Promise<{ notes: string[]; commands: number }> {
  const { assistantText, items } = await quickRun(cwd, "List the changes since the last tag", {
    client,
  });
  return {
    notes: assistantText.split("\n").filter((line) => line.startsWith("- ")),
    commands: items.filter((item) => item.type === "commandExecution").length,
  };
}
