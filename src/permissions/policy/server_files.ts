/**
 * The files of the server's machine, as far as permission profiles need to know them. Loaded when one is sent.
 * @module
 */
import type { JsonObject, JsonValue } from "../../json.ts";
import { isAbsolutePath } from "../../platform/mod.ts";
import type { ServerFiles } from "./profile_config.ts";

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
