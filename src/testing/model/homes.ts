/**
 * Private directories for a codex under test.
 * @module
 */
import { builtin } from "./http_server.ts";

/** Directories that exist, and their removal. */
export interface Homes {
  /** For CODEX_HOME. */
  readonly codexHome: string;
  /** For HOME; empty, so that no shell profile runs. */
  readonly home: string;
  /** For TMPDIR. */
  readonly tmp: string;
  remove(): Promise<void>;
}

/** Makes the directories below the user's cache: codex warns about a home below the system's temp directory. */
export async function createHomes(): Promise<Homes> {
  const fs = builtin("fs/promises");
  const path = builtin("path");
  const { process } = globalThis as unknown as { process: { env: Record<string, string> } };
  const cache = process.env["XDG_CACHE_HOME"] || path.join(builtin("os").homedir(), ".cache");
  const base = path.join(cache, "codex-runtime-testing");
  await fs.mkdir(base, { recursive: true });
  const root = await fs.realpath(await fs.mkdtemp(path.join(base, "model-")));
  const make = async (name: string): Promise<string> => {
    const directory: string = path.join(root, name);
    await fs.mkdir(directory);
    return directory;
  };
  return {
    codexHome: await make("codex"),
    home: await make("home"),
    tmp: await make("tmp"),
    remove: () => remove(fs, root),
  };
}

// A codex that is just exiting may still write into its home.
// deno-lint-ignore no-explicit-any
async function remove(fs: any, root: string): Promise<void> {
  for (let attempt = 1;; attempt++) {
    try {
      return await fs.rm(root, { recursive: true, force: true });
    } catch (error) {
      if (attempt === 5) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50 * attempt));
    }
  }
}
