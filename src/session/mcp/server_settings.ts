/**
 * The MCP servers that a session brings: what they need, and how codex is told of them. Loaded when there are some.
 * @module
 */
import { InvalidArgumentError, PermissionDeniedError, PolicyError } from "../../errors/mod.ts";
import { defined, isJsonObject, type JsonObject, type JsonValue, objectOf } from "../../json.ts";
import {
  EVERYTHING,
  flagsFor,
  hostProbe,
  missingNeeds,
  type PermissionNeed,
  type PermissionProbe,
  unrestrictedProbe,
} from "../../permissions/mod.ts";
import { isRemote, type RuntimeCore } from "../../runtime/mod.ts";
import type { ResolvedProfile } from "../profile.ts";
import type { McpServer, McpServers } from "./servers.ts";

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

/** The session's MCP servers in codex's words. Rejects when it may not have them, or when their names are taken. */
export async function mcpServersOf(
  core: RuntimeCore,
  cwd: string,
  profile: ResolvedProfile,
): Promise<Record<string, JsonObject>> {
  const { mcpServers } = profile;
  gateMcpServers(mcpServers, profile, isRemote(core.config) ? unrestrictedProbe : hostProbe());
  refuseTakenNames(mcpServers, mcpServerNames(profile.config), "`config.mcp_servers`");
  refuseTakenNames(mcpServers, await configuredMcpServers(core, cwd), "codex's configuration");
  return Object.fromEntries(
    Object.entries(mcpServers).map(([name, server]) => [name, mcpServerSettings(server, cwd)]),
  );
}

/** A server in codex's words. Nothing of it is ever written to a file or a command line: it goes in a message. */
export function mcpServerSettings(of: McpServer, cwd: string): JsonObject {
  if ("command" in of) {
    const { command, args, env } = of;
    // Codex 0.104 would start it where codex itself was started.
    return {
      command,
      cwd: of.cwd ?? cwd,
      ...defined({ args: args && [...args], env }),
      ...startSettings(of),
    };
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

/**
 * The settings of a thread with the servers of its session, and with the one that serves the session's own tools.
 *
 * `guarded`: tool hooks or rules are to see each call of a server's tool. Codex takes a server's word that a tool only reads,
 * and asks nobody, unless it is told to (0.125 to 0.169; before, there is no such setting). What the caller's own settings
 * say of it stays.
 */
export function threadWithServers(
  settings: Readonly<Record<string, JsonValue>>,
  servers: Readonly<Record<string, JsonObject>>,
  { served, guarded }: {
    served: { readonly name: string; readonly settings: JsonObject } | null;
    guarded: boolean;
  },
): Record<string, JsonValue> {
  const whole = withMcpServers(settings, servers);
  return withMcpServers(
    guarded ? askingAboutTools(whole) : whole,
    served === null ? {} : { [served.name]: served.settings },
  );
}

function askingAboutTools(
  settings: Readonly<Record<string, JsonValue>>,
): Record<string, JsonValue> {
  const [rest, own] = splitMcpServers(settings);
  const servers = Object.entries(own).map(([name, server]) => [
    name,
    isJsonObject(server) ? { default_tools_approval_mode: "prompt", ...server } : server,
  ]);
  return servers.length === 0 ? rest : { ...rest, mcp_servers: Object.fromEntries(servers) };
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
  return new Set(Object.keys(objectOf(result, "config", "mcp_servers") ?? {}));
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
