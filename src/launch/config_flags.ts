/**
 * Settings for codex's command line: `-c key=value` with TOML values; and those that hold secrets, which go another way, since
 * every user of a machine reads the command lines of all its processes.
 * @module
 */
import { PolicyError } from "../errors/mod.ts";
import { isJsonObject, type JsonValue } from "../json.ts";
import { isSecretName, redactText } from "../redact.ts";

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
