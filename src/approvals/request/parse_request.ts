/**
 * From the server's request to what a person needs to decide.
 * @module
 */
import { asList, asText, isJsonObject, type JsonObject, type JsonValue } from "../../json.ts";
import { joinWords, parseCommandLine } from "../../shell/mod.ts";
import type {
  ApprovalRequest,
  ApprovalRequestBase,
  CommandApprovalRequest,
  ElicitationRequest,
  NetworkPolicyAmendment,
  ProposedChange,
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
        grantRoot: asText(fields["grantRoot"]),
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
  const network = fields["networkApprovalContext"];
  return {
    ...base,
    type: "command",
    command: line,
    argv: parsed?.argv ?? null,
    script: parsed?.script ?? null,
    parsed,
    cwd: asText(fields["cwd"]),
    reason: asText(fields["reason"]),
    action: asText(fields["kind"]) ?? "command",
    network: isJsonObject(network)
      ? { host: asText(network["host"]) ?? "", protocol: asText(network["protocol"]) }
      : null,
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
  const meta = isJsonObject(fields["_meta"]) ? fields["_meta"] : null;
  // Only this kind is consent to a call; another known one offers to install something.
  const toolApproval = meta?.["codex_approval_kind"] === "mcp_tool_call";
  const message = asText(fields["message"]) ?? asText(fields["description"]) ?? "";
  const schema = fields["requestedSchema"];
  const persist = meta?.["persist"];
  return {
    ...base,
    type: "elicitation",
    server: asText(fields["serverName"]) ?? "",
    mode: asText(fields["mode"]) ?? "form",
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

/** Codex names the tool only in its question, `Allow the X MCP server to run tool "Y"?`. */
function toolInProse(message: string): string | null {
  return /^Allow [^"\n]* to run tool "([A-Za-z0-9_.:/-]+)"\?$/.exec(message.trim())?.[1] ?? null;
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
  if (!isJsonObject(value)) return null;
  const { network, fileSystem } = value as { network?: JsonValue; fileSystem?: JsonValue };
  return {
    network: isJsonObject(network) ? network : null,
    fileSystem: isJsonObject(fileSystem) ? fileSystem : null,
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

// The changes that a file-change request is about, and a diff to show them.

/** The changes of a `fileChange` item; `null` when it is no such item. */
export function changesOfItem(item: unknown): ProposedChange[] | null {
  if (!isJsonObject(item) || item["type"] !== "fileChange") return null;
  const changes = item["changes"];
  if (!Array.isArray(changes)) return null;
  const known = changes.map((one) => isJsonObject(one) ? changeOf(one["path"], one) : null);
  return complete(known);
}

/** The changes of an old `applyPatchApproval`, keyed by path; `null` when they can't be read. */
export function changesOfMap(map: JsonValue | undefined): ProposedChange[] | null {
  if (!isJsonObject(map)) return null;
  const known = Object.entries(map).map(([path, one]) =>
    isJsonObject(one)
      ? changeOf(path, { ...one, kind: one, diff: one["unified_diff"] ?? one["content"] })
      : null
  );
  return complete(known);
}

/** A list of which one entry can't be read is not known: what it hides might matter most. */
function complete(changes: (ProposedChange | null)[]): ProposedChange[] | null {
  return changes.length > 0 && changes.every((one) => one !== null) ? changes : null;
}

function changeOf(path: JsonValue | undefined, change: JsonObject): ProposedChange | null {
  const kind = isJsonObject(change["kind"]) ? change["kind"] : { type: change["kind"] };
  if (typeof path !== "string" || typeof kind["type"] !== "string") return null;
  const move = kind["move_path"] ?? kind["movePath"];
  if (move !== undefined && move !== null && typeof move !== "string") return null;
  return {
    path,
    kind: kind["type"],
    ...(typeof move === "string" ? { movePath: move } : {}),
    diff: typeof change["diff"] === "string" ? change["diff"] : "",
  };
}

/** The changes as one unified diff. */
export function unifiedDiff(changes: readonly ProposedChange[]): string {
  return changes.map(diffOf).join("");
}

function diffOf(change: ProposedChange): string {
  const { path, kind, diff } = change;
  const from = kind === "add" ? "/dev/null" : `a/${path.replace(/^\//, "")}`;
  const to = kind === "delete" ? "/dev/null" : `b/${(change.movePath ?? path).replace(/^\//, "")}`;
  const head = `--- ${from}\n+++ ${to}\n`;
  if (diff === "") return head;
  if (kind !== "add" && kind !== "delete") {
    return `${head}${diff.replace(/\n+Moved to: [^\n]*\n*$/, "\n").replace(/\n?$/, "\n")}`;
  }
  const complete = diff.endsWith("\n");
  const lines = (complete ? diff.slice(0, -1) : diff).split("\n");
  const sign = kind === "add" ? "+" : "-";
  const range = lines.length === 1 ? "1" : `1,${lines.length}`;
  const hunk = kind === "add" ? `@@ -0,0 +${range} @@\n` : `@@ -${range} +0,0 @@\n`;
  return head + hunk + lines.map((line) => `${sign}${line}\n`).join("") +
    (complete ? "" : "\\ No newline at end of file\n");
}
