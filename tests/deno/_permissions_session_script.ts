/** Run under some flags: one session, one turn; prints the policy, or why there is none, as JSON. */
import { CodexError } from "../../src/errors/mod.ts";
import { Client } from "../../src/session/client/client.ts";

/** `early`: it is revoked while somebody is asked. */
const { client, session, prompt, decision, revoke, early } = JSON.parse(Deno.args[0]!);
const print = (value: unknown) => console.log(JSON.stringify(value));
try {
  const connected = await Client.connect(client);
  try {
    const asked: string[] = [];
    const audits: string[] = [];
    const warnings: string[] = [];
    const started = await connected.startSession({
      ...session,
      ...(decision === undefined ? {} : {
        approvals: (request: { type: string }) => {
          asked.push(request.type);
          if (early) Deno.permissions.revokeSync(revoke);
          return { decision };
        },
      }),
    });
    await started.ask(prompt, {
      onEvent(event) {
        if (event.type === "warning") warnings.push(event.message);
        if (event.type === "approvalResolved") {
          audits.push(`${event.audit.decision} ${event.audit.decidedBy}`);
        }
      },
    });
    if (revoke !== undefined && !early) {
      Deno.permissions.revokeSync(revoke);
      await started.ask(prompt);
    }
    print({ policy: started.policy, asked, audits, warnings });
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
