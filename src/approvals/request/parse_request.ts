/**
 * From the server's request to what a person needs to decide.
 * @module
 */
import { changesOfItem, changesOfMap, unifiedDiff } from "../../thread_item.ts";
import {
  asList,
  asText,
  isJsonObject,
  type JsonObject,
  type JsonValue,
  memberOf,
  objectOf,
} from "../../json.ts";
import { joinWords, parseCommandLine } from "../../shell/mod.ts";
import type {
  ApprovalRequest,
  ApprovalRequestBase,
  CommandApprovalRequest,
  ElicitationRequest,
  NetworkPolicyAmendment,
  RequestedPermissions,
  UserInputQuestion,
} from "./types.ts";

/** What is needed besides the message. */
export interface ParseOptions {
  /** The request's id here. Default: a random UUID. */
  id?: string;
  /** When it arrived. Default: now. */
  now?: Date;
  /** Finds the item that the request is about, as the server last described it. Default: none is known. */
  item?(itemId: string): unknown;
}

const LEGACY: ReadonlySet<string> = new Set(["execCommandApproval", "applyPatchApproval"]);

/** The thread that a server request names, or `null`; old requests call it `conversationId`. */
export function threadOf(params: JsonValue): string | null {
  const fields = isJsonObject(params) ? params : {};
  return asText(fields["threadId"]) ?? asText(fields["conversationId"]);
}

/** Reads a request of the server. Tolerant: what is absent or odd becomes `null`. Never throws. */
export function parseRequest(
  method: string,
  params: JsonValue,
  options: ParseOptions = {},
): ApprovalRequest {
  const fields = isJsonObject(params) ? params : {};
  const base: ApprovalRequestBase = {
    id: options.id ?? crypto.randomUUID(),
    method,
    threadId: threadOf(params),
    turnId: asText(fields["turnId"]),
    itemId: asText(fields["itemId"]) ?? asText(fields["callId"]),
    requestedAt: options.now ?? new Date(),
  };
  switch (method) {
    case "item/commandExecution/requestApproval":
    case "execCommandApproval":
      return command(base, fields, LEGACY.has(method));
    case "item/fileChange/requestApproval":
    case "applyPatchApproval": {
      const changes = LEGACY.has(method)
        ? changesOfMap(fields["fileChanges"])
        : changesOfItem(findItem(base.itemId, options));
      return {
        ...base,
        type: "fileChange",
        changes,
        diff: changes === null ? null : unifiedDiff(changes),
        reason: asText(fields["reason"]),
        grantRoot: rootOf(fields["grantRoot"] ?? null),
        legacy: LEGACY.has(method),
      };
    }
    case "item/permissions/requestApproval":
      return {
        ...base,
        type: "permissions",
        permissions: permissions(fields["permissions"]) ?? {
          network: null,
          fileSystem: null,
          other: false,
        },
        cwd: asText(fields["cwd"]),
        reason: asText(fields["reason"]),
      };
    case "item/tool/requestUserInput":
      return {
        ...base,
        type: "userInput",
        questions: asList(fields["questions"]).flatMap(question),
      };
    case "mcpServer/elicitation/request":
      return elicitation(base, fields);
    case "item/tool/call":
      return {
        ...base,
        type: "toolCall",
        tool: asText(fields["tool"]) ?? "",
        namespace: asText(fields["namespace"]),
        arguments: fields["arguments"] ?? null,
        callId: asText(fields["callId"]) ?? "",
      };
    case "account/chatgptAuthTokens/refresh":
      return {
        ...base,
        type: "authTokenRefresh",
        reason: asText(fields["reason"]) ?? "",
        previousAccountId: asText(fields["previousAccountId"]),
      };
    case "attestation/generate":
      return { ...base, type: "attestation" };
    case "currentTime/read":
      return { ...base, type: "currentTime" };
    default:
      return { ...base, type: "unknown", params };
  }
}

/** A directory; what is none in a form of the future is shown as it came, which is no path. */
function rootOf(value: JsonValue): string | null {
  return value === null ? null : asText(value) || JSON.stringify(value);
}

function command(
  base: ApprovalRequestBase,
  fields: JsonObject,
  legacy: boolean,
): CommandApprovalRequest {
  const sent = fields["command"];
  const words = Array.isArray(sent) && sent.length > 0 &&
      sent.every((word) => typeof word === "string")
    ? sent as string[]
    : null;
  const line = words === null
    ? asText(sent)
    : joinWords(words.map((word) => ({ text: word, literal: true })));
  const parsed = line === null ? null : parseCommandLine(line);
  const network = fields["networkApprovalContext"] ?? null;
  return {
    ...base,
    type: "command",
    command: line,
    argv: parsed?.argv ?? null,
    script: parsed?.script ?? null,
    parsed,
    cwd: asText(fields["cwd"]),
    reason: asText(fields["reason"]),
    action: asText(fields["kind"] ?? "command") ?? "unknown",
    network: isJsonObject(network)
      ? { host: asText(network["host"]) ?? "", protocol: asText(network["protocol"]) }
      : network === null
      ? null
      : { host: "", protocol: null },
    additionalPermissions: permissions(fields["additionalPermissions"]),
    proposedExecPolicyAmendment: texts(fields["proposedExecpolicyAmendment"]),
    proposedNetworkPolicyAmendments: Array.isArray(fields["proposedNetworkPolicyAmendments"])
      ? fields["proposedNetworkPolicyAmendments"].flatMap(amendment)
      : null,
    commandActions: asList(fields["commandActions"] ?? fields["parsedCmd"]),
    availableDecisions: Array.isArray(fields["availableDecisions"])
      ? fields["availableDecisions"]
      : null,
    legacy,
  };
}

function elicitation(base: ApprovalRequestBase, fields: JsonObject): ElicitationRequest {
  const meta = objectOf(fields, "_meta");
  const message = asText(fields["message"]) ?? asText(fields["description"]) ?? "";
  const schema = fields["requestedSchema"];
  // Only this kind is consent to a call; another known one offers to install something. Codex hands on what a server puts
  // there in a question of its own (0.125 to 0.169); codex itself asks by a form, and for no data.
  const mode = asText(fields["mode"]) ?? "form";
  const toolApproval = meta?.["codex_approval_kind"] === "mcp_tool_call" && mode === "form" &&
    (fields["url"] ?? null) === null && asksForNoData(schema);
  const persist = meta?.["persist"];
  return {
    ...base,
    type: "elicitation",
    server: asText(fields["serverName"]) ?? "",
    mode,
    message,
    requestedSchema: isJsonObject(schema) ? schema : null,
    url: asText(fields["url"]),
    toolApproval,
    mcpTool: toolApproval ? asText(meta?.["tool_name"]) ?? toolInProse(message) : null,
    toolArguments: toolApproval ? meta?.["tool_params"] ?? null : null,
    persist: typeof persist === "string" ? [persist] : texts(persist) ?? [],
    meta,
  };
}

function asksForNoData(schema: JsonValue | undefined): boolean {
  const properties = memberOf(schema, "properties");
  return properties === undefined ||
    (isJsonObject(properties) && Object.keys(properties).length === 0);
}

/** Codex names the tool only in its question, `Allow the X MCP server to run tool "Y"?`. */
function toolInProse(message: string): string | null {
  return /^Allow [^"\n]* to run tool "(.+)"\?$/s.exec(message.trim())?.[1] ?? null;
}

function findItem(itemId: string | null, options: ParseOptions): unknown {
  if (itemId === null) return undefined;
  try {
    return options.item?.(itemId);
  } catch {
    return undefined;
  }
}

function permissions(value: JsonValue | undefined): RequestedPermissions | null {
  if (value === undefined || value === null) return null;
  // What this library can't read may be anything.
  if (!isJsonObject(value)) return { network: null, fileSystem: null, other: true };
  return {
    network: objectOf(value, "network"),
    fileSystem: objectOf(value, "fileSystem"),
    other: Object.entries(value).some(([key, field]) =>
      field !== null && field !== undefined &&
      !(isJsonObject(field) && (key === "network" || key === "fileSystem"))
    ),
  };
}

function question(value: JsonValue): UserInputQuestion[] {
  if (!isJsonObject(value) || typeof value["id"] !== "string") return [];
  const options = value["options"];
  return [{
    id: value["id"],
    header: asText(value["header"]) ?? "",
    question: asText(value["question"]) ?? "",
    isOther: value["isOther"] === true,
    isSecret: value["isSecret"] === true,
    options: Array.isArray(options)
      ? options.filter(isJsonObject).map((one) => ({
        label: asText(one["label"]) ?? "",
        description: asText(one["description"]) ?? "",
      }))
      : null,
  }];
}

function amendment(value: JsonValue): NetworkPolicyAmendment[] {
  if (!isJsonObject(value)) return [];
  const { host, action } = value as { host?: JsonValue; action?: JsonValue };
  return typeof host === "string" && (action === "allow" || action === "deny")
    ? [{ host, action }]
    : [];
}

function texts(value: JsonValue | undefined): string[] | null {
  return Array.isArray(value) ? value.filter((one) => typeof one === "string") : null;
}
