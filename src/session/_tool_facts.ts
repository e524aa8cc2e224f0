/** What hooks get to know of a tool use, from the server's question and the item it is about. */
import type { ApprovalRequest, CommandLine } from "../approvals/types.ts";
import type { JsonObject } from "../json.ts";
import type { HookToolInput } from "../plugin/hook_run.ts";
import type { ThreadItem } from "./turn_result.ts";

/** The facts before a tool use. */
export function toolFacts(request: ApprovalRequest, item: JsonObject | undefined): HookToolInput {
  const base: HookToolInput = {
    ...(request.threadId === null ? {} : { threadId: request.threadId }),
    ...(request.turnId === null ? {} : { turnId: request.turnId }),
    ...(item === undefined ? {} : { item: item as unknown as ThreadItem }),
  };
  switch (request.type) {
    case "command":
      return {
        ...base,
        toolKind: "command",
        toolName: programOf(request.parsed?.commands[0] ?? request.argv) ?? "command",
        ...(request.command === null ? {} : { command: request.command }),
        ...(request.argv === null ? {} : { argv: plainArgv(request.parsed) ?? request.argv }),
        ...(request.script === null ? {} : { script: request.script }),
        ...(request.cwd === null ? {} : { cwd: request.cwd }),
      };
    case "fileChange":
      return {
        ...base,
        toolKind: "fileChange",
        toolName: "apply_patch",
        ...(request.diff === null ? {} : { diff: request.diff }),
        ...(request.changes === null ? {} : { changes: request.changes }),
      };
    case "permissions":
      return {
        ...base,
        toolKind: "permissions",
        toolName: "request_permissions",
        toolInput: request.permissions,
        ...(request.cwd === null ? {} : { cwd: request.cwd }),
      };
    case "elicitation":
      return {
        ...base,
        toolKind: "mcpTool",
        toolName: request.mcpTool === null
          ? request.server
          : `${request.server}/${request.mcpTool}`,
        toolInput: request.toolArguments ?? request.message,
      };
    case "toolCall":
      return {
        ...base,
        toolKind: "dynamicTool",
        toolName: request.tool,
        toolInput: request.arguments,
      };
    default:
      return { ...base, toolKind: request.type, toolName: request.method };
  }
}

/** The facts after it. */
export function toolOutcome(request: ApprovalRequest, item: JsonObject): HookToolInput {
  const { status, exitCode } = item;
  return {
    ...toolFacts(request, item),
    ...(typeof status === "string" ? { toolStatus: status } : {}),
    ...(typeof exitCode === "number" ? { exitCode } : {}),
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
