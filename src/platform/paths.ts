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
