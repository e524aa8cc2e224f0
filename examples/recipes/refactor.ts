/**
 * An agent that changes code by itself, within rules: it may write in `src` and run the tests there, and nothing else that
 * codex asks about. Nobody is asked; what no rule allows is declined.
 *
 *     deno run --allow-run=codex --allow-read=. --allow-write=. examples/recipes/refactor.ts "Rename load to read"
 */
import process from "node:process";
import { Client, CodexError } from "../../mod.ts";

const cwd = process.cwd();
const client = await Client.connect({
  approvals: {
    rules: [
      { name: "the code", effect: "allow", kind: "fileChange", paths: [`${cwd}/src`] },
      { name: "the tests", effect: "allow", kind: "command", command: ["sh", "test.sh"] },
      { name: "look around", effect: "allow", kind: "command", command: ["ls"] },
      { name: "no secrets", effect: "deny", kind: "fileChange", paths: [".env"] },
      { name: "no network", effect: "deny", kind: "command", command: ["curl"] },
    ],
    default: "decline",
  },
});
try {
  const session = await client.startSession({
    cwd,
    // Only `untrusted` asks about every command and change, so only there can rules judge them all.
    approvalPolicy: "untrusted",
    sandbox: "workspace-write",
    allowPrivilegedEscalation: true,
    limits: { tokens: 1_000_000, toolCalls: 200 },
    timeoutMs: 30 * 60_000,
  });
  if (session.policy.approvalsNote !== null) console.log(session.policy.approvalsNote);
  const { assistantText, diff } = await session.ask(process.argv[2] ?? "Tidy up", {
    onEvent(event) {
      if (event.type === "approvalRequested") {
        const { request } = event;
        console.log(request.type === "command" ? request.script ?? request.command : request.type);
      }
      if (event.type === "approvalResolved") {
        console.log(`  ${event.audit.decision} (${event.audit.rule ?? event.audit.decidedBy})`);
      }
    },
  });
  console.log(`${assistantText}\n\n${diff ?? "Nothing was changed."}`);
  await session.close();
} catch (error) {
  if (!(error instanceof CodexError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
} finally {
  await client.shutdown();
}
