/**
 * What codex asked the scripted model.
 * @module
 */
import {
  isJsonObject,
  type JsonObject,
  type JsonValue,
  objectOf,
  objectsOf,
  parseObject,
  stringOf,
} from "../../json.ts";
import type { HttpRequest } from "../../platform/mod.ts";
import type { ModelRequest } from "./model_request_types.ts";

/** Reads the parts out of a request; tolerant, because it serves every codex version. */
export function parseModelRequest(http: HttpRequest, index: number, at: Date): ModelRequest {
  const body = parseObject(http.body) ?? {};
  const metadata = objectOf(body, "client_metadata") ?? {};
  const input = objectsOf(body, "input");
  const messages = (role: string) =>
    input.filter((item) => item["role"] === role).map((item) => contentText(item["content"]));
  const userTexts = messages("user");
  const lastUser = input.findLastIndex((item) => item["role"] === "user");
  return {
    index,
    at,
    method: http.method,
    path: http.path,
    headers: http.headers,
    body,
    threadId: stringOf(metadata, "thread_id") ?? stringOf(body, "prompt_cache_key") ?? "",
    turnId: stringOf(metadata, "turn_id"),
    model: stringOf(body, "model") ?? "",
    text: userTexts.at(-1) ?? "",
    userTexts,
    toolOutputs: input.slice(lastUser + 1)
      .filter((item) => stringOf(item, "type")?.endsWith("_output"))
      .map((item) => ({
        callId: stringOf(item, "call_id") ?? "",
        text: contentText(item["output"]),
      })),
    tools: objectsOf(body, "tools").flatMap(toolNames),
    instructions: [stringOf(body, "instructions") ?? "", ...messages("developer")].join("\n")
      .trim(),
    signal: http.gone,
  };
}

function toolNames(tool: JsonObject): string[] {
  const name = stringOf(tool, "name") ?? stringOf(tool, "type") ?? "";
  const members = objectsOf(tool, "tools");
  return members.length === 0 ? [name] : members.map((m) => `${name}.${stringOf(m, "name") ?? ""}`);
}

function contentText(content: JsonValue | undefined): string {
  if (typeof content === "string") return content;
  if (isJsonObject(content)) return contentText(content["content"] ?? content["text"]);
  if (!Array.isArray(content)) return "";
  return content.map((part) => stringOf(part, "text") ?? "").join("\n");
}
