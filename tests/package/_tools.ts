/** What users bundle and run the package with, installed by exact version from npm. */
import { chmod } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { install } from "../_codex.ts";

const ESBUILD_VERSION = "0.28.2";
const ROLLUP_VERSION = "4.68.8";
const WORKERD_VERSION = "1.20260730.1";

/** Path of a program in a package that is made for this system; the package itself, without its launcher. */
async function program(folder: string, name: string, version: string): Promise<string> {
  const path = join(await install(folder, name, version), "node_modules", name, "bin", folder);
  await chmod(path, 0o755);
  return path;
}

/** Path of esbuild. */
export function esbuildPath(): Promise<string> {
  return program("esbuild", `@esbuild/${process.platform}-${process.arch}`, ESBUILD_VERSION);
}

/** Path of workerd, the runtime of Cloudflare's workers. */
export function workerdPath(): Promise<string> {
  const arch = process.arch === "x64" ? "64" : process.arch;
  return program("workerd", `@cloudflare/workerd-${process.platform}-${arch}`, WORKERD_VERSION);
}

/** Path of the module of rollup, whose bundles Vite makes. */
export async function rollupPath(): Promise<string> {
  const root = await install("rollup", "rollup", ROLLUP_VERSION);
  return join(root, "node_modules", "rollup", "dist", "es", "rollup.js");
}
