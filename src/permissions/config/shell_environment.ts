/**
 * What the agent's commands see of the environment, by codex's own `shell_environment_policy`.
 * @module
 */
import { isJsonObject, type JsonValue } from "../../json.ts";
import { SECRET_VARIABLES } from "../../redact.ts";

const SECTION = "shell_environment_policy";
const EXCLUDE = `${SECTION}.exclude`;
/** Tables of which a thread brings single members, since codex would replace the whole table. */
const FLAT: readonly string[] = [SECTION, "features"];
const SNAPSHOT = "features.shell_snapshot";

type Settings = Readonly<Record<string, JsonValue>>;

/**
 * A thread's or process's codex settings, with secrets kept from the agent's commands. Of several settings the later ones
 * win.
 *
 * `"withoutSecrets"` adds the names to leave out to those that the settings themselves leave out; `"codexDefault"`
 * changes nothing. What the settings `set` on purpose stays. A login shell's profile may still define variables anew.
 * It also turns codex's shell snapshots off: 0.104 restores from them the very variables that were left out. The result has
 * dotted keys, which codex takes from `-c` flags and from threads alike.
 */
export function withShellEnvironment(
  settings: Settings | readonly Settings[],
  commands: "withoutSecrets" | "codexDefault" = "withoutSecrets",
): Record<string, JsonValue> {
  const layers: readonly Settings[] = Array.isArray(settings) ? settings : [settings as Settings];
  // Only the last is the caller's own; what codex was started with holds without being repeated.
  if (commands === "codexDefault") return { ...layers.at(-1) };
  const flat: Record<string, JsonValue> = {};
  const listed: string[] = [];
  for (const [key, value] of layers.flatMap((layer) => Object.entries(layer))) {
    // Of a dotted and a nested spelling, codex would take one in an order that is not ours to know.
    const entries = FLAT.includes(key) && isJsonObject(value)
      ? Object.entries(value).map(([name, inner]) => [`${key}.${name}`, inner] as const)
      : [[key, value] as const];
    for (const [name, inner] of entries) {
      if (name === EXCLUDE) listed.push(...strings(inner));
      else if (inner !== undefined) flat[name] = inner;
    }
  }
  flat[EXCLUDE] = [...new Set([...SECRET_VARIABLES, ...listed])];
  flat[SNAPSHOT] = false;
  return flat;
}

function strings(value: JsonValue | undefined): string[] {
  return Array.isArray(value) ? value.filter((entry) => typeof entry === "string") : [];
}
