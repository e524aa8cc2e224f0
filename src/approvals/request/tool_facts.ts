/**
 * What hooks get to know of a tool use: from the server's question and the item it is about, and of one that has ended from
 * its item.
 * @module
 */
import type * as protocol from "../../protocol/mod.ts";
import { type JsonObject, present } from "../../json.ts";
import type { HookToolInput } from "../../plugin/mod.ts";
import { analyzeCommand } from "../../shell/mod.ts";
import type { ApprovalRequest } from "./types.ts";
import { parseRequest } from "./parse_request.ts";

/** The facts before a tool use. */
export function toolFacts(request: ApprovalRequest, item: JsonObject | undefined): HookToolInput {
  const known = toolPlace(request.threadId, request.turnId, item);
  switch (request.type) {
    case "command": {
      const more = request.network ?? request.additionalPermissions;
      return {
        ...known,
        toolKind: "command",
        toolName: programOf(request.parsed?.commands[0] ?? request.argv) ?? "command",
        ...present({ command: request.command }),
        ...(request.argv === null ? {} : { argv: plainArgv(request.command) ?? request.argv }),
        ...present({ script: request.script, cwd: request.cwd, toolInput: more }),
      };
    }
    case "fileChange":
      return {
        ...known,
        toolKind: "fileChange",
        toolName: "apply_patch",
        ...present({ diff: request.diff, changes: request.changes }),
      };
    case "permissions":
      return {
        ...known,
        toolKind: "permissions",
        toolName: "request_permissions",
        toolInput: request.permissions,
        ...present({ cwd: request.cwd }),
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

/** Where it happens. */
export function toolPlace(
  threadId: string | null,
  turnId: string | null,
  item: JsonObject | undefined,
): HookToolInput {
  return {
    ...present({ threadId, turnId }),
    ...(item === undefined ? {} : { item: item as unknown as protocol.ThreadItem }),
  };
}

/**
 * The words of a single command that does nothing beside and gets exactly these, without the shell around it: `echo x > y` and
 * `cat {a,b}` are scripts.
 */
function plainArgv(command: string | null): string[] | null {
  if (command === null) return null;
  const { commands, problem, broken } = analyzeCommand(command);
  const [words, more] = commands;
  if (words === undefined || more !== undefined || problem !== null || broken !== null) return null;
  return words.every((word) => word.literal) ? words.map((word) => word.text) : null;
}

/** The program's own name, without its directory. */
function programOf(argv: readonly string[] | null | undefined): string | null {
  const program = argv?.[0];
  return program === undefined || program === "" ? null : program.split(/[\\/]/).pop() ?? program;
}

/** The place of an item. */
export interface ItemPlace {
  threadId: string;
  turnId: string | null;
}

/** The facts after a tool use, by its item alone: also of what nobody was asked about. */
export function toolOutcome(
  item: JsonObject,
  place: ItemPlace,
  toolsServer: string | null = null,
): HookToolInput {
  const facts = itemFacts(item, place, toolsServer);
  const { status, exitCode } = item;
  return {
    ...facts,
    ...(typeof status === "string" ? { toolStatus: status } : {}),
    ...(typeof exitCode === "number" ? { exitCode } : {}),
  };
}

function itemFacts(
  item: JsonObject,
  { threadId, turnId }: ItemPlace,
  toolsServer: string | null,
): HookToolInput {
  const itemId = String(item["id"] ?? "");
  const params: JsonObject = { threadId, turnId, itemId };
  const dynamicFacts = (): HookToolInput => ({
    ...toolPlace(threadId, turnId, item),
    toolKind: "dynamicTool",
    toolName: String(item["tool"]),
    toolInput: item["arguments"],
  });
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
      // A tool of this process, by whatever way codex called it.
      if (toolsServer !== null && item["server"] === toolsServer) return dynamicFacts();
      return {
        ...toolPlace(threadId, turnId, item),
        toolKind: "mcpTool",
        toolName: `${item["server"]}/${item["tool"]}`,
        toolInput: item["arguments"],
      };
    default:
      return dynamicFacts();
  }
}
