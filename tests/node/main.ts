/**
 * Runs `smoke.ts` with Node's own test runner, in a project that has the packed tarball and nothing else:
 * `deno run -A tests/node/main.ts`.
 */
import { spawn } from "node:child_process";
import { copyFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { nodePath } from "../_codex.ts";
import { machine } from "../package/_machine.ts";
import { pack } from "../package/_package.ts";
import { succeed } from "../package/_run.ts";

const node = await nodePath();
let code = 1;
{
  await using user = await machine();
  const project = user.workspace;
  await writeFile(join(project, "package.json"), '{ "private": true, "type": "module" }');
  await copyFile(fileURLToPath(new URL("smoke.ts", import.meta.url)), join(project, "smoke.ts"));
  const npm = ["install", "--no-audit", "--no-fund", await pack()];
  await succeed("npm", npm, { cwd: project, timeoutMs: 120_000 });
  const args = ["--test", "--test-reporter=spec", "--test-timeout=60000", "smoke.ts"];
  const child = spawn(node, args, {
    cwd: project,
    env: user.env,
    stdio: ["ignore", "inherit", "inherit"],
  });
  code = await new Promise((resolve) => child.once("close", (status) => resolve(status ?? 1)));
}
process.exit(code);
