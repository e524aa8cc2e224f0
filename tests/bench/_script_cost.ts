/**
 * What it costs to check or to run a script that imports something, or nothing: with an empty cache, or with one that lacks only
 * what checks have found. Prints one line of JSON.
 */
import { execFile } from "node:child_process";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { treeCpuMs } from "./_tree.ts";

const task = JSON.parse(process.argv[2]!);
const directory = await mkdtemp(join(process.env["ROOT"]!, ".cache", "bench", "cost-"));
try {
  const script = join(directory, "script.ts");
  await writeFile(script, task.text);
  const cache = join(directory, "deno");
  const once = () =>
    new Promise<void>((resolve, reject) => {
      const env = { ...process.env, JSR_URL: task.registry, DENO_DIR: cache };
      const args = [task.command, "--no-config", script];
      execFile(process.execPath, args, { env }, (error, _, stderr) => {
        if (error === null) resolve();
        else reject(new Error(stderr));
      });
    });
  if (task.installed) {
    await once();
    // Of what JSR's metadata tells of the modules, Deno keeps nothing that it finds again: the second time it parses them all.
    await once();
    const found = (await readdir(cache)).filter((name) => name.startsWith("check_cache"));
    if (task.command === "check" && found.length === 0) {
      throw new Error(`no check cache in ${cache}`);
    }
    for (const name of found) await rm(join(cache, name));
  }
  const before = treeCpuMs();
  await once();
  console.log(JSON.stringify({ cpuMs: treeCpuMs() - before }));
} finally {
  await rm(directory, { recursive: true });
}
