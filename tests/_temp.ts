/** Private directories for tests, outside the system temp dir and outside any git checkout. */
import { mkdir, mkdtemp, realpath, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import process from "node:process";

const ROOT = join(
  process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"),
  "codex-runtime-tests",
);

/** A fresh directory with its real path, removed when disposed. */
export async function tempDir(
  prefix = "t-",
): Promise<{ path: string; [Symbol.asyncDispose](): Promise<void> }> {
  await mkdir(ROOT, { recursive: true });
  const path = await realpath(await mkdtemp(join(ROOT, prefix)));
  return {
    path,
    [Symbol.asyncDispose]: () => removed(path),
  };
}

/** What a process writes in its last moments comes back into a directory that is being removed. */
async function removed(path: string): Promise<void> {
  for (let tries = 1;; tries++) {
    try {
      return await rm(path, { recursive: true, force: true });
    } catch (error) {
      if (tries === 100) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}
