/**
 * Grants never exceed what was asked.
 * @module
 */
import { isJsonObject, type JsonObject, type JsonValue } from "../../json.ts";
import { type NormalPath, normalPath } from "../rules/match_path.ts";
import type { PermissionsAnswer, RequestedPermissions } from "../request/types.ts";

/** The grant as the wire wants it; `null` when it is wider than the request. */
export function narrowGrant(
  granted: PermissionsAnswer["permissions"],
  asked: RequestedPermissions,
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
    const narrowed = isJsonObject(files) ? narrowFiles(files, asked.fileSystem) : null;
    if (narrowed === null) return null;
    result["fileSystem"] = narrowed;
  }
  return result;
}

interface Access {
  path: NormalPath;
  write: boolean;
}

function narrowFiles(granted: JsonObject, asked: JsonObject | null): JsonObject | null {
  if (asked === null) return null;
  const allowed: Access[] = [];
  const entries = array(asked["entries"]);
  for (const path of array(asked["read"])) push(allowed, path, false);
  for (const path of array(asked["write"])) push(allowed, path, true);
  for (const entry of entries) {
    if (!isJsonObject(entry) || !isJsonObject(entry["path"])) continue;
    if (entry["path"]["type"] !== "path") continue;
    if (entry["access"] === "read") push(allowed, entry["path"]["path"], false);
    if (entry["access"] === "write") push(allowed, entry["path"]["path"], true);
  }
  for (const path of array(granted["read"])) if (!isWithin(path, false, allowed)) return null;
  for (const path of array(granted["write"])) if (!isWithin(path, true, allowed)) return null;
  const grantedEntries = array(granted["entries"]);
  for (const entry of grantedEntries) {
    if (!isJsonObject(entry)) return null;
    if (entry["access"] === "deny") continue;
    if (entries.some((one) => same(one, entry))) continue;
    const path = entry["path"];
    if (!isJsonObject(path) || path["type"] !== "path") return null;
    if (!isWithin(path["path"], entry["access"] !== "read", allowed)) return null;
  }
  // What the request itself excludes stays excluded, also when the grant does not repeat it.
  const excluded = entries.filter((one) =>
    isJsonObject(one) && one["access"] === "deny" && !grantedEntries.some((own) => same(own, one))
  );
  return excluded.length === 0
    ? granted
    : { ...granted, entries: [...grantedEntries, ...excluded] };
}

function array(value: JsonValue | undefined): JsonValue[] {
  return Array.isArray(value) ? value : [];
}

function push(list: Access[], path: JsonValue | undefined, write: boolean): void {
  const normal = typeof path === "string" ? normalPath(path) : null;
  if (normal !== null) list.push({ path: normal, write });
}

function isWithin(path: JsonValue | undefined, write: boolean, allowed: Access[]): boolean {
  const normal = typeof path === "string" ? normalPath(path) : null;
  return normal !== null &&
    allowed.some((one) =>
      (one.write || !write) && one.path.parts.every((part, i) => part === normal.parts[i])
    );
}

function same(a: JsonValue | undefined, b: JsonValue | undefined): boolean {
  return JSON.stringify(sorted(a)) === JSON.stringify(sorted(b));
}

function sorted(value: JsonValue | undefined): JsonValue {
  if (Array.isArray(value)) return value.map(sorted);
  if (!isJsonObject(value)) return value ?? null;
  return Object.fromEntries(
    Object.keys(value).sort().filter((key) => value[key] !== undefined && value[key] !== null)
      .map((key) => [key, sorted(value[key])]),
  );
}
