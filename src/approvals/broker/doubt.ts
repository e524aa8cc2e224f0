/**
 * Whether a question is certainly about what was judged, by what the server said of its file changes and MCP calls.
 * @module
 */
import { isAboutCall } from "../request/facts.ts";
import type { ApprovalRequest, ElicitationRequest } from "../request/types.ts";
import { callContent, contentOf, type Entry, type OpenChanges } from "./open_changes.ts";

/** Whether accepting the request might do something else than what was judged. */
export function isUncertain(changes: OpenChanges, request: ApprovalRequest): boolean {
  if (request.type === "elicitation") return isAboutCall(request) && sharesId(changes, request);
  if (request.type !== "fileChange" || request.legacy) return false;
  const { threadId, itemId } = request;
  if (threadId === null || itemId === null) return false;
  const entry = changes.change(threadId, itemId);
  if (entry === undefined) return false;
  return entry.doubtful || entry.open[0] !== contentOf(request.changes);
}

/**
 * Whether the call goes on that the request names: codex tells of each before it asks (0.117 to 0.169). A form of the
 * server's own that says it were such a request can at most repeat what was asked about that call.
 */
export function isCalled(changes: OpenChanges, request: ElicitationRequest): boolean {
  const { server, mcpTool, toolArguments } = request;
  const content = callContent(server, mcpTool, toolArguments);
  return callsOf(changes, request).some(({ open, item }) =>
    open.includes(content) ||
    // Old versions do not tell all of it.
    (mcpTool === null || item["tool"] === mcpTool) &&
      (toolArguments === null || open.includes(callContent(server, item["tool"], toolArguments)))
  );
}

/**
 * Whether the MCP call may be one of two that go on under one id: where a server's calls run in parallel, codex takes the
 * answer to the first for the second's (0.145, 0.169). Which call it is, its arguments tell; else it may be any of the server.
 */
function sharesId(changes: OpenChanges, request: ElicitationRequest): boolean {
  const calls = callsOf(changes, request);
  const content = callContent(request.server, request.mcpTool, request.toolArguments);
  const asked = calls.filter(({ open }) => open.includes(content));
  return (asked.length > 0 ? asked : calls).some(({ doubtful }) => doubtful);
}

function callsOf(changes: OpenChanges, { threadId, server }: ElicitationRequest): Entry[] {
  return changes.all(threadId ?? "").filter(({ item, open }) =>
    open.length > 0 && item["type"] === "mcpToolCall" && item["server"] === server
  );
}
