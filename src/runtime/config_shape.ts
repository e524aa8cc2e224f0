/**
 * What the options of a connection may be.
 * @module
 */
import { approvalsKind } from "../approvals/rules/check_rules.ts";
import {
  callback,
  count,
  either,
  flag,
  having,
  json,
  type Kind,
  kind,
  list,
  memberPath,
  milliseconds,
  name,
  object,
  oneOf,
  path,
  pauseMilliseconds,
  record,
  required,
  type Shape,
  shape,
  signal,
  text,
  token,
  variants,
} from "../check/mod.ts";
import { hooksKind } from "../plugin/hook_kind.ts";
import type { TelemetryOptions } from "../telemetry.ts";
import type {
  ClientInfo,
  CommandTransportConfig,
  CustomTransportConfig,
  DaemonTransportConfig,
  EnvPolicy,
  RestartOnCrash,
  RestartPolicy,
  RuntimeConfig,
  StateLimits,
  StdioTransportConfig,
  TransportConfig,
  UnixTransportConfig,
  WebSocketTransportConfig,
} from "./config.ts";
import type { EventFilter } from "./runtime_types.ts";

/** Codex settings; a string is how a command line writes them. */
export const settingsKind: Kind = record(
  json,
  (value) => typeof value === "string" ? "Write `{ key: value }`." : undefined,
);

const sink = having("an event sink { write }", { write: required(callback) });

const transport: Kind = variants<TransportConfig>(
  {
    stdio: shape<Omit<StdioTransportConfig, "type">>({ pidFile: path }),
    websocket: shape<Omit<WebSocketTransportConfig, "type">>({ url: required(name), token: text }),
    unix: shape<Omit<UnixTransportConfig, "type">>({ path: required(path) }),
    daemon: shape<Omit<DaemonTransportConfig, "type">>({ codexHome: path }),
    command: shape<Omit<CommandTransportConfig, "type">>({ command: required(list(text)) }),
    custom: shape<Omit<CustomTransportConfig, "type">>({ open: required(callback) }),
  },
  (value) =>
    typeof value === "string"
      ? `Write \`transport: { type: "${/^wss?:/.test(value) ? 'websocket", url' : 'stdio"'} }\`.`
      : undefined,
);

/** What has a `=` the system would take for another name and value; Windows itself has some that begin with one. */
export const variableName: Kind = kind(
  "the name of a variable, which has no `=`",
  ["string"],
  (value: string) => /^=?[^=\0]+$/.test(value),
);

/** What codex would take for another key and value: its command line has `key=value`. */
const keyPath: Kind = kind(
  "a dotted path of keys without `=`",
  ["string"],
  (value: string) => /^[^=\0]+$/.test(value),
);

/** A record whose names are of a kind as well. */
/* @__NO_SIDE_EFFECTS__ */
export function named(of: Kind, names: Kind): Kind {
  return {
    ...of,
    misfit: (value, path) => {
      const misfit = of.misfit(value, path);
      if (misfit !== null) return misfit;
      for (const name of Object.keys(value as object)) {
        if (names.misfit(name, path) === null) continue;
        return {
          path: memberPath(path, name),
          received: "a value",
          accepts: `below ${names.accepts()}`,
        };
      }
      return null;
    },
  };
}

const env: Kind = object(
  shape<EnvPolicy>({
    inherit: either(oneOf(["all", "minimal"]), list(variableName)),
    set: named(record(text), variableName),
    commands: oneOf(["withoutSecrets", "codexDefault"]),
  }),
  (value) =>
    typeof value === "object" && value !== null &&
      Object.values(value).some((each) => typeof each === "string") &&
      !("inherit" in value) && !("commands" in value)
      ? "Variables go under `set`: `env: { set: { NAME: value } }`."
      : undefined,
);

const restart: Kind = variants<RestartPolicy>({
  never: shape<Record<never, never>>({}),
  onCrash: shape<Omit<RestartOnCrash, "type">>({
    maxRestarts: count(0),
    baseDelayMs: pauseMilliseconds,
    maxDelayMs: pauseMilliseconds,
    resetAfterMs: milliseconds,
  }),
}, (value) => typeof value === "object" ? undefined : 'Write `restart: { type: "onCrash" }`.');

const telemetry: Kind = either(
  oneOf(["auto", "off"]),
  object(
    shape<TelemetryOptions>({
      tracer: having("an OpenTelemetry tracer", { startSpan: required(callback) }),
      meter: having("an OpenTelemetry meter", {
        createHistogram: required(callback),
        createCounter: required(callback),
      }),
      captureContent: flag,
    }),
  ),
);

/** What turns, their limits and the questions about them are known by. */
const NEEDED =
  /^(?:error|warning|guardianWarning|serverRequest\/resolved|(?:turn|item)\/(?:started|completed)|thread\/(?!realtime\/).*|account\/(?:login\/completed|rateLimits\/updated)|mcpServer\/startupStatus\/updated|codex\/event\/(?:warning|apply_patch_approval_request|mcp_startup_update))$/;

const needless: Kind = kind(
  "the name of a notification that sessions can do without, such as item/agentMessage/delta",
  ["string"],
  (value: string) => value !== "" && !NEEDED.test(value),
);

/* @__NO_SIDE_EFFECTS__ */
const configShape = (optOut: Kind): Shape =>
  shape<RuntimeConfig>({
    codexPath: path,
    apiKey: token("an API key, without spaces"),
    transport,
    isolation: oneOf(["user", "hermetic"]),
    env,
    configOverrides: named(settingsKind, keyPath),
    minVersion: either(
      kind("a version such as 0.104.0", ["string"], (value: string) => /^\d+\.\d/.test(value)),
      kind("null", ["null"]),
    ),
    clientInfo: object(
      shape<ClientInfo>({ name: required(name), title: text, version: required(text) }),
    ),
    experimentalApi: flag,
    hooks: hooksKind,
    approvals: approvalsKind,
    permissions: oneOf(["refuse", "narrow"]),
    requestTimeoutMs: milliseconds,
    approvalTimeoutMs: milliseconds,
    unresponsiveAfterMs: milliseconds,
    onStderr: callback,
    restart,
    maxMessageBytes: count(1),
    telemetry,
    eventLog: either(sink, list(sink)),
    eventLogMessages: count(1),
    eventLogBytes: count(1),
    maxInFlight: count(1),
    maxPendingApprovals: count(1),
    stateLimits: object(
      shape<StateLimits>({
        threads: count(0),
        turns: count(0),
        items: count(0),
        textBytes: count(0),
      }),
    ),
    closeGraceMs: pauseMilliseconds,
    optOutNotifications: list(optOut),
    processCwd: path,
    signal,
  }, () => ({
    codexPathOverride: "codexPath",
    codex: "codexPath",
    baseUrl: 'Write `configOverrides: { "model_providers.<name>.base_url": … }`.',
    config: "configOverrides",
    canUseTool: "approvals",
    cwd: "The directory belongs to a session: `client.startSession({ cwd })`.",
    timeoutMs: "For requests it is `requestTimeoutMs`; a turn's own limit belongs to the session.",
    onEvent: "It belongs to a prompt: `session.ask(prompt, { onEvent })`.",
    ...Object.fromEntries(
      "model effort sandbox approvalPolicy allowPrivilegedEscalation tools mcpServers limits store"
        .split(" ")
        .map((
          name,
        ) => [name, `It belongs to a session: \`client.startSession({ cwd, ${name} })\`.`]),
    ),
  }));

/** The options of a runtime. */
export const RUNTIME_CONFIG: Shape = configShape(name);

/** The options of a client, whose sessions live on what the server says. */
export const CLIENT_CONFIG: Shape = configShape(needless);

/** Which events to read. */
export const EVENT_FILTER: Shape = shape<EventFilter>({
  threadId: text,
  turnId: text,
  methods: list(text),
  after: count(0),
});
