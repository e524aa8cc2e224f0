/**
 * Paths as text, for POSIX and Windows alike: nothing here looks at a disk.
 * @module
 */

const DRIVE = /^[a-zA-Z]:[\\/]/;

/** Whether a path is absolute: `/a`, `C:\a` or `\\server\share`. */
export function isAbsolutePath(path: string): boolean {
  return path.startsWith("/") || path.startsWith("\\\\") || DRIVE.test(path);
}

/** Whether a path is spelled the way Windows does. */
function isWindowsPath(path: string): boolean {
  return path.startsWith("\\\\") || DRIVE.test(path);
}

/** `path` seen from `base`, with `.`, `..` and doubled separators resolved; `base` is absolute. */
export function resolvePath(base: string, path: string): string {
  const joined = isAbsolutePath(path) ? path : `${base}/${path}`;
  const windows = isWindowsPath(joined);
  const parts = joined.split(windows ? /[\\/]+/ : /\/+/);
  const kept: string[] = [];
  let root = "/";
  if (windows) {
    root = joined.startsWith("\\\\")
      ? `\\\\${parts[1] ?? ""}\\${parts[2] ?? ""}\\`
      : `${joined.slice(0, 2)}\\`;
    parts.splice(0, joined.startsWith("\\\\") ? 3 : 1);
  }
  for (const part of parts) {
    if (part === "" || part === ".") continue;
    if (part === "..") kept.pop();
    else kept.push(part);
  }
  const text = root + kept.join(windows ? "\\" : "/");
  return kept.length === 0 && !windows ? "/" : text;
}

/** The directory above an absolute path, or `null` at the root. */
export function parentPath(path: string): string | null {
  const parent = resolvePath(path, "..");
  return parent === resolvePath(path, ".") ? null : parent;
}

/** The last part of a path. */
export function baseName(path: string): string {
  const parts = path.split(isWindowsPath(path) ? /[\\/]+/ : /\/+/).filter((part) => part !== "");
  return parts.at(-1) ?? "";
}

/** Whether two absolute paths are the same text, apart from `.`, `..`, separators and Windows' letter case. */
export function isSamePath(a: string, b: string): boolean {
  return comparable(a) === comparable(b);
}

/** Whether an absolute path is `root` or below it, by text. */
export function isInside(path: string, root: string): boolean {
  const inner = comparable(path);
  const outer = comparable(root);
  if (inner === outer) return true;
  return inner.startsWith(
    /[\\/]$/.test(outer) ? outer : outer + (isWindowsPath(root) ? "\\" : "/"),
  );
}

function comparable(path: string): string {
  const text = resolvePath(path, ".");
  return isWindowsPath(text) ? text.toLowerCase() : text;
}
