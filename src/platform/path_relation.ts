/**
 * Where one path lies to another, as text: for POSIX, Windows and macOS alike, since the paths may be a server's.
 * Nothing here looks at a disk; a link is told by nobody, so callers ask about both spellings of a path.
 * @module
 */

/** An absolute path in one spelling. */
export interface PlainPath {
  /** The root (empty for POSIX, `C:`, `\\host\share`), then the names without `.` and `..`. */
  readonly parts: readonly string[];
  /** Whether it is spelled the way Windows does, where letter case does not matter. */
  readonly windows: boolean;
  /** Whether a name may be the short form of another one (`GIT~1` of `.git`). */
  readonly unsure: boolean;
}

/** Where a path lies; `unknown` when that can't be said for certain on every system it may be meant for. */
export type PathRelation = "inside" | "outside" | "unknown";

/** An absolute path in one spelling; `null` when it is relative, or may mean different things. */
export function plainPath(path: string): PlainPath | null {
  if (path === "" || path.includes("\0")) return null;
  const verbatim = /^\\\\\?\\(?:(UNC)\\)?/i.exec(path);
  if (verbatim !== null) {
    const rest = path.slice(verbatim[0].length);
    return windowsPath(verbatim[1] === undefined ? rest : `\\\\${rest}`, true);
  }
  if (/^\\\\\.\\[A-Za-z]:\\/.test(path)) return windowsPath(path.slice(4), false);
  if (/^(?:[A-Za-z]:[\\/]|\\\\)/.test(path)) return windowsPath(path, false);
  // Two slashes begin the name of a server on Windows, and mean no more than one elsewhere.
  if (!path.startsWith("/") || path.startsWith("//")) return null;
  return { parts: resolved([""], path.split("/")), windows: false, unsure: false };
}

function windowsPath(path: string, verbatim: boolean): PlainPath | null {
  const root = /^(?:([A-Za-z]:)\\|\\\\([^\\/]+)\\([^\\/]+)(?:\\|$))/
    .exec(verbatim ? path : path.replaceAll("/", "\\"));
  if (root === null) return null;
  const [all, drive, host, share] = root;
  if (host === "?" || host === ".") return null;
  const names = path.slice(all.length).split(verbatim ? "\\" : /[\\/]/);
  const clean: string[] = [];
  for (const name of names) {
    // `name:stream` names the same file as `name`.
    if (name.includes(":")) return null;
    if (verbatim) {
      // Here nothing is resolved and nothing dropped, so such a name is another one.
      if (name.includes("/") || /[. ]$/.test(name)) return null;
      clean.push(name);
      continue;
    }
    const kept = name === "." || name === ".." ? name : name.replace(/[. ]+$/, "");
    if (kept === "" && name !== "") return null;
    clean.push(kept);
  }
  const start = drive?.toUpperCase() ?? `\\\\${host!.toLowerCase()}\\${share!.toLowerCase()}`;
  const parts = resolved([start], clean);
  return { parts, windows: true, unsure: parts.slice(1).some(isShortName) };
}

function resolved(root: string[], names: readonly string[]): string[] {
  const parts = [...root];
  for (const name of names) {
    if (name === "" || name === ".") continue;
    if (name !== "..") parts.push(name);
    else if (parts.length > 1) parts.pop();
  }
  return parts;
}

function isShortName(name: string): boolean {
  return name.includes("~") && /^[^.]{1,8}(?:\.[^.]{0,3})?$/.test(name);
}

/**
 * Whether `path` is `directory` or lies below it.
 *
 * What depends on the system is `unknown`: letter case and other spellings of a name on POSIX, a backslash there, `//`,
 * `/tmp`, `/var` and `/etc` against macOS's `/private`, short names and streams of Windows, a drive against a share.
 */
export function relation(path: string, directory: string): PathRelation {
  const [inner, outer] = [plainPath(path), plainPath(directory)];
  if (inner === null || outer === null || inner.windows !== outer.windows) return "unknown";
  const plain = compare(inner, outer);
  if (inner.windows) return plain;
  for (const read of [withSeparators, withPrivate]) {
    if (compare(read(inner), read(outer)) !== plain) return "unknown";
  }
  return plain;
}

/** Whether two absolute paths are certainly the same. */
export function isSamePath(a: string, b: string): boolean {
  return relation(a, b) === "inside" && relation(b, a) === "inside";
}

/** Whether a path is certainly a directory or below it. */
export function isInside(path: string, directory: string): boolean {
  return relation(path, directory) === "inside";
}

/** A POSIX path as Windows would read it: backslashes separate. */
function withSeparators(path: PlainPath): PlainPath {
  const names = path.parts.slice(1);
  if (!names.some((name) => name.includes("\\"))) return path;
  return { ...path, parts: resolved([""], names.join("/").split(/[\\/]/)) };
}

/** A POSIX path as macOS would read it, where these three are links. */
function withPrivate(path: PlainPath): PlainPath {
  const [root = "", first = "", ...rest] = path.parts;
  return /^(?:tmp|var|etc)$/i.test(first)
    ? { ...path, parts: [root, "private", first, ...rest] }
    : path;
}

function compare(inner: PlainPath, outer: PlainPath): PathRelation {
  const [ours, theirs] = [inner.parts[0]!, outer.parts[0]!];
  if (ours !== theirs) {
    // A server has many names, and a drive may be a share.
    return ours.startsWith("\\\\") || theirs.startsWith("\\\\") ? "unknown" : "outside";
  }
  let sure = true;
  for (const [at, wanted] of outer.parts.entries()) {
    if (at === 0) continue;
    const name = inner.parts[at];
    if (name === undefined) return "outside";
    const same = isSameName(name, wanted, inner.windows);
    if (same === "no") return "outside";
    if (same === "perhaps") sure = false;
  }
  return sure ? "inside" : "unknown";
}

function isSameName(a: string, b: string, windows: boolean): "yes" | "no" | "perhaps" {
  if (a === b || (windows && strictFold(a) === strictFold(b))) return "yes";
  if (looseFold(a) === looseFold(b)) return "perhaps";
  return windows && (isShortName(a) || isShortName(b)) ? "perhaps" : "no";
}

/** A name without letter case, as Windows sees it: letters that only some systems take for each other stay apart. */
export function strictFold(name: string): string {
  return [...name].map((letter) => {
    const lower = letter.toLowerCase();
    return lower.length === letter.length && lower.toUpperCase() === letter.toUpperCase()
      ? lower
      : letter;
  }).join("");
}

/** A name as the most forgiving file system sees it: no case, no way of composing, no invisible characters. */
export function looseFold(name: string): string {
  return name.replace(/[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]/g, "")
    .normalize("NFD").toUpperCase().toLowerCase().normalize("NFD");
}
