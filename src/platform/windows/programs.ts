/**
 * Which program a name means on Windows. Node and Bun look into the working directory before PATH, where an agent may
 * have put one: what they start has a full path.
 * @module
 */
import { SpawnError } from "../../errors/mod.ts";
import { pathKind, readEnv } from "../runtime.ts";
import { pathRules } from "../paths.ts";

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
