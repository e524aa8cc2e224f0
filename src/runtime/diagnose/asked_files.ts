/**
 * Codex's own files where this script can't tell by itself: what the server says of them, and what rules in them allow. Loaded
 * when there is something to be read.
 * @module
 */
import { isJsonObject, type JsonObject, type JsonValue, memberOf, stringOf } from "../../json.ts";
import type { RulesFile } from "../../permissions/mod.ts";
import { canRead, listDirectory, pathKind, readTextFile } from "../../platform/mod.ts";
import { relation } from "../../platform/paths.ts";
import { redactText } from "../../redact.ts";
import type { RuntimeCore } from "../core.ts";
import { type Call, refusedBy, textThere } from "./server_text.ts";

/**
 * Of files below `.codex` folders those that codex reads from a directory, whose repository it trusts; all, when it does not say
 * so. A folder above the repository is none of them: the user's own home, for a codex that has another one.
 */
export async function inForce(
  { call, cwd }: { call: Call; cwd: string | null },
  remote: boolean,
  files: RulesFile[],
): Promise<RulesFile[]> {
  const layers = await layersOf(call, { cwd });
  if (layers === null) return files;
  return files.filter(({ path }) => {
    const places = layers.map(({ name, disabled }) => {
      const folder = stringOf(name, "dotCodexFolder");
      return { disabled, at: folder === null ? "outside" : relation(path, folder) };
    });
    const layer = places.find(({ at }) => at === "inside");
    // Which may be told by another name, and on another machine has no other certain one.
    return layer === undefined
      ? remote || places.some(({ at }) => at === "unknown")
      : !layer.disabled;
  });
}

/** Where the user's configuration lies: old servers do not tell their home by itself. */
export async function homeByServer(call: Call): Promise<string | null> {
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
    const layers = memberOf(result, "layers");
    if (!Array.isArray(layers)) return null;
    return layers.flatMap((layer) =>
      isJsonObject(layer) && isJsonObject(layer["name"])
        ? [{ name: layer["name"], disabled: (layer["disabledReason"] ?? null) !== null }]
        : []
    );
  } catch (error) {
    refusedBy(error);
    return null;
  }
}

const UNREAD = "a rule that could not be read";
/** Strings, to their end or the text's, and comments outside of them. */
const NO_CODE =
  /("""|''')(?:\\[^]|[^\\])*?(?:\1|\\?$)|"(?:\\[^]|[^"\\\n])*"?|'(?:\\[^]|[^'\\\n])*'?|#[^\n]*/g;

/**
 * What a rules file may allow, a pattern each; empty when it certainly allows nothing. The files are programs (Starlark), and a
 * repository may have written them: what is not plainly a rule that asks or forbids counts as one that allows.
 */
function allowedByRules(text: string): string[] {
  // Each as long as it was. A `0` is a decision that allows nothing.
  const code = text.replace(NO_CODE, (said) => {
    const asks = /^["'](?:prompt|forbidden|deny)["']$/.test(said);
    return (said[0] === "#" ? " " : asks ? "0" : "_").repeat(said.length);
  });
  const allows: string[] = [];
  const calls = /\b(\w*rule|host_executable)\s*\(([^()]*)\)/g;
  const rest = code.replace(calls, (call, name: string, given: string, at: number) => {
    // Words but those before an `=` are expressions. A rule that says nothing allows.
    const isPlain = !/\b[a-z]\w*\b(?!\s*=)/i.test(given);
    const asks = /(?:^|,)\s*decision\s*=\s*0+\s*(?:,|$)/.test(given);
    // Where a program lies is said beside the rules for it, and allows nothing.
    if (isPlain && (asks || name === "host_executable")) return "";
    const pattern = /\b(?:pattern|host)\s*=\s*(\[[^\]]{0,400}\]|"[^"]*")/;
    // Codex remembers whole command lines, what they hold of secrets included.
    allows.push(redactText(pattern.exec(text.slice(at, at + call.length))?.[1] ?? UNREAD));
    return "";
  });
  // Whether a lone return ends a comment is for codex to say.
  if (rest.trim() !== "" || /\r(?!\n)/.test(text)) allows.push(UNREAD);
  return allows;
}

/** Characters that are looked at in a directory, about a second's work: a repository may hold a thousand links to one large file. */
const MOST_TEXT = 1 << 21;

/** The files of a directory that allow something, read by this script or by the server. */
export async function rulesIn(call: Call, folder: string, own: boolean): Promise<RulesFile[]> {
  const names = own ? listDirectory(folder) : await namesOf(call, folder);
  if (names === null) return [{ path: folder, allows: [] }];
  const rules = names.filter((name) => name.endsWith(".rules"));
  let left = MOST_TEXT;
  const files = await Promise.all(rules.map(async (name): Promise<RulesFile> => {
    const path = `${folder}/${name}`;
    const text = left < 0 ? null : own ? readTextFile(path) : await textOf(call, path);
    left -= text?.length ?? 0;
    return {
      path,
      allows: text === null || left < 0 ? ["a file that could not be read"] : allowedByRules(text),
    };
  }));
  return files.filter(({ allows }) => allows.length > 0);
}

/** The names of rules files in a directory, by the server; `null` when it can't tell. */
async function namesOf(call: Call, path: string): Promise<string[] | null> {
  try {
    return namesIn(await call("fs/readDirectory", { path }), "entries", "fileName");
  } catch (error) {
    refusedBy(error);
    if (/no such file|os error 2\b/i.test(String(error))) return [];
    if (!/unknown variant/.test(String(error))) return null;
  }
  try {
    // Codex before 0.125 lists nothing for a client, and its search leaves out what git ignores; it runs programs.
    const found = await call("command/exec", {
      command: ["/bin/sh", "-c", '[ ! -e "$1" ] || ls -a "$1"', "sh", path],
      cwd: "/",
      timeoutMs: 5000,
      sandboxPolicy: { type: "dangerFullAccess" },
    });
    const listed = memberOf(found, "exitCode") === 0 ? stringOf(found, "stdout") : null;
    return listed?.split("\n") ?? null;
  } catch (error) {
    refusedBy(error);
    return null;
  }
}

function namesIn(result: JsonValue, list: string, name: string): string[] | null {
  const entries = memberOf(result, list);
  if (!Array.isArray(entries)) return null;
  return entries.flatMap((entry) => stringOf(entry, name) ?? []);
}

async function textOf(call: Call, path: string): Promise<string | null> {
  return await toldText(call, path) ?? null;
}

/** `null` where the server can't tell. */
async function toldText(call: Call, path: string): Promise<string | null | undefined> {
  try {
    return await textThere(call, path);
  } catch (error) {
    refusedBy(error);
    return null;
  }
}

/** A file in codex's home. */
export interface HomeFile {
  /** Where it is; `null` where codex's home is not known. */
  path: string | null;
  /** Its text, empty when there is no file; `null` when nobody can tell. */
  text: string | null;
}

/** A file in codex's home, which is `known` or told by codex: read by this script where it may, else by codex. */
export async function homeFile(
  core: RuntimeCore,
  known: string | null,
  name: string,
): Promise<HomeFile> {
  const call: Call = (method, params) => core.callNow(method, params);
  const home = known ?? await homeByServer(call);
  if (home === null) return { path: null, text: null };
  const path = `${home}/${name}`;
  if (canRead(path)) {
    const text = pathKind(path) === "missing" ? "" : readTextFile(path);
    if (text !== null) return { path, text };
  }
  const text = await toldText(call, path);
  return { path, text: text === undefined ? "" : text };
}
