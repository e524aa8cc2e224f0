/** This library's own processor time for one answer of the real codex, whose time is not counted. Prints one line of JSON. */
import process from "node:process";
import { Client, quickRun } from "../../mod.ts";
import { measure } from "./_measure.ts";

const { variant, config, cwd } = JSON.parse(process.argv[2]!);
let stop: ReturnType<typeof measure>;

switch (variant) {
  case "cold": {
    stop = measure();
    await quickRun(cwd, "hello", { client: config });
    break;
  }
  case "warm": {
    await Client.prewarm(config);
    stop = measure();
    await quickRun(cwd, "hello", { client: config });
    break;
  }
  default: {
    const client = await Client.connect(config);
    const session = await client.startSession({ cwd });
    stop = measure();
    await session.ask("hello");
  }
}
const { cpuMs, wallMs } = stop();
console.log(JSON.stringify({ cpuMs, wallMs }));
process.exit(0);
