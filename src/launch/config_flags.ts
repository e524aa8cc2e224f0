/**
 * Settings for codex's command line: `-c key=value` with TOML values.
 * @module
 */
import type { JsonValue } from "../json.ts";

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
