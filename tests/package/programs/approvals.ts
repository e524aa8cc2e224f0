/** The server's questions, answered by rules and by a function. */
import { Client, testing } from "@codex/runtime";

const { script } = testing;
const model = await testing.ScriptedModel.start([
  [script.exec("touch allowed.txt")],
  [script.exec("touch denied.txt")],
  [script.exec("touch asked.txt")],
  "Done.",
]);
const client = await Client.connect({
  ...model.clientConfig(),
  approvals: {
    rules: [
      { effect: "allow", kind: "command", command: ["touch", "allowed.txt"], outsideSandbox: true },
      { effect: "deny", kind: "command", command: ["touch", "denied.txt"] },
    ],
    ask: (request) => {
      console.log(`asked: ${request.type}`);
      return { decision: "accept" };
    },
  },
});
const session = await client.startSession({
  cwd: ".",
  approvalPolicy: "untrusted",
  sandbox: "workspace-write",
  allowPrivilegedEscalation: true,
});
const { items } = await session.ask("Touch three files", {
  onEvent(event) {
    if (event.type === "approvalResolved") {
      console.log(`${event.audit.decision} by ${event.audit.decidedBy}`);
    }
  },
});
for (const item of items) {
  if (item.type === "commandExecution") console.log(`${item.status}: ${item.command}`);
}
await client.shutdown();
await model.close();
