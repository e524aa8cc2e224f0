/**
 * What codex settings need, since many of them start programs or move the sandbox's walls.
 * @module
 */
import { PolicyError } from "../../errors/mod.ts";
import { isJsonObject, type JsonValue } from "../../json.ts";
import { EVERYTHING, type PermissionNeed } from "../need.ts";
import { featureHandling, keyHandling } from "./config_table.ts";

/** Settings as they are written: keys may be dotted or nested. */
export type Settings = Readonly<Record<string, JsonValue | undefined>>;

/** What a thread's or process's codex settings need. Keys may be dotted or nested. */
export function configNeeds(config: Settings, cwd: string | undefined): PermissionNeed[] {
  return leavesOf(config).flatMap((leaf) => leafNeeds(leaf, config, cwd));
}

/**
 * Why a session may not have these settings, or `null` when it may: those that the session decides by itself would have
 * no effect, and those that need more than reading need the caller's consent.
 */
export function configRefusal(
  config: Settings,
  cwd: string,
  consent: { allowPrivilegedEscalation?: boolean | undefined },
): PolicyError | null {
  for (const leaf of leavesOf(config)) {
    const key = leaf.path[0]!;
    const data = { key };
    if (keyHandling(key) === "decided" && !repeatsOurs(leaf)) {
      return new PolicyError(
        `\`config.${key}\` can't take effect in a session, whose own options decide it. ` +
          "Use `sandbox`, `approvalPolicy` and `approvals`.",
        { data },
      );
    }
    const needs = leafNeeds(leaf, config, cwd);
    if (consent.allowPrivilegedEscalation !== true && needs.some(({ kind }) => kind !== "read")) {
      return new PolicyError(
        `\`config.${
          nameOf(leaf)
        }\` lets codex do more than a read-only session may, outside the sandbox. ` +
          "Set `allowPrivilegedEscalation: true` to allow it.",
        { data },
      );
    }
  }
  return null;
}

/** A value and the words that lead to it. */
interface Leaf {
  path: readonly string[];
  value: JsonValue;
}

function leavesOf(config: Settings): Leaf[] {
  const leaves: Leaf[] = [];
  const walk = (path: readonly string[], value: JsonValue | undefined, depth: number): void => {
    if (value === undefined || value === null) return;
    if (!isJsonObject(value) || depth > 8) {
      leaves.push({ path, value });
      return;
    }
    for (const [key, member] of Object.entries(value)) walk([...path, key], member, depth + 1);
  };
  // Codex splits a key at its dots, wherever they are.
  for (const [key, value] of Object.entries(config)) walk(key.split("."), value, 0);
  return leaves;
}

/** A setting that says what a session says anyway. */
function repeatsOurs({ path, value }: Leaf): boolean {
  return path[0] === "approvals_reviewer" && value === "user";
}

/** The key for people: nothing that names a server, a path or a person. */
function nameOf({ path }: Leaf): string {
  return path[0] === "features" ? path.slice(0, 2).join(".") : path[0]!;
}

function leafNeeds(leaf: Leaf, config: Settings, cwd: string | undefined): PermissionNeed[] {
  const [key] = leaf.path as [string];
  switch (keyHandling(key)) {
    case "harmless":
      return [];
    case "decided":
      return decidedNeeds(leaf, config, cwd);
    case "valued":
      return valuedNeeds(leaf);
    case "consent":
      return isSwitchedOff(leaf) ? [] : [...EVERYTHING];
  }
}

function decidedNeeds(
  { path, value }: Leaf,
  config: Settings,
  cwd: string | undefined,
): PermissionNeed[] {
  switch (path[0]) {
    case "approval_policy":
      // Who is asked is a matter of consent, not of this script's permissions.
      return [];
    case "permissions":
      // A profile does nothing until it is chosen; then it is looked at.
      return [];
    case "approvals_reviewer":
      return value === "user" ? [] : [...EVERYTHING];
    case "sandbox_mode":
      return value === "read-only" ? [{ kind: "read" }] : [...EVERYTHING];
    case "default_permissions": {
      if (value === ":read-only") return [{ kind: "read" }];
      const profiles = config["permissions"];
      // Of a dotted and a nested spelling, codex would take one in an order that is not ours to know.
      const dotted = Object.keys(config).some((name) => name.startsWith("permissions."));
      return !dotted && isJsonObject(profiles) && typeof value === "string" &&
          isJsonObject(profiles[value])
        ? profileNeeds(profiles[value], cwd)
        : [...EVERYTHING];
    }
    default:
      return [...EVERYTHING];
  }
}

function valuedNeeds({ path, value }: Leaf): PermissionNeed[] {
  const [key, second, third] = path;
  const net: PermissionNeed[] = [{ kind: "net" }];
  switch (key) {
    case "web_search":
      return value === false || value === "disabled" || value === "cached" ? [] : net;
    case "tools":
      if (second === "web_search" || second === "client_search_provider") {
        return value === false ? [] : net;
      }
      return TOOLS.has(second ?? "") ? [] : [...EVERYTHING];
    case "analytics":
    case "feedback":
    case "client_search_provider":
      return value === false ? [] : net;
    case "features":
      return featureNeeds(second ?? "", value);
    case "agents":
      if (third === undefined) return typeof value === "object" ? [...EVERYTHING] : [];
      return third === "description" || third === "nickname_candidates" ? [] : [...EVERYTHING];
    case "model_providers":
      return providerNeeds(third ?? "", value);
    case "project_doc_fallback_filenames":
      // Names within the project; with a path they would be files elsewhere.
      return JSON.stringify(value).match(/[\\/]|\.\./) === null ? [] : [{ kind: "read" }];
    default:
      return typeof value === "string" && value.startsWith("/")
        ? [{ kind: "read", path: value }]
        : [{ kind: "read" }];
  }
}

/** Tools that reach nothing. */
const TOOLS: ReadonlySet<string> = new Set([
  "experimental_request_user_input",
  "update_plan",
  "view_image",
]);

function featureNeeds(name: string, value: JsonValue): PermissionNeed[] {
  const handling = featureHandling(name);
  const harmless = handling === "harmless" || (handling === "safeOff" && value === false) ||
    (handling === "safeOn" && value === true);
  return harmless ? [] : [...EVERYTHING];
}

const PROVIDER_MEMBERS: ReadonlySet<string> = new Set(
  [
    "base_url env_key_instructions experimental_bearer_token http_headers name query_params request_max_retries",
    "stream_idle_timeout_ms stream_max_retries supports_websockets websocket_connect_timeout_ms wire_api",
  ].join(" ").split(" "),
);

/** A provider may fetch its credentials by a program, take them from a variable, or get the login of the user. */
function providerNeeds(member: string, value: JsonValue): PermissionNeed[] {
  if (PROVIDER_MEMBERS.has(member)) return [];
  if (member === "requires_openai_auth" && value === false) return [];
  if ((member === "env_key" || member === "env_http_headers") && typeof value === "string") {
    return [{ kind: "env", name: value }];
  }
  return [...EVERYTHING];
}

/** Values that start nothing. */
function isSwitchedOff({ path, value }: Leaf): boolean {
  if (Array.isArray(value)) return value.length === 0;
  return path[0] === "mcp_servers" && path.length === 3 && path[2] === "enabled" && value === false;
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
