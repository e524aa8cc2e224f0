/**
 * Paths and hosts, brought into one spelling and compared with patterns.
 * @module
 */
import { looseFold, type PlainPath, plainPath, strictFold } from "../../platform/mod.ts";
import { isBareName } from "./check_rules.ts";

/**
 * Whether the pattern covers the path: the path itself, or a directory above it. `perhaps` counts what some system takes
 * for the same.
 */
export function coversPath(pattern: string, path: PlainPath, perhaps: boolean): boolean {
  const fold = folding(path, perhaps);
  if (isBareName(pattern)) {
    return path.parts.slice(1).some((part) => matchesName(fold(pattern), fold(part)));
  }
  const wanted = plainPath(pattern);
  return wanted !== null && covers(wanted.parts.map(fold), path.parts.map(fold));
}

/** What codex keeps from commands that may write the directory above it: programs take orders from there. */
const PROTECTED = [".git", ".codex", ".agents"];

/** Whether the path certainly lies in the directory, where codex lets commands write, or in what is `named` there. */
export function liesIn(directory: string, path: PlainPath, named?: string): boolean {
  const root = plainPath(directory);
  if (root === null || !coversPath(directory, path, false)) return false;
  const below = { ...path, parts: path.parts.slice(root.parts.length - 1) };
  return !PROTECTED.some((name) => name !== named && coversPath(name, below, true));
}

/** Whether something that the pattern covers may lie below the path, a directory. */
export function mayLieBelow(pattern: string, path: PlainPath): boolean {
  if (isBareName(pattern)) return true;
  const wanted = plainPath(pattern);
  if (wanted === null) return true;
  const fold = folding(path, true);
  const parts = wanted.parts.map(fold);
  for (const [i, part] of path.parts.map(fold).entries()) {
    const name = parts[i];
    if (name === undefined || name === "**") return true;
    if (!matchesName(name, part)) return false;
  }
  return true;
}

function folding(path: PlainPath, perhaps: boolean): (text: string) => string {
  if (perhaps) return looseFold;
  return path.windows ? strictFold : (text) => text;
}

/** A pattern, and where the part before its first star leads, as far as that can be told. */
export function spellingsOf(
  pattern: string,
  realPath: ((path: string) => string | null) | undefined,
): string[] {
  if (realPath === undefined || isBareName(pattern)) return [pattern];
  const [, fixed = "", rest = ""] = /^([^*?]*)((?:[\\/][^\\/]*[*?].*)?)$/s.exec(pattern) ?? [];
  const real = fixed === "" ? null : realPath(fixed);
  return real === null || real === fixed ? [pattern] : [pattern, real.replace(/[\\/]$/, "") + rest];
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

/**
 * A host in one spelling: lower case, without port and trailing dot; `null` when it is none, or spelled so that who looks it up
 * may find another one: `127.1`, `0x7f.1`, `evil\u3002com`.
 */
export function normalHost(host: string): string | null {
  const text = plainHost(host);
  return canonicalHost(text) === text && !text.startsWith("::ffff:") ? text : null;
}

function plainHost(host: string): string {
  let text = host.trim().toLowerCase();
  if (text.startsWith("[")) text = text.slice(1).replace(/\](?::\d+)?$/, "");
  else if (/^[^:]*:\d+$/.test(text)) text = text.replace(/:\d+$/, "");
  return text.replace(/(?<!\.)\.+$/, "");
}

/** As browsers spell it. */
function canonicalHost(text: string): string | null {
  try {
    const { hostname } = new URL(`http://${text.includes(":") ? `[${text}]` : text}`);
    return hostname.replace(/^\[|\]$/g, "");
  } catch {
    return null;
  }
}

/** Whether the pattern (a name, `*.name`, `*`) covers the host, which is normal. */
export function coversHost(pattern: string, host: string): boolean {
  if (pattern === "*") return true;
  const below = pattern.startsWith("*.");
  const text = plainHost(below ? pattern.slice(2) : pattern);
  const name = canonicalHost(text) ?? text;
  return below ? host.endsWith(`.${name}`) : host === name;
}
