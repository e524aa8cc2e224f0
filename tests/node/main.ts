/**
 * Runs `smoke.ts` with Node's own test runner, in a project that has the packed tarball and nothing else:
 * `deno run -A tests/node/main.ts`.
 */
import { spawn } from "node:child_process";
import { copyFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { nodePath } from "../_codex.ts";
import { machine } from "../package/_machine.ts";
import { unpackPackage } from "../package/_package.ts";

const node = await nodePath();
let code = 1;
{
  await using user = await machine();
  const project = user.workspace;
  await copyFile(fileURLToPath(new URL("smoke.ts", import.meta.url)), join(project, "smoke.ts"));
  await unpackPackage(project);
  const args = ["--test", "--test-reporter=spec", "--test-timeout=60000", "smoke.ts"];
  const child = spawn(node, args, {
    cwd: project,
    env: user.env,
    stdio: ["ignore", "inherit", "inherit"],
  });
  code = await new Promise((resolve) => child.once("close", (status) => resolve(status ?? 1)));
}
process.exit(code);
