/**
 * Homes in which codex has been at work before, as most homes are: half of what a start of 0.169 costs is making the
 * databases of a new one.
 */
import { spawn } from "node:child_process";
import { copyFile, mkdir, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { codexPath, type CodexVersion, ROOT } from "./_codex.ts";

const SETTINGS = ["-c", "features.plugins=false", "-c", "skills.bundled.enabled=false"];
const HELLO = { id: 1, method: "initialize", params: { clientInfo: { name: "t", version: "1" } } };
const patterns = new Map<CodexVersion, Promise<string>>();

/** Puts the databases of a codex that has ended into a home; does nothing when it has some. */
export async function makeUsed(home: string, version: CodexVersion): Promise<void> {
  const made = patterns.get(version) ?? pattern(version);
  patterns.set(version, made);
  const from = await made;
  await mkdir(home, { recursive: true });
  const [there, entries] = await Promise.all([
    readdir(home),
    readdir(from, { withFileTypes: true }),
  ]);
  const files = entries.filter((entry) => entry.isFile() && !entry.name.endsWith("-shm"));
  if (files.some(({ name }) => there.includes(name))) return;
  await Promise.all(files.map(({ name }) => copyFile(join(from, name), join(home, name))));
}

/** The home that is copied, beside the programs that were installed. */
async function pattern(version: CodexVersion): Promise<string> {
  const home = join(ROOT, ".cache", "homes", version);
  if (await exists(home)) return home;
  // Renamed into place when codex has ended: whoever comes first wins, nobody sees half a home.
  const draft = `${home}.${process.pid}-${Date.now()}`;
  await mkdir(draft, { recursive: true });
  try {
    await greet(await codexPath(version), draft);
    await rename(draft, home).catch(async (error) => {
      if (!await exists(home)) throw error;
    });
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
  return home;
}

async function exists(folder: string): Promise<boolean> {
  return await readdir(folder).then(() => true, () => false);
}

/** Starts codex, says hello and closes its stdin when it has answered; returns when it has ended. */
async function greet(codex: string, home: string): Promise<void> {
  const child = spawn(codex, [...SETTINGS, "app-server"], {
    env: { PATH: process.env["PATH"], HOME: home, CODEX_HOME: home },
    stdio: ["pipe", "pipe", "ignore"],
  });
  const ended = Promise.withResolvers<number | null>();
  child.on("exit", ended.resolve);
  child.on("error", ended.reject);
  child.stdout.on("data", () => child.stdin.end());
  child.stdin.write(`${JSON.stringify(HELLO)}\n`);
  const code = await ended.promise;
  if (code !== 0) throw new Error(`codex in a new home ended with exit code ${code}`);
}
