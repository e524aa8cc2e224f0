/**
 * What codex inherits from the script's environment.
 * @module
 */
import { PermissionDeniedError } from "../errors/mod.ts";
import { canReadEnv, mergeEnv, nameInEnv, platformName, readEnv } from "../platform/mod.ts";

/** Which variables pass, and which are added. */
export interface EnvRules {
  /** `"all"` (default), `"minimal"`, or exactly these names. */
  inherit?: "all" | "minimal" | string[];
  /** Variables to add or replace. */
  set?: Record<string, string>;
}

/** The environment part of a process specification. */
export interface ChildEnv {
  /** Whether the child starts from nothing instead of the script's environment. */
  clearEnv: boolean;
  /** What is added. */
  env: Record<string, string>;
}

/** Where variables come from. */
export interface EnvSource {
  /** The operating system in Node's spelling. */
  platform: string;
  /** The value of a variable; `undefined` when it is not set. */
  get(name: string): string | undefined;
  /** Whether the script may read it. */
  mayRead(name: string): boolean;
}

const POSIX_MINIMAL = [
  ["PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "TZ"],
  ["LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "LC_MESSAGES"],
  ["CODEX_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR"],
  ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"],
  ["http_proxy", "https_proxy", "all_proxy", "no_proxy"],
  ["SSL_CERT_FILE", "SSL_CERT_DIR"],
].flat();

const WINDOWS_MINIMAL = [
  ["PATH", "PATHEXT", "SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "COMSPEC"],
  ["USERPROFILE", "HOMEDRIVE", "HOMEPATH", "USERNAME", "USERDOMAIN"],
  ["APPDATA", "LOCALAPPDATA", "PROGRAMDATA", "PSMODULEPATH"],
  ["PROGRAMFILES", "PROGRAMFILES(X86)", "PROGRAMW6432"],
  ["TEMP", "TMP", "NUMBER_OF_PROCESSORS", "PROCESSOR_ARCHITECTURE", "LANG"],
  ["CODEX_HOME", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"],
  ["SSL_CERT_FILE", "SSL_CERT_DIR"],
].flat();

/** The names that `inherit: "minimal"` lets pass. */
export function minimalEnvNames(platform: string): readonly string[] {
  return platform === "win32" ? WINDOWS_MINIMAL : POSIX_MINIMAL;
}

/**
 * The environment for the child. With `inherit: "all"` nothing is read: the child inherits by itself, so
 * that Deno needs no env permission. Rejecting names with `PermissionDeniedError` is for the other cases.
 */
export function buildEnv(rules: EnvRules = {}, source: EnvSource = scriptEnv()): ChildEnv {
  const inherit = rules.inherit ?? "all";
  const env: Record<string, string> = {};
  if (inherit !== "all") {
    const names = inherit === "minimal" ? minimalEnvNames(source.platform) : inherit;
    const unreadable = names.filter((name) => !source.mayRead(name));
    if (unreadable.length > 0) {
      throw new PermissionDeniedError(
        `Passing only ${
          inherit === "minimal" ? "a minimal environment" : "some variables"
        } to codex`,
        [`--allow-env=${unreadable.join(",")}`],
      );
    }
    for (const name of names) {
      const value = source.get(name);
      if (value !== undefined) env[name] = value;
    }
  }
  const merged = mergeEnv(source.platform, env, rules.set) as Record<string, string>;
  return { clearEnv: inherit !== "all", env: merged };
}

/** Puts directories at the head of PATH; leaves the environment alone when PATH is not known. */
export function prependPath(
  child: ChildEnv,
  directories: readonly string[],
  source: EnvSource = scriptEnv(),
): ChildEnv {
  if (directories.length === 0) return child;
  const name = nameInEnv(source.platform, child.env, "PATH") ?? "PATH";
  const path = child.env[name] ?? (child.clearEnv ? undefined : source.get("PATH"));
  if (path === undefined) return child;
  const separator = source.platform === "win32" ? ";" : ":";
  return { ...child, env: { ...child.env, [name]: [...directories, path].join(separator) } };
}

function scriptEnv(): EnvSource {
  return { platform: platformName(), get: readEnv, mayRead: canReadEnv };
}
