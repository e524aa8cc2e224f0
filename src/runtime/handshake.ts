/**
 * The first words with a server: who we are, who it is, and whether it is new enough.
 * @module
 */
import {
  ConnectionClosedError,
  IncompatibleVersionError,
  RequestTimeoutError,
} from "../errors/mod.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../json.ts";
import type { Connection } from "../rpc/mod.ts";
import type { ClientInfo, RuntimeConfig } from "./config.ts";
import type { ServerInfo } from "./runtime_types.ts";
import {
  compareVersions,
  LIBRARY_VERSION,
  MIN_CODEX_VERSION,
  versionInUserAgent,
} from "../version.ts";

/**
 * Duplicates of the real notifications that codex 0.104 sends beside them. Turned off by name; servers ignore names they
 * do not know.
 */
const LEGACY_DUPLICATES = [
  "agent_message agent_message_delta agent_message_content_delta agent_reasoning agent_reasoning_delta",
  "agent_reasoning_raw_content agent_reasoning_raw_content_delta agent_reasoning_section_break",
  "apply_patch_approval_request dynamic_tool_call_request error exec_approval_request exec_command_begin",
  "exec_command_end exec_command_output_delta item_completed item_started mcp_startup_complete",
  "mcp_startup_update mcp_tool_call_begin mcp_tool_call_end patch_apply_begin patch_apply_end plan_delta",
  "plan_update reasoning_content_delta reasoning_raw_content_delta request_user_input shutdown_complete stream_error",
  "task_complete task_started terminal_interaction thread_name_updated token_count turn_aborted turn_diff user_message",
  "web_search_begin web_search_end view_image_tool_call elicitation_request raw_response_item",
].join(" ").split(" ").map((name) => `codex/event/${name}`);

/** Who this library says it is when the caller does not say. */
const DEFAULT_CLIENT_INFO: ClientInfo = {
  name: "codex-runtime",
  title: "codex-runtime for TypeScript",
  version: LIBRARY_VERSION,
};

/** Parameters of `initialize` for a configuration. */
export function initializeParams(config: RuntimeConfig): JsonObject {
  const info = config.clientInfo ?? DEFAULT_CLIENT_INFO;
  return {
    clientInfo: { name: info.name, title: info.title ?? null, version: info.version },
    capabilities: {
      // The library cleans up with an experimental method; what callers may use is gated on this side.
      experimentalApi: true,
      optOutNotificationMethods: [...LEGACY_DUPLICATES, ...(config.optOutNotifications ?? [])],
    },
  };
}

/** Reads the answer to `initialize`; rejects servers older than the configuration accepts. */
export function readServerInfo(result: JsonValue, config: RuntimeConfig): ServerInfo {
  const answer = isJsonObject(result) ? result : {};
  const userAgent = typeof answer["userAgent"] === "string" ? answer["userAgent"] : "";
  const name = (config.clientInfo ?? DEFAULT_CLIENT_INFO).name;
  const version = versionInUserAgent(userAgent, name);
  const required = config.minVersion === undefined ? MIN_CODEX_VERSION : config.minVersion;
  if (required !== null && (version === null || compareVersions(version, required) < 0)) {
    throw new IncompatibleVersionError(version, required);
  }
  const info: ServerInfo = { version: version ?? "unknown", userAgent };
  for (const field of ["codexHome", "platformFamily", "platformOs"] as const) {
    const value = answer[field];
    if (typeof value === "string") info[field] = value;
  }
  return info;
}

/** Introduces this client to the server. */
export async function handshake(
  connection: Connection,
  config: RuntimeConfig,
  signal: AbortSignal | undefined,
): Promise<ServerInfo> {
  const result = await introduce(connection, config, signal);
  const info = readServerInfo(result, config);
  await connection.notify("initialized");
  return info;
}

async function introduce(
  connection: Connection,
  config: RuntimeConfig,
  signal: AbortSignal | undefined,
): Promise<JsonValue> {
  try {
    return await connection.call(
      "initialize",
      initializeParams(config),
      signal === undefined ? {} : { signal },
    );
  } catch (error) {
    // What ends without a word, or says something else than codex does, would do the same again.
    if (error instanceof ConnectionClosedError && connection.transport.pid !== null) {
      throw error.asFinal();
    }
    const { noise } = connection;
    if (error instanceof RequestTimeoutError && noise !== "") {
      const { method, timeoutMs } = error;
      throw new RequestTimeoutError(method, timeoutMs, {
        retryable: false,
        note: `${noise}. Is this codex, and not a program that writes to its output before it`,
      });
    }
    throw error;
  }
}
