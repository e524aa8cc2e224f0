/**
 * Which program a name means on Windows, and command lines for `cmd.exe`. Node and Bun look into the working directory
 * before PATH, where an agent may have put one: what they start has a full path.
 * @module
 */
import { SpawnError } from "../errors/mod.ts";
import { pathRules } from "./paths.ts";
import { pathKind, readEnv } from "./runtime.ts";

// Which program a name means on Windows. Node and Bun look into the working directory before PATH, where an agent may
// have put one: what they start has a full path.

/** What is asked of the system. */
export interface ProgramLookup {
  /** The value of PATH, when there is one. */
  path: string | undefined;
  /** Whether there is such a file. */
  isFile(path: string): boolean;
}

/** The full path of a program that comes with Windows, such as `cmd.exe`. */
export function windowsSystemProgram(name: string): string {
  const root = readEnv("SystemRoot");
  const known = root !== undefined && /^[A-Za-z]:\\/.test(root) ? root : "C:\\Windows";
  return `${known.replace(/\\+$/, "")}\\System32\\${name}`;
}

/** The first program of that name in PATH; relative entries of PATH are passed by. `null`: there is none. */
export function findWindowsProgram(name: string, lookup: ProgramLookup): string | null {
  const rules = pathRules("win32");
  const names = /\.(?:exe|com|cmd|bat)$/i.test(name)
    ? [name]
    : [".exe", ".com", ".cmd", ".bat"].map((extension) => name + extension);
  const directories = (lookup.path ?? "").split(";").map((entry) => entry.replaceAll('"', ""));
  for (const directory of directories.filter((entry) => rules.isAbsolute(entry))) {
    const found = names.map((each) => rules.join(directory, each)).find(lookup.isFile);
    if (found !== undefined) return found;
  }
  return null;
}

/** A command as it may be started: with its full path. Throws `SpawnError` when a bare name is not in PATH. */
export function windowsCommand(command: string, env: Record<string, string | undefined>): string {
  if (pathRules("win32").isPath(command)) return command;
  if (/^(?:cmd|taskkill)(?:\.exe)?$/i.test(command)) {
    return windowsSystemProgram(command.replace(/(?:\.exe)?$/i, ".exe"));
  }
  const path = Object.entries(env).find(([name]) => name.toUpperCase() === "PATH")?.[1];
  const found = findWindowsProgram(command, { path, isFile: (each) => pathKind(each) === "file" });
  if (found !== null) return found;
  throw new SpawnError(`The program ${command} was not found in PATH.`, {
    data: { reason: "notFound", command },
  });
}

// Command lines for `cmd.exe`, which alone can start `.cmd` launchers on Windows.

/**
 * The arguments that make `cmd.exe` start a `.cmd` file with these arguments, each of them literally.
 * To be passed verbatim: quoting is done here, once for the program and once for `cmd.exe` itself.
 */
export function windowsShellArgs(command: string, args: readonly string[]): string[] {
  // A batch file expands its arguments once more when it hands them on, hence the second escape.
  const line = [
    escapeMeta(command),
    ...args.map((arg) => escapeMeta(escapeMeta(quoteArgument(arg)))),
  ].join(" ");
  return ["/d", "/s", "/c", `"${line}"`];
}

function escapeMeta(text: string): string {
  return text.replace(/([()\][%!^"`<>&|;, *?])/g, "^$1");
}

/** Quotes one argument the way Windows programs parse their command line. */
function quoteArgument(arg: string): string {
  const escaped = arg.replace(/(\\*)"/g, '$1$1\\"').replace(/(\\+)$/, "$1$1");
  return `"${escaped}"`;
}
