/**
 * A user's script with a client whose agent is running a command, and then an end of some kind. Arguments: how it ends,
 * and the client's configuration as JSON. Prints the process id of codex when the command runs.
 */
import process from "node:process";
import type { ClientConfig } from "../../src/runtime/config.ts";
import { Client } from "../../src/session/client/client.ts";

const [how = "", json = "{}", cwd = "."] = process.argv.slice(2);
const config: ClientConfig = JSON.parse(json);

if (how.startsWith("prewarm")) {
  await Client.prewarm(config);
  if (how === "prewarm-taken") {
    const client = await Client.connect(config);
    console.log(`pid ${client.runtime.pid} running`);
    // The timer keeps the script alive: nothing is awaited of codex.
    setTimeout(async () => {
      console.log("still here");
      await client.shutdown();
    }, 300);
  } else console.log("prewarmed");
} else {
  const client = await Client.connect(config);
  const session = await client.startSession({
    cwd,
    sandbox: "danger-full-access",
    approvalPolicy: "never",
    allowPrivilegedEscalation: true,
    dangerouslyAllowUnattendedFullAccess: true,
  });
  const gaveUp = new AbortController();
  const stream = await session.askStream("run it", { signal: gaveUp.signal });
  const outcome = stream.finish().then(() => "completed", (error) => error.name);
  for (let event = await stream.recv(); event !== null; event = await stream.recv()) {
    if (event.type === "itemStarted" && event.item.type === "commandExecution") break;
  }
  console.log(`pid ${client.runtime.pid} running`);
  switch (how) {
    case "shutdown":
      await client.shutdown();
      console.log(`outcome ${await outcome}`);
      console.log(`report ${JSON.stringify(await client.runtime.shutdown())}`);
      break;
    case "abort":
      gaveUp.abort(new Error("gave up"));
      console.log(`outcome ${await outcome}`);
      await client.shutdown();
      break;
    case "crash":
      process.kill(client.runtime.pid!, "SIGKILL");
      console.log(`outcome ${await outcome}`);
      await client.shutdown();
      break;
    case "dispose": {
      await using owned = client;
      void owned;
      break;
    }
    case "throw":
      throw new Error("uncaught, on purpose");
    case "reject":
      Promise.reject(new Error("unhandled, on purpose"));
      break;
    case "exit":
      process.exit(3);
  }
}
