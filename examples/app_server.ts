/**
 * Typed requests to everything that codex can do: models, past threads, and a turn whose questions are answered by hand.
 *
 *     deno run --allow-run=codex --allow-read examples/app_server.ts --live
 */
import { AppServer, rpcMethods, RpcValidationError, testing } from "../mod.ts";
import { setup } from "./_setup.ts";

const { script } = testing;
await using env = await setup([[script.exec("uname -s")], "It is a fine system."]);
await using server = await AppServer.connect(env.client);

const { data: models } = await server.request(rpcMethods.MODEL_LIST, {});
console.log(`${models.length} models, among them ${models[0]?.displayName}`);
const { data: threads } = await server.request(rpcMethods.THREAD_LIST, { limit: 5 });
for (const { preview, updatedAt } of threads) {
  console.log(new Date(updatedAt * 1000).toISOString(), preview);
}

// A wrong value is found here, and not by the server.
try {
  await server.request(rpcMethods.THREAD_LIST, { limit: -5 });
} catch (error) {
  if (!(error instanceof RpcValidationError)) throw error;
  console.log(`refused: ${error.message}`);
}

const { thread } = await server.request(rpcMethods.THREAD_START, {
  cwd: env.cwd,
  sandbox: "read-only",
  approvalPolicy: "untrusted",
});

/** Answers each question of the server; only the commands named here may run. */
async function answerQuestions(): Promise<void> {
  for await (const request of server.serverRequests()) {
    if (request.is("item/commandExecution/requestApproval")) {
      const { command } = request.params;
      const allowed = /\buname -s\b/.test(command ?? "");
      console.log(`${allowed ? "allowed" : "declined"}: ${command}`);
      await request.respond({ decision: allowed ? "accept" : "decline" });
    } else await request.reject({ message: `${request.method} is not answered here` });
  }
}
const answering = answerQuestions();

const events = server.runtime.events({ threadId: thread.id });
await server.request(rpcMethods.TURN_START, {
  threadId: thread.id,
  input: [{ type: "text", text: "Which system is this?", text_elements: [] }],
});
for await (const event of events) {
  if (event.method === "turn/completed") break;
}
const turn = server.runtime.state().threads[thread.id]?.turns.at(-1);
for (const item of turn?.items ?? []) {
  if (item.type === "agentMessage") console.log(item.text);
}
await server.shutdown();
await answering;
