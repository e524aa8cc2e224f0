/**
 * Which route an address names.
 * @module
 */
import { WebError } from "../../errors/mod.ts";

/** A route and what its address names. */
export type Route =
  | { name: "health" | "settings" | "listSessions" | "createSession" }
  | { name: "chat" | "run" }
  | { name: "chatMessages" | "chatStream" | "chatStop"; chatId: string }
  | { name: "chatAnswer"; chatId: string; approvalId: string }
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
  ["POST", "chat", "chat"],
  ["GET", "chat/:chatId", "chatMessages"],
  ["GET", "chat/:chatId/stream", "chatStream"],
  ["POST", "chat/:chatId/stop", "chatStop"],
  ["POST", "chat/:chatId/approvals/:approvalId", "chatAnswer"],
  ["POST", "ag-ui", "run"],
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

// Whether a request comes from where it may come from.

/** What is known of a request's way here. */
export interface AccessFacts {
  /** The method. */
  method: string;
  /** The address, as the server saw it. */
  url: URL;
  /** The headers. */
  headers: Headers;
}

/** Who may call. */
export interface AccessRules {
  /** Origins besides the bridge's own. */
  origins: readonly string[];
  /** Names the bridge answers to, `"*"` for any; empty: addresses, `localhost` and the names in `origins`. */
  hosts: readonly string[];
}

/** The header that makes a request not simple, so that a foreign page can't send it unasked. */
const CSRF_HEADER = "x-requested-with";

/**
 * Throws `WebError` 403 for a request that another site's page may have sent: a foreign `Origin`, a foreign
 * `Sec-Fetch-Site`, a foreign `Host`, or a POST that any form could send.
 */
export function checkAccess(facts: AccessFacts, rules: AccessRules): void {
  const { method, url, headers } = facts;
  // Frameworks such as Next write their own name into the address, whatever was asked for.
  const asked = headers.get("host") || url.host;
  for (const host of [url.host, asked]) {
    const name = URL.parse(`${url.protocol}//${host}`);
    if (name !== null && isOwnName(name, rules)) continue;
    throw forbidden(
      "forbiddenHost",
      `The bridge does not answer to ${JSON.stringify(host)}. List its name in hosts or origins.`,
    );
  }
  const origin = headers.get("origin");
  if (origin !== null) {
    const own = [url.origin, `${url.protocol}//${asked}`];
    if (!own.includes(origin) && !rules.origins.includes(origin)) {
      throw forbidden("forbiddenOrigin", "Requests from this origin are not allowed.");
    }
  } else {
    const site = headers.get("sec-fetch-site");
    if (site !== null && site !== "same-origin" && site !== "none") {
      throw forbidden("forbiddenOrigin", "Requests from other sites are not allowed.");
    }
  }
  if (method === "POST" && !isJson(headers) && !headers.has(CSRF_HEADER)) {
    throw forbidden(
      "csrf",
      `A POST needs content-type application/json, or the header ${CSRF_HEADER}.`,
    );
  }
}

/** The headers that let an allowed page of another origin read the answer. */
export function corsHeaders(
  { headers, url }: Pick<AccessFacts, "headers" | "url">,
  rules: AccessRules,
): Record<string, string> {
  const origin = headers.get("origin");
  if (origin === null || origin === url.origin || !rules.origins.includes(origin)) return {};
  return {
    "access-control-allow-origin": origin,
    "access-control-allow-credentials": "true",
  };
}

/** The answer's headers to the question whether a request may be sent. */
export function preflightHeaders(headers: Headers): Record<string, string> {
  return {
    "access-control-allow-methods": "GET, POST, DELETE",
    "access-control-allow-headers": headers.get("access-control-request-headers") ?? "content-type",
    "access-control-max-age": "600",
  };
}

/**
 * A page whose own name was made to lead here (DNS rebinding) sends that name; it can't send an address, `localhost` or a
 * name that its makers don't own.
 */
function isOwnName(url: URL, { hosts, origins }: AccessRules): boolean {
  const { host, hostname } = url;
  if (hosts.some((name) => name === "*" || name === host || name === hostname)) return true;
  // Names that were given are all there are.
  if (hosts.length > 0) return false;
  return isAddress(hostname) || hostname === "localhost" || hostname.endsWith(".localhost") ||
    origins.some((origin) => URL.parse(origin)?.hostname === hostname);
}

/** `URL` has written every form of an IPv4 address as four numbers, and IPv6 in brackets. */
function isAddress(hostname: string): boolean {
  return hostname.startsWith("[") || /^\d+\.\d+\.\d+\.\d+$/.test(hostname);
}

function isJson(headers: Headers): boolean {
  const type = headers.get("content-type") ?? "";
  return type.split(";")[0]!.trim().toLowerCase() === "application/json";
}

function forbidden(reason: string, message: string): WebError {
  return new WebError(403, reason, message);
}
