/** What hooks get to know of a tool use, from the server's question and the item it is about. */
import { parseRequest } from "../approvals/parse_request.ts";
import type { ApprovalRequest, CommandLine } from "../approvals/types.ts";
import type { JsonObject, JsonValue } from "../json.ts";
import type { HookToolInput } from "../plugin/hook_run.ts";
import type { ThreadItem } from "./turn_result.ts";

/** The facts before a tool use. */
export function toolFacts(request: ApprovalRequest, item: JsonObject | undefined): HookToolInput {
  const known = base(request.threadId, request.turnId, item);
  switch (request.type) {
    case "command":
      return {
        ...known,
        toolKind: "command",
        toolName: programOf(request.parsed?.commands[0] ?? request.argv) ?? "command",
        ...(request.command === null ? {} : { command: request.command }),
        ...(request.argv === null ? {} : { argv: plainArgv(request.parsed) ?? request.argv }),
        ...(request.script === null ? {} : { script: request.script }),
        ...(request.cwd === null ? {} : { cwd: request.cwd }),
      };
    case "fileChange":
      return {
        ...known,
        toolKind: "fileChange",
        toolName: "apply_patch",
        ...(request.diff === null ? {} : { diff: request.diff }),
        ...(request.changes === null ? {} : { changes: request.changes }),
      };
    case "permissions":
      return {
        ...known,
        toolKind: "permissions",
        toolName: "request_permissions",
        toolInput: request.permissions,
        ...(request.cwd === null ? {} : { cwd: request.cwd }),
      };
    case "elicitation":
      return {
        ...known,
        toolKind: "mcpTool",
        toolName: request.mcpTool === null
          ? request.server
          : `${request.server}/${request.mcpTool}`,
        toolInput: request.toolArguments ?? request.message,
      };
    case "toolCall":
      return {
        ...known,
        toolKind: "dynamicTool",
        toolName: request.tool,
        toolInput: request.arguments,
      };
    default:
      return { ...known, toolKind: request.type, toolName: request.method };
  }
}

/** The place of an item. */
export interface ItemPlace {
  threadId: string;
  turnId: string | null;
}

/** The facts after it, by the item alone: also of what nobody was asked about. `null` for items that are no tool use. */
export function toolOutcome(item: JsonObject, place: ItemPlace): HookToolInput | null {
  const facts = itemFacts(item, place);
  if (facts === null) return null;
  const { status, exitCode } = item;
  return {
    ...facts,
    ...(typeof status === "string" ? { toolStatus: status } : {}),
    ...(typeof exitCode === "number" ? { exitCode } : {}),
  };
}

/** The facts after a call to a tool of this process, for servers that make no item of it. */
export function callOutcome(
  call: { tool: string; arguments: JsonValue; threadId: string; turnId: string },
  success: boolean,
): HookToolInput {
  return {
    threadId: call.threadId,
    turnId: call.turnId,
    toolKind: "dynamicTool",
    toolName: call.tool,
    toolInput: call.arguments,
    toolStatus: success ? "completed" : "failed",
  };
}

function itemFacts(item: JsonObject, { threadId, turnId }: ItemPlace): HookToolInput | null {
  const itemId = String(item["id"] ?? "");
  const params: JsonObject = { threadId, turnId, itemId };
  switch (item["type"]) {
    case "commandExecution": {
      const { command, cwd, commandActions } = item;
      const asked = { ...params, command, cwd, commandActions };
      return toolFacts(parseRequest("item/commandExecution/requestApproval", asked), item);
    }
    case "fileChange": {
      const options = { item: () => item };
      return toolFacts(parseRequest("item/fileChange/requestApproval", params, options), item);
    }
    case "mcpToolCall":
      return {
        ...base(threadId, turnId, item),
        toolKind: "mcpTool",
        toolName: `${item["server"]}/${item["tool"]}`,
        toolInput: item["arguments"],
      };
    case "dynamicToolCall":
      return {
        ...base(threadId, turnId, item),
        toolKind: "dynamicTool",
        toolName: String(item["tool"]),
        toolInput: item["arguments"],
      };
    default:
      return null;
  }
}

function base(
  threadId: string | null,
  turnId: string | null,
  item: JsonObject | undefined,
): HookToolInput {
  return {
    ...(threadId === null ? {} : { threadId }),
    ...(turnId === null ? {} : { turnId }),
    ...(item === undefined ? {} : { item: item as unknown as ThreadItem }),
  };
}

/** The words of a single plain command, without the shell around it. */
function plainArgv(parsed: CommandLine | null): string[] | null {
  return parsed !== null && parsed.commands.length === 1 ? parsed.commands[0]! : null;
}

/** The program's own name, without its directory. */
function programOf(argv: readonly string[] | null | undefined): string | null {
  const program = argv?.[0];
  return program === undefined || program === "" ? null : program.split(/[\\/]/).pop() ?? program;
}
