/**
 * What a request touches, in the terms of the rules.
 * @module
 */
import { isJsonObject, type JsonObject, type JsonValue } from "../../json.ts";
import { normalHost, type NormalPath, normalPath } from "../rules/match_path.ts";
import type { ApprovalRequest, RequestedPermissions } from "./types.ts";

/** Something a rule can name; absent from a request that has no such thing. */
export interface Facts {
  /** Where it works; `null` when that is not known. */
  cwd?: NormalPath | null;
  /** Files and directories it touches. */
  paths?: TouchedPaths;
  /** Hosts it reaches; `null` stands for one that is not known, `"*"` for any. */
  hosts?: (string | null)[];
  /** The names of its tool; empty when they are not known. */
  tools?: string[];
  /** The MCP server. */
  mcpServer?: string;
  /** Whether accepting makes more files accessible than this one change. */
  widensFiles: boolean;
  /** Whether accepting gives access to the network. */
  widensNetwork: boolean;
  /** Whether a rule alone can accept it; the others need data. */
  consentable: boolean;
}

/** Paths that a request touches. */
export interface TouchedPaths {
  /** Single files. */
  files: NormalPath[];
  /** Directories with all below. */
  trees: NormalPath[];
  /** Whether there is more that is not known. */
  unknown: boolean;
}

/** Collects what the request touches. */
export function factsOf(request: ApprovalRequest): Facts {
  const facts: Facts = { widensFiles: false, widensNetwork: false, consentable: false };
  switch (request.type) {
    case "command":
      facts.consentable = true;
      facts.cwd = request.cwd === null ? null : normalPath(request.cwd);
      if (request.additionalPermissions !== null) {
        addPermissions(facts, request.additionalPermissions);
      }
      if (request.network !== null) {
        facts.widensNetwork = true;
        facts.hosts = [...facts.hosts ?? [], normalHost(request.network.host)];
      }
      break;
    case "fileChange": {
      facts.consentable = true;
      const touched: TouchedPaths = { files: [], trees: [], unknown: request.changes === null };
      for (const change of request.changes ?? []) {
        add(touched, "files", change.path);
        if (change.movePath !== undefined) add(touched, "files", change.movePath);
      }
      if (request.grantRoot !== null) {
        facts.widensFiles = true;
        add(touched, "trees", request.grantRoot);
      }
      facts.paths = touched;
      break;
    }
    case "permissions":
      facts.consentable = true;
      facts.cwd = request.cwd === null ? null : normalPath(request.cwd);
      addPermissions(facts, request.permissions);
      break;
    case "elicitation":
      facts.consentable = request.toolApproval;
      facts.mcpServer = request.server;
      if (request.toolApproval) facts.tools = request.mcpTool === null ? [] : [request.mcpTool];
      if (request.url !== null) facts.hosts = [hostOf(request.url)];
      break;
    case "toolCall":
      facts.consentable = true;
      facts.tools = request.namespace === null
        ? [request.tool]
        : [request.tool, `${request.namespace}.${request.tool}`];
      break;
    default:
  }
  return facts;
}

function add(touched: TouchedPaths, kind: "files" | "trees", path: string): void {
  const normal = normalPath(path);
  if (normal === null) touched.unknown = true;
  else touched[kind].push(normal);
}

function addPermissions(facts: Facts, permissions: RequestedPermissions): void {
  const { network, fileSystem } = permissions;
  // Only an explicit `false` is certainly no access.
  if (network !== null && network["enabled"] !== false) {
    facts.widensNetwork = true;
    facts.hosts = [...facts.hosts ?? [], "*"];
  }
  const touched = touchedBy(fileSystem ?? {});
  if (permissions.other) touched.unknown = true;
  if (touched.trees.length === 0 && !touched.unknown) return;
  facts.widensFiles = true;
  facts.paths = touched;
}

function touchedBy(fileSystem: JsonObject): TouchedPaths {
  const touched: TouchedPaths = { files: [], trees: [], unknown: false };
  for (const [key, value] of Object.entries(fileSystem)) {
    if (value === null || value === undefined || key === "globScanMaxDepth") continue;
    if ((key !== "read" && key !== "write" && key !== "entries") || !Array.isArray(value)) {
      touched.unknown = true;
      continue;
    }
    for (const entry of value) addEntry(touched, entry);
  }
  return touched;
}

function addEntry(touched: TouchedPaths, entry: JsonValue): void {
  if (typeof entry === "string") return add(touched, "trees", entry);
  if (!isJsonObject(entry)) {
    touched.unknown = true;
    return;
  }
  if (entry["access"] === "deny") return;
  const path = entry["path"];
  if (isJsonObject(path) && path["type"] === "path" && typeof path["path"] === "string") {
    add(touched, "trees", path["path"]);
  } else touched.unknown = true;
}

function hostOf(url: string): string | null {
  try {
    return normalHost(new URL(url).hostname);
  } catch {
    return null;
  }
}
