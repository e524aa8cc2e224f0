/**
 * The skills of a project, which codex itself reads into the prompt when somebody names them: `.agents/skills` and
 * `.codex/skills` of the directory and of those above it. Before 0.169 codex follows links there, whatever its permission
 * profile says, and no setting keeps it from that. What the agent runs can't write into the two folders.
 * @module
 */
import { PolicyError } from "../../errors/mod.ts";
import type { EffectivePolicy } from "../../permissions/mod.ts";
import { isInside, parentPath } from "../../platform/mod.ts";
import { featureSince } from "../../protocol/mod.ts";

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

/** Throws `PolicyError` where this codex would read as a skill what commands may not read. */
export function refuseStray(
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
