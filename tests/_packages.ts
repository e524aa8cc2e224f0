/**
 * The npm packages of other ecosystems that the tests hold this library against, by exact version. Deno reads them by
 * itself; Bun and Node read them from the folder of installed programs.
 */
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { install } from "./_codex.ts";
import { onDeno } from "./_harness.ts";

/** The AI SDK. */
export async function aiPackage(): Promise<typeof import("npm:ai@7.0.173")> {
  return onDeno ? await import("npm:ai@7.0.173") : await load("ai", "7.0.173", "dist/index.js");
}

/** What AI SDK providers implement, and its errors. */
export async function providerPackage(): Promise<typeof import("npm:@ai-sdk/provider@4.0.38")> {
  return onDeno
    ? await import("npm:@ai-sdk/provider@4.0.38")
    : await load("@ai-sdk/provider", "4.0.38", "dist/index.js");
}

/** The client of AG-UI. */
export async function agUiPackage(): Promise<typeof import("npm:@ag-ui/client@1.0.0")> {
  return onDeno
    ? await import("npm:@ag-ui/client@1.0.0")
    : await load("@ag-ui/client", "1.0.0", "dist/index.mjs");
}

/** What AG-UI's events must be. */
export async function agUiSchemas(): Promise<typeof import("npm:@ag-ui/core@1.0.0/schemas")> {
  return onDeno
    ? await import("npm:@ag-ui/core@1.0.0/schemas")
    : await load("@ag-ui/client", "1.0.0", "dist/schemas.mjs", "@ag-ui/core");
}

/** Loads a file of a package, or of one that it depends on. */
// deno-lint-ignore no-explicit-any
async function load(name: string, version: string, entry: string, of = name): Promise<any> {
  const folder = await install(join("packages", name), name, version);
  return await import(pathToFileURL(join(folder, "node_modules", of, entry)).href);
}
