/**
 * What a thread was begun with: codex offers it for as long as there is the thread, on every copy too.
 * @module
 */
import { isJsonObject, type JsonObject, type JsonValue, keepNewest } from "../../json.ts";
import type { RuntimeCore } from "../../runtime/mod.ts";
import type { DynamicTool } from "../prompt/tools.ts";
import type { ToolSpec } from "./tool_server.ts";

/** By connection and thread. */
const begun: WeakMap<RuntimeCore, Map<string, readonly string[]>> = new WeakMap();
/** Threads that are remembered. */
const MAX_REMEMBERED = 10_000;

/** What this client began a thread with; `undefined`: it did not begin it. */
export function rememberedTools(
  core: RuntimeCore,
  threadId: string,
): readonly string[] | undefined {
  return begun.get(core)?.get(threadId);
}

/** A session's tools as the model is told of them; how they are told is loaded with the first. */
export async function toolSpecsOf(
  tools: Readonly<Record<string, DynamicTool>>,
): Promise<readonly ToolSpec[]> {
  if (Object.keys(tools).length === 0) return [];
  return (await import("./tool_specs.ts")).toolSpecs(tools);
}

/** Remembers what a thread was begun with: these tools, or those of the thread that it is a copy of. */
export function rememberTools(
  core: RuntimeCore,
  threadId: string,
  from: readonly ToolSpec[] | { copyOf: string },
): void {
  let threads = begun.get(core);
  if (threads === undefined) begun.set(core, threads = new Map());
  const keys = "copyOf" in from ? threads.get(from.copyOf) : from.map(keyOf);
  if (keys === undefined) return;
  threads.set(threadId, keys);
  keepNewest(threads, MAX_REMEMBERED);
}

/** The same for two tools that are the same to the model. */
export function keyOf({ name, description, inputSchema }: ToolSpec): string {
  return JSON.stringify([name, description, sorted(inputSchema)]);
}

function sorted(value: JsonValue): JsonValue {
  if (Array.isArray(value)) return value.map(sorted);
  if (!isJsonObject(value)) return value;
  return Object.fromEntries(
    Object.keys(value).sort().map((key) => [key, sorted(value[key] ?? null)]),
  ) as JsonObject;
}
