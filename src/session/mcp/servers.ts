/**
 * The MCP servers that a session brings: what they may be, what they need, and how codex is told of them.
 * @module
 */
import {
  either,
  flag,
  type Kind,
  kind,
  list,
  memberPath,
  milliseconds,
  object,
  record,
  required,
  type Shape,
  shape,
  typeOf,
} from "../../check/mod.ts";
import { InvalidArgumentError, PermissionDeniedError, PolicyError } from "../../errors/mod.ts";
import { defined, isJsonObject, type JsonObject, type JsonValue } from "../../json.ts";
import {
  EVERYTHING,
  flagsFor,
  missingNeeds,
  type PermissionNeed,
  type PermissionProbe,
} from "../../permissions/mod.ts";
import { DEFAULTS, type RuntimeCore } from "../../runtime/mod.ts";

/** An MCP server that codex starts as a program, without a sandbox. */
export interface McpCommandServer {
  /** The program: a path, or a name on codex's PATH. */
  command: string;
  /** Its arguments. Every user of the machine can read them: secrets belong into `env`. Default none. */
  args?: string[];
  /** Variables for it, beside the few that codex passes on. Nothing else sees them. Default none. */
  env?: Record<string, string>;
  /** The directory it starts in. Default: the session's. */
  cwd?: string;
  /** Whether the session does not open without it. Default `false`: a `warning` says that it did not start. */
  required?: boolean;
  /**
   * How long codex waits until it is ready, in milliseconds; the session's first turn waits with it. `Infinity`: a year.
   * Default: codex's own, 30 s (10 s before 0.125).
   */
  startupTimeoutMs?: number;
}

/** An MCP server that codex reaches over HTTP ("streamable HTTP"). */
export interface McpUrlServer {
  /** Its address: `http:` or `https:`, without credentials in it. */
  url: string;
  /** Sent as `Authorization: Bearer …`. Default: none. */
  bearerToken?: string;
  /** Sent with each request. Default none. */
  headers?: Record<string, string>;
  /** Whether the session does not open without it. Default `false`: a `warning` says that it did not start. */
  required?: boolean;
  /**
   * How long codex waits until it is ready, in milliseconds; the session's first turn waits with it. `Infinity`: a year.
   * Default: codex's own, 30 s (10 s before 0.125).
   */
  startupTimeoutMs?: number;
}

/** An MCP server of a session. */
export type McpServer = McpCommandServer | McpUrlServer;

/** MCP servers by name. */
export type McpServers = Readonly<Record<string, McpServer>>;

const words = kind(
  "a string without NUL",
  ["string"],
  (value: string) => !value.includes("\0"),
);
const program = kind(
  "a program's name or path",
  ["string"],
  (value: string) => value.trim() !== "" && !value.includes("\0"),
);
const address = kind(
  "an http: or https: URL without credentials in it",
  ["string"],
  isPlainUrl,
  (value) =>
    typeof value === "string" && value.includes("@")
      ? "Give credentials as `bearerToken` or `headers`."
      : undefined,
);
/** What may stand in a header: no line may end in it. */
const headerValue = kind(
  "text that fits a header: visible ASCII, spaces and tabs",
  ["string"],
  (value: string) => /^[\t\x20-\x7e]*$/.test(value),
);
const token = kind(
  "a token: visible ASCII without spaces",
  ["string"],
  (value: string) => /^[\x21-\x7e]+$/.test(value),
);

const COMMAND: Shape = shape<McpCommandServer>({
  command: required(program),
  args: list(words),
  env: named(record(words), /^[^=\0]+$/, "variables with names"),
  cwd: program,
  required: flag,
  startupTimeoutMs: milliseconds,
}, {
  type: "Leave `type` out: `command` says it.",
  environment: "env",
  startup_timeout_sec: "startupTimeoutMs",
});

const URL_SERVER: Shape = shape<McpUrlServer>({
  url: required(address),
  bearerToken: token,
  headers: named(record(headerValue), /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/, "headers with valid names"),
  required: flag,
  startupTimeoutMs: milliseconds,
}, {
  type: "Leave `type` out: `url` says it.",
  startup_timeout_sec: "startupTimeoutMs",
  bearer_token: "bearerToken",
  token: "bearerToken",
  http_headers: "headers",
  httpHeaders: "headers",
  bearer_token_env_var: "Read the variable, and give its value as `bearerToken`.",
});

/** A record whose keys fit, too. */
function named(of: Kind, names: RegExp, accepts: string): Kind {
  return {
    ...of,
    misfit: (value, path) => {
      const misfit = of.misfit(value, path);
      if (misfit !== null) return misfit;
      const fits = Object.keys(value as object).every((each) => names.test(each));
      return fits ? null : { path, received: "another name", accepts };
    },
  };
}

const server: Kind = {
  accepts: "{ command, args?, env?, cwd? } or { url, bearerToken?, headers? }",
  types: ["object"],
  misfit: (value, path) => {
    if (typeOf(value) !== "object") {
      return either(object(COMMAND), object(URL_SERVER)).misfit(value, path);
    }
    const { command, url } = value as { command?: unknown; url?: unknown };
    if (command !== undefined && url !== undefined) {
      return { path, received: "both `command` and `url`", accepts: server.accepts };
    }
    if (command === undefined && url === undefined) {
      return { path, received: "neither `command` nor `url`", accepts: server.accepts };
    }
    const misfit = object(url === undefined ? COMMAND : URL_SERVER).misfit(value, path);
    if (misfit !== null || url === undefined) return misfit;
    const { bearerToken, headers = {} } = value as McpUrlServer;
    const twice = bearerToken !== undefined &&
      Object.keys(headers).some((each) => each.toLowerCase() === "authorization");
    return twice
      ? {
        path: memberPath(path, "headers"),
        received: "an Authorization header beside `bearerToken`",
        accepts: "one of the two",
      }
      : null;
  },
};

/** The name by which in-process tools are served to codex. */
export const TOOLS_SERVER = "session_tools";

/** Names that codex, or this library, uses itself. */
const TAKEN: ReadonlySet<string> = new Set(["codex_apps", TOOLS_SERVER]);

const NAMES =
  "named with 1 to 64 letters, digits, `_` and `-`, and not like a server of codex or of this library";

/** The MCP servers of a profile, by name. */
export const mcpServersKind: Kind = {
  accepts: `an object of MCP servers, each ${server.accepts}, by name`,
  types: ["object"],
  misfit: (value, path) => {
    const misfit = record(server).misfit(value, path);
    if (misfit !== null) {
      return misfit.path === path
        ? {
          ...misfit,
          accepts: mcpServersKind.accepts,
          hint: "Write `mcpServers: { name: { … } }`.",
        }
        : misfit;
    }
    for (const name of Object.keys(value as object)) {
      if (/^[A-Za-z0-9_-]{1,64}$/.test(name) && !TAKEN.has(name)) continue;
      return {
        path: memberPath(path, name.slice(0, 40)),
        received: TAKEN.has(name) ? "a name that is taken" : "another name",
        accepts: NAMES,
      };
    }
    return null;
  },
};

function isPlainUrl(value: string): boolean {
  if (!URL.canParse(value)) return false;
  const { protocol, username, password } = new URL(value);
  return (protocol === "http:" || protocol === "https:") && username === "" && password === "";
}

/** What a server needs of this script: a program may do everything, an address is reached. */
export function mcpServerNeeds(of: McpServer): PermissionNeed[] {
  if ("command" in of) return [...EVERYTHING];
  const { host, hostname, port, protocol } = new URL(of.url);
  return [{
    kind: "net",
    host: port === "" ? `${hostname}:${protocol === "http:" ? 80 : 443}` : host,
  }];
}

/**
 * Throws when a session may not have these servers: `PolicyError` for a program without the caller's consent,
 * `PermissionDeniedError` for what this script may not do itself.
 */
export function gateMcpServers(
  servers: McpServers,
  consent: { allowPrivilegedEscalation: boolean },
  probe: PermissionProbe,
): void {
  const programs = Object.keys(servers).filter((name) => "command" in servers[name]!);
  if (programs.length > 0 && !consent.allowPrivilegedEscalation) {
    throw new PolicyError(
      `\`mcpServers.${programs[0]}\` is a program, which codex runs outside the sandbox. ` +
        "Set `allowPrivilegedEscalation: true` to allow it.",
      { data: { servers: programs } },
    );
  }
  const missing = missingNeeds(Object.values(servers).flatMap(mcpServerNeeds), probe);
  if (missing.length === 0) return;
  throw new PermissionDeniedError(
    "The session's `mcpServers`",
    flagsFor(missing, probe.enforcedBy),
  );
}

/** A server in codex's words. Nothing of it is ever written to a file or a command line: it goes in a message. */
export function mcpServerSettings(of: McpServer, cwd: string): JsonObject {
  if ("command" in of) {
    const { command, args, env } = of;
    // Codex 0.104 would start it where codex itself was started.
    return { command, cwd: of.cwd ?? cwd, ...defined({ args, env }), ...startSettings(of) };
  }
  const { url, bearerToken, headers = {} } = of;
  const sent = {
    ...headers,
    ...(bearerToken === undefined ? {} : { Authorization: `Bearer ${bearerToken}` }),
  };
  return {
    url,
    ...(Object.keys(sent).length === 0 ? {} : { http_headers: sent }),
    ...startSettings(of),
  };
}

/** The limit of the call that opens a thread: codex answers it when the servers that are required are ready. */
export function openLimit(
  { config }: RuntimeCore,
  servers: McpServers,
): { timeoutMs?: number } {
  const waits = Object.values(servers).map(({ required, startupTimeoutMs = 0 }) =>
    required === true ? startupTimeoutMs : 0
  );
  const longest = Math.max(0, ...waits);
  if (longest === 0) return {};
  return { timeoutMs: longest + (config.requestTimeoutMs ?? DEFAULTS.requestTimeoutMs) };
}

const YEAR_SECONDS = 365 * 24 * 3600;

function startSettings({ required, startupTimeoutMs }: McpServer): JsonObject {
  const seconds = startupTimeoutMs === undefined
    ? undefined
    : Math.min(startupTimeoutMs / 1000, YEAR_SECONDS);
  return { ...defined({ required, startup_timeout_sec: seconds }) };
}

/**
 * Settings of a thread with more MCP servers. Of a dotted and a nested spelling, codex would take one in an order that is not
 * ours to know: the caller's own become nested.
 */
export function withMcpServers(
  settings: Readonly<Record<string, JsonValue>>,
  servers: Readonly<Record<string, JsonObject>>,
): Record<string, JsonValue> {
  if (Object.keys(servers).length === 0) return { ...settings };
  const [rest, own] = splitMcpServers(settings);
  return { ...rest, mcp_servers: { ...own, ...servers } };
}

/** Settings without their MCP servers, and these, nested. */
function splitMcpServers(
  settings: Readonly<Record<string, JsonValue>>,
): [rest: Record<string, JsonValue>, servers: JsonObject] {
  const rest: Record<string, JsonValue> = {};
  const nested: JsonObject = {};
  for (const [key, value] of Object.entries(settings)) {
    const [first, ...path] = key.split(".");
    if (first !== "mcp_servers") rest[key] = value;
    else if (path.length === 0) merge(nested, isJsonObject(value) ? value : {});
    else merge(nested, path.reduceRight<JsonValue>((inner, word) => ({ [word]: inner }), value));
  }
  return [rest, nested];
}

function merge(into: JsonObject, value: JsonValue): void {
  if (!isJsonObject(value)) return;
  for (const [key, member] of Object.entries(value)) {
    const there = Object.hasOwn(into, key) ? into[key] : undefined;
    if (isJsonObject(there) && isJsonObject(member)) merge(there, member);
    else {
      // An assignment to `__proto__` would change what all objects have.
      const own = { writable: true, enumerable: true, configurable: true };
      Object.defineProperty(into, key, {
        value: isJsonObject(member) ? structuredClone(member) : member,
        ...own,
      });
    }
  }
}

/** The names of the MCP servers in settings, dotted or nested. */
export function mcpServerNames(settings: Readonly<Record<string, JsonValue>>): Set<string> {
  return new Set(Object.keys(splitMcpServers(settings)[1]));
}

/** The names of the MCP servers that codex's own configuration has for a directory, of all its layers. */
export async function configuredMcpServers(core: RuntimeCore, cwd: string): Promise<Set<string>> {
  const result = await core.callNow("config/read", { cwd, includeLayers: false });
  const config = isJsonObject(result) ? result["config"] : undefined;
  const servers = isJsonObject(config) ? config["mcp_servers"] : undefined;
  return new Set(isJsonObject(servers) ? Object.keys(servers) : []);
}

/**
 * Throws `InvalidArgumentError` for a name that is there already. Codex would merge the two, field by field: an `env` or an
 * `enabled = false` of the user's would hold for ours, and a `command` beside a `url` ends the start of every thread.
 */
export function refuseTakenNames(
  servers: McpServers,
  taken: ReadonlySet<string>,
  by: string,
): void {
  const name = Object.keys(servers).find((each) => taken.has(each));
  if (name === undefined) return;
  throw new InvalidArgumentError("session", {
    argument: `mcpServers.${name}`,
    received: `a name that ${by} has, too`,
    accepts: "a name of its own: codex would mix the two servers' settings",
    hint: "Choose another name.",
  }, { data: { reason: "mcpServerName", name } });
}
