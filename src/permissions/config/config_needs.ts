/**
 * What codex settings need, since many of them start programs or move the sandbox's walls.
 * @module
 */
import { PolicyError } from "../../errors/mod.ts";
import { isJsonObject, type JsonValue, lazily } from "../../json.ts";
import { isAbsolutePath } from "../../platform/paths.ts";
import { EVERYTHING, type PermissionNeed } from "../need.ts";

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
  const leaves = leavesOf(config);
  const named = Object.keys(config).some((key) => key.split(".")[0] === "projects");
  // In the place of what a session says, it would have codex trust the directory.
  if (named && leaves.every((leaf) => leaf.path[0] !== "projects" || isSwitchedOff(leaf))) {
    const sentence = "`config.projects` says nothing of any directory. Leave it out.";
    return new PolicyError(sentence, { data: { key: "projects" } });
  }
  for (const leaf of leaves) {
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
      const name = nameOf(leaf);
      return new PolicyError(
        `\`${name === "web_search" ? "webSearch" : `config.${name}`}\` lets codex do more than a ` +
          "read-only session may, outside the sandbox. Set `allowPrivilegedEscalation: true` to allow it.",
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
    // Who is asked is a matter of consent, not of this script's permissions.
    case "approval_policy":
    // A profile does nothing until it is chosen; then it is looked at.
    case "permissions":
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
  // `~/x` lies in the home of codex's user.
  const scope = isAbsolutePath(path ?? "") && !/[*?[{]/.test(path!) ? { path: path! } : {};
  if (access === "read") return [{ kind: "read", ...scope }];
  return [{ kind: "read", ...scope }, { kind: "write", ...scope }];
}

// Every key of codex's configuration, and what is done about it.
//
// The keys are those of codex 0.169.0, tried one by one with `--strict-config`, and those of the versions since 0.104.0
// that are gone again. A key without a row, such as a newer codex's, may do everything.

/**
 * What is done about a key in a session's `config` or in that of a raw `thread/*` call.
 *
 * - `harmless`: changes what the model is told, what it costs or what is shown. Passes.
 * - `decided`: the session's own profile decides it and is always sent. An error in a session's `config`; its value is
 *   looked at in a raw call.
 * - `valued`: depends on the value, which is looked at.
 * - `consent`: starts programs, moves the sandbox's walls, answers approvals, or takes in or sends out what nobody here
 *   sees. Needs every permission and `allowPrivilegedEscalation`.
 */
export type ConfigHandling = "harmless" | "decided" | "valued" | "consent";

/** Names, split by white space, with what is done about all of them. */
type Group<Handling> = readonly [handling: Handling, names: string];

/** By the first word of a key. */
const KEYS: readonly Group<ConfigHandling>[] = [
  // What the model is told, and how much.
  [
    "harmless",
    `base_instructions commit_attribution compact_prompt developer_instructions include_apps_instructions
     include_collaboration_mode_instructions include_environment_context include_permissions_instructions instructions
     model model_auto_compact_token_limit model_auto_compact_token_limit_scope model_context_window
     model_post_turn_compact_threshold_percent model_reasoning_effort model_reasoning_summary
     model_supports_reasoning_summaries model_verbosity personality plan_mode_reasoning_effort project_doc_max_bytes
     responses_api_metadata review_model service_tier tool_output_token_limit`,
  ],
  // A provider is chosen among those that the user has set up.
  ["harmless", "model_provider oss_provider"],
  // Limits.
  [
    "harmless",
    `background_terminal_max_timeout goals mcp_optional_startup_grace_ms thread_unload_delay_secs`,
  ],
  // What is shown by codex's own surfaces, which the app server has not.
  [
    "harmless",
    `audio check_for_update_on_startup desktop disable_paste_burst file_opener hide_agent_reasoning notice
     show_raw_agent_reasoning suppress_unstable_features_warning tui windows_wsl_setup_acknowledged`,
  ],
  // Which of the tools that run in the sandbox are offered, and how.
  [
    "harmless",
    `allow_login_shell experimental_use_freeform_apply_patch experimental_use_unified_exec_tool`,
  ],
  // What the agent's commands see of the environment; the filter is put on top.
  ["harmless", "shell_environment_policy"],
  // Who is asked, when, and how far commands reach.
  [
    "decided",
    `approval_policy approvals_reviewer default_permissions permissions sandbox_mode sandbox_workspace_write`,
  ],
  // The web, live or from a cache.
  ["valued", "web_search tools client_search_provider"],
  // Switches, one by one.
  ["valued", "features"],
  // Roles may bring a configuration of their own.
  ["valued", "agents"],
  // A provider may name a program, a variable or the login.
  ["valued", "model_providers"],
  // Statistics for the maker of codex.
  ["valued", "analytics feedback"],
  // Files that are read into the prompt.
  [
    "valued",
    `experimental_compact_prompt_file experimental_instructions_file model_catalog_json model_instructions_file
     project_doc_fallback_filenames`,
  ],
  // Starts programs or loads code, without a sandbox.
  [
    "consent",
    `browser_use computer_use hooks js_repl_node_module_dirs js_repl_node_path marketplaces mcp_servers notify
     orchestrator plugins skills zsh_path`,
  ],
  // Decides approvals.
  ["consent", "apps auto_review profile profiles project_root_markers projects"],
  // Changes the sandbox's make.
  ["consent", "allow_symlinked_codex_home windows"],
  // Starts work that nobody asked for.
  ["consent", "ghost_snapshot memories"],
  // Takes settings or threads from elsewhere.
  [
    "consent",
    `cloud experimental_thread_config_endpoint experimental_thread_store experimental_thread_store_endpoint`,
  ],
  // Sends what is said, or the login, elsewhere.
  [
    "consent",
    `apps_mcp_product_sku chatgpt_base_url experimental_realtime_start_instructions
     experimental_realtime_webrtc_call_base_url experimental_realtime_ws_backend_prompt
     experimental_realtime_ws_base_url experimental_realtime_ws_model experimental_realtime_ws_startup_context
     openai_base_url otel realtime`,
  ],
  // Where logins and records are kept.
  [
    "consent",
    `cli_auth_credentials_store forced_chatgpt_workspace_id forced_login_method history log_dir
     mcp_enterprise_managed_auth mcp_oauth_callback_port mcp_oauth_callback_url mcp_oauth_credentials_store
     sqlite_home`,
  ],
];

const keyRows = lazily(() => rowsOf(KEYS));

/** What is done about a key, by its first word. */
function keyHandling(key: string): ConfigHandling {
  return keyRows().get(key) ?? "consent";
}

/** The keys that have a row. */
export function knownConfigKeys(): string[] {
  return [...keyRows().keys()];
}

/**
 * What is done about a feature. `harmless`: either way. `safeOff`: off takes something away from the agent, on needs
 * consent. `safeOn`: off takes a guard away. `consent`: either way.
 */
export type FeatureHandling = "harmless" | "safeOff" | "safeOn" | "consent";

const FEATURES: readonly Group<FeatureHandling>[] = [
  // Tools in the session's own sandbox, what the model is told, how messages are put.
  [
    "harmless",
    `agent_message_board apply_patch_freeform apply_patch_preserve_line_endings apply_patch_streaming_events
     async_compaction async_compaction_root_only child_agents_md cli_daybreak cli_resume_account_check collab
     collaboration_modes command_sessions_world_state compaction_image_budget concurrent_reasoning_summaries
     content_item_kinds context_management critical_path_timing current_time_reminder cwd_relative_turn_diffs
     default_mode_request_user_input defer_mailbox_preemption deferred_tool_world_state enable_request_compression
     exec_permission_approvals executed_tool_call_metadata experimental_use_unified_exec_tool fast_mode goals
     image_detail_original image_generation image_generation_animation image_resize_notice imagegenext
     incremental_exec_tools incremental_tools incremental_tools_legacy incremental_tools_legacy_gcp instant_interrupt
     interrupt_on_cancel item_ids mentions_v2 model_catalog_in_context multi_agent multi_agent_mode multi_agent_v2
     multi_agent_v2_dynamic_tools nonfatal_clock_read_errors non_prefixed_mcp_tool_names
     omit_app_server_notification_media omit_skill_descriptions output_token_replay personality
     powershell_shell_version prediction_preserve_parent_tools prevent_idle_sleep reasoning_effort_override
     remote_compaction_v2 request_permissions request_permissions_tool request_rule resize_all_images
     responses_websockets responses_websockets_v2 retain_client_developer_messages retain_client_tool_outputs
     rollout_budget send_async_message send_message_to_user_async shell_tool
     simplified_selection_hints skill_catalog_deltas skill_search sleep_tool sqlite steer step_model_switching
     stable_environment_tools subagent_default_context_limits subagent_thread_environments
     suppress_model_change_announcements terminal_resize_reflow terminal_visualization_instructions token_budget
     tool_search tool_search_always_defer_mcp_tools tool_suggest transcript_v2 tui_app_server tui_extensions_statusline
     tui_multi_backend tui_workspace ultrafast_mode unavailable_dummy_tools unbounded_connection_retries unified_exec
     unified_exec_tty app_server_websocket_compression local_thread_store_compression
     local_thread_store_shared_compression background_paginated_rollout_migration skip_host_skill_discovery
     api_key_model_discovery api_key_cyber_access_programs analytics_plan_history runtime_agent_instances
     remote_models include_apply_patch_tool view_image_tool powershell_utf8 streamable_shell search_tool
      runtime_metrics unified_image_budget view_image`,
  ],
  // On: runs programs, reaches further, or lets others decide or listen.
  [
    "safeOff",
    `agent_message_board_mcp apps apps_early_resource_discovery apps_mcp_path_override apps_mcp_gateway artifact
     auth_elicitation bedrock_setup_wizard browser_annotation_api browser_use browser_use_external
     browser_use_full_cdp_access chronicle code_mode code_mode_buffered_exec code_mode_host code_mode_host_grpc
     code_mode_host_output_truncation code_mode_interrupt code_mode_only code_mode_only_strict_3p_tools
     code_mode_prewarm code_mode_tool_description_first code_mode_tool_search codex_apps_mcp_2026_07_28
     codex_git_commit computer_use connectors daemon_auto_start daybreak_program_propagation deferred_executor
     enable_fanout enable_mcp_apps executor_capability_discovery executor_capability_discovery_v2 external_agent_memory_import
     external_migration gateway_setup_wizard gcp_setup_wizard guardian_approval guardian_conversation_history_tools
     guardian_denial_reconsideration guardian_enhanced_node_repl_transcripts guardian_ext
     guardian_include_additional_context guardian_native_multi_agent_history guardian_node_repl_transcript_images
     guardian_recorded_items guardian_reuse_parent_compaction guardian_root_handoff_context
     guardian_trust_orchestrator_connectors guardianv2 guardianv2.thread_context guardianv2_decisions_comparison
     guardianv3 hosted_search_policy in_app_browser in_app_chat in_app_dictation in_app_local_automation in_app_updates
     in_app_voice js_repl js_repl_tools_only login_shell_package_path mcp_2026_07_28 mcp_connection_sharing
     mcp_lazy_stdio_startup mcp_tool_list_changed memories multi_env_copy_file plugin_discovery_prefetch
     plugin_sharing plugins psp realtime_conversation recommended_plugins remote_control remote_plugin
     shell_zsh_fork skill_env_var_dependency_prompt skill_mcp_dependency_install standalone_web_search
     undo unified_exec_zsh_fork voice_transcription web_search web_search_cached
     web_search_request workspace_owner_usage_nudge memory_tool remote_compaction responses_api_proxy shell_snapshot
     shell_snapshot_v2 use_agent_identity use_xaa wake_on_agent_messages worktrees`,
  ],
  // Off: takes a guard away, or the user's own hooks.
  [
    "safeOn",
    `codex_hooks credential_masking elevated_windows_sandbox enable_experimental_windows_sandbox
     experimental_windows_sandbox hooks mcp_oauth_refresh_coordination plugin_hooks secret_auth_storage
     tool_call_mcp_elicitation untrusted_as_tool_output use_linux_sandbox_bwrap workspace_dependencies write_stdin_approval`,
  ],
  // Changes how the sandbox is made, or its way to the network.
  [
    "consent",
    `network_proxy prefer_mxc respect_system_proxy system_proxy_fallback use_legacy_landlock
     windows_sandbox_service`,
  ],
];

const featureRows = lazily(() => rowsOf(FEATURES));

/** What is done about a switch below `features`. */
function featureHandling(name: string): FeatureHandling {
  return featureRows().get(name) ?? "consent";
}

/** The features that have a row. */
export function knownFeatures(): string[] {
  return [...featureRows().keys()];
}

function rowsOf<Handling>(groups: readonly Group<Handling>[]): ReadonlyMap<string, Handling> {
  return new Map(
    groups.flatMap(([handling, names]) =>
      names.split(/\s+/).map((name) => [name, handling] as const)
    ),
  );
}
