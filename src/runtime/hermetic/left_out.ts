/**
 * What of the user's a hermetic codex does not see, by name: for people who wonder why it behaves otherwise.
 * @module
 */
import {
  listDirectory,
  pathKind,
  pathRules,
  platformName,
  readTextFile,
} from "../../platform/mod.ts";
import { redactText } from "../../redact.ts";
import type { RuntimeConfig } from "../config.ts";
import type { DiagnosedHermetic, DiagnosedLeftOut } from "../diagnose/diagnosis_types.ts";
import { HOMES, LOGIN_FILES, type UserPlace, userPlace } from "./home.ts";

/** Names of one place that are told; the rest is counted. */
const MAX_NAMES = 100;

/** Whose login a hermetic codex has, and what of the user's it does not see. */
export function describeHermetic(config: RuntimeConfig): DiagnosedHermetic {
  const user = userPlace(config);
  const stored = pathKind(pathRules(platformName()).join(user.codexHome, "auth.json")) === "file";
  const login = config.apiKey !== undefined ? "apiKey" : stored ? "user" : "none";
  return { login, leftOut: readLeftOut(user) };
}

/** Reads what lies in the user's own places; what this script may not look into is not told. */
function readLeftOut({ codexHome, home }: UserPlace): DiagnosedLeftOut[] {
  const { join } = pathRules(platformName());
  const own = listDirectory(codexHome)
    .filter((name) => name !== HOMES && !LOGIN_FILES.includes(name))
    .map((name) => [join(codexHome, name), name] as const);
  const agents = home === null ? [] : ["skills", "plugins"]
    .map((name) => [join(home, ".agents", name), `~/.agents/${name}`] as const)
    .filter(([path]) => pathKind(path) === "directory");
  return [...own, ...agents].map(([path, shown]) => ({ path: shown, holds: bounded(holds(path)) }));
}

function holds(path: string): string[] {
  switch (pathKind(path)) {
    case "directory":
      return listDirectory(path);
    case "file":
      return path.endsWith("config.toml") ? settingsIn(readTextFile(path) ?? "") : [];
    default:
      return [];
  }
}

function bounded(names: string[]): string[] {
  const sorted = names.map((name) => redactText(name)).sort();
  const over = sorted.length - MAX_NAMES;
  return over > 0 ? [...sorted.slice(0, MAX_NAMES), `and ${over} more`] : sorted;
}

/** The names of what a TOML file sets: keys of its root, and its tables. Never a value. Pure. */
export function settingsIn(toml: string): string[] {
  const names: Set<string> = new Set();
  let root = true;
  for (const line of withoutBlocks(toml).split(/\r?\n/)) {
    const table = /^\s*\[{1,2}\s*([^\]\r\n]+?)\s*\]{1,2}\s*(?:#.*)?$/.exec(line)?.[1];
    if (table !== undefined) {
      root = false;
      names.add(table);
      continue;
    }
    const key = /^\s*([A-Za-z0-9_.-]+)\s*=/.exec(line)?.[1];
    if (root && key !== undefined) names.add(key);
  }
  return [...names];
}

/** Without texts of several lines, which may look like anything. */
function withoutBlocks(toml: string): string {
  return toml.replace(/"""[\s\S]*?"""|'''[\s\S]*?'''/g, '""');
}
