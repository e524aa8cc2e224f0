/**
 * The files that codex itself reads into the prompt: `AGENTS.md` and its like, of the directory and of those above it up to the
 * project's root. Before 0.150 it reads them whatever its permission profile says, also through links.
 *
 * The skills of a project, which codex itself reads into the prompt when somebody names them: `.agents/skills` and
 * `.codex/skills` of the directory and of those above it. Before 0.169 codex follows links there, whatever its permission
 * profile says, and no setting keeps it from that. What the agent runs can't write into the two folders.
 * @module
 */
import { asList, type JsonObject, type JsonValue } from "../../json.ts";
import { type EffectivePolicy, realPathOf } from "../../permissions/mod.ts";
import {
  entryKind,
  isEndless,
  isInside,
  listDirectory,
  parentPath,
  pathKind,
  realPath,
} from "../../platform/mod.ts";
import { PolicyError } from "../../errors/mod.ts";
import { featureSince, supports } from "../../protocol/mod.ts";

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

const READ_OF_SKILLS = [
  "SKILL.md",
  "agents/openai.yaml",
  ...["codex", "claude", "cursor"].map((name) => `.${name}-plugin/plugin.json`),
];
/** Codex looks at 2,000 directories of skills at most. */
const MOST_FOLDERS = 4_000;

/**
 * Throws `PolicyError` where codex would take all memory, or wait for ever with all of its threads: it reads this to the end when
 * a session begins, before 0.125 (`config.toml`: 0.145) whatever it is, and in all versions regular files of no size.
 */
export function refuseEndless(folders: readonly string[]): void {
  const below = (paths: readonly string[], names: readonly string[]) =>
    paths.flatMap((path) => names.map((name) => `${path}/${name}`));
  const isFolder = (path: string) => pathKind(path) === "directory";
  const skills = below(folders, FOLDERS).filter((path) => isFolder(`${path}/skills`));
  // A skill may belong to a plugin that lies around it.
  const around = skills.length > 0 ? [...folders, ...skills] : [];
  const waiting = [...around, ...below(skills, ["skills"])];
  let stray = below(folders, [".codex/config.toml", ".git", ...NAMES]).find(isEndless);
  const seen = new Set<string | null>();
  for (const folder of waiting) {
    stray ??= below([folder], READ_OF_SKILLS).find(isEndless);
    const real = realPath(folder);
    if (stray !== undefined || seen.size > MOST_FOLDERS) break;
    if (around.includes(folder) || seen.has(real)) continue;
    seen.add(real);
    waiting.push(...below([folder], listDirectory(folder)).filter(isFolder));
  }
  if (stray === undefined) return;
  throw new PolicyError(
    `${stray} leads to a device, a pipe or a large file, which codex would read.`,
    { data: { reason: "endlessFile" } },
  );
}

/** How this machine's files are looked at. */
export interface SkillsLook {
  /** What lies at a path itself. */
  kind(path: string): "link" | "other" | "missing" | "unknown";
  /** A path with all links followed, or `null` when that can't be told. */
  realPath(path: string): string | null;
  /** The names in a directory; empty for anything else. */
  names(path: string): string[];
}

const FOLDERS = [".agents", ".codex"];
/** Entries that are looked at; what has more is not looked through. */
const MOST = 10_000;

/**
 * What keeps this codex's own reading to what commands may read. Throws `PolicyError` where it would read as a skill what they
 * may not.
 */
export function keepReads(
  version: string | null,
  policy: EffectivePolicy,
  more: JsonValue | undefined,
): ProjectDocs {
  if (!supports(version, "skillsInReads")) {
    refuseStray(policy, { kind: entryKind, realPath: realPathOf, names: listDirectory }, version);
  }
  if (supports(version, "docsInReads")) return { config: {}, note: null };
  const isMissing = (path: string) => entryKind(path) === "missing";
  return projectDocs(policy, more, { realPath: realPathOf, isMissing });
}

function refuseStray(
  policy: EffectivePolicy,
  look: SkillsLook,
  serverVersion: string | null,
): void {
  const stray = straySkill(policy, look);
  if (stray === null) return;
  throw new PolicyError(
    `Reads can't be limited here: ${stray} is a link, or can't be looked at, and codex ${serverVersion} reads skills ` +
      `through links wherever they lead. Put the skills themselves there, or use codex ${
        featureSince("skillsInReads")
      } or newer.`,
    { data: { reason: "straySkill" } },
  );
}

/**
 * The first path by which a skill may lead to where commands may not read, `null` when there is none. A link that stays in
 * the workspace counts as well: the agent can change what lies there.
 */
export function straySkill(
  { cwd, readRoots }: Pick<EffectivePolicy, "cwd" | "readRoots">,
  look: SkillsLook,
): string | null {
  if (readRoots === "all") return null;
  for (let at: string | null = cwd; at !== null; at = parentPath(at)) {
    const here = at;
    if (!readRoots.some((root) => isInside(here, root))) break;
    for (const folder of FOLDERS) {
      const stray = strayIn(`${here.replace(/[\\/]$/, "")}/${folder}`, look);
      if (stray !== null) return stray;
    }
  }
  return null;
}

function strayIn(folder: string, look: SkillsLook): string | null {
  const kind = look.kind(folder);
  if (kind === "missing") return null;
  if (kind !== "other") return folder;
  const root = look.realPath(folder);
  const waiting = [`${folder}/skills`];
  for (let seen = 0; waiting.length > 0; seen++) {
    const path = waiting.pop()!;
    const kind = look.kind(path);
    if (kind === "unknown" || root === null || seen === MOST) return path;
    if (kind === "link") {
      const real = look.realPath(path);
      // What lies in the folder itself is looked at where it lies, if that is among the skills.
      if (real === null || !isInside(real, `${root}/skills`)) return path;
    } else if (kind === "other") waiting.push(...look.names(path).map((name) => `${path}/${name}`));
  }
  return null;
}
