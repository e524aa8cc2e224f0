/** Real MCP servers, made with the SDK that most are made with, for tests with the real codex. */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { install, nodePath, ROOT } from "../_codex.ts";
import { compareVersions } from "../../src/protocol/dialect.ts";
import { type ModelStep, toolCall } from "../../src/testing/model/script.ts";
import type { JsonValue } from "../../src/json.ts";

/** The SDK that real servers and clients are made with. */
export const MCP_SDK_VERSION = "1.32.2";

/** The folder of the SDK. */
export async function mcpSdk(): Promise<string> {
  const folder = await install("mcp-sdk", "@modelcontextprotocol/sdk", MCP_SDK_VERSION);
  return join(folder, "node_modules", "@modelcontextprotocol", "sdk");
}

const SCRIPT = join(ROOT, "tests", "tools", "_mcp_server.mjs");

/** A real server as a program. */
export async function stdioServer(): Promise<{ command: string; args: string[] }> {
  return { command: await nodePath(), args: [SCRIPT, await mcpSdk()] };
}

/** A real server over HTTP, which lets nobody in but with the token `let-me-in`. */
export async function httpServer(): Promise<{ url: string } & AsyncDisposable> {
  const child = spawn(await nodePath(), [SCRIPT, await mcpSdk(), "http"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const port = await new Promise<string>((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", () => reject(new Error("the MCP server ended")));
    child.stdout.once("data", (line) => resolve(String(line).trim()));
  });
  return {
    url: `http://127.0.0.1:${port}/mcp`,
    [Symbol.asyncDispose]: async () => {
      const gone = new Promise((resolve) => child.once("close", resolve));
      child.kill("SIGKILL");
      child.stdout.destroy();
      await gone;
    },
  };
}

/** A call of an MCP server's tool, as the model of this codex makes it. */
export function callMcp(
  version: string,
  server: string,
  tool: string,
  args: JsonValue = {},
): ModelStep {
  if (compareVersions(version, "0.145.0") >= 0) {
    return toolCall(tool, args, { namespace: `mcp__${server}` });
  }
  return compareVersions(version, "0.125.0") >= 0
    ? toolCall(tool, args, { namespace: `mcp__${server}__` })
    : toolCall(`mcp__${server}__${tool}`, args);
}
