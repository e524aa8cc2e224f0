/**
 * What codex asked the scripted model.
 * @module
 */
import { isJsonObject, type JsonObject, type JsonValue } from "../../json.ts";
import type { HttpRequest } from "../../platform/mod.ts";
import type { ModelRequest } from "./model_request_types.ts";

/** Reads the parts out of a request; tolerant, because it serves every codex version. */
export function parseModelRequest(http: HttpRequest, index: number, at: Date): ModelRequest {
  const body = parseBody(http.body);
  const metadata = isJsonObject(body["client_metadata"]) ? body["client_metadata"] : {};
  const input = Array.isArray(body["input"]) ? body["input"].filter(isJsonObject) : [];
  const messages = (role: string) =>
    input.filter((item) => item["role"] === role).map((item) => contentText(item["content"]));
  const userTexts = messages("user");
  const lastUser = input.findLastIndex((item) => item["role"] === "user");
  const tools = Array.isArray(body["tools"]) ? body["tools"].filter(isJsonObject) : [];
  return {
    index,
    at,
    method: http.method,
    path: http.path,
    headers: http.headers,
    body,
    threadId: text(metadata["thread_id"]) ?? text(body["prompt_cache_key"]) ?? "",
    turnId: text(metadata["turn_id"]) ?? null,
    model: text(body["model"]) ?? "",
    text: userTexts.at(-1) ?? "",
    userTexts,
    toolOutputs: input.slice(lastUser + 1)
      .filter((item) => text(item["type"])?.endsWith("_output"))
      .map((item) => ({ callId: text(item["call_id"]) ?? "", text: contentText(item["output"]) })),
    tools: tools.flatMap(toolNames),
    instructions: [text(body["instructions"]) ?? "", ...messages("developer")].join("\n").trim(),
    signal: http.gone,
  };
}

function parseBody(source: string): JsonObject {
  try {
    const value: unknown = JSON.parse(source);
    return isJsonObject(value) ? value : {};
  } catch {
    return {};
  }
}

function toolNames(tool: JsonObject): string[] {
  const name = text(tool["name"]) ?? text(tool["type"]) ?? "";
  const members = Array.isArray(tool["tools"]) ? tool["tools"].filter(isJsonObject) : [];
  return members.length === 0 ? [name] : members.map((m) => `${name}.${text(m["name"]) ?? ""}`);
}

function contentText(content: JsonValue | undefined): string {
  if (typeof content === "string") return content;
  if (isJsonObject(content)) return contentText(content["content"] ?? content["text"]);
  if (!Array.isArray(content)) return "";
  return content.map((part) => isJsonObject(part) ? text(part["text"]) ?? "" : "").join("\n");
}

function text(value: JsonValue | undefined): string | undefined {
  return typeof value === "string" ? value : undefined;
}
