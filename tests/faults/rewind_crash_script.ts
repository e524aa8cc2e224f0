/** Takes a workspace back, and dies before the step of that number: the disk is left as a killed process leaves it. */
import process from "node:process";
import { treeFiles } from "../../src/platform/fs.ts";
import type { TreeFiles } from "../../src/platform/mod.ts";
import { Workspace } from "../../src/session/history/rewind/workspace.ts";

const [root, home, tree, last] = process.argv.slice(2) as [string, string, string, string];
let done = 0;

async function dieAt(): Promise<void> {
  if (done++ < Number(last)) return;
  process.kill(process.pid, "SIGKILL");
  await new Promise(() => {});
}

const real = (await treeFiles())!;
const files: TreeFiles = {
  ...real,
  writeNew: async (...args) => {
    await dieAt();
    await real.writeNew(...args);
  },
  makeLink: async (...args) => {
    await dieAt();
    await real.makeLink(...args);
  },
  setMode: async (...args) => {
    await dieAt();
    await real.setMode(...args);
  },
};
const workspace = await Workspace.open(files, { root, home, beforeStep: dieAt });
await workspace.restore(tree, { threadId: "thread", before: "turn", turns: [] }, dieAt, undefined);
console.log("restored");
