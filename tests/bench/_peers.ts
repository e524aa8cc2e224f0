/** Other libraries, by exact version, installed from npm into the git-ignored `.cache`. */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ROOT } from "../_codex.ts";

/** What is compared, and where it stands in for what it is. */
export const PEERS: Readonly<Record<string, string>> = {
  "@openai/codex-sdk": "0.163.0",
  "@agentclientprotocol/sdk": "2.4.0",
  "vscode-jsonrpc": "10.0.0",
  "ai-sdk-provider-codex-cli": "2.2.1",
};

/** Where they are. */
export const PEERS_HOME: string = join(ROOT, ".cache", "bench");

/** Installs what is missing. */
export async function installPeers(): Promise<void> {
  const stamp = join(PEERS_HOME, `installed-${Object.values(PEERS).join("-")}`);
  if (existsSync(stamp)) return;
  await mkdir(PEERS_HOME, { recursive: true });
  await writeFile(join(PEERS_HOME, "package.json"), '{ "private": true, "type": "module" }\n');
  await writeFile(join(PEERS_HOME, "deno.json"), '{ "nodeModulesDir": "manual" }\n');
  const packages = Object.entries(PEERS).map(([name, version]) => `${name}@${version}`);
  // The SDK's own codex is optional there: both sides run the one that the tests have.
  const flags = ["--no-audit", "--no-fund", "--save-exact", "--ignore-scripts", "--omit=optional"];
  await new Promise<void>((resolve, reject) => {
    execFile("npm", ["install", ...flags, ...packages], { cwd: PEERS_HOME }, (error, _, stderr) => {
      if (error === null) resolve();
      else reject(new Error(`npm install failed: ${stderr}`));
    });
  });
  await writeFile(stamp, "");
}
