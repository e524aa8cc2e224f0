/**
 * An agent that gets no more than this script: run it with few permissions and see a write refused.
 *
 *     deno run --allow-run=codex --allow-read=. examples/guarded_agent.ts
 *     deno run --allow-run=codex --allow-read=. --allow-write=. examples/guarded_agent.ts
 *
 * With the first line the writable session is refused, the message names the missing flag, and the agent that may only
 * read fails to write. With the second line it writes here, and nowhere else. An argument can hold a `ClientConfig` as
 * JSON.
 */
import { Client, type ClientConfig, PermissionDeniedError, type Session } from "../mod.ts";

const PROMPT = "Create a file named agent.txt with one line, here, with a shell command.";

/** Asks for a workspace that the agent may write to, and does with less when that is refused. */
export async function guardedAgent(cwd: string, config: ClientConfig = {}): Promise<void> {
  const client = await Client.connect(config);
  try {
    const session = await open(client, cwd);
    const { policy } = session;
    console.log(`The agent works in ${cwd}, sandbox ${policy.sandbox.type}.`);
    console.log(`Checked by ${policy.enforcedBy}; it may read ${policy.readRoots}.`);
    const { assistantText, items } = await session.ask(PROMPT);
    for (const item of items) {
      if (item.type !== "commandExecution") continue;
      console.log(`$ ${item.command}\n  ${item.status}: ${(item.aggregatedOutput ?? "").trim()}`);
    }
    console.log(assistantText);
  } finally {
    await client.shutdown();
  }
}

async function open(client: Client, cwd: string): Promise<Session> {
  try {
    return await client.startSession({
      cwd,
      sandbox: "workspace-write",
      allowPrivilegedEscalation: true,
      ephemeral: true,
    });
  } catch (error) {
    if (!(error instanceof PermissionDeniedError)) throw error;
    // The message names the flags that are missing; `error.missing` has them one by one.
    console.log(`Refused: ${error.message}`);
    return await client.startSession({ cwd, ephemeral: true });
  }
}

if (import.meta.main) {
  await guardedAgent(Deno.cwd(), JSON.parse(Deno.args[0] ?? "{}"));
}
