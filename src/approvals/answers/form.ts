/**
 * Does a filled form fit the form that an MCP server sent?
 * @module
 */
import { isJsonObject, type JsonObject, type JsonValue } from "../../json.ts";

/** Whether the form can be accepted without an entry. */
export function asksForNothing(schema: JsonObject | null): boolean {
  if (schema === null) return false;
  const required = schema["required"];
  return !Array.isArray(required) || required.length === 0;
}

/** What is wrong with the content, without its values; `null` when it fits. */
export function formProblem(schema: JsonObject | null, content: JsonValue): string | null {
  if (schema === null) return null;
  if (!isJsonObject(content)) return "content: expected object";
  const required = Array.isArray(schema["required"]) ? schema["required"] : [];
  const properties = isJsonObject(schema["properties"]) ? schema["properties"] : {};
  for (const name of required) {
    if (typeof name === "string" && content[name] === undefined) return `content.${name}: missing`;
  }
  for (const [name, property] of Object.entries(properties)) {
    const value = content[name];
    if (value === undefined || !isJsonObject(property)) continue;
    const type = property["type"];
    if (typeof type === "string" && !isOfType(value, type)) {
      return `content.${name}: expected ${type}`;
    }
    const choices = property["enum"];
    if (Array.isArray(choices) && !choices.includes(value)) {
      return `content.${name}: expected one of the choices`;
    }
  }
  return null;
}

function isOfType(value: JsonValue, type: string): boolean {
  switch (type) {
    case "string":
      return typeof value === "string";
    case "boolean":
      return typeof value === "boolean";
    case "number":
      return typeof value === "number" && Number.isFinite(value);
    case "integer":
      return Number.isInteger(value);
    case "array":
      return Array.isArray(value);
    case "object":
      return isJsonObject(value);
    default:
      return true;
  }
}
