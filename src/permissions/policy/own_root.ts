/**
 * The directory that some versions of codex make writable in every `workspace-write` session, asked or not.
 * @module
 */
import { compareVersions } from "../../version.ts";

/** The versions that do so: from the first to before the second. Measured on each minor version from 0.104 to 0.169. */
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
