/**
 * The MCP servers that a session brings: what they may be.
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
  token,
  typeOf,
} from "../../check/mod.ts";
import { named, variableName } from "../../runtime/config_shape.ts";

/** An MCP server that codex starts as a program, without a sandbox. */
export interface McpCommandServer {
  /** The program: a path, or a name on codex's PATH. */
  command: string;
  /** Its arguments. Every user of the machine can read them: secrets belong into `env`. Default none. */
  args?: readonly string[];
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
  (value) => Array.isArray(value) ? "Give what follows the program as `args`." : undefined,
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

const headerName = kind(
  "the name of a header",
  ["string"],
  (value: string) => /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(value),
);

const COMMAND: Shape = shape<McpCommandServer>({
  command: required(program),
  args: list(words),
  env: named(record(words), variableName),
  cwd: program,
  required: flag,
  startupTimeoutMs: milliseconds,
}, {
  type: "Leave `type` out: `command` says it.",
  environment: "env",
  startupTimeoutSec: "startupTimeoutMs",
});

const URL_SERVER: Shape = shape<McpUrlServer>({
  url: required(address),
  bearerToken: token("a token: visible ASCII without spaces"),
  headers: named(record(headerValue), headerName),
  required: flag,
  startupTimeoutMs: milliseconds,
}, {
  type: "Leave `type` out: `url` says it.",
  startupTimeoutSec: "startupTimeoutMs",
  token: "bearerToken",
  httpHeaders: "headers",
  bearerTokenEnvVar: "Read the variable, and give its value as `bearerToken`.",
});

const server: Kind = {
  ...kind("{ command, args?, env?, cwd? } or { url, bearerToken?, headers? }", ["object"]),
  misfit: (value, path) => {
    if (typeOf(value) !== "object") {
      return either(object(COMMAND), object(URL_SERVER)).misfit(value, path);
    }
    const { command, url } = value as { command?: unknown; url?: unknown };
    if (command !== undefined && url !== undefined) {
      return { path, received: "both `command` and `url`", accepts: server.accepts() };
    }
    if (command === undefined && url === undefined) {
      return { path, received: "neither `command` nor `url`", accepts: server.accepts() };
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
  "named with 1 to 64 letters, digits, `_` and `-`, and not like one of codex or of this library";

/** The MCP servers of a profile, by name. */
export const mcpServersKind: Kind = {
  ...kind(() => `an object of MCP servers, each ${server.accepts()}, by name`, ["object"]),
  misfit: (value, path) => {
    const misfit = record(server).misfit(value, path);
    if (misfit !== null) {
      return misfit.path === path
        ? {
          ...misfit,
          accepts: mcpServersKind.accepts(),
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
