/**
 * An agent that gets no more than this script: run it with few permissions and see a write refused.
 *
 *     deno run --allow-run=codex --allow-read=. --allow-env=CODEX_PATH examples/guarded_agent.ts
 *     deno run --allow-run=codex --allow-read=. --allow-write=. --allow-env=CODEX_PATH examples/guarded_agent.ts
 *
 * The first refuses the session and says which flags are missing; the second lets the agent write here and nowhere else.
 */
import { Client, type ClientConfig, PermissionDeniedError } from "../mod.ts";

/** Asks for a workspace that the agent may write to. */
export async function guardedAgent(
  cwd: string,
  prompt: string,
  config: ClientConfig = {},
): Promise<void> {
  const client = await Client.connect(config);
  try {
    const session = await client.startSession({
      cwd,
      sandbox: "workspace-write",
      allowPrivilegedEscalation: true,
      ephemeral: true,
    });
    console.log(`The agent may write in ${cwd} (checked by ${session.policy.enforcedBy}).`);
    const { assistantText } = await session.ask(prompt);
    console.log(assistantText);
  } catch (error) {
    if (!(error instanceof PermissionDeniedError)) throw error;
    console.log(`Refused: ${error.message}`);
    console.log(`Missing: ${error.missing.join(" ")}`);
  } finally {
    await client.shutdown();
  }
}

if (import.meta.main) {
  await guardedAgent(Deno.cwd(), "Create a file named agent.txt with one line.");
}
