/** The directory that an agent works in: absolute, and there. */
import { kindOf } from "../../check/mod.ts";
import { InvalidArgumentError } from "../../errors/mod.ts";
import {
  currentDirectory,
  isWindowsPath,
  pathKind,
  pathRules,
  platformName,
  resolvePath,
} from "../../platform/mod.ts";

/**
 * Makes a cwd absolute and checks that it is a directory. Where this script may not look, the server finds out.
 * `remote` leaves both to the server, whose file system is another one.
 */
export function workingDirectory(cwd: string, remote: boolean): string {
  if (typeof cwd !== "string" || cwd.trim() === "") {
    throw new InvalidArgumentError("cwd", {
      argument: "cwd",
      received: typeof cwd === "string" ? "an empty string" : kindOf(cwd),
      accepts: "the path of a directory",
    });
  }
  if (remote) return cwd;
  const rules = pathRules(platformName());
  const base = rules.isAbsolute(cwd) ? "" : currentDirectory();
  if (base === null) {
    throw new InvalidArgumentError("cwd", {
      argument: "cwd",
      received: "a relative path",
      accepts:
        "an absolute path, since this script's own working directory does not exist any more",
    });
  }
  // On Windows `\\x` and `/x` lie on the drive of this script.
  const join = isWindowsPath(base) ? resolvePath : rules.join;
  const absolute = base === "" ? cwd : join(base, cwd);
  const kind = pathKind(absolute);
  if (kind === "directory" || kind === "unknown") return absolute;
  throw new InvalidArgumentError("cwd", {
    argument: "cwd",
    received: kind === "missing" ? "a path that does not exist" : "the path of a file",
    accepts: "the path of a directory",
    sentence: `\`cwd\` must be a directory, but ${absolute} ${
      kind === "missing" ? "does not exist" : "is none"
    }`,
  });
}
