/** Run under few flags: what each option of a session and each way to log in would need more, as JSON. */
import { Client, CodexError, tool } from "../../mod.ts";

const { cwd, configOverrides, profiles, thread, accounts } = JSON.parse(Deno.args[0]!);
const client = await Client.connect({ configOverrides });
const outcome = (asked: Promise<unknown>) =>
  asked.then(() => "fine", (error: unknown) => {
    if (!(error instanceof CodexError)) throw error;
    return (error as { missing?: string[] }).missing ?? error.code;
  });
const outcomes: Record<string, unknown> = {};
for (const [name, profile] of Object.entries<object>(profiles)) {
  outcomes[name] = await outcome(
    client.startSession({ cwd, ...profile }).then((session) => session.close()),
  );
}
if (accounts) {
  for (const type of ["chatgpt", "deviceCode"] as const) {
    const begun = client.login({ type }).then((login) => login.cancel());
    outcomes[`login ${type}`] = await outcome(begun);
  }
  outcomes["login apiKey"] = await outcome(client.login({ type: "apiKey", apiKey: "sk-x" }));
  outcomes["logout"] = await outcome(client.logout());
}
const tools = { add: tool({ description: "Adds", inputSchema: { type: "object" }, run: () => 1 }) };
outcomes["tools of a thread's own"] = await outcome(
  client.startSession({ cwd, tools }).then((session) => session.close()),
);
outcomes["tools of another thread"] = await outcome(
  client.forkSession(thread, { cwd, tools }).then((session) => session.close()),
);
await client.shutdown();
console.log(JSON.stringify(outcomes));
