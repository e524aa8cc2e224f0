/** Run under some flags: one session, one turn; prints the policy, or why there is none, as JSON. */
import { CodexError } from "../../src/errors/mod.ts";
import { Client } from "../../src/session/client/client.ts";

const { client, session, prompt } = JSON.parse(Deno.args[0]!);
const print = (value: unknown) => console.log(JSON.stringify(value));
try {
  const connected = await Client.connect(client);
  try {
    const started = await connected.startSession(session);
    await started.ask(prompt);
    print({ policy: started.policy });
  } finally {
    await connected.shutdown();
  }
} catch (error) {
  if (!(error instanceof CodexError)) throw error;
  print({
    code: error.code,
    message: error.message,
    missing: (error as { missing?: string[] }).missing,
  });
}
