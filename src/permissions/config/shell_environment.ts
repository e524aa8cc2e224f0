/**
 * What the agent's commands see of the environment, by codex's own `shell_environment_policy`.
 * @module
 */
import { isJsonObject, type JsonValue } from "../../json.ts";

/** Parts of names that give a secret away; codex compares without regard to case. */
export const SECRET_NAME_PARTS: readonly string[] = [
  "KEY",
  "SECRET",
  "TOKEN",
  "PASSWORD",
  "CREDENTIAL",
];

const SECTION = "shell_environment_policy";
const EXCLUDE = `${SECTION}.exclude`;
const SNAPSHOT = "features.shell_snapshot";

/**
 * A thread's or process's codex settings, with secrets kept from the agent's commands.
 *
 * `"withoutSecrets"` adds the names to leave out to those that the settings themselves leave out; `"codexDefault"`
 * changes nothing. What the settings `set` on purpose stays. A login shell's profile may still define variables anew.
 * It also turns codex's shell snapshots off, unless the settings say otherwise: 0.104 restores from them the very
 * variables that were left out. The result has dotted keys, which codex takes from `-c` flags and from threads alike.
 */
export function withShellEnvironment(
  config: Readonly<Record<string, JsonValue>>,
  commands: "withoutSecrets" | "codexDefault" = "withoutSecrets",
): Record<string, JsonValue> {
  if (commands === "codexDefault") return { ...config };
  const flat: Record<string, JsonValue> = {};
  const listed: string[] = [];
  for (const [key, value] of Object.entries(config)) {
    // Of a dotted and a nested spelling, codex would take one in an order that is not ours to know.
    const entries = key === SECTION && isJsonObject(value)
      ? Object.entries(value).map(([name, inner]) => [`${SECTION}.${name}`, inner] as const)
      : [[key, value] as const];
    for (const [name, inner] of entries) {
      if (name === EXCLUDE) listed.push(...strings(inner));
      else if (inner !== undefined) flat[name] = inner;
    }
  }
  flat[EXCLUDE] = [...new Set([...SECRET_NAME_PARTS.map((part) => `*${part}*`), ...listed])];
  const { features } = config;
  const decided = isJsonObject(features) && features["shell_snapshot"] !== undefined;
  if (!decided && flat[SNAPSHOT] === undefined) flat[SNAPSHOT] = false;
  return flat;
}

function strings(value: JsonValue | undefined): string[] {
  return Array.isArray(value) ? value.filter((entry) => typeof entry === "string") : [];
}
