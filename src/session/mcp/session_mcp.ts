/**
 * The MCP servers of a session, for the program that has it: how they are, their tools and resources.
 * @module
 */
import {
  checkArgument,
  checkOptions,
  jsonObject,
  name as nonEmpty,
  required,
  takeArgument,
} from "../../check/mod.ts";
import { PermissionDeniedError, PolicyError } from "../../errors/mod.ts";
import { isJsonObject, type JsonObject, type JsonValue, objectsOf, stringOf } from "../../json.ts";
import { cursorAfter } from "../history/cursor.ts";
import {
  EVERYTHING,
  flagsFor,
  hostProbe,
  missingNeeds,
  unrestrictedProbe,
} from "../../permissions/mod.ts";
import { isRemote, type RuntimeCore } from "../../runtime/mod.ts";
import type { WaitOptions } from "../profile.ts";
import { WAIT_OPTIONS } from "../profile_shape.ts";
import type { SessionThread } from "../session_thread.ts";
import { assertSupported } from "../thread/thread_host.ts";

/** A tool of an MCP server. */
export interface McpTool {
  /** Its name. */
  name: string;
  /** What it does, or `null`. */
  description: string | null;
  /** JSON Schema of its arguments. */
  inputSchema: JsonObject;
}

/** How an MCP server is. */
export interface McpServerStatus {
  /** Its name. */
  name: string;
  /** `connected`, `starting`, `failed`, `authenticationRequired` …; `null` where codex does not tell (before 0.169). */
  state: string | null;
  /** How codex is logged in at it, in codex's words. */
  authStatus: string | null;
  /** Its tools. */
  tools: McpTool[];
  /** Its resources, as MCP has them. */
  resources: JsonObject[];
  /** Everything codex tells of it. */
  raw: JsonObject;
}

/** What a tool of an MCP server answered. */
export interface McpCallResult {
  /** The parts, as MCP has them. */
  content: JsonObject[];
  /** The same as data, when the tool gives that; else `null`. */
  structuredContent: JsonValue;
  /** Whether the tool says that it failed. */
  isError: boolean;
}

/** Pages of servers that are read; codex sends a hundred a page. */
const MAX_PAGES = 100;

/**
 * The MCP servers of a session: those of `mcpServers`, and those of the user's configuration.
 *
 * ```ts ignore
 * for (const { name, tools } of await session.mcp.status()) console.log(name, tools.length);
 * const { content } = await session.mcp.call("docs", "search", { text: "retries" });
 * ```
 */
export interface SessionMcp {
  /** How the servers are, with their tools. Needs codex 0.145: older ones know nothing of a session's own. */
  status(options?: WaitOptions): Promise<McpServerStatus[]>;
  /**
   * Calls a tool. Nobody is asked, and no hook hears of it: it is the program's own call. A server that is not in the session's
   * `mcpServers` needs `allowPrivilegedEscalation` and, on Deno, every permission. Needs codex 0.125.
   */
  call(
    server: string,
    tool: string,
    args?: object,
    options?: WaitOptions,
  ): Promise<McpCallResult>;
  /** Reads a resource; gives its contents, as MCP has them. Servers as for {@linkcode call}. Needs codex 0.125. */
  read(server: string, uri: string, options?: WaitOptions): Promise<JsonObject[]>;
  /**
   * Lets codex read its configuration again and, with the next turn of each thread, connect to servers that are new, have other
   * settings or did not start; one that is connected stays as it is. Needs codex 0.150: older ones drop a session's own servers,
   * or write their secrets into a log.
   */
  reload(options?: WaitOptions): Promise<void>;
}

/** The calls behind {@linkcode SessionMcp}. */
export class McpCalls implements SessionMcp {
  readonly #thread: SessionThread;

  constructor(thread: SessionThread) {
    this.#thread = thread;
  }

  async status(options: WaitOptions = {}): Promise<McpServerStatus[]> {
    checkOptions("mcp.status", options, WAIT_OPTIONS);
    const core = this.#enter("mcp.status", "mcpThreadStatus");
    const all: McpServerStatus[] = [];
    let cursor: string | null = null;
    for (let page = 0; page < MAX_PAGES; page++) {
      const params: JsonObject = { threadId: this.#thread.threadId, detail: "full", cursor };
      const result = await core.call("mcpServerStatus/list", params, options);
      if (!isJsonObject(result)) break;
      all.push(...objectsOf(result, "data").map(statusOf));
      cursor = cursorAfter(result, cursor);
      if (cursor === null) break;
    }
    return all;
  }

  async call(
    server: string,
    tool: string,
    args: object = {},
    options: WaitOptions = {},
  ): Promise<McpCallResult> {
    checkArgument("mcp.call", "server", server, required(nonEmpty));
    checkArgument("mcp.call", "tool", tool, required(nonEmpty));
    const asked = takeArgument("mcp.call", "args", args, jsonObject);
    checkOptions("mcp.call", options, WAIT_OPTIONS);
    const core = this.#enter("mcp.call", "mcpToolCalls");
    this.#gate(server);
    const params = {
      threadId: this.#thread.threadId,
      server,
      tool,
      arguments: asked as JsonObject,
    };
    // A tool takes the time that it takes, and nobody answers for a session that has ended.
    const { ended } = this.#thread;
    const until = options.signal ? AbortSignal.any([ended.signal, options.signal]) : ended.signal;
    const given = { timeoutMs: Infinity, signal: until };
    const result = await core.call("mcpServer/tool/call", params, given);
    const answer: JsonObject = isJsonObject(result) ? result : {};
    return {
      content: objectsOf(answer, "content"),
      structuredContent: answer["structuredContent"] ?? null,
      isError: answer["isError"] === true,
    };
  }

  async read(server: string, uri: string, options: WaitOptions = {}): Promise<JsonObject[]> {
    checkArgument("mcp.read", "server", server, required(nonEmpty));
    checkArgument("mcp.read", "uri", uri, required(nonEmpty));
    checkOptions("mcp.read", options, WAIT_OPTIONS);
    const core = this.#enter("mcp.read", "mcpToolCalls");
    this.#gate(server);
    const params = { threadId: this.#thread.threadId, server, uri };
    const result = await core.call("mcpServer/resource/read", params, options);
    return objectsOf(result, "contents");
  }

  async reload(options: WaitOptions = {}): Promise<void> {
    checkOptions("mcp.reload", options, WAIT_OPTIONS);
    const core = this.#enter("mcp.reload", "mcpReload");
    await core.call("config/mcpServer/reload", undefined, options);
  }

  #enter(what: string, feature: Parameters<typeof assertSupported>[2]): RuntimeCore {
    const { core } = this.#thread.parts;
    this.#thread.assertOpen();
    assertSupported(core, what, feature);
    return core;
  }

  /** A session's own servers were consented to; those of the user's configuration may do anything. */
  #gate(server: string): void {
    const { core, served } = this.#thread.parts;
    const { mcpServers, allowPrivilegedEscalation } = this.#thread.settings.profile;
    if (Object.hasOwn(mcpServers, server) || server === served?.name) return;
    if (!allowPrivilegedEscalation) {
      throw new PolicyError(
        "That MCP server is none of the session's `mcpServers`, and runs outside the sandbox. " +
          "Set `allowPrivilegedEscalation: true` to allow its use.",
      );
    }
    const probe = isRemote(core.config) ? unrestrictedProbe : hostProbe();
    const missing = missingNeeds(EVERYTHING, probe);
    if (missing.length === 0) return;
    throw new PermissionDeniedError(
      "An MCP server of the user's configuration",
      flagsFor(missing, probe.enforcedBy),
    );
  }
}

function statusOf(raw: JsonObject): McpServerStatus {
  const tools = isJsonObject(raw["tools"]) ? raw["tools"] : {};
  return {
    name: stringOf(raw, "name") ?? "",
    state: stringOf(raw, "runtimeStatus"),
    authStatus: stringOf(raw, "authStatus"),
    tools: Object.entries(tools).flatMap(([name, tool]) =>
      isJsonObject(tool)
        ? [{
          name: stringOf(tool, "name") ?? name,
          description: stringOf(tool, "description"),
          inputSchema: isJsonObject(tool["inputSchema"]) ? tool["inputSchema"] : {},
        }]
        : []
    ),
    resources: objectsOf(raw, "resources"),
    raw,
  };
}
