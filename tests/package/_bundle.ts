/** Bundles programs as users' tools do: from the installed package, for a target without Node. */
import { copyFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { unpackPackage } from "./_package.ts";
import { succeed } from "./_run.ts";
import { esbuildPath } from "./_tools.ts";

/** Bundles `programs/NAME.ts` in an empty project that has the package; returns the path of the bundle. */
export async function bundle(name: string, project: string): Promise<string> {
  await unpackPackage(project);
  const source = fileURLToPath(new URL(`programs/${name}.ts`, import.meta.url));
  await copyFile(source, join(project, `${name}.ts`));
  const args = ["--bundle", "--format=esm", "--platform=browser", "--target=es2022"];
  const outfile = join(project, `${name}.js`);
  // A warning is a failure: users would see it, too.
  const { output } = await succeed(
    await esbuildPath(),
    [`${name}.ts`, ...args, "--log-level=warning", `--outfile=${outfile}`],
    { cwd: project },
  );
  if (output !== "") throw new Error(`esbuild complains:\n${output}`);
  return outfile;
}
