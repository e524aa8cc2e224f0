/** A user's script that takes a turn back, under the fewest flags. Prints the outcome as JSON. */
import { Client } from "../../mod.ts";

const { cwd, prompt, configOverrides } = JSON.parse(Deno.args[0]!);
const client = await Client.connect({ configOverrides });
try {
  const session = await client.startSession({
    cwd,
    sandbox: { type: "workspaceWrite", excludeSlashTmp: true, excludeTmpdirEnvVar: true },
    allowPrivilegedEscalation: true,
    checkpoints: true,
  });
  const { turnId } = await session.ask(prompt);
  const { files, skipped } = await session.rewind({ before: turnId });
  console.log(JSON.stringify({ files, skipped }));
} catch (error) {
  console.log(JSON.stringify({ error: `${error}` }));
} finally {
  await client.shutdown();
}
