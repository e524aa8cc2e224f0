/**
 * Where paths really lead, as far as this script may look.
 * @module
 */
import { baseName, entryKind, parentPath, realPath, resolvePath } from "../platform/mod.ts";

/**
 * An absolute path with all links followed, the way the system does: `..` after a link goes up from where it leads.
 * Of a path that does not exist yet, the part that does is followed. `null` when it can't be told: a dangling link, or no
 * permission to look.
 */
export function realPathOf(path: string): string | null {
  const up = /^(.+?)[\\/]\.\.(?:[\\/](.*))?$/s.exec(path);
  if (up !== null) {
    const below = realPathOf(up[1]!);
    return below === null ? null : realPathOf(joined(resolvePath(below, ".."), up[2] ?? ""));
  }
  const real = realPath(path);
  if (real !== null) return real;
  // What a dangling link leads to may appear later, anywhere; what may not be looked at may be such a link.
  if (entryKind(path) !== "missing") return null;
  const parent = parentPath(path);
  if (parent === null) return null;
  const above = realPathOf(parent);
  return above === null ? null : joined(above, baseName(path));
}

function joined(directory: string, rest: string): string {
  if (rest === "") return directory;
  const separator = directory.startsWith("/") ? "/" : "\\";
  return directory.replace(/[\\/]$/, "") + separator + rest;
}
