/** Run by Node under its permission model: asks the real codex once. Arguments: the cwd, the client's configuration. */
import process from "node:process";
import { Client } from "../../mod.ts";

const [cwd, config] = process.argv.slice(2) as [string, string];
const client = await Client.connect(JSON.parse(config));
const told = await client.run(cwd, "Hello")
  .then(({ assistantText }) => assistantText, ({ code, message }) => `${code}: ${message}`);
await client.shutdown();
console.log(told);
