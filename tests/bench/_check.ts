/** What type-checking costs: a script that imports something, or nothing, in a fresh cache. Prints one line of JSON. */
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { treeCpuMs } from "./_tree.ts";

const task = JSON.parse(process.argv[2]!);
const directory = await mkdtemp(join(process.env["ROOT"]!, ".cache", "bench", "check-"));
try {
  const script = join(directory, "script.ts");
  await writeFile(script, task.text);
  const before = treeCpuMs();
  await new Promise<void>((resolve, reject) => {
    const env = { ...process.env, JSR_URL: task.registry, DENO_DIR: join(directory, "deno") };
    execFile(process.execPath, ["check", "--no-config", script], { env }, (error, _, stderr) => {
      if (error === null) resolve();
      else reject(new Error(stderr));
    });
  });
  console.log(JSON.stringify({ cpuMs: treeCpuMs() - before }));
} finally {
  await rm(directory, { recursive: true });
}
