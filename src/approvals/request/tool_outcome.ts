/**
 * What hooks get to know of a tool use that has ended, from its item.
 * @module
 */
import type { JsonObject } from "../../json.ts";
import type { HookToolInput } from "../../plugin/mod.ts";
import { parseRequest } from "./parse_request.ts";
import { toolFacts, toolPlace } from "./tool_facts.ts";

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
