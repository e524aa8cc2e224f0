/**
 * What the server's answers say about it, and which of codex's own rules files hold for a directory.
 * @module
 */
import { isRemote } from "../defaults.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../../json.ts";
import type { RulesFile } from "../../permissions/mod.ts";
import {
  canRead,
  codexHomeIn,
  listDirectory,
  parentPath,
  pathKind,
  platformName,
  readEnv,
  readTextFile,
} from "../../platform/mod.ts";
import type { RuntimeConfig } from "../config.ts";
import type { RuntimeCore } from "../core.ts";

// Which of codex's own rules files hold for a directory.
//
// They let commands run outside the sandbox in any session, whatever its policy, and no setting switches them off (measured
// on 0.104 to 0.169).

/** How a server is asked. */
type Call = (method: string, params: JsonValue) => Promise<JsonValue>;

/** What the search needs to know. */
interface Place {
  config: RuntimeConfig;
  /** Codex's home as the server told it. */
  codexHome: string | undefined;
  /** The directory of the session, real; `null` where nothing below it counts. */
  cwd: string | null;
  call: Call;
}

/**
 * The files that allow something in sessions in `cwd`. What could not be looked into is in the list with no patterns, and so
 * is a place that is not known.
 *
 * This script looks by itself where it may. Elsewhere codex is asked: for what it reads anyway, and whether it trusts a
 * repository whose `.codex` holds such files.
 */
export function readRulesFiles(core: RuntimeCore, cwd: string | null): Promise<RulesFile[]> {
  return rulesFilesAt({
    config: core.config,
    codexHome: core.server.codexHome,
    cwd,
    call: (method, params) => core.callNow(method, params),
  });
}

async function rulesFilesAt(place: Place): Promise<RulesFile[]> {
  const remote = isRemote(place.config);
  const home = codexHomeOf(place) ?? await homeByServer(place.call);
  if (home === null) return [{ path: "the rules in codex's home, which is not known", allows: [] }];
  const own = [`${home}/rules`, ...(remote ? [] : ["/etc/codex/rules"])];
  const project = await Promise.all(
    foldersAbove(place.cwd).map((folder) => filesIn(place.call, `${folder}/.codex/rules`, remote)),
  );
  const found = await Promise.all(own.map((folder) => filesIn(place.call, folder, remote)));
  const there = project.flat().filter(({ path }) => !path.startsWith(`${home}/rules`));
  return [...found.flat(), ...(there.length === 0 ? [] : await inForce(place, there))];
}

/** The home of a codex on this machine; `null` where that is not known. */
export function codexHome(core: RuntimeCore): string | null {
  return codexHomeOf({ config: core.config, codexHome: core.server.codexHome });
}

/** Codex's home, as far as it is known here. */
function codexHomeOf(
  { config, codexHome }: Pick<Place, "config" | "codexHome">,
): string | null {
  return codexHome ?? (isRemote(config) ? null : configuredHome(config));
}

/** The home that a codex on this machine takes when it is started so; `null` when the variables tell none. */
export function configuredHome(config: RuntimeConfig): string | null {
  const { set = {}, inherit = "all" } = config.env ?? {};
  const value = (name: string): string | undefined =>
    set[name] ??
      (typeof inherit === "string" || inherit.includes(name) ? readEnv(name) : undefined);
  return codexHomeIn(platformName(), value) ?? null;
}

function foldersAbove(cwd: string | null): string[] {
  const folders: string[] = [];
  for (let path = cwd; path !== null; path = parentPath(path)) {
    folders.push(path.replace(/\/$/, ""));
  }
  return folders;
}

/** Of files below `.codex` folders those whose repository codex trusts; all, when it does not say so. */
async function inForce({ call, cwd }: Place, files: RulesFile[]): Promise<RulesFile[]> {
  const layers = await layersOf(call, { cwd });
  if (layers === null) return files;
  const off = layers.flatMap((layer) => {
    const { dotCodexFolder } = layer.name;
    return layer.disabled && typeof dotCodexFolder === "string" ? [dotCodexFolder] : [];
  });
  return files.filter(({ path }) => !off.some((folder) => path.startsWith(`${folder}/`)));
}

/** Where the user's configuration lies: old servers do not tell their home by itself. */
async function homeByServer(call: Call): Promise<string | null> {
  const layers = await layersOf(call, {});
  const user = layers?.find(({ name }) => name["type"] === "user")?.name["file"];
  return typeof user === "string" ? user.replace(/[\\/][^\\/]*$/, "") : null;
}

/** The layers of codex's configuration; `null` when it does not tell them. */
async function layersOf(
  call: Call,
  params: { cwd?: string | null },
): Promise<{ name: JsonObject; disabled: boolean }[] | null> {
  try {
    const result = await call("config/read", { ...params, includeLayers: true });
    const layers = isJsonObject(result) ? result["layers"] : null;
    if (!Array.isArray(layers)) return null;
    return layers.flatMap((layer) =>
      isJsonObject(layer) && isJsonObject(layer["name"])
        ? [{ name: layer["name"], disabled: (layer["disabledReason"] ?? null) !== null }]
        : []
    );
  } catch {
    return null;
  }
}

async function filesIn(call: Call, folder: string, remote: boolean): Promise<RulesFile[]> {
  const own = !remote && canRead(folder);
  const names = own ? listDirectory(folder) : await namesOf(call, folder);
  if (names === null) return [{ path: folder, allows: [] }];
  if (own && names.length === 0 && pathKind(folder) === "unknown") {
    return [{ path: folder, allows: [] }];
  }
  const files = await Promise.all(
    names.filter((name) => name.endsWith(".rules")).map(async (name): Promise<RulesFile> => {
      const path = `${folder}/${name}`;
      const text = own ? readTextFile(path) : await textOf(call, path);
      return {
        path,
        allows: text === null ? ["a file that could not be read"] : allowedByRules(text),
      };
    }),
  );
  return files.filter(({ allows }) => allows.length > 0);
}

/**
 * What a rules file may allow, a pattern each; empty when it certainly allows nothing. The files are programs (Starlark):
 * what is not plainly a rule that asks or forbids counts as one that allows.
 */
function allowedByRules(text: string): string[] {
  const code = text.replace(/^\s*#.*$/gm, "");
  const calls = [...code.matchAll(/\b\w*rule\s*\(/g)];
  const allows: string[] = [];
  for (const [at, call] of calls.entries()) {
    const body = code.slice(call.index, calls[at + 1]?.index ?? code.length);
    // A rule that says nothing allows.
    if (/\bdecision\s*=\s*["'](?:prompt|forbidden|deny)["']/.test(body)) continue;
    const pattern = /\b(?:pattern|host)\s*=\s*(\[[^\]]*\]|"[^"]*")/.exec(body)?.[1];
    allows.push(pattern ?? "a rule that could not be read");
  }
  if (calls.length === 0 && code.trim() !== "") allows.push("a rule that could not be read");
  return allows;
}

/** The names of rules files in a directory, by the server; `null` when it can't tell. */
async function namesOf(call: Call, path: string): Promise<string[] | null> {
  try {
    return namesIn(await call("fs/readDirectory", { path }), "entries", "fileName");
  } catch (error) {
    if (/no such file|os error 2\b/i.test(String(error))) return [];
  }
  try {
    // Codex 0.104 can look for names only.
    const found = await call("fuzzyFileSearch", { query: ".rules", roots: [path] });
    return namesIn(found, "files", "path");
  } catch {
    return null;
  }
}

function namesIn(result: JsonValue, list: string, name: string): string[] | null {
  const entries = isJsonObject(result) ? result[list] : null;
  if (!Array.isArray(entries)) return null;
  return entries.flatMap((entry) => {
    const value = isJsonObject(entry) ? entry[name] : null;
    return typeof value === "string" ? [value] : [];
  });
}

async function textOf(call: Call, path: string): Promise<string | null> {
  return await textThere(call, path).catch(() => null) ?? null;
}

/** The text of a file, by the server; `undefined`: there is none. Rejects when it can't tell. */
async function textThere(call: Call, path: string): Promise<string | null | undefined> {
  const result = await call("fs/readFile", { path }).catch((error) => {
    if (/no such file|os error 2\b/i.test(String(error))) return undefined;
    throw error;
  });
  if (result === undefined) return undefined;
  const data = isJsonObject(result) ? result["dataBase64"] : null;
  return typeof data === "string"
    ? new TextDecoder().decode(Uint8Array.from(atob(data), (char) => char.charCodeAt(0)))
    : null;
}

// A file of codex's own.

/** A file in codex's home. */
export interface HomeFile {
  /** Where it is; `null` where codex's home is not known. */
  path: string | null;
  /** Its text, empty when there is no file; `null` when nobody can tell. */
  text: string | null;
}

/** Reads a file in the home of a codex on this machine: by itself where this script may, else by codex, which reads it anyway. */
export async function readHomeFile(core: RuntimeCore, name: string): Promise<HomeFile> {
  const call: Call = (method, params) => core.callNow(method, params);
  const home = codexHome(core) ?? await homeByServer(call);
  if (home === null) return { path: null, text: null };
  const path = `${home}/${name}`;
  if (canRead(path)) {
    const text = pathKind(path) === "missing" ? "" : readTextFile(path);
    if (text !== null) return { path, text };
  }
  const text = await textThere(call, path).catch(() => null);
  return { path, text: text === undefined ? "" : text };
}
