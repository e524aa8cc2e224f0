/** Rewinds a session's turn, and dies right before the server takes it back, or right after. Arguments: when, settings. */
import process from "node:process";
import { coreOf } from "../../src/runtime/mod.ts";
import { Client } from "../../src/session/client/client.ts";

const [when, settings = "{}"] = process.argv.slice(2);
const { config, session: profile, threadId, before } = JSON.parse(settings);
const client = await Client.connect(config);
const session = await client.resumeSession(threadId, profile);
const core = coreOf(client.runtime);
const call = core.call.bind(core);
const die = () => {
  process.kill(process.pid, "SIGKILL");
  return new Promise<void>(() => {});
};
core.call = async (method, params, options) => {
  const takesBack = method === "thread/revert" || method === "thread/rollback";
  if (takesBack && when === "before") await die();
  const result = await call(method, params, options);
  if (takesBack) await die();
  return result;
};
await session.rewind({ before });
console.log("rewound");
