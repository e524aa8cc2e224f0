/**
 * Where paths really lead, as far as this script may look.
 * @module
 */
import { readLink, realPath } from "../platform/mod.ts";
import { baseName, parentPath } from "./paths.ts";

/**
 * An absolute path with all links followed. Of a path that does not exist yet, the part that does is followed.
 * `null` when it can't be told: a dangling link, or no permission to look.
 */
export function realPathOf(path: string): string | null {
  const real = realPath(path);
  if (real !== null) return real;
  // What a dangling link leads to may appear later, anywhere.
  if (readLink(path) !== null) return null;
  const parent = parentPath(path);
  if (parent === null) return null;
  const above = realPathOf(parent);
  if (above === null) return null;
  const separator = above.includes("\\") && !above.startsWith("/") ? "\\" : "/";
  return above.replace(/[\\/]$/, "") + separator + baseName(path);
}
