/**
 * The files that codex itself reads into the prompt: `AGENTS.md` and its like, of the directory and of those above it up to the
 * project's root. Before 0.150 it reads them whatever its permission profile says, also through links.
 * @module
 */
import { asList, type JsonObject, type JsonValue } from "../../json.ts";
import type { EffectivePolicy } from "../../permissions/mod.ts";
import { isInside, parentPath } from "../../platform/mod.ts";

/** How this machine's files are looked at. */
export interface FileLook {
  /** A path with all links followed, or `null` when that can't be told. */
  realPath(path: string): string | null;
  /** Whether nothing of this name is there, as far as it can be told. */
  isMissing(path: string): boolean;
}

/** What a thread is sent so that codex reads nothing there that commands may not. */
export interface ProjectDocs {
  /** Settings of the thread. */
  config: JsonObject;
  /** What the session loses by it, or `null`. */
  note: string | null;
}

const NAMES = ["AGENTS.override.md", "AGENTS.md"];

/** Keeps codex's own reading to the directories that commands may read. `more`: other names of such files that the caller gave. */
export function projectDocs(
  { cwd, readRoots }: Pick<EffectivePolicy, "cwd" | "readRoots">,
  more: JsonValue | undefined,
  look: FileLook,
): ProjectDocs {
  if (readRoots === "all") return { config: {}, note: null };
  const own = asList(more).filter((name) => typeof name === "string");
  const { directories, found } = projectOf(cwd, readRoots, look);
  const config: JsonObject = {
    project_doc_fallback_filenames: own,
    // The root of the project is not among what may be read.
    ...(found ? {} : { project_root_markers: [] }),
  };
  const leadsOut = (path: string): boolean => {
    if (look.isMissing(path)) return false;
    const real = look.realPath(path);
    return real === null || !readRoots.some((root) => isInside(real, root));
  };
  const strays = directories.flatMap((directory) =>
    [...NAMES, ...own].map((name) => `${directory.replace(/[\\/]$/, "")}/${name}`).filter(leadsOut)
  );
  const [stray] = strays;
  if (stray === undefined) return { config, note: null };
  return {
    config: { ...config, project_doc_max_bytes: 0 },
    note: `Codex does not read ${stray}, which leads to where this script may not read.`,
  };
}

/** The directories from the cwd up to the project's root, as far as they may be read. */
function projectOf(
  cwd: string,
  readRoots: readonly string[],
  look: FileLook,
): { directories: string[]; found: boolean } {
  const directories: string[] = [];
  for (let at: string | null = cwd; at !== null; at = parentPath(at)) {
    const here = at;
    if (!readRoots.some((root) => isInside(here, root))) break;
    directories.push(here);
    if (!look.isMissing(`${here.replace(/[\\/]$/, "")}/.git`)) return { directories, found: true };
  }
  // Then codex looks at the cwd alone.
  return { directories: directories.slice(0, 1), found: false };
}
