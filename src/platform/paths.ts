/**
 * Paths as text, by the rules of any system, since they may be a server's: their parts, and where one lies to another.
 * Nothing here looks at a disk, so callers ask about both spellings of a path that may be a link.
 * @module
 */

/** Path rules of one operating system. */
export interface PathRules {
  /** Between the entries of PATH. */
  readonly listSeparator: string;
  /** Joins parts; each is taken as it is. */
  join(...parts: string[]): string;
  /** The directory of a path; a root is its own directory. */
  dirname(path: string): string;
  /** The last part of a path. */
  basename(path: string): string;
  /** Whether a path starts at a root. */
  isAbsolute(path: string): boolean;
  /** Whether a command is a path, and not a name to be looked up in PATH. */
  isPath(command: string): boolean;
}

/** The rules of an operating system, in Node's spelling. */
export function pathRules(platform: string): PathRules {
  return platform === "win32" ? WINDOWS : POSIX;
}

const POSIX: PathRules = {
  listSeparator: ":",
  join: (...parts) => joinWith("/", parts),
  dirname(path) {
    const trimmed = path.replace(/(?<=.)\/+$/, "");
    const cut = trimmed.lastIndexOf("/");
    return cut < 0 ? "." : cut === 0 ? "/" : trimmed.slice(0, cut);
  },
  basename: (path) => path.replace(/\/+$/, "").split("/").pop() ?? "",
  isAbsolute: (path) => path.startsWith("/"),
  isPath: (command) => command.includes("/"),
};

const WINDOWS: PathRules = {
  listSeparator: ";",
  join: (...parts) => joinWith("\\", parts),
  dirname(path) {
    const plain = path.replaceAll("/", "\\");
    const root = /^(?:[A-Za-z]:\\|\\\\[^\\]+\\[^\\]+\\?|\\)/.exec(plain)?.[0] ?? "";
    const rest = plain.slice(root.length).replace(/\\+$/, "");
    const cut = rest.lastIndexOf("\\");
    if (cut < 0) return rest === "" || root !== "" ? root || "." : ".";
    return root + rest.slice(0, cut);
  },
  basename: (path) => path.replace(/[\\/]+$/, "").split(/[\\/]/).pop() ?? "",
  isAbsolute: (path) => /^(?:[A-Za-z]:[\\/]|[\\/]{2})/.test(path),
  isPath: (command) => /[\\/:]/.test(command),
};

function joinWith(separator: string, parts: string[]): string {
  let path = "";
  for (const part of parts) {
    if (path === "") path = part;
    else path += /[\\/]$/.test(path) ? part : separator + part;
  }
  return path;
}

const DRIVE = /^[a-zA-Z]:[\\/]/;

/** Whether a path is absolute on any system: `/a`, `C:\\a` or `\\\\server\\share`. */
export function isAbsolutePath(path: string): boolean {
  return path.startsWith("/") || isWindowsPath(path);
}

/** Whether a path is spelled the way Windows does. */
export function isWindowsPath(path: string): boolean {
  return path.startsWith("\\\\") || DRIVE.test(path);
}

/** `path` seen from `base`, with `.`, `..` and doubled separators resolved by text; `base` is absolute. */
export function resolvePath(base: string, path: string): string {
  const joined = joinedPath(base, path);
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
  return root + kept.join(windows ? "\\" : "/");
}

function joinedPath(base: string, path: string): string {
  if (!isWindowsPath(base)) return isAbsolutePath(path) ? path : `${base}/${path}`;
  if (isWindowsPath(path)) return path;
  if (/^[\\/]{2}/.test(path)) return `\\\\${path.slice(2)}`;
  // One separator is the root of the drive or share that the base is on.
  return /^[\\/]/.test(path) ? `${rootOf(base)}${path}` : `${base}\\${path}`;
}

function rootOf(path: string): string {
  return /^(?:[a-zA-Z]:|\\\\[^\\/]+[\\/][^\\/]+)/.exec(path)?.[0] ?? "";
}

/** The directory above an absolute path, or `null` at the root. */
export function parentPath(path: string): string | null {
  const parent = resolvePath(path, "..");
  return parent === resolvePath(path, ".") ? null : parent;
}

/** The directories in which codex looks for a project's files: from the cwd up to one with a `.git`; the cwd alone without. */
export function projectFolders(cwd: string, isThere: (path: string) => boolean): string[] {
  const folders: string[] = [];
  for (let at: string | null = cwd; at !== null; at = parentPath(at)) {
    folders.push(at);
    if (isThere(`${at}/.git`)) return folders;
  }
  return folders.slice(0, 1);
}

/** The last part of a path of any system. */
export function baseName(path: string): string {
  const parts = path.split(isWindowsPath(path) ? /[\\/]+/ : /\/+/).filter((part) => part !== "");
  return parts.at(-1) ?? "";
}

// Where one path lies to another, as text: for POSIX, Windows and macOS alike, since the paths may be a server's.
// Nothing here looks at a disk; a link is told by nobody, so callers ask about both spellings of a path.

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

/**
 * Codex's home by the variables that codex itself goes by: an empty one is none, and Windows has no HOME; pure.
 * `undefined` when they tell nothing.
 */
export function codexHomeIn(
  platform: string,
  value: (name: string) => string | undefined,
): string | undefined {
  const own = value("CODEX_HOME");
  if (own) return own;
  const user = value(platform === "win32" ? "USERPROFILE" : "HOME");
  return user ? pathRules(platform).join(user, ".codex") : undefined;
}
