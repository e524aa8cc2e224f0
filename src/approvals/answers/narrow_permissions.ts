/**
 * Grants never exceed what was asked.
 * @module
 */
import { asList, isJsonObject, type JsonObject, type JsonValue } from "../../json.ts";
import { isInside, resolvePath } from "../../platform/mod.ts";
import type { RealPath } from "../request/facts.ts";
import type { PermissionsAnswer, RequestedPermissions } from "../request/types.ts";

/** The grant as the wire wants it; `null` when it is wider than the request, as spelled or where links lead. */
export function narrowGrant(
  granted: PermissionsAnswer["permissions"],
  asked: RequestedPermissions,
  realPath?: RealPath,
): JsonObject | null {
  const result: JsonObject = {};
  const network = granted.network ?? null;
  if (network !== null) {
    if (!isJsonObject(network)) return null;
    if (network["enabled"] !== false && network["enabled"] !== null) {
      if (asked.network === null || asked.network["enabled"] === false) return null;
    }
    result["network"] = network;
  }
  const files = granted.fileSystem ?? null;
  if (files !== null) {
    const narrowed = isJsonObject(files) ? narrowFiles(files, asked.fileSystem, realPath) : null;
    if (narrowed === null) return null;
    result["fileSystem"] = narrowed;
  }
  return result;
}

/**
 * Whether what is granted lies behind a link in one of the directories where the agent may write, in each of their spellings,
 * which it could make lead elsewhere afterwards: codex follows it at each command (0.145, 0.169).
 */
export function leadsAway(
  permissions: JsonValue | undefined,
  writable: readonly string[],
  realPath: RealPath | undefined,
): boolean {
  if (realPath === undefined) return false;
  if (typeof permissions === "string") {
    const path = permissions;
    return writable.some((base) => {
      if (!isInside(path, base)) return false;
      const rest = `./${path.slice(base.length)}`;
      const [real, straight] = [realPath(path), resolvePath(realPath(base) ?? base, rest)];
      return real === null || !isInside(real, straight) || !isInside(straight, real);
    });
  }
  const below = isJsonObject(permissions) ? Object.values(permissions) : asList(permissions);
  return below.some((each) => leadsAway(each, writable, realPath));
}

interface Access {
  path: string;
  write: boolean;
}

/** Paths that were not asked for as they are spelled: each is looked for on the disk, while nobody else is served. */
const MAX_NARROWED = 100;

function narrowFiles(
  granted: JsonObject,
  asked: JsonObject | null,
  realPath: RealPath | undefined,
): JsonObject | null {
  if (asked === null) return null;
  const allowed: Access[] = [];
  let narrowed = 0;
  const isWithin = (path: JsonValue | undefined, write: boolean) => {
    if (spelled.has(path) && (!write || writable.has(path))) return true;
    return ++narrowed <= MAX_NARROWED &&
      allowed.some((one) => (one.write || !write) && covers(one.path, path, realPath));
  };
  const entries = asList(asked["entries"]);
  for (const path of asList(asked["read"])) push(allowed, path, false);
  for (const path of asList(asked["write"])) push(allowed, path, true);
  for (const entry of entries) {
    if (!isJsonObject(entry) || !isJsonObject(entry["path"])) continue;
    if (entry["path"]["type"] !== "path") continue;
    if (entry["access"] === "read") push(allowed, entry["path"]["path"], false);
    if (entry["access"] === "write") push(allowed, entry["path"]["path"], true);
  }
  const spelled = new Set<unknown>(allowed.map(({ path }) => path));
  const writable = new Set<unknown>(allowed.flatMap(({ path, write }) => write ? [path] : []));
  const askedKeys = new Set(entries.map(keyOf));
  for (const path of asList(granted["read"])) if (!isWithin(path, false)) return null;
  for (const path of asList(granted["write"])) if (!isWithin(path, true)) return null;
  const grantedEntries = asList(granted["entries"]);
  for (const entry of grantedEntries) {
    if (!isJsonObject(entry)) return null;
    if (entry["access"] === "deny") continue;
    if (askedKeys.has(keyOf(entry))) continue;
    const path = entry["path"];
    if (!isJsonObject(path) || path["type"] !== "path") return null;
    if (!isWithin(path["path"], entry["access"] !== "read")) return null;
  }
  // What the request itself excludes stays excluded, also when the grant does not repeat it.
  const ownKeys = new Set(grantedEntries.map(keyOf));
  const excluded = entries.filter((one) =>
    isJsonObject(one) && one["access"] === "deny" && !ownKeys.has(keyOf(one))
  );
  return excluded.length === 0
    ? granted
    : { ...granted, entries: [...grantedEntries, ...excluded] };
}

function push(list: Access[], path: JsonValue | undefined, write: boolean): void {
  if (typeof path === "string") list.push({ path, write });
}

/** What was asked may be a link; what lies below it must not lead out of where that leads. */
function covers(
  asked: string,
  path: JsonValue | undefined,
  realPath: RealPath | undefined,
): boolean {
  if (typeof path !== "string" || !isInside(path, asked)) return false;
  if (realPath === undefined) return true;
  const spelled = resolvePath(path, ".");
  const [real, outer] = [realPath(spelled), realPath(asked)];
  return real !== null && outer !== null && realPath(path) === real && isInside(real, outer);
}

/** The same for entries that mean the same. */
function keyOf(entry: JsonValue | undefined): string {
  return JSON.stringify(sorted(entry));
}

function sorted(value: JsonValue | undefined): JsonValue {
  if (Array.isArray(value)) return value.map(sorted);
  if (!isJsonObject(value)) return value ?? null;
  return Object.fromEntries(
    Object.keys(value).sort().filter((key) => value[key] !== undefined && value[key] !== null)
      .map((key) => [key, sorted(value[key])]),
  );
}
