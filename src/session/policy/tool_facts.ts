/** What hooks get to know of a tool use that has ended, from its item. */
import { parseRequest, toolFacts, toolPlace } from "../../approvals/mod.ts";
import type { JsonObject, JsonValue } from "../../json.ts";
import type { HookToolInput } from "../../plugin/mod.ts";

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
        ...toolPlace(threadId, turnId, item),
        toolKind: "mcpTool",
        toolName: `${item["server"]}/${item["tool"]}`,
        toolInput: item["arguments"],
      };
    case "dynamicToolCall":
      return {
        ...toolPlace(threadId, turnId, item),
        toolKind: "dynamicTool",
        toolName: String(item["tool"]),
        toolInput: item["arguments"],
      };
    default:
      return null;
  }
}
