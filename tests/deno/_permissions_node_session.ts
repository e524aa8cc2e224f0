/** Run by Node under its permission model: asks the real codex once. Arguments: the cwd, the client's configuration. */
import process from "node:process";
import { Client } from "../../mod.ts";

const [cwd, config] = process.argv.slice(2) as [string, string];
const told = await Client.connect(JSON.parse(config)).then(async (client) => {
  const { assistantText } = await client.run(cwd, "Hello").finally(() => client.shutdown());
  return assistantText;
}).catch(({ code, message }) => `${code}: ${message}`);
console.log(told);
