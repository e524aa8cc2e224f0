/** A folder with the npm packages that examples of other people's tools name, by exact version. */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import process from "node:process";
import { ROOT } from "../_codex.ts";
import { play } from "./example_runner.ts";

const PACKAGES = {
  "@openai/codex-sdk": "0.163.0",
  "@anthropic-ai/claude-agent-sdk": "0.3.332",
  // The types of the one before are in these.
  "@anthropic-ai/sdk": "1.14.0",
  "@modelcontextprotocol/sdk": "1.32.2",
  "@types/node": "22.20.5",
  // Its types; it runs from a folder of its own, with its native parts.
  "vitest": "5.1.2",
  "zod": "4.6.7",
};

/** The Claude Agent SDK with the program that it starts, 400 MB: for the one example that runs on it. */
export const CLAUDE: { name: string; version: string; beside: string[] } = {
  name: "@anthropic-ai/claude-agent-sdk",
  version: PACKAGES["@anthropic-ai/claude-agent-sdk"],
  beside: [`zod@${PACKAGES.zod}`],
};

/** Where they are installed; without the programs, of several hundred megabytes, that they bring along. */
export async function npmProject(): Promise<string> {
  const target = join(ROOT, ".cache", "npm", [...Object.values(PACKAGES)].join("-"));
  if (existsSync(target)) return target;
  const draft = `${target}.${process.pid}`;
  await mkdir(draft, { recursive: true });
  try {
    const manifest = { private: true, type: "module", dependencies: PACKAGES };
    await writeFile(join(draft, "package.json"), JSON.stringify(manifest));
    const { compilerOptions } = JSON.parse(await readFile(join(ROOT, "deno.json"), "utf8"));
    const settings = { nodeModulesDir: "manual", compilerOptions };
    await writeFile(join(draft, "deno.json"), JSON.stringify(settings));
    const flags = ["--no-audit", "--no-fund", "--ignore-scripts"];
    await npm(draft, ["install", ...flags, "--legacy-peer-deps", "--omit=optional"]);
    await rename(draft, target).catch((error) => {
      if (!existsSync(target)) throw error;
    });
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
  return target;
}

/** Copies an example there; its imports of this library lead to the checkout. Returns its path. */
export async function copyExample(folder: string, path: string): Promise<string> {
  const text = await readFile(join(ROOT, path), "utf8");
  const target = join(folder, basename(path));
  await writeFile(target, text.replace(/"(?:\.\.\/)+mod\.ts"/, `"${ROOT}/mod.ts"`));
  return target;
}

function npm(cwd: string, args: string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    execFile("npm", args, { cwd, maxBuffer: 16 << 20, timeout: 300_000 }, (error, _, stderr) => {
      if (error === null) resolve();
      else reject(new Error(`npm ${args.join(" ")} failed: ${stderr}`));
    });
  });
}

/** What is wrong with examples of other packages, which `deno task check` can't look at: form and types. */
export async function complaints(
  paths: string[],
  cwd: string,
  env: Record<string, string>,
): Promise<string> {
  const told: string[] = [];
  for (
    const words of [["fmt", "--check", "--no-config", "--line-width=100"], ["lint"], ["check"]]
  ) {
    const { code, output } = await play(["deno", ...words, ...paths], cwd, env);
    if (code !== 0) told.push(output);
  }
  return told.join("\n");
}
