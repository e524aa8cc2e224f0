/**
 * What the agent's commands see of the environment, by codex's own `shell_environment_policy`.
 * @module
 */
import { isJsonObject, type JsonValue } from "../json.ts";

/** Parts of names that give a secret away; codex compares without regard to case. */
export const SECRET_NAME_PARTS: readonly string[] = [
  "KEY",
  "SECRET",
  "TOKEN",
  "PASSWORD",
  "CREDENTIAL",
];

const SECTION = "shell_environment_policy";

/**
 * A thread's or process's codex settings, with secrets kept from the agent's commands.
 *
 * `"withoutSecrets"` adds the names to leave out to those that the settings themselves leave out; `"codexDefault"`
 * changes nothing. What the settings `set` on purpose stays. A login shell's profile may still define variables anew.
 * Send the result with each thread and, where codex is started here, as its `-c` flags, which cover `command/exec`.
 */
export function withShellEnvironment(
  config: Readonly<Record<string, JsonValue>>,
  commands: "withoutSecrets" | "codexDefault" = "withoutSecrets",
): Record<string, JsonValue> {
  if (commands === "codexDefault") return { ...config };
  const section = config[SECTION];
  // One nested form: codex would take a dotted and a nested one in an order that is not ours to know.
  const own: Record<string, JsonValue | undefined> = isJsonObject(section) ? { ...section } : {};
  const rest: Record<string, JsonValue> = {};
  const listed = strings(own["exclude"]);
  for (const [key, value] of Object.entries(config)) {
    if (key === SECTION) continue;
    if (!key.startsWith(`${SECTION}.`)) rest[key] = value;
    else if (key === `${SECTION}.exclude`) listed.push(...strings(value));
    else own[key.slice(SECTION.length + 1)] = value;
  }
  const exclude = [...new Set([...SECRET_NAME_PARTS.map((part) => `*${part}*`), ...listed])];
  return { ...rest, [SECTION]: { ...own, exclude } };
}

function strings(value: JsonValue | undefined): string[] {
  return Array.isArray(value) ? value.filter((entry) => typeof entry === "string") : [];
}
