/**
 * Installs a codex by exact version and asks it for its own JSON Schema.
 * @module
 */
import type { Bundle, SchemaObject } from "./json_schema.ts";

const ROOT = new URL("../../../", import.meta.url);

/** Path of the native codex of exactly `version`, installed into the git-ignored cache when it is missing. */
export async function codexBinary(version: string): Promise<string> {
  const prefix = decodeURIComponent(new URL(`.cache/codex/${version}`, ROOT).pathname);
  const found = await nativeBinary(prefix);
  if (found !== null) return found;
  await Deno.mkdir(prefix, { recursive: true });
  const args = ["install", "--prefix", prefix, "--no-audit", "--no-fund", "--no-save", "--silent"];
  const { success, stderr } = await new Deno.Command("npm", {
    args: [...args, `@openai/codex@${version}`],
    stdout: "null",
    stderr: "piped",
  }).output();
  if (!success) throw new Error(`npm install failed: ${new TextDecoder().decode(stderr)}`);
  const installed = await nativeBinary(prefix);
  if (installed === null) throw new Error(`codex ${version} has no binary for this platform`);
  return installed;
}

async function nativeBinary(prefix: string): Promise<string | null> {
  const os = Deno.build.os === "windows" ? "win32" : Deno.build.os;
  const arch = Deno.build.arch === "aarch64" ? "arm64" : "x64";
  const exe = Deno.build.os === "windows" ? "codex.exe" : "codex";
  const vendor = `${prefix}/node_modules/@openai/codex-${os}-${arch}/vendor`;
  try {
    for await (const triple of Deno.readDir(vendor)) {
      // Releases before 0.145 keep the binary in `codex/`, later ones in `bin/`.
      for (const folder of ["bin", "codex"]) {
        const path = `${vendor}/${triple.name}/${folder}/${exe}`;
        if (await isFile(path)) return path;
      }
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return null;
}

async function isFile(path: string): Promise<boolean> {
  try {
    return (await Deno.stat(path)).isFile;
  } catch {
    return false;
  }
}

/** The schema bundle that codex `version` generates, its stable part or all of it. */
export async function readBundle(version: string, experimental: boolean): Promise<Bundle> {
  const codex = await codexBinary(version);
  const cache = new URL(".cache/", ROOT);
  await Deno.mkdir(cache, { recursive: true });
  const out = await Deno.makeTempDir({
    dir: decodeURIComponent(cache.pathname),
    prefix: "schema-",
  });
  try {
    const args = ["app-server", "generate-json-schema", "--out", out];
    if (experimental) args.push("--experimental");
    const { success, stderr } = await new Deno.Command(codex, { args, stdout: "null" }).output();
    if (!success) throw new Error(`codex failed: ${new TextDecoder().decode(stderr)}`);
    const text = await Deno.readTextFile(`${out}/codex_app_server_protocol.schemas.json`);
    return bundleOf(version, JSON.parse(text).definitions);
  } finally {
    await Deno.remove(out, { recursive: true });
  }
}

/** Joins the two name spaces of the source; a root definition that differs from its namesake gets `Legacy`. */
function bundleOf(
  version: string,
  source: Record<string, SchemaObject> & { v2: Record<string, SchemaObject> },
): Bundle {
  const { v2, ...root } = source;
  const definitions: Record<string, SchemaObject> = {};
  const clashes = new Set<string>();
  for (const [name, schema] of Object.entries(root)) {
    const twin = v2[name];
    if (twin !== undefined && canonical(twin) !== canonical(schema)) clashes.add(name);
  }
  const rename = (ref: string): string => {
    const name = ref.slice(ref.lastIndexOf("/") + 1);
    return ref.startsWith("#/definitions/v2/") || !clashes.has(name) ? name : `Legacy${name}`;
  };
  for (const [name, schema] of Object.entries(root)) {
    definitions[rename(`#/definitions/${name}`)] = plain(schema, rename);
  }
  for (const [name, schema] of Object.entries(v2)) definitions[name] = plain(schema, rename);
  return { version, definitions };
}

function canonical(schema: SchemaObject): string {
  return JSON.stringify(plain(schema, (ref) => ref.slice(ref.lastIndexOf("/") + 1)));
}

const PROSE: ReadonlySet<string> = new Set(["description", "title", "default", "$schema"]);

/** A schema without prose, with sorted members and bare reference names. */
function plain(schema: SchemaObject, rename: (ref: string) => string): SchemaObject {
  const walk = (value: unknown, isNameMap: boolean): unknown => {
    if (Array.isArray(value)) return value.map((entry) => walk(entry, false));
    if (typeof value !== "object" || value === null) return value;
    const out: Record<string, unknown> = {};
    for (const key of Object.keys(value).sort()) {
      if (!isNameMap && PROSE.has(key)) continue;
      const member = (value as Record<string, unknown>)[key];
      if (!isNameMap && key === "$ref") out[key] = rename(member as string);
      else out[key] = walk(member, !isNameMap && key === "properties");
    }
    return out;
  };
  return walk(schema, false) as SchemaObject;
}
