/**
 * What has to be known of the server's file system: for permission profiles, and for the directory that some versions of codex
 * make writable in every `workspace-write` session, asked or not.
 * @module
 */
import type { JsonObject, JsonValue } from "../../json.ts";
import { isAbsolutePath } from "../../platform/mod.ts";
import { compareVersions } from "../../version.ts";

/** The files of the machine that codex runs on. */
export interface ServerFiles {
  /** Codex's own program, which starts itself inside the sandbox; `null` when it was not found. */
  executable: string | null;
  /** What lies in the root directory, as absolute paths; `null` when it could not be listed. */
  root: readonly string[] | null;
  /** Links in the root directory to other places than the system's own: a profile shows where they lead, not them. */
  rootLinks: readonly string[];
}

/** A question to codex itself about the machine that it runs on: a request, and how to read its result. */
export interface ServerFilesQuestion {
  /** The method to call. */
  method: "command/exec";
  /** Its params. */
  params: JsonObject;
  /** What the result says. */
  read(result: JsonValue): ServerFiles;
}

/**
 * Asks codex where its program is and what lies in its root directory, which a script with scoped permissions could not look
 * up, and a client of a remote server even less: in a read-only sandbox, where links lead that codex puts on its own PATH.
 * For Linux.
 */
export const findServerFiles: ServerFilesQuestion = {
  method: "command/exec",
  params: {
    command: [
      "/bin/sh",
      "-c",
      `for n in codex-linux-sandbox apply_patch; do
  p=$(command -v "$n") && p=$(readlink -f "$p") && printf 'codex %s\\n' "$p" && break
done
for n in /* /.[!.]*; do
  [ -e "$n" ] || continue
  case "$(readlink "$n")" in
    "" | usr/* | /usr/*) printf 'root %s\\n' "$n" ;;
    *) printf 'root %s\\nlink %s\\n' "$n" "$n" ;;
  esac
done`,
    ],
    cwd: "/",
    timeoutMs: 10_000,
    sandboxPolicy: { type: "readOnly" },
  },
  read(result) {
    const nothing: ServerFiles = { executable: null, root: null, rootLinks: [] };
    if (typeof result !== "object" || result === null || Array.isArray(result)) return nothing;
    const { exitCode, stdout } = result;
    if (exitCode !== 0 || typeof stdout !== "string") return nothing;
    const told = (word: string) =>
      stdout.split("\n").flatMap((line) =>
        line.startsWith(`${word} `) ? [line.slice(word.length + 1)] : []
      );
    const executable = told("codex")[0]?.trim();
    // A name with a line break in it would be told in pieces, of which the first may be another's.
    const root = told("root").filter((path) => /^\/[\w.+@ -]+$/.test(path));
    return {
      executable: executable !== undefined && isAbsolutePath(executable) ? executable : null,
      root: root.length === 0 ? null : root,
      rootLinks: told("link").filter((path) => root.includes(path)),
    };
  },
};

/** The versions that make a directory of their own writable: from the first to before the second. Measured on each minor version from 0.104 to 0.169. */
const OWN_ROOT_SINCE = "0.108.0";
const OWN_ROOT_UNTIL = "0.136.0";

/** Whether this codex adds its directory for memories to the writable ones. */
export function addsOwnRoot(version: string | null): boolean {
  return version !== null && compareVersions(version, OWN_ROOT_SINCE) >= 0 &&
    compareVersions(version, OWN_ROOT_UNTIL) < 0;
}

/** That directory in codex's home, which is an absolute path on the server's machine. */
export function ownRootIn(codexHome: string): string {
  const separator = codexHome.includes("\\") ? "\\" : "/";
  return `${codexHome.replace(/[\\/]+$/, "")}${separator}memories`;
}

/** Codex's home as the place of a thread's file tells it, or `null`. */
export function codexHomeOfThread(threadPath: string): string | null {
  return /^(.+)[\\/](?:archived_)?sessions[\\/]/.exec(threadPath)?.[1] ?? null;
}
