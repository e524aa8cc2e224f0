/**
 * Paths and hosts, brought into one spelling and compared with patterns.
 * @module
 */

/** An absolute path in parts, without `.`, `..` and doubled slashes. */
export interface NormalPath {
  /** The parts; the first is empty (POSIX) or the drive or share (Windows). */
  parts: string[];
  /** Whether letter case does not matter. */
  ignoreCase: boolean;
}

/** Normalises an absolute path; `null` when it is relative or can't be read for certain. */
export function normalPath(path: string): NormalPath | null {
  if (path === "" || path.includes("\0")) return null;
  const drive = /^(?:\\\\\?\\)?([A-Za-z]:)[\\/]/.exec(path);
  if (drive !== null) {
    const rest = path.slice(drive[0].length).split(/[\\/]/);
    // Windows drops trailing dots and spaces of names, and `name:stream` names the same file.
    const clean = rest.map((part) =>
      part === "." || part === ".." ? part : part.replace(/[. ]+$/, "")
    );
    if (clean.some((part) => part.includes(":"))) return null;
    return { parts: resolve([(drive[1] as string).toUpperCase()], clean), ignoreCase: true };
  }
  // On POSIX a backslash is part of a name, on Windows a separator: not certain.
  if (!path.startsWith("/") || path.startsWith("//") || path.includes("\\")) return null;
  return { parts: resolve([""], path.split("/")), ignoreCase: false };
}

function resolve(root: string[], rest: string[]): string[] {
  const parts = [...root];
  for (const part of rest) {
    if (part === "" || part === ".") continue;
    if (part === "..") {
      if (parts.length > 1) parts.pop();
    } else parts.push(part);
  }
  return parts;
}

/** Whether a pattern of a rule can be understood: an absolute path or a bare name. */
export function isPathPattern(pattern: string): boolean {
  return isBareName(pattern) || normalPath(pattern) !== null;
}

function isBareName(pattern: string): boolean {
  return /^[^\\/\0]+$/.test(pattern) && pattern !== "." && pattern !== ".." && pattern !== "**";
}

/** Whether the pattern covers the path: the path itself, or a directory above it. */
export function coversPath(pattern: string, path: NormalPath, ignoreCase: boolean): boolean {
  const fold = folding(ignoreCase || path.ignoreCase);
  if (isBareName(pattern)) {
    return path.parts.slice(1).some((part) => matchesName(fold(pattern), fold(part)));
  }
  const wanted = normalPath(pattern);
  return wanted !== null && covers(wanted.parts.map(fold), path.parts.map(fold));
}

/** Whether something that the pattern covers may lie below the path, a directory. */
export function mayLieBelow(pattern: string, path: NormalPath, ignoreCase: boolean): boolean {
  if (isBareName(pattern)) return true;
  const wanted = normalPath(pattern);
  if (wanted === null) return true;
  const fold = folding(ignoreCase || path.ignoreCase);
  const parts = wanted.parts.map(fold);
  for (const [i, part] of path.parts.map(fold).entries()) {
    const name = parts[i];
    if (name === undefined || name === "**") return true;
    if (!matchesName(name, part)) return false;
  }
  return true;
}

function folding(ignoreCase: boolean): (text: string) => string {
  return ignoreCase ? (text) => text.normalize("NFC").toLowerCase() : (text) => text;
}

function covers(pattern: string[], path: string[]): boolean {
  // Each state is a position in the pattern; `**` may stay where it is or go on.
  let states = closure(new Set([0]), pattern);
  for (const part of path) {
    if (states.has(pattern.length)) return true;
    const next = new Set<number>();
    for (const state of states) {
      const name = pattern[state] as string;
      if (name === "**") next.add(state);
      else if (matchesName(name, part)) next.add(state + 1);
    }
    states = closure(next, pattern);
  }
  return states.has(pattern.length);
}

function closure(states: Set<number>, pattern: string[]): Set<number> {
  for (const state of states) if (pattern[state] === "**") states.add(state + 1);
  return states;
}

/** Matches `*` and `?` in one name, in time linear in both but for the last star. */
function matchesName(pattern: string, name: string): boolean {
  let p = 0;
  let star = -1;
  let mark = 0;
  for (let n = 0; n < name.length;) {
    if (pattern[p] === "*") {
      star = p++;
      mark = n;
    } else if (pattern[p] === "?" || pattern[p] === name[n]) {
      p++;
      n++;
    } else if (star !== -1) {
      p = star + 1;
      n = ++mark;
    } else return false;
  }
  while (pattern[p] === "*") p++;
  return p === pattern.length;
}

/** A host in one spelling: lower case, without port and trailing dot; `null` when it is empty. */
export function normalHost(host: string): string | null {
  let text = host.trim().toLowerCase();
  if (text.startsWith("[")) text = text.slice(1).replace(/\](?::\d+)?$/, "");
  else if (/^[^:]*:\d+$/.test(text)) text = text.replace(/:\d+$/, "");
  text = text.replace(/\.$/, "");
  return text === "" ? null : text;
}

/** Whether the pattern (a name, `*.name`, `*`) covers the host. */
export function coversHost(pattern: string, host: string): boolean {
  if (pattern === "*") return true;
  if (pattern.startsWith("*.")) return host.endsWith(pattern.slice(1).toLowerCase());
  return normalHost(pattern) === host;
}
