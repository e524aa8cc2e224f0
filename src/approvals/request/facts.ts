/**
 * What a request is about: the facts that rules are told.
 * @module
 */
import { isJsonObject, type JsonObject, type JsonValue } from "../../json.ts";
import { type PlainPath, plainPath, resolvePath } from "../../platform/mod.ts";
import { normalHost } from "../rules/match_path.ts";
import type { ApprovalRequest, ElicitationRequest, RequestedPermissions } from "./types.ts";

/** Something a rule can name; absent from a request that has no such thing. */
export interface Facts {
  /** Where it works, as spelled and where that leads; `null` when that is not known. */
  cwd?: PlainPath[] | null;
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
  /** Whether codex would not ask about changes of files any more, where accepting lets the agent make them. */
  opensWrites: boolean;
  /** Whether accepting gives access to the network. */
  widensNetwork: boolean;
  /** Whether a rule alone can accept it; the others need data. */
  consentable: boolean;
}

/** Follows the links of a path; `null` when it can't be told where they lead. */
export type RealPath = (path: string) => string | null;

/** Paths that a request touches, each as spelled and where it leads. */
export interface TouchedPaths {
  /** Single files. */
  files: PlainPath[];
  /** Directories with all below. */
  trees: PlainPath[];
  /** Whether there is more that is not known. */
  unknown: boolean;
}

/**
 * Collects what the request touches. Without `realPath` no links are followed, since the paths are those of another
 * machine.
 */
export function factsOf(request: ApprovalRequest, realPath?: RealPath): Facts {
  const facts: Facts = {
    widensFiles: false,
    opensWrites: false,
    widensNetwork: false,
    consentable: false,
  };
  switch (request.type) {
    case "command":
      facts.consentable = true;
      facts.cwd = request.cwd === null ? null : spellings(request.cwd, realPath);
      if (request.additionalPermissions !== null) {
        addPermissions(facts, request.additionalPermissions, realPath);
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
        add(touched, "files", change.path, realPath);
        if (change.movePath !== undefined) add(touched, "files", change.movePath, realPath);
      }
      if (request.grantRoot !== null) {
        facts.widensFiles = true;
        add(touched, "trees", request.grantRoot, realPath);
      }
      facts.paths = touched;
      break;
    }
    case "permissions":
      facts.consentable = true;
      facts.cwd = request.cwd === null ? null : spellings(request.cwd, realPath);
      addPermissions(facts, request.permissions, realPath);
      facts.opensWrites = request.permissions.other ||
        mayWrite(request.permissions.fileSystem ?? {});
      break;
    case "elicitation":
      facts.consentable = request.toolApproval;
      facts.mcpServer = request.server;
      if (isAboutCall(request)) facts.tools = request.mcpTool === null ? [] : [request.mcpTool];
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

/**
 * Whether it is consent to a call of an MCP tool, or says so of itself: which call that would be may not be known, where its
 * beginning was missed or codex puts its arguments into other words.
 */
export function isAboutCall({ toolApproval, meta }: ElicitationRequest): boolean {
  return toolApproval || meta?.["codex_approval_kind"] === "mcp_tool_call";
}

/**
 * Where the places that the request names lead at this moment, as one text: a link may lead elsewhere by the time of the
 * answer.
 */
export function placesOf(request: ApprovalRequest, realPath: RealPath): string {
  const named: (string | null | undefined)[] = [];
  if (request.type === "command" || request.type === "permissions") named.push(request.cwd);
  if (request.type === "fileChange") {
    named.push(request.grantRoot);
    for (const { path, movePath } of request.changes ?? []) named.push(path, movePath);
  }
  const paths = named.filter((path) => typeof path === "string").map((path) => realPath(path));
  const permissions = request.type === "command"
    ? request.additionalPermissions
    : request.type === "permissions"
    ? request.permissions
    : null;
  const { files, trees } = touchedBy(permissions?.fileSystem ?? {}, realPath);
  return JSON.stringify([paths, files, trees]);
}

function add(
  touched: TouchedPaths,
  kind: "files" | "trees",
  path: string,
  realPath: RealPath | undefined,
): void {
  const found = spellings(path, realPath);
  if (found === null) touched.unknown = true;
  else touched[kind].push(...found);
}

/** A path as spelled and where it leads; `null` when either can't be told for certain. */
function spellings(path: string, realPath: RealPath | undefined): PlainPath[] | null {
  const spelled = plainPath(path);
  if (spelled === null) return null;
  if (realPath === undefined) return spelled.unsure ? null : [spelled];
  const real = realPath(resolvePath(path, "."));
  // Some resolve `..` as text and some after the link before it.
  if (real === null || realPath(path) !== real) return null;
  const led = plainPath(real);
  return led === null || led.unsure ? null : [spelled, led];
}

function addPermissions(
  facts: Facts,
  permissions: RequestedPermissions,
  realPath: RealPath | undefined,
): void {
  const { network, fileSystem } = permissions;
  // Only an explicit `false` is certainly no access, and what can't be read may be any.
  if (permissions.other || network !== null && network["enabled"] !== false) {
    facts.widensNetwork = true;
    facts.hosts = [...facts.hosts ?? [], "*"];
  }
  const touched = touchedBy(fileSystem ?? {}, realPath);
  if (permissions.other) touched.unknown = true;
  if (touched.trees.length === 0 && !touched.unknown) return;
  facts.widensFiles = true;
  facts.paths = touched;
}

function touchedBy(fileSystem: JsonObject, realPath: RealPath | undefined): TouchedPaths {
  const touched: TouchedPaths = { files: [], trees: [], unknown: false };
  for (const [key, value] of Object.entries(fileSystem)) {
    if (value === null || value === undefined || key === "globScanMaxDepth") continue;
    if ((key !== "read" && key !== "write" && key !== "entries") || !Array.isArray(value)) {
      touched.unknown = true;
      continue;
    }
    for (const entry of value) addEntry(touched, entry, realPath);
  }
  return touched;
}

/** Whether permissions, asked for or granted, let files be changed. What is not known may. */
export function mayWrite(fileSystem: JsonObject): boolean {
  return Object.entries(fileSystem).some(([key, value]) => {
    if (value === null || key === "read" || key === "globScanMaxDepth") return false;
    if (!Array.isArray(value)) return true;
    return value.some((entry) =>
      key !== "entries" || !isJsonObject(entry) ||
      (entry["access"] !== "read" && entry["access"] !== "deny")
    );
  });
}

function addEntry(
  touched: TouchedPaths,
  entry: JsonValue,
  realPath: RealPath | undefined,
): void {
  if (typeof entry === "string") return add(touched, "trees", entry, realPath);
  if (!isJsonObject(entry)) {
    touched.unknown = true;
    return;
  }
  if (entry["access"] === "deny") return;
  const path = entry["path"];
  if (isJsonObject(path) && path["type"] === "path" && typeof path["path"] === "string") {
    add(touched, "trees", path["path"], realPath);
  } else touched.unknown = true;
}

function hostOf(url: string): string | null {
  try {
    return normalHost(new URL(url).hostname);
  } catch {
    return null;
  }
}
