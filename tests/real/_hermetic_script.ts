/** A script with a hermetic client that says where its home is and then waits, or forgets the client. Arguments: how, settings. */
import process from "node:process";
import { Client } from "../../src/session/client/client.ts";

const [how, settings = "{}"] = process.argv.slice(2);
const { config, cwd } = JSON.parse(settings);
const client = await Client.connect({ ...config, isolation: "hermetic" });
await client.run(cwd, "hello");
console.log(`home ${client.server.codexHome}`);
if (how === "waits") await client.runtime.request("nothing/at/all").catch(() => {});
if (how === "waits") setInterval(() => {}, 60_000);
