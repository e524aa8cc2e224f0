/**
 * What codex is started with: its environment, and settings for its command line, `-c key=value` with TOML values. Those that
 * hold secrets go another way, since every user of a machine reads the command lines of all its processes.
 * @module
 */
import { type CodexError, PermissionDeniedError, PolicyError, SpawnError } from "../errors/mod.ts";
import { isJsonObject, type JsonValue } from "../json.ts";
import { isSecretName, redactText } from "../redact.ts";
import { canReadEnv, mergeEnv, nameInEnv, platformName, readEnv } from "../platform/mod.ts";

/** The `-c` flags for these settings. A key is a dotted path, such as `model_providers.x.base_url`. */
export function configFlags(overrides: Record<string, JsonValue> = {}): string[] {
  return Object.entries(overrides).flatMap(([key, value]) =>
    // TOML has no null: a setting without a value is no setting.
    value === null ? [] : ["-c", `${key}=${toToml(value)}`]
  );
}

/** A JSON value as an inline TOML value. Members that are `null` are left out. */
export function toToml(value: JsonValue): string {
  if (Array.isArray(value)) {
    return `[${value.filter((entry) => entry !== null).map(toToml).join(", ")}]`;
  }
  switch (typeof value) {
    case "string":
      return tomlString(value);
    case "number":
      return tomlNumber(value);
    case "boolean":
      return String(value);
    default: {
      const members = Object.entries(value ?? {}).filter(([, member]) => member !== null)
        .map(([key, member]) => `${tomlKey(key)} = ${toToml(member as JsonValue)}`);
      return members.length === 0 ? "{}" : `{ ${members.join(", ")} }`;
    }
  }
}

function tomlNumber(value: number): string {
  if (Number.isNaN(value)) return "nan";
  if (!Number.isFinite(value)) return value < 0 ? "-inf" : "inf";
  return String(value);
}

function tomlKey(key: string): string {
  return /^[A-Za-z0-9_-]+$/.test(key) ? key : tomlString(key);
}

/** JSON's escapes are TOML's, but for DEL, which JSON leaves raw, and lone surrogates, which TOML forbids. */
function tomlString(text: string): string {
  return JSON.stringify(text.toWellFormed()).replaceAll("\x7f", "\\u007f");
}

// Settings that hold secrets: every user of a machine reads the command lines of all its processes.

/** Settings for the command line, and variables for the environment of the one process. */
export interface SplitOverrides {
  /** What may be seen. */
  flags: Record<string, JsonValue>;
  /** What codex takes from its environment instead; the names are secrets' names. */
  env: Record<string, string>;
}

/**
 * Takes secrets out of settings, where codex can read them from a variable: tokens and headers of model providers and MCP
 * servers, and the environment of MCP servers. Throws a `PolicyError` that names the key for a secret anywhere else.
 */
export function splitSecrets(overrides: Readonly<Record<string, JsonValue>> = {}): SplitOverrides {
  const split: SplitOverrides = { flags: {}, env: {} };
  for (const [key, value] of Object.entries(overrides)) {
    const kept = withoutSecrets(key.split("."), value, split);
    if (kept === undefined) continue;
    // What replaced a secret is written after the table that it was in.
    const { [key]: _, ...others } = split.flags;
    const moved = Object.keys(others).filter((name) => name.startsWith(`${key}.`));
    split.flags = {
      ...Object.fromEntries(Object.entries(others).filter(([name]) => !moved.includes(name))),
      [key]: kept,
      ...Object.fromEntries(moved.map((name) => [name, others[name]!])),
    };
  }
  return split;
}

/** The value without the secrets in it; `undefined`: it was one. */
function withoutSecrets(
  path: readonly string[],
  value: JsonValue,
  split: SplitOverrides,
): JsonValue | undefined {
  if (typeof value === "string") {
    if (!isSecret(path, value)) return value;
    move(path, value, split);
    return undefined;
  }
  if (Array.isArray(value)) {
    for (const element of value) {
      if (withoutSecrets(path, element, { flags: {}, env: {} }) === undefined) throw refusal(path);
    }
    return value;
  }
  if (!isJsonObject(value)) return value;
  const kept: Record<string, JsonValue> = {};
  for (const [key, member] of Object.entries(value)) {
    const clean = withoutSecrets([...path, key], member ?? null, split);
    if (clean !== undefined) kept[key] = clean;
  }
  return kept;
}

/** Keys whose values are the names of variables, or of ways to keep a login. */
const NAMES_OF_SECRETS: ReadonlySet<string> = new Set([
  "env_key",
  "env_http_headers",
  "env_vars",
  "bearer_token_env_var",
  "exclude",
  "include_only",
]);

function isSecret(path: readonly string[], value: string): boolean {
  if (value === "" || path.some((key) => NAMES_OF_SECRETS.has(key))) return false;
  return isSecretName(path.at(-1)!) || redactText(value) !== value;
}

function move(path: readonly string[], value: string, split: SplitOverrides): void {
  const [table, id, member, name] = path;
  const holder = `${table}.${id}`;
  if (table === "model_providers" && member === "experimental_bearer_token" && path.length === 3) {
    split.flags[`${holder}.env_key`] = variable(value, split);
    return;
  }
  const headers = (table === "model_providers" || table === "mcp_servers") &&
    member === "http_headers" && path.length === 4;
  if (headers) {
    split.flags[`${holder}.env_http_headers.${name}`] = variable(value, split);
    return;
  }
  if (table === "mcp_servers" && member === "bearer_token" && path.length === 3) {
    split.flags[`${holder}.bearer_token_env_var`] = variable(value, split);
    return;
  }
  // The server inherits the variable by its own name, which must be one that no command of the agent sees.
  if (table === "mcp_servers" && member === "env" && path.length === 4 && isSecretName(name!)) {
    if ((split.env[name!] ?? value) !== value) throw refusal(path);
    split.env[name!] = value;
    const listed = split.flags[`${holder}.env_vars`];
    split.flags[`${holder}.env_vars`] = [...(Array.isArray(listed) ? listed : []), name!];
    return;
  }
  throw refusal(path);
}

function variable(value: string, split: SplitOverrides): string {
  const name = `CODEX_RUNTIME_SECRET_${Object.keys(split.env).length + 1}`;
  split.env[name] = value;
  return name;
}

function refusal(path: readonly string[]): PolicyError {
  return new PolicyError(
    `\`configOverrides.${
      path[0]
    }\` holds what looks like a secret, and would be on codex's command line, where every user of ` +
      "this machine reads it. Write it into codex's config.toml, name a variable that holds it (`env_key`, " +
      "`env_http_headers`, `bearer_token_env_var`), or give it as `config` of a session.",
    { data: { key: path[0]! } },
  );
}

/** Which variables pass, and which are added. */
export interface EnvRules {
  /** `"all"` (default), `"minimal"`, or exactly these names. */
  inherit?: "all" | "minimal" | readonly string[];
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

/** Where this process serves tools to codex. */
const LOOPBACK = "127.0.0.1";

/** The variable that says which hosts are reached without a proxy, as codex reads it; `null` when that can't be told. */
function noProxy(child: ChildEnv, source: EnvSource): { name: string; value: string } | null {
  const names = source.platform === "win32" ? ["NO_PROXY"] : ["NO_PROXY", "no_proxy"];
  for (const name of names) {
    const own = nameInEnv(source.platform, child.env, name);
    if (own !== undefined) return { name: own, value: child.env[own]! };
    if (child.clearEnv) continue;
    if (!source.mayRead(name)) return null;
    const value = source.get(name);
    if (value !== undefined) return { name, value };
  }
  return { name: "NO_PROXY", value: "" };
}

/**
 * Keeps what codex says to this process on this machine: a proxy in the environment would get the token with it (0.104 to
 * 0.169). Where this script may not look into the environment, it stays as it is, and is not `direct`.
 */
export function directLoopback(
  child: ChildEnv,
  source: EnvSource = scriptEnv(),
): ChildEnv & { direct: boolean } {
  const found = noProxy(child, source);
  if (found === null) return { ...child, direct: false };
  const hosts = hostsIn(found.value);
  if (leavesLoopback(hosts)) return { ...child, direct: true };
  const env = { ...child.env, [found.name]: [...hosts, LOOPBACK].join(",") };
  return { ...child, env, direct: true };
}

function hostsIn(noProxy: string): string[] {
  return noProxy.split(",").map((host) => host.trim()).filter((host) => host !== "");
}

function leavesLoopback(hosts: readonly string[]): boolean {
  return hosts.includes("*") || hosts.includes(LOOPBACK);
}

/**
 * Whether the text of `$CODEX_HOME/.env` leaves what codex says to this process without a proxy. Codex puts it over the
 * environment that it was started with (0.104 to 0.169). What is not plainly a list with this machine in it may be anything.
 */
export function dotenvIsDirect(text: string): boolean {
  const lines = text.split(/[\r\n]+/).filter((line) =>
    /no_proxy/i.test(line) && !/^\s*#/.test(line)
  );
  return lines.every((line) => {
    const set = /^\s*(?:export\s+)?no_proxy\s*=\s*(["']?)([\w.,:*/[\] -]*)\1\s*(?:#.*)?$/i.exec(
      line,
    );
    return set !== null && leavesLoopback(hostsIn(set[2]!));
  });
}

function scriptEnv(): EnvSource {
  return { platform: platformName(), get: readEnv, mayRead: canReadEnv };
}

/** Why the user's codex home is not known: this script may not look, or services such as those of systemd have no HOME. */
export function homeUnknown(what: string): CodexError {
  const names = ["CODEX_HOME", platformName() === "win32" ? "USERPROFILE" : "HOME"];
  return names.every(canReadEnv)
    ? new SpawnError(`${what} needs a home of codex's: set ${names.join(" or ")}.`, {
      data: { reason: "home" },
    })
    : new PermissionDeniedError(what, [`--allow-env=${names.join(",")}`]);
}
