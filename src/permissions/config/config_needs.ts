/**
 * What codex settings need, since many of them start programs or move the sandbox's walls.
 * @module
 */
import { isJsonObject, type JsonValue } from "../../json.ts";
import { EVERYTHING, type PermissionNeed } from "../need.ts";

/**
 * Settings, by their first word, that change neither what runs nor how far it reaches. Everything else counts as
 * everything: `mcp_servers` and `notify` start programs without a sandbox, `rules` and `projects` grant trust, and what
 * a newer codex adds is not known here.
 */
const HARMLESS: ReadonlySet<string> = new Set([
  "base_instructions",
  "compact_prompt",
  "developer_instructions",
  "hide_agent_reasoning",
  "include_environment_context",
  "include_permissions_instructions",
  "instructions",
  "model",
  "model_auto_compact_token_limit",
  "model_context_window",
  "model_provider",
  "model_reasoning_effort",
  "model_reasoning_summary",
  "model_supports_reasoning_summaries",
  "model_verbosity",
  "personality",
  "project_doc_fallback_filenames",
  "project_doc_max_bytes",
  "review_model",
  "service_tier",
  "shell_environment_policy",
  "show_raw_agent_reasoning",
  "tool_output_token_limit",
]);

/** What a thread's or process's codex settings need. Keys may be dotted or nested. */
export function configNeeds(
  config: Readonly<Record<string, JsonValue | undefined>>,
  cwd: string | undefined,
): PermissionNeed[] {
  return Object.entries(config).flatMap(([key, value]) => keyNeeds(key, value, config, cwd));
}

function keyNeeds(
  key: string,
  value: JsonValue | undefined,
  config: Readonly<Record<string, JsonValue | undefined>>,
  cwd: string | undefined,
): PermissionNeed[] {
  if (value === undefined || value === null) return [];
  const [first] = key.split(".") as [string];
  if (HARMLESS.has(first)) return [];
  // A provider can name a program that fetches its credentials.
  if (first === "model_providers") {
    return /auth|command/.test(key + JSON.stringify(value)) ? [...EVERYTHING] : [];
  }
  if (key === "web_search" || key === "tools.web_search") return value ? [{ kind: "net" }] : [];
  if (key === "sandbox_mode") return value === "read-only" ? [{ kind: "read" }] : [...EVERYTHING];
  if (key === "default_permissions") {
    const profiles = config["permissions"];
    return isJsonObject(profiles) && typeof value === "string" && isJsonObject(profiles[value])
      ? profileNeeds(profiles[value], cwd)
      : [...EVERYTHING];
  }
  // A profile does nothing until it is chosen; then it is looked at.
  if (key === "permissions" && isJsonObject(value)) return [];
  return [...EVERYTHING];
}

/** What a permission profile lets commands do. */
function profileNeeds(
  profile: Readonly<Record<string, JsonValue | undefined>>,
  cwd: string | undefined,
): PermissionNeed[] {
  const { filesystem, network, ...others } = profile;
  const needs: PermissionNeed[] = [];
  if (Object.keys(others).some((key) => key !== "description")) return [...EVERYTHING];
  if (!isJsonObject(filesystem)) needs.push({ kind: "read" }, { kind: "write" });
  else {
    for (const [entry, access] of Object.entries(filesystem)) {
      needs.push(...entryNeeds(entry, access, cwd));
    }
  }
  if (isJsonObject(network) && network["enabled"] !== false) needs.push({ kind: "net" });
  return needs;
}

function entryNeeds(
  entry: string,
  access: JsonValue | undefined,
  cwd: string | undefined,
): PermissionNeed[] {
  if (access === "none" || access === "deny") return [];
  if (entry === ":minimal" && access === "read") return [];
  const path = entry === ":workspace_roots" || entry === ":cwd" ? cwd : entry;
  const scope = path === undefined || path.startsWith(":") || /[*?[{]/.test(path) ? {} : { path };
  if (access === "read") return [{ kind: "read", ...scope }];
  return [{ kind: "read", ...scope }, { kind: "write", ...scope }];
}
