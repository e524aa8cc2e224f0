/**
 * Private directories for a codex under test, and the server that its model runs in.
 * @module
 */
import { delay } from "../../async.ts";
import { CodexError, messageOf, SpawnError } from "../../errors/mod.ts";
import { platformName, sharedBuiltin } from "../../platform/mod.ts";

export { serveLoopback } from "../../platform/fs.ts";
export { SCRIPTED_MODEL } from "../../protocol/mod.ts";

/** Directories that exist, and their removal. */
export interface Homes {
  /** For CODEX_HOME. */
  readonly codexHome: string;
  /** HOME, TMPDIR and what else the system calls them. */
  readonly variables: Record<string, string>;
  /** Removes them. */
  remove(): Promise<void>;
}

/** Makes the directories below the user's cache: codex warns about a home below the system's temp directory. */
export async function createHomes(): Promise<Homes> {
  try {
    return await makeHomes();
  } catch (cause) {
    if (cause instanceof CodexError) throw cause;
    // As for users of a container that have no home, or one that can't be written.
    throw new SpawnError(
      `A model's codex needs a home, which can't be made: ${
        messageOf(cause)
      }. Name a place with XDG_CACHE_HOME.`,
      { cause, data: { reason: "home" } },
    );
  }
}

async function makeHomes(): Promise<Homes> {
  // deno-lint-ignore no-explicit-any
  const builtin = (name: string): any => {
    const module = sharedBuiltin(name);
    if (module !== null) return module;
    throw new CodexError(
      "unsupported",
      `node:${name} is not available here: ScriptedModel needs Deno, Bun or Node`,
    );
  };
  const fs = builtin("fs/promises");
  const path = builtin("path");
  const { process } = globalThis as unknown as {
    process: { env: Record<string, string>; pid: number };
  };
  const cache = process.env["XDG_CACHE_HOME"] || path.join(builtin("os").homedir(), ".cache");
  const base = path.join(cache, "codex-runtime-testing");
  await fs.mkdir(base, { recursive: true });
  await removeAbandoned(fs, path, base);
  const root = await fs.realpath(await fs.mkdtemp(path.join(base, `model-${process.pid}-`)));
  const make = async (name: string): Promise<string> => {
    const directory: string = path.join(root, name);
    await fs.mkdir(directory);
    return directory;
  };
  const codexHome = await make("codex");
  const [home, tmp] = [await make("home"), await make("tmp")];
  return {
    codexHome,
    variables: homeVariables(platformName(), { home, tmp }),
    remove: () => remove(fs, root),
  };
}

/** Where programs look for the user's directory and the temporary one; Windows has names of its own. Pure. */
export function homeVariables(
  platform: string,
  { home, tmp }: { home: string; tmp: string },
): Record<string, string> {
  const everywhere = { HOME: home, TMPDIR: tmp };
  if (platform !== "win32") return everywhere;
  const [, HOMEDRIVE = "", HOMEPATH = home] = /^([A-Za-z]:)(.*)$/s.exec(home) ?? [];
  const profile = { USERPROFILE: home, HOMEDRIVE, HOMEPATH, APPDATA: home, LOCALAPPDATA: home };
  return { ...everywhere, ...profile, TEMP: tmp, TMP: tmp };
}

/** A process of another container can't be told from one that has ended; a day is longer than any test. */
const ABANDONED_MS = 24 * 3_600_000;

/** Removes what processes that ended without `close()` have left behind. */
// deno-lint-ignore no-explicit-any
async function removeAbandoned(fs: any, path: any, base: string): Promise<void> {
  try {
    for (const name of await fs.readdir(base) as string[]) {
      const pid = /^model-(\d+)-/.exec(name)?.[1];
      const root = path.join(base, name);
      if (!name.startsWith("model-") || (pid !== undefined && isAlive(Number(pid)))) continue;
      const { mtimeMs } = await fs.lstat(root);
      if (Date.now() - mtimeMs > ABANDONED_MS) await fs.rm(root, { recursive: true, force: true });
    }
  } catch {
    // Tidying up must not keep a test from running.
  }
}

/** In doubt it is. */
function isAlive(pid: number): boolean {
  const { process } = globalThis as unknown as {
    process: { kill(pid: number, signal: number): void };
  };
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as { code?: string }).code !== "ESRCH";
  }
}

// A codex that is just exiting may still write into its home.
// deno-lint-ignore no-explicit-any
async function remove(fs: any, root: string): Promise<void> {
  for (let attempt = 1;; attempt++) {
    try {
      return await fs.rm(root, { recursive: true, force: true });
    } catch (error) {
      if (attempt === 5) throw error;
      await delay(50 * attempt);
    }
  }
}
