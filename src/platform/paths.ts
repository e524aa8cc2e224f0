/** Paths by the rules of any system, so that all of them can be tested on one. @module */

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

/** The last part of a path of any system. */
export function baseName(path: string): string {
  const parts = path.split(isWindowsPath(path) ? /[\\/]+/ : /\/+/).filter((part) => part !== "");
  return parts.at(-1) ?? "";
}
