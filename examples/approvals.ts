/**
 * The agent asks, a person answers on the terminal; rules answer what needs no person.
 *
 *     deno run --allow-run=codex --allow-read=. examples/approvals.ts --live
 */
import process from "node:process";
import { createInterface } from "node:readline/promises";
import { type ApprovalRequest, Client, testing } from "../mod.ts";
import { setup } from "./_setup.ts";

const { script } = testing;
await using env = await setup([
  [script.exec("ls")],
  [script.exec("touch approved.txt")],
  "I listed the directory; the rest was for you to decide.",
]);

/** A text as it is: whoever wrote it must not move the terminal's cursor, nor turn the direction of writing. */
function visible(text: string | null): string {
  return `${text}`.replace(
    /(?![\n\t])[\p{Cc}\p{Cf}]/gu,
    (char) => `\\u{${char.codePointAt(0)!.toString(16)}}`,
  );
}

function describe(request: ApprovalRequest): string {
  switch (request.type) {
    case "command":
      return `run  ${visible(request.script ?? request.command)}\n  in ${visible(request.cwd)}`;
    case "fileChange":
      return `change files\n${visible(request.diff)}`;
    default:
      return request.type;
  }
}

async function askPerson(request: ApprovalRequest): Promise<boolean> {
  console.log(`The agent wants to ${describe(request)}`);
  if (!process.stdin.isTTY) {
    console.log("Nobody is at the terminal: declined.");
    return false;
  }
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  const answer = await terminal.question("Allow? [y/N] ");
  terminal.close();
  return answer.trim().toLowerCase() === "y";
}

await using client = await Client.connect({
  ...env.client,
  approvalTimeoutMs: 5 * 60_000,
  approvals: {
    rules: [
      {
        name: "looking is fine",
        effect: "allow",
        kind: "command",
        command: ["ls"],
        // Codex may run what is accepted outside the sandbox; listing a directory does no harm there.
        outsideSandbox: true,
      },
      { name: "never push", effect: "deny", kind: "command", command: ["git", "push"] },
    ],
    ask: async (request) => ({ decision: await askPerson(request) ? "accept" : "decline" }),
  },
});
await using session = await client.startSession({ cwd: env.cwd, approvalPolicy: "untrusted" });
const { assistantText } = await session.ask("List the directory, then create approved.txt", {
  timeoutMs: 10 * 60_000,
  onEvent(event) {
    if (event.type !== "approvalResolved") return;
    const { type, decision, decidedBy, rule, durationMs } = event.audit;
    console.log(`  [${type}: ${decision} by ${rule ?? decidedBy}, ${durationMs} ms]`);
  },
});
console.log(assistantText);
