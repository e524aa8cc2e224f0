/** Whether a directory lies below another one, by its spelling. @module */

/**
 * True when `path` is `prefix` or lies below it. Whole segments only: `/srv/app2` is not below `/srv/app`. A drive
 * letter or a UNC share on either side makes it a Windows comparison: both separators, letter case ignored.
 */
export function isAtOrBelow(path: string, prefix: string): boolean {
  const windows = isWindowsPath(path) || isWindowsPath(prefix);
  const whole = segments(path, windows);
  const start = segments(prefix, windows);
  if (whole === null || start === null || start.length > whole.length) return false;
  return start.every((segment, at) => segment === whole[at]);
}

function isWindowsPath(path: string): boolean {
  return /^([A-Za-z]:([\\/]|$)|\\\\)/.test(path);
}

/** The segments of an absolute path, the root first; `null` for a relative one. */
function segments(path: string, windows: boolean): string[] | null {
  let text = path;
  if (windows) {
    // `\\?\C:\x` and `\\?\UNC\host\x` are other spellings of `C:\x` and `\\host\x`.
    text = text.replace(/^\\\\[?.]\\UNC\\/i, "\\\\").replace(/^\\\\[?.]\\/, "");
    text = text.replaceAll("\\", "/").toLowerCase();
    if (!/^([a-z]:|\/\/)/.test(text)) return null;
  } else if (!text.startsWith("/")) return null;
  const unc = windows && text.startsWith("//");
  const result: string[] = [unc ? "//" : "/"];
  for (const segment of text.split("/")) {
    if (segment === "" || segment === ".") continue;
    if (segment !== "..") result.push(segment);
    else if (result.length > (windows ? 2 : 1)) result.pop();
  }
  return result;
}
