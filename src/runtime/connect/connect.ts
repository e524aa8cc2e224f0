/**
 * From a configuration to an open connection: the way to it, who we are, who the server is, and whether it is new enough.
 * @module
 */
import {
  ConnectionClosedError,
  explainStderr,
  IncompatibleVersionError,
  PolicyError,
  RequestTimeoutError,
} from "../../errors/mod.ts";
import {
  defined,
  isJsonObject,
  type JsonObject,
  type JsonValue,
  memberOf,
  plainSettings,
} from "../../json.ts";
import { delay } from "../../async.ts";
import { redactDiagnostic } from "../../redact.ts";
import {
  compareVersions,
  LIBRARY_VERSION,
  lostStartRace,
  MIN_CODEX_VERSION,
  versionInUserAgent,
} from "../../protocol/mod.ts";
import { codexTransport } from "../../launch/mod.ts";
import { withoutReachingTools, withShellEnvironment } from "../../permissions/mod.ts";
import type { Connection, ConnectionOptions } from "../../rpc/mod.ts";
import type { Telemetry } from "../../telemetry.ts";
import type { TransportFactory } from "../../transport/mod.ts";
import type { ClientInfo, RuntimeConfig } from "../config.ts";
import { DEFAULTS } from "../defaults.ts";
import type { ServerInfo } from "../runtime_types.ts";

/** Opens the configured connection; called again for each restart. */
export function transportFactory(config: RuntimeConfig): TransportFactory {
  const transport = config.transport ?? { type: "stdio" };
  if (transport.type === "custom") return transport.open;
  if (transport.type !== "stdio") {
    // A prompt by a codex of its own needs none of it.
    return async (how) => await (await import("./elsewhere.ts")).elsewhere(config, transport)(how);
  }
  return codexTransport({
    ...defined({
      codexPath: config.codexPath,
      env: config.env,
      cwd: config.processCwd,
      onStderr: config.onStderr,
      pidFile: transport.pidFile,
    }),
    configOverrides: configOverrides(config),
  });
}

/** Where codex keeps its login; `ephemeral`: in the memory of its process. 0.104 to 0.169. */
const STORE = "cli_auth_credentials_store";

/** Settings for codex's command line; what the caller set wins, but for where a key of its own is kept. */
function configOverrides(config: RuntimeConfig): Record<string, JsonValue> {
  const store: Record<string, JsonValue> = config.apiKey === undefined
    ? {}
    : { [STORE]: "ephemeral" };
  const own = plainSettings(config.configOverrides);
  return {
    ...withShellEnvironment(own, config.env?.commands),
    ...withoutReachingTools(own),
    ...store,
  };
}

/** Servers that are started at most until one stays, and milliseconds before the second. */
const STARTS = 5;
const START_DELAY_MS = 100;

/** Starts a server; another one when it lost a race with its like: it was asked nothing, so that nothing is done twice. */
export async function startOne(
  start: () => Promise<void>,
  signal: AbortSignal | undefined,
): Promise<void> {
  for (let tried = 1;; tried++) {
    try {
      return await start();
    } catch (error) {
      const lost = error instanceof ConnectionClosedError && lostStartRace(error.stderrTail);
      if (!lost || tried === STARTS) throw error;
    }
    await delay(START_DELAY_MS * tried * (0.5 + Math.random()), signal);
  }
}

// The first words with a server: who we are, who it is, and whether it is new enough.

/**
 * Duplicates of the real notifications that codex 0.104 sends beside them. Turned off by name; servers ignore names they
 * do not know. `apply_patch_approval_request` stays: it alone says what a question about a file change is about;
 * `mcp_startup_update` alone says that an MCP server did not start.
 */
const LEGACY_DUPLICATES = [
  "agent_message agent_message_delta agent_message_content_delta agent_reasoning agent_reasoning_delta",
  "agent_reasoning_raw_content agent_reasoning_raw_content_delta agent_reasoning_section_break",
  "dynamic_tool_call_request error exec_approval_request exec_command_begin",
  "exec_command_end exec_command_output_delta item_completed item_started mcp_startup_complete",
  "mcp_tool_call_begin mcp_tool_call_end patch_apply_begin patch_apply_end plan_delta",
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

/** How much a connection holds and waits for, by its configuration. */
export function connectionOptions(
  config: RuntimeConfig,
  telemetry: Telemetry | null,
): ConnectionOptions {
  return {
    maxMessageBytes: config.maxMessageBytes ?? DEFAULTS.maxMessageBytes,
    maxInFlight: config.maxInFlight ?? DEFAULTS.maxInFlight,
    requestTimeoutMs: config.requestTimeoutMs ?? DEFAULTS.requestTimeoutMs,
    trace: telemetry === null ? null : () => telemetry.activeTrace(),
  };
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
  if (config.apiKey !== undefined) await logIn(connection, config.apiKey, signal);
  return info;
}

/** Gives the key to a codex that certainly keeps it in memory only, whoever started it. */
async function logIn(
  connection: Connection,
  apiKey: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const options = defined({ signal });
  const read = await connection.call("config/read", {}, options);
  if (memberOf(read, "config", STORE) !== "ephemeral") {
    throw new PolicyError(
      `\`apiKey\` was not given to this codex, which would store it in place of the user's login: \`${STORE}\` is not "ephemeral" there.`,
      { data: { reason: "storesLogins" } },
    );
  }
  await connection.call("account/login/start", { type: "apiKey", apiKey }, options);
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
      defined({ signal }),
    );
  } catch (error) {
    // What ends without a word, or says something else than codex does, would do the same again.
    if (error instanceof ConnectionClosedError && connection.transport.pid !== null) {
      throw error.asFinal();
    }
    if (!(error instanceof RequestTimeoutError)) throw error;
    const { noise, transport } = connection;
    // Codex 0.104 may hang with the complaint for which it ends.
    const said = explainStderr(redactDiagnostic(transport.stderrTail()));
    if (noise + said === "") throw error;
    throw new RequestTimeoutError(error.method, error.timeoutMs, {
      retryable: noise === "",
      note: noise === ""
        ? `Its stderr says: ${said}`
        : `${noise}. It has to be codex, and nothing else may write to its output`,
    });
  }
}
