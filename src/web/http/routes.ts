/**
 * Which route an address names.
 * @module
 */

/** A route and what its address names. */
export type Route =
  | { name: "health" | "settings" | "listSessions" | "createSession" }
  | {
    name:
      | "readSession"
      | "closeSession"
      | "resumeSession"
      | "createTurn"
      | "events"
      | "listApprovals";
    sessionId: string;
  }
  | { name: "steer" | "interrupt"; sessionId: string; turnId: string }
  | { name: "answer"; sessionId: string; approvalId: string };

/** No such route; or one that knows other methods. */
export type RouteMiss = { name: "none" } | { name: "otherMethod"; allow: string[] };

const TABLE: readonly (readonly [method: string, pattern: string, name: Route["name"]])[] = [
  ["GET", "health", "health"],
  ["GET", "settings", "settings"],
  ["GET", "sessions", "listSessions"],
  ["POST", "sessions", "createSession"],
  ["GET", "sessions/:sessionId", "readSession"],
  ["DELETE", "sessions/:sessionId", "closeSession"],
  ["POST", "sessions/:sessionId/close", "closeSession"],
  ["POST", "sessions/:sessionId/resume", "resumeSession"],
  ["GET", "sessions/:sessionId/events", "events"],
  ["POST", "sessions/:sessionId/turns", "createTurn"],
  ["POST", "sessions/:sessionId/turns/:turnId/steer", "steer"],
  ["POST", "sessions/:sessionId/turns/:turnId/interrupt", "interrupt"],
  ["GET", "sessions/:sessionId/approvals", "listApprovals"],
  ["POST", "sessions/:sessionId/approvals/:approvalId", "answer"],
];

/** Finds the route of a method and a path. */
export function matchRoute(method: string, path: string, basePath: string): Route | RouteMiss {
  if (!path.startsWith(`${basePath}/`)) return { name: "none" };
  const parts = path.slice(basePath.length + 1).split("/");
  const allow: string[] = [];
  for (const [wanted, pattern, name] of TABLE) {
    const named = match(pattern.split("/"), parts);
    if (named === null) continue;
    // Asking for the headers of an answer is asking for it.
    if (wanted === method || (method === "HEAD" && wanted === "GET")) {
      return { name, ...named } as Route;
    }
    allow.push(wanted);
  }
  return allow.length === 0 ? { name: "none" } : { name: "otherMethod", allow };
}

/** A base path with one slash in front and none behind; `""` for the root. */
export function normalizeBasePath(basePath: string): string {
  const inner = basePath.replace(/^\/+|\/+$/g, "");
  return inner === "" ? "" : `/${inner}`;
}

function match(pattern: string[], parts: string[]): Record<string, string> | null {
  if (pattern.length !== parts.length) return null;
  const named: Record<string, string> = {};
  for (const [i, word] of pattern.entries()) {
    const part = parts[i]!;
    if (!word.startsWith(":")) {
      if (word !== part) return null;
    } else {
      const value = decode(part);
      if (value === null) return null;
      named[word.slice(1)] = value;
    }
  }
  return named;
}

function decode(part: string): string | null {
  try {
    return part === "" ? null : decodeURIComponent(part);
  } catch {
    return null;
  }
}
