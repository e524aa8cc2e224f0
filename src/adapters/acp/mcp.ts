/**
 * The MCP servers that a client brings, as sessions take them.
 * @module
 */
import { InvalidArgumentError } from "../../errors/mod.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../../json.ts";
import type { McpServer } from "../../session/mod.ts";
import { misfit, need } from "./wire.ts";

/** MCP servers by name. */
export type Servers = Record<string, McpServer>;

/** Reads the servers of `session/new` and the like; throws a {@linkcode Fault} for what codex can't use. */
export function readServers(given: JsonValue | undefined): Servers {
  if (given === undefined || given === null) return {};
  if (!Array.isArray(given)) throw misfit("mcpServers", "a list");
  const servers = new Map<string, McpServer>();
  given.forEach((each, index) => {
    const at = `mcpServers[${index}]`;
    if (!isJsonObject(each)) throw misfit(at, "a server");
    // Codex makes names of tools out of it: those that become the same are told apart.
    const name = need(each, "name", at).replace(/[^A-Za-z0-9_-]/g, "_").slice(0, 48);
    if (name === "") throw misfit(`${at}.name`, "a name");
    let own = name;
    for (let more = 2; servers.has(own); more++) own = `${name}_${more}`;
    servers.set(own, readServer(each, at));
  });
  return Object.fromEntries(servers);
}

function readServer(server: JsonObject, at: string): McpServer {
  switch (server["type"]) {
    case "http":
      return { url: need(server, "url", at), headers: pairs(server["headers"], `${at}.headers`) };
    case "stdio":
    case undefined: {
      const args = server["args"] ?? [];
      if (!Array.isArray(args) || !args.every((arg) => typeof arg === "string")) {
        throw misfit(`${at}.args`, "a list of strings");
      }
      return { command: need(server, "command", at), args, env: pairs(server["env"], `${at}.env`) };
    }
    default:
      throw misfit(`${at}.type`, "stdio or http: codex knows no other");
  }
}

/** A list of names and values, as an object. */
function pairs(given: JsonValue | undefined, at: string): Record<string, string> {
  if (given === undefined || given === null) return {};
  if (!Array.isArray(given)) throw misfit(at, "a list");
  return Object.fromEntries(given.map((each, index) => {
    if (!isJsonObject(each)) throw misfit(`${at}[${index}]`, "a name and a value");
    const place = `${at}[${index}]`;
    return [need(each, "name", place), need(each, "value", place)];
  }));
}

/**
 * Opens with the client's servers beside the program's own. One that has the name of another in codex's configuration gets a
 * longer one, since the two are no more the client's to choose than the program's.
 */
export async function withServers<T>(
  own: Servers,
  brought: Servers,
  open: (servers: Servers) => Promise<T>,
): Promise<T> {
  let left = new Map(Object.entries(brought));
  for (const name of Object.keys(own)) left = renamed(left, name);
  for (let tries = left.size;; tries--) {
    try {
      return await open({ ...own, ...Object.fromEntries(left) });
    } catch (error) {
      const taken = error instanceof InvalidArgumentError ? error.data?.["name"] : undefined;
      if (tries <= 0 || typeof taken !== "string" || !left.has(taken)) throw error;
      left = renamed(left, taken);
    }
  }
}

function renamed(servers: Map<string, McpServer>, name: string): Map<string, McpServer> {
  if (!servers.has(name)) return servers;
  let other = `editor_${name}`;
  while (servers.has(other)) other += "_";
  return new Map([...servers].map(([each, server]) => [each === name ? other : each, server]));
}
